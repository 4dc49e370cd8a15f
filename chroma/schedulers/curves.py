r"""Band variances: when a sampler settles each resolution.

A band of variance V is generated to the fraction :math:`\sigma(z + \log V)` at log-SNR z. Three curves give V for a
resolution of side r, in images or latents of side s:

- ``levels``, the default: the paper's :math:`4^m = (s / r)^2` times the variance of the data, which is 1 for latents
  and `PIXEL_VARIANCE` for pixels in [-1, 1];
- ``photographs``: the band variances of the bundled photographs;
- ``spectrum``: a power spectrum :math:`A\, \omega^{-\beta}` that somebody fitted to the latents of a model and
  published (`SPECTRA`).

`DEFAULT_CURVE` is the one that recipes, atlas and answers use unless they name another.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.pyramid import resolutions

# V_m / 4^m of the bundled photographs by the side of the resolution, pixels in [-1, 1]; a test computes them again.
# Finer resolutions follow the power law of these.
PHOTOGRAPHS = {1: 0.0734, 2: 0.0613, 4: 0.0540, 8: 0.0444, 16: 0.0335, 32: 0.0257, 64: 0.0197, 128: 0.0153}
SLOPE = -0.347
PIXEL_VARIANCE = 0.264  # of the same photographs; latents are scaled to variance one
CURVES = ("levels", "photographs", "spectrum")
DEFAULT_CURVE = "levels"
_GRID = 128  # cells per side of the grid on which the bands of a spectrum are computed


@dataclass(frozen=True)
class LatentSpectrum:
    r"""A power law that was fitted to the latents of an autoencoder, :math:`P(\omega) = A\, \omega^{-\beta}`.

    Attributes:
        title: the autoencoder.
        amplitude: A, the variance of a Fourier coefficient (orthonormal, white noise has 1) at one cycle per image.
        exponent: :math:`\beta`.
        side: the side of the latents that the fit is for.
        source: where it was published.
    """

    title: str
    amplitude: float
    exponent: float
    side: int
    source: str


SPECTRA: dict[str, LatentSpectrum] = {
    "flux1": LatentSpectrum(
        "FLUX.1's autoencoder",
        203.615097,
        1.915461,
        128,
        "howardhx/speed, configs.yaml (Xiao et al. 2026, arXiv:2605.18736): FLUX.1-dev at 1024 pixels",
    ),
    "wan21": LatentSpectrum(
        "Wan 2.1's autoencoder",
        219.484718,
        2.422687,
        90,
        "howardhx/speed, configs.yaml (Xiao et al. 2026, arXiv:2605.18736): Wan 2.1 at 720 x 1280 pixels",
    ),
}
# published models whose latents come from the encoder that a spectrum was fitted to, says the model's own source
_FLUX1 = """flux-dev flux-dev-512 flux-schnell flux-kontext flux-fill flux-krea z-image-turbo lumina2
    hidream-full hidream-dev hidream-fast"""
_WAN21 = "wan21-480p wan21-720p wan22 skyreels2 qwen-image qwen-image-edit qwen-image-lightning"
SPECTRUM_OF: dict[str, str] = {
    **dict.fromkeys(_FLUX1.split(), "flux1"),
    **dict.fromkeys(_WAN21.split(), "wan21"),
}


def photograph_variance(side: int, latent: bool = False) -> np.ndarray:
    """Compute the band variances V_m of photographs.

    Args:
        side: of the images in pixels (or latents).
        latent: whether they are latents, taken to be the picture itself scaled to unit variance: an assumption.

    Returns:
        V_m, finest first, (levels,).

    >>> variance = photograph_variance(64)
    >>> len(variance), bool((np.diff(variance) > 0).all())  # the coarser the band, the larger its variance
    (7, True)
    """
    return band_variances("photographs", side, latent=latent)


def band_variances(
    curve: str,
    side: int,
    sides: Sequence[float] | None = None,
    *,
    latent: bool,
    spectrum: LatentSpectrum | None = None,
) -> np.ndarray:
    r"""Compute the variance of a coefficient in the bands of some resolutions.

    Args:
        curve: one of `CURVES`.
        side: s, of the images in pixels (or latents).
        sides: r, of the resolutions; by default those of the pyramid, s, s/2, .., finest first.
        latent: whether the data are latents of variance 1, or pixels in [-1, 1].
        spectrum: of the latents, for the curve "spectrum".

    Returns:
        V, (sides,).

    Raises:
        ValueError: for another curve, or for "spectrum" without one.

    >>> band_variances("levels", 64, latent=True)
    array([1.000e+00, 4.000e+00, 1.600e+01, 6.400e+01, 2.560e+02, 1.024e+03,
           4.096e+03])
    """
    check_int("side", side, 1)
    r = np.asarray(resolutions(side) if sides is None else sides, dtype=np.float64)
    if curve == "levels":
        return (side / r) ** 2 * (1.0 if latent else PIXEL_VARIANCE)
    if curve == "photographs":
        density = _interpolated(r, list(PHOTOGRAPHS), list(PHOTOGRAPHS.values()), SLOPE)
        return density * (side / r) ** 2 / (PIXEL_VARIANCE if latent else 1.0)
    if curve != "spectrum":
        raise invalid_argument("curve", curve, "one of " + ", ".join(CURVES))
    if spectrum is None:
        must = "'levels' or 'photographs': nobody has published a spectrum of these latents"
        raise invalid_argument("curve", curve, must)
    known, variance = _haar_variances(spectrum.amplitude, spectrum.exponent)
    return _interpolated(r, known, variance, -spectrum.exponent) * (side / spectrum.side) ** 2


def _interpolated(r: np.ndarray, known: Sequence[float], values: Sequence[float], slope: float) -> np.ndarray:
    """Values by resolution, linear in both logarithms; finer resolutions than known ones follow the power law."""
    inside = np.interp(np.log(r), np.log(known), np.log(values))
    return np.exp(inside + slope * np.maximum(np.log(r) - np.log(max(known)), 0))


@functools.cache
def _haar_variances(amplitude: float, exponent: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    r"""Resolutions and variances of the bands of a random field with a power law, by the energy of each frequency.

    Averaging n x n cells passes the share :math:`\prod_i (\sin n\theta_i/2)^2 / (n \sin \theta_i/2)^2` of a frequency's
    energy on to a level; a band has the difference of two levels. The mean, which has no frequency, continues the
    ratio of the two bands above it.
    """
    frequency = np.fft.fftfreq(_GRID, 1 / _GRID)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    radius[0, 0] = np.inf
    power = amplitude * radius**-exponent
    levels = [power.sum()]
    half = np.pi * frequency / _GRID
    sides = resolutions(_GRID)
    for m in range(1, len(sides)):
        n = 2**m
        with np.errstate(invalid="ignore"):
            passed = np.where(frequency == 0, 1.0, (np.sin(n * half) / (n * np.sin(half))) ** 2)
        levels.append((power * passed[:, None] * passed[None, :]).sum())
    energy = -np.diff(levels)
    counts = [side**2 - (side // 2) ** 2 for side in sides[:-1]]
    variances = [float(e / count) for e, count in zip(energy, counts, strict=True)]
    variances.append(variances[-1] ** 2 / variances[-2])
    return tuple(map(float, reversed(sides))), tuple(reversed(variances))


def spectrum_of_autoencoder(config: Mapping[str, Any]) -> LatentSpectrum | None:
    """Recognise the autoencoder whose latents a spectrum was published for.

    Args:
        config: the ``config.json`` of a pipeline's autoencoder.

    Returns:
        The spectrum, or None. Qwen-Image's encoder is that of Wan 2.1; FLUX.1's is known by its scaling factor.

    >>> spectrum_of_autoencoder({"_class_name": "AutoencoderKL", "scaling_factor": 0.3611}).title
    "FLUX.1's autoencoder"
    """
    kind = config.get("_class_name")
    if kind == "AutoencoderKL" and config.get("scaling_factor") == 0.3611:
        return SPECTRA["flux1"]
    wan = kind in ("AutoencoderKLWan", "AutoencoderKLQwenImage") and not config.get("patch_size")
    return SPECTRA["wan21"] if wan else None
