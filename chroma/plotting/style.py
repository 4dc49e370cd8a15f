"""The style of all figures, and the parts that several figures share.

The functions that take ``ax`` add to an existing panel, so that figures of your own can use them::

    from matplotlib.figure import Figure

    ax = Figure().subplots()
    heat_map(ax, t, shares, size=64)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, ParamSpec
from weakref import WeakKeyDictionary

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from chroma.estimates import Estimate
from chroma.palette import level_colour, level_name

P = ParamSpec("P")

# A figure is plotted as wide as a page shows it, so that its text keeps its size. In inches:
WIDTH = 7.2
PHONE_WIDTH = 3.8

STYLE: dict[Any, Any] = {
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "image.interpolation": "nearest",
}

_on_phone: ContextVar[bool] = ContextVar("on_phone", default=False)
_plot_again: WeakKeyDictionary[Figure, Callable[[], Figure]] = WeakKeyDictionary()


def styled(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Decorate a figure function: it plots in `STYLE` and returns a figure that pyplot does not keep open.

    `phone_layout` can plot the figure again for a narrow screen.

    Args:
        plot: a function that makes a figure with pyplot.

    Returns:
        The decorated function.

    >>> figure = styled(lambda: plt.subplots()[0])()
    >>> type(figure).__name__, plt.get_fignums()
    ('Figure', [])
    """

    @functools.wraps(plot)
    def plot_in_style(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = plot(*args, **kwargs)
        plt.close(figure)
        _plot_again[figure] = lambda: plot_in_style(*args, **kwargs)
        return figure

    return plot_in_style


def phone_layout(figure: Figure) -> Figure | None:
    """Plot a figure again for a narrow screen: panels stand below one another, and the text keeps its size.

    Args:
        figure: as a function of `chroma.plotting` returned it.

    Returns:
        A figure of the same data, or None for a figure that no such function has plotted.

    >>> import chroma.plotting
    >>> curves = {"step": [0, 0, 1, 1]}
    >>> figure = phone_layout(chroma.plotting.weight_curves(np.arange(4.0), curves, {}))
    >>> float(figure.get_figwidth()) == PHONE_WIDTH
    True
    >>> phone_layout(Figure()) is None
    True
    """
    if figure not in _plot_again:
        return None
    token = _on_phone.set(True)
    try:
        return _plot_again[figure]()
    finally:
        _on_phone.reset(token)


def on_phone() -> bool:
    """Return whether `phone_layout` is plotting."""
    return _on_phone.get()


def ink(colour: str) -> tuple[float, float, float]:
    """Darken a colour, for small print on white.

    Args:
        colour: as Matplotlib takes it, such as "#1aa533".

    Returns:
        Red, green and blue, from 0 to 1.

    >>> [round(channel, 2) for channel in ink("#ffffff")]
    [0.72, 0.72, 0.72]
    """
    red, green, blue = to_rgb(colour)
    return 0.72 * red, 0.72 * green, 0.72 * blue


def to_pixels(image: npt.ArrayLike) -> np.ndarray:
    """Convert an image to what Matplotlib and Pillow show; values outside the range are clipped.

    Args:
        image: (3, H, W), in [-1, 1], an array or a tensor.

    Returns:
        The image, (H, W, 3), in [0, 1].

    >>> to_pixels(np.full((3, 1, 1), 0.5))
    array([[[0.75, 0.75, 0.75]]])
    """
    channels_last = np.asarray(image, dtype=np.float64).transpose(1, 2, 0)
    return np.clip((channels_last + 1) / 2, 0, 1)


def draw_picture(ax: Axes, image: npt.ArrayLike, title: str = "", edge: str | None = None) -> None:
    """Show an image in a panel without axes.

    Args:
        ax: the panel.
        image: (3, H, W), in [-1, 1], an array or a tensor.
        title: above the image.
        edge: the colour of its frame; None for no frame.

    >>> ax = Figure().subplots()
    >>> draw_picture(ax, np.zeros((3, 8, 8)), "grey")
    >>> len(ax.images), ax.get_title()
    (1, 'grey')
    """
    ax.imshow(to_pixels(image))
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title, loc="center", fontsize=9)
    ax.spines[:].set_visible(edge is not None)
    ax.spines[:].set(color=edge, linewidth=3)


