r"""Dead leaves: images of discs that cover one another, with a spectrum that is known in closed form.

Discs with random centres, radii and colours fall on a plane until nothing of it is left to see. Edges and occlusion
make the images as little Gaussian as photographs are; yet their band variances follow from the radii alone (Lee,
Mumford and Huang 2001, "Occlusion models for natural images"). There are as many images as anyone wants, so no network
can memorise them.

The density of the radii is :math:`p(r) \propto r^{-a}` between a quarter of a pixel and 16 sides of the image. Two
points at distance d lie on the same disc, and have the same colour, with probability

.. math:: C(d) = \frac{\gamma(d)}{2 \gamma(0) - \gamma(d)}

where :math:`\gamma(d)` is the mean area in which a disc and its copy, moved by d, overlap; otherwise their colours are
independent. Larger exponents a make more small discs and a flatter spectrum.
"""

from __future__ import annotations

import functools

import numpy as np

from chroma._check import check_finite, check_int, invalid_argument
from chroma.pyramid import downsample, resolutions

COLOUR_VARIANCE = 1 / 3  # of colours that are uniform in [-1, 1]
EXPONENTS = (0.5, 6.0)  # of the radii, between which one is sought for a slope
RADII = (
    0.25,
    16.0,
)  # the smallest in pixels, the largest in sides of the image
SUPERSAMPLING = 2  # edges are sharp in an image of twice the size, of which 2 x 2 means are taken


def dead_leaves(size: int = 32, count: int = 1000, slope: float = 2.0, seed: int = 0) -> np.ndarray:
    r"""Generate dead leaves whose band variances grow as :math:`V_m \propto 2^{m\,\mathrm{slope}}`.

    Args:
        size: the side of the images in pixels, a power of 2, at least 8.
        count: their number; image j does not depend on how many follow.
        slope: of the power spectrum, :math:`|k|^{-\mathrm{slope}}`, as its band variances have it: 2.3 for the bundled
            photographs, more for smoother images. (`chroma.spectra.radial_psd` falls by up to 0.2 more, as a pixel is a
            mean over its square.)
        seed: of everything random.

    Returns:
        The images, (count, 3, size, size) float16 in [-1, 1].

    Raises:
        ValueError: for a size that is no power of 2, and a slope that discs cannot have.

    >>> images = dead_leaves(size=16, count=2, slope=2.0)
    >>> images.shape, bool((dead_leaves(size=16, count=1) == images[:1]).all())
    ((2, 3, 16, 16), True)
    """
    check_int("count", count, 1), check_int("seed", seed, 0)
    exponent = _exponent(_checked_size(size), slope)
    images = np.empty((count, 3, size, size), np.float16)
    for j in range(count):
        images[j] = _render(size, exponent, np.random.default_rng([seed, j]))
    return images


def dead_leaves_variance(size: int, slope: float) -> np.ndarray:
    """Compute the band variances V_m of dead leaves, in closed form.

    Args:
        size: the side of the images in pixels, a power of 2, at least 8.
        slope: of the power spectrum.

    Returns:
        V_m, finest first, (levels,).

    Raises:
        ValueError: for a size that is no power of 2, and a slope that discs cannot have.

    >>> variance = dead_leaves_variance(32, slope=2.0)
    >>> (variance[:-1] / 4.0 ** np.arange(5)).round(3)  # 1/f^2: V_m is proportional to 4^m, but for the mean
    array([0.042, 0.04 , 0.041, 0.041, 0.042])
    """
    return _band_variance(_checked_size(size), _exponent(size, slope))


def _checked_size(size: int) -> int:
    if check_int("size", size, 8) & (size - 1):
        raise invalid_argument("size", size, "a power of 2")
    return size


def spectral_slope(variance: np.ndarray) -> float:
    """Fit the slope of a power spectrum to its band variances, the mean of the image left out.

    Args:
        variance: V_m, finest first, (levels,).

    Returns:
        The slope, which is 2 where V_m grows as 4^m.

    >>> round(spectral_slope(4.0 ** np.arange(6)), 6)
    2.0
    """
    bands = np.asarray(variance)[:-1]
    return float(np.polyfit(np.arange(len(bands)), np.log2(bands), 1)[0])


@functools.cache
def _exponent(size: int, slope: float) -> float:
    """Find the exponent of the radii that gives a slope, by bisection: the slope falls as the exponent grows."""
    low, high = EXPONENTS
    flattest, steepest = (spectral_slope(_band_variance(size, exponent)) for exponent in (high, low))
    if not flattest < check_finite("slope", slope) < steepest:
        raise invalid_argument("slope", slope, f"between {flattest:.2f} and {steepest:.2f} at {size} x {size} pixels")
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if spectral_slope(_band_variance(size, middle)) > slope else (low, middle)
    return low


