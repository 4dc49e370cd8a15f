r"""Noise schedules: monotone maps from time to log-SNR, with their inverses.

The paper writes :math:`x_t = \sqrt{\alpha_t}\, x_0 + \sqrt{1 - \alpha_t}\, \epsilon` (Eq 1); its :math:`\alpha_t` is
what diffusers calls ``alphas_cumprod``. Schedules are kept as
:math:`\log \mathrm{SNR} = \log(\alpha_t / (1 - \alpha_t))` (Eq 2). In log-SNR, one level of coarse-graining is the
addition of log 4, and nothing overflows.

Times run from clean to noisy: t is in [0, 1], except for `Natural` ([0, inf)) and `Discrete` (the index of a training
step, fractional between steps). All methods take numbers or arrays of any shape and return float64 of that shape.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from math import cos, log, pi, sin, sqrt

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import check_finite, check_int, check_not_nan, invalid_argument


def expit(z: ArrayLike) -> np.ndarray:
    r"""Compute the logistic function :math:`\sigma(z) = 1 / (1 + e^{-z})`: alpha as a function of log-SNR.

    Args:
        z: any shape.

    Returns:
        float64 of that shape, between 0 and 1; it never overflows.

    >>> float(expit(0.0)), float(expit(-1000.0))
    (0.5, 0.0)
    """
    z = np.asarray(z, dtype=np.float64)
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1.0) / (1.0 + small)


def flow_log_snr(sigma: ArrayLike) -> np.ndarray:
    r"""Compute the log-SNR of :math:`(1 - \sigma) x_0 + \sigma \epsilon`, the mixture of flow matching.

    Args:
        sigma: the weight of the noise, in [0, 1], any shape.

    Returns:
        float64 of that shape; +inf at 0 and -inf at 1.

    >>> flow_log_snr([1.0, 0.5])
    array([-inf,   0.])
    """
    with np.errstate(divide="ignore"):
        return 2 * (np.log1p(-np.asarray(sigma, dtype=np.float64)) - np.log(sigma))


def alpha_log_snr(alpha: ArrayLike) -> np.ndarray:
    r"""Compute the log-SNR of :math:`\alpha`, :math:`\log(\alpha / (1 - \alpha))` (Eq 2).

    Args:
        alpha: the signal's share of the variance (diffusers: ``alphas_cumprod``) in [0, 1], any shape.

    Returns:
        float64 of that shape; -inf at 0 and +inf at 1.

    >>> float(alpha_log_snr(0.5))
    0.0
    """
    alpha = np.asarray(alpha, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.log(alpha) - np.log1p(-alpha)


def _decay(log_snr: np.ndarray) -> np.ndarray:
    """Compute -log alpha = log(1 + exp(-z)), exact for both signs of z."""
    return np.logaddexp(0.0, -log_snr)


def _log_snr_of_decay(u: np.ndarray) -> np.ndarray:
    """Compute the inverse of `_decay`, -log(e^u - 1), in the form that does not overflow for large u."""
    return -u - np.log(-np.expm1(-u))


class Schedule(abc.ABC):
    r"""A noise schedule: a log-SNR that decreases strictly over the times of ``domain``.

    Subclasses implement ``_log_snr`` and its inverse ``_time``, for float64 arrays.

    Attributes:
        domain: the first time (the cleanest) and the last time (the noisiest).

    >>> schedule = Cosine()
    >>> alpha, log_snr = schedule.alpha(0.3), schedule.log_snr(0.3)
    >>> bool(np.isclose(log_snr, np.log(alpha / (1 - alpha)))), round(float(schedule.time(log_snr)), 3)
    (True, 0.3)
    """

    domain: tuple[float, float] = (0.0, 1.0)

    def log_snr(self, t: ArrayLike) -> np.ndarray:
        r"""Compute the log-SNR at a time, :math:`\log(\alpha_t / (1 - \alpha_t))` (Eq 2).

        Args:
            t: time within `domain`, any shape.

        Returns:
            float64 of that shape; +inf where alpha_t is 1 and -inf where it is 0.

        Raises:
            ValueError: for NaN, and for times outside `domain`.
        """
        times = check_not_nan("t", t)
        first, last = self.domain
        if times.size and (times.min() < first or times.max() > last):
            raise invalid_argument("t", t, f"within the schedule's domain [{first:g}, {last:g}]")
        with np.errstate(divide="ignore"):
            return self._log_snr(times)[()]

    def alpha(self, t: ArrayLike) -> np.ndarray:
        """Compute alpha_t of Eq 1, the signal's share of the variance (diffusers: ``alphas_cumprod``).

        Args:
            t: time within `domain`, any shape.

        Returns:
            float64 of that shape, between 0 and 1.

        Raises:
            ValueError: for NaN, and for times outside `domain`.
        """
        return expit(self.log_snr(t))[()]

    def time(self, log_snr: ArrayLike) -> np.ndarray:
        """Compute the time at which the schedule has a log-SNR, the inverse of `log_snr`.

        Args:
            log_snr: any shape.

        Returns:
            float64 of that shape; the nearer end of `domain` for a log-SNR that the schedule never reaches.

        Raises:
            ValueError: for NaN.
        """
        z = check_not_nan("log_snr", log_snr)
        with np.errstate(over="ignore", divide="ignore"):
            return np.clip(self._time(z), *self.domain)[()]

    def uniform_log_snrs(self, steps: int) -> np.ndarray:
        """Compute log-SNRs in the middle of equal parts of the schedule's time, so that none of them is infinite.

        Args:
            steps: their number, at least 1.

        Returns:
            (steps,) float64, strictly increasing, from noisy to clean, as samplers take them.

        Raises:
            ValueError: if `domain` is infinite, or steps is not a whole number >= 1.

        >>> RectifiedFlow().time(RectifiedFlow().uniform_log_snrs(4)).round(3)
        array([0.875, 0.625, 0.375, 0.125])
        """
        first, last = self.domain
        if not np.isfinite(last):
            raise invalid_argument(
                "schedule", type(self).__name__, "one that ends, to divide its time into equal parts"
            )
        return self.log_snr(last - (np.arange(check_int("steps", steps, 1)) + 0.5) / steps * (last - first))

    @abc.abstractmethod
    def _log_snr(self, t: np.ndarray) -> np.ndarray: ...

    @abc.abstractmethod
    def _time(self, z: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Linear(Schedule):
    r"""The schedule of DDPM: beta(t) grows linearly.

    .. math:: \alpha_t = \exp(-\beta_\mathrm{min} t - (\beta_\mathrm{max} - \beta_\mathrm{min})\, t^2 / 2)

    It is the continuous limit of the schedule of Ho et al. (2020) (Song et al. 2021, Eq 33).

    Attributes:
        beta_min: beta at t = 0, > 0, per unit time: 1e-4 per step of 1000 is 0.1.
        beta_max: beta at t = 1, > 0, per unit time: 0.02 per step of 1000 is 20.

    Raises:
        ValueError: for betas that are not finite and > 0.

    >>> Linear().alpha([0.0, 0.5, 1.0]).round(3)
    array([1.   , 0.079, 0.   ])
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_finite("beta_min", self.beta_min, above=0)
        check_finite("beta_max", self.beta_max, above=0)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        return _log_snr_of_decay(self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2)

    def _time(self, z: np.ndarray) -> np.ndarray:
        u = _decay(z)
        slope = self.beta_max - self.beta_min
        # the root of slope t^2 / 2 + beta_min t = u, in the form that does not cancel for small u
        with np.errstate(invalid="ignore"):
            t = 2 * u / (self.beta_min + np.sqrt(np.maximum(self.beta_min**2 + 2 * slope * u, 0.0)))
        return np.where(np.isposinf(u), np.inf, t)


