r"""The forward process (Eqs 1 and 7), and what a noise predictor is.

Notation (name in the code -> symbol in the paper):

- ``x0`` -> :math:`x_0`, an image; ``x`` -> :math:`x_t`, the noised image; ``x_T``, the noise that sampling starts from;
- ``eps`` -> :math:`\epsilon`, the noise in it; ``eps_hat`` -> :math:`\epsilon_\theta(x_t, t)`, the predicted noise;
- ``log_snr`` -> :math:`\log \mathrm{SNR}(t) = \log(\alpha_t / (1 - \alpha_t))` (Eq 2), in place of the time t;
- ``signal_scale``, ``noise_scale`` -> :math:`\sqrt{\alpha_t}`, :math:`\sqrt{1 - \alpha_t}`.

A log-SNR is a float, common to all images of a batch, or a tensor (B,), one per image. Scales are computed in double
precision for a float, and in the tensor's own precision for a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log1p
from typing import Any, Protocol, overload, runtime_checkable

import torch


@runtime_checkable
class NoisePredictor(Protocol):
    """Any callable that predicts the noise in noised images: networks, exact predictors, and compositions of both.

    One signature serves samplers, measurements and training losses.

    >>> black = lambda x, log_snr: x / scales(log_snr)[1]  # the predictor of data that are 0 everywhere: x is all noise
    >>> round(black(torch.ones(1, 1, 1, 1), log_snr=0.0).item(), 3)  # 1 / sqrt(1 - alpha)
    1.414
    """

    def __call__(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Predict the noise in `x`.

        Args:
            x: noised images, (B, C, H, W).
            log_snr: of all images, or one per image, (B,).

        Returns:
            The predicted noise, (B, C, H, W).
        """
        ...


@dataclass(frozen=True)
class State:
    """One step of a trajectory.

    Attributes:
        log_snr: of the step.
        x: the noised images at this log-SNR, (B, C, H, W).
        eps_hat: the noise predicted in them, (B, C, H, W).
        x0: the prediction of the image, E[x0 | x], (B, C, H, W) (Eq 7).
    """

    log_snr: float
    x: torch.Tensor
    eps_hat: torch.Tensor
    x0: torch.Tensor


@overload
def scales(log_snr: float) -> tuple[float, float]: ...
@overload
def scales(log_snr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]: ...
@overload
def scales(log_snr: float | torch.Tensor) -> tuple[Any, Any]: ...
def scales(log_snr: float | torch.Tensor) -> tuple[float, float] | tuple[torch.Tensor, torch.Tensor]:
    r"""Compute the scales of signal and noise, :math:`\sqrt{\alpha}` and :math:`\sqrt{1 - \alpha}` (Eq 1).

    Args:
        log_snr: a number, or a tensor (B,).

    Returns:
        signal_scale and noise_scale, whose squares sum to 1, as two floats, or two tensors (B, 1, 1, 1) that broadcast
        against images.

    >>> signal_scale, noise_scale = scales(0.0)
    >>> round(signal_scale, 3), round(noise_scale, 3)
    (0.707, 0.707)
    >>> scales(torch.tensor([0.0, 100.0]))[0].flatten()
    tensor([0.7071, 1.0000])
    """
    if isinstance(log_snr, torch.Tensor) and log_snr.ndim:
        per_image = log_snr[:, None, None, None]
        return torch.sigmoid(per_image).sqrt(), torch.sigmoid(-per_image).sqrt()
    z = float(log_snr)
    tail = log1p(exp(-abs(z))) / 2
    return exp(min(z, 0) / 2 - tail), exp(min(-z, 0) / 2 - tail)


def add_noise(x0: torch.Tensor, eps: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
    r"""Add noise to images: :math:`x_t = \sqrt{\alpha_t}\, x_0 + \sqrt{1 - \alpha_t}\, \epsilon` (Eq 1).

    Args:
        x0: images, (B, C, H, W).
        eps: noise of unit variance, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).

    Returns:
        The noised images, (B, C, H, W).

    >>> x0, eps = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    >>> round(add_noise(x0, eps, log_snr=0.0).item(), 3)
    0.707
    """
    signal_scale, noise_scale = scales(log_snr)
    return signal_scale * x0 + noise_scale * eps


def predict_x0(x: torch.Tensor, eps_hat: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
    r"""Predict the images, :math:`(x_t - \sqrt{1 - \alpha_t}\, \epsilon_\theta) / \sqrt{\alpha_t}` (Eq 7).

    Args:
        x: noised images, (B, C, H, W).
        eps_hat: the noise predicted in them, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).

    Returns:
        E[x0 | x], (B, C, H, W).

    >>> x0, eps = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), -2.0)
    >>> round(predict_x0(add_noise(x0, eps, 1.0), eps, 1.0).item(), 3)
    0.3
    """
    signal_scale, noise_scale = scales(log_snr)
    return (x - noise_scale * eps_hat) / signal_scale


def eps_from_x0(x: torch.Tensor, x0: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
    r"""Compute the noise that a prediction of the images stands for, the inverse of `predict_x0` (Eq 7).

    Args:
        x: noised images, (B, C, H, W).
        x0: predicted images, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).

    Returns:
        The noise, (B, C, H, W).

    >>> x, x0 = torch.full((1, 1, 1, 1), 0.5), torch.full((1, 1, 1, 1), 0.3)
    >>> round(predict_x0(x, eps_from_x0(x, x0, 1.0), 1.0).item(), 3)
    0.3
    """
    signal_scale, noise_scale = scales(log_snr)
    return (x - signal_scale * x0) / noise_scale


def eps_from_velocity(x: torch.Tensor, velocity: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
    r"""Compute the noise that a predicted velocity stands for.

    The velocity is :math:`v = \sqrt{\alpha}\, \epsilon - \sqrt{1 - \alpha}\, x_0` (Salimans and Ho 2022), so
    :math:`\epsilon = \sqrt{\alpha}\, v + \sqrt{1 - \alpha}\, x_t`.

    Args:
        x: noised images, (B, C, H, W).
        velocity: predicted velocities, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).

    Returns:
        The noise, (B, C, H, W).

    >>> x0, eps = torch.full((1, 1, 1, 1), 0.3), torch.full((1, 1, 1, 1), -2.0)
    >>> signal_scale, noise_scale = scales(1.0)
    >>> round(eps_from_velocity(add_noise(x0, eps, 1.0), signal_scale * eps - noise_scale * x0, 1.0).item(), 3)
    -2.0
    """
    signal_scale, noise_scale = scales(log_snr)
    return signal_scale * velocity + noise_scale * x
