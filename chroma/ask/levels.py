r"""A model and its noise levels, in the units of diffusers and of ComfyUI.

A noise level is a log-SNR z. For tables of alphas diffusers and ComfyUI write :math:`\sigma = e^{-z/2}`, for flows
:math:`\sigma = 1 / (1 + e^{z/2})`. ComfyUI's percent (``ConditioningSetTimestepRange``, ``ControlNetApplyAdvanced``,
hooks) is a share of the *training time*: ``percent_to_sigma`` in its ``model_sampling.py``. The percent of diffusers
(``control_guidance_end``, guiders) is a share of the *steps*. They differ unless the steps are even in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, inf, log
from pathlib import Path
from typing import Any

import numpy as np

from chroma._check import check_finite, check_int, invalid_argument
from chroma.schedulers.config import schedule_from_config
from chroma.schedulers.curves import CURVES, DEFAULT_CURVE
from chroma.schedulers.inference import Inference, inference
from chroma.schedulers.settings import UnknownScheduler
from chroma.schedules import EDM, Discrete, RectifiedFlow, Schedule, expit

COMFYUI_LAST = 999.0  # the last index of ComfyUI's tables of sigmas, which belongs to its percent 0
SAME = 1e-9  # log-SNRs that are nearer than this are one


@dataclass(frozen=True)
class NoiseLevel:
    """A noise level in all units.

    Attributes:
        log_snr: log(signal variance / noise variance); -inf is pure noise, inf the finished image.
        sigma: of the scheduler, in diffusers and ComfyUI.
        timestep: of the training, what the network is given as time; None beyond the schedule.
        step: the first step, counted from 0, whose input is at least as clean: this many steps come before it.
        steps: of the inference.
        share_of_steps: the share of the passes of a pipeline's loop that come before, as diffusers'
            ``control_guidance_start`` and its guiders take it. PNDM passes its second step twice.
        comfyui_percent: between 0 and 1, for ComfyUI's start_percent and end_percent; None if it has no such model.
    """

    log_snr: float
    sigma: float
    timestep: float | None
    step: int
    steps: int
    share_of_steps: float
    comfyui_percent: float | None


@dataclass(frozen=True)
class Model:
    """A model whose noise levels and resolutions can be converted into one another.

    Attributes:
        inference: its steps, and what belongs to them.
        curve: one of `chroma.schedulers.curves.CURVES`.

    >>> model = find_model("sdxl", steps=30)
    >>> level = model.level(model.half_done("32x32"))
    >>> level.step, round(level.sigma, 3), round(level.timestep)
    (7, 4.0, 744)
    """

    inference: Inference
    curve: str = DEFAULT_CURVE

    def __post_init__(self) -> None:
        self.inference.band_variances(self.curve)  # refuses a curve that this model does not have

    @property
    def steps(self) -> int:
        """How many steps the inference has."""
        return len(self.inference.plan.log_snrs)

    @property
    def resolutions(self) -> list[int]:
        """The sides of the resolutions, coarsest first: powers of two, and the side of what is denoised."""
        side = self.inference.side
        return [*(2**k for k in range(side.bit_length()) if 2**k < side), side]

    @property
    def is_flow(self) -> bool:
        """Whether image and noise are mixed with weights that add up to 1."""
        config = self.inference.config
        return self.inference.shift is not None or bool(config.get("use_flow_sigmas"))

    def schedule(self) -> Schedule | None:
        """Find the schedule of the training, shifted as the pipeline shifts it.

        Returns:
            The schedule; None where the configuration does not say.
        """
        if self.inference.shift is not None:
            return RectifiedFlow(self.inference.shift)
        try:
            return schedule_from_config(self.inference.config)
        except (UnknownScheduler, ValueError):
            return None

    def level(self, log_snr: float) -> NoiseLevel:
        """Convert a log-SNR to all units.

        Args:
            log_snr: the noise level.

        Returns:
            The noise level in all units.
        """
        step = int((self.inference.plan.log_snrs < log_snr - SAME).sum())
        return NoiseLevel(
            log_snr,
            self._sigma(log_snr),
            self._timestep(log_snr),
            step,
            self.steps,
            self.passes(step) / self.passes(self.steps),
            self._comfyui_percent(log_snr),
        )

    def passes(self, step: int) -> int:
        """Count the passes of the pipeline's loop before a step.

        Args:
            step: counted from 0.

        Returns:
            As many as steps, but for PNDM, which passes its second step twice.
        """
        twice = self.inference.config.get("_class_name") == "PNDMScheduler"
        return step + (twice and step > 1)

    def log_snr_of(
        self,
        *,
        sigma: float | None = None,
        timestep: float | None = None,
        step: int | None = None,
        comfyui_percent: float | None = None,
    ) -> float:
        """Convert a noise level, given in one of four ways, to its log-SNR.

        Args:
            sigma: of the scheduler.
            timestep: of the training.
            step: counted from 0; what it is given. The number of steps is the finished image.
            comfyui_percent: between 0 and 1.

        Returns:
            The log-SNR.

        Raises:
            ValueError: for a value outside the schedule, and unless exactly one is given.
        """
        given = {"sigma": sigma, "timestep": timestep, "step": step, "percent": comfyui_percent}
        names = [name for name, value in given.items() if value is not None]
        if len(names) != 1:
            must = "given in one way: sigma, timestep, step or percent"
            raise invalid_argument("the noise level", ", ".join(names) or "nothing", must)
        if sigma is not None:
            return self._log_snr_of_sigma(check_finite("sigma", sigma))
        if timestep is not None:
            return self._log_snr_of_timestep(check_finite("timestep", timestep))
        if step is not None:
            if not 0 <= check_int("step", step, 0) <= self.steps:
                raise invalid_argument("step", step, f"from 0 to {self.steps}, the number of steps")
            return float(np.append(self.inference.plan.log_snrs, inf)[step])
        return self._log_snr_of_percent(check_finite("percent", comfyui_percent))  # type: ignore[arg-type]

    def side_of(self, resolution: str | int) -> int:
        """Read a resolution of what is denoised.

        Args:
            resolution: "16x16" or 16, in latents where the model has latents.

        Returns:
            Its side.

        Raises:
            ValueError: for a resolution that the images or latents do not have.
        """
        text = str(resolution).lower().replace("×", "x").replace(" ", "")
        sides = text.split("x")
        kind = "latents" if self.inference.latent_factor > 1 else "pixels"
        most = self.inference.side
        if (
            not all(side.isascii() and side.isdigit() for side in sides)
            or len(sides) > 2
            or len(set(sides)) > 1
            or int(sides[0]) < 1
        ):
            raise invalid_argument("resolution", resolution, f"a side such as 16x16, at most {most}x{most} {kind}")
        if int(sides[0]) > most:
            must = f"at most {most}x{most}: the {kind} have no finer one"
            raise invalid_argument("resolution", resolution, must)
        return int(sides[0])

    def half_done(self, resolution: str | int, fraction: float = 0.5) -> float:
        r"""Find the log-SNR at which a fraction of a band is generated, :math:`\sigma(z + \log V) = f`.

        Args:
            resolution: "16x16" or 16.
            fraction: f, of the band, between 0 and 1.

        Returns:
            The log-SNR.

        Raises:
            ValueError: for a resolution that the images or latents do not have.
        """
        if not 0 < check_finite("fraction", fraction) < 1:
            raise invalid_argument("fraction", fraction, "between 0 and 1: no noise level starts or completes a band")
        variance = self.inference.band_variances(self.curve, [self.side_of(resolution)])[0]
        return log(fraction / (1 - fraction)) - log(variance)

    def done(self, log_snr: float, also: str | int | None = None) -> dict[str, float]:
        """Compute which fraction of each band is generated at a log-SNR.

        Args:
            log_snr: the noise level.
            also: a resolution, besides `resolutions`.

        Returns:
            "16x16" -> fraction, coarsest first.
        """
        sides = sorted({*self.resolutions, *([] if also is None else [self.side_of(also)])})
        fractions = expit(log_snr + np.log(self.inference.band_variances(self.curve, sides)))
        return {f"{side}x{side}": float(fraction) for side, fraction in zip(sides, fractions, strict=True)}

    def with_curve(self, curve: str) -> Model:
        """Use another curve.

        Args:
            curve: one of `chroma.schedulers.curves.CURVES`.

        Returns:
            The model with it.
        """
        return Model(self.inference, curve)

    def other_curves(self) -> list[str]:
        """List the curves that this model also has.

        Returns:
            Their names.
        """
        known = [curve for curve in CURVES if curve != "spectrum" or self.inference.spectrum is not None]
        return [curve for curve in known if curve != self.curve]

    def _sigma(self, z: float) -> float:
        if z in (-inf, inf):
            return (1.0 if self.is_flow else inf) if z < 0 else 0.0
        return float(expit(-z / 2)) if self.is_flow else exp(-z / 2)

    def _log_snr_of_sigma(self, sigma: float) -> float:
        top = 1.0 if self.is_flow else inf
        if not 0 < sigma <= top:
            must = "between 0 and 1: the model is a flow" if self.is_flow else "greater than 0"
            raise invalid_argument("sigma", sigma, must)
        if sigma == 1.0 and self.is_flow:
            return -inf
        return 2 * log((1 - sigma) / sigma) if self.is_flow else -2 * log(sigma)

    def _timestep(self, z: float) -> float | None:
        schedule, config = self.schedule(), self.inference.config
        if self.is_flow and not config.get("invert_sigmas"):
            return self._sigma(z) * config.get("num_train_timesteps", 1000)
        if isinstance(schedule, EDM):
            return None if z in (-inf, inf) else -z / 8
        if isinstance(schedule, Discrete):
            noisiest, cleanest = (float(end) for end in schedule.log_snr([schedule.domain[1], schedule.domain[0]]))
            inside = noisiest - SAME <= z <= cleanest + SAME
            return float(schedule.time(min(max(z, noisiest), cleanest))) if inside else None
        plan = self.inference.plan
        inside = plan.log_snrs[0] <= z <= plan.log_snrs[-1]
        return float(np.interp(z, plan.log_snrs, plan.timesteps)) if inside else None

    def _log_snr_of_timestep(self, timestep: float) -> float:
        schedule, config = self.schedule(), self.inference.config
        if self.is_flow and not config.get("invert_sigmas"):
            most = config.get("num_train_timesteps", 1000)
            if not 0 < timestep <= most:
                raise invalid_argument("timestep", timestep, f"within the schedule, more than 0 and at most {most}")
            return self._log_snr_of_sigma(timestep / most)
        if isinstance(schedule, EDM):
            return -8 * timestep
        if not isinstance(schedule, Discrete):
            times, z = (values[::-1] for values in (self.inference.plan.timesteps, self.inference.plan.log_snrs))
            order = np.argsort(times)
            if not times.min() <= timestep <= times.max():
                raise invalid_argument("timestep", timestep, f"from {times.min():g} to {times.max():g}, as the steps")
            return float(np.interp(timestep, times[order], z[order]))
        first, last = schedule.domain
        if not first <= timestep <= last:
            raise invalid_argument("timestep", timestep, f"within the schedule, from {first:g} to {last:g}")
        return float(schedule.log_snr(timestep))

    def _comfyui_percent(self, z: float) -> float | None:
        schedule = self.schedule()
        if z == -inf:
            return 0.0
        if z == inf:
            return 1.0
        if isinstance(schedule, RectifiedFlow):
            return 1 - float(schedule.time(z))
        if isinstance(schedule, Discrete):
            timestep = self._timestep(z)
            clean = float(schedule.log_snr(schedule.domain[0]))
            return (1.0 if z > clean else 0.0) if timestep is None else 1 - min(timestep / COMFYUI_LAST, 1.0)
        return None

    def _log_snr_of_percent(self, percent: float) -> float:
        schedule = self.schedule()
        if not 0 <= percent <= 1:
            raise invalid_argument("percent", percent, "from 0 (the start) to 1 (the end)")
        if percent in (0.0, 1.0):
            return inf if percent else -inf
        if isinstance(schedule, RectifiedFlow):
            return float(schedule.log_snr(1 - percent))
        if isinstance(schedule, Discrete):
            return float(schedule.log_snr(min((1 - percent) * COMFYUI_LAST, schedule.domain[1])))
        raise invalid_argument("the noise level", f"percent {percent:g}", "given as sigma or step for this schedule")


def find_model(
    name: str | Path | Mapping | Any,
    steps: int = 30,
    size: int | None = None,
    shift: float | None = None,
    curve: str = DEFAULT_CURVE,
    **options: Any,
) -> Model:
    """Find a model and the steps of its inference.

    Args:
        name: as `chroma.schedulers.inference.inference` takes it.
        steps: of the inference.
        size: the side of the images in pixels, or their height.
        shift: of a flow, in place of the model's own.
        curve: one of `chroma.schedulers.curves.CURVES`.
        options: further ones of `chroma.schedulers.inference.inference`.

    Returns:
        The model.

    Raises:
        ValueError: naming what is unknown and what to pass.

    >>> find_model("wan22", steps=20, shift=8).inference.shift
    8.0
    """
    return Model(inference(name, steps, size, shift=shift, **options), curve)
