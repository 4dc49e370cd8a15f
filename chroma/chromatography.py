"""In log-SNR, one level down is `+ log 4`, and resolution chromatography is a softmax.

Averaging n x n pixels divides the variance of white noise by n^2 and leaves the signal's intensity alone
(Eq 9), so the level-m coarse image runs on the same clock, 2 m log n later in log-SNR (Eqs 11 and 16).
Level 0 is the full resolution; the functions are NumPy and accept any shape.
"""

from __future__ import annotations

import numpy as np

from chroma._check import not_nan, refuse, whole


def _level(level):
    levels = not_nan("level", level)
    if (levels < 0).any():
        raise refuse("level", level, ">= 0: 0 is the full resolution")
    return levels


def _log_expit(z):
    """log s(z) = log alpha, to an absolute error of 1e-16: enough, as it is exponentiated, and faster than log1p."""
    return np.minimum(z, 0) - np.log(1 + np.exp(-np.abs(z)))


def shift(log_snr, level, kernel: int = 2):
    """log-SNR of the `level`-th coarse image: log SNR(tau_m) = log SNR(t) + 2 m log n (Eqs 11, 16).

    log_snr and level broadcast; kernel is n, the side of the averaged square. Raises ValueError for NaN,
    a negative level, or a kernel below 2.

    >>> round(float(shift(0.0, 1)), 3)  # log 4
    1.386
    """
    return (not_nan("log_snr", log_snr) + 2 * _level(level) * np.log(whole("kernel", kernel, 2)))[()]


def adjusted_time(schedule, t, level, kernel: int = 2):
    """tau_m: the time at which `schedule` has the SNR that the `level`-th coarse image has at `t` (Eq 16).

    In the units of ``schedule.domain``; its first time, where the schedule has no higher SNR to offer.

    >>> from chroma import Cosine
    >>> adjusted_time(Cosine(), 0.8, level=[0, 1, 2]).round(3)
    array([0.8  , 0.633, 0.416])
    """
    return schedule.time(shift(schedule.log_snr(t), level, kernel))


def intensity(log_snr, level, kernel: int = 2):
    """lambda_m: the factor that gives D^m x_t unit marginal variance again, sqrt(alpha_tau / alpha_t) (Eqs 12, 16).

    Equal to n^m / sqrt(1 + (n^2m - 1) alpha): 1 for a clean image, n^m for pure noise.

    >>> intensity([-np.inf, 0.0, np.inf], 1).round(3)  # pure noise, equal parts, a clean image
    array([2.   , 1.265, 1.   ])
    """
    z = not_nan("log_snr", log_snr)
    deeper = shift(z, level, kernel)
    with np.errstate(invalid="ignore"):
        log_ratio = _log_expit(deeper) - _log_expit(z)
    # at log-SNR = -inf both logs are -inf; their difference is the shift itself
    return np.exp(0.5 * np.where(np.isneginf(z), shift(0.0, level, kernel), log_ratio))[()]


def chromatography(log_snr, levels: int, log_power=None, kernel: int = 2):
    """r_m: the share of level m in the signal generated at `log_snr` (Eqs 18, 34); (levels,) + log_snr.shape.

    Sums to 1 over axis 0. As d alpha(tau_m) / dt = s'(z_m) dz/dt and dz/dt is common to all levels,
    r_m = s'(z_m) / sum_n s'(z_n), z_m = z + m log 4: a softmax of log s(z_m) + log s(-z_m), for any clock
    (Theorem 1). The softmax is finite for every z; Eq 34 as printed overflows as alpha -> 0.

    log_power: log V_m, shape (levels,), puts the band power of real data in place of m log 4, and so of `kernel`: the
    spectrum-aware chromatogram. levels counts them, >= 1. Raises ValueError for NaN or a wrong shape.

    >>> early, late = chromatography([-20.0, 20.0], levels=3).T
    >>> (21 * early).round(3), (21 * late).round(3)  # coarse first: in proportion to 4^m, and in the end to 4^-m
    (array([ 1.,  4., 16.]), array([16.,  4.,  1.]))
    """
    z = not_nan("log_snr", log_snr)
    levels = whole("levels", levels, 1)
    if log_power is None:
        offsets = shift(0.0, np.arange(levels), kernel)
    else:
        offsets = not_nan("log_power", log_power)
        if offsets.shape != (levels,) or not np.isfinite(offsets).all():
            raise refuse("log_power", log_power, f"finite, of shape ({levels},)")
    # Beyond +-LIMIT the softmax has reached its limits 4^m and 4^-m to the last digit; so have infinite z.
    limit = 800.0 + np.abs(offsets).max()
    distance = np.abs(np.clip(z, -limit, limit) + offsets.reshape(-1, *[1] * z.ndim))
    # s'(z_m) = e^-d / (1 + e^-d)^2 with d = |z_m|, over the largest e^-d: the softmax without its logarithms
    share = np.exp(distance.min(axis=0) - distance)
    share /= np.square(1 + np.exp(-distance))
    share /= share.sum(axis=0)
    return share