@dataclass(frozen=True)
class ScaledLinear(Schedule):
    r"""The schedule of latent diffusion (Rombach et al. 2022): the square root of beta(t) grows linearly.

    Attributes:
        beta_min: beta at t = 0, > 0, per unit time: Stable Diffusion's 0.00085 per step of 1000 is 0.85.
        beta_max: beta at t = 1, > 0, per unit time: Stable Diffusion's 0.012 per step of 1000 is 12.

    Raises:
        ValueError: for betas that are not finite and > 0.

    >>> round(float(ScaledLinear().alpha(1.0)) ** 0.5, 3)  # the noisiest step still has a trace of the image
    0.069
    """

    beta_min: float = 0.85
    beta_max: float = 12.0

    def __post_init__(self) -> None:
        check_finite("beta_min", self.beta_min, above=0)
        check_finite("beta_max", self.beta_max, above=0)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        a, d = sqrt(self.beta_min), sqrt(self.beta_max) - sqrt(self.beta_min)
        return _log_snr_of_decay(a**2 * t + a * d * t**2 + d**2 * t**3 / 3)

    def _time(self, z: np.ndarray) -> np.ndarray:
        a, d = sqrt(self.beta_min), sqrt(self.beta_max) - sqrt(self.beta_min)
        u = _decay(z)
        c = np.cbrt(a**3 + 3 * d * u)  # sqrt(beta) at the time sought, as c^3 - a^3 = 3 d u
        with np.errstate(invalid="ignore"):
            t = 3 * u / (c**2 + c * a + a**2)
        return np.where(np.isposinf(u), np.inf, t)


