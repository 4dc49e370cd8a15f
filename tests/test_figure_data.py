"""The data behind each figure is what was stored: a library that changes a curve is noticed, a font is not."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import records

from chroma import plotting

ROOT = Path(__file__).parents[1]

STORED = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in records.REFERENCE.glob("*.json")}

# Mean absolute difference over the range of the values of a kind (all curves of one panel, all pictures of a figure).
# Where a network drew, roundings of another processor grow along a trajectory; elsewhere they do not.
DRAWN, EXACT = 0.03, 0.002


MEANT = (
    "the figure is not the stored one; if that is meant, look at it and at what is said of it, then `make reference`"
)


def kind(name: str) -> tuple[str, str]:
    """The panel of a series, and its axis or sort: "axes 1, curve 2, y" is y of axes 1."""
    return name.split(",")[0], name.rsplit(", ", 1)[1].split(" ")[0]


def difference(found: dict, stored: dict) -> float:
    """The largest mean absolute difference of a series, over the range of all numbers of its kind.

    Infinite where one has a number and the other has none.
    """
    worst = 0.0
    for name, values in stored.items():
        before, after = np.array(values), np.array(found[name])
        known = np.isfinite(before)
        if (np.isfinite(after) != known).any():
            return np.inf
        if not known.any():  # a curve that is there for the legend
            continue
        alike = np.concatenate([np.array(v) for other, v in stored.items() if kind(other) == kind(name)])
        span = np.ptp(alike[np.isfinite(alike)]) or 1.0
        worst = max(worst, float(np.abs(after - before)[known].mean()) / span)
    return worst


@pytest.mark.usefixtures("site")
def test_every_figure_of_the_book_has_its_data_stored_and_no_other_has():
    assert {n: page for n, (page, _) in records.glued(records.EXECUTED, "data").items()} == {
        name: stored["page"] for name, stored in STORED.items()
    }


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", sorted(STORED))
def test_the_data_behind_a_figure_are_those_stored(name):
    _, found = records.numbers(records.EXECUTED, "data")[name]
    _, made = records.glued(records.EXECUTED, "made")[name]
    stored = {key: values for key, values in STORED[name].items() if key != "page"}
    assert {key: len(v) for key, v in found.items()} == {key: len(v) for key, v in stored.items()}, MEANT
    assert difference(found, stored) < (EXACT if made.startswith("no network") else DRAWN), MEANT


def test_data_are_read_off_curves_pictures_strips_and_bars():
    figure, axes = plt.subplots(1, 4)
    axes[0].plot(np.arange(100), np.arange(100) ** 2)
    axes[1].imshow(np.arange(64.0).reshape(8, 8))
    axes[2].pcolormesh([0, 1, 2], [0, 1], [[0.25, 0.75]])
    axes[3].bar([0, 1], [1.0, 3.0], 1.0)
    found = plotting.data(figure)
    plt.close(figure)
    assert len(found["axes 0, curve 0, x"]) == 33
    assert (found["axes 0, curve 0, y"][0], found["axes 0, curve 0, y"][-1]) == (0, 99**2)
    assert found["axes 1, picture 0"][0] == np.mean([0, 1, 8, 9])
    assert found["axes 2, strip 0"] == [0.25, 0.75]
    assert found["axes 3, bars, x"] == [-0.5, 0.5, 0.5, 1.5]
    assert found["axes 3, bars, y"] == [0, 1, 0, 3]


def test_a_curve_that_moves_by_a_hundredth_of_its_panel_is_noticed():
    x = np.linspace(0, 1, 30)
    stored = {"axes 0, curve 0, x": list(x), "axes 0, curve 0, y": list(x**2)}
    moved = stored | {"axes 0, curve 0, y": list(x**2 + 0.01)}
    assert difference(stored, stored) == 0
    assert EXACT < difference(moved, stored) == pytest.approx(0.01)
    lost = stored | {"axes 0, curve 0, y": [float("nan")] * 30}
    assert difference(lost, stored) == np.inf
