r"""Everything is a noise predictor; guidance and composition wrap predictors in predictors.

A predictor maps noised images and their log-SNR to the predicted noise, :math:`\epsilon_\theta(x_t, t)` of Eq 3
(`chroma.process.NoisePredictor`). Its argument is the log-SNR, not a model's own time, so that predictors of different
schedules and resolutions can be combined. A log-SNR is a float or a tensor (B,), everywhere.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from chroma._check import check_finite, invalid_argument
from chroma.chromatography import intensity, level_log_snr
from chroma.models import DiffusersPipeline, Pipeline
from chroma.process import NoisePredictor, eps_from_velocity, scales
from chroma.prompts import conditioning_names, encode
from chroma.pyramid import bands, downsample, residual, upsample
from chroma.schedulers.config import from_scheduler
from chroma.schedules import Schedule
from chroma.switching import WeightFunction

LogSNR = float | torch.Tensor  # of all images, or (B,)
Weight = float | WeightFunction


class NetworkPredictor(abc.ABC):
    """A network of diffusers with its conditioning, as a noise predictor.

    Predictors of one network are evaluated in one forward of a larger batch (`predict_batched`). The network computes
    in its own precision; everything around it is in that of x.

    Args:
        network: the diffusers model.
        conditioning: the tensors that the network takes beside image and time, by its own names for them, each
            (1 or B, ...): what `chroma.prompts.encode` returns.

    Attributes:
        channels: C of the images or latents that the network denoises.
    """

    channels: int

    def __init__(self, network: Any, conditioning: Mapping[str, torch.Tensor]):
        self.network, self.conditioning = network, dict(conditioning)

    def __call__(self, x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        return self.predict(x, log_snr, self.expanded(len(x)))

    def expanded(self, count: int) -> dict[str, torch.Tensor]:
        """Repeat the conditioning for a batch.

        Args:
            count: images in the batch.

        Returns:
            Name -> tensor, (count, ...).

        Raises:
            ValueError: if there is neither one prompt nor one per image.
        """
        for tensor in self.conditioning.values():
            if len(tensor) not in (1, count):
                raise invalid_argument(
                    "x", f"a batch of {count}", f"a batch of {len(tensor)}, an image for each prompt"
                )
        return {name: tensor.expand(count, *tensor.shape[1:]) for name, tensor in self.conditioning.items()}

    def can_share_forward(self, other: NoisePredictor) -> bool:
        """Tell whether one forward can serve both: the same network and parametrisation, prompts of the same shapes.

        Args:
            other: another predictor.

        Returns:
            True if `predict` may be called with the conditionings of both, joined.
        """
        if not (isinstance(other, NetworkPredictor) and type(self) is type(other) and self.network is other.network):
            return False
        if self._parametrisation() != other._parametrisation():
            return False
        shapes = [{name: x.shape[1:] for name, x in p.conditioning.items()} for p in (self, other)]
        return shapes[0] == shapes[1]

    def predict(self, x: torch.Tensor, log_snr: LogSNR, conditioning: dict[str, torch.Tensor]) -> torch.Tensor:
        """Predict the noise for a given conditioning.

        Args:
            x: noised images, (B, C, H, W).
            log_snr: a float or (B,).
            conditioning: name -> tensor, (B, ...).

        Returns:
            The predicted noise, (B, C, H, W).

        Raises:
            ValueError: if x has another number of channels than the network.
        """
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise invalid_argument(
                "x", f"shape {tuple(x.shape)}", f"(B, {self.channels}, H, W), as the network takes it"
            )
        return self._forward(x, log_snr, conditioning)

    @abc.abstractmethod
    def _parametrisation(self) -> tuple:
        """What there is to know, beside the network, to turn its output into noise."""

    @abc.abstractmethod
    def _forward(self, x: torch.Tensor, log_snr: LogSNR, conditioning: dict[str, torch.Tensor]) -> torch.Tensor: ...


class UNetPredictor(NetworkPredictor):
    """A diffusers UNet as a noise predictor: log-SNR becomes its training time.

    Args:
        unet: a UNet2DConditionModel, or a UNet2DModel without conditioning; a second half of output channels (a learned
            variance) is dropped.
        schedule: the one it was trained with (`chroma.from_scheduler(pipe.scheduler)`).
        conditioning: embeddings, (1, tokens, width), or one per image, (B, tokens, width); or all that
            `chroma.prompts.encode` returns.
        prediction_type: what the UNet predicts, "epsilon" or "v_prediction"
            (``pipe.scheduler.config.prediction_type``).

    Raises:
        ValueError: for embeddings of another shape, and for another prediction type.

    >>> from chroma import from_scheduler, models
    >>> from chroma.prompts import conditioning_names, encode
    >>> pipe = models.load("emoji-8")
    >>> predictor = UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), encode(pipe, ""), "v_prediction")
    >>> predictor.channels, predictor(torch.zeros(1, 3, 8, 8), log_snr=0.0).shape
    (3, torch.Size([1, 3, 8, 8]))
    """

    def __init__(
        self,
        unet: Any,
        schedule: Schedule,
        conditioning: torch.Tensor | Mapping[str, torch.Tensor] | None = None,
        prediction_type: str = "epsilon",
    ):
        if isinstance(conditioning, torch.Tensor):
            if conditioning.ndim != 3:
                shape = tuple(conditioning.shape)
                raise invalid_argument("conditioning", shape, "embeddings of shape (1 or B, tokens, width)")
            conditioning = {"encoder_hidden_states": conditioning}
        if prediction_type not in ("epsilon", "v_prediction"):
            raise invalid_argument("prediction_type", prediction_type, "'epsilon' or 'v_prediction'")
        super().__init__(unet, conditioning or {})
        self.unet, self.schedule, self.prediction_type = unet, schedule, prediction_type
        self.channels = unet.config.in_channels

    def _parametrisation(self):
        return self.schedule, self.prediction_type

    @torch.no_grad()
    def _forward(self, x, log_snr, conditioning):
        time = self.schedule.time(log_snr.cpu().numpy() if isinstance(log_snr, torch.Tensor) else log_snr)
        # filled on the device: a tensor made from a number on the host would be a copy that the host waits for
        times = _filled(time, len(x), x.device)
        arguments = dict(conditioning)
        added = {name: arguments.pop(name) for name in ("text_embeds", "time_ids") if name in arguments}
        if added:
            arguments["added_cond_kwargs"] = added
        output = self.unet(x.to(self.unet.dtype), times, **arguments).sample[:, : x.shape[1]].to(x.dtype)
        return output if self.prediction_type == "epsilon" else eps_from_velocity(x, output, log_snr)


class TransformerPredictor(NetworkPredictor):
    r"""A flow-matching transformer of diffusers, SD3's or Flux's, as a noise predictor.

    It was trained on :math:`(1 - \sigma) x_0 + \sigma \epsilon` to predict :math:`\epsilon - x_0`, given
    :math:`\sigma` (Esser et al. 2024). The SNR of that mixture is :math:`((1 - \sigma) / \sigma)^2`, so
    :math:`\sigma = \mathrm{sigmoid}(-\log \mathrm{SNR} / 2)` whatever the `shift` of its scheduler, and x of Eq 1 is
    the same picture at another intensity.

    Args:
        transformer: a SD3Transformer2DModel or FluxTransformer2DModel.
        conditioning: what `chroma.prompts.encode` returns.
    """

    def __init__(self, transformer: Any, conditioning: Mapping[str, torch.Tensor]):
        super().__init__(transformer, conditioning)
        self.packed = type(transformer).__name__.startswith("Flux")  # one token is 2 x 2 latents
        self.channels = transformer.config.in_channels // (4 if self.packed else 1)

    def _parametrisation(self):
        return ()

    @torch.no_grad()
    def _forward(self, x, log_snr, conditioning):
        signal_scale, noise_scale = scales(log_snr)
        sigma = noise_scale / (signal_scale + noise_scale)
        x_sigma = x / (signal_scale + noise_scale)
        forward = self._forward_packed if self.packed else self._forward_whole
        velocity = forward(x_sigma.to(self.network.dtype), _filled(sigma, len(x), x.device), conditioning).to(x.dtype)
        return x_sigma + (1 - sigma) * velocity  # eps = x_sigma + (1 - sigma) (eps - x0)

    def _forward_whole(self, x, sigmas, conditioning):
        return self.network(hidden_states=x, timestep=1000 * sigmas, **conditioning).sample

    def _forward_packed(self, x, sigmas, conditioning):
        count, channels, height, width = x.shape
        if height % 2 or width % 2:
            raise invalid_argument(
                "x", f"{height} x {width}", "of even height and width: a Flux token is 2 x 2 latents"
            )
        squares = x.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
        positions = torch.zeros(height // 2, width // 2, 3, device=x.device, dtype=x.dtype)
        positions[..., 1] = torch.arange(height // 2, device=x.device)[:, None]
        positions[..., 2] = torch.arange(width // 2, device=x.device)
        tokens = conditioning["encoder_hidden_states"].shape[1]
        velocity = self.network(
            hidden_states=squares.reshape(count, height * width // 4, 4 * channels),
            timestep=sigmas.to(x.dtype),
            img_ids=positions.view(-1, 3),
            txt_ids=torch.zeros(tokens, 3, device=x.device, dtype=x.dtype),
            **conditioning,
        ).sample
        squares = velocity.view(count, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return squares.reshape(x.shape)


def _filled(value: Any, count: int, device: torch.device) -> torch.Tensor:
    """`value`, a number or one per image, as a tensor (count,) on the device."""
    if np.ndim(value) or (isinstance(value, torch.Tensor) and value.ndim):
        return torch.as_tensor(value, dtype=torch.float32, device=device).flatten()
    return torch.full((count,), float(value), device=device)


def from_pipeline(
    pipe: DiffusersPipeline, prompt: str | Sequence[str] | Mapping[str, torch.Tensor] = ""
) -> NetworkPredictor:
    """Make a noise predictor of a diffusers pipeline and a prompt.

    Latent models predict the noise of latents.

    Args:
        pipe: of the classes of DeepFloyd IF, Stable Diffusion 1 and 2, SDXL, SD3 or Flux, or one without prompts.
        prompt: words, one prompt for all images or one per image, "" is unconditional; or what `chroma.prompts.encode`
            made of them, and then the text encoders are not needed any more.

    Returns:
        The predictor.

    Raises:
        ValueError: for a pipeline of another class, one whose network takes more than image, time and prompt
            (`chroma.models.Pipeline.check_inputs`), and a scheduler that does not tell what the network predicts.

    >>> from chroma import models
    >>> predictor = from_pipeline(models.load("emoji-8"), "a flat drawing of owl")
    >>> predictor(torch.zeros(2, 3, 8, 8), log_snr=0.0).shape
    torch.Size([2, 3, 8, 8])
    """
    view = Pipeline(pipe)
    view.check_inputs()
    conditioning = _of_pipeline(view, prompt) if isinstance(prompt, Mapping) else encode(pipe, prompt)
    if view.family in ("sd3", "flux"):
        return TransformerPredictor(view.network, conditioning)
    prediction_type = getattr(pipe.scheduler.config, "prediction_type", None)
    if type(pipe.scheduler).__name__.startswith("EDM") or prediction_type is None:
        scheduler = f"one with {type(pipe.scheduler).__name__}"
        raise invalid_argument("pipe", scheduler, "one whose network predicts noise or velocity")
    return UNetPredictor(view.network, from_scheduler(pipe.scheduler), conditioning, prediction_type)


def _of_pipeline(view: Pipeline, conditioning: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The conditioning, refused unless it has all that `chroma.prompts.encode` makes for the pipeline."""
    needed = conditioning_names(view)
    if set(conditioning) != set(needed):
        must = f"what encode makes for this pipeline, {', '.join(needed) or 'nothing'}"
        raise invalid_argument("prompt", f"tensors {', '.join(conditioning) or 'none'}", must)
    return conditioning


