"""Resolution chromatography of diffusion models: which step draws which resolution.

``chroma.schedules`` and ``chroma.chromatography`` need NumPy alone; the samplers
(``chroma.predictors``, ``exact``, ``sampling``, ``threshold``, ``measure``) are imported on
demand and need PyTorch. Importing ``chroma`` itself loads neither PyTorch nor Matplotlib.
"""

from chroma.chromatography import adjusted_time, chromatography, intensity, shift
from chroma.schedules import (
    EDM,
    Cosine,
    Discrete,
    Linear,
    Natural,
    RectifiedFlow,
    ScaledLinear,
    Sigmoid,
    from_scheduler,
)

__version__ = "0.1.0"

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
    "chromatography",
    "from_scheduler",
    "intensity",
    "shift",
]