@dataclass(frozen=True)
class Cosine(Schedule):
    r"""The cosine schedule (Nichol and Dhariwal 2021; Eq 36).

    .. math:: \alpha_t = \cos^2\left(\frac{t + s}{1 + s} \frac{\pi}{2}\right) \Big/
        \cos^2\left(\frac{s}{1 + s} \frac{\pi}{2}\right)

    Attributes:
        s: the offset, >= 0.

    Raises:
        ValueError: for an offset that is negative or not finite.

    >>> Cosine().alpha([0.0, 0.5, 1.0]).round(3)
    array([1.   , 0.494, 0.   ])
    """

    s: float = 0.008

    def __post_init__(self) -> None:
        if check_finite("s", self.s) < 0:
            raise invalid_argument("s", self.s, "a finite number >= 0")

    @property
    def _angle(self) -> float:
        return self.s / (1 + self.s) * pi / 2

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        start = self._angle
        # theta - theta_0 on its own, so that 1 - alpha keeps its digits near t = 0
        turn = t / (1 + self.s) * pi / 2
        # cos(theta), written as a sine so that it is exactly 0 at t = 1
        cosine = np.sin((1 - t) / (1 + self.s) * pi / 2)
        # cos^2 b - cos^2 a = sin(a - b) sin(a + b)
        return 2 * np.log(cosine) - np.log(np.sin(turn)) - np.log(np.sin(turn + 2 * start))

    def _time(self, z: np.ndarray) -> np.ndarray:
        start = self._angle
        # cos^2 theta = cos^2 theta_0 alpha, and its complement without cancelling
        sine = np.sqrt(sin(start) ** 2 + cos(start) ** 2 * expit(-z))
        cosine = cos(start) * np.sqrt(expit(z))
        return (np.arctan2(sine, cosine) - start) * (1 + self.s) * 2 / pi


