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
from chroma.sampling import amplitudes
from chroma.schedules import Schedule, from_scheduler


class NoisePredictor(Protocol):
    """Any callable (x: (B, C, H, W), log_snr: float) -> predicted noise, of the shape of x."""

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor: ...


class UNetPredictor:
    """A diffusers UNet as a noise predictor for one prompt: log-SNR becomes its training time.

    unet: a UNet2DConditionModel, or a UNet2DModel without prompt; a second half of output channels (a learned variance)
    is dropped. schedule: the one it was trained with (`chroma.from_scheduler(pipe.scheduler)`). prompt: (1, tokens,
    width), from ``pipe.encode_prompt``, or one for each image, (B, tokens, width). prediction: what the UNet
    predicts, "epsilon" or "v_prediction" (``pipe.scheduler.config.prediction_type``).
    """

    def __init__(self, unet, schedule: Schedule, prompt: torch.Tensor | None = None, prediction: str = "epsilon"):
        if prompt is not None and prompt.ndim != 3:
            raise refuse("prompt", tuple(prompt.shape), "embeddings of shape (1 or B, tokens, width)")
        if prediction not in ("epsilon", "v_prediction"):
            raise refuse("prediction", prediction, "'epsilon' or 'v_prediction'")
        self.unet, self.schedule, self.prompt, self.prediction = unet, schedule, prompt, prediction

    @torch.no_grad()
    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        time = float(self.schedule.time(log_snr))
        prompt = {}
        if self.prompt is not None:
            if len(self.prompt) not in (1, len(x)):
                raise refuse("x", tuple(x.shape), f"a batch of {len(self.prompt)}, an image for each prompt")
            prompt = {"encoder_hidden_states": self.prompt.expand(len(x), -1, -1)}
        predicted = self.unet(x, time, **prompt).sample[:, : x.shape[1]]
        if self.prediction == "epsilon":
            return predicted
        signal, sigma = amplitudes(log_snr)
        return signal * predicted + sigma * x  # v = sqrt(alpha) eps - sqrt(1 - alpha) x0 (Salimans and Ho 2022)


def from_pipeline(pipe, prompt: str | Sequence[str] = "") -> UNetPredictor:
    """The noise predictor of a ``diffusers.IFPipeline`` for a prompt, or one prompt an image; "" is unconditional."""
    embeddings, _ = pipe.encode_prompt(
        prompt if isinstance(prompt, str) else list(prompt), do_classifier_free_guidance=False
    )
    scheduler = pipe.scheduler
    return UNetPredictor(pipe.unet, from_scheduler(scheduler), embeddings, scheduler.config.prediction_type)


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
        noise = predictors[0](x, log_snr)
        for m, predictor in enumerate(predictors[1:], 1):
            scale = float(intensity(log_snr, m)) if adjust_intensity else 1.0
            clock = float(shift(log_snr, m)) if adjust_time else log_snr
            noise = noise + upsample(predictor(scale * downsample(x, m), clock) / 2**m, m)
        return noise

    return predict


def upsample_guided(predictor: NoisePredictor, weight: Weight = 1.0, kernel: int = 2) -> NoisePredictor:
    """One predictor at two sizes, without training: Upsample Guidance (Hwang, Park, Jo 2024, arXiv:2404.01709).

    eps + w U[eps(lambda D x, tau) / n - D eps]: what the predictor says of the n x n averages, on their own clock,
    takes the place of the coarse part of what it says of an image n times larger than those it was trained on. `kernel`
    is n; `weight` is w, a number or a function of log-SNR. w = 1 is Eq 22 with eps_res = (I - UD) eps; where w is 0,
    the coarse prediction is not evaluated.
    """

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        noise = predictor(x, log_snr)
        now = weight(log_snr) if callable(weight) else weight
        if now == 0:
            return noise
        scale = float(intensity(log_snr, 1, kernel))  # 1 / sqrt(alpha + (1 - alpha) / n^2)
        coarse = predictor(scale * downsample(x, 1, kernel), float(shift(log_snr, 1, kernel)))
        return noise + now * upsample(coarse / kernel - downsample(noise, 1, kernel), 1, kernel)

    return predict
