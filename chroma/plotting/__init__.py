"""One function a figure; no mathematics.

Each takes arrays that are ready to draw and returns a Matplotlib figure. Levels have the colours of `chroma.palette`
and are named at the curve. Time runs as generation does, from noise (left) to image (right), as in the paper's Fig 4.
"""

from chroma.palette import level_name
from chroma.plotting._data import data
from chroma.plotting._style import heat_map, pixels
from chroma.plotting.acting import atlas_chart, commitments, switching, weights
from chroma.plotting.measured import band_powers, change_spectra, chromatogram, distances, gallery, resolved_fractions
from chroma.plotting.paper import (
    ablations,
    adjusted_times,
    cascade_parts,
    idea,
    matched_clocks,
    theorem,
    thresholds,
    trajectory,
)
from chroma.plotting.tables import distance_table, table, with_error

__all__ = [
    "ablations",
    "adjusted_times",
    "atlas_chart",
    "band_powers",
    "cascade_parts",
    "change_spectra",
    "chromatogram",
    "commitments",
    "data",
    "distance_table",
    "distances",
    "gallery",
    "heat_map",
    "idea",
    "level_name",
    "matched_clocks",
    "pixels",
    "resolved_fractions",
    "switching",
    "table",
    "theorem",
    "thresholds",
    "trajectory",
    "weights",
    "with_error",
]
