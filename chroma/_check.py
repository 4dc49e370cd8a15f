"""One form for every refusal: which argument, what it was, what it must be."""

from __future__ import annotations

import numpy as np


def refuse(name: str, value: object, must: str) -> ValueError:
    """The error to raise when the argument `name` is `value` but must be `must`."""
    return ValueError(f"{name} must be {must}; got {value if isinstance(value, str) else repr(value)}")


def not_nan(name: str, value) -> np.ndarray:
    """`value` as a float64 array, refused if any entry is NaN (infinities are meaningful log-SNRs)."""
    array = np.asarray(value, dtype=np.float64)
    if np.isnan(array).any():
        raise refuse(name, value, "free of NaN")
    return array


def whole(name: str, value, least: int) -> int:
    """`value` as an int, refused unless it is a whole number >= `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise refuse(name, value, f"a whole number >= {least}")
    return int(value)


def finite(name: str, value, *, above: float = -np.inf) -> float:
    """`value` as a float, refused unless it is finite and > `above`."""
    number = float(value)
    if not np.isfinite(number) or number <= above:
        raise refuse(name, value, "a finite number" if above == -np.inf else f"a finite number > {above:g}")
    return number