def predict_batched(predictors: Sequence[NoisePredictor], x: torch.Tensor, log_snr: LogSNR) -> list[torch.Tensor]:
    """Evaluate several predictors on the same images, in one forward of a larger batch where all share one network.

    Args:
        predictors: at least one.
        x: noised images, (B, C, H, W).
        log_snr: a float or (B,).

    Returns:
        The noise that each predictor predicts, (B, C, H, W) each.

    >>> same, double = predict_batched([lambda x, log_snr: x, lambda x, log_snr: 2 * x], torch.ones(1, 1, 1, 1), 0.0)
    >>> same.item(), double.item()
    (1.0, 2.0)
    """
    active = [p.at(float(log_snr)) if isinstance(p, PromptSchedule) else p for p in predictors]
    networks = [p for p in active if isinstance(p, NetworkPredictor)]
    if len(active) < 2 or len(networks) < len(active) or not all(networks[0].can_share_forward(p) for p in networks):
        return [predictor(x, log_snr) for predictor in active]
    conditionings = [predictor.expanded(len(x)) for predictor in networks]
    joined = {name: torch.cat([c[name] for c in conditionings]) for name in networks[0].conditioning}
    repeated = log_snr.repeat(len(networks)) if isinstance(log_snr, torch.Tensor) and log_snr.ndim else log_snr
    eps_hats = networks[0].predict(x.repeat(len(networks), 1, 1, 1), repeated, joined)
    return list(eps_hats.chunk(len(networks)))


