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
    """
    return (not_nan("log_snr", log_snr) + 2 * _level(level) * np.log(whole("kernel", kernel, 2)))[()]


def adjusted_time(schedule, t, level, kernel: int = 2):
    """tau_m: the time at which `schedule` has the SNR that the `level`-th coarse image has at `t` (Eq 16).

    In the units of ``schedule.domain``; its first time, where the schedule has no higher SNR to offer.
    """
    return schedule.time(shift(schedule.log_snr(t), level, kernel))


def intensity(log_snr, level, kernel: int = 2):
    """lambda_m: the factor that gives D^m x_t unit marginal variance again, sqrt(alpha_tau / alpha_t) (Eqs 12, 16).

    Equal to n^m / sqrt(1 + (n^2m - 1) alpha): 1 for a clean image, n^m for pure noise.
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
