"""Records of a page of the book: its figures, the data behind them, what made them, and its measured claims.

Records are stored in the executed notebook (with MyST-NB's `glue`), where the build of the book reads them. They become
the provenance below a figure and the values on the page of claims. Tests compare them with the stored data and values.

A page records a figure, a claim, and a claim of another work with::

    record.figure("figure-mine", figure, {"emoji-32": pipe}, seed=0, samples=64)
    record.claim("sec-4.2-mine", estimate)
    record.neighbour("speed-align", 0.0)
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chroma._check import invalid_argument
from chroma.estimates import Estimate
from chroma.notebook.settings import SETTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_last_record = time.perf_counter()


def made(
    name: str,
    models: Mapping[str, Any] | None = None,
    seed: int | str | None = None,
    samples: int | None = None,
) -> None:
    """Record what made a figure or a table: the models, the device, the seed, and the time since the last record.

    Args:
        name: of the figure or table.
        models: name -> diffusers pipeline; none for what is computed without a network.
        seed: a number, or words where there are several; None if nothing is random.
        samples: how many were generated.
    """
    global _last_record
    from myst_nb import glue

    if models:
        from chroma.models import Pipeline

        networks = ", ".join(f"{model} (weights {Pipeline(pipe).fingerprint})" for model, pipe in models.items())
        parts = [networks, f"{SETTINGS.device}, {SETTINGS.dtype}"]
    else:
        parts = ["no network"]
    parts += ["nothing random" if seed is None else f"seed {seed}"]
    parts += [] if samples is None else [f"{samples:,} {'sample' if samples == 1 else 'samples'}"]
    finished = time.perf_counter()
    glue(f"made {name}", f"{'; '.join(parts)}; {max(finished - _last_record, 0.1):.1f} s", display=False)
    _last_record = finished


def figure(
    name: str,
    plot: Figure,
    models: Mapping[str, Any] | None = None,
    seed: int | str | None = None,
    samples: int | None = None,
) -> None:
    """Record a figure, the numbers behind it (`chroma.notebook.figures.figure_data`), and what made it.

    In a notebook that is run by hand the figure is shown below its cell. While the book is built, which sets the
    environment variable BUILDING_BOOK, the page decides where it is shown, and a second layout is recorded for phones
    (`chroma.plotting.phone_layout`).

    Args:
        name: of the figure.
        plot: the Matplotlib figure.
        models: as in `made`.
        seed: as in `made`.
        samples: as in `made`.
    """
    from myst_nb import glue

    from chroma.notebook.figures import figure_data, smallest_text
    from chroma.plotting import phone_layout

    building = "BUILDING_BOOK" in os.environ
    glue(name, plot, display=not building)
    phone = phone_layout(plot) if building else None
    if phone is not None:
        glue(f"phone {name}", phone, display=False)
        print_sizes = {"page": smallest_text(plot), "phone": smallest_text(phone)}
        glue(f"print {name}", json.dumps(print_sizes), display=False)
    glue(f"data {name}", json.dumps(figure_data(plot)), display=False)
    made(name, models, seed, samples)


def claim(
    name: str, value: float | np.ndarray | Estimate, stderr: float | None = None, count: int | None = None
) -> None:
    """Record the value that a page measured for a claim of ``book/claims.yml``.

    Args:
        name: the id of the claim.
        value: a number, or an estimate of one, which includes its standard error and count.
        stderr: the standard error of a number, if it has one.
        count: the number of samples behind a number, if it has one.

    Raises:
        ValueError: for a value that is not finite.

    >>> claim("eq-17-order", float("nan"))
    Traceback (most recent call last):
    ...
    ValueError: value must be a finite number, for the claim eq-17-order; got nan
    """
    _number("claim", name, value, stderr, count)


def neighbour(
    name: str, value: float | np.ndarray | Estimate, stderr: float | None = None, count: int | None = None
) -> None:
    """Record the value that a page computed for a claim of another work, of ``book/neighbours.yml``.

    Args:
        name: the id of the claim.
        value: a number, or an estimate of one, which includes its standard error and count.
        stderr: the standard error of a number, if it has one.
        count: the number of samples behind a number, if it has one.

    Raises:
        ValueError: for a value that is not finite.

    >>> neighbour("speed-align", float("inf"))
    Traceback (most recent call last):
    ...
    ValueError: value must be a finite number, for the claim speed-align; got inf
    """
    _number("neighbour", name, value, stderr, count)


def _number(
    kind: str, name: str, value: float | np.ndarray | Estimate, stderr: float | None, count: int | None
) -> None:
    """Store a number with its standard error and count, under its kind and name."""
    if isinstance(value, Estimate):
        return _number(kind, name, float(value.value), float(value.standard_error), value.count)
    if not np.isfinite(float(value)):
        raise invalid_argument("value", value, f"a finite number, for the claim {name}")
    from myst_nb import glue

    numbers = {
        "value": float(value),
        "stderr": None if stderr is None else float(stderr),
        "count": None if count is None else int(count),
    }
    glue(f"{kind} {name}", json.dumps(numbers), display=False)
