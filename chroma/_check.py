"""Checks of arguments: one sentence that says what is wrong with a value and what it must be."""

from __future__ import annotations

from typing import SupportsFloat

import numpy as np
from numpy.typing import ArrayLike

ROUNDING = 1e-3  # of images in half precision


def invalid_argument(name: str, value: object, must: str) -> ValueError:
    """Build the error to raise when the argument `name` is `value` but must be `must`.

    Args:
        name: as the caller knows it.
        value: what was passed, or a description of it.
        must: what it must be, to follow "must be".

    Returns:
        The error; the caller raises it.
    """
    return ValueError(f"{name} must be {must}; got {value if isinstance(value, str) else repr(value)}")


def check_not_nan(name: str, value: ArrayLike) -> np.ndarray:
    """Convert `value` to a float64 array without NaN; infinities are meaningful log-SNRs.

    Args:
        name: of the argument.
        value: a number or an array of numbers.

    Returns:
        The array, of the shape of `value`.

    Raises:
        ValueError: if any entry is NaN.
    """
    array = np.asarray(value, dtype=np.float64)
    if np.isnan(array).any():
        raise invalid_argument(name, value, "free of NaN")
    return array


def check_int(name: str, value: object, least: int) -> int:
    """Convert `value` to an int that is at least `least`.

    Args:
        name: of the argument.
        value: a Python or NumPy integer.
        least: the smallest value allowed.

    Returns:
        The int.

    Raises:
        ValueError: if `value` is no whole number or too small.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise invalid_argument(name, value, f"a whole number >= {least}")
    return int(value)


def check_finite(name: str, value: SupportsFloat, *, above: float = -np.inf) -> float:
    """Convert `value` to a finite float that is greater than `above`.

    Args:
        name: of the argument.
        value: a number.
        above: an exclusive lower bound.

    Returns:
        The float.

    Raises:
        ValueError: if `value` is NaN, infinite or not above the bound.
    """
    number = float(value)
    if not np.isfinite(number) or number <= above:
        raise invalid_argument(name, value, "a finite number" if above == -np.inf else f"a finite number > {above:g}")
    return number


def check_pixels(name: str, lowest: float, highest: float) -> None:
    """Check that images are in [-1, 1], but for the rounding of half precision.

    Args:
        name: of the argument.
        lowest: the smallest pixel value; NaN if any of them is.
        highest: the largest pixel value.

    Raises:
        ValueError: for values out of range, and for NaN.
    """
    if not (lowest >= -1 - ROUNDING and highest <= 1 + ROUNDING):
        found = "NaN" if np.isnan(lowest) else f"values from {lowest:g} to {highest:g}"
        raise invalid_argument(name, found, "floats in [-1, 1] (bytes divided by 127.5, minus 1)")
