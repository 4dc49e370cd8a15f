r"""What a chromatogram that Eq 19 measured is compared with: the theory, the formula for the norm, and nulls.

Two families of shares are computed from the second moments of the data. Those of the *rates* :math:`d\rho_m / dz` are
the paper's r_m with one variance per level, per band, per colour or per pixel. Those of the *norm* are
`chroma.chromatography.guidance_power` with the same variances, and with two things left out: the data (the paper's 4^m
in place of V_m) and time (the static energies N_m w_m). White noise is the null that knows nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike

from chroma._check import check_not_nan, invalid_argument
from chroma.chromatography import (
    chromatogram,
    coloured_guidance_power,
    guidance_power,
    level_variance,
    resolved_fraction,
)
from chroma.exact import WienerPredictor
from chroma.pyramid import band_energy, band_sizes, white_noise_shares
from chroma.spectra import band_covariance


def predictions(
    log_snrs: ArrayLike,
    shape: tuple[int, int, int],
    images: torch.Tensor | None = None,
    prompts: ArrayLike | None = None,
) -> dict[str, np.ndarray]:
    r"""Compute the shares that a measured chromatogram may be compared with.

    Args:
        log_snrs: of the steps, (steps,).
        shape: (C, H, W) of what is denoised.
        images: that the model was trained on, (N, C, H, W), for the predictions that use their second moments.
        prompts: which of the images belong to one prompt, a label for each, (N,); by default each has a prompt of its
            own. The prompt then determines all of the variance, w_m = V_m.

    Returns:
        Name -> shares, (levels, steps) or (levels,). `chroma.palette.PREDICTION_LABELS` has names for figures.

        Without images:

        - "guidance_paper": the formula for the norm with the paper's powers 4^m, of which the prompt determines all, or
          with images the same part as of their own.
        - "paper": the paper's r_m (Eq 18).
        - "white_noise": in proportion to N_m.

        With images, these too:

        - "guidance_power", "guidance_colours", "guidance_wiener": the formula for the norm with the variances of the
          bands, the covariances of their colours, or the covariance of all pixels. The last one needs a prompt for
          each image.
        - "static": N_m w_m, the formula without any time in it.
        - "unit_variance", "levels", "band_variance", "colours", "wiener": r_m for the variance of the pixels, for
          those of the levels and of the bands, and the rates of the linear filters that use the covariance of the
          colours or of all pixels. The last one needs a prompt for each image.

    Raises:
        ValueError: for images of another shape, and labels that are not one for each image.

    >>> list(predictions([0.0], shape=(3, 2, 2)))
    ['guidance_paper', 'paper', 'white_noise']
    >>> images = torch.randn(100, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> shares = predictions([0.0, 2.0], (3, 2, 2), images)
    >>> shares["static"].round(1), shares["white_noise"]  # white images
    (array([0.8, 0.2]), array([0.75, 0.25]))
    """
    z, levels = check_not_nan("log_snrs", log_snrs), len(band_sizes(shape))
    powers = 4.0 ** np.arange(levels)
    paper, white = {"paper": chromatogram(z, levels)}, {"white_noise": white_noise_shares(shape)}
    if images is None:
        return {"guidance_paper": _shares(guidance_power(z, powers, powers), shape)} | paper | white
    if tuple(images.shape[1:]) != tuple(shape):
        raise invalid_argument("images", f"shape {tuple(images.shape)}", f"of shape (N, {', '.join(map(str, shape))})")
    deviations = images.double() - images.double().mean(0)
    covariance = band_covariance(deviations).numpy()
    variance = np.trace(covariance, axis1=1, axis2=2) / shape[0]
    between = covariance if prompts is None else band_covariance(_prompt_means(deviations, prompts)).numpy()
    determined = np.minimum(np.trace(between, axis1=1, axis2=2) / shape[0], variance)
    level = level_variance(variance, shape)
    part = np.divide(determined, variance, out=np.ones(levels), where=variance > 0)
    norm = {
        "guidance_power": _shares(guidance_power(z, variance, determined), shape),
        "guidance_colours": _shares(coloured_guidance_power(z, (covariance - between)[None], between), shape),
    }
    rates = {
        "unit_variance": chromatogram(z + np.log(level[0]), levels),
        "levels": chromatogram(z, levels, np.log(powers * level)),
        "band_variance": chromatogram(z, levels, np.log(variance)),
        "colours": _rate_shares(z, np.linalg.eigvalsh(covariance).clip(0), np.ones((levels, shape[0]))),
    }
    if prompts is None:
        values, parts = _principal_parts(images)
        snr_fraction = resolved_fraction(z, values)
        energy = parts.T @ snr_fraction
        norm["guidance_wiener"] = energy / energy.sum(0)
        rates["wiener"] = _rate_shares(z, np.tile(values, (levels, 1)), parts.T)
    norm["guidance_paper"] = _shares(guidance_power(z, powers, powers * part), shape)
    return norm | {"static": _shares(determined, shape)} | paper | rates | white


def _shares(power: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Divide the energies N_m times `power`, (levels, ...), by their sum."""
    energy = power * band_sizes(shape).reshape(-1, *[1] * (power.ndim - 1))
    return energy / energy.sum(0)


def _rate_shares(z: np.ndarray, variances: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Shares of the rates of bands that consist of directions, (levels, K), each with a variance and a part in it."""
    power = variances * parts
    rate = np.empty((len(power), len(z)))
    for m, of_band in enumerate(variances):
        fraction = resolved_fraction(z, of_band)
        rate[m] = (power[m] / power[m].sum()) @ (fraction * (1 - fraction))
    return rate / rate.sum(0)


def _prompt_means(deviations: torch.Tensor, prompts: ArrayLike) -> torch.Tensor:
    """The mean of each image's prompt, (N, C, H, W): each prompt counts as often as it has images."""
    labels = np.asarray(prompts)
    if labels.shape != (len(deviations),):
        raise invalid_argument(
            "prompts", f"shape {labels.shape}", f"one label for each of the {len(deviations)} images"
        )
    means = torch.empty_like(deviations)
    for label in np.unique(labels):
        mask = torch.from_numpy(labels == label)
        means[mask] = deviations[mask].mean(0)
    return means


def _principal_parts(images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the covariance of all pixels, (K,), and the part of each eigenvector in each band, (K, levels)."""
    wiener = WienerPredictor(images)
    parts = band_energy(wiener.eigenvectors.view(-1, *wiener.mean.shape))
    return wiener.eigenvalues.numpy(), parts.numpy()