@dataclass(frozen=True)
class Sigmoid(Schedule):
    r"""The sigmoid schedule: alpha_t falls along a part of the logistic function.

    .. math:: \alpha_t = \frac{\sigma(b) - \sigma(a + t (b - a))}{\sigma(b) - \sigma(a)}

    with a = `start` and b = `end` (Chen 2023, "On the importance of noise scheduling", with its tau = 1).

    Attributes:
        start: a, where the logistic function is cut at t = 0.
        end: b > a, where it is cut at t = 1.

    Raises:
        ValueError: unless both are finite and start < end.

    >>> Sigmoid().alpha([0.0, 0.5, 1.0]).round(3)
    array([1. , 0.5, 0. ])
    """

    start: float = -3.0
    end: float = 3.0

    def __post_init__(self) -> None:
        check_finite("start", self.start)
        check_finite("end", self.end, above=self.start)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        width = self.end - self.start
        # sigma(a) - sigma(b) = sinh((a - b)/2) / (2 cosh(a/2) cosh(b/2)); the factor of x cancels in the ratio
        return (
            np.log(np.sinh((1 - t) * width / 2))
            - np.log(np.sinh(t * width / 2))
            - log(np.cosh(self.end / 2))
            + log(np.cosh(self.start / 2))
        )

    def _time(self, z: np.ndarray) -> np.ndarray:
        # sigma(x) is the mean of sigma(start) and sigma(end), weighted by alpha and 1 - alpha
        a, b = expit(z), expit(-z)
        up = expit(self.start) * a + expit(self.end) * b
        down = expit(-self.start) * a + expit(-self.end) * b
        return (np.log(up) - np.log(down) - self.start) / (self.end - self.start)


@dataclass(frozen=True)
class Natural(Schedule):
    r"""The Ornstein-Uhlenbeck process in its own time: :math:`\alpha_t = e^{-t}` on [0, inf) (Eqs 28 to 31).

    >>> round(float(Natural().alpha(np.log(2))), 3)
    0.5
    """

    domain = (0.0, np.inf)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        return _log_snr_of_decay(t)

    def _time(self, z: np.ndarray) -> np.ndarray:
        return _decay(z)  # t = ln(1 + 1/SNR), above Eq 32


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    r"""Rectified flow, :math:`x_t = (1 - \sigma)\, x_0 + \sigma \epsilon`, with the resolution shift of SD3.

    The weight of the noise is :math:`\sigma = k t / (1 + (k - 1) t)` with k = `shift` (Esser et al. 2024, Eq 23).
    :math:`\alpha_t` is the one of equal SNR, which is :math:`((1 - \sigma) / \sigma)^2`.

    Attributes:
        shift: k > 0; 1 is rectified flow without a shift.

    Raises:
        ValueError: for a shift that is not finite and > 0.

    >>> RectifiedFlow().alpha([0.0, 0.5, 1.0])
    array([1. , 0.5, 0. ])
    >>> round(float(RectifiedFlow(shift=3.0).alpha(0.25)), 3)  # sigma = 3/4 / (1 + 2/4) = 1/2
    0.5
    """

    shift: float = 1.0

    def __post_init__(self) -> None:
        check_finite("shift", self.shift, above=0)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        return flow_log_snr(t) - 2 * log(self.shift)

    def _time(self, z: np.ndarray) -> np.ndarray:
        return expit(-(z / 2 + log(self.shift)))


