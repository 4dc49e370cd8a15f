r"""Where to switch along a generation, and weights that change there (Eq 25 and beyond).

::

    half = switch_log_snr(resolution="8x8", size=32)  # the log-SNR at which half of the 8x8 band is generated
    layout, texture = partition([step_weight(half)])  # prompt 1 up to there, prompt 2 from there on
    composed(uncond, [cond_1, cond_2], [scaled(layout, 4.0), scaled(texture, 4.0)])

A switch is a log-SNR, so it stays valid for another scheduler, number of steps or model. Weights are functions of
log-SNR; generation runs from -inf (noise) to +inf (image).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import cos, inf, log, pi

import numpy as np

from chroma._check import check_finite, check_not_nan, invalid_argument
from chroma.pyramid import resolutions
from chroma.schedules import Schedule, expit

WeightFunction = Callable[[float], float]  # of log-SNR


def switch_log_snr(
    schedule: Schedule | None = None,
    *,
    eta: float | None = None,
    time: float | None = None,
    log_snr: float | None = None,
    resolution: str | int | None = None,
    fraction: float = 0.5,
    size: int | None = None,
    data_variance: float = 1.0,
    band_variance: Sequence[float] | None = None,
) -> float:
    r"""Convert a place along the generation to its log-SNR. It is given in exactly one of four ways.

    Args:
        schedule: whose time `eta` or `time` is.
        eta: the share of the schedule's time that is still to come, as in Eq 25: 1 at the start (-inf), 0 at the end
            (+inf).
        time: of the schedule, in its own units.
        log_snr: itself.
        resolution: "8x8" or 8, of images of side `size`: where `fraction` of that band is generated,
            :math:`\sigma(z + \log V_m) = \mathrm{fraction}`.
        fraction: of the band, between 0 and 1.
        size: the side of what is denoised, in pixels or latents.
        data_variance: of the images: 1 for latents, about 0.264 for photographs' pixels in [-1, 1]. The default curve
            of `chroma.schedulers.curves` is the paper's 4^m times this number.
        band_variance: V_m of the data, finest first (`chroma.accumulators.BandVariance`), in place of that curve.

    Returns:
        The log-SNR.

    Raises:
        ValueError: naming what is missing, contradictory or out of range.

    >>> round(switch_log_snr(resolution="8x8", size=32), 3)  # level 2: -2 log 4
    -2.773
    >>> from chroma import RectifiedFlow
    >>> round(switch_log_snr(RectifiedFlow(), eta=0.5), 3), switch_log_snr(RectifiedFlow(), eta=1.0)
    (0.0, -inf)
    """
    ways = {"eta": eta, "time": time, "log_snr": log_snr, "resolution": resolution}
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        must = "given in one way: eta, time, log_snr or resolution"
        raise invalid_argument("the switch", ", ".join(given) or "nothing", must)
    if log_snr is not None:
        return float(check_not_nan("log_snr", log_snr))
    if resolution is not None:
        variance = check_finite("data_variance", data_variance, above=0)
        return _log_snr_of_fraction(resolution, fraction, size, variance, band_variance)
    if schedule is None:
        raise ValueError(f"{given[0]}= also needs schedule=")
    if time is not None:
        return float(schedule.log_snr(time))
    return _log_snr_of_eta(schedule, eta)


def _log_snr_of_eta(schedule: Schedule, eta: float | None) -> float:
    if eta is None or not 0 <= eta <= 1:
        raise invalid_argument("eta", eta, "from 0 (the end of generation) to 1 (its start)")
    if eta in (0, 1):  # the whole of the time, whatever its first and last log-SNR
        return -inf if eta else inf
    first, last = schedule.domain
    if not np.isfinite(last):
        raise invalid_argument("schedule", type(schedule).__name__, "one that ends, for eta is a share of its time")
    return float(schedule.log_snr(first + eta * (last - first)))


def _log_snr_of_fraction(
    resolution: str | int,
    fraction: float,
    size: int | None,
    data_variance: float,
    band_variance: Sequence[float] | None,
) -> float:
    level = level_of(resolution, size)
    if not 0 < check_finite("fraction", fraction) < 1:
        raise invalid_argument("fraction", fraction, "between 0 and 1: no log-SNR starts or completes a band")
    log_variance = level * log(4) + log(data_variance)
    if band_variance is not None:
        values = check_not_nan("band_variance", band_variance)
        if values.ndim != 1 or len(values) <= level or values[level] <= 0:
            must = f"the variance of each band, finest first, > 0 and at least {level + 1} of them"
            raise invalid_argument("band_variance", band_variance, must)
        log_variance = log(values[level])
    return log(fraction / (1 - fraction)) - log_variance


def level_of(resolution: str | int, size: int | None) -> int:
    """Find the level of a resolution.

    Args:
        resolution: "8x8" or 8.
        size: the side of the images.

    Returns:
        m, such that size / 2^m is the side of the resolution.

    Raises:
        ValueError: if the images have no such level, or without a size.

    >>> level_of("32x32", size=32), level_of(8, size=32)
    (0, 2)
    """
    if size is None:
        raise invalid_argument("size", None, "given: the side of what is denoised, in pixels or latents")
    sides = resolutions(int(size))
    match = re.fullmatch(r"(\d+)(?:\s*[x×]\s*(\d+))?", str(resolution).strip())
    side = int(match[1]) if match and match[2] in (None, match[1]) else None
    if side not in sides:
        raise invalid_argument("resolution", resolution, "one of " + ", ".join(f"{side}x{side}" for side in sides))
    return sides.index(side)


def step_weight(at: float) -> WeightFunction:
    """Make the Heaviside weight of Eq 25: 0 below a log-SNR, 1 from there on.

    Args:
        at: the log-SNR.

    Returns:
        The weight.

    >>> [step_weight(1.0)(log_snr) for log_snr in (0.0, 1.0, 2.0)]
    [0.0, 1.0, 1.0]
    """
    at = float(check_not_nan("at", at))
    return lambda log_snr: float(log_snr >= at)


def linear_ramp(start: float, stop: float) -> WeightFunction:
    """Make a weight that rises linearly in log-SNR from 0 to 1.

    Args:
        start: the log-SNR up to which it is 0.
        stop: the log-SNR from which it is 1.

    Returns:
        The weight.

    Raises:
        ValueError: unless start < stop.

    >>> [linear_ramp(0.0, 4.0)(log_snr) for log_snr in (-1.0, 1.0, 2.0, 5.0)]
    [0.0, 0.25, 0.5, 1.0]
    """
    start = check_finite("start", start)
    stop = check_finite("stop", stop, above=start)
    return lambda log_snr: float(np.clip((log_snr - start) / (stop - start), 0, 1))


def cosine_ramp(start: float, stop: float) -> WeightFunction:
    """Make a weight that rises from 0 to 1 along half a wave of a cosine, without corners.

    Args:
        start: the log-SNR up to which it is 0.
        stop: the log-SNR from which it is 1.

    Returns:
        The weight.

    Raises:
        ValueError: unless start < stop.

    >>> [round(cosine_ramp(0.0, 4.0)(log_snr), 3) for log_snr in (-1.0, 1.0, 2.0, 5.0)]
    [0.0, 0.146, 0.5, 1.0]
    """
    ramp = linear_ramp(start, stop)
    return lambda log_snr: (1 - cos(pi * ramp(log_snr))) / 2


def sigmoid_ramp(at: float, width: float = 1.0) -> WeightFunction:
    r"""Make the weight :math:`\sigma((\log \mathrm{SNR} - a) / w)`.

    Args:
        at: a, the log-SNR at which it is 1/2.
        width: w; 1 is the pace at which a band itself is generated.

    Returns:
        The weight.

    Raises:
        ValueError: unless width > 0.

    >>> [round(sigmoid_ramp(1.0)(log_snr), 3) for log_snr in (-9.0, 1.0, 11.0)]
    [0.0, 0.5, 1.0]
    """
    at, width = check_finite("at", at), check_finite("width", width, above=0)
    return lambda log_snr: float(expit((log_snr - at) / width))


def partition(rises: Sequence[WeightFunction]) -> list[WeightFunction]:
    """Make the weights of n prompts that follow one another: 1 - f_1, f_1 - f_2, ..., f_(n-1).

    They add up to 1 at every log-SNR.

    Args:
        rises: the n - 1 rising weights f_i at which one prompt hands over to the next.

    Returns:
        n weights.

    >>> weights = partition([step_weight(-1.0), step_weight(1.0)])
    >>> [[weight(log_snr) for weight in weights] for log_snr in (-2.0, 0.0, 2.0)]
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    edges: list[WeightFunction] = [lambda log_snr: 1.0, *rises, lambda log_snr: 0.0]
    return [_difference(rise, fall) for rise, fall in pairwise(edges)]


