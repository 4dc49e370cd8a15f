"""What a run of the book is made with, read once from the environment.

    CHROMA_MODEL=DeepFloyd/IF-I-XL-v1.0 CHROMA_DEVICE=cuda CHROMA_DTYPE=float16 jupyter-book build .

| variable | what it is | unless set |
|---|---|---|
| CHROMA_MODEL | the model of the figures, as `chroma.models.load` takes it | emoji-32 |
| CHROMA_DEVICE | where it runs: cpu, cuda, cuda:1, mps, ... | cpu |
| CHROMA_DTYPE | its precision: float32, float16 or bfloat16 | float32 |
| CHROMA_SAMPLES | how many samples a measurement averages | each figure's own |
| CHROMA_FACES | a folder of photographs of faces, such as CelebA's img_align_celeba | the bundled images |

A variable that is empty is not set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chroma._check import refuse

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """One run's model, where and how precisely it runs, how many samples, and whose faces."""

    model: str = "emoji-32"
    device: str = "cpu"
    dtype: str = "float32"
    samples: int | None = None
    faces: Path | None = None

    def samples_or(self, default: int) -> int:
        """The number of samples that was asked for, else `default`."""
        return default if self.samples is None else self.samples

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as PyTorch has it."""
        import torch  # here, so that reading the settings does without it

        return getattr(torch, self.dtype)


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`. Raises ValueError, naming the variable, for a value that cannot be meant."""
    texts = {name: environ.get(f"CHROMA_{name.upper()}", "").strip() for name in Settings.__dataclass_fields__}
    given = {name: text for name, text in texts.items() if text}
    if not re.fullmatch(r"[a-z]+(:\d+)?", given.get("device", "cpu")):
        raise refuse("CHROMA_DEVICE", given["device"], "a device such as cpu, cuda or cuda:1")
    if given.get("dtype", "float32") not in DTYPES:
        raise refuse("CHROMA_DTYPE", given["dtype"], "float32, float16 or bfloat16")
    if "samples" in given:
        if not re.fullmatch("[0-9]*[1-9][0-9]*", given["samples"]):
            raise refuse("CHROMA_SAMPLES", given["samples"], "a whole number >= 1")
        given["samples"] = int(given["samples"])
    if "faces" in given:
        given["faces"] = Path(given["faces"]).expanduser()
        if not given["faces"].is_dir():
            raise refuse("CHROMA_FACES", str(given["faces"]), "a folder that exists")
    return Settings(**given)


SETTINGS = read(os.environ)