def label_curves(ax: Axes, x: np.ndarray, curves: Mapping[int, np.ndarray], size: int) -> None:
    """Write the resolution of each level at the peak of its curve; labels that would overlap are stacked.

    Args:
        ax: the panel, with its final limits.
        x: the abscissae of the curves, (N,).
        curves: level -> its curve, (N,). The first label is placed first, and later ones move up.
        size: the side length of the images in pixels.

    >>> ax = Figure().subplots()
    >>> label_curves(ax, np.linspace(0, 1, 3), {0: np.array([0.0, 0.5, 0.0]), 1: np.array([0.0, 0.5, 0.0])}, size=8)
    >>> [text.get_text() for text in ax.texts]
    ['8×8', '4×4']
    """
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    wide, tall = _label_size(ax)
    placed: list[tuple[float, float]] = []
    for level, curve in curves.items():
        peak = int(np.argmax(curve))
        across = float(
            np.clip((x[peak] - left) / (right - left), wide / 2, 1 - wide / 2)
        )  # of the panel, from the left
        up = (curve[peak] - low) / (high - low) + 0.012
        while any(abs(across - a) < wide and abs(up - b) < tall for a, b in placed):
            up += 0.01
        placed.append((across, up))
        style: dict[str, Any] = {"color": ink(level_colour(size, level)), "fontsize": 8.5, "fontweight": "bold"}
        ax.text(across, up, level_name(size, level), transform=ax.transAxes, ha="center", va="bottom", **style)


def _label_size(ax: Axes) -> tuple[float, float]:
    """Width and height of a label such as "64×64", as fractions of a panel that has its place but no final size."""
    place, figure = ax.get_subplotspec(), ax.get_figure()
    columns, share = 1, 1.0
    if place is not None:
        grid = place.get_gridspec()
        heights = np.asarray(grid.get_height_ratios(), dtype=float)
        columns, share = grid.ncols, float(heights[place.rowspan.start] / heights.sum())
    width, height = figure.get_size_inches() if isinstance(figure, Figure) else (WIDTH, WIDTH / 2)
    return 0.5 * columns / (0.9 * width), 0.13 / (0.8 * share * height)


def with_errors(values: Estimate | npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Split values into numbers and standard errors; an array has errors of zero.

    Args:
        values: an estimate, or an array.

    Returns:
        The numbers and their standard errors, two arrays of the same shape.

    >>> with_errors([1.0, 2.0])
    (array([1., 2.]), array([0., 0.]))
    """
    if isinstance(values, Estimate):
        return values.value, values.standard_error
    return np.asarray(values), np.zeros(np.shape(values))


def draw_curve(ax: Axes, x: npt.ArrayLike, value: np.ndarray, error: np.ndarray, colour: str, **style: Any) -> None:
    """Plot a curve in a band of two standard errors to either side; errors of zero have no band.

    Args:
        ax: the panel.
        x: the abscissae, (N,).
        value: the ordinates, (N,).
        error: their standard errors, (N,).
        colour: of the curve and the band.
        **style: more arguments of ``Axes.plot``.

    >>> ax = Figure().subplots()
    >>> draw_curve(ax, [0, 1], np.array([0.0, 1.0]), np.array([0.1, 0.1]), "#2f86c4", label="measured")
    >>> len(ax.lines), len(ax.collections)
    (1, 1)
    """
    ax.plot(x, value, color=colour, **style)
    if error.any():
        ax.fill_between(x, value - 2 * error, value + 2 * error, color=colour, alpha=0.25, linewidth=0)


def heat_map(ax: Axes, x: np.ndarray, shares: np.ndarray, size: int) -> None:
    """Plot the shares as one row per level, from white (0) to the colour of the level (1); the finest level is on top.

    Args:
        ax: the panel.
        x: times or log-SNRs, in order, (N,).
        shares: r_m, (levels, N).
        size: the side length of the images in pixels.

    >>> ax = Figure().subplots()
    >>> heat_map(ax, np.linspace(0, 1, 5), np.full((2, 5), 0.5), size=8)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['8×8', '4×4']
    """
    step = np.gradient(x)
    edges = np.append(x - step / 2, x[-1] + step[-1] / 2)
    for level, row in enumerate(shares):
        ramp = LinearSegmentedColormap.from_list("level", ["white", level_colour(size, level)])
        ax.pcolormesh(edges, [level - 0.5, level + 0.5], row[None], cmap=ramp, vmin=0, vmax=1, rasterized=True)
    ax.set(yticks=range(len(shares)), yticklabels=[level_name(size, level) for level in range(len(shares))])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0, labelsize=8.5)
    ax.grid(False)
    for level, label in enumerate(ax.get_yticklabels()):
        label.set_color(ink(level_colour(size, level)))
    ax.spines[:].set_visible(False)
