"""Figure functions return figures and leave none open; colours differ from the page and from each other."""

from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from chroma import plotting
from chroma.estimates import Estimate
from chroma.notebook.figures import figure_data, smallest_text
from chroma.notebook.tables import table
from chroma.palette import COLOURS, level_colour, level_name, resolution_colour
from chroma.schedulers.atlas import chart

matplotlib.use("agg")

rng = np.random.default_rng(0)
image = rng.uniform(-1, 1, (3, 8, 8))
x = np.linspace(0, 1, 50)
shares = np.full((4, 50), 0.25)


def measured(shape):
    return Estimate(rng.uniform(0.1, 0.4, shape), np.full(shape, 0.02), 9)


FIGURES = {
    "idea": lambda: plotting.idea([image, image[:, ::2, ::2]], [0.8, 0.6], image),
    "trajectory": lambda: plotting.trajectory(
        {"x": [image] * 9, "difference": [None] + [image] * 8}, [f"{z:.1f}" for z in np.linspace(-9, 5, 9)]
    ),
    "many rows": lambda: plotting.trajectory(
        {f"flat and crisp\ndrawing {i}": [image] * 8 for i in range(5)}, ["red\napple"] * 8
    ),
    "change_spectra": lambda: plotting.change_spectra(
        dict.fromkeys(("photos-32", "Gaussian data, exact"), (measured((2, 16)), ["−9 … −6", "−6 … −3"]))
    ),
    "matched_times": lambda: plotting.matched_times(
        {"x": [image, image], "Dx": [image, image]}, {"x": ["1", "2"], "Dx": ["3", "4"]}, ((0, 0), (1, 1))
    ),
    "adjusted_times": lambda: plotting.adjusted_times(x, shares, shares, 8),
    "measured chromatogram": lambda: plotting.chromatogram(x, {"a": measured((4, 50))}, 8, shares[:, 0], "log-SNR"),
    "gallery": lambda: plotting.gallery(
        x, {f"an oil painting of\n{subject}": (image, shares) for subject in ("an owl", "a cat", "the moon")}, 8
    ),
    "distances": lambda: plotting.distance_curves(
        x,
        dict.fromkeys(
            ("drawings, noised", "sampling, scale 1", "sampling, scale 4"),
            dict.fromkeys(("guidance_power", "paper", "band_variance", "white_noise"), x),
        ),
        "log-SNR   (noise ← → image)",
    ),
    "shares_by_band": lambda: plotting.shares_by_band(
        x, dict.fromkeys(("style", "subject", "both"), (measured((4, 50)), shares)), 8
    ),
    "resolved_fractions": lambda: plotting.resolved_fractions(
        x, dict.fromkeys(("exact", "held-out photographs, network", "drawings"), (measured((4, 50)), shares)), 8
    ),
    "switching": lambda: plotting.switching_grid(
        dict.fromkeys(("owl", "lion"), [image] * 11), np.linspace(1, 0, 11).round(1), x, shares, 8
    ),
    "commitments": lambda: plotting.commitments(
        x,
        dict.fromkeys("ab", measured((4, 50))),
        8,
        "time of the switch, η",
        "distance over that between both pictures",
    ),
    "weights": lambda: plotting.weight_curves(x, {"step": x, "ramp": x}, {"8×8": 0.5}),
    "atlas_chart": lambda: plotting.atlas_chart({"a": chart("if", 5), "b": chart("sd3", 5)}),
    "step_ruler": lambda: plotting.step_ruler(
        dict.fromkeys((4, 8), (-4.0, -2.0, 0.0)), {"SDXL, 30 steps": x, "FLUX.1 dev, 28 steps": x}
    ),
    "regrets": lambda: plotting.regrets(
        {"uniform in log-SNR, −8 to 6": {4: 1.0, 8: 2.0}, "simple diffusion at 256": {4: 3.0, 8: 1.5}}, ["b"]
    ),
    "band_variances": lambda: plotting.band_variances(dict.fromkeys(("photographs", "line drawings"), measured(4)), 8),
    "chromatogram": lambda: plotting.chromatogram(x, {"a": shares, "b": shares}, 8, shares[:, 0]),
    "three chromatograms": lambda: plotting.chromatogram(
        x, dict.fromkeys(("measured", "Wiener filter", "the paper's $r_m$, unit variance"), shares), 8, shares[:, 0]
    ),
    "half_points": lambda: plotting.half_points({"slope 2.0": measured(4)}, {"slope 2.0": np.arange(4)}, 8),
    "collapses": lambda: plotting.collapses(
        [16, 256], [Estimate(np.float64(-5), np.float64(0.1), 9)] * 2, [-5.0, -4.0]
    ),
    "theorem": lambda: plotting.theorem(dict.fromkeys("abc", (x, x)), dict.fromkeys("abc", shares), 8),
    "cascade_parts": lambda: plotting.cascade_parts(
        {f"log-SNR {z}": [image] * 5 for z in (-6.2, -3.0, 0.6)}, ["$x_t$", "b", "c", "d", "e"], {1: "#ff0000"}
    ),
    "ablations": lambda: plotting.ablations(
        {clamp: dict.fromkeys(("both", "without τ", "without λ"), [image] * 4) for clamp in ("threshold", "none")}
    ),
    "thresholds": lambda: plotting.thresholds(
        {"no threshold (half contrast)": image, "ordinary clamp": image, "level by level": image},
        dict.fromkeys(("no threshold", "ordinary clamp", "level by level"), x),
    ),
}


