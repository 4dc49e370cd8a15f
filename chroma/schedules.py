"""A noise schedule is a monotone map time -> log-SNR, with its inverse.

The paper writes x_t = sqrt(alpha_t) x_0 + sqrt(1 - alpha_t) eps (Eq 1): its alpha_t is what
diffusers calls ``alphas_cumprod``. Everything here is kept as log SNR = log(alpha / (1 - alpha))
(Eq 2), in which one level of coarse-graining is the addition of log 4 and nothing overflows.

Times run from clean to noisy: t in [0, 1] (``Natural``: [0, inf); ``Discrete``: the index of a
training step, fractional between steps). All methods take scalars or arrays of any shape and
return float64 of that shape.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from math import cos, log, pi, sin, sqrt

import numpy as np

from chroma._check import finite, not_nan, refuse


def expit(z):
    """The logistic function s(z) = 1 / (1 + exp(-z)): alpha as a function of log-SNR; never overflows.

    >>> float(expit(0.0)), float(expit(-1000.0))
    (0.5, 0.0)
    """
    z = np.asarray(z, dtype=np.float64)
    small = np.exp(-np.abs(z))
    return np.where(z < 0, small, 1.0) / (1.0 + small)


def _decay(log_snr):
    """-log alpha = log(1 + exp(-z)), exact for both signs of z."""
    return np.logaddexp(0.0, -log_snr)


def _log_snr_of_decay(u):
    """The inverse of `_decay`: -log(e^u - 1), in the form that does not overflow for large u."""
    return -u - np.log(-np.expm1(-u))


class Schedule(abc.ABC):
    """A strictly decreasing log-SNR over ``domain``; subclasses give `_log_snr` and its inverse `_time`.

    >>> schedule = Cosine()
    >>> alpha, log_snr = schedule.alpha(0.3), schedule.log_snr(0.3)
    >>> bool(np.isclose(log_snr, np.log(alpha / (1 - alpha)))), round(float(schedule.time(log_snr)), 3)
    (True, 0.3)
    """

    domain: tuple[float, float] = (0.0, 1.0)

    def log_snr(self, t):
        """log(alpha_t / (1 - alpha_t)) at time `t`: +inf where alpha_t = 1, -inf where it is 0 (Eq 2).

        Raises ValueError for NaN, or for times outside `domain`.
        """
        times = not_nan("t", t)
        first, last = self.domain
        if times.size and (times.min() < first or times.max() > last):
            raise refuse("t", t, f"within the schedule's domain [{first:g}, {last:g}]")
        with np.errstate(divide="ignore"):
            return self._log_snr(times)[()]

    def alpha(self, t):
        """The signal's share of the variance, alpha_t in Eq 1 (diffusers: ``alphas_cumprod``)."""
        return expit(self.log_snr(t))[()]

    def time(self, log_snr):
        """The time at which the schedule passes `log_snr`: the inverse of `log_snr(t)`.

        A log-SNR that the schedule never reaches gives the nearer end of `domain`: there is no
        earlier clock reading than its first. Raises ValueError for NaN.
        """
        z = not_nan("log_snr", log_snr)
        with np.errstate(over="ignore", divide="ignore"):
            return np.clip(self._time(z), *self.domain)[()]

    @abc.abstractmethod
    def _log_snr(self, t: np.ndarray) -> np.ndarray: ...

    @abc.abstractmethod
    def _time(self, z: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Linear(Schedule):
    """beta(t) grows linearly: alpha_t = exp(-beta_min t - (beta_max - beta_min) t^2 / 2).

    The continuous limit of Ho et al. (2020); betas are per unit time, so their 1e-4 .. 0.02 over
    1000 steps are beta_min = 0.1, beta_max = 20 (Song et al. 2021, Eq 33).

    >>> Linear().alpha([0.0, 0.5, 1.0]).round(3)
    array([1.   , 0.079, 0.   ])
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self):
        finite("beta_min", self.beta_min, above=0)
        finite("beta_max", self.beta_max, above=0)

    def _log_snr(self, t):
        return _log_snr_of_decay(self.beta_min * t + (self.beta_max - self.beta_min) * t**2 / 2)

    def _time(self, z):
        u = _decay(z)
        slope = self.beta_max - self.beta_min
        # the root of slope t^2 / 2 + beta_min t = u, in the form that does not cancel for small u
        with np.errstate(invalid="ignore"):
            t = 2 * u / (self.beta_min + np.sqrt(np.maximum(self.beta_min**2 + 2 * slope * u, 0.0)))
        return np.where(np.isposinf(u), np.inf, t)


@dataclass(frozen=True)
class ScaledLinear(Schedule):
    """sqrt(beta(t)) grows linearly, the schedule of latent diffusion (Rombach et al. 2022).

    Betas are per unit time: Stable Diffusion's 0.00085 .. 0.012 over 1000 steps are 0.85 and 12.

    >>> round(float(ScaledLinear().alpha(1.0)) ** 0.5, 3)  # the noisiest step still has a trace of the image
    0.069
    """

    beta_min: float = 0.85
    beta_max: float = 12.0

    def __post_init__(self):
        finite("beta_min", self.beta_min, above=0)
        finite("beta_max", self.beta_max, above=0)

    def _log_snr(self, t):
        a, d = sqrt(self.beta_min), sqrt(self.beta_max) - sqrt(self.beta_min)
        return _log_snr_of_decay(a**2 * t + a * d * t**2 + d**2 * t**3 / 3)

    def _time(self, z):
        a, d = sqrt(self.beta_min), sqrt(self.beta_max) - sqrt(self.beta_min)
        u = _decay(z)
        c = np.cbrt(a**3 + 3 * d * u)  # sqrt(beta) at the time sought, as c^3 - a^3 = 3 d u
        with np.errstate(invalid="ignore"):
            t = 3 * u / (c**2 + c * a + a**2)
        return np.where(np.isposinf(u), np.inf, t)


@dataclass(frozen=True)
class Cosine(Schedule):
    """alpha_t = cos^2((t + s)/(1 + s) pi/2) / cos^2(s/(1 + s) pi/2): Nichol and Dhariwal (2021); Eq 36.

    >>> Cosine().alpha([0.0, 0.5, 1.0]).round(3)
    array([1.   , 0.494, 0.   ])
    """

    s: float = 0.008

    def __post_init__(self):
        if finite("s", self.s) < 0:
            raise refuse("s", self.s, "a finite number >= 0")

    @property
    def _angle(self) -> float:
        return self.s / (1 + self.s) * pi / 2

    def _log_snr(self, t):
        start = self._angle
        # theta - theta_0 on its own, so that 1 - alpha keeps its digits near t = 0
        turn = t / (1 + self.s) * pi / 2
        # cos(theta), written as a sine so that it is exactly 0 at t = 1
        cosine = np.sin((1 - t) / (1 + self.s) * pi / 2)
        # cos^2 b - cos^2 a = sin(a - b) sin(a + b)
        return 2 * np.log(cosine) - np.log(np.sin(turn)) - np.log(np.sin(turn + 2 * start))

    def _time(self, z):
        start = self._angle
        # cos^2 theta = cos^2 theta_0 alpha, and its complement without cancelling
        sine = np.sqrt(sin(start) ** 2 + cos(start) ** 2 * expit(-z))
        cosine = cos(start) * np.sqrt(expit(z))
        return (np.arctan2(sine, cosine) - start) * (1 + self.s) * 2 / pi


@dataclass(frozen=True)
class Sigmoid(Schedule):
    """alpha_t falls along a logistic curve cut at `start` and `end` (Chen 2023, "On the importance of
    noise scheduling", with tau = 1): alpha_t = (s(end) - s(x)) / (s(end) - s(start)), x = start + t (end - start).

    >>> Sigmoid().alpha([0.0, 0.5, 1.0]).round(3)
    array([1. , 0.5, 0. ])
    """

    start: float = -3.0
    end: float = 3.0

    def __post_init__(self):
        finite("start", self.start)
        finite("end", self.end, above=self.start)

    def _log_snr(self, t):
        width = self.end - self.start
        # s(a) - s(b) = sinh((a - b)/2) / (2 cosh(a/2) cosh(b/2)); the factor of x cancels in the ratio
        return (
            np.log(np.sinh((1 - t) * width / 2))
            - np.log(np.sinh(t * width / 2))
            - log(np.cosh(self.end / 2))
            + log(np.cosh(self.start / 2))
        )

    def _time(self, z):
        # s(x) is the mean of s(start) and s(end) weighted by alpha and 1 - alpha
        a, b = expit(z), expit(-z)
        up = expit(self.start) * a + expit(self.end) * b
        down = expit(-self.start) * a + expit(-self.end) * b
        return (np.log(up) - np.log(down) - self.start) / (self.end - self.start)


@dataclass(frozen=True)
class Natural(Schedule):
    """alpha_t = exp(-t) on [0, inf): the Ornstein-Uhlenbeck process in its own time (Eqs 28-31).

    >>> round(float(Natural().alpha(np.log(2))), 3)
    0.5
    """

    domain = (0.0, np.inf)

    def _log_snr(self, t):
        return _log_snr_of_decay(t)

    def _time(self, z):
        return _decay(z)  # t = ln(1 + 1/SNR), above Eq 32


@dataclass(frozen=True)
class RectifiedFlow(Schedule):
    """x_t = (1 - sigma) x_0 + sigma eps with sigma = shift t / (1 + (shift - 1) t): rectified flow, and
    SD3's `shift` (Esser et al. 2024, Eq 23). alpha_t is that of the same SNR, ((1 - sigma)/sigma)^2.

    >>> RectifiedFlow().alpha([0.0, 0.5, 1.0])
    array([1. , 0.5, 0. ])
    >>> round(float(RectifiedFlow(shift=3.0).alpha(0.25)), 3)  # sigma = 3/4 / (1 + 2/4) = 1/2
    0.5
    """

    shift: float = 1.0

    def __post_init__(self):
        finite("shift", self.shift, above=0)

    def _log_snr(self, t):
        return 2 * (np.log1p(-t) - np.log(t) - log(self.shift))

    def _time(self, z):
        return expit(-(z / 2 + log(self.shift)))


@dataclass(frozen=True)
class EDM(Schedule):
    """x_t = x_0 + sigma eps with sigma^(1/rho) linear in t (Karras et al. 2022, Eq 5); SNR = 1/sigma^2.

    >>> np.exp(-EDM().log_snr([0.0, 1.0]) / 2).round(3)  # sigma
    array([2.e-03, 8.e+01])
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self):
        finite("sigma_min", self.sigma_min, above=0)
        finite("sigma_max", self.sigma_max, above=self.sigma_min)
        finite("rho", self.rho, above=0)

    def _log_snr(self, t):
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return -2 * self.rho * np.log(low + t * (high - low))

    def _time(self, z):
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return (np.exp(-z / (2 * self.rho)) - low) / (high - low)


@dataclass(frozen=True)
class Discrete(Schedule):
    """A table of ``alphas_cumprod``, one per training step, from clean to noisy; shape (T,), T >= 2.

    Between steps log-SNR is interpolated linearly, as k-diffusion's ``sigma_to_t`` does (it is -2 log sigma).
    A table that starts at exactly 1 or ends at exactly 0 (zero terminal SNR) has an infinite log-SNR
    there; inside that one interval alpha is interpolated instead. A table that is not strictly decreasing
    within [0, 1] is refused with ValueError.

    >>> table = Discrete([0.9, 0.5, 0.1])
    >>> table.domain, float(table.log_snr(1))
    ((0.0, 2.0), 0.0)
    """

    alphas_cumprod: np.ndarray = field(repr=False)

    def __post_init__(self):
        alphas = np.array(self.alphas_cumprod, dtype=np.float64)
        if alphas.ndim != 1 or len(alphas) < 2:
            raise refuse("alphas_cumprod", f"shape {alphas.shape}", "a table of at least 2 steps, shape (T,)")
        not_nan("alphas_cumprod", alphas)
        if alphas.min() < 0 or alphas.max() > 1:
            raise refuse("alphas_cumprod", f"{alphas.min():g} .. {alphas.max():g}", "within [0, 1]")
        rises = np.flatnonzero(np.diff(alphas) >= 0)
        if len(rises):
            i = int(rises[0])
            raise refuse(
                "alphas_cumprod", f"{alphas[i]:g}, {alphas[i + 1]:g} at steps {i}, {i + 1}", "strictly decreasing"
            )
        alphas.flags.writeable = False
        object.__setattr__(self, "alphas_cumprod", alphas)

    def __eq__(self, other):
        return type(other) is Discrete and np.array_equal(self.alphas_cumprod, other.alphas_cumprod)

    def __hash__(self):
        return hash(self.alphas_cumprod.tobytes())

    @property
    def domain(self) -> tuple[float, float]:
        """The first and the last training step, (0, T - 1)."""
        return (0.0, float(len(self.alphas_cumprod) - 1))

    @property
    def _table(self) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.log(self.alphas_cumprod) - np.log1p(-self.alphas_cumprod)

    def _log_snr(self, t):
        table, alphas = self._table, self.alphas_cumprod
        i = np.minimum(t.astype(np.intp), len(table) - 2)
        f = t - i
        a = (1 - f) * alphas[i] + f * alphas[i + 1]
        with np.errstate(invalid="ignore"):
            z = (1 - f) * table[i] + f * table[i + 1]
        infinite = np.isinf(table[i]) | np.isinf(table[i + 1])
        return np.where(infinite, np.log(a) - np.log1p(-a), z)

    def _time(self, z):
        table, alphas = self._table, self.alphas_cumprod
        i = np.clip(len(table) - 1 - np.searchsorted(table[::-1], z, side="left"), 0, len(table) - 2)
        with np.errstate(invalid="ignore"):
            f = (table[i] - z) / (table[i] - table[i + 1])
        infinite = np.isinf(table[i]) | np.isinf(table[i + 1])
        f = np.where(infinite, (alphas[i] - expit(z)) / (alphas[i] - alphas[i + 1]), f)
        return i + np.clip(f, 0.0, 1.0)


def flow_shift(config, tokens: int | None = None) -> float:
    """SD3's `shift` of a flow-matching configuration, for an image of so many tokens if it depends on them.

    >>> flow_shift({"shift": 3.0})
    3.0
    """
    if not config.get("use_dynamic_shifting"):
        return config.get("shift", 1.0)
    if tokens is None or config.get("time_shift_type", "exponential") != "exponential":
        raise refuse(
            "scheduler",
            "one with use_dynamic_shifting",
            "passed with the number of tokens of its image, or as RectifiedFlow(shift=exp(mu))",
        )
    # mu grows linearly with the number of tokens, as in FluxPipeline
    few, many = config["base_image_seq_len"], config["max_image_seq_len"]
    slope = (config["max_shift"] - config["base_shift"]) / (many - few)
    return float(np.exp(config["base_shift"] + slope * (tokens - few)))


def from_scheduler(scheduler, tokens: int | None = None) -> Schedule:
    """The training noise schedule of a diffusers scheduler, read from its configuration.

    Any scheduler with an ``alphas_cumprod`` table (DDPM, DDIM, PNDM, Euler, DPM-Solver++, UniPC, LCM, CogVideoX, ...;
    every prediction type; zero terminal SNR) becomes `Discrete`, whose times are its training timesteps; EDM
    schedulers become `EDM`; flow-matching ones become `RectifiedFlow`, times in [0, 1] (their timestep / 1000).
    The choice of inference steps (Karras or exponential sigmas, spacing, a terminal shift) does not change the training
    clock. tokens: of the image (Flux: height x width in latents / 4), where the shift of a flow depends on its size
    (``use_dynamic_shifting``). Raises ValueError for a scheduler of another kind, naming it and what to pass instead.

    >>> from diffusers import DDPMScheduler, FlowMatchEulerDiscreteScheduler
    >>> from_scheduler(DDPMScheduler()).domain
    (0.0, 999.0)
    >>> from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0))
    RectifiedFlow(shift=3.0)
    """
    config, name = getattr(scheduler, "config", None), type(scheduler).__name__
    if config is None:
        raise refuse("scheduler", name, "a diffusers scheduler (an object with .config)")
    if config.get("use_flow_sigmas"):  # multistep solvers lent to flow-matching models
        return RectifiedFlow(config["flow_shift"])
    if config.get("use_dynamic_shifting"):
        return RectifiedFlow(flow_shift(config, tokens))
    if config.get("invert_sigmas"):
        raise refuse("scheduler", f"{name} with invert_sigmas", "one whose time runs from clean to noisy")
    if "FlowMatch" in name and "shift" in config:
        return RectifiedFlow(getattr(scheduler, "shift", config["shift"]))  # set_shift changes the attribute alone
    if name.startswith("EDM"):
        if config["sigma_schedule"] != "karras":
            raise refuse("scheduler", f"{name} with sigma_schedule={config['sigma_schedule']!r}", "one with 'karras'")
        return EDM(config["sigma_min"], config["sigma_max"], config["rho"])
    if hasattr(scheduler, "alphas_cumprod"):
        alphas = np.asarray(scheduler.alphas_cumprod).astype(np.float64)
        if config.get("rescale_betas_zero_snr"):
            alphas[-1] = 0.0  # some schedulers keep 2^-24 here, lest their sigma be infinite
        return Discrete(alphas)
    raise refuse(
        "scheduler", name, "a scheduler with alphas_cumprod, an EDM or a flow-matching one, or pass a Schedule"
    )
