"""The settings of a run of the book, read once from the environment.

    CHROMA_MODEL=DeepFloyd/IF-I-XL-v1.0 CHROMA_DEVICE=cuda CHROMA_DTYPE=float16 jupyter-book build .

| variable | meaning | default |
|---|---|---|
| CHROMA_MODEL | the model of the figures, as `chroma.models.load` takes it | emoji-32 |
| CHROMA_DEVICE | where it runs: cpu, cuda, cuda:1, mps, ... | cpu |
| CHROMA_DTYPE | its precision: float32, float16 or bfloat16 | float32 |
| CHROMA_SAMPLES | how many samples a measurement averages | that of each figure |
| CHROMA_FACES | a folder of photographs of faces, such as CelebA's img_align_celeba | the bundled images |

An empty variable counts as not set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chroma._check import invalid_argument

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Settings:
    """The settings of one run of the book.

    Attributes:
        model: a bundled model, a folder, or a hub's owner/name.
        device: where it runs, by PyTorch's name.
        dtype: its precision, by PyTorch's name.
        samples: how many samples a measurement averages; None for each figure's own number.
        faces: a folder of photographs of faces; None for the bundled images.
    """

    model: str = "emoji-32"
    device: str = "cpu"
    dtype: str = "float32"
    samples: int | None = None
    faces: Path | None = None

    def samples_or(self, default: int) -> int:
        """Choose the number of samples of a measurement.

        Args:
            default: the number unless CHROMA_SAMPLES is set.

        Returns:
            The number of samples.

        >>> Settings().samples_or(64), Settings(samples=5).samples_or(64)
        (64, 5)
        """
        return default if self.samples is None else self.samples

    @property
    def torch_dtype(self) -> torch.dtype:
        """The precision as a PyTorch type.

        >>> Settings(dtype="float16").torch_dtype
        torch.float16
        """
        import torch  # not above, so that reading the settings needs no PyTorch

        return getattr(torch, self.dtype)


def read(environ: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables.

    Args:
        environ: name -> text, such as ``os.environ``.

    Returns:
        The settings.

    Raises:
        ValueError: naming the variable, for a value that is not allowed.

    >>> read({"CHROMA_DEVICE": "cuda", "CHROMA_SAMPLES": "500"})
    Settings(model='emoji-32', device='cuda', dtype='float32', samples=500, faces=None)
    """
    fields = {name: environ.get(f"CHROMA_{name.upper()}", "").strip() for name in Settings.__dataclass_fields__}
    defaults = Settings()
    return Settings(
        model=fields["model"] or defaults.model,
        device=_device(fields["device"] or defaults.device),
        dtype=_dtype(fields["dtype"] or defaults.dtype),
        samples=_samples(fields["samples"]) if fields["samples"] else None,
        faces=_faces(fields["faces"]) if fields["faces"] else None,
    )


def _device(text: str) -> str:
    if not re.fullmatch(r"[a-z]+(:\d+)?", text):
        raise invalid_argument("CHROMA_DEVICE", text, "a device such as cpu, cuda or cuda:1")
    return text


def _dtype(text: str) -> str:
    if text not in DTYPES:
        raise invalid_argument("CHROMA_DTYPE", text, "float32, float16 or bfloat16")
    return text


def _samples(text: str) -> int:
    if not re.fullmatch("[0-9]*[1-9][0-9]*", text):
        raise invalid_argument("CHROMA_SAMPLES", text, "a whole number >= 1")
    return int(text)


def _faces(text: str) -> Path:
    folder = Path(os.path.expanduser(text))
    if not folder.is_dir():
        raise invalid_argument("CHROMA_FACES", str(folder), "a folder that exists")
    return folder


SETTINGS = read(os.environ)
