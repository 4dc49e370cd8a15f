"""The numbers behind a figure, so that a figure that is plotted anew can be compared with a stored one."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.text import Text

POINTS = 33  # of a curve are stored, evenly spaced
PATCHES = 4  # x 4 means of an image are stored


def figure_data(figure: Figure) -> dict[str, list[float]]:
    """Extract the numbers of every curve, image, heat map and bar of a Matplotlib figure.

    Args:
        figure: any figure.

    Returns:
        Name of the series -> its numbers, to five digits. A curve and a row of a heat map have at most 33 points, an
        image has 4 x 4 means, and bars have their corners in the coordinates of the axes.

    >>> ax = Figure().subplots()
    >>> curve = ax.plot([0.0, 1.0], [2.0, 1 / 3])
    >>> figure_data(ax.figure)
    {'axes 0, curve 0, x': [0.0, 1.0], 'axes 0, curve 0, y': [2.0, 0.33333]}
    """
    series: dict[str, np.ndarray] = {}
    for i, ax in enumerate(figure.axes):
        series |= {f"axes {i}, {name}": values for name, values in _axes_data(ax).items()}
    return {name: [float(f"{value:.5g}") for value in np.ravel(values)] for name, values in series.items()}


def smallest_text(figure: Figure) -> float:
    """Measure the smallest print of a figure: its height over the width of the picture that a page shows.

    Args:
        figure: any figure.

    Returns:
        The font size of the smallest text that can be seen, over the width of the saved picture. Shown 600 pixels wide,
        the text is 600 times this size. The indices of formulas are not counted.

    >>> figure = Figure(figsize=(6, 3), layout="constrained")
    >>> title = figure.subplots().set_title("a title", fontsize=20)
    >>> round(600 * smallest_text(figure))  # labels of the axes: 10 points, 600 / 6 / 72 pixels each
    14
    """
    figure.draw_without_rendering()
    saved = figure.get_tightbbox().width + 2 * float(plt.rcParams["savefig.pad_inches"])
    seen = (text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_visible())
    return min(float(text.get_fontsize()) for text in seen if text.get_text().strip()) / 72 / float(saved)


def _axes_data(ax: Axes) -> dict[str, np.ndarray]:
    """The numbers of one panel. A row of a heat map is a "strip" in the stored data."""
    series: dict[str, np.ndarray] = {}
    for j, line in enumerate(ax.lines):
        x, y = np.asarray(line.get_xydata(), dtype=float).T
        series |= {f"curve {j}, x": _thinned(x), f"curve {j}, y": _thinned(y)}
    for j, image in enumerate(ax.images):
        series[f"picture {j}"] = _patch_means(np.asarray(image.get_array(), dtype=float))
    meshes = (mesh for mesh in ax.collections if isinstance(mesh, QuadMesh))
    for j, mesh in enumerate(meshes):
        series[f"strip {j}"] = _thinned(np.asarray(mesh.get_array(), dtype=float).ravel())
    if ax.patches:
        to_axes = ax.transData.inverted()
        corners = np.array([patch.get_extents().transformed(to_axes).extents for patch in ax.patches])
        series |= {f"bars, {name}": corners[:, j::2] for j, name in enumerate("xy")}
    return series


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most POINTS of the values, evenly spaced, with both ends."""
    return values[np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int)]


def _patch_means(image: np.ndarray) -> np.ndarray:
    """Means over 4 x 4 patches of an image, (H, W, ...)."""
    for axis in (0, 1):
        patches = np.array_split(image, min(PATCHES, image.shape[axis]), axis)
        image = np.concatenate([patch.mean(axis, keepdims=True) for patch in patches], axis)
    return image
