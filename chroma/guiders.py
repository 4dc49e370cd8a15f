r"""Guidance by resolution in the modular pipelines of diffusers: a guider with a scale and a window for each band.

::

    log_snrs = step_log_snrs(pipe.scheduler)  # after set_timesteps, or of chroma.schedulers.pipelines.pipeline_plan
    guider = ResolutionGuidance(5.0, {"64x64": 9.0, "128x128": 9.0}, {"8x8": (-5.0, 0.0)}, log_snrs)
    pipe.update_components(guider=guider)

diffusers' ``FrequencyDecoupledGuidance`` has scales per band too, but its windows are shares of the number of steps,
which mean another noise level with every scheduler. Here they are log-SNRs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.guiders.classifier_free_guidance import ClassifierFreeGuidance
from diffusers.guiders.guider_utils import GuiderOutput

from chroma._check import check_finite, invalid_argument
from chroma.pyramid import bands, resolutions


class ResolutionGuidance(ClassifierFreeGuidance):
    r"""Guide each band with a scale of its own, inside a window of its own: :math:`u + \sum_m w_m (c - u)^{(m)}`.

    Outside its window a band has the scale 1, which is the conditional prediction. With one scale and no window it is
    ``ClassifierFreeGuidance``. Steps at which all scales are 1 need no unconditional prediction.

    Args:
        guidance_scale: of the bands that `scales` does not name.
        scales: resolution of the latents, such as "64x64" -> its scale.
        windows: resolution -> the log-SNRs between which its band is guided; others are guided always.
        log_snrs: of the steps of the scheduler; needed for windows.
        enabled: whether to guide at all.

    Raises:
        ValueError: for windows that are empty, or without log-SNRs; while it runs, for resolutions that the latents do
            not have, for latents that are packed into tokens, and for another number of steps.

    >>> guider = ResolutionGuidance(4.0, windows={"1x1": [-2.0, 2.0]}, log_snrs=[-4.0, 0.0, 4.0])
    >>> for step in range(3):
    ...     guider.set_state(step, 3, torch.tensor(0))
    ...     print(guider.forward(torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).pred.mean().item())
    1.0
    4.0
    1.0
    """

    guidance_scale: float
    _enabled: bool
    _step: int

    @register_to_config
    def __init__(
        self,
        guidance_scale: float = 7.5,
        scales: Mapping[str, float] | None = None,
        windows: Mapping[str, Sequence[float]] | None = None,
        log_snrs: Sequence[float] | None = None,
        enabled: bool = True,
    ):
        super().__init__(guidance_scale=check_finite("guidance_scale", guidance_scale), enabled=enabled)
        self.scales = {_side(name): check_finite("scales", scale) for name, scale in (scales or {}).items()}
        self.windows = {_side(name): _window(window) for name, window in (windows or {}).items()}
        self.log_snrs = None if log_snrs is None else [float(z) for z in log_snrs]
        if self.windows and self.log_snrs is None:
            must = "given with windows: the log-SNRs of the steps (chroma.schedulers.steps.step_log_snrs)"
            raise invalid_argument("log_snrs", None, must)

    def set_state(self, step: int, num_inference_steps: int, timestep: torch.LongTensor) -> None:
        """Take over the step of the pipeline's loop.

        Args:
            step: counted from 0.
            num_inference_steps: of the call.
            timestep: of the step.

        Raises:
            ValueError: for another number of steps than `log_snrs` has.
        """
        if self.log_snrs is not None and num_inference_steps != len(self.log_snrs):
            must = f"of length {num_inference_steps}, the number of steps of this call"
            raise invalid_argument("log_snrs", f"{len(self.log_snrs)} of them", must)
        super().set_state(step, num_inference_steps, timestep)

    def scale_of(self, side: int) -> float:
        """Find the scale of a band at the current step.

        Args:
            side: of its resolution.

        Returns:
            The scale; 1 outside the window.
        """
        scale = self.scales.get(side, self.guidance_scale)
        window = self.windows.get(side)
        if window is None or self.log_snrs is None or self._step is None:
            return scale
        return scale if window[0] <= self.log_snrs[self._step] < window[1] else 1.0

    def forward(self, pred_cond: torch.Tensor, pred_uncond: torch.Tensor | None = None) -> GuiderOutput:
        """Combine both predictions.

        Args:
            pred_cond: the conditional prediction, (..., H, W).
            pred_uncond: the unconditional one; None where the step is not guided.

        Returns:
            The guided prediction, and both.

        Raises:
            ValueError: for predictions that are packed into tokens, and resolutions that they do not have.
        """
        if pred_uncond is None:
            return GuiderOutput(pred=pred_cond, pred_cond=pred_cond, pred_uncond=None)
        if pred_cond.ndim < 4:
            must = "images of shape (..., height, width); this pipeline packs its latents into tokens"
            raise invalid_argument("pred_cond", f"shape {tuple(pred_cond.shape)}", must)
        height, width = pred_cond.shape[-2:]
        sides = resolutions(min(height, width))
        parts = bands(pred_cond - pred_uncond)
        sides = sides[: len(parts)]
        unknown = sorted({*self.scales, *self.windows} - {*sides})
        if unknown:
            must = "those of the latents: " + ", ".join(f"{side}x{side}" for side in sides)
            raise invalid_argument("the resolutions", ", ".join(f"{side}x{side}" for side in unknown), must)
        guided = (self.scale_of(side) * part for side, part in zip(sides, parts, strict=True))
        return GuiderOutput(pred=sum(guided, pred_uncond), pred_cond=pred_cond, pred_uncond=pred_uncond)

    def _is_cfg_enabled(self) -> bool:
        """Whether a band is guided at this step."""
        scales = [self.guidance_scale, *(self.scale_of(side) for side in {*self.scales, *self.windows})]
        return self._enabled and not all(math.isclose(scale, 1.0) for scale in scales)


def _side(name: str) -> int:
    """The side of a resolution."""
    sides = str(name).replace("×", "x").split("x")
    if not all(side.isascii() and side.isdigit() for side in sides) or len({*sides}) > 1:
        raise invalid_argument("a resolution", name, "a side such as 64x64")
    return int(sides[0])


def _window(window: Sequence[float]) -> tuple[float, float]:
    start, stop = (float(end) for end in window)
    if not start < stop:
        raise invalid_argument("a window", tuple(window), "two log-SNRs, the noisier first")
    return start, stop
