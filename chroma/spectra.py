"""Power spectra of images."""

from __future__ import annotations

import torch

from chroma._check import invalid_argument


def radial_psd(x: torch.Tensor) -> torch.Tensor:
    r"""Compute the power spectral density of each image, averaged over rings of spatial frequency.

    The density is :math:`|\mathrm{FFT}|^2 / (H W)`, so that white noise of unit variance has density 1. Entry k - 1
    is its mean over channels and over all frequencies whose modulus, rounded, is k cycles per image.

    Args:
        x: square images, (B, C, H, H).

    Returns:
        The density at k = 1 .. H/2 cycles per image, (B, H // 2).

    Raises:
        ValueError: for images that are not square.

    >>> stripes = torch.tensor([1.0, 0.0, -1.0, 0.0] * 2).expand(1, 1, 8, 8)  # 2 cycles in 8 pixels
    >>> radial_psd(stripes).argmax().item() + 1
    2
    """
    if x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise invalid_argument("x", tuple(x.shape), "a batch of square images, shape (B, C, H, H)")
    side = x.shape[-1]
    frequency = torch.fft.fftfreq(side, 1 / side, device=x.device)
    ring = torch.hypot(frequency[:, None], frequency[None, :]).round().long().flatten()
    power = torch.fft.fft2(x, norm="ortho").abs().square().mean(1).flatten(1)
    totals = torch.zeros(len(x), int(ring.max()) + 1, dtype=power.dtype, device=x.device).index_add_(1, ring, power)
    return (totals / torch.bincount(ring))[:, 1 : side // 2 + 1]
