"""Figures draw what they are given, leave nothing open, and their colours can be told from the page."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chroma import plotting
from chroma.palette import LEVELS, level_colour, level_name

matplotlib.use("agg")

rng = np.random.default_rng(0)
image = rng.uniform(-1, 1, (3, 8, 8))
x = np.linspace(0, 1, 50)
shares = np.full((4, 50), 0.25)
FIGURES = {
    "idea": lambda: plotting.idea([image, image[:, ::2, ::2]], [0.8, 0.6], image),
    "trajectory": lambda: plotting.trajectory({"x": [image, image], "change": [None, image]}, ["a", "b"]),
    "change_spectra": lambda: plotting.change_spectra({"noise": (rng.uniform(1, 2, (3, 20, 16)), ["a", "b", "c"])}),
    "matched_clocks": lambda: plotting.matched_clocks(
        {"x": [image, image], "Dx": [image, image]}, {"x": ["1", "2"], "Dx": ["3", "4"]}, ((0, 0), (1, 1))
    ),
    "adjusted_times": lambda: plotting.adjusted_times(x, shares, shares, 8),
    "chromatogram": lambda: plotting.chromatogram(x, {"a": shares, "b": shares}, 8, "time", shares[:, 0]),
    "theorem": lambda: plotting.theorem(dict.fromkeys("abc", (x, x)), dict.fromkeys("abc", shares), 8),
    "thresholds": lambda: plotting.thresholds({"a": image, "b": image}, dict.fromkeys("abc", x)),
    "band_powers": lambda: plotting.band_powers({"a": (x[1:5], x[1:5] / 10)}, 8),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_none_is_left_open(name):
    before = plt.get_fignums()
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == before
    assert np.frombuffer(FigureCanvasAgg(figure).print_to_buffer()[0], np.uint8).std() > 0


def test_time_runs_from_noise_on_the_left_to_the_image_on_the_right():
    for name in ("adjusted_times", "chromatogram"):
        left, right = FIGURES[name]().axes[0].get_xlim()
        assert left > right


def test_pixels_outside_the_range_are_clipped():
    assert plotting.pixels(np.full((3, 2, 2), 5.0)).max() == 1
    np.testing.assert_allclose(plotting.pixels(np.zeros((3, 2, 2))), 0.5)


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", LEVELS)
@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_level_colours_have_three_to_one_contrast_on_light_and_dark_pages(colour, page):
    # WCAG 2.1, 1.4.11: graphical objects
    high, low = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3


def test_levels_are_named_by_their_resolution():
    assert [level_name(64, m) for m in range(3)] == ["64×64", "32×32", "16×16"]
    assert level_name(256, 1, kernel=4) == "64×64"
    assert level_colour(0) == level_colour(len(LEVELS))


def test_a_table_has_a_row_a_line_and_four_digits():
    assert plotting.table(["a", "b"], [["x", 1 / 3]]).data.splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x | 0.3333 |",
    ]
