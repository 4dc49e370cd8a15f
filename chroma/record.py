"""What a page of the book puts on record: what made each figure, the data behind it, and the claims it measured.

Records travel inside the executed notebook (as MyST-NB's glue), from where the build takes them: the line below a
figure, the page of claims, and the tests that compare a figure's data and a claim's value with stored ones.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from chroma._check import refuse
from chroma.settings import SETTINGS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_started = time.perf_counter()


def made(
    name: str,
    models: Mapping[str, object] | None = None,
    seed: int | str | None = None,
    samples: int | None = None,
) -> None:
    """Put on record what made the figure or table `name`: models, device, seed, samples, and the time since the last.

    models: {name: diffusers pipeline}; none for what is computed without a network. seed: a number, or words where
    there are several.
    """
    global _started
    from myst_nb import glue

    if models:
        from chroma.models import fingerprint

        networks = ", ".join(f"{called} (weights {fingerprint(pipe)})" for called, pipe in models.items())
        parts = [networks, f"{SETTINGS.device}, {SETTINGS.dtype}"]
    else:
        parts = ["no network"]
    parts += ["nothing random" if seed is None else f"seed {seed}"]
    parts += [] if samples is None else [f"{samples:,} {'sample' if samples == 1 else 'samples'}"]
    now = time.perf_counter()
    glue(f"made {name}", f"{'; '.join(parts)}; {max(now - _started, 0.1):.1f} s", display=False)
    _started = now


def figure(
    name: str,
    drawn: Figure,
    models: Mapping[str, object] | None = None,
    seed: int | str | None = None,
    samples: int | None = None,
) -> None:
    """Glue a Matplotlib figure for the page to show, the data behind it, and what made it (as `made`).

    In a notebook that is run by hand the figure is shown at once; while the book is built (which sets BUILDING_BOOK)
    the page says where it stands.
    """
    from myst_nb import glue

    from chroma.plotting import data

    glue(name, drawn, display="BUILDING_BOOK" not in os.environ)
    glue(f"data {name}", json.dumps(data(drawn)), display=False)
    made(name, models, seed, samples)


def claim(name: str, value, stderr: float | None = None, count: int | None = None) -> None:
    """Put on record the value that a page found for the claim `name` of book/claims.yml.

    value: a number, or a `chroma.measure.Estimate` of one, which brings its standard error and count along. Raises
    ValueError for a value that is not finite.
    """
    from myst_nb import glue

    if hasattr(value, "standard_error"):
        value, stderr, count = value.value, value.standard_error, value.count
    if not np.isfinite(float(value)):
        raise refuse("value", value, f"a finite number, for the claim {name}")
    numbers = {
        "value": float(value),
        "stderr": stderr if stderr is None else float(stderr),
        "count": count if count is None else int(count),
    }
    glue(f"claim {name}", json.dumps(numbers), display=False)