def _difference(rise: WeightFunction, fall: WeightFunction) -> WeightFunction:
    return lambda log_snr: rise(log_snr) - fall(log_snr)


def eq_25(schedule: Schedule, eta: float, as_printed: bool = False) -> list[WeightFunction]:
    """Make w_1 and w_2 of Eq 25: prompt 1 until t = eta T and prompt 2 after.

    Args:
        schedule: whose time it is.
        eta: the share of the time that is still to come at the switch.
        as_printed: number the prompts as Eq 25 does, where prompt 2 is active first; the paper does not say which
            prompt that is.

    Returns:
        The two weights.

    >>> from chroma import RectifiedFlow
    >>> first, second = eq_25(RectifiedFlow(), eta=0.5)  # the half of the time is at log-SNR 0
    >>> first(-1.0), second(-1.0), first(1.0), second(1.0)
    (1.0, 0.0, 0.0, 1.0)
    """
    first, second = partition([step_weight(switch_log_snr(schedule, eta=eta))])
    return [second, first] if as_printed else [first, second]


def scaled(weight: WeightFunction, scale: float) -> WeightFunction:
    """Multiply a weight: the guidance scale of a prompt that comes and goes.

    Args:
        weight: a function of log-SNR.
        scale: the factor.

    Returns:
        The weight.

    >>> scaled(linear_ramp(0.0, 4.0), 3.0)(2.0)
    1.5
    """
    scale = check_finite("scale", scale)
    return lambda log_snr: scale * weight(log_snr)


