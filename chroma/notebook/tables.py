"""Tables for a notebook, and numbers in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from chroma.estimates import Estimate
from chroma.palette import PREDICTION_LABELS


def table(header: Sequence[str], rows: Sequence[Sequence]) -> Any:
    """Lay out a Markdown table.

    Args:
        header: the heads of the columns.
        rows: one sequence of cells per row; floats are shown to four significant digits, anything else as it is.

    Returns:
        An ``IPython.display.Markdown``.

    >>> print(table(["level", "share"], [[0, 0.123456]]).data)
    | level | share |
    | --- | --- |
    | 0 | 0.1235 |
    """
    from IPython.display import Markdown

    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines))


def _text(cell: Any) -> str:
    return f"{cell:.4g}" if isinstance(cell, (float, np.floating)) else str(cell)


def distance_table(measurements: Mapping[str, tuple], weights: Mapping[str, Any] | None = None) -> Any:
    """Lay out mean distances between measurements and predictions, one row per prediction.

    Args:
        measurements: label -> (a measurement with ``mean_distance`` and ``result``, its predictions as by
            `chroma.nulls.predictions`); all have the same predictions.
        weights: label -> the weights of the measurement's log-SNRs; by default its own.

    Returns:
        An ``IPython.display.Markdown``.
    """
    rows: list[list[Any]] = []
    for name in next(iter(measurements.values()))[1]:
        distances = [
            measured.mean_distance(predicted[name], **({} if weights is None else {"weights": weights[label]}))
            for label, (measured, predicted) in measurements.items()
        ]
        rows.append([PREDICTION_LABELS.get(name, name), *map(with_error, distances)])
    rows.append(["samples", *(measured.result().count for measured, _ in measurements.values())])
    return table(["distance to", *measurements], rows)


def with_error(estimate: Estimate) -> str:
    """Write an estimate of one number with two digits of its error.

    Args:
        estimate: of one number.

    Returns:
        Such as "0.43 ± 0.02".

    >>> with_error(Estimate(np.float64(0.4321), np.float64(0.0234), 10))
    '0.432 ± 0.023'
    """
    value, error = float(estimate.value), float(estimate.standard_error)
    digits = 0 if error >= 10 else max(0, 1 - int(np.floor(np.log10(error)))) if error > 1e-12 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"
