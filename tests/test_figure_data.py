"""The data behind each figure equals the stored data: a library that changes a curve is noticed, a font is not."""

from __future__ import annotations

import json
from functools import cache

import matplotlib.pyplot as plt
import numpy as np
import pytest
import records
import store_records

from chroma.notebook.figures import figure_data

STORED = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in store_records.REFERENCE.glob("*.json")}

# Mean absolute difference over the range of the values of a kind (all curves of one panel, all pictures of a figure).
# The roundings of another processor grow along a trajectory of a network; elsewhere they do not.
MAX_WITH_NETWORK, MAX_WITHOUT = 0.03, 0.002

ADVICE = "the figure differs from the stored one; if that is intended, check its page, then store it: `make reference`"


@cache
def recorded(kind: str):
    """The records of one kind in the book that was just built, by the name of the figure."""
    return records.glued(records.EXECUTED, kind)


def kind(name: str) -> tuple[str, str]:
    """The panel of a series, and its axis or type: "axes 1, curve 2, y" is y of axes 1."""
    return name.split(",")[0], name.rsplit(", ", 1)[1].split(" ")[0]


def difference(new: dict, stored: dict) -> float:
    """The largest mean absolute difference of a series, over the range of all numbers of its kind.

    Infinite where one has a number and the other has none.
    """
    worst = 0.0
    for name, values in stored.items():
        before, after = np.array(values), np.array(new[name])
        finite = np.isfinite(before)
        if (np.isfinite(after) != finite).any():
            return np.inf
        if not finite.any():  # a curve that is there for the legend
            continue
        same_kind = np.concatenate([np.array(v) for other, v in stored.items() if kind(other) == kind(name)])
        span = np.ptp(same_kind[np.isfinite(same_kind)]) or 1.0
        worst = max(worst, float(np.abs(after - before)[finite].mean()) / span)
    return worst


@pytest.mark.usefixtures("site")
def test_every_figure_of_the_book_has_its_data_stored_and_no_other_has():
    pages = {name: page for name, (page, _) in recorded("data").items()}
    assert pages == {name: stored["page"] for name, stored in STORED.items()}


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", sorted(STORED))
def test_the_data_behind_a_figure_are_those_stored(name):
    new, (_, made) = json.loads(recorded("data")[name][1]), recorded("made")[name]
    stored = {key: values for key, values in STORED[name].items() if key != "page"}
    assert {key: len(v) for key, v in new.items()} == {key: len(v) for key, v in stored.items()}, ADVICE
    assert difference(new, stored) < (MAX_WITHOUT if made.startswith("no network") else MAX_WITH_NETWORK), ADVICE


def test_data_are_read_off_curves_pictures_strips_and_bars():
    figure, axes = plt.subplots(1, 4)
    axes[0].plot(np.arange(100), np.arange(100) ** 2)
    axes[1].imshow(np.arange(64.0).reshape(8, 8))
    axes[2].pcolormesh([0, 1, 2], [0, 1], [[0.25, 0.75]])
    axes[3].bar([0, 1], [1.0, 3.0], 1.0)
    data = figure_data(figure)
    plt.close(figure)
    assert len(data["axes 0, curve 0, x"]) == 33
    assert (data["axes 0, curve 0, y"][0], data["axes 0, curve 0, y"][-1]) == (0, 99**2)
    assert data["axes 1, picture 0"][0] == np.mean([0, 1, 8, 9])
    assert data["axes 2, strip 0"] == [0.25, 0.75]
    assert data["axes 3, bars, x"] == [-0.5, 0.5, 0.5, 1.5]
    assert data["axes 3, bars, y"] == [0, 1, 0, 3]


def test_a_curve_that_moves_by_a_hundredth_of_its_panel_is_noticed():
    x = np.linspace(0, 1, 30)
    stored = {"axes 0, curve 0, x": list(x), "axes 0, curve 0, y": list(x**2)}
    moved = stored | {"axes 0, curve 0, y": list(x**2 + 0.01)}
    assert difference(stored, stored) == 0
    assert MAX_WITHOUT < difference(moved, stored) == pytest.approx(0.01)
    lost = stored | {"axes 0, curve 0, y": [float("nan")] * 30}
    assert difference(lost, stored) == np.inf
