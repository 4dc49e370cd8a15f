r"""Design a noise schedule that spends a chosen share of the steps on each band.

::

    schedule = Designed(shares=[0.3, 0.3, 0.2, 0.1, 0.1], band_variance=variance)
    log_snrs = schedule.uniform_log_snrs(16)  # for chroma.sampling.ddim
    scheduler.set_timesteps(timesteps=..., ...)  # see `to_timesteps` and `to_sigmas` for diffusers

A density :math:`p(z) = \sum_m \beta_m \sigma'(z + \log V_m)` over log-SNR has the share :math:`\beta_m` of its mass
where band m is being generated. Its distribution function is :math:`\sum_m \beta_m \sigma(z + \log V_m)`, and time runs
along that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chroma._check import check_not_nan, invalid_argument
from chroma.schedules import Schedule, expit

BISECTIONS = 80  # 2^-80 of an interval of 1600: below a double's last digit


@dataclass(frozen=True)
class Designed(Schedule):
    r"""Time :math:`t = 1 - \sum_m \beta_m \sigma(z + \log V_m)`, from 0 (image) to 1 (noise).

    Attributes:
        shares: beta_m of the steps, finest band first, >= 0, adding up to 1.
        band_variance: V_m > 0 of the data, one per share. With V_m = 4^m they are the levels of the paper's r_m.

    Raises:
        ValueError: for shares or variances that are not as said.

    >>> halves = Designed(shares=[0.5, 0.5], band_variance=[1.0, 1e6])
    >>> halves.uniform_log_snrs(4).round(2)  # two around -log 1e6 = -13.8, the coarse band, and two around 0
    array([-14.91, -12.72,  -1.1 ,   1.1 ])
    """

    shares: Sequence[float]
    band_variance: Sequence[float]

    def __post_init__(self):
        shares = check_not_nan("shares", self.shares)
        variance = check_not_nan("band_variance", self.band_variance)
        if shares.ndim != 1 or not len(shares) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-9:
            raise invalid_argument("shares", self.shares, "one per band, >= 0, adding up to 1")
        if variance.shape != shares.shape or (variance <= 0).any():
            must = f"> 0, one for each of the {len(shares)} bands"
            raise invalid_argument("band_variance", self.band_variance, must)
        object.__setattr__(self, "shares", tuple(shares.tolist()))
        object.__setattr__(self, "band_variance", tuple(variance.tolist()))

    def _time(self, z: np.ndarray) -> np.ndarray:
        log_variance = np.log(self.band_variance).reshape(-1, *[1] * z.ndim)
        shares = np.reshape(self.shares, log_variance.shape)
        return (shares * expit(-(z + log_variance))).sum(0)  # 1 - sigma(u) is sigma(-u)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        # the inverse by bisection: the time of every log-SNR is known, and falls
        log_variance = np.log(self.band_variance)
        low, high = np.full(t.shape, -log_variance.max() - 800.0), np.full(t.shape, -log_variance.min() + 800.0)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            later = self._time(middle) < t
            low, high = np.where(later, low, middle), np.where(later, middle, high)
        return np.where(t <= 0, np.inf, np.where(t >= 1, -np.inf, (low + high) / 2))


def to_timesteps(log_snrs: Sequence[float], schedule: Schedule) -> list[int]:
    """Convert log-SNRs to training timesteps, for diffusers schedulers whose ``set_timesteps`` takes ``timesteps``.

    Args:
        log_snrs: from noisy to clean, (steps,).
        schedule: the one that the network was trained with (`chroma.from_scheduler`).

    Returns:
        The nearest training timesteps.

    Raises:
        ValueError: if two steps fall on one timestep.

    >>> from chroma import Discrete
    >>> to_timesteps([-2.0, 0.0, 2.0], Discrete([0.9, 0.5, 0.1]))
    [2, 1, 0]
    """
    timesteps = np.rint(schedule.time(check_not_nan("log_snrs", log_snrs))).astype(int)
    if (np.diff(timesteps) >= 0).any():
        must = "further apart: two of them are the same training timestep"
        raise invalid_argument("log_snrs", f"{len(timesteps)} steps", must)
    return timesteps.tolist()


def to_sigmas(log_snrs: Sequence[float], flow: bool = False) -> list[float]:
    r"""Convert log-SNRs to the ``sigmas`` that diffusers schedulers take.

    Args:
        log_snrs: from noisy to clean, (steps,).
        flow: for flow matching, :math:`(1 - \sigma) x_0 + \sigma \epsilon`, without a last 0; set the scheduler's shift
            to 1 first, or it is applied once more. Otherwise for Euler and others with
            :math:`x_0 + \sigma \epsilon`: :math:`e^{-z/2}`, and a last 0.

    Returns:
        The sigmas.

    >>> [round(sigma, 3) for sigma in to_sigmas([-2 * np.log(3), 0.0])]
    [3.0, 1.0, 0.0]
    >>> [round(sigma, 3) for sigma in to_sigmas([-2 * np.log(3), 0.0], flow=True)]
    [0.75, 0.5]
    """
    z = check_not_nan("log_snrs", log_snrs)
    if flow:
        return expit(-z / 2).tolist()
    return [*np.exp(-z / 2).tolist(), 0.0]
