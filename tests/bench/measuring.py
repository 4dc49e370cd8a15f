"""What sampling and measuring cost, each as a ratio to a named peer that is run in turns with it.

    python tests/bench/measuring.py [--runs 25]

Sampling: the same model, prompts, steps, batch and precision (float32) as diffusers' own `IFPipeline` and as a plain
`DDIMScheduler` loop, without text encoding in either; N bare calls of the UNet are the floor. Medians over turns of the
ratio within a turn go to `_build/bench.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable

import numpy as np
import torch
from diffusers import DDIMScheduler, IFPipeline
from results import record

from chroma import models
from chroma._files import WEIGHTS
from chroma.accumulators import CFGChromatography
from chroma.data import training_drawings
from chroma.predictors import Guided, from_pipeline
from chroma.prompts import encode
from chroma.pyramid import band_energy, depth, downsample, upsample
from chroma.sampling import ddim

BATCH, STEPS, SCALE = 16, 4, 4.0


def stock() -> IFPipeline:
    """The bundled model as diffusers loads it, with DDIM in place of its ancestral sampler."""
    absent = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
    pipe = IFPipeline.from_pretrained(WEIGHTS / "emoji-32", requires_safety_checker=False, **absent)
    pipe = pipe.to(dtype=torch.float32)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def contenders() -> dict[str, Callable[[], object]]:
    """What is timed, by name; each samples the same prompts."""
    pipe, theirs = models.load("emoji-32"), stock()
    prompts = training_drawings(32)[1][:BATCH]
    conditioning, nothing = encode(pipe, prompts), encode(pipe, [""] * BATCH)
    words, silence = (one["encoder_hidden_states"] for one in (conditioning, nothing))
    both = torch.cat([silence, words])
    noise = torch.randn(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    theirs.scheduler.set_timesteps(STEPS)
    timesteps = theirs.scheduler.timesteps
    alphas = theirs.scheduler.alphas_cumprod[timesteps].double()
    log_snrs = torch.log(alphas / (1 - alphas)).numpy()
    predictor = Guided(from_pipeline(pipe, conditioning), from_pipeline(pipe, nothing), SCALE)

    def ours():
        for _ in ddim(predictor, noise, log_snrs):
            pass

    def measured():
        chromatogram = CFGChromatography(log_snrs)
        for state in ddim(predictor, noise, log_snrs):
            chromatogram.update(state.log_snr, predictor.guidance)
        chromatogram.result()

    @torch.no_grad()
    def bare():
        twice = torch.cat([noise, noise])
        for step in timesteps:
            pipe.unet(twice, step, both, return_dict=False)

    def diffusers_pipeline():
        arguments = {"prompt_embeds": words, "negative_prompt_embeds": silence, "guidance_scale": SCALE}
        theirs(**arguments, num_inference_steps=STEPS, output_type="pt")

    @torch.no_grad()
    def plain_loop():
        x = noise
        for step in timesteps:
            said = theirs.unet(torch.cat([x, x]), step, both).sample[:, :3]
            without, given = said.chunk(2)
            x = theirs.scheduler.step(without + SCALE * (given - without), step, x).prev_sample

    return {
        "ours": ours,
        "ours, measured": measured,
        "bare UNet calls": bare,
        "diffusers IFPipeline": diffusers_pipeline,
        "plain DDIMScheduler loop": plain_loop,
    }


def naive_energy(x: torch.Tensor) -> torch.Tensor:
    """The bands at full size as the paper writes them, U^m D^m x - U^(m+1) D^(m+1) x, and their squares."""
    levels = depth(x.shape)
    full = [upsample(downsample(x, m), m) for m in range(levels + 1)]
    parts = [full[m] - full[m + 1] for m in range(levels)] + [full[-1]]
    return torch.stack([part.square().sum((1, 2, 3)) for part in parts], 1)


def interleaved(contenders: dict[str, Callable[[], object]], runs: int) -> dict[str, np.ndarray]:
    """The seconds of each in each turn, (runs,); turns go through all in random order, and the first warms up."""
    taken, order = {name: [] for name in contenders}, random.Random(0)
    for turn in range(runs + 1):
        for name in order.sample(list(contenders), len(contenders)):
            start = time.perf_counter()
            contenders[name]()
            if turn:
                taken[name].append(time.perf_counter() - start)
    return {name: np.array(seconds) for name, seconds in taken.items()}


def ratio(slow: np.ndarray, fast: np.ndarray) -> float:
    """The median over turns of how much longer `slow` took: both ran within a moment, on a machine as busy."""
    return float(np.median(slow / fast))


def synchronisations(run: Callable[[], object]) -> int:
    """How often a run reads a number off the device: calls of `aten::item`, by PyTorch's profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        run()
    return sum(event.count for event in profile.key_averages() if event.key == "aten::item")


def measure(runs: int) -> dict[str, dict]:
    """Every ratio of this file: name -> ratio, goal, what."""
    timed = contenders()
    # what should cost a hundredth is told from nothing by more turns, of fewer
    few = interleaved({name: timed[name] for name in ("ours", "ours, measured", "bare UNet calls")}, 3 * runs)
    seconds = interleaved({name: run for name, run in timed.items() if name != "ours, measured"}, runs)
    ours = seconds["ours"]
    what = f"emoji-32, batch {BATCH} guided, {STEPS} DDIM steps, float32"
    found = {
        "sampling vs diffusers IFPipeline": (ratio(seconds["diffusers IFPipeline"], ours), ">=1.25", what),
        "sampling vs plain DDIM loop": (ratio(seconds["plain DDIMScheduler loop"], ours), ">=1.25", what),
        "measuring while sampling": (
            ratio(few["ours, measured"], few["ours"]),
            "<=1.01",
            f"seconds with over without; {what}",
        ),
        "sampling vs bare UNet calls": (
            ratio(few["ours"], few["bare UNet calls"]),
            "<=1.03",
            f"seconds over seconds; {what}",
        ),
    }
    x = torch.randn(64, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    energies = interleaved({"ours": lambda: band_energy(x), "naive": lambda: naive_energy(x)}, 5 * runs)
    what = "64 images of 64 x 64: the speed of band_energy over that of bands built at full size"
    found["band energies vs full-size bands"] = (ratio(energies["naive"], energies["ours"]), ">=5", what)
    return {name: {"ratio": value, "goal": goal, "what": what} for name, (value, goal, what) in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=25, help="of each (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the ratios as JSON, and leave none behind")
    args = parser.parse_args()
    runs = args.runs
    np.testing.assert_allclose(naive_energy(x := torch.randn(2, 3, 16, 16)), band_energy(x), rtol=1e-3, atol=1e-3)
    ratios, reads = measure(runs), synchronisations(contenders()["ours, measured"])
    if args.json:
        print(json.dumps({"ratios": ratios, "reads": reads}))
        return
    for name, found in ratios.items():
        record(name, found["ratio"], found["goal"], runs, found["what"])
    print(f"numbers read off the device in one measured sampling: {reads}")


if __name__ == "__main__":
    main()
