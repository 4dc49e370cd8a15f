"""Predictors with no training error: Section 3.2's assumption that the backward model is perfect, made true.

For Gaussian data and for a finite data set E[x0 | x_t] has a closed form, and the noise follows from Eq 7.
"""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from chroma._check import not_nan, refuse
from chroma.pyramid import band_sizes, bands
from chroma.sampling import amplitudes

TINY = 1e-30  # in place of sigma = 0 or nearly so, where the noise cannot be told from rounding


def _same_shape(x: torch.Tensor, image: torch.Size) -> None:
    if x.shape[1:] != image:
        raise refuse("x", tuple(x.shape), f"of shape (B, {', '.join(map(str, image))})")


class GaussianPredictor:
    """The exact predictor of Gaussian data, independent across the bands of `chroma.pyramid`.

    mean: (C, H, W). band_power: V_m, the variance of each coefficient of band m, finest first, (levels,) >= 0, one
    for each band of the image (7 for 64 x 64). In band m, E[x0 | x_t] moves from the mean by the resolved fraction
    alpha V / (alpha V + 1 - alpha) = s(log_snr + log V_m). Raises ValueError for NaN or a wrong shape.

    >>> white = GaussianPredictor(torch.zeros(1, 2, 2), band_power=[1.0, 1.0])
    >>> round(white(torch.ones(1, 1, 2, 2), 0.0).mean().item(), 3)  # sqrt(1 - alpha) x: x is half signal, half noise
    0.707
    >>> white.sample(5).shape
    torch.Size([5, 1, 2, 2])
    """

    def __init__(self, mean: torch.Tensor, band_power):
        power = not_nan("band_power", band_power)
        if not isinstance(mean, torch.Tensor) or mean.ndim != 3 or not torch.isfinite(mean).all():
            raise refuse("mean", getattr(mean, "shape", mean), "a finite tensor of shape (C, H, W)")
        self.sizes = band_sizes(tuple(mean.shape))
        if power.shape != self.sizes.shape or (power < 0).any():
            raise refuse("band_power", band_power, f"{len(self.sizes)} powers >= 0, one a band, finest first")
        self.mean, self.band_power = mean, power

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        _same_shape(x, self.mean.shape)
        signal, sigma = amplitudes(log_snr)
        gains = sigma / (signal**2 * self.band_power + sigma**2)
        parts = bands(x - signal * self.mean.to(x))
        return sum(float(gain) * part for gain, part in zip(gains, parts, strict=True))

    def sample(self, count: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """`count` images of the data set that the predictor knows, (count, C, H, W)."""
        white = torch.randn((count, *self.mean.shape), generator=generator, dtype=self.mean.dtype)
        parts = bands(white)
        return self.mean + sum(float(v) ** 0.5 * part for v, part in zip(self.band_power, parts, strict=True))


class EmpiricalPredictor:
    """The exact predictor of a finite data set: what a diffusion model would learn if it could memorise it.

    images: (N, C, H, W), each as likely as the others; floats in [-1, 1], or uint8 for 0 .. 255 (a quarter of the
    memory; converted a chunk at a time). E[x0 | x_t] = sum_i p_i x_i with the posterior probabilities
    `p = softmax_i(-|x_t - sqrt(alpha) x_i|^2 / (2 (1 - alpha)))`.

    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> grey = torch.zeros(1, 1, 1, 1)
    >>> black_or_white.posterior(grey, 0.0), black_or_white.denoise(grey, 0.0).item()
    (tensor([[0.5000, 0.5000]]), 0.0)
    >>> black_or_white.given([1]).denoise(grey, 0.0).item()
    1.0
    """

    chunk_bytes = 256 * 2**20  # of converted images held at once: 13,000 of 64x64x3 stay far below 2 GB

    def __init__(self, images: torch.Tensor):
        if not isinstance(images, torch.Tensor) or images.ndim != 4 or not len(images):
            raise refuse("images", getattr(images, "shape", images), "a tensor of shape (N, C, H, W), N >= 1")
        if images.dtype != torch.uint8 and not (images.is_floating_point() and torch.isfinite(images).all()):
            raise refuse("images", f"{images.dtype}, with NaN or infinity or whole numbers", "finite floats, or uint8")
        self.images = images
        double = torch.zeros((), dtype=torch.float64, device=images.device)
        self._squares = torch.cat([(y * y).sum(1) for y in self._chunks(double)])

    def given(self, subset) -> EmpiricalPredictor:
        """The predictor conditional on the images in `subset`: indices or a boolean mask, as tensor or array."""
        index = np.asarray(subset)
        index = np.flatnonzero(index) if index.dtype == bool and index.shape == self.images.shape[:1] else index
        count = len(self.images)
        if index.ndim != 1 or not len(index) or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= count:
            raise refuse("subset", subset, f"indices from 0 to {count - 1}, or a mask of length {count}; not empty")
        return EmpiricalPredictor(self.images[torch.as_tensor(index, device=self.images.device)])

    def _chunks(self, like: torch.Tensor):
        rows = max(1, self.chunk_bytes // (like.element_size() * prod(self.images.shape[1:])))
        for part in self.images.split(rows):
            flat = part.flatten(1).to(like)
            yield flat / 127.5 - 1 if part.dtype == torch.uint8 else flat

    def posterior(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        """The probability of each image given x_t = x, (B, N): what the model believes it is looking at."""
        _same_shape(x, self.images.shape[1:])
        signal, sigma = amplitudes(log_snr)
        flat = x.flatten(1)
        # -|x - s y|^2 / 2 sigma^2 without |x|^2, which is common to all images
        products = torch.cat([flat @ y.T for y in self._chunks(x)], 1).double()  # large numbers whose differences count
        logits = (signal * products - signal**2 / 2 * self._squares.to(products.device)) / max(sigma, TINY) ** 2
        return torch.softmax(logits, 1).to(x)

    def denoise(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        """E[x0 | x_t = x], (B, C, H, W): the posterior mean."""
        weights, start = self.posterior(x, log_snr), 0
        mean = torch.zeros_like(x).flatten(1)
        for images in self._chunks(x):
            mean.addmm_(weights[:, start : start + len(images)], images)
            start += len(images)
        return mean.view_as(x)

    def __call__(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        signal, sigma = amplitudes(log_snr)
        return (x - signal * self.denoise(x, log_snr)) / max(sigma, TINY)