def guidance_interval(start: float, stop: float, inside: float, outside: float = 1.0) -> WeightFunction:
    """Make a guidance scale that differs within an interval (Kynkäänniemi et al. 2024), for `chroma.predictors.Guided`.

    Args:
        start: the log-SNR at which the interval starts.
        stop: the log-SNR at which it stops.
        inside: the scale from start to stop.
        outside: the scale elsewhere.

    Returns:
        The scale as a function of log-SNR.

    Raises:
        ValueError: unless start < stop.

    >>> [guidance_interval(-1.0, 1.0, inside=4.0)(log_snr) for log_snr in (-2.0, 0.0, 2.0)]
    [1.0, 4.0, 1.0]
    """
    rising, falling = step_weight(start), step_weight(stop)
    if not start < stop:
        raise invalid_argument("stop", stop, f"greater than start, {start}")
    return lambda log_snr: inside if rising(log_snr) and not falling(log_snr) else outside


def steps_after(log_snrs: Sequence[float], start: float) -> np.ndarray:
    """Select the steps of a sampler from a log-SNR on: what SDEdit samples, and what an inversion goes back to.

    Args:
        log_snrs: of the steps.
        start: the log-SNR of the switch.

    Returns:
        Those that are at least `start`.

    Raises:
        ValueError: if there is none.

    >>> steps_after([-4.0, -2.0, 0.0, 2.0], start=-1.0)
    array([0., 2.])
    """
    steps = check_not_nan("log_snrs", log_snrs)
    left = steps[steps >= start]
    if not len(left):
        raise invalid_argument("start", start, f"at most the last log-SNR, {steps.max():g}")
    return left
