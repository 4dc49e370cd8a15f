"""Clamp the prediction of x0 level by level (Appendix B).

E[x0^(m) | x_tau^(m)] of Eq 37 is just D^m x0hat: lambda and tau cancel. So the static threshold for multiple
resolutions is a pyramid reconstruction that clamps after each level.
"""

from __future__ import annotations

import torch

from chroma._check import finite, refuse
from chroma.predictors import NoisePredictor
from chroma.pyramid import pyramid, residual, upsample
from chroma.sampling import amplitudes, denoised


def multi_resolution_threshold(
    x: torch.Tensor, noise: torch.Tensor, log_snr: float, bound: float = 1.0
) -> torch.Tensor:
    """Algorithm 1 as meant: x0hat rebuilt from its coarsest level upwards, clamped to +-bound at every level.

    x, noise: (B, C, H, W), the state and the noise predicted in it; returns x0 of that shape. The coarsest level sets
    the base and each finer one adds its residual (Algorithm 1 as printed: `threshold_as_printed`).

    >>> x0, noise = torch.tensor([[[[2.0, 2.0], [2.0, 0.0]]]]), torch.zeros(1, 1, 2, 2)  # of mean 1.5
    >>> multi_resolution_threshold(x0, noise, log_snr=100.0).flatten().tolist()  # the mean is clamped to 1
    [1.0, 1.0, 1.0, -0.5]
    """
    bound = finite("bound", bound, above=0)
    if x.shape != noise.shape:
        raise refuse("noise", tuple(noise.shape), f"of the shape of x, {tuple(x.shape)}")
    *finer, coarsest = pyramid(denoised(x, noise, log_snr))
    x0 = coarsest.clamp(-bound, bound)
    for level in reversed(finer):
        x0 = (upsample(x0) + residual(level)).clamp(-bound, bound)
    return x0


def thresholded(predictor: NoisePredictor, bound: float = 1.0) -> NoisePredictor:
    """`predictor` with its x0 clamped level by level (Algorithm 1 as meant) and its noise recomputed from that (Eq 7).

    Both must change: a sampler that clamps x0 and goes on with the raw noise takes a step towards neither.

    >>> from chroma.sampling import amplitudes, denoised
    >>> bright = lambda x, log_snr: (x - 3 * amplitudes(log_snr)[0]) / amplitudes(log_snr)[1]  # of data that are all 3
    >>> x = torch.zeros(1, 1, 1, 1)
    >>> [round(denoised(x, predictor(x, 0.0), 0.0).item(), 3) for predictor in (bright, thresholded(bright))]
    [3.0, 1.0]
    """

    def predict(x: torch.Tensor, log_snr: float) -> torch.Tensor:
        x0 = multi_resolution_threshold(x, predictor(x, log_snr), log_snr, bound)
        signal, sigma = amplitudes(log_snr)
        return (x - signal * x0) / sigma

    return predict


def threshold_as_printed(x: torch.Tensor, noise: torch.Tensor, log_snr: float, bound: float = 1.0) -> torch.Tensor:
    """Algorithm 1 line by line as printed, for the page on slips: at m = 0 it overwrites all that it has added.

    >>> x0, noise = torch.tensor([[[[2.0, 2.0], [2.0, 0.0]]]]), torch.zeros(1, 1, 2, 2)
    >>> threshold_as_printed(x0, noise, log_snr=100.0).flatten().tolist()  # an ordinary clamp
    [1.0, 1.0, 1.0, 0.0]
    """
    signal, _ = amplitudes(log_snr)
    alpha = signal**2
    x0 = torch.zeros_like(x)
    level_x, level_noise = pyramid(x), pyramid(noise)
    for m in range(len(level_x) - 1, -1, -1):
        alpha_tau = 4**m * alpha / ((4**m - 1) * alpha + 1)
        intensity = 2**m / (1 + (4**m - 1) * alpha) ** 0.5
        mean = (intensity * level_x[m] - 2**m * (1 - alpha_tau) ** 0.5 * level_noise[m]) / alpha_tau**0.5  # Eq 37
        if m > 0:
            # the coarsest level has nothing below it to subtract
            part = residual(mean) if m < len(level_x) - 1 else mean
            x0 = x0 + upsample(part, m)
        else:
            x0 = mean
        x0 = x0.clamp(-bound, bound)
    return x0
