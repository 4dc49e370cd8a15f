"""Quality of samples: how they differ from data, in four numbers, each with its standard error over samples.

Samples and data are images, (N, C, H, W) with N >= 3, as arrays or as tensors on the CPU. Standard errors are those of
the jackknife (Efron and Tibshirani 1993, chapter 11): from the values of the number when one sample at a time is left
out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import check_int, invalid_argument
from chroma.estimates import Estimate, leave_one_out_error
from chroma.pyramid import band_energy


def band_ratio(samples: ArrayLike, data: ArrayLike, level: int = 0) -> Estimate:
    """Compare the mean energy of a band of samples and data: above 1 samples are noisy, below 1 they are blurred.

    Args:
        samples: images, (N, C, H, W), at least 3.
        data: images of the same size, at least 3.
        level: of the band; 0 is the finest.

    Returns:
        The ratio of the mean energies, samples over data.

    Raises:
        ValueError: for fewer than 3 images, NaN, images of different sizes, and a level that they do not have.

    >>> data = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    >>> round(float(band_ratio(2 * data, data).value), 3)
    4.0
    """
    samples, data = _check_pair(samples, data)
    energies = band_energy(samples), band_energy(data)
    if check_int("level", level, 0) >= energies[0].shape[1]:
        raise invalid_argument("level", level, f"at most {energies[0].shape[1] - 1} for images of {samples.shape[2:]}")
    energy = energies[0][:, level] / energies[1][:, level].mean()
    return _estimate(energy.mean(), (energy.sum() - energy) / (len(energy) - 1))


def variance(samples: ArrayLike, data: ArrayLike) -> Estimate:
    """Compare the variance of a pixel over samples and over data.

    Args:
        samples: images, (N, C, H, W), at least 3.
        data: images of the same size, at least 3.

    Returns:
        The ratio of the variances, each averaged over pixels, samples over data.

    Raises:
        ValueError: for fewer than 3 images, NaN, and images of different sizes.

    >>> data = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    >>> round(float(variance(0.5 * data + 1, data).value), 3)
    0.25
    """
    samples, data = _check_pair(samples, data)
    total = _mean_variance(data.sum(0), np.square(data).sum(0), len(data))
    count, sums, squares = len(samples), samples.sum(0), np.square(samples).sum(0)
    left_out = [_mean_variance(sums - x, squares - x * x, count - 1) for x in samples]
    return _estimate(_mean_variance(sums, squares, count) / total, np.array(left_out) / total)


def diversity(samples: ArrayLike) -> Estimate:
    """Average the distance between two samples (root mean square over pixels).

    Args:
        samples: images, (N, C, H, W), at least 3.

    Returns:
        The mean over pairs of samples, in the units of the pixels; 0 if all samples are the same image.

    Raises:
        ValueError: for fewer than 3 images, and for NaN.

    >>> data = np.array([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1)
    >>> round(float(diversity(data).value), 3)  # of 1, 1 and 2
    1.333
    """
    samples, _ = _check_pair(samples, samples)
    flat, count = samples.reshape(len(samples), -1), len(samples)
    norms = np.square(flat).sum(1)
    squares = norms[:, None] + norms - 2 * flat @ flat.T
    np.fill_diagonal(squares, 0)
    distances = np.sqrt(np.maximum(squares, 0) / flat.shape[1])
    left_out = (distances.sum() - 2 * distances.sum(1)) / ((count - 1) * (count - 2))
    return _estimate(distances.sum() / (count * (count - 1)), left_out)


def frechet_distance(samples: ArrayLike, data: ArrayLike, components: int = 16) -> Estimate:
    r"""Compute the Fréchet distance of two Gaussians fitted to samples and data, over the variance of the data.

    :math:`(|\mu - \mu'|^2 + \mathrm{tr}(S + S' - 2 (S S')^{1/2})) / \mathrm{tr}\, S'` (Heusel et al. 2017, Eq 6, on
    Inception features in that paper), here in the basis of the data's principal components. The distance is biased
    upwards for few samples, so compare equal numbers of them. Where the distance is close to 0, its standard error is
    too large.

    Args:
        samples: images, (N, C, H, W), at least 3.
        data: images of the same size, at least 3.
        components: the number of principal components.

    Returns:
        The distance, 0 for Gaussians that are the same.

    Raises:
        ValueError: for fewer than 3 images, NaN, images of different sizes, and more components than the data have.

    >>> data = np.random.default_rng(0).normal(size=(20, 3, 8, 8))
    >>> round(abs(float(frechet_distance(data, data).value)), 6)
    0.0
    """
    samples, data = _check_pair(samples, data)
    limit = min(len(data) - 1, data[0].size)
    if check_int("components", components, 1) > limit:
        raise invalid_argument("components", components, f"at most {limit}")
    flat = data.reshape(len(data), -1)
    centre = flat.mean(0)
    _, _, basis = np.linalg.svd(flat - centre, full_matrices=False)
    basis = basis[:components].T
    projected, projected_data = (samples.reshape(len(samples), -1) - centre) @ basis, (flat - centre) @ basis
    mean, covariance = projected_data.mean(0), np.atleast_2d(np.cov(projected_data.T))
    size = np.trace(covariance)
    value, *left_out = (
        _gaussian_distance(part.mean(0), np.atleast_2d(np.cov(part.T)), mean, covariance) / size
        for part in (projected, *(np.delete(projected, i, 0) for i in range(len(projected))))
    )
    return _estimate(value, np.array(left_out))


def nearest(samples: ArrayLike, data: ArrayLike) -> np.ndarray:
    """Find the image in the data that is nearest to each sample, by the squared difference of pixels.

    Args:
        samples: images, (N, C, H, W).
        data: images of the same size.

    Returns:
        The row of the nearest image for each sample, (N,) int.

    Raises:
        ValueError: for images of different sizes.

    >>> data = np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1)
    >>> nearest(data[[2, 0]] * 0.9, data)
    array([2, 0])
    """
    samples, data = (np.asarray(x, dtype=np.float64) for x in (samples, data))
    _check_same_size(samples, data)
    samples, data = samples.reshape(len(samples), -1), data.reshape(len(data), -1)
    return (np.square(data).sum(1) - 2 * samples @ data.T).argmin(1)


def _gaussian_distance(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> float:
    """Compute the squared Fréchet distance of two Gaussians."""
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    return np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * common


def _mean_variance(sums: np.ndarray, squares: np.ndarray, count: int) -> float:
    """Average over pixels the variance that `count` images have, given the sums and the sums of squares of a pixel."""
    return float(((squares - sums * sums / count) / (count - 1)).mean())


def _estimate(value: float, left_out: np.ndarray) -> Estimate:
    """Combine a number with its jackknife error, from its values when one sample is left out, (N,)."""
    return Estimate(np.asarray(value)[()], leave_one_out_error(left_out), len(left_out))


def _check_same_size(samples: np.ndarray, data: np.ndarray) -> None:
    if samples.shape[1:] != data.shape[1:]:
        raise invalid_argument("samples", samples.shape, f"of the size of the data, {data.shape[1:]}")


def _check_pair(samples: ArrayLike, data: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Convert samples and data to float64 arrays of finite images of one size, at least 3 of each."""
    arrays = np.asarray(samples, dtype=np.float64), np.asarray(data, dtype=np.float64)
    for name, x in zip(("samples", "data"), arrays, strict=True):
        if x.ndim != 4 or len(x) < 3:
            raise invalid_argument(name, f"shape {x.shape}", "at least 3 images, of shape (N, C, H, W)")
        if not np.isfinite(x).all():
            raise ValueError(f"{name}: some values are NaN or infinite; use finite values only")
    _check_same_size(*arrays)
    return arrays
