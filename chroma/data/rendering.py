"""Photographs rendered as oil paintings and pencil drawings, by image filters alone.

Images are (3, H, W) floats in [0, 1]; the widths are in pixels and chosen for images of 128 x 128.
"""

from __future__ import annotations

import numpy as np

BRUSH = 5  # side of the windows of the brush
STROKES = 2  # passes of the brush
BLUR = 4.0  # standard deviation of the blur by which a pencil drawing is divided


def oil_painting(image: np.ndarray) -> np.ndarray:
    """Render an image as an oil painting: flat strokes between sharp edges, saturated colours.

    Args:
        image: (3, H, W) floats in [0, 1].

    Returns:
        (3, H, W) float64 in [0, 1].

    >>> grey = np.full((3, 16, 16), 0.5)
    >>> bool(np.allclose(oil_painting(grey), grey))
    True
    """
    painted = np.asarray(image, float)
    for _ in range(STROKES):
        painted = _kuwahara(painted, BRUSH)
    painted = np.clip(painted.mean() + 1.15 * (painted - painted.mean()), 0, 1)
    luminance = painted.mean(0, keepdims=True)
    return np.clip(luminance + 1.5 * (painted - luminance), 0, 1)


def pencil_drawing(image: np.ndarray) -> np.ndarray:
    """Render an image as a pencil drawing: dark where it is darker than its surroundings, white elsewhere.

    Args:
        image: (3, H, W) floats in [0, 1].

    Returns:
        (3, H, W) float64 in [0, 1], with three equal channels.

    >>> drawing = pencil_drawing(np.full((3, 16, 16), 0.5))
    >>> drawing.shape, float(drawing.min().round(6))
    ((3, 16, 16), 1.0)
    """
    luminance = np.asarray(image, float).mean(0)
    # the small number keeps black surroundings from dividing by zero
    ratio = np.clip((luminance + 0.01) / (_blurred(luminance, BLUR) + 0.01), 0, 1)
    return np.repeat(ratio[None] ** 3, 3, axis=0)


def _kuwahara(image: np.ndarray, side: int) -> np.ndarray:
    """Replace each pixel by the mean of one of its four corner windows, the one whose brightness varies least."""
    reach = side - 1
    padded = np.pad(image, [(0, 0), (reach, reach), (reach, reach)], mode="reflect")
    brightness = padded.mean(0, keepdims=True)
    mean, square, colour = (_window_means(a, side) for a in (brightness, brightness**2, padded))
    variance = (square - mean**2)[0]
    height, width = image.shape[1:]
    corners = [(top, left) for top in (0, reach) for left in (0, reach)]
    best = np.stack([variance[top : top + height, left : left + width] for top, left in corners]).argmin(0)
    means = np.stack([colour[:, top : top + height, left : left + width] for top, left in corners])
    return np.take_along_axis(means, best[None, None], axis=0)[0]


def _window_means(image: np.ndarray, side: int) -> np.ndarray:
    """Average over all side x side windows by an integral image, (C, H - side + 1, W - side + 1)."""
    sums = np.pad(image, [(0, 0), (1, 0), (1, 0)]).cumsum(1).cumsum(2)
    return (sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]) / side**2


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an (H, W) image by a Gaussian that is cut off at three standard deviations."""
    reach = int(3 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    padded = np.pad(image, reach, mode="symmetric")
    for axis in (0, 1):
        windows = np.lib.stride_tricks.sliding_window_view(padded, len(weights), axis)
        padded = windows @ weights
    return padded
