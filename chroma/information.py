r"""How much a noised image says of the image in it, and when that is enough to single out one of a finite set.

For Gaussian data, a coefficient of variance V carries :math:`\tfrac{1}{2} \log(1 + e^z V)` nats of information about
itself at log-SNR z. One of n images is singled out once the noised image says log n nats: below that log-SNR the exact
predictor of a finite set averages over many of its images, above it the predictor reproduces one image. Biroli,
Bonnaire, de Bortoli and Mezard (2024, "Dynamical regimes of diffusion models") call it the collapse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import check_int, check_not_nan, invalid_argument
from chroma.pyramid import band_sizes

BISECTIONS = 100


def gaussian_information(log_snr: ArrayLike, band_variance: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    r"""Compute the mutual information of an image and its noised version, for Gaussian data.

    It is :math:`I(x_0; x_t) = \tfrac{1}{2} \sum_m N_m \log(1 + e^z V_m)`.

    Args:
        log_snr: z, any shape.
        band_variance: V_m >= 0, finest first, (levels,).
        shape: (C, H, W) of the images.

    Returns:
        The information in nats, of the shape of `log_snr`.

    Raises:
        ValueError: for NaN, and variances that are negative, infinite or not one per band.

    >>> round(float(gaussian_information(0.0, [1.0, 1.0], (1, 2, 2))), 3)  # four coefficients, log(2) / 2 each
    1.386
    """
    z, variance, sizes = check_not_nan("log_snr", log_snr), *_bands(band_variance, shape)
    with np.errstate(divide="ignore"):
        nats = np.logaddexp(0, z[..., None] + np.log(variance)) / 2
    return (nats @ sizes)[()]


def collapse_log_snr(count: int, band_variance: ArrayLike, shape: tuple[int, int, int]) -> float:
    r"""Find the log-SNR at which a noised image says which of `count` images it was.

    That is where :math:`I(x_0; x_t) = \log n`, with the information of Gaussian data of the same band variances.

    Args:
        count: n, the number of images in the set, at least 2.
        band_variance: V_m >= 0 of the set, finest first, (levels,), not all 0.
        shape: (C, H, W) of the images.

    Returns:
        The log-SNR.

    Raises:
        ValueError: for fewer than two images, and variances that are negative, infinite, all 0 or not one per band.

    >>> variance = [0.02, 0.1, 0.5, 2.0]
    >>> collapse = collapse_log_snr(512, variance, (3, 8, 8))
    >>> bool(np.isclose(gaussian_information(collapse, variance, (3, 8, 8)), np.log(512)))
    True
    """
    target = np.log(check_int("count", count, 2))
    variance, _ = _bands(band_variance, shape)
    if not variance.any():
        raise invalid_argument("band_variance", band_variance, "> 0 in one band at least")
    low, high = -np.log(variance.max()) - 100.0, -np.log(variance.max()) + 100.0
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        enough = gaussian_information(middle, band_variance, shape) > target
        low, high = (low, middle) if enough else (middle, high)
    return float(middle)


def _bands(band_variance: ArrayLike, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    variance, sizes = check_not_nan("band_variance", band_variance), band_sizes(shape)
    if variance.shape != sizes.shape or not np.isfinite(variance).all() or (variance < 0).any():
        must = f"finite and >= 0, one for each of the {len(sizes)} bands"
        raise invalid_argument("band_variance", band_variance, must)
    return variance, sizes
