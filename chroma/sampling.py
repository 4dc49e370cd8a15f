r"""Samplers are generators of states; a measurement is a `for` loop.

>>> import torch
>>> from chroma.process import scales
>>> from chroma.sampling import ddim
>>> black = lambda x, log_snr: x / scales(log_snr)[1]  # the predictor of data that are 0 everywhere
>>> [state.x0.abs().max() < 1e-6 for state in ddim(black, torch.randn(1, 1, 2, 2), [-4.0, 0.0, 4.0])]
[tensor(True), tensor(True), tensor(True)]

The state is kept in the dtype of the noise that starts it; :math:`\alpha` is computed in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from math import sqrt

import numpy as np
import torch

from chroma._check import check_not_nan, invalid_argument
from chroma.process import NoisePredictor, State, add_noise, predict_x0, scales


def ddim(predictor: NoisePredictor, x_T: torch.Tensor, log_snrs: Sequence[float]) -> Iterator[State]:
    """Sample deterministically (DDIM, Eq 4).

    Args:
        predictor: of the noise.
        x_T: the starting noise, x at the first log-SNR, (B, C, H, W), any float dtype.
        log_snrs: strictly increasing, from noisy to clean, finite (a schedule with zero terminal SNR starts one step
            later, or close to it).

    Yields:
        One `State` per log-SNR; the x0 of the last one is the sample.

    Raises:
        ValueError: for another shape or dtype, NaN or infinity, and log-SNRs in another order.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> *_, last = ddim(black_or_white, torch.full((1, 1, 1, 1), 0.3), [-6.0, -3.0, 0.0, 3.0, 6.0])
    >>> round(last.x0.item(), 3)
    1.0
    """
    return _ddim(predictor, _checked_images("x_T", x_T), _checked_steps(log_snrs))


def _ddim(predictor: NoisePredictor, x: torch.Tensor, steps: list[float]) -> Iterator[State]:
    # Eq 4 holds for steps in either direction: reversed, it is the inversion
    for log_snr, next_log_snr in zip_longest(steps, steps[1:]):
        eps_hat = predictor(x, log_snr)
        x0 = predict_x0(x, eps_hat, log_snr)
        yield State(log_snr, x, eps_hat, x0)
        if next_log_snr is not None:
            x = add_noise(x0, eps_hat, next_log_snr)


def teacher_forced(
    predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, log_snrs: Sequence[float]
) -> Iterator[State]:
    """Evaluate a predictor on real images, noised by Eq 1 at each log-SNR; nothing is sampled.

    Every state has the same noise, so that states differ by their log-SNR alone.

    Args:
        predictor: of the noise.
        x0: images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H, W).
        log_snrs: strictly increasing, from noisy to clean, finite.

    Yields:
        One `State` per log-SNR.

    Raises:
        ValueError: as `ddim`, and if images and noise differ in shape.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> states = teacher_forced(black_or_white, torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), [-6.0, 0.0, 6.0])
    >>> [round(state.x0.item(), 2) for state in states]  # white is recognised, the better the less noise there is
    [0.0, 0.76, 1.0]
    """
    if eps.shape != x0.shape:
        raise invalid_argument("eps", tuple(eps.shape), f"of the shape of x0, {tuple(x0.shape)}")
    return _teacher_forced(predictor, _checked_images("x0", x0), _checked_images("eps", eps), _checked_steps(log_snrs))


def _teacher_forced(
    predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, steps: list[float]
) -> Iterator[State]:
    for log_snr in steps:
        x = add_noise(x0, eps, log_snr)
        eps_hat = predictor(x, log_snr)
        yield State(log_snr, x, eps_hat, predict_x0(x, eps_hat, log_snr))


def ddpm(
    predictor: NoisePredictor, x_T: torch.Tensor, log_snrs: Sequence[float], generator: torch.Generator | None = None
) -> Iterator[State]:
    """Sample with fresh noise of the posterior variance at each step (Ho et al. 2020, their Eqs 6 and 7).

    Args:
        predictor: of the noise.
        x_T: the starting noise, (B, C, H, W).
        log_snrs: strictly increasing, from noisy to clean, finite.
        generator: of the fresh noise.

    Yields:
        One `State` per log-SNR; the x0 of the last one is the sample.

    Raises:
        ValueError: as `ddim`.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> x_T, generator = torch.zeros(1000, 1, 1, 1), torch.Generator().manual_seed(0)
    >>> *_, last = ddpm(black_or_white, x_T, [-6.0, -3.0, 0.0, 3.0, 6.0], generator)
    >>> bool((last.x0.abs() > 0.99).all()), round((last.x0 > 0).float().mean().item(), 1)  # from one x, both images
    (True, 0.5)
    """
    return _ddpm(predictor, _checked_images("x_T", x_T), _checked_steps(log_snrs), generator)


def _ddpm(
    predictor: NoisePredictor, x: torch.Tensor, steps: list[float], generator: torch.Generator | None
) -> Iterator[State]:
    for log_snr, next_log_snr in zip_longest(steps, steps[1:]):
        eps_hat = predictor(x, log_snr)
        x0 = predict_x0(x, eps_hat, log_snr)
        yield State(log_snr, x, eps_hat, x0)
        if next_log_snr is None:
            return
        (signal, sigma), (next_signal, next_sigma) = scales(log_snr), scales(next_log_snr)
        step = signal / next_signal  # sqrt(alpha_t / alpha_(t-1)) = sqrt(1 - beta_t)
        mean = next_signal * (1 - step**2) / sigma**2 * x0 + step * next_sigma**2 / sigma**2 * x
        fresh = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        x = mean + next_sigma / sigma * sqrt(1 - step**2) * fresh


def sdedit(
    predictor: NoisePredictor, image: torch.Tensor, eps: torch.Tensor, log_snrs: Sequence[float]
) -> Iterator[State]:
    """Regenerate the detail of an image: noise it to the first log-SNR, then sample from there (Meng et al. 2021).

    The noisier the first log-SNR, the coarser the structure that is generated again. It can be chosen by resolution:
    ``steps_after(log_snrs, switch_log_snr(resolution="8x8", size=32))`` of `chroma.switching`.

    Args:
        predictor: of the noise.
        image: (B, C, H, W).
        eps: noise of unit variance, (B, C, H, W).
        log_snrs: strictly increasing, from noisy to clean, finite.

    Yields:
        One `State` per log-SNR, as `ddim`.

    Raises:
        ValueError: as `ddim`.

    >>> from chroma.exact import EmpiricalPredictor
    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> grey, eps = torch.full((1, 1, 1, 1), 0.2), torch.zeros(1, 1, 1, 1)
    >>> *_, last = sdedit(black_or_white, grey, eps, [2.0, 4.0, 6.0])
    >>> round(last.x0.item(), 3)
    1.0
    """
    steps = _checked_steps(log_snrs)
    x = add_noise(_checked_images("image", image), _checked_images("eps", eps), steps[0])
    return ddim(predictor, x, steps)


def invert(predictor: NoisePredictor, image: torch.Tensor, log_snrs: Sequence[float]) -> Iterator[State]:
    """Invert DDIM: run Eq 4 from an image to its noise. Exact in the limit of many steps.

    Args:
        predictor: of the noise.
        image: (B, C, H, W), taken as x at the last (cleanest) log-SNR.
        log_snrs: as for `ddim`, from noisy to clean.

    Yields:
        One `State` per log-SNR, from clean to noisy; the x of the last one is the starting noise for `ddim`.

    Raises:
        ValueError: as `ddim`.

    >>> from chroma.exact import GaussianPredictor
    >>> white, log_snrs = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0]), np.linspace(-8, 8, 200)
    >>> *_, noisiest = invert(white, torch.ones(1, 1, 2, 2), log_snrs)
    >>> *_, last = ddim(white, noisiest.x, log_snrs)
    >>> noisiest.log_snr, round(last.x0.mean().item(), 1)
    (-8.0, 1.0)
    """
    return _ddim(predictor, _checked_images("image", image), _checked_steps(log_snrs)[::-1])


def _checked_steps(log_snrs: Sequence[float]) -> list[float]:
    steps = check_not_nan("log_snrs", log_snrs)
    if steps.ndim != 1 or not len(steps) or (np.abs(steps) > 700).any() or (np.diff(steps) <= 0).any():
        must = "strictly increasing, from noisy to clean, within +-700 (start above -inf)"
        raise invalid_argument("log_snrs", log_snrs, must)
    return steps.tolist()


def _checked_images(name: str, x: torch.Tensor) -> torch.Tensor:
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or not x.is_floating_point():
        raise invalid_argument(name, getattr(x, "shape", x), "a floating-point tensor of shape (B, C, H, W)")
    if not torch.isfinite(x).all():
        raise invalid_argument(name, "a tensor with NaN or infinite entries", "finite")
    return x
