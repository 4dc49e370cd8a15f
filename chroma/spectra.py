"""Power spectra of images, and the covariance of their colours in each band."""

from __future__ import annotations

import torch

from chroma._check import invalid_argument
from chroma.pyramid import band_sizes, bands


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


def band_covariance(x: torch.Tensor) -> torch.Tensor:
    r"""Compute the covariance of the colour channels in each band of images whose mean is 0.

    Its trace over the number of channels is the band variance V_m (`chroma.accumulators.BandVariance`); its eigenvalues
    say that in photographs brightness varies some 50 times more than the colours do.

    Args:
        x: images less the mean of their data set, (B, C, H, W).

    Returns:
        The mean over images and coefficients of the products of two channels, finest band first, (levels, C, C) in
        double precision.

    >>> grey = torch.randn(5000, 1, 2, 2, generator=torch.Generator().manual_seed(0)).expand(5000, 3, 2, 2)
    >>> band_covariance(grey).round(decimals=1)[0]  # the three channels are one
    tensor([[1., 1., 1.],
            [1., 1., 1.],
            [1., 1., 1.]], dtype=torch.float64)
    """
    channels = x.shape[1]
    sizes = band_sizes((x.shape[1], x.shape[2], x.shape[3])) // channels  # coefficients per channel
    products = [torch.einsum("bchw,bdhw->cd", part, part) for part in bands(x.double())]
    return torch.stack(products) / torch.from_numpy(sizes * len(x)).to(x.device)[:, None, None]