def test_every_figure_function_of_the_package_is_tried():
    parts = {"heat_map", "level_name", "phone_layout", "to_pixels"}
    tried = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in plotting.__all__ if f"plotting.{name}(" not in tried and name not in parts] == []


# CSS pixels: the narrowest that a page shows a figure beside its menus, and a figure on a phone of 360 pixels
SHOWN = {"page": 600, "phone": 312}
LEGIBLE = 9


def in_layout(name, layout):
    figure = FIGURES[name]()
    return figure if layout == "page" else plotting.phone_layout(figure)


@pytest.mark.parametrize("layout", SHOWN)
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_of_a_figure_is_shown_smaller_than_nine_pixels(name, layout):
    assert smallest_text(in_layout(name, layout)) * SHOWN[layout] >= LEGIBLE


def test_a_phone_shows_the_same_data_in_panels_below_one_another():
    for name in ("chromatogram", "adjusted_times", "atlas_chart"):
        page, phone = (figure_data(in_layout(name, layout)) for layout in SHOWN)
        assert sorted(map(repr, page.values())) == sorted(map(repr, phone.values())), name
        assert len({round(ax.get_position().x1, 2) for ax in in_layout(name, "phone").axes}) == 1


@pytest.mark.parametrize("name", FIGURES)
def test_every_function_returns_a_figure_and_leaves_none_open(name):
    before = plt.get_fignums()
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert plt.get_fignums() == before
    assert np.frombuffer(FigureCanvasAgg(figure).print_to_buffer()[0], np.uint8).std() > 0


def test_time_runs_from_noise_on_the_left_to_the_image_on_the_right():
    for name in ("adjusted_times", "chromatogram"):
        left, right = FIGURES[name]().axes[0].get_xlim()
        assert left > right


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_every_curve_and_every_row_of_the_chromatogram_has_a_label_and_the_finest_level_is_on_top():
    curves, _, heat_map, _ = FIGURES["chromatogram"]().axes
    assert texts(curves) == ["8×8", "4×4", "2×2", "1×1"]
    assert [label.get_text() for label in heat_map.get_yticklabels()] == texts(curves)
    bottom, top = heat_map.get_ylim()
    assert bottom > top  # level 0 is the upper row


def test_labels_that_would_overlap_are_stacked():
    heights = [text.get_position()[1] for text in FIGURES["chromatogram"]().axes[0].texts]
    assert np.diff(sorted(heights)).min() > 0.05  # of the axes: a line of text


def test_the_averaged_image_has_a_yellow_frame_and_its_match_a_green_one_as_in_the_paper():
    axes = np.array(FIGURES["matched_times"]().axes).reshape(2, 2)
    red, green, blue, _ = axes[0, 0].spines["left"].get_edgecolor()
    assert min(red, green) > 2 * blue
    red, green, blue, _ = axes[1, 1].spines["left"].get_edgecolor()
    assert green > 2 * red
    assert not axes[0, 1].spines["left"].get_visible()


def test_pixels_outside_the_range_are_clipped():
    assert plotting.to_pixels(np.full((3, 2, 2), 5.0)).max() == 1
    np.testing.assert_allclose(plotting.to_pixels(np.zeros((3, 2, 2))), 0.5)


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("page", ["#ffffff", "#121212"])
def test_colours_of_resolutions_have_a_contrast_of_three_to_one_on_light_and_dark_pages(colour, page):
    # WCAG 2.1, 1.4.11: graphical objects
    high, low = sorted((luminance(colour), luminance(page)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3


def test_labels_of_levels_are_resolutions():
    assert [level_name(64, m) for m in range(3)] == ["64×64", "32×32", "16×16"]
    assert level_name(256, 1, factor=4) == "64×64"


def test_a_resolution_has_the_same_colour_in_images_of_any_size():
    assert level_colour(64, 1) == level_colour(32, 0) == level_colour(128, 1, factor=4) == resolution_colour(32)
    assert len({resolution_colour(2**k) for k in range(9)}) == 9


@pytest.mark.parametrize("finer", range(8))
def test_neighbouring_resolutions_differ_in_grey(finer):
    """By half as much again in luminance, so that curves side by side do without hue."""
    light = sorted(luminance(colour) + 0.05 for colour in (COLOURS[finer], COLOURS[finer + 1]))
    assert light[1] / light[0] > 1.5


def test_a_table_has_one_line_per_row_and_four_digits():
    assert table(["a", "b"], [["x", 1 / 3]]).data.splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x | 0.3333 |",
    ]
