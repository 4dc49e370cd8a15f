"""Moments of a generation, said in four ways that mean the same, and weights that change there (Eq 25 and beyond)::

    half = moment(at="8x8", size=32)  # the log-SNR at which half of the 8x8 band has been generated
    layout, texture = in_turn([step(half)])  # prompt 1 until then, prompt 2 from then on
    composed(uncond, [cond_1, cond_2], [scaled(layout, 4.0), scaled(texture, 4.0)])

A moment is a log-SNR, so it survives a change of scheduler, number of steps and model. Weights are functions of
log-SNR; generation runs from -inf (noise) to +inf (image).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, inf, log, pi

import numpy as np

from chroma._check import finite, not_nan, refuse
from chroma.schedules import Schedule, expit

Weight = Callable[[float], float]  # of log-SNR


def moment(
    schedule: Schedule | None = None,
    *,
    eta: float | None = None,
    time: float | None = None,
    log_snr: float | None = None,
    at: str | int | None = None,
    share: float = 0.5,
    size: int | None = None,
    power: Sequence[float] | None = None,
) -> float:
    """The log-SNR of a moment that is said in exactly one of four ways.

    eta: the share of `schedule`'s time that is still to come, as in Eq 25, 1 at the start (-inf) and 0 at the end
    (+inf). time: of `schedule`, in its own units. log_snr: itself. at: a resolution, "8x8" or 8, of images of side
    `size`: the moment at which `share` of that band has been generated, s(z + log V_m) = share. V_m is the paper's
    4^m, or power[m] of the data (``BandPower``, finest first), which makes the moment later for real images. Raises
    ValueError naming what is missing, contradictory or out of range.

    >>> round(moment(at="8x8", size=32), 3)  # level 2: -2 log 4
    -2.773
    >>> from chroma import RectifiedFlow
    >>> round(moment(RectifiedFlow(), eta=0.5), 3), moment(RectifiedFlow(), eta=1.0)
    (0.0, -inf)
    """
    given = {"eta": eta, "time": time, "log_snr": log_snr, "at": at}
    said = [name for name, value in given.items() if value is not None]
    if len(said) != 1:
        raise refuse("the moment", f"{', '.join(said) or 'nothing'}", "said in one way: eta, time, log_snr or at")
    if log_snr is not None:
        return float(not_nan("log_snr", log_snr))
    if at is not None:
        return _generated(at, share, size, power)
    if schedule is None:
        raise refuse("schedule", None, f"given, for {said[0]} is a time of it")
    if time is not None:
        return float(schedule.log_snr(time))
    if not 0 <= float(eta) <= 1:
        raise refuse("eta", eta, "from 0 (the end of generation) to 1 (its start)")
    if eta in (0, 1):  # the whole of the time, whatever its first and last log-SNR
        return -inf if eta else inf
    first, last = schedule.domain
    if not np.isfinite(last):
        raise refuse("schedule", type(schedule).__name__, "one that ends, for eta is a share of its time")
    return float(schedule.log_snr(first + eta * (last - first)))


def _generated(at: str | int, share: float, size: int | None, power: Sequence[float] | None) -> float:
    level = level_of(at, size)
    if not 0 < finite("share", share) < 1:
        raise refuse("share", share, "between 0 and 1: when a band begins or is complete has no time")
    offset = level * log(4)
    if power is not None:
        values = not_nan("power", power)
        if values.ndim != 1 or len(values) <= level or values[level] <= 0:
            raise refuse("power", power, f"the power of each band, finest first, > 0 and at least {level + 1} of them")
        offset = log(values[level])
    return log(share / (1 - share)) - offset


def level_of(at: str | int, size: int | None) -> int:
    """The level of a resolution, "8x8" or 8, in images of side `size`: 2 in one of 32. ValueError if there is none.

    >>> level_of("32x32", size=32), level_of(8, size=32)
    (0, 2)
    """
    if size is None:
        raise refuse("size", None, "given: the side of what is denoised, in pixels or latents")
    found = re.fullmatch(r"(\d+)(?:\s*[x×]\s*(\d+))?", str(at).strip())
    sides = [size >> level for level in range(int(size).bit_length()) if size % 2**level == 0]
    side = int(found[1]) if found and found[2] in (None, found[1]) else None
    if side not in sides:
        raise refuse("at", at, "one of " + ", ".join(f"{one}x{one}" for one in sides))
    return sides.index(side)


def step(at: float) -> Weight:
    """0 before `at`, 1 from then on: the Heaviside function of Eq 25.

    >>> [step(1.0)(log_snr) for log_snr in (0.0, 1.0, 2.0)]
    [0.0, 1.0, 1.0]
    """
    at = float(not_nan("at", at))
    return lambda log_snr: float(log_snr >= at)


def _ordered(start: float, stop: float) -> tuple[float, float]:
    return finite("start", start), finite("stop", stop, above=float(start))


def linear(start: float, stop: float) -> Weight:
    """A ramp in log-SNR: 0 up to `start`, 1 from `stop` on.

    >>> [linear(0.0, 4.0)(log_snr) for log_snr in (-1.0, 1.0, 2.0, 5.0)]
    [0.0, 0.25, 0.5, 1.0]
    """
    start, stop = _ordered(start, stop)
    return lambda log_snr: float(np.clip((log_snr - start) / (stop - start), 0, 1))


def cosine(start: float, stop: float) -> Weight:
    """As `linear`, without corners: half a wave of a cosine.

    >>> [round(cosine(0.0, 4.0)(log_snr), 3) for log_snr in (-1.0, 1.0, 2.0, 5.0)]
    [0.0, 0.146, 0.5, 1.0]
    """
    ramp = linear(start, stop)
    return lambda log_snr: (1 - cos(pi * ramp(log_snr))) / 2


def logistic(at: float, width: float = 1.0) -> Weight:
    """s((log_snr - at) / width): 1/2 at `at`. A width of 1 is the pace at which a band itself is generated.

    >>> [round(logistic(1.0)(log_snr), 3) for log_snr in (-9.0, 1.0, 11.0)]
    [0.0, 0.5, 1.0]
    """
    at, width = finite("at", at), finite("width", width, above=0)
    return lambda log_snr: float(expit((log_snr - at) / width))


def in_turn(rises: Sequence[Weight]) -> list[Weight]:
    """The weights of n prompts that follow one another at n - 1 rising weights: 1 - f_1, f_1 - f_2, ..., f_(n-1).

    They add up to 1 at any time. With two of `step`: prompt 1, then 2, then 3.

    >>> weights = in_turn([step(-1.0), step(1.0)])
    >>> [[weight(log_snr) for weight in weights] for log_snr in (-2.0, 0.0, 2.0)]
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    edges: list[Weight] = [lambda log_snr: 1.0, *rises, lambda log_snr: 0.0]
    return [lambda z, one=one, two=two: one(z) - two(z) for one, two in pairwise(edges)]


