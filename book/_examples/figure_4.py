"""Figure 4 of "Resolution Chromatography of Diffusion Models" in one file, theory and measured.

::

    python book/_examples/figure_4.py                            # a bundled model, 32 prompts, about a minute
    python book/_examples/figure_4.py --model emoji-8 --samples 8 --out figure_4.png

Theory is Eq 18, r_m(t). Measured is Eq 19: the shares of the bands in the energy of the guidance term, e_CFG, of a
text-to-image model while it samples. Dotted: the shares of white noise.
"""

import argparse

import matplotlib.pyplot as plt
import torch

from chroma import chromatogram, models
from chroma.accumulators import CFGChromatography
from chroma.data import training_drawings
from chroma.palette import level_colour, level_name
from chroma.predictors import Guided, from_pipeline
from chroma.pyramid import white_noise_shares
from chroma.sampling import ddim

parser = argparse.ArgumentParser(description="Plot Figure 4, theory and measured.")
parser.add_argument("--model", default="emoji-32", help="as chroma.models.load takes it (%(default)s)")
parser.add_argument("--samples", type=int, default=32, help="prompts, one sample each (%(default)s)")
parser.add_argument("--out", default="figure_4.png", help="image file (%(default)s)")
args = parser.parse_args()

pipe = models.load(args.model)
view = models.Pipeline(pipe)
schedule, size = view.schedule(), view.shape[-1]
log_snrs = schedule.uniform_log_snrs(50)  # from noise to image, in equal steps of the model's own time
_, prompts = training_drawings(view.image_size)

measured = CFGChromatography(log_snrs)
predictor = Guided(
    from_pipeline(pipe, prompts[:: len(prompts) // args.samples][: args.samples]), from_pipeline(pipe), 4.0
)
x_T = torch.randn((args.samples, *view.shape), generator=torch.Generator().manual_seed(0))
for state in ddim(predictor, x_T, log_snrs):
    measured.update(state.log_snr, predictor.guidance)

theory = chromatogram(log_snrs, levels=len(white_noise_shares(view.shape)))
panels = {"theory, Eq 18": theory, f"measured, Eq 19 ({args.samples} samples)": measured.result().value}
time = schedule.time(log_snrs) / schedule.domain[1]
figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for ax, (title, shares) in zip(axes, panels.items(), strict=True):
    for level, (share, white) in enumerate(zip(shares, white_noise_shares(view.shape), strict=True)):
        colour = level_colour(size, level)
        ax.plot(time, share, color=colour, label=level_name(size, level))
        ax.axhline(white, color=colour, linestyle=":", linewidth=0.8)
    ax.set(title=title, xlabel="time t (noise on the left)", xlim=(1, 0), ylim=(0, 1))
axes[0].set_ylabel("share of each resolution")
axes[1].legend(title="resolution")
figure.savefig(args.out, dpi=150)
