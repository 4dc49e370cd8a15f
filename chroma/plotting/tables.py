"""Tables for a notebook, and numbers in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def table(header: Sequence[str], rows: Sequence[Sequence]):
    """A Markdown table for a notebook: numbers to four significant digits, anything else as it is."""
    from IPython.display import Markdown

    text = lambda cell: f"{cell:.4g}" if isinstance(cell, (float, np.floating)) else str(cell)  # noqa: E731
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join("| " + " | ".join(map(text, line)) + " |" for line in lines))


def distance_table(measurements: dict[str, tuple]):
    """A table of mean distances; measurements: where -> (a measurement, its theories, as `chroma.measure.theories`)."""
    names = list(next(iter(measurements.values()))[1])
    rows = []
    for where, (measured, theories) in measurements.items():
        distances = [with_error(measured.mean_distance(theories[name])) for name in names]
        rows.append([where, *distances, measured.result().count])
    return table(["measured on", *names, "samples"], rows)


def with_error(estimate) -> str:
    """A `chroma.measure.Estimate` of one number in words: "0.43 ± 0.02", two digits of the error."""
    value, error = float(estimate.value), float(estimate.standard_error)
    digits = 0 if error >= 10 else max(0, 1 - int(np.floor(np.log10(error)))) if error > 1e-12 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"
