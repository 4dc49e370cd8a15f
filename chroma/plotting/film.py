"""A film of one generation with its growing chromatogram: ``python -m chroma.plotting.film kingfisher.webp``.

One frame per step: the noisy image, the predicted image, and how the change of the prediction is distributed over the
resolutions so far, above the paper's r_m.

::

    states = list(ddim(from_pipeline(pipe, "an owl"), x_T, log_snrs))
    film(states, "owl.webp")
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from chroma._check import invalid_argument
from chroma._terminal import CommandLine, file_path, number, whole_number
from chroma.chromatography import chromatogram
from chroma.palette import level_colour, level_name
from chroma.plotting.style import draw_picture, styled
from chroma.process import State
from chroma.pyramid import band_energy, band_sizes

SUFFIXES = (".webp", ".gif")
FRAME_MILLISECONDS, LAST_MILLISECONDS = 160, 2000


def change_shares(states: Sequence[State]) -> np.ndarray:
    """Compute how the change of the predicted image in each step is distributed over the bands, per coefficient.

    Args:
        states: of a sampler, of one image, from noisy to clean.

    Returns:
        The shares of the squared change of x0, divided by 4^m N_m, finest first, (levels, steps). Before the first step
        the prediction is 0; a step without change has shares of 0.

    >>> from chroma.exact import GaussianPredictor
    >>> from chroma.sampling import ddim
    >>> white = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 4.0])
    >>> change_shares(list(ddim(white, torch.ones(1, 1, 2, 2), [-2.0, 0.0]))).round(3)  # without detail
    array([[0., 0.],
           [1., 1.]])
    """
    sizes = band_sizes(tuple(states[0].x0.shape[1:]))
    powers = torch.from_numpy(sizes * 4.0 ** np.arange(len(sizes)))
    before = torch.zeros_like(states[0].x0)
    rows = []
    for state in states:
        energy = band_energy((state.x0 - before).double().cpu()[:1])[0] / powers
        rows.append((energy / energy.sum().clamp(min=1e-12)).numpy())
        before = state.x0
    return np.stack(rows, -1)


def _draw_bars(ax: Axes, shares: np.ndarray, size: int, title: str) -> None:
    """Stack the shares of each step, the coarsest resolution at the bottom."""
    bottom = np.zeros(shares.shape[1])
    for level in reversed(range(len(shares))):
        colour, name = level_colour(size, level), level_name(size, level)
        ax.bar(np.arange(shares.shape[1]), shares[level], 0.9, bottom, color=colour, label=name)
        bottom += shares[level]
    ax.set(ylim=(0, 1), yticks=[], xticks=[], title=title)
    ax.grid(False)
    ax.spines[:].set_visible(False)


@styled
def film_frame(states: Sequence[State], step: int) -> Figure:
    """Plot one frame: the images of a step, and the shares up to this step above the paper's r_m.

    Args:
        states: of a sampler, of one image in [-1, 1], from noisy to clean.
        step: of `states`, from 0.

    Returns:
        The figure.

    >>> x = torch.zeros(1, 3, 8, 8)
    >>> figure = film_frame([State(z, x, x, x) for z in (-4.0, 0.0, 4.0)], 1)
    >>> [ax.get_title("center") for ax in figure.axes[:2]]
    ['noisy image', 'predicted image']
    """
    size = states[0].x.shape[-1]
    shares = change_shares(states)
    shares[:, step + 1 :] = 0
    figure, axes = plt.subplot_mosaic("ab;cc;dd", figsize=(5.0, 5.2), height_ratios=[2.2, 1, 1])
    draw_picture(axes["a"], states[step].x[0].cpu(), "noisy image")
    draw_picture(axes["b"], states[step].x0[0].cpu(), "predicted image")
    _draw_bars(axes["c"], shares, size, "change of the prediction by resolution")
    _draw_bars(axes["d"], chromatogram([state.log_snr for state in states], len(shares)), size, "the paper's rₘ")
    axes["d"].set_xlabel("noise  →  image")
    for name in "cd":
        axes[name].set_xlim(-0.6, len(states) - 0.4)
        axes[name].axvline(step, color="#222832", linewidth=1)
    handles, labels = axes["d"].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8, handlelength=0.8)
    return figure


def film(states: Sequence[State], file: str | Path, dpi: int = 80) -> None:
    """Write a film of one generation as an animated image.

    Args:
        states: of a sampler, of one image in [-1, 1], from noisy to clean; their first image is shown.
        file: its name ends with .webp or .gif.
        dpi: pixels per inch; a frame has 5.0 x 5.2 inches.

    Raises:
        ValueError: for another ending, and for no states.
    """
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        raise invalid_argument("file", str(file), "a name that ends with .webp or .gif")
    if not states:
        raise invalid_argument("states", "none", "the states of a sampler, at least one")
    frames = []
    for step in range(len(states)):
        picture = io.BytesIO()
        film_frame(states, step).savefig(picture, dpi=dpi)
        frames.append(Image.open(picture).convert("RGB"))
    durations = [FRAME_MILLISECONDS] * (len(frames) - 1) + [LAST_MILLISECONDS]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=80)


def main(arguments: Sequence[str] | None = None) -> None:
    """Generate one image and write its film, as a command line.

    Args:
        arguments: of the command line; those of the program by default.
    """
    parser = CommandLine(prog="python -m chroma.plotting.film", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=file_path, help="the film, .webp or .gif")
    parser.add_argument("--model", default="photos-32", help="a bundled model, a folder, or a hub's owner/name")
    parser.add_argument("--prompt", default="an HD photo of a kingfisher", help="what to generate")
    parser.add_argument("--scale", type=number, default=3.0, help="of the guidance")
    parser.add_argument("--steps", type=whole_number, default=25, help="of the sampler")
    parser.add_argument("--seed", type=whole_number, default=0, help="of the noise")
    options = parser.parse_args(arguments)
    if options.steps < 1:
        parser.error(f"--steps is {options.steps}; use at least 1")
    if options.seed < 0:
        parser.error(f"--seed is {options.seed}; use 0 or more")
    try:
        film(_generate(options.model, options.prompt, options.scale, options.steps, options.seed), options.file)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _generate(model: str, prompt: str, scale: float, steps: int, seed: int) -> list[State]:
    from chroma import Cosine
    from chroma.models import Pipeline, load
    from chroma.predictors import Guided, from_pipeline
    from chroma.sampling import ddim

    pipe = load(model)
    view = Pipeline(pipe)
    if getattr(pipe, "vae", None) is not None:
        raise invalid_argument("model", model, "one that generates pixels: latents cannot be shown as they are")
    noise = torch.randn(1, *view.shape, generator=torch.Generator().manual_seed(seed))
    predictor = Guided(from_pipeline(pipe, prompt), from_pipeline(pipe), scale)
    return list(ddim(predictor, noise, Cosine().uniform_log_snrs(steps).tolist()))


if __name__ == "__main__":
    main()