@functools.cache
def _band_variance(size: int, exponent: float) -> np.ndarray:
    side = size * SUPERSAMPLING
    offsets = np.arange(side)
    same_disc = _covariance(np.hypot(offsets[:, None], offsets) / SUPERSAMPLING, size, exponent)
    # variances of the means over squares, by their pairs of points
    means = []
    for resolution in resolutions(size):
        n = side // resolution
        pairs = (n - offsets[:n]) * np.where(offsets[:n] == 0, 1, 2) / n**2
        means.append(COLOUR_VARIANCE * pairs @ same_disc[:n, :n] @ pairs)
    level = np.array(means)
    pixels = (size / np.array(resolutions(size))) ** 2
    return np.append(pixels[:-1] * (level[:-1] - level[1:]) / (1 - 1 / 4), pixels[-1] * level[-1])


@functools.cache
def _radii(size: int, exponent: float) -> tuple[np.ndarray, np.ndarray]:
    """Radii in pixels, equally spaced in log r, and the probability of each."""
    smallest, largest = RADII
    radii = np.geomspace(smallest, largest * size, 1001)
    weights = radii ** (1 - exponent)  # p(r) dr = r^-a r dlog(r)
    return radii, weights / weights.sum()


def _covariance(distance: np.ndarray, size: int, exponent: float) -> np.ndarray:
    """C(d), the probability that two points at distance d lie on the same disc."""
    radii, weights = _radii(size, exponent)
    # a smooth function of d: interpolated, to within 1e-4
    known = np.append(0, np.geomspace(1 / SUPERSAMPLING, 2 * size, 400))
    half = np.minimum(known[:, None] / (2 * radii), 1)
    overlap = (2 * radii**2 * (np.arccos(half) - half * np.sqrt(1 - half**2))) @ weights
    return np.interp(distance, known, overlap / (2 * overlap[0] - overlap))


def _render(size: int, exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Drop discs until all of a square is covered: (3, size, size) in [-1, 1]."""
    side = size * SUPERSAMPLING
    disc_of = np.full(side * side, -1)  # where nothing has fallen yet
    colours = np.empty((0, 3))
    while (disc_of < 0).any():
        centres, radii = _discs(size, exponent, rng)
        below = np.full(side * side, -1)
        pixels, discs = _covered(centres * SUPERSAMPLING, radii * SUPERSAMPLING, side)
        below[pixels] = discs + len(colours)  # of a repeated pixel the last disc is kept: the one on top
        disc_of = np.where(disc_of < 0, below, disc_of)
        colours = np.concatenate([colours, rng.uniform(-1, 1, (len(radii), 3))])
    return downsample(colours[disc_of].T.reshape(3, side, side))


def _discs(size: int, exponent: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sample discs that may touch a square: centres (N, 2) and radii (N,) in pixels. N discs cover 98 % of it."""
    radii, cumulative, count = _touching(size, exponent)
    r = np.interp(rng.random(count), cumulative, radii)
    return rng.uniform(-r, size + r, (2, count)).T, r


@functools.cache
def _touching(size: int, exponent: float) -> tuple[np.ndarray, np.ndarray, int]:
    """The cumulative distribution of the radii of discs that may touch a square, and how many cover 98 % of it."""
    radii, weights = _radii(size, exponent)
    # the centre of a disc that touches the square lies in a square that is larger by the radius on each side
    weights = weights * (size + 2 * radii) ** 2
    covered = weights @ (np.pi * radii**2 / (size + 2 * radii) ** 2) / weights.sum()  # by one disc, on average
    return radii, np.cumsum(weights) / weights.sum(), int(4 / covered) + 1


def _covered(centres: np.ndarray, radii: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The pixels whose centres lie in each disc, disc after disc: their numbers, and those of the discs."""
    x, y = centres.T - 0.5  # pixel i has its centre at i + 0.5
    first, rows = _integers(y - radii, y + radii, side)
    disc = np.repeat(np.arange(len(radii)), rows)
    row = _ranges(first, rows)
    half = np.sqrt(np.maximum(radii[disc] ** 2 - (row - y[disc]) ** 2, 0))
    left, columns = _integers(x[disc] - half, x[disc] + half, side)
    return np.repeat(row * side, columns) + _ranges(left, columns), np.repeat(disc, columns)


def _integers(low: np.ndarray, high: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first integer within each interval and within 0 .. side - 1, and how many there are."""
    first = np.maximum(np.ceil(low), 0).astype(np.int64)
    last = np.minimum(np.floor(high), side - 1).astype(np.int64)
    return first, np.maximum(last - first + 1, 0)


def _ranges(first: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """first, first + 1, ... for each interval in turn."""
    starts = np.cumsum(counts) - counts
    return np.arange(counts.sum()) - np.repeat(starts - first, counts)
