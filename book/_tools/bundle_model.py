"""Put finished training runs among the bundled models: weights, cards with their accuracy, checksums.

    python book/_tools/bundle_model.py runs/emoji-32 runs/emoji-64 ...

For maintainers. The name of a run's folder becomes the model's name. The checkpoint, which only training needs, stays
behind. The checksums of all bundled models are recorded anew.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chroma import from_scheduler, models
from chroma._files import WEIGHTS, record_checksums
from chroma.data import SCENE_STYLES, prompt, scenes, subjects, training_drawings
from chroma.predictors import Guided, from_pipeline
from chroma.quality import nearest
from chroma.sampling import ddim
from chroma.threshold import thresholded
from chroma.training import CHECKPOINT

GUIDANCE_SCALE, STEPS = 4.0, 50
SCENE_GUIDANCE_SCALE, SCENE_STEPS = 3.0, 30
CROPS = 12  # of each training photograph, to compare samples with
BATCH = 64


def bundle(run: Path) -> None:
    """Copy a finished run into the package, in place of an older model of its name.

    The card of a model that generates emoji drawings also gets its accuracy, that of a model of scenes the share of its
    samples whose nearest training image has the style or the subject of the prompt.

    Args:
        run: The folder of the run.

    Raises:
        FileNotFoundError: The run is not finished.
    """
    if not (run / "card.json").is_file():
        raise FileNotFoundError(f"{run} has no card.json: finish the run with `python -m chroma.training` first")
    card = json.loads((run / "card.json").read_text(encoding="utf-8"))
    recipe = card["recipe"]
    dataset = recipe.get("dataset", "drawings")
    if not recipe["residual"] and dataset == "drawings":
        card["accuracy"] = accuracy(models.load(run))
    elif not recipe["residual"] and dataset == "scenes":
        card["nearest_scene"] = nearest_scene(models.load(run))
    shutil.rmtree(WEIGHTS / run.name, ignore_errors=True)
    shutil.copytree(run, WEIGHTS / run.name, ignore=shutil.ignore_patterns(CHECKPOINT, "*.partial"))
    (WEIGHTS / run.name / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def accuracy(pipe: models.DiffusersPipeline) -> dict[str, Any]:
    """Measure how often a model generates what its prompt names, over all prompts that it was trained on.

    A generated image has the style and the content of the training image nearest to it.

    Args:
        pipe: A pipeline trained on the emoji drawings.

    Returns:
        How the images were sampled, and the fractions with the right style, the right content, and both.
    """
    training, prompts = training_drawings(models.Pipeline(pipe).image_size)
    images = _generate(pipe, prompts, GUIDANCE_SCALE, STEPS)
    rows = nearest(images, training.images)
    style = training.styles[rows] == training.styles
    content = training.contents[rows] == training.contents
    return {
        "scale": GUIDANCE_SCALE,
        "steps": STEPS,
        "sampler": "DDIM, clamped level by level",
        "prompts": len(prompts),
        "style": round(float(style.mean()), 3),
        "content": round(float(content.mean()), 3),
        "both": round(float((style & content).mean()), 3),
    }


def nearest_scene(pipe: models.DiffusersPipeline) -> dict[str, Any]:
    """Compare one sample of each full prompt of the training scenes with the training image nearest to it.

    The nearest image is that of the smallest root mean square difference per value, among `CROPS` crops of each
    training photograph in each style.

    Args:
        pipe: A pipeline trained on scenes.

    Returns:
        How the images were sampled, and the fractions whose nearest image has the right style, the right subject, and
        both, with the median distance to it.
    """
    view = models.Pipeline(pipe)
    training = scenes(view.image_size, CROPS)
    pairs = [(style, subject) for style in SCENE_STYLES for subject in dict.fromkeys(subjects().values())]
    images, known = (
        _generate(pipe, [prompt(*pair) for pair in pairs], SCENE_GUIDANCE_SCALE, SCENE_STEPS),
        training.images,
    )
    rows = nearest(images, known)
    distances = np.sqrt(np.square(images - known[rows].astype(np.float32)).mean((1, 2, 3)))
    style = training.styles[rows] == np.array([style for style, _ in pairs])
    subject = training.subjects[rows] == np.array([subject for _, subject in pairs])
    return {
        "scale": SCENE_GUIDANCE_SCALE,
        "steps": SCENE_STEPS,
        "sampler": "DDIM, clamped level by level",
        "prompts": len(pairs),
        "style": round(float(style.mean()), 3),
        "subject": round(float(subject.mean()), 3),
        "both": round(float((style & subject).mean()), 3),
        "median_distance": round(float(np.median(distances)), 3),
    }


def _generate(pipe: models.DiffusersPipeline, prompts: Sequence[str], scale: float, steps: int) -> np.ndarray:
    """Sample one image per prompt by DDIM, clamped level by level, from the same noise at every call."""
    log_snrs = from_scheduler(pipe.scheduler).log_snr(np.linspace(998, 0, steps)).tolist()
    generator = torch.Generator().manual_seed(0)
    images = []
    for indices in np.array_split(np.arange(len(prompts)), range(BATCH, len(prompts), BATCH)):
        noise = torch.randn((len(indices), *models.Pipeline(pipe).shape), generator=generator)
        conditional = from_pipeline(pipe, [prompts[i] for i in indices])
        *_, last = ddim(thresholded(Guided(conditional, from_pipeline(pipe), scale)), noise, log_snrs)
        images.append(last.x0.numpy())
    return np.concatenate(images)


def main() -> None:
    """Bundle the runs that the command line names."""
    parser = argparse.ArgumentParser(description="Put finished training runs among the bundled models.")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the folder of a finished run")
    for run in parser.parse_args().runs:
        bundle(run)
    for file in WEIGHTS.rglob("*.safetensors"):
        file.chmod(0o644)  # safetensors makes its files readable for the owner alone
    record_checksums(WEIGHTS)


if __name__ == "__main__":
    main()
