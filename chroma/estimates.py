"""Means and functions of means, each with its standard error over independent units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import invalid_argument


@dataclass(frozen=True)
class Estimate:
    """A measured value with its standard error.

    Attributes:
        value: any shape.
        standard_error: of the same shape.
        count: independent samples.
    """

    value: np.ndarray
    standard_error: np.ndarray
    count: int


def jackknife(parts: np.ndarray, weights: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """Estimate a function of a mean, with the jackknife's standard error (Efron and Tibshirani 1993, chapter 11).

    Args:
        parts: the mean of each of G independent parts of the samples, (G, ...).
        weights: samples in each part, (G,).
        function: of an array of means (n, ...), n of them side by side.

    Returns:
        The function of the overall mean; `count` is the number of samples.

    Raises:
        ValueError: for fewer than two parts, and for NaN or infinity.

    >>> estimate = jackknife(np.array([[1.0], [2.0], [3.0]]), np.ones(3), lambda means: means)
    >>> estimate.value, estimate.standard_error.round(3)  # of the mean itself: 1 / sqrt(3)
    (array([2.]), array([0.577]))
    """
    weights = weights.astype(float)
    if len(parts) < 2:
        raise invalid_argument("count", int(weights.sum()), "at least 2 samples, for a standard error")
    if not np.isfinite(parts).all():
        raise invalid_argument("samples", "NaN or infinite entries", "finite")
    shape = (-1, *[1] * (parts.ndim - 1))
    total, count = (weights.reshape(shape) * parts).sum(0), weights.sum()
    without = (total - weights.reshape(shape) * parts) / (count - weights).reshape(shape)
    value, *left_out = function(np.concatenate([total[None] / count, without]))
    return Estimate(np.asarray(value), leave_one_out_error(np.array(left_out)), int(count))


def leave_one_out_error(values: np.ndarray) -> np.ndarray:
    """Compute the jackknife's standard error of a number.

    Args:
        values: the number when part i is left out, (G, ...).

    Returns:
        The standard error, of shape (...).

    >>> leave_one_out_error(np.array([2.5, 2.0, 1.5])).round(3)  # the means of 1, 2, 3 without one of them
    np.float64(0.577)
    """
    count = len(values)
    return np.sqrt((count - 1) / count * np.square(values - values.mean(0)).sum(0))


def half_way(x: ArrayLike, curves: ArrayLike) -> np.ndarray:
    """Interpolate where curves first reach one half.

    Args:
        x: abscissae, strictly increasing, (N,).
        curves: values that begin below one half, (..., N).

    Returns:
        The abscissa at which each curve first reaches one half, (...); NaN where it never does or begins above it.

    >>> half_way([0.0, 1.0, 2.0], [[0.0, 0.4, 0.8], [0.0, 0.1, 0.2]])
    array([1.25,  nan])
    """
    at, values = np.asarray(x, dtype=float), np.asarray(curves, dtype=float)

    def crossing(curve: np.ndarray) -> float:
        (reached,) = np.nonzero(curve >= 0.5)
        if not len(reached) or not reached[0]:
            return np.nan
        i = reached[0]
        part = (0.5 - curve[i - 1]) / (curve[i] - curve[i - 1])
        return at[i - 1] + part * (at[i] - at[i - 1])

    return np.apply_along_axis(crossing, -1, values)