@dataclass(frozen=True)
class EDM(Schedule):
    r"""The schedule of EDM, :math:`x_t = x_0 + \sigma \epsilon` with :math:`\sigma^{1/\rho}` linear in t.

    The SNR is :math:`1 / \sigma^2` (Karras et al. 2022, Eq 5).

    Attributes:
        sigma_min: sigma at t = 0, > 0.
        sigma_max: sigma at t = 1, > sigma_min.
        rho: > 0; a larger one gives more of the time to small sigmas.

    Raises:
        ValueError: for parameters that are not finite or out of these ranges.

    >>> np.exp(-EDM().log_snr([0.0, 1.0]) / 2).round(3)  # sigma
    array([2.e-03, 8.e+01])
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_finite("sigma_min", self.sigma_min, above=0)
        check_finite("sigma_max", self.sigma_max, above=self.sigma_min)
        check_finite("rho", self.rho, above=0)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return -2 * self.rho * np.log(low + t * (high - low))

    def _time(self, z: np.ndarray) -> np.ndarray:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return (np.exp(-z / (2 * self.rho)) - low) / (high - low)


@dataclass(frozen=True)
class Discrete(Schedule):
    """A schedule of discrete training steps, from a table of ``alphas_cumprod``.

    Between steps log-SNR is interpolated linearly, as k-diffusion's ``sigma_to_t`` does (log-SNR is -2 log sigma). A
    table that starts at exactly 1 or ends at exactly 0 (zero terminal SNR) has an infinite log-SNR there; inside that
    one interval alpha is interpolated instead.

    Attributes:
        alphas_cumprod: one per training step, from clean to noisy, (T,) with T >= 2. Any sequence of numbers is
            converted to a read-only float64 array.
        domain: the first and the last training step, (0, T - 1).

    Raises:
        ValueError: for a table of another shape, or one that is not strictly decreasing within [0, 1].

    >>> table = Discrete([0.9, 0.5, 0.1])
    >>> table.domain, float(table.log_snr(1))
    ((0.0, 2.0), 0.0)
    """

    alphas_cumprod: np.ndarray = field(repr=False)

    def __post_init__(self) -> None:
        alphas = np.array(self.alphas_cumprod, dtype=np.float64)
        if alphas.ndim != 1 or len(alphas) < 2:
            raise invalid_argument("alphas_cumprod", f"shape {alphas.shape}", "a table of at least 2 steps, shape (T,)")
        check_not_nan("alphas_cumprod", alphas)
        if alphas.min() < 0 or alphas.max() > 1:
            raise invalid_argument("alphas_cumprod", f"{alphas.min():g} .. {alphas.max():g}", "within [0, 1]")
        rises = np.flatnonzero(np.diff(alphas) >= 0)
        if len(rises):
            i = int(rises[0])
            raise invalid_argument(
                "alphas_cumprod", f"{alphas[i]:g}, {alphas[i + 1]:g} at steps {i}, {i + 1}", "strictly decreasing"
            )
        alphas.flags.writeable = False
        object.__setattr__(self, "alphas_cumprod", alphas)
        object.__setattr__(self, "domain", (0.0, float(len(alphas) - 1)))

    def __eq__(self, other: object) -> bool:
        return type(other) is Discrete and np.array_equal(self.alphas_cumprod, other.alphas_cumprod)

    def __hash__(self) -> int:
        return hash(self.alphas_cumprod.tobytes())

    @property
    def _table(self) -> np.ndarray:
        return alpha_log_snr(self.alphas_cumprod)

    def _log_snr(self, t: np.ndarray) -> np.ndarray:
        table, alphas = self._table, self.alphas_cumprod
        i = np.minimum(t.astype(np.intp), len(table) - 2)
        f = t - i
        a = (1 - f) * alphas[i] + f * alphas[i + 1]
        with np.errstate(invalid="ignore"):
            z = (1 - f) * table[i] + f * table[i + 1]
        infinite = np.isinf(table[i]) | np.isinf(table[i + 1])
        return np.where(infinite, np.log(a) - np.log1p(-a), z)

    def _time(self, z: np.ndarray) -> np.ndarray:
        table, alphas = self._table, self.alphas_cumprod
        i = np.clip(len(table) - 1 - np.searchsorted(table[::-1], z, side="left"), 0, len(table) - 2)
        with np.errstate(invalid="ignore"):
            f = (table[i] - z) / (table[i] - table[i + 1])
        infinite = np.isinf(table[i]) | np.isinf(table[i + 1])
        f = np.where(infinite, (alphas[i] - expit(z)) / (alphas[i] - alphas[i + 1]), f)
        return i + np.clip(f, 0.0, 1.0)
