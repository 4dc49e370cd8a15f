"""Everything is a noise predictor; guidance and composition wrap predictors in predictors.

A predictor maps a noised image and its log-SNR to the predicted noise, eps(x_t, t) of Eq 3. Its clock is log-SNR,
not a model's own time, so that predictors of different schedules and resolutions can be combined.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from chroma._check import finite, refuse


class NoisePredictor(Protocol):
    """Any callable (x: (B, C, H, W), log_snr: float) -> predicted noise, of the shape of x."""

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor: ...


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
