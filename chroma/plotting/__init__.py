"""Figures of the book, one function per figure.

Each function takes arrays, plots them and returns a Matplotlib figure; none computes the mathematics. Levels have the
colours of `chroma.palette` and are labelled at their curves. Time runs in the direction of sampling, from noise (left)
to image (right), as in the paper's Fig 4. `chroma.plotting.phone_layout` plots a figure again for a narrow screen.
"""

from chroma.palette import level_name
from chroma.plotting.acting import atlas_chart, commitments, regrets, step_ruler, switching_grid, weight_curves
from chroma.plotting.measured import (
    band_variances,
    change_spectra,
    chromatogram,
    collapses,
    distance_curves,
    gallery,
    half_points,
    resolved_fractions,
    shares_by_band,
)
from chroma.plotting.paper import (
    ablations,
    adjusted_times,
    cascade_parts,
    idea,
    matched_times,
    theorem,
    thresholds,
    trajectory,
)
from chroma.plotting.style import heat_map, phone_layout, to_pixels

__all__ = [
    "ablations",
    "adjusted_times",
    "atlas_chart",
    "band_variances",
    "cascade_parts",
    "change_spectra",
    "chromatogram",
    "collapses",
    "commitments",
    "distance_curves",
    "gallery",
    "half_points",
    "heat_map",
    "idea",
    "level_name",
    "matched_times",
    "phone_layout",
    "regrets",
    "resolved_fractions",
    "shares_by_band",
    "step_ruler",
    "switching_grid",
    "theorem",
    "thresholds",
    "to_pixels",
    "trajectory",
    "weight_curves",
]
