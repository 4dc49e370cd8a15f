"""Puts trained runs among the bundled models: weights, run cards with what they can draw, checksums.

    python -m chroma.bundled.models runs/emoji-32 runs/emoji-64 ...

For maintainers. A run's folder name becomes the model's; its checkpoint, which serves training alone, is left behind.
The record of checksums is written anew from what is there.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from chroma import from_scheduler, models
from chroma._check import record
from chroma.models import FOLDER
from chroma.predictors import from_pipeline, guided
from chroma.quality import nearest
from chroma.recipes import drawings
from chroma.sampling import ddim
from chroma.threshold import thresholded
from chroma.training import CHECKPOINT

SCALE, STEPS = 4.0, 50


def bundle(run: Path) -> None:
    """Copy a finished run into the package, in place of an older one of its name, and measure what it can draw."""
    if not (run / "card.json").is_file():
        raise FileNotFoundError(f"{run} holds no card.json: it is not a finished run of chroma.training")
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    if not card["recipe"]["residual"]:
        card["accuracy"] = accuracy(models.load(run))
    shutil.rmtree(FOLDER / run.name, ignore_errors=True)
    shutil.copytree(run, FOLDER / run.name, ignore=shutil.ignore_patterns(CHECKPOINT, "*.partial"))
    (FOLDER / run.name / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def accuracy(pipe) -> dict:
    """Of all prompts, the share for which the training image nearest to what is drawn has the style asked for, ..."""
    known, prompts = drawings(pipe.unet.config.sample_size)
    log_snrs = from_scheduler(pipe.scheduler).log_snr(np.linspace(998, 0, STEPS))
    generator, rows = torch.Generator().manual_seed(0), []
    for part in np.array_split(np.arange(len(prompts)), len(prompts) / 64):
        noise = torch.randn((len(part), *known.images.shape[1:]), generator=generator)
        asked = from_pipeline(pipe, [prompts[i] for i in part])
        *_, last = ddim(thresholded(guided(asked, from_pipeline(pipe), SCALE)), noise, log_snrs)
        rows.extend(nearest(last.x0, known.images))
    style, content = known.styles[rows] == known.styles, known.contents[rows] == known.contents
    return {
        "scale": SCALE,
        "steps": STEPS,
        "sampler": "DDIM, clamped level by level",
        "prompts": len(prompts),
        "style": round(float(style.mean()), 3),
        "content": round(float(content.mean()), 3),
        "both": round(float((style & content).mean()), 3),
    }


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        bundle(Path(argument))
    for file in FOLDER.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors writes for the owner alone
    record(FOLDER)
