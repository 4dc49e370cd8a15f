"""Streaming measurements over the states of a sampler, each with its standard error.

An accumulator is fed batch by batch with `update` and holds sums alone, so memory does not grow with
the number of samples. NaN is refused when the result is read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from chroma._check import refuse
from chroma.pyramid import band_energy, band_sizes


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` samples and its standard error; arrays of one shape."""

    value: np.ndarray
    standard_error: np.ndarray
    count: int


class Mean:
    """The mean of per-sample vectors, (B, ...) at a time (the pairwise update of Chan, Golub and LeVeque 1983)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def update(self, samples: torch.Tensor) -> None:
        """Add a batch of samples, (B, ...), kept in double precision on their device."""
        if not len(samples):
            raise refuse("samples", "an empty batch", "at least one")
        samples = samples.detach().double()
        count, mean = len(samples), samples.mean(0)
        total, delta = self.count + count, mean - self.mean
        self.mean = self.mean + delta * (count / total)
        self.squares = self.squares + ((samples - mean) ** 2).sum(0) + delta**2 * (self.count * count / total)
        self.count = total

    def result(self) -> Estimate:
        """The mean so far. Raises ValueError before two samples, or if one held NaN or infinity."""
        if self.count < 2:
            raise refuse("count", self.count, "at least 2 samples, for a standard error")
        value = self.mean.cpu().numpy()
        if not np.isfinite(value).all():
            raise refuse("samples", "NaN or infinite entries", "finite")
        spread = self.squares.cpu().numpy() / (self.count - 1)
        return Estimate(value, np.sqrt(spread / self.count), self.count)


class BandPower:
    """V_m, the mean square of an image's coefficients in each band: .update(x: (B, C, H, W)), .result() -> (levels,).

    White noise of unit variance has V_m = 1; a 1/f^2 spectrum has V_m proportional to 4^m, but for the last entry,
    the mean.
    """

    def __init__(self):
        self._mean, self._shape = Mean(), None

    def update(self, x: torch.Tensor) -> None:
        """Add a batch of images of one shape."""
        if self._shape is not None and tuple(x.shape[1:]) != self._shape:
            raise refuse("x", tuple(x.shape), f"a batch of shape (B, {', '.join(map(str, self._shape))}) as before")
        energy = band_energy(x.double())
        self._shape = tuple(x.shape[1:])
        self._mean.update(energy / torch.from_numpy(band_sizes(self._shape)).to(energy))

    def result(self) -> Estimate:
        """V_m, finest first, with its standard error over images."""
        return self._mean.result()


def radial_psd(x: torch.Tensor) -> torch.Tensor:
    """The power spectral density of each image averaged over rings of spatial frequency, (B, C, H, W) -> (B, H // 2).

    Entry k - 1 is the mean over channels and over all frequencies with |f| rounded to k cycles per image,
    k = 1 .. H/2; |FFT|^2 / (H W), so that white noise of unit variance has density 1. Square images alone.
    """
    if x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise refuse("x", tuple(x.shape), "a batch of square images, shape (B, C, H, H)")
    side = x.shape[-1]
    frequency = torch.fft.fftfreq(side, 1 / side, device=x.device)
    ring = torch.hypot(frequency[:, None], frequency[None, :]).round().long().flatten()
    power = torch.fft.fft2(x, norm="ortho").abs().square().mean(1).flatten(1)
    totals = torch.zeros(len(x), int(ring.max()) + 1, dtype=power.dtype, device=x.device).index_add_(1, ring, power)
    return (totals / torch.bincount(ring))[:, 1 : side // 2 + 1]