def _weigh(weight: Weight, log_snr: LogSNR) -> float | torch.Tensor:
    """The weight at `log_snr`: a number, or (B, 1, 1, 1) where there is a log-SNR per image."""
    if not callable(weight):
        return weight
    if isinstance(log_snr, torch.Tensor) and log_snr.ndim:
        return torch.tensor([weight(z) for z in log_snr.tolist()]).to(log_snr)[:, None, None, None]
    return weight(float(log_snr))


class Guided:
    r"""Classifier-free guidance, :math:`\epsilon + w (\epsilon_c - \epsilon)` (Eq 5).

    A scale of 0 is the unconditional predictor, 1 the conditional one.

    Args:
        cond: the conditional predictor.
        uncond: the unconditional predictor.
        scale: w, a number or a function of log-SNR.

    Attributes:
        guidance: e_CFG = eps_c - eps of the latest evaluation, (B, C, H, W), to be measured between two steps of a
            sampler.

    >>> predictor = Guided(cond=lambda x, log_snr: x + 1, uncond=lambda x, log_snr: x, scale=4.0)
    >>> predictor(torch.zeros(1, 1, 1, 1), 0.0).item(), predictor.guidance.item()
    (4.0, 1.0)
    """

    guidance: torch.Tensor

    def __init__(self, cond: NoisePredictor, uncond: NoisePredictor, scale: Weight):
        self.cond, self.uncond = cond, uncond
        self.scale = scale if callable(scale) else check_finite("scale", scale)

    def __call__(self, x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        """Predict the guided noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        unconditional, conditional = predict_batched([self.uncond, self.cond], x, log_snr)
        self.guidance = conditional - unconditional
        return unconditional + _weigh(self.scale, log_snr) * self.guidance


def composed(uncond: NoisePredictor, conds: Sequence[NoisePredictor], weights: Sequence[Weight]) -> NoisePredictor:
    r"""Compose several prompts, :math:`\epsilon + \sum_i w_i (\epsilon_i - \epsilon)` (Eq 6; Eq 25 with functions).

    A condition whose weight is 0 at this log-SNR is not evaluated.

    Args:
        uncond: the unconditional predictor.
        conds: the predictor of each prompt.
        weights: one per prompt, numbers or functions of log-SNR.

    Returns:
        The composed predictor.

    Raises:
        ValueError: if there is not one weight per condition.

    >>> uncond, more, less = (lambda x, log_snr, change=change: x + change for change in (0, 1, -2))
    >>> composed(uncond, [more, less], [4.0, 0.5])(torch.zeros(1, 1, 1, 1), 0.0).item()  # 4 x 1 - 0.5 x 2
    3.0
    """
    if len(conds) != len(weights):
        must = f"one for each of the {len(conds)} conditions"
        raise invalid_argument("weights", f"{len(weights)} weights", must)

    def predict(x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        values = [_weigh(weight, log_snr) for weight in weights]
        active = [(cond, w) for cond, w in zip(conds, values, strict=True) if isinstance(w, torch.Tensor) or w != 0]
        eps, *conditional = predict_batched([uncond, *(cond for cond, _ in active)], x, log_snr)
        return sum((w * (eps_i - eps) for eps_i, (_, w) in zip(conditional, active, strict=True)), eps)

    return predict


class PromptSchedule:
    """One predictor after another along a trajectory: a negative prompt that changes, say.

    Args:
        predictors: n of them.
        switch_log_snrs: the n - 1 log-SNRs, increasing, from which the next one is used
            (`chroma.switching.switch_log_snr`).

    Raises:
        ValueError: if the log-SNRs are not increasing or not one less than the predictors.

    >>> first, second = (lambda x, log_snr: x), (lambda x, log_snr: -x)
    >>> predictor = PromptSchedule([first, second], [0.0])
    >>> [predictor.at(log_snr) is second for log_snr in (-1.0, 0.0, 1.0)]
    [False, True, True]
    """

    def __init__(self, predictors: Sequence[NoisePredictor], switch_log_snrs: Sequence[float]):
        if len(switch_log_snrs) != len(predictors) - 1 or sorted(switch_log_snrs) != list(switch_log_snrs):
            must = f"increasing, one less than the {len(predictors)} predictors"
            raise invalid_argument("switch_log_snrs", list(switch_log_snrs), must)
        self.predictors, self.switch_log_snrs = list(predictors), list(switch_log_snrs)

    def at(self, log_snr: float) -> NoisePredictor:
        """Find the predictor that is used at a log-SNR.

        Args:
            log_snr: one for all images.

        Returns:
            The predictor.
        """
        return self.predictors[sum(log_snr >= switch for switch in self.switch_log_snrs)]

    def __call__(self, x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at one log-SNR for all images."""
        return self.at(float(log_snr))(x, log_snr)


def frequency_decoupled(cond: NoisePredictor, uncond: NoisePredictor, scales: Sequence[Weight]) -> NoisePredictor:
    r"""Guide each band with a scale of its own, :math:`\epsilon + \sum_m w_m e_\mathrm{CFG}^{(m)}` (bands of Eq 19).

    This is frequency-decoupled guidance (Sadat, Vontobel, Salehi and Weber 2025, arXiv:2506.19713; diffusers'
    ``FrequencyDecoupledGuidance``) with the pyramid of 2 x 2 means in place of a Laplacian pyramid. With equal scales
    it is `Guided`.

    Args:
        cond: the conditional predictor.
        uncond: the unconditional predictor.
        scales: w_m, finest band first, one per band of the image; numbers or functions of log-SNR.

    Returns:
        The guided predictor; it raises ValueError for images of another number of bands.

    >>> uncond, cond = (lambda x, log_snr: x), (lambda x, log_snr: x + 1)  # they differ in the mean alone
    >>> frequency_decoupled(cond, uncond, [9.0, 4.0])(torch.zeros(1, 1, 2, 2), 0.0).flatten().tolist()
    [4.0, 4.0, 4.0, 4.0]
    """

    def predict(x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        eps, conditional = predict_batched([uncond, cond], x, log_snr)
        parts = bands(conditional - eps)
        if len(scales) != len(parts):
            must = f"one for each of the {len(parts)} bands, finest first"
            raise invalid_argument("scales", f"{len(scales)} scales", must)
        return sum((_weigh(scale, log_snr) * part for scale, part in zip(scales, parts, strict=True)), eps)

    return predict


def residual_part(predictor: NoisePredictor) -> NoisePredictor:
    r"""Keep of a prediction what one downsampling would lose, :math:`(I - UD)\epsilon`, as Eqs 21 and 23 train for.

    Args:
        predictor: of all the noise.

    Returns:
        The predictor of the residual noise.

    >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
    >>> residual_part(lambda x, log_snr: x)(x, 0.0).flatten().tolist()  # less the mean, 2
    [-2.0, -1.0, 0.0, 3.0]
    """
    return lambda x, log_snr: residual(predictor(x, log_snr))


def _adjusted(log_snr: LogSNR, level: int, factor: int = 2) -> tuple[float | torch.Tensor, LogSNR]:
    """lambda_m, to multiply D^m x with, and the log-SNR of the coarse image (Eqs 12 and 16)."""
    if isinstance(log_snr, torch.Tensor) and log_snr.ndim:
        z = log_snr.double().cpu().numpy()
        coarse = torch.from_numpy(level_log_snr(z, level, factor)).to(log_snr)
        return torch.from_numpy(intensity(z, level, factor)).to(log_snr)[:, None, None, None], coarse
    return float(intensity(log_snr, level, factor)), float(level_log_snr(log_snr, level, factor))


def cascade(
    predictors: Sequence[NoisePredictor], adjust_time: bool = True, adjust_intensity: bool = True
) -> NoisePredictor:
    r"""Join predictors of several resolutions, :math:`\sum_m 2^{-m} U^m \epsilon_m(\lambda_m D^m x, \tau_m)` (Eq 24).

    With two predictors it is Eq 22. Each is evaluated at the adjusted time of its resolution, a log-SNR that is m log 4
    higher, whatever schedule it was trained with. Exact where the bands of the data are independent, as for Gaussian
    data: then eps_m needs nothing finer than D^m x.

    Args:
        predictors: finest first; all but the last predict residuals (`residual_part`), the last one all of its noise.
        adjust_time: False for the ablation of Fig 6 with tau_m = t.
        adjust_intensity: False for the ablation of Fig 6 with lambda_m = 1.

    Returns:
        The predictor at full resolution; it raises ValueError for images that cannot be halved often enough.

    Raises:
        ValueError: for an empty list.

    >>> from chroma.process import scales
    >>> black = lambda x, log_snr: x / scales(log_snr)[1]  # exact at any resolution: so is the cascade
    >>> x = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(cascade([residual_part(black), residual_part(black), black])(x, 0.0), black(x, 0.0))
    True
    """
    if not predictors:
        raise invalid_argument("predictors", predictors, "at least one")

    def predict(x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        eps = predictors[0](x, log_snr)
        for m, predictor in enumerate(predictors[1:], 1):
            scale, coarse_log_snr = _adjusted(log_snr, m)
            coarse = (scale if adjust_intensity else 1.0) * downsample(x, m)
            eps = eps + upsample(predictor(coarse, coarse_log_snr if adjust_time else log_snr) / 2**m, m)
        return eps

    return predict


def upsample_guided(predictor: NoisePredictor, weight: Weight = 1.0, factor: int = 2) -> NoisePredictor:
    r"""Use one predictor at two sizes, without training: Upsample Guidance (Hwang, Park, Jo 2024, arXiv:2404.01709).

    :math:`\epsilon + w\, U[\epsilon(\lambda D x, \tau) / n - D\epsilon]`: the prediction for the n x n means, at their
    adjusted time, replaces the coarse part of the prediction for an image n times larger than those of the training.
    w = 1 is Eq 22 with eps_res = (I - UD) eps; where w is 0, the coarse prediction is not evaluated.

    Args:
        predictor: of the noise, trained on images n times smaller.
        weight: w, a number or a function of log-SNR.
        factor: n, the side of the averaged square.

    Returns:
        The predictor for the larger images.

    >>> from chroma.process import scales
    >>> black = lambda x, log_snr: x / scales(log_snr)[1]  # right at both sizes: nothing is left to guide
    >>> x = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(upsample_guided(black)(x, 0.0), black(x, 0.0))
    True
    """

    def predict(x: torch.Tensor, log_snr: LogSNR) -> torch.Tensor:
        eps = predictor(x, log_snr)
        w = _weigh(weight, log_snr)
        if not isinstance(w, torch.Tensor) and w == 0:
            return eps
        scale, coarse_log_snr = _adjusted(log_snr, 1, factor)  # scale = 1 / sqrt(alpha + (1 - alpha) / n^2)
        coarse = predictor(scale * downsample(x, 1, factor), coarse_log_snr)
        return eps + w * upsample(coarse / factor - downsample(eps, 1, factor), 1, factor)

    return predict
