"""The numbers behind a figure, so that a redrawn one can be compared with one that was stored."""

from __future__ import annotations

import numpy as np
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

POINTS = 33  # of a curve are kept, evenly spaced
PATCHES = 4  # x 4 means of a picture are kept


def data(figure: Figure) -> dict[str, list[float]]:
    """{what: numbers} of every curve, picture, heat map and bar of a Matplotlib figure, to five digits."""
    found = {}
    for i, ax in enumerate(figure.axes):
        for j, line in enumerate(ax.lines):
            x, y = np.asarray(line.get_xydata(), dtype=float).T
            found |= {f"axes {i}, curve {j}, x": _some(x), f"axes {i}, curve {j}, y": _some(y)}
        for j, image in enumerate(ax.images):
            found[f"axes {i}, picture {j}"] = _patches(np.asarray(image.get_array(), dtype=float))
        meshes = (mesh for mesh in ax.collections if isinstance(mesh, QuadMesh))
        for j, mesh in enumerate(meshes):
            found[f"axes {i}, strip {j}"] = _some(np.asarray(mesh.get_array(), dtype=float).ravel())
        if ax.patches:
            corners = [patch.get_extents().transformed(ax.transData.inverted()).extents for patch in ax.patches]
            found |= {f"axes {i}, bars, {name}": np.array(corners)[:, j::2] for j, name in enumerate("xy")}
    return {name: [float(f"{value:.5g}") for value in np.ravel(values)] for name, values in found.items()}


def _some(values: np.ndarray) -> np.ndarray:
    """At most POINTS of the values, evenly spaced, both ends among them."""
    return values[np.linspace(0, len(values) - 1, min(POINTS, len(values))).round().astype(int)]


def _patches(picture: np.ndarray) -> np.ndarray:
    """Means over 4 x 4 patches of a picture, (H, W, ...)."""
    for axis in (0, 1):
        parts = np.array_split(picture, min(PATCHES, picture.shape[axis]), axis)
        picture = np.concatenate([part.mean(axis, keepdims=True) for part in parts], axis)
    return picture
