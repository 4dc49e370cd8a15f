"""The command line of ``python -m chroma.measure``: its options, refused before a model is loaded where they can be."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chroma import data
from chroma._check import check_finite, check_int, invalid_argument
from chroma._files import read_lines
from chroma._terminal import CommandLine, file_path, number, whole_number
from chroma.models import Pipeline

DRAWINGS = "drawings"  # the bundled ones, as --images


@dataclass(frozen=True)
class Inputs:
    """What the files and numbers of a command line are, once they have been checked.

    Attributes:
        prompts: of the file, in its order.
        images: the path of the image of each prompt, `DRAWINGS`, or None.
    """

    prompts: list[str]
    images: list[str] | str | None


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Returns:
        The parser.
    """
    parser = CommandLine(
        prog="python -m chroma.measure",
        description="Measure which resolution a model's guidance consists of at each step (Eq 19); "
        "interrupted runs resume.",
    )
    parser.add_argument(
        "--model", required=True, help="a bundled model, the folder of a pipeline, or a hub's owner/name"
    )
    parser.add_argument("--prompts", required=True, type=file_path, help="a text file, one prompt per line")
    parser.add_argument("--out", required=True, type=file_path, help="the file for the result, NAME.safetensors")
    parser.add_argument("--steps", type=whole_number, default=50, help="times at which it is measured (%(default)s)")
    parser.add_argument("--seeds", type=whole_number, default=4, help="samples per prompt (%(default)s)")
    parser.add_argument("--scale", type=number, default=4.0, help="guidance scale of the trajectories (%(default)s)")
    parser.add_argument(
        "--images",
        help="measure on real images instead: 'drawings', or a text file with the path of one image per prompt",
    )
    parser.add_argument(
        "--batch-size", type=whole_number, default=16, help="the most samples of a prompt at a time (%(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ... (a GPU, if there is one)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="the network's precision (%(default)s: guidance is small, and rounding looks like white noise)",
    )
    parser.add_argument("--offload", choices=("model", "sequential"), help="for a GPU too small for the pipeline")
    parser.add_argument("--compile", action="store_true", help="compile the network first (torch.compile)")
    return parser


def check_inputs(args: argparse.Namespace) -> Inputs:
    """Check what can be known of a run without its model.

    Args:
        args: of `make_parser`.

    Returns:
        The prompts, and where their images are.

    Raises:
        ValueError: for a number that cannot be meant, a file that is missing or no text, and a device that this
            machine does not have.
    """
    prompts = read_lines(args.prompts)
    check_int("steps", args.steps, 1)
    check_int("seeds", args.seeds, least_seeds(len(prompts)))
    check_int("batch_size", args.batch_size, 1)
    check_finite("scale", args.scale)
    if args.device is not None:
        _check_device(args.device)
    if args.images in (None, DRAWINGS):
        return Inputs(prompts, args.images)
    images = read_lines(args.images, "path of an image")
    if len(images) != len(prompts):
        must = f"one for each of the {len(prompts)} prompts, one per line"
        raise invalid_argument("images", f"{len(images)} files", must)
    for image in images:
        if not Path(image).is_file():
            raise invalid_argument("images", f"{image}, which is no file", "images that exist")
    return Inputs(prompts, images)


def least_seeds(prompts: int) -> int:
    """Count the seeds that standard errors take: with one prompt alone they are over its seeds.

    Args:
        prompts: how many there are.

    Returns:
        1 or 2.
    """
    return 1 if prompts > 1 else 2


def _check_device(name: str) -> None:
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise invalid_argument("device", name, "one that this machine has, such as cpu") from error


def load_images(images: Sequence[str] | str | None, prompts: Sequence[str], pipe: Any) -> torch.Tensor | None:
    """Load the image of each prompt at the size of the pipeline.

    Args:
        images: of `Inputs`.
        prompts: of `Inputs`.
        pipe: from `chroma.models.load`.

    Returns:
        (prompts, 3, H, W) in [-1, 1], or None.

    Raises:
        ValueError: for a prompt that is none of the bundled drawings', and a file that is no image.
    """
    if images is None:
        return None
    size = Pipeline(pipe).image_size
    if images != DRAWINGS:
        return torch.from_numpy(np.stack([data.image(file, size) for file in images]))
    drawings, known = data.training_drawings(size)
    unknown = [prompt for prompt in prompts if prompt not in known]
    if unknown:
        must = "one of those of the bundled drawings (chroma.data.training_drawings)"
        raise invalid_argument("prompts", unknown[0], must)
    return torch.from_numpy(drawings.images[[known.index(prompt) for prompt in prompts]])
