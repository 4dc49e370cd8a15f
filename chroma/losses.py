r"""The training losses of Eqs 3, 20, 21 and 23, for any `chroma.process.NoisePredictor`.

All of them return one loss per image, (B,), a mean over its C H W values.
"""

from __future__ import annotations

import torch

from chroma.process import NoisePredictor, add_noise
from chroma.pyramid import downsample, residual


def noise_loss(predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    r"""Compute :math:`|\epsilon - \epsilon_\theta(x_t, t)|^2` (Eq 3).

    Args:
        predictor: of the noise.
        x0: images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H, W).
        log_snr: one per image, (B,).

    Returns:
        The loss of each image, (B,).

    >>> x0, eps = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> noise_loss(lambda x, log_snr: torch.zeros_like(x), x0, eps, torch.zeros(1))  # 2^2 / 4
    tensor([1.])
    """
    return mean_square(eps - predictor(add_noise(x0, eps, log_snr), log_snr))


def low_loss(predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    r"""Compute Eq 3 for the low-resolution images D x0 (Eq 20).

    Args:
        predictor: of the noise of low-resolution images.
        x0: full-size images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H/2, W/2).
        log_snr: one per image, (B,).

    Returns:
        The loss of each image, (B,).

    >>> black, eps = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
    >>> low_loss(lambda x, log_snr: torch.zeros_like(x), black, eps, torch.zeros(1))
    tensor([1.])
    """
    return noise_loss(predictor, downsample(x0), eps, log_snr)


def residual_loss(
    predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, log_snr: torch.Tensor
) -> torch.Tensor:
    r"""Compute :math:`|\epsilon - UD\epsilon - \epsilon_\mathrm{res}(x_t, t)|^2` (Eq 21).

    White noise has 3/4 of its energy in this part: predicting 0 has a loss of 0.75.

    Args:
        predictor: of the residual noise.
        x0: images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H, W).
        log_snr: one per image, (B,).

    Returns:
        The loss of each image, (B,).

    >>> x0, eps = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> residual_loss(lambda x, log_snr: torch.zeros_like(x), x0, eps, torch.zeros(1))  # (1.5^2 + 3 x 0.5^2) / 4
    tensor([0.7500])
    """
    return mean_square(residual(eps) - predictor(add_noise(x0, eps, log_snr), log_snr))


def level_loss(
    predictor: NoisePredictor, x0: torch.Tensor, eps: torch.Tensor, log_snr: torch.Tensor, level: int, levels: int
) -> torch.Tensor:
    r"""Compute the loss of predictor number `level` among `levels` (Eq 23).

    All but the last predictor learn the residual noise of D^m x0; the last one learns all of its noise.

    Args:
        predictor: of this level.
        x0: full-size images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H/2^m, W/2^m).
        log_snr: one per image, (B,).
        level: m, 0 is the full resolution.
        levels: how many predictors the cascade has.

    Returns:
        The loss of each image, (B,).

    >>> zero, black = (lambda x, log_snr: torch.zeros_like(x)), torch.zeros(1, 1, 4, 4)
    >>> level_loss(zero, black, torch.ones(1, 1, 4, 4), torch.zeros(1), level=0, levels=2)  # ones have no residual
    tensor([0.])
    >>> level_loss(zero, black, torch.ones(1, 1, 2, 2), torch.zeros(1), level=1, levels=2)
    tensor([1.])
    """
    loss = noise_loss if level == levels - 1 else residual_loss
    return loss(predictor, downsample(x0, level), eps, log_snr)


def mean_square(error: torch.Tensor) -> torch.Tensor:
    """Average the squares of each image's C H W values.

    Args:
        error: (B, C, H, W).

    Returns:
        One mean per image, (B,).

    >>> mean_square(torch.full((1, 1, 2, 2), 3.0))
    tensor([9.])
    """
    return error.square().mean((1, 2, 3))
