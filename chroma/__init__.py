"""Resolution chromatography of diffusion models: which step generates which resolution.

The public names below need NumPy alone, but for `from_scheduler`, which reads objects of diffusers. Everything is
imported when it is first used: importing ``chroma`` loads neither PyTorch nor Matplotlib.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chroma.chromatography import adjusted_time, chromatogram, intensity, level_log_snr
    from chroma.schedulers.config import from_scheduler
    from chroma.schedules import EDM, Cosine, Discrete, Linear, Natural, RectifiedFlow, ScaledLinear, Sigmoid

__version__ = "0.1.0"

_HOMES = {
    "chroma.chromatography": ("adjusted_time", "chromatogram", "intensity", "level_log_snr"),
    "chroma.schedulers.config": ("from_scheduler",),
    "chroma.schedules": (
        "EDM",
        "Cosine",
        "Discrete",
        "Linear",
        "Natural",
        "RectifiedFlow",
        "ScaledLinear",
        "Sigmoid",
    ),
}

__all__ = [
    "EDM",
    "Cosine",
    "Discrete",
    "Linear",
    "Natural",
    "RectifiedFlow",
    "ScaledLinear",
    "Sigmoid",
    "adjusted_time",
    "chromatogram",
    "from_scheduler",
    "intensity",
    "level_log_snr",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used (PEP 562)."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'chroma' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return [*globals(), *__all__]
