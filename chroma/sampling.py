"""Sampling is a generator of states; a measurement is a `for` loop.

>>> import torch
>>> from chroma.sampling import amplitudes, ddim
>>> black = lambda x, log_snr: x / amplitudes(log_snr)[1]  # the predictor of data that are 0 everywhere
>>> [state.x0.abs().max() < 1e-6 for state in ddim(black, torch.randn(1, 1, 2, 2), [-4.0, 0.0, 4.0])]
[tensor(True), tensor(True), tensor(True)]

The state is kept in the dtype of the noise that starts it; alpha is computed in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log1p, sqrt
from typing import TYPE_CHECKING

import numpy as np
import torch

from chroma._check import not_nan, refuse

if TYPE_CHECKING:  # predictors are built on the forward process that is here
    from chroma.predictors import NoisePredictor


@dataclass(frozen=True)
class State:
    """One step of a trajectory: the image `x` at `log_snr`, the `noise` predicted in it, and E[x0 | x] (Eq 7)."""

    log_snr: float
    x: torch.Tensor
    noise: torch.Tensor
    x0: torch.Tensor


def amplitudes(log_snr: float) -> tuple[float, float]:
    """sqrt(alpha) and sqrt(1 - alpha): the factors of signal and noise in Eq 1. Their squares sum to 1.

    >>> signal, sigma = amplitudes(0.0)
    >>> round(signal, 3), round(sigma, 3)
    (0.707, 0.707)
    """
    z = float(log_snr)
    tail = log1p(exp(-abs(z))) / 2
    return exp(min(z, 0) / 2 - tail), exp(min(-z, 0) / 2 - tail)


def add_noise(x0: torch.Tensor, noise: torch.Tensor, log_snr: float) -> torch.Tensor:
    """x_t = sqrt(alpha) x0 + sqrt(1 - alpha) eps, the forward process (Eq 1).

    >>> x0, noise = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> round(add_noise(x0, noise, log_snr=0.0).item(), 3)
    0.707
    """
    signal, sigma = amplitudes(log_snr)
    return signal * x0 + sigma * noise


def denoised(x: torch.Tensor, noise: torch.Tensor, log_snr: float) -> torch.Tensor:
    """E[x0 | x_t] = (x_t - sqrt(1 - alpha) eps) / sqrt(alpha) (Eq 7).

    >>> x0, noise = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), -2.0)
    >>> round(denoised(add_noise(x0, noise, 1.0), noise, 1.0).item(), 3)
    0.3
    """
    signal, sigma = amplitudes(log_snr)
    return (x - sigma * noise) / signal


def _steps(name: str, log_snrs: Sequence[float]) -> list[float]:
    steps = not_nan(name, log_snrs)
    if steps.ndim != 1 or not len(steps) or (np.abs(steps) > 700).any() or (np.diff(steps) <= 0).any():
        raise refuse(name, log_snrs, "strictly increasing, from noisy to clean, within +-700 (start above -inf)")
    return steps.tolist()


def _image(name: str, x: torch.Tensor) -> torch.Tensor:
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or not x.is_floating_point():
        raise refuse(name, getattr(x, "shape", x), "a floating-point tensor of shape (B, C, H, W)")
    if not torch.isfinite(x).all():
        raise refuse(name, "a tensor with NaN or infinite entries", "finite")
    return x


def ddim(predictor: NoisePredictor, noise: torch.Tensor, log_snrs: Sequence[float]) -> Iterator[State]:
    """Deterministic sampling (Eq 4), one `State` per entry of `log_snrs`; the last one's x0 is the sample.

    noise: (B, C, H, W), x at the first log-SNR; any float dtype. log_snrs: strictly increasing, finite (a schedule
    with zero terminal SNR starts one step later, or close to it). Raises ValueError otherwise.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> *_, last = ddim(black_or_white, torch.full((1, 1, 1, 1), 0.3), [-6.0, -3.0, 0.0, 3.0, 6.0])
    >>> round(last.x0.item(), 3)
    1.0
    """
    return _ddim(predictor, _image("noise", noise), _steps("log_snrs", log_snrs))


def _ddim(predictor, x, steps):
    # Eq 4 does not mind in which direction the steps go: reversed, it is the inversion
    for now, after in zip(steps, [*steps[1:], None], strict=True):
        noise = predictor(x, now)
        x0 = denoised(x, noise, now)
        yield State(now, x, noise, x0)
        if after is not None:
            x = add_noise(x0, noise, after)


def forced(
    predictor: NoisePredictor, x0: torch.Tensor, noise: torch.Tensor, log_snrs: Sequence[float]
) -> Iterator[State]:
    """Teacher forcing: what the predictor makes of real images x0, noised anew at each log-SNR (Eq 1), no sampling.

    x0, noise: (B, C, H, W); every state has the same noise, so that states differ by their log-SNR alone. States come
    and errors are raised as by `ddim`.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> states = forced(black_or_white, torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), [-6.0, 0.0, 6.0])
    >>> [round(state.x0.item(), 2) for state in states]  # white is recognised, the better the less noise there is
    [0.0, 0.76, 1.0]
    """
    if noise.shape != x0.shape:
        raise refuse("noise", tuple(noise.shape), f"of the shape of x0, {tuple(x0.shape)}")
    return _forced(predictor, _image("x0", x0), _image("noise", noise), _steps("log_snrs", log_snrs))


def _forced(predictor, x0, noise, steps):
    for now in steps:
        x = add_noise(x0, noise, now)
        predicted = predictor(x, now)
        yield State(now, x, predicted, denoised(x, predicted, now))


def ddpm(
    predictor: NoisePredictor, noise: torch.Tensor, log_snrs: Sequence[float], generator: torch.Generator | None = None
) -> Iterator[State]:
    """Ancestral sampling (Ho et al. 2020, Eqs 6-7): as `ddim`, with fresh noise of the posterior variance each step.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> noise, generator = torch.zeros(1000, 1, 1, 1), torch.Generator().manual_seed(0)
    >>> *_, last = ddpm(black_or_white, noise, [-6.0, -3.0, 0.0, 3.0, 6.0], generator)
    >>> bool((last.x0.abs() > 0.99).all()), round((last.x0 > 0).float().mean().item(), 1)  # from one x, both images
    (True, 0.5)
    """
    return _ddpm(predictor, _image("noise", noise), _steps("log_snrs", log_snrs), generator)


def _ddpm(predictor, x, steps, generator):
    for now, after in zip(steps, [*steps[1:], None], strict=True):
        noise = predictor(x, now)
        x0 = denoised(x, noise, now)
        yield State(now, x, noise, x0)
        if after is None:
            return
        (signal, sigma), (signal_after, sigma_after) = amplitudes(now), amplitudes(after)
        step = signal / signal_after  # sqrt(alpha_t / alpha_(t-1)): sqrt(1 - beta_t)
        kept = step * sigma_after**2 / sigma**2
        fresh = sigma_after / sigma * sqrt(1 - step**2)
        x = signal_after * (1 - step**2) / sigma**2 * x0 + kept * x
        x = x + fresh * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


def sdedit(
    predictor: NoisePredictor, image: torch.Tensor, noise: torch.Tensor, log_snrs: Sequence[float]
) -> Iterator[State]:
    """SDEdit (Meng et al. 2021): noise an image to the first of `log_snrs` (Eq 1), then `ddim` from there.

    image, noise: (B, C, H, W). The earlier the first log-SNR, the coarser what is drawn anew; chosen by resolution:
    ``remaining(log_snrs, moment(at="8x8", size=32))`` of `chroma.switching`.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> grey, noise = torch.full((1, 1, 1, 1), 0.2), torch.zeros(1, 1, 1, 1)
    >>> *_, last = sdedit(black_or_white, grey, noise, [2.0, 4.0, 6.0])
    >>> round(last.x0.item(), 3)
    1.0
    """
    steps = _steps("log_snrs", log_snrs)
    return ddim(predictor, add_noise(_image("image", image), _image("noise", noise), steps[0]), steps)


def invert(predictor: NoisePredictor, image: torch.Tensor, log_snrs: Sequence[float]) -> Iterator[State]:
    """DDIM inversion: Eq 4 run from the image to its noise; the last state's x is the starting noise for `ddim`.

    image: (B, C, H, W), taken as x at the last (cleanest) entry of `log_snrs`, given as for `ddim`, noisy to
    clean; states come from clean to noisy. Exact in the limit of many steps.

    >>> from chroma.exact import GaussianPredictor
    >>> white, log_snrs = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0]), np.linspace(-8, 8, 200)
    >>> *_, noisiest = invert(white, torch.ones(1, 1, 2, 2), log_snrs)
    >>> *_, last = ddim(white, noisiest.x, log_snrs)
    >>> noisiest.log_snr, round(last.x0.mean().item(), 1)
    (-8.0, 1.0)
    """
    return _ddim(predictor, _image("image", image), _steps("log_snrs", log_snrs)[::-1])