def _powers(name: str, power) -> np.ndarray:
    values = not_nan(name, power)
    if values.ndim != 1 or not len(values) or (values < 0).any() or not np.isfinite(values).all():
        raise refuse(name, power, "finite and >= 0, one a band, shape (levels,)")
    return values


def _by_level(log_snr, power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z within +-1e6, where every limit is reached, and log V_m shaped to broadcast against it: (levels,) + z.shape."""
    z = np.clip(not_nan("log_snr", log_snr), -1e6, 1e6)
    with np.errstate(divide="ignore"):
        return z, np.log(power).reshape(-1, *[1] * z.ndim)


def resolved(log_snr, power):
    """rho_m = s(z + log V_m): the share of band m's variance that E[x0 | x_t] has at `log_snr`, for Gaussian data.

    power: V_m, (levels,), the variance of a coefficient of each band (`chroma.measure.BandPower`). Returns (levels,) +
    log_snr.shape. Its derivative, normalised over m, is ``chromatography(log_snr, levels, log V)``. Derived in the
    book, page "Measuring it directly". Raises ValueError for NaN and for powers that are none.

    >>> resolved(0.0, [1.0, 3.0])
    array([0.5 , 0.75])
    """
    z, log_power = _by_level(log_snr, _powers("power", power))
    return np.exp(_log_expit(z + log_power))


def guidance_power(log_snr, power, between):
    """E e_CFG^2 of a coefficient of each band for Gaussian data: what Eq 19 measures, up to the sizes of the bands.

    alpha (1 - alpha) w / ((alpha v + 1 - alpha) (alpha V + 1 - alpha)), with V = `power` the variance of a coefficient,
    w = `between` <= V that of its mean given the prompt, and v = V - w; both (levels,). Returns (levels,) +
    log_snr.shape. Times `chroma.pyramid.band_sizes` and normalised, it is the prediction of the measured
    chromatogram. Where a prompt says little (w << V) it is w/V s'(z + log V): the spectrum-aware chromatogram
    weighted by w/V. Derived in the book, page "What does the guidance norm measure". Raises ValueError for NaN, or if
    0 <= between <= power does not hold.

    >>> guidance_power(0.0, power=[1.0, 1.0], between=[1.0, 0.0])  # where the prompt decides all, and nothing
    array([0.5, 0. ])
    """
    total, of_prompt = _powers("power", power), _powers("between", between)
    if total.shape != of_prompt.shape or (of_prompt > total).any():
        raise refuse("between", between, f"at most power, {power}, band by band")
    z, log_total = _by_level(log_snr, total)
    _, log_within = _by_level(log_snr, total - of_prompt)
    _, log_between = _by_level(log_snr, of_prompt)
    # e^(z + log w) over (1 + e^(z + log V)) (1 + e^(z + log v)): both divided by (1 - alpha)^2
    return np.exp(z + log_between - np.logaddexp(0, z + log_total) - np.logaddexp(0, z + log_within))


def total_variation(shares, other):
    """Half the sum over levels (axis 0) of `|r_m - r'_m|`: 0 where two chromatograms agree, 1 where they share none.

    The largest difference between what the two say of any set of levels. Broadcasts; raises ValueError for NaN.

    >>> float(total_variation([0.5, 0.5, 0.0], [0.0, 0.5, 0.5]))
    0.5
    """
    return (np.abs(not_nan("shares", shares) - not_nan("other", other)).sum(axis=0) / 2)[()]
