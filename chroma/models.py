"""Bundled and pretrained pipelines behind one loader.

``emoji-32`` travels inside the package: a real ``diffusers.IFPipeline`` of the paper's class, 32 x 32 pixels, that
knows 128 contents in four styles by heart (its card says how it was trained and how well it draws them).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from chroma._check import recorded, refuse

FOLDER = Path(__file__).parent / "weights"
BUNDLED = ("emoji-32",)


def load(name_or_folder: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32):
    """A diffusers pipeline on `device`: a bundled model's name, a saved pipeline's folder, or a hub's "owner/name".

    Measurements are best made in float32: guidance is a difference of near-equal predictions, and the rounding of half
    precision looks like white noise. Raises ValueError for a name that is none of the three or for bundled weights
    that are not those on record; FileNotFoundError, naming the file, if one is missing; OSError, in one sentence that
    says what to do, if the hub cannot be reached.
    """
    from diffusers import DiffusionPipeline, IFPipeline

    if name_or_folder in BUNDLED:
        # no safety checker nor watermark was ever part of it
        absent = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker"))
        pipe = IFPipeline.from_pretrained(
            _verified(name_or_folder), dtype=dtype, requires_safety_checker=False, **absent
        )
        return pipe.to(device)
    if (Path(name_or_folder) / "model_index.json").is_file():
        return DiffusionPipeline.from_pretrained(name_or_folder, dtype=dtype).to(device)
    if str(name_or_folder).count("/") != 1 or Path(name_or_folder).exists():
        known = ", ".join(map(repr, BUNDLED))
        raise refuse(
            "name_or_folder", name_or_folder, f"{known}, a folder with model_index.json, or a hub's owner/name"
        )
    try:
        return DiffusionPipeline.from_pretrained(name_or_folder, dtype=dtype).to(device)
    except OSError as error:
        raise OSError(
            f"{name_or_folder} is not on this machine and could not be downloaded: connect to the network (and log in, "
            "if the model asks for it), or pass a folder that holds the saved pipeline"
        ) from error


def card(name: str) -> dict:
    """The run card of a bundled model: its contents and phrases, its recipe, the images seen, its accuracy."""
    if name not in BUNDLED:
        raise refuse("name", name, f"one of {', '.join(map(repr, BUNDLED))}")
    return json.loads((_verified(name) / "card.json").read_text(encoding="utf-8"))


def _verified(name: str) -> Path:
    """The folder of a bundled model, once each of its files has been found to be the one on record."""
    record = json.loads((FOLDER / "CHECKSUMS.json").read_text(encoding="utf-8"))
    for file in record:
        if file.startswith(f"{name}/"):
            recorded(FOLDER, file, "reinstall the package")
    return FOLDER / name
