"""The steps of an inference: those that a diffusers scheduler was set to, or a plan from its configuration alone.

`plan` needs NumPy alone; `step_log_snrs` reads any scheduler after its ``set_timesteps``.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chroma._check import check_finite, check_int, invalid_argument
from chroma.schedulers.config import alphas_cumprod_from_config, flow_mu
from chroma.schedulers.mixture import step_weights
from chroma.schedulers.settings import followed_settings, unknown_scheduler
from chroma.schedules import Discrete, alpha_log_snr, flow_log_snr

KARRAS_RHO = 7  # diffusers' own, whatever the scheduler
FRACTIONAL = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "LMSDiscreteScheduler")
LAST_DROPPED = ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler")
ZERO_SNR_ALPHA = 2.0**-24  # what the schedulers with sigmas have in place of 0, lest their sigma be infinite
LEAST_NOISE = 1e-5  # 1 - alpha; of less than this, diffusers' float32 has no two digits
LEAST_SIGNAL = 1e-30  # alpha; products that are smaller lose their digits in float32, then become 0
LEAST_SHIFT, MOST_SHIFT = 0.05, 100.0  # beyond, float32 decides how far the first sigmas are from 1
ROUNDING = 1e-4  # two log-SNRs that are nearer than this are one
FALL = 0.05  # what float32 makes of a log-SNR that two evaluations share


@dataclass(frozen=True)
class Plan:
    """The steps of an inference, from noisy to clean.

    There is one entry per log-SNR at which the network is evaluated. PNDM, Heun and KDPM2 ancestral evaluate it twice
    at some log-SNRs, which have one entry.

    Attributes:
        timesteps: what the network is given as time, (steps,).
        log_snrs: of the images that it is given, (steps,). The first is -inf for a flow that starts at pure noise, or
            with zero terminal SNR.
    """

    timesteps: np.ndarray
    log_snrs: np.ndarray


def step_log_snrs(scheduler: Any) -> np.ndarray:
    """Read the log-SNRs at which a diffusers scheduler, as it was set (``set_timesteps``), has the network evaluated.

    They are what the network really gets: for solvers that evaluate it between two steps (KDPM2, DPM-Solver SDE), the
    log-SNR there.

    Args:
        scheduler: a diffusers scheduler, which stays as it is.

    Returns:
        (evaluations,), one per entry of the scheduler's ``timesteps``.

    Raises:
        ValueError: for a scheduler that does not mix an image with noise, or does not reveal how.

    >>> from diffusers import DDIMScheduler
    >>> scheduler = DDIMScheduler(beta_schedule="squaredcos_cap_v2")
    >>> scheduler.set_timesteps(4)
    >>> step_log_snrs(scheduler).round(2)  # as by `plan`
    array([-1.79, -0.03,  1.7 , 10.09])
    """
    image, noise = step_weights(scheduler)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * (np.log(image) - np.log(noise))


def distinct_steps(timesteps: np.ndarray, log_snrs: np.ndarray, steps: int | None, scheduler: str) -> Plan:
    """Make a plan of a scheduler's evaluations, which must go from noise to image.

    Args:
        timesteps: of the evaluations, (evaluations,).
        log_snrs: of the evaluations, (evaluations,).
        steps: that the scheduler was set to; where it has more evaluations than these, it repeats some by design.
        scheduler: its name, for the refusal.

    Returns:
        The plan, in which an evaluation at the log-SNR of the one before is left out.

    Raises:
        ValueError: where log-SNRs are undefined or infinitely clean, fall, or repeat without design.

    >>> distinct_steps(np.array([900.0, 500.0, 500.0]), np.array([-3.0, 0.0, 0.0]), 2, "HeunDiscreteScheduler").log_snrs
    array([-3.,  0.])
    """
    count, undefined = len(log_snrs), np.isnan(log_snrs) | (log_snrs == np.inf)
    if undefined.any():
        got = f"{scheduler}, whose step {_first(undefined)} of {count} has no noise, or an undefined noise level"
        raise invalid_argument("steps", got, "of images with noise in them (sigma > 0)")
    with np.errstate(invalid="ignore"):
        rises = np.diff(log_snrs)
    rises[np.isnan(rises)] = 0.0  # from -inf to -inf
    repeats = steps is not None and count > steps
    falls = rises < (-FALL if repeats else 0)
    if falls.any():
        got = f"{scheduler}, whose step {_first(falls) + 1} of {count} goes back towards noise"
        raise invalid_argument("scheduler", got, "one whose steps all go from noise to image")
    same = rises <= 0 if not repeats else (rises[1:] <= ROUNDING) & (rises[:-1] <= ROUNDING)
    if same.any():
        got = f"{count}, of which {_first(same)} and {_first(same) + 1} have the same noise level"
        raise invalid_argument("steps", got, f"fewer with this {scheduler}")
    distinct = np.append(True, rises > (ROUNDING if repeats else 0))
    return Plan(np.asarray(timesteps, dtype=float)[: len(log_snrs)][distinct], log_snrs[distinct])


def _first(where: np.ndarray) -> int:
    """The number of the first step, from 1, at which something is true."""
    return int(np.argmax(where)) + 1


def check_given(steps: int | None, sigmas: Sequence[float] | None, timesteps: Sequence[float] | None) -> None:
    """Check the number of steps, and the lists of sigmas and timesteps given in its place.

    Args:
        steps: how many, at least 1; None where a list is given.
        sigmas: a list of numbers in falling order, or None.
        timesteps: a list of numbers in falling order, or None.

    Raises:
        ValueError: for lists that are empty, not finite, negative or not in falling order, or do not fit the number of
            steps, and where neither steps nor a list is given.

    >>> check_given(None, [1.0, 0.5], None)
    """
    if sigmas is None and timesteps is None:
        check_int("steps", steps, 1)
        return
    for name, values in (("sigmas", sigmas), ("timesteps", timesteps)):
        if values is None:
            continue
        shown = reprlib.repr(values if isinstance(values, str) else list(values) if np.iterable(values) else values)
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise invalid_argument(name, shown, "a list of numbers") from error
        if numbers.ndim != 1 or not numbers.size or not np.isfinite(numbers).all() or (numbers < 0).any():
            raise invalid_argument(name, shown, "a list of at least one finite number, none of them negative")
        if (np.diff(numbers) >= 0).any():
            raise invalid_argument(name, shown, "in falling order, from noise to image")
        if steps is not None and check_int("steps", steps, 1) != len(numbers) - (len(numbers) > 1 and numbers[-1] == 0):
            raise invalid_argument("steps", steps, f"left out or {len(numbers)}, the number of {name}")


def plan(
    config: Mapping,
    steps: int | None,
    tokens: int | None = None,
    *,
    mu: float | None = None,
    sigmas: Sequence[float] | None = None,
    timesteps: Sequence[float] | None = None,
) -> Plan:
    r"""Compute the steps as the scheduler of a configuration would set them.

    Args:
        config: what diffusers saves as ``scheduler_config.json``, with its ``_class_name``.
        steps: how many, at least 1; None where `sigmas` or `timesteps` are given.
        tokens: of the image, where a flow's shift depends on its size (``use_dynamic_shifting``). They give Flux's
            :math:`\mu`, and sigmas from 1 to 1 / steps in equal parts.
        mu: what a pipeline computes from the size of the image, in place of `tokens`.
        sigmas: what a pipeline hands to ``set_timesteps``.
        timesteps: what a pipeline hands to ``set_timesteps``.

    Returns:
        The plan.

    Raises:
        UnknownScheduler: for a class, or settings of one, whose steps are not known without diffusers.
        ValueError: for lists that do not fall or do not fit the number of steps, for a shift that needs the number of
            tokens, and for more steps than the scheduler has.

    >>> plan({"_class_name": "DDIMScheduler"}, steps=4).timesteps
    array([750., 500., 250.,   0.])
    """
    check_given(steps, sigmas, timesteps)
    if mu is not None:
        mu = check_finite("mu", mu)
    settings, name = followed_settings(config), config["_class_name"]
    if "shift" in settings:
        return _flow_plan(name, settings, steps, tokens, mu, sigmas, timesteps)
    if mu is not None or sigmas is not None or timesteps is not None:
        raise unknown_scheduler(f"{name} with mu, sigmas or timesteps of its own", "")
    count = check_int("steps", steps, 1)
    if settings.get("use_flow_sigmas"):
        return _lent_plan(name, settings, count)
    if "scaler" in settings:
        return _wuerstchen_plan(name, settings, count)
    if "rho" in settings:
        return _edm_plan(name, settings, count)
    return _table_plan(name, settings, count)


def pipeline_lists(config: Mapping, steps: int) -> tuple[list[float], list[float] | None]:
    """Compute what the pipeline of a flow whose shift depends on the size of the image hands to its scheduler.

    Args:
        config: the scheduler's configuration.
        steps: how many, at least 1.

    Returns:
        The sigmas, and the timesteps or None. They are FluxPipeline's sigmas from 1 to 1 / steps, or with
        ``time_shift_type`` "linear" CogView4Pipeline's whole timesteps and their sigmas.

    >>> pipeline_lists({}, 4)
    ([1.0, 0.75, 0.5, 0.25], None)
    """
    if config.get("time_shift_type") != "linear":
        return np.linspace(1, 1 / steps, steps).tolist(), None
    count = config.get("num_train_timesteps", 1000)
    times = np.linspace(count, 1, steps).astype(np.int64).astype(float)
    return (times / count).tolist(), times.tolist()


def _flow_plan(
    name: str,
    settings: Mapping,
    steps: int | None,
    tokens: int | None,
    mu: float | None,
    sigmas: Sequence[float] | None,
    timesteps: Sequence[float] | None,
) -> Plan:
    _check_lists(sigmas, timesteps)
    dynamic, count = settings["use_dynamic_shifting"], settings["num_train_timesteps"]
    if dynamic and mu is None:
        mu = flow_mu(settings, tokens)
        if sigmas is None and timesteps is None:
            sigmas, timesteps = pipeline_lists(settings, check_int("steps", steps, 1))
    shift = settings["shift"]
    if dynamic and mu is not None:
        shift = mu if settings["time_shift_type"] == "linear" else float(np.exp(mu))

    if not LEAST_SHIFT <= shift <= MOST_SHIFT:
        raise unknown_scheduler(f"{name} with a shift of {shift:g}", "")

    def shifted(sigma):
        return shift * sigma / (1 + (shift - 1) * sigma)

    if sigmas is not None:
        weights = np.asarray(sigmas, dtype=np.float64)
    elif timesteps is not None:
        weights = np.asarray(timesteps, dtype=np.float64) / count
    else:  # from the largest sigma to the smallest, which is shifted already unless the shift is the image's
        weights = np.linspace(1, 1 / count if dynamic else shifted(1 / count), check_int("steps", steps, 1))
    with np.errstate(all="ignore"):  # what is not finite then is left to diffusers
        weights = shifted(weights)
        if settings["shift_terminal"]:
            weights = 1 - (1 - weights) * (1 - settings["shift_terminal"]) / (1 - weights[-1])
    times = (1 - weights if settings["invert_sigmas"] else weights) * count
    if timesteps is not None and not settings["invert_sigmas"]:
        times = np.asarray(timesteps, dtype=np.float64)
    if not ((weights > 0) & (weights <= 1)).all():
        raise unknown_scheduler("a flow whose sigmas are not within (0, 1]", "")
    return distinct_steps(times, flow_log_snr(weights), len(weights), name)


def _check_lists(sigmas: Sequence[float] | None, timesteps: Sequence[float] | None) -> None:
    """Refuse sigmas that a flow cannot have, and lists that do not go together."""
    if sigmas is not None and not all(0 < sigma <= 1 for sigma in sigmas):
        raise invalid_argument("sigmas", reprlib.repr(list(sigmas)), "within (0, 1] for a flow")
    if sigmas is not None and timesteps is not None and len(sigmas) != len(timesteps):
        raise invalid_argument("timesteps", f"{len(timesteps)} of them", f"as many as the sigmas, {len(sigmas)}")


def _lent_plan(name: str, settings: Mapping, steps: int) -> Plan:
    """The steps of a multistep solver that is lent to a flow-matching model."""
    if settings["use_karras_sigmas"]:
        raise unknown_scheduler(f"{name} with use_karras_sigmas and use_flow_sigmas", "")
    shift, count = settings["flow_shift"], settings["num_train_timesteps"]
    sigmas = np.linspace(1, 1 / count, steps + 1)[:-1]
    if name == "DPMSolverMultistepScheduler":  # from one training step below 1 down to above 0
        sigmas = (1 - np.linspace(1, 1 / count, steps + 1))[:0:-1]
    sigmas = shift * sigmas / (1 + (shift - 1) * sigmas)
    if name == "UniPCMultistepScheduler" and abs(sigmas[0] - 1) < 1e-6:
        sigmas[0] -= 1e-6
    timesteps = np.trunc(sigmas * count)
    return distinct_steps(timesteps, flow_log_snr(sigmas.astype(np.float32)), steps, name)


def _wuerstchen_plan(name: str, settings: Mapping, steps: int) -> Plan:
    """The steps of Wuerstchen and Stable Cascade: a cosine in continuous time."""
    times, offset, scaler = np.linspace(1, 0, steps + 1)[:-1], settings["s"], settings["scaler"]
    warped = 1 - (1 - times) ** scaler if scaler > 1 else times**scaler
    cosines = np.cos((np.append(warped, 0) + offset) / (1 + offset) * np.pi / 2) ** 2
    return distinct_steps(times, alpha_log_snr(np.clip(cosines[:-1] / cosines[-1], 0.0001, 0.9999)), steps, name)


def _edm_plan(name: str, settings: Mapping, steps: int) -> Plan:
    with np.errstate(all="ignore"):
        low, high = np.array([settings["sigma_min"], settings["sigma_max"]], dtype=float) ** (1 / settings["rho"])
        sigmas = np.linspace(high, low, steps) ** settings["rho"]
    if not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise unknown_scheduler(f"{name} with rho={settings['rho']}, of which a sigma is not a finite number > 0", "")
    return distinct_steps(0.25 * np.log(sigmas), -2 * np.log(sigmas), steps, name)


def _table_plan(name: str, settings: Mapping, steps: int) -> Plan:
    """The steps of a scheduler that has a table of alphas, one per training step."""
    with np.errstate(all="ignore"):
        alphas = alphas_cumprod_from_config(settings)
    if settings.get("rescale_betas_zero_snr") and name in (*FRACTIONAL, *LAST_DROPPED):
        alphas[-1] = ZERO_SNR_ALPHA
    inside = ((alphas >= LEAST_SIGNAL) | (alphas == 0)) & (alphas <= 1 - LEAST_NOISE)
    if not inside.all() or (np.diff(alphas) >= 0).any():
        raise unknown_scheduler(f"{name} with alphas that do not fall, or are too near 0 or 1 for float32", "")
    log_snrs, count = alpha_log_snr(alphas), len(alphas)
    timesteps = _timesteps(name, settings, steps)
    if count != settings["num_train_timesteps"] or len(timesteps) != steps or timesteps.min() < 0:
        raise unknown_scheduler(f"{name} with {steps} steps of {count}", "")
    if name not in (*FRACTIONAL, *LAST_DROPPED):
        if timesteps.max() >= count:
            raise invalid_argument("steps", steps, f"fewer: the noisiest step is {timesteps.max():g} of {count - 1}")
        return distinct_steps(timesteps, log_snrs[timesteps.astype(int)], steps, name)
    # these interpolate sigma between training steps
    sigmas = np.interp(timesteps, np.arange(count), np.exp(-log_snrs / 2))
    if settings.get("use_karras_sigmas"):
        cosine, zero_snr = settings["beta_schedule"] == "squaredcos_cap_v2", settings.get("rescale_betas_zero_snr")
        if cosine and (zero_snr or name == "DPMSolverMultistepScheduler"):  # float32 decides about the timesteps
            raise unknown_scheduler(f"{name} with Karras sigmas of a cosine", "")
        low, high = np.exp(-log_snrs[[0, -1]] / 2) if name in LAST_DROPPED else sigmas[[-1, 0]]
        low, high = settings.get("sigma_min") or low, settings.get("sigma_max") or high
        sigmas = np.linspace(high ** (1 / KARRAS_RHO), low ** (1 / KARRAS_RHO), steps) ** KARRAS_RHO
        timesteps = Discrete(alphas).time(-2 * np.log(sigmas))
        if name in LAST_DROPPED:
            timesteps = timesteps.round()
    if settings.get("timestep_type") == "continuous" and settings["prediction_type"] == "v_prediction":
        timesteps = 0.25 * np.log(sigmas)
    return distinct_steps(timesteps, -2 * np.log(sigmas), steps, name)


def _timesteps(name: str, settings: Mapping, steps: int) -> np.ndarray:
    """The timesteps of a scheduler with a table, noisy to clean, as its class spreads them."""
    count = settings["num_train_timesteps"]
    if name == "LCMScheduler":
        return _distilled_timesteps(settings["original_inference_steps"], count, steps)
    spacing = settings["timestep_spacing"]
    if spacing == "trailing":
        return np.round(np.arange(count, 0, -count / steps)) - 1.0
    offset = settings["steps_offset"] if spacing == "leading" else 0
    if name in LAST_DROPPED:  # spread over one step more, the last of which is left out
        if spacing == "linspace":
            return np.linspace(0, count - 1, steps + 1).round()[::-1][:-1]
        return (np.arange(steps + 1) * (count // (steps + 1)))[::-1][:-1] + float(offset)
    if spacing == "linspace":
        even = np.linspace(0, count - 1, steps)[::-1]
        return even if name in FRACTIONAL else even.round()
    return (np.arange(steps) * (count // steps))[::-1] + float(offset)


def _distilled_timesteps(original: int, count: int, steps: int) -> np.ndarray:
    """An even choice among the timesteps that the model was distilled to."""
    if steps > original:
        raise invalid_argument("steps", steps, f"at most {original}, those that the model was distilled to")
    distilled = (np.arange(1, original + 1) * (count // original) - 1)[::-1]
    return distilled[np.floor(np.linspace(0, len(distilled), steps, endpoint=False)).astype(int)].astype(float)