def eq_25(schedule: Schedule, eta: float, as_printed: bool = False) -> list[Weight]:
    """w_1 and w_2 of Eq 25: as meant, prompt 1 until t = eta T and prompt 2 after; as printed, the other way round.

    >>> from chroma import RectifiedFlow
    >>> first, second = eq_25(RectifiedFlow(), eta=0.5)  # the half of the time is at log-SNR 0
    >>> first(-1.0), second(-1.0), first(1.0), second(1.0)
    (1.0, 0.0, 0.0, 1.0)
    """
    first, second = in_turn([step(moment(schedule, eta=eta))])
    return [second, first] if as_printed else [first, second]


def scaled(weight: Weight, scale: float) -> Weight:
    """`scale` times a weight: the guidance scale of a prompt that comes and goes.

    >>> scaled(linear(0.0, 4.0), 3.0)(2.0)
    1.5
    """
    scale = finite("scale", scale)
    return lambda log_snr: scale * weight(log_snr)


def within(start: float, stop: float, inside: float, outside: float = 1.0) -> Weight:
    """`inside` from `start` to `stop`, else `outside`: a guidance interval (Kynkäänniemi et al. 2024), for `guided`.

    >>> [within(-1.0, 1.0, inside=4.0)(log_snr) for log_snr in (-2.0, 0.0, 2.0)]
    [1.0, 4.0, 1.0]
    """
    rising, falling = step(start), step(stop)
    if not start < stop:
        raise refuse("stop", stop, f"later than start, {start}")
    return lambda log_snr: inside if rising(log_snr) and not falling(log_snr) else outside


def remaining(log_snrs: Sequence[float], start: float) -> np.ndarray:
    """The steps of a sampler that are left from the moment `start`: what SDEdit samples, and what an inversion goes
    back to.

    Raises ValueError if there is none.

    >>> remaining([-4.0, -2.0, 0.0, 2.0], start=-1.0)
    array([0., 2.])
    """
    steps = not_nan("log_snrs", log_snrs)
    left = steps[steps >= start]
    if not len(left):
        raise refuse("start", start, f"at most the last log-SNR, {steps.max():g}")
    return left
