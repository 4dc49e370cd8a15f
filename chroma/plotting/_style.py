"""The book's style, and the parts that several figures are made of."""

from __future__ import annotations

import functools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure

from chroma.palette import level_colour, level_name

STYLE = {
    "figure.dpi": 128,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


def _figure(draw):
    """Draw in the book's style, and hand over a figure that no pyplot state holds on to."""

    @functools.wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return styled


def ink(colour: str) -> tuple[float, ...]:
    """A darker shade of a colour, for small print on white."""
    return tuple(0.72 * channel for channel in to_rgb(colour))


def _width(panels) -> float:
    """Inches for panels side by side: no wider than a page can show without small print."""
    return float(np.clip(4.4 * len(panels), 6.6, 9.8))


def pixels(x) -> np.ndarray:
    """An image (3, H, W) in [-1, 1], array or tensor, as (H, W, 3) in [0, 1]; what is outside is clipped."""
    return np.clip((np.asarray(x, dtype=np.float64).transpose(1, 2, 0) + 1) / 2, 0, 1)


def _picture(ax, x, title: str = "", edge: str | None = None):
    ax.imshow(pixels(x))
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title, loc="center", fontsize=9)
    ax.spines[:].set_visible(edge is not None)
    ax.spines[:].set(color=edge, linewidth=3)


def _label_curves(ax, x, curves: dict[int, np.ndarray], size: int):
    """The name of each level at the peak of its curve, in its colour; finest first, higher where there is no room."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    placed = []
    for level, curve in curves.items():
        top = int(np.argmax(curve))
        along = float(np.clip((x[top] - left) / (right - left), 0.045, 0.955))  # of the axes, from the left
        up = (curve[top] - low) / (high - low) + 0.012
        while any(abs(along - a) < 0.095 and abs(up - b) < 0.055 for a, b in placed):
            up += 0.01
        placed.append((along, up))
        style = {"color": ink(level_colour(size, level)), "fontsize": 8.5, "fontweight": "bold"}
        ax.text(along, up, level_name(size, level), transform=ax.transAxes, ha="center", va="bottom", **style)


def _with_errors(given) -> tuple[np.ndarray, np.ndarray]:
    """Value and standard error of an Estimate; of an array, itself and zeros."""
    if hasattr(given, "standard_error"):
        return given.value, given.standard_error
    return np.asarray(given), np.zeros(np.shape(given))


def _curve(ax, x, value, error, colour, **style):
    """A curve, and a band of two standard errors to either side where there are any."""
    ax.plot(x, value, color=colour, **style)
    if error.any():
        ax.fill_between(x, value - 2 * error, value + 2 * error, color=colour, alpha=0.25, linewidth=0)


def heat_map(ax, x: np.ndarray, shares: np.ndarray, size: int):
    """Rows of `shares` (levels, len(x)) as strips of their level's colour, pale where it is small; finest on top."""
    step = np.gradient(x)
    edges = np.append(x - step / 2, x[-1] + step[-1] / 2)
    for level, row in enumerate(shares):
        ramp = LinearSegmentedColormap.from_list("level", ["white", level_colour(size, level)])
        ax.pcolormesh(edges, [level - 0.5, level + 0.5], row[None], cmap=ramp, vmin=0, vmax=1, rasterized=True)
    ax.set(yticks=range(len(shares)), yticklabels=[level_name(size, level) for level in range(len(shares))])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.grid(False)
    for level, label in enumerate(ax.get_yticklabels()):
        label.set_color(ink(level_colour(size, level)))
    ax.spines[:].set_visible(False)
