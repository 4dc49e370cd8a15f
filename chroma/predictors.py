"""Everything is a noise predictor; guidance and composition wrap predictors in predictors.

A predictor maps a noised image and its log-SNR to the predicted noise, eps(x_t, t) of Eq 3. Its clock is log-SNR,
not a model's own time, so that predictors of different schedules and resolutions can be combined.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch

from chroma._check import finite, refuse
from chroma.chromatography import intensity, shift
from chroma.prompts import encode
from chroma.pyramid import bands, downsample, residual, upsample
from chroma.sampling import amplitudes
from chroma.schedules import Schedule, from_scheduler


class NoisePredictor(Protocol):
    """Any callable (x: (B, C, H, W), log_snr: float) -> predicted noise, of the shape of x.

    >>> from chroma.sampling import amplitudes
    >>> black = lambda x, log_snr: x / amplitudes(log_snr)[1]  # of data that are 0 everywhere: all of x is noise
    >>> round(black(torch.ones(1, 1, 1, 1), log_snr=0.0).item(), 3)  # 1 / sqrt(1 - alpha)
    1.414
    """

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor: ...


class NetworkPredictor(abc.ABC):
    """A network of diffusers and what it is told, as a noise predictor.

    prompt: the tensors that the network takes beside image and time, by its own names for them, each (1 or B, ...):
    what `chroma.prompts.encode` returns. Predictors of one network are evaluated in one forward of a larger batch
    (`together`). The network computes in its own precision; everything around it is in that of x.
    """

    channels: int

    def __init__(self, network, prompt: Mapping[str, torch.Tensor]):
        self.network, self.prompt = network, dict(prompt)

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        return self._noise(x, log_snr, self._prompts(len(x)))

    def _prompts(self, count: int) -> dict[str, torch.Tensor]:
        """The prompt of each of `count` images."""
        told = {}
        for name, tensor in self.prompt.items():
            if len(tensor) not in (1, count):
                raise refuse("x", f"a batch of {count}", f"a batch of {len(tensor)}, an image for each prompt")
            told[name] = tensor.expand(count, *tensor.shape[1:])
        return told

    def _shares(self, other) -> bool:
        """Whether one forward can serve both: the same network and clock, prompts of the same shapes."""
        same = type(self) is type(other) and self.network is other.network and self._reading() == other._reading()
        shapes = (
            [{name: tensor.shape[1:] for name, tensor in one.prompt.items()} for one in (self, other)] if same else []
        )
        return same and shapes[0] == shapes[1]

    def _noise(self, x: torch.Tensor, log_snr: float, prompt: dict[str, torch.Tensor]) -> torch.Tensor:
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise refuse("x", f"shape {tuple(x.shape)}", f"(B, {self.channels}, H, W), as the network takes it")
        return self._forward(x, log_snr, prompt)

    @abc.abstractmethod
    def _reading(self) -> tuple:
        """What there is to know, beside the network, to turn its output into noise."""

    @abc.abstractmethod
    def _forward(self, x: torch.Tensor, log_snr: float, prompt: dict[str, torch.Tensor]) -> torch.Tensor: ...


class UNetPredictor(NetworkPredictor):
    """A diffusers UNet as a noise predictor: log-SNR becomes its training time.

    unet: a UNet2DConditionModel, or a UNet2DModel without prompt; a second half of output channels (a learned variance)
    is dropped. schedule: the one it was trained with (`chroma.from_scheduler(pipe.scheduler)`). prompt: embeddings,
    (1, tokens, width), or one for each image, (B, tokens, width); or all that `chroma.prompts.encode` returns.
    prediction: what the UNet predicts, "epsilon" or "v_prediction" (``pipe.scheduler.config.prediction_type``).

    >>> from chroma import from_scheduler, models
    >>> from chroma.prompts import encode
    >>> pipe = models.load("emoji-8")
    >>> predictor = UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), encode(pipe, ""), "v_prediction")
    >>> predictor.channels, predictor(torch.zeros(1, 3, 8, 8), log_snr=0.0).shape
    (3, torch.Size([1, 3, 8, 8]))
    """

    def __init__(
        self,
        unet,
        schedule: Schedule,
        prompt: torch.Tensor | Mapping[str, torch.Tensor] | None = None,
        prediction: str = "epsilon",
    ):
        if isinstance(prompt, torch.Tensor):
            if prompt.ndim != 3:
                raise refuse("prompt", tuple(prompt.shape), "embeddings of shape (1 or B, tokens, width)")
            prompt = {"encoder_hidden_states": prompt}
        if prediction not in ("epsilon", "v_prediction"):
            raise refuse("prediction", prediction, "'epsilon' or 'v_prediction'")
        super().__init__(unet, prompt or {})
        self.unet, self.schedule, self.prediction = unet, schedule, prediction
        self.channels = unet.config.in_channels

    def _reading(self):
        return self.schedule, self.prediction

    @torch.no_grad()
    def _forward(self, x, log_snr, prompt):
        # filled on the device: a tensor made from a number on the host would be a copy that the host waits for
        time = torch.full((len(x),), float(self.schedule.time(log_snr)), device=x.device)
        told = dict(prompt)
        added = {name: told.pop(name) for name in ("text_embeds", "time_ids") if name in told}
        if added:
            told["added_cond_kwargs"] = added
        predicted = self.unet(x.to(self.unet.dtype), time, **told).sample[:, : x.shape[1]].to(x.dtype)
        if self.prediction == "epsilon":
            return predicted
        signal, sigma = amplitudes(log_snr)
        return signal * predicted + sigma * x  # v = sqrt(alpha) eps - sqrt(1 - alpha) x0 (Salimans and Ho 2022)


class TransformerPredictor(NetworkPredictor):
    """A flow-matching transformer of diffusers, SD3's or Flux's, as a noise predictor.

    It was trained on (1 - sigma) x0 + sigma eps to predict eps - x0, and told sigma (Esser et al. 2024). The SNR of
    that mixture is ((1 - sigma) / sigma)^2, so sigma = s(-log_snr / 2) whatever the `shift` of its scheduler, and x
    of Eq 1 is the same picture at another intensity. prompt: what `chroma.prompts.encode` returns.
    """

    def __init__(self, transformer, prompt: Mapping[str, torch.Tensor]):
        super().__init__(transformer, prompt)
        self.packed = type(transformer).__name__.startswith("Flux")  # 2 x 2 pixels a token, as Flux's pipeline packs
        self.channels = transformer.config.in_channels // (4 if self.packed else 1)

    def _reading(self):
        return ()

    @torch.no_grad()
    def _forward(self, x, log_snr, prompt):
        signal, noise = amplitudes(log_snr)
        sigma = noise / (signal + noise)
        flowing = x / (signal + noise)
        forward = self._packed if self.packed else self._whole
        velocity = forward(flowing.to(self.network.dtype), sigma, prompt).to(x.dtype)
        return flowing + (1 - sigma) * velocity  # eps = x_sigma + (1 - sigma) (eps - x0)

    def _whole(self, x, sigma, prompt):
        time = torch.full((len(x),), 1000 * sigma, device=x.device)
        return self.network(hidden_states=x, timestep=time, **prompt).sample

    def _packed(self, x, sigma, prompt):
        count, channels, height, width = x.shape
        if height % 2 or width % 2:
            raise refuse("x", f"{height} x {width}", "of even height and width: Flux sees squares of 2 x 2")
        squares = x.view(count, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
        time = torch.full((count,), sigma, device=x.device, dtype=x.dtype)
        places = torch.zeros(height // 2, width // 2, 3, device=x.device, dtype=x.dtype)
        places[..., 1] = torch.arange(height // 2, device=x.device)[:, None]
        places[..., 2] = torch.arange(width // 2, device=x.device)
        words = prompt["encoder_hidden_states"]
        velocity = self.network(
            hidden_states=squares.reshape(count, height * width // 4, 4 * channels),
            timestep=time,
            img_ids=places.view(-1, 3),
            txt_ids=torch.zeros(words.shape[1], 3, device=x.device, dtype=x.dtype),
            **prompt,
        ).sample
        squares = velocity.view(count, height // 2, width // 2, channels, 2, 2).permute(0, 3, 1, 4, 2, 5)
        return squares.reshape(x.shape)


def from_pipeline(pipe, prompt: str | Sequence[str] | Mapping[str, torch.Tensor] = "") -> NetworkPredictor:
    """The noise predictor of a diffusers pipeline for a prompt, or one prompt an image; "" is unconditional.

    pipe: of the classes of DeepFloyd IF, Stable Diffusion 1 and 2, SDXL, SD3 or Flux, or one without prompts. prompt:
    words, or what `chroma.prompts.encode` made of them earlier: then the text encoders are not needed any more.
    Latent models predict the noise of latents. Raises ValueError for a pipeline of another class.

    >>> from chroma import models
    >>> predictor = from_pipeline(models.load("emoji-8"), "a flat drawing of owl")
    >>> predictor(torch.zeros(2, 3, 8, 8), log_snr=0.0).shape
    torch.Size([2, 3, 8, 8])
    """
    told = prompt if isinstance(prompt, Mapping) else encode(pipe, prompt)
    if getattr(pipe, "transformer", None) is not None:
        return TransformerPredictor(pipe.transformer, told)
    if type(pipe.scheduler).__name__.startswith("EDM"):
        raise refuse(
            "pipe", f"one with {type(pipe.scheduler).__name__}", "one whose network predicts noise or velocity"
        )
    return UNetPredictor(pipe.unet, from_scheduler(pipe.scheduler), told, pipe.scheduler.config.prediction_type)


Weight = float | Callable[[float], float]  # a number, or a function of log-SNR


def together(predictors: Sequence[NoisePredictor], x: torch.Tensor, log_snr: float) -> list[torch.Tensor]:
    """What each predictor says of x, (B, C, H, W) each: one forward of a larger batch where all are one network.

    >>> same, double = together([lambda x, log_snr: x, lambda x, log_snr: 2 * x], torch.ones(1, 1, 1, 1), 0.0)
    >>> same.item(), double.item()
    (1.0, 2.0)
    """
    predictors = [one.at(log_snr) if isinstance(one, Switched) else one for one in predictors]
    first, *others = predictors
    if not (others and isinstance(first, NetworkPredictor) and all(first._shares(other) for other in others)):
        return [predictor(x, log_snr) for predictor in predictors]
    told = [predictor._prompts(len(x)) for predictor in predictors]
    joined = {name: torch.cat([prompt[name] for prompt in told]) for name in first.prompt}
    return list(first._noise(x.repeat(len(predictors), 1, 1, 1), log_snr, joined).chunk(len(predictors)))


class Guided:
    """Classifier-free guidance: eps + w (eps_c - eps) (Eq 5). A scale of 0 is `uncond`, 1 is `cond`.

    guidance: e_CFG = eps_c - eps of the latest evaluation, (B, C, H, W), for a measurement to look at between two
    steps of a sampler. scale: a number, or a function of log-SNR.

    >>> predictor = Guided(cond=lambda x, log_snr: x + 1, uncond=lambda x, log_snr: x, scale=4.0)
    >>> predictor(torch.zeros(1, 1, 1, 1), 0.0).item(), predictor.guidance.item()
    (4.0, 1.0)
    """

    guidance: torch.Tensor

    def __init__(self, cond: NoisePredictor, uncond: NoisePredictor, scale: Weight):
        self.cond, self.uncond = cond, uncond
        self.scale = scale if callable(scale) else finite("scale", scale)

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        noise, conditional = together([self.uncond, self.cond], x, log_snr)
        self.guidance = conditional - noise
        return noise + (self.scale(log_snr) if callable(self.scale) else self.scale) * self.guidance


def guided(cond: NoisePredictor, uncond: NoisePredictor, scale: Weight) -> Guided:
    """Classifier-free guidance, see `Guided`.

    >>> predictor = guided(lambda x, log_snr: x + 1, lambda x, log_snr: x, scale=4.0)
    >>> predictor(torch.zeros(1, 1, 1, 1), 0.0).item()
    4.0
    """
    return Guided(cond, uncond, scale)


def composed(uncond: NoisePredictor, conds: Sequence[NoisePredictor], weights: Sequence[Weight]) -> NoisePredictor:
    """Several prompts at once: eps + sum_i w_i (eps_i - eps) (Eq 6); weights may be functions of log-SNR (Eq 25).

    A condition whose weight is 0 at this log-SNR is not evaluated. Raises ValueError if there is not one weight
    for each condition.

    >>> uncond, more, less = (lambda x, log_snr, change=change: x + change for change in (0, 1, -2))
    >>> composed(uncond, [more, less], [4.0, 0.5])(torch.zeros(1, 1, 1, 1), 0.0).item()  # 4 x 1 - 0.5 x 2
    3.0
    """
    if len(conds) != len(weights):
        raise refuse("weights", f"{len(weights)} of them", f"one for each of the {len(conds)} conditions")

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        now = [weight(log_snr) if callable(weight) else weight for weight in weights]
        active = [(cond, w) for cond, w in zip(conds, now, strict=True) if w != 0]
        noise, *conditional = together([uncond, *(cond for cond, _ in active)], x, log_snr)
        guidance = [w * (said - noise) for said, (_, w) in zip(conditional, active, strict=True)]
        return sum(guidance, noise)

    return predict


class Switched:
    """One predictor until a moment, another from then on: a negative prompt that changes, say.

    predictors: n; moments: the n - 1 log-SNRs, increasing, from which the next one has its turn
    (`chroma.switching.moment`).

    >>> first, second = (lambda x, log_snr: x), (lambda x, log_snr: -x)
    >>> predictor = Switched([first, second], [0.0])
    >>> [predictor.at(log_snr) is second for log_snr in (-1.0, 0.0, 1.0)]
    [False, True, True]
    """

    def __init__(self, predictors: Sequence[NoisePredictor], moments: Sequence[float]):
        if len(moments) != len(predictors) - 1 or sorted(moments) != list(moments):
            must = f"increasing, one less than the {len(predictors)} predictors"
            raise refuse("moments", list(moments), must)
        self.predictors, self.moments = list(predictors), list(moments)

    def at(self, log_snr: float) -> NoisePredictor:
        """The predictor whose turn it is."""
        return self.predictors[sum(log_snr >= moment for moment in self.moments)]

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        return self.at(log_snr)(x, log_snr)


def guided_by_band(cond: NoisePredictor, uncond: NoisePredictor, scales: Sequence[Weight]) -> NoisePredictor:
    """Guidance with a scale for each band: eps + sum_m w_m (e_CFG)^(m), the bands of Eq 19; all alike, it is `guided`.

    scales: numbers or functions of log-SNR, finest band first, one for each band of the image.

    >>> uncond, cond = (lambda x, log_snr: x), (lambda x, log_snr: x + 1)  # they differ in the mean alone
    >>> guided_by_band(cond, uncond, [9.0, 4.0])(torch.zeros(1, 1, 2, 2), 0.0).flatten().tolist()
    [4.0, 4.0, 4.0, 4.0]
    """

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        noise, conditional = together([uncond, cond], x, log_snr)
        parts = bands(conditional - noise)
        if len(scales) != len(parts):
            raise refuse("scales", f"{len(scales)} of them", f"one for each of the {len(parts)} bands, finest first")
        now = [scale(log_snr) if callable(scale) else scale for scale in scales]
        return sum((w * part for w, part in zip(now, parts, strict=True)), noise)

    return predict


def residual_part(predictor: NoisePredictor) -> NoisePredictor:
    """(I - UD) eps: what one downsampling would lose of a prediction, the part that Eqs 21 and 23 train for.

    >>> x = torch.tensor([[[[0.0, 1.0], [2.0, 5.0]]]])
    >>> residual_part(lambda x, log_snr: x)(x, 0.0).flatten().tolist()  # less the mean, 2
    [-2.0, -1.0, 0.0, 3.0]
    """
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

    >>> from chroma.sampling import amplitudes
    >>> black = lambda x, log_snr: x / amplitudes(log_snr)[1]  # exact at any resolution: so is the cascade
    >>> x = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(cascade([residual_part(black), residual_part(black), black])(x, 0.0), black(x, 0.0))
    True
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

    >>> from chroma.sampling import amplitudes
    >>> black = lambda x, log_snr: x / amplitudes(log_snr)[1]  # right at both sizes: nothing is left to guide
    >>> x = torch.randn(1, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    >>> torch.allclose(upsample_guided(black)(x, 0.0), black(x, 0.0))
    True
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
