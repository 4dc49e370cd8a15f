"""A noise schedule made to measure: the time density that spends a chosen share of the steps on each band::

    schedule = Designed(shares=[0.3, 0.3, 0.2, 0.1, 0.1], power=power)
    log_snrs = schedule.steps(16)  # for chroma.sampling.ddim
    scheduler.set_timesteps(timesteps=..., ...)  # see `timesteps` and `sigmas` for diffusers

A density p(z) = sum_m beta_m s'(z + log V_m) over log-SNR has the share beta_m of its mass where band m is being
generated. Its distribution function is sum_m beta_m s(z + log V_m), and time runs along that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from chroma._check import not_nan, refuse, whole
from chroma.schedules import Schedule, expit


@dataclass(frozen=True)
class Designed(Schedule):
    """Time t = 1 - sum_m beta_m s(z + log V_m): as a `Schedule`, t from 0 (image) to 1 (noise).

    shares: beta_m, finest band first, >= 0, adding up to 1. power: V_m > 0 of the data, one for each. With V_m = 4^m
    they are the bands of the paper's r_m. Raises ValueError for anything else.

    >>> halves = Designed(shares=[0.5, 0.5], power=[1.0, 1e6])
    >>> halves.steps(4).round(2)  # two for the coarse band, around -log 1e6 = -13.8, and two for the fine one, around 0
    array([-14.91, -12.72,  -1.1 ,   1.1 ])
    """

    shares: Sequence[float]
    power: Sequence[float]

    def __post_init__(self):
        shares, power = not_nan("shares", self.shares), not_nan("power", self.power)
        if shares.ndim != 1 or not len(shares) or (shares < 0).any() or abs(shares.sum() - 1) > 1e-9:
            raise refuse("shares", self.shares, "one a band, >= 0, adding up to 1")
        if power.shape != shares.shape or (power <= 0).any():
            raise refuse("power", self.power, f"> 0, one for each of the {len(shares)} bands")
        object.__setattr__(self, "shares", tuple(shares.tolist()))
        object.__setattr__(self, "power", tuple(power.tolist()))

    def _time(self, z):
        offsets = np.log(self.power).reshape(-1, *[1] * z.ndim)
        shares = np.reshape(self.shares, offsets.shape)
        return (shares * expit(-(z + offsets))).sum(0)  # 1 - s(u) is s(-u)

    def _log_snr(self, t):
        """The inverse by bisection: the time of every log-SNR is known, and falls."""
        offsets = np.log(self.power)
        low, high = np.full(t.shape, -offsets.max() - 800.0), np.full(t.shape, -offsets.min() + 800.0)
        for _ in range(80):  # 2^-80 of 1600: below a double's last digit
            middle = (low + high) / 2
            later = self._time(middle) < t
            low, high = np.where(later, low, middle), np.where(later, middle, high)
        return np.where(t <= 0, np.inf, np.where(t >= 1, -np.inf, (low + high) / 2))

    def steps(self, count: int) -> np.ndarray:
        """`count` log-SNRs, noisy to clean, in the middle of equal parts of the time: for `chroma.sampling`."""
        return self.log_snr(1 - (np.arange(whole("count", count, 1)) + 0.5) / count)


def timesteps(log_snrs: Sequence[float], trained: Schedule) -> list[int]:
    """Log-SNRs as whole training timesteps, for diffusers schedulers whose ``set_timesteps`` takes ``timesteps``.

    trained: the schedule of the network (`chroma.from_scheduler`). Raises ValueError if two steps fall on one timestep.

    >>> from chroma import Discrete
    >>> timesteps([-2.0, 0.0, 2.0], Discrete([0.9, 0.5, 0.1]))
    [2, 1, 0]
    """
    found = np.rint(trained.time(not_nan("log_snrs", log_snrs))).astype(int)
    if (np.diff(found) >= 0).any():
        raise refuse("log_snrs", f"{len(found)} steps", "further apart: two of them are the same training timestep")
    return found.tolist()


def sigmas(log_snrs: Sequence[float], flow: bool = False) -> list[float]:
    """Log-SNRs as the ``sigmas`` that diffusers schedulers take.

    Euler and others with x0 + sigma eps: exp(-z / 2), and a last 0. flow: of flow matching, (1 - sigma) x0 + sigma
    eps, without a last 0; set the scheduler's shift to 1 first, or it is applied once more.

    >>> [round(sigma, 3) for sigma in sigmas([-2 * np.log(3), 0.0])]
    [3.0, 1.0, 0.0]
    >>> [round(sigma, 3) for sigma in sigmas([-2 * np.log(3), 0.0], flow=True)]
    [0.75, 0.5]
    """
    z = not_nan("log_snrs", log_snrs)
    if flow:
        return expit(-z / 2).tolist()
    return [*np.exp(-z / 2).tolist(), 0.0]
