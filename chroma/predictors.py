"""Everything is a noise predictor; guidance and composition wrap predictors in predictors.

A predictor maps a noised image and its log-SNR to the predicted noise, eps(x_t, t) of Eq 3. Its clock is log-SNR,
not a model's own time, so that predictors of different schedules and resolutions can be combined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from chroma._check import finite, refuse
from chroma.chromatography import intensity, shift
from chroma.pyramid import downsample, residual, upsample
from chroma.schedules import Schedule


class NoisePredictor(Protocol):
    """Any callable (x: (B, C, H, W), log_snr: float) -> predicted noise, of the shape of x."""

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor: ...


class UNetPredictor:
    """A diffusers UNet as a noise predictor for one prompt: log-SNR becomes its training time.

    unet: a noise-predicting UNet2DConditionModel; a second half of output channels (a learned variance) is dropped.
    schedule: the one it was trained with (`chroma.from_scheduler(pipe.scheduler)`). prompt: (1, tokens, width), from
    ``pipe.encode_prompt``.
    """

    def __init__(self, unet, schedule: Schedule, prompt: torch.Tensor):
        if prompt.ndim != 3 or len(prompt) != 1:
            raise refuse("prompt", tuple(prompt.shape), "embeddings of one prompt, shape (1, tokens, width)")
        self.unet, self.schedule, self.prompt = unet, schedule, prompt

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        time = float(self.schedule.time(log_snr))
        noise = self.unet(x, time, encoder_hidden_states=self.prompt.expand(len(x), -1, -1)).sample
        return noise[:, : x.shape[1]]


Weight = float | Callable[[float], float]  # a number, or a function of log-SNR


def guided(cond: NoisePredictor, uncond: NoisePredictor, scale: float) -> NoisePredictor:
    """Classifier-free guidance: eps + w (eps_c - eps) (Eq 5). scale 0 is `uncond`, 1 is `cond`."""
    return composed(uncond, [cond], [finite("scale", scale)])


def composed(uncond: NoisePredictor, conds: Sequence[NoisePredictor], weights: Sequence[Weight]) -> NoisePredictor:
    """Several prompts at once: eps + sum_i w_i (eps_i - eps) (Eq 6); weights may be functions of log-SNR (Eq 25).

    A condition whose weight is 0 at this log-SNR is not evaluated. Raises ValueError if there is not one weight
    for each condition.
    """
    if len(conds) != len(weights):
        raise refuse("weights", f"{len(weights)} of them", f"one for each of the {len(conds)} conditions")

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        now = [weight(log_snr) if callable(weight) else weight for weight in weights]
        noise = uncond(x, log_snr)
        guidance = [w * (cond(x, log_snr) - noise) for cond, w in zip(conds, now, strict=True) if w != 0]
        return sum(guidance, noise)

    return predict


def residual_part(predictor: NoisePredictor) -> NoisePredictor:
    """(I - UD) eps: what one downsampling would lose of a prediction, the part that Eqs 21 and 23 train for."""
    return lambda x, log_snr: residual(predictor(x, log_snr))


def cascade(
    predictors: Sequence[NoisePredictor], adjust_time: bool = True, adjust_intensity: bool = True
) -> NoisePredictor:
    """One noise predictor from one a resolution: sum_m 2^-m U^m eps_m(lambda_m D^m x, tau_m) (Eq 24; Eq 22 for two).

    predictors: finest first; all but the last predict residuals (`residual_part`), the last one all of its noise. Each
    is asked on its own clock, m log 4 later in log-SNR, whatever schedule it was trained with. The two switches are
    the ablations of Fig 6: without the first, tau_m = t; without the second, lambda_m = 1.

    Exact where the bands of the data are independent, as for Gaussian data: then eps_m needs to see nothing finer
    than D^m x. Raises ValueError for an empty list, or if the image cannot be halved often enough.
    """
    if not predictors:
        raise refuse("predictors", predictors, "at least one")

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        noise = torch.zeros_like(x)
        for m, predictor in enumerate(predictors):
            scale = float(intensity(log_snr, m)) if adjust_intensity else 1.0
            clock = float(shift(log_snr, m)) if adjust_time else log_snr
            noise = noise + upsample(predictor(scale * downsample(x, m), clock), m) / 2**m
        return noise

    return predict
