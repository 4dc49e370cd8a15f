"""How samples differ from data, in four numbers, each with its standard error over samples.

Samples and data are (N, C, H, W) arrays or tensors; standard errors are jackknife ones (Efron and Tibshirani 1993,
chapter 11): the spread of the number when one sample at a time is left out.
"""

from __future__ import annotations

import numpy as np

from chroma._check import refuse, whole
from chroma.measure import Estimate
from chroma.pyramid import band_energy


def band_ratio(samples, data, level: int = 0) -> Estimate:
    """Mean energy of a band, the finest unless told, over that of the data: more than 1 is noise, less is blur.

    >>> data = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    >>> round(float(band_ratio(2 * data, data).value), 3)
    4.0
    """
    samples, data = _pair(samples, data)
    energies = band_energy(samples), band_energy(data)
    if whole("level", level, 0) >= energies[0].shape[1]:
        raise refuse("level", level, f"at most {energies[0].shape[1] - 1} for images of {samples.shape[2:]}")
    energy = energies[0][:, level] / energies[1][:, level].mean()
    return _jackknife(energy.mean(), (energy.sum() - energy) / (len(energy) - 1))


def variance(samples, data) -> Estimate:
    """Variance of a pixel from sample to sample, averaged over pixels, over that of the data.

    >>> data = np.random.default_rng(0).normal(size=(10, 3, 8, 8))
    >>> round(float(variance(0.5 * data + 1, data).value), 3)
    0.25
    """
    samples, data = _pair(samples, data)
    total = _spread(data.sum(0), np.square(data).sum(0), len(data))
    count, sums, squares = len(samples), samples.sum(0), np.square(samples).sum(0)
    without = [_spread(sums - x, squares - x * x, count - 1) for x in samples]
    return _jackknife(_spread(sums, squares, count) / total, np.array(without) / total)


def diversity(samples) -> Estimate:
    """Mean distance between two samples, root mean square over pixels; 0 if all are the same picture.

    >>> data = np.array([0.0, 1.0, 2.0]).reshape(3, 1, 1, 1)
    >>> round(float(diversity(data).value), 3)  # of 1, 1 and 2
    1.333
    """
    samples, _ = _pair(samples, samples)
    flat, count = samples.reshape(len(samples), -1), len(samples)
    norms = np.square(flat).sum(1)
    squares = norms[:, None] + norms - 2 * flat @ flat.T
    np.fill_diagonal(squares, 0)
    far = np.sqrt(np.maximum(squares, 0) / flat.shape[1])
    without = (far.sum() - 2 * far.sum(1)) / ((count - 1) * (count - 2))
    return _jackknife(far.sum() / (count * (count - 1)), without)


def frechet_distance(samples, data, components: int = 16) -> Estimate:
    """Frechet distance of two Gaussians fitted in the basis of the data's `components` principal components.

    `|mu - mu'|^2 + tr(S + S' - 2 (S S')^(1/2))` (Heusel et al. 2017, Eq 6, there on Inception features), over tr S'
    of the data. Biased upwards by few samples: compare equal numbers of them;
    where it is next to none its standard error is too large.

    >>> data = np.random.default_rng(0).normal(size=(20, 3, 8, 8))
    >>> round(abs(float(frechet_distance(data, data).value)), 6)
    0.0
    """
    samples, data = _pair(samples, data)
    most = min(len(data) - 1, data[0].size)
    if whole("components", components, 1) > most:
        raise refuse("components", components, f"at most {most}")
    flat = data.reshape(len(data), -1)
    centre = flat.mean(0)
    _, _, basis = np.linalg.svd(flat - centre, full_matrices=False)
    basis = basis[:components].T
    here, there = (samples.reshape(len(samples), -1) - centre) @ basis, (flat - centre) @ basis
    mean, covariance = there.mean(0), np.atleast_2d(np.cov(there.T))
    size = np.trace(covariance)
    distance = [
        _gaussian_distance(chosen.mean(0), np.atleast_2d(np.cov(chosen.T)), mean, covariance) / size
        for chosen in (here, *(np.delete(here, i, 0) for i in range(len(here))))
    ]
    return _jackknife(distance[0], np.array(distance[1:]))


def nearest(samples, data) -> np.ndarray:
    """For each sample the row of the image in `data` that is nearest by its pixels, (N,) int.

    >>> data = np.array([-1.0, 0.0, 1.0]).reshape(3, 1, 1, 1)
    >>> nearest(data[[2, 0]] * 0.9, data)
    array([2, 0])
    """
    samples, data = (np.asarray(x, dtype=np.float64) for x in (samples, data))
    if samples.shape[1:] != data.shape[1:]:
        raise refuse("samples", samples.shape, f"of the size of the data, {data.shape[1:]}")
    samples, data = samples.reshape(len(samples), -1), data.reshape(len(data), -1)
    return (np.square(data).sum(1) - 2 * samples @ data.T).argmin(1)


def _gaussian_distance(mean, covariance, other_mean, other_covariance) -> float:
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    return np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * common


def _spread(sums, squares, count: int) -> float:
    return float(((squares - sums * sums / count) / (count - 1)).mean())


def _jackknife(value: float, without: np.ndarray) -> Estimate:
    count = len(without)
    error = np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    return Estimate(np.float64(value), error, count)


def _pair(samples, data) -> tuple[np.ndarray, np.ndarray]:
    samples, data = (np.asarray(x, dtype=np.float64) for x in (samples, data))
    for name, x in (("samples", samples), ("data", data)):
        if x.ndim != 4 or len(x) < 3 or not np.isfinite(x).all():
            raise refuse(name, f"shape {x.shape}, or not finite", "at least 3 finite images, shape (N, C, H, W)")
    if samples.shape[1:] != data.shape[1:]:
        raise refuse("samples", samples.shape, f"of the size of the data, {data.shape[1:]}")
    return samples, data
