r"""Design a noise schedule that spends a chosen share of the steps on each band.

::

    schedule = Designed(shares=[0.3, 0.3, 0.2, 0.1, 0.1], band_variance=variance)
    log_snrs = schedule.uniform_log_snrs(16)  # for chroma.sampling.ddim
    scheduler.set_timesteps(timesteps=..., ...)  # see `to_timesteps` and `to_sigmas` for diffusers

A density :math:`p(z) = \sum_m \beta_m \sigma'(z + \log V_m)` over log-SNR has the share :math:`\beta_m` of its mass
where band m is being generated. Its distribution function is :math:`\sum_m \beta_m \sigma(z + \log V_m)`, and time runs
along that.

How good a choice of steps is, `wasserstein` computes exactly for Gaussian data, and `optimal` finds the best one. In
the plane of signal :math:`\sqrt{\alpha V}` and noise :math:`\sqrt{1 - \alpha}`, a band of variance V is a direction,
at the angle :math:`\theta = \arctan e^{-(z + \log V)/2}` from the signal. A DDIM step from :math:`z` to :math:`z'`
multiplies the band by :math:`\cos(\theta - \theta')` more than its standard deviation should change: a large step
loses variance. So for one band the best steps are equal angles, which is the cosine schedule moved by log V; several
bands have to agree on a compromise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import check_int, check_not_nan, invalid_argument
from chroma.pyramid import band_sizes
from chroma.schedules import Schedule, expit

SMALLEST_ERROR = 1e-15  # squared, per pixel: below it steps are not improved any more
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


def wasserstein(log_snrs: ArrayLike, band_variance: ArrayLike, shape: tuple[int, int, int]) -> float:
    r"""Compute the 2-Wasserstein distance of what DDIM generates from Gaussian data, with the exact predictor.

    The data have mean 0 and independent bands. Sampling starts from noise of unit variance at the first log-SNR
    :math:`z_0` and ends with the x0 predicted at the last one, where :math:`\theta = 0`. Of the standard deviation of
    band m, it leaves the part

    .. math:: \rho_m = \prod_i \cos(\theta_m(z_i) - \theta_m(z_{i+1}))
        \Big/ \sqrt{\sigma(z_0) V_m + \sigma(-z_0)}

    and the distance between two Gaussian distributions with the same eigenvectors is that of their standard
    deviations, :math:`W_2^2 = \sum_m N_m V_m (1 - \rho_m)^2`.

    Args:
        log_snrs: of the steps, from noisy to clean, (steps,); the first may be -inf, pure noise.
        band_variance: V_m > 0 of the data, finest first, (levels,).
        shape: (C, H, W) of the images.

    Returns:
        :math:`W_2 / \sqrt{C H W}`, which is the root mean square over pixels, in the units of the images.

    Raises:
        ValueError: for steps that do not increase, and variances that are not positive or not one per band.

    >>> variance = [0.02, 0.1, 0.5, 2.0]
    >>> [round(wasserstein(np.linspace(-8, 6, steps), variance, (3, 8, 8)), 3) for steps in (4, 16, 64)]
    [0.134, 0.036, 0.013]
    """
    z, (variance, weights) = check_not_nan("log_snrs", log_snrs), _weighted_bands(band_variance, shape)
    if z.ndim != 1 or not len(z) or z[-1] == np.inf or (np.diff(z) <= 0).any():
        raise invalid_argument("log_snrs", log_snrs, "strictly increasing, from noisy to clean, and less than infinite")
    with np.errstate(over="ignore"):  # the angle of pure noise is a right one
        theta = np.arctan(np.exp(-(z + np.log(variance)[:, None]) / 2))
    turns = np.diff(theta, axis=1, append=0.0)
    kept = np.cos(turns).prod(1) / np.sqrt(expit(z[0]) * variance + expit(-z[0]))
    return float(np.sqrt(weights @ (1 - kept) ** 2))


def optimal(steps: int, band_variance: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    """Find the steps whose `wasserstein` is least, by L-BFGS.

    Args:
        steps: their number, at least 1.
        band_variance: V_m > 0 of the data, finest first, (levels,).
        shape: (C, H, W) of the images.

    Returns:
        The log-SNRs, from noisy to clean, (steps,).

    Raises:
        ValueError: for fewer than one step, and variances that are not positive or not one per band.

    >>> variance = [0.02, 0.1, 0.5, 2.0]
    >>> best = optimal(4, variance, (3, 8, 8))
    >>> best.round(1), round(wasserstein(best, variance, (3, 8, 8)), 3)
    (array([-0.2,  0.9,  2.5,  4.8]), 0.04)
    """
    import torch  # here, since everything else of this module needs NumPy alone

    variance, weights = (torch.from_numpy(array) for array in _weighted_bands(band_variance, shape))
    # a start from which the optimum is not far
    first, last = float(-variance.log().max() - 3), float(-variance.log().min() + 3)
    start = torch.linspace(first, last, check_int("steps", steps, 1), dtype=torch.float64)
    # the first log-SNR and the logarithms of the differences: any numbers are steps in order
    parameters = torch.cat([start[:1], start.diff().log()]).requires_grad_()

    def log_snrs():
        return torch.cat([parameters[:1], parameters[1:].exp()]).cumsum(0)

    def log_error():
        optimizer.zero_grad()
        z = log_snrs()
        theta = torch.atan(torch.exp(-(z + variance.log()[:, None]) / 2))
        turns = torch.cat([theta.diff(dim=1), theta[:, -1:]], 1)
        kept = turns.cos().prod(1) / torch.sqrt(z[0].sigmoid() * variance + (-z[0]).sigmoid())
        # unit variance in every band is white noise itself, for which no error is left
        error = (weights @ (1 - kept) ** 2 + SMALLEST_ERROR).log()
        error.backward()
        return error

    optimizer = torch.optim.LBFGS(
        [parameters], max_iter=500, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )
    optimizer.step(log_error)
    return log_snrs().detach().numpy()


def _weighted_bands(band_variance: ArrayLike, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """V_m, and N_m V_m per pixel value of the image."""
    variance, sizes = check_not_nan("band_variance", band_variance), band_sizes(shape)
    if variance.shape != sizes.shape or not np.isfinite(variance).all() or (variance <= 0).any():
        raise invalid_argument(
            "band_variance", band_variance, f"finite and > 0, one for each of the {len(sizes)} bands"
        )
    return variance, sizes * variance / sizes.sum()


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
