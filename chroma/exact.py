r"""Exact predictors: noise predictors without any training error, for data whose distribution is known.

They fulfil the assumption of Section 3.2 that the backward model is perfect. For Gaussian data and for a finite data
set, :math:`E[x_0 | x_t]` has a closed form, and the noise follows from Eq 7. Both are a
`chroma.process.NoisePredictor`: log-SNRs are floats or tensors (B,).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from chroma._check import check_not_nan, invalid_argument
from chroma.process import scales
from chroma.pyramid import band_energy, band_sizes, bands

RANK_TOLERANCE = 1e-10  # eigenvalues below this part of the largest are rounding errors
TINY = 1e-30  # in place of a noise scale that is 0 or nearly so: such noise cannot be distinguished from rounding


def _check_shape(x: torch.Tensor, image: torch.Size) -> None:
    if x.shape[1:] != image:
        raise invalid_argument("x", tuple(x.shape), f"of shape (B, {', '.join(map(str, image))})")


def _check_tensor(name: str, value: object, ndim: int, shape: str) -> None:
    """Raise unless `value` is a tensor that is not empty and has `ndim` dimensions."""
    if not isinstance(value, torch.Tensor):
        raise invalid_argument(name, type(value).__name__, f"a torch.Tensor of shape {shape}")
    if value.ndim != ndim or not len(value):
        raise invalid_argument(name, f"shape {tuple(value.shape)}", f"of shape {shape}")


def _check_mean(mean: torch.Tensor) -> None:
    _check_tensor("mean", mean, 3, "(C, H, W)")
    if not torch.isfinite(mean).all():
        raise ValueError("mean: some values are NaN or infinite; use finite values only")


def _eigenvectors(name: str, covariances: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Eigenvalues (levels, C) and, in columns, eigenvectors (levels, C, C) of covariances, refused if they are none."""
    if not np.allclose(covariances, np.swapaxes(covariances, -1, -2), rtol=1e-6, atol=0):
        raise invalid_argument(name, "covariances that are not", "symmetric")
    values, vectors = np.linalg.eigh(covariances)
    least = values.min(-1)
    if (least < -1e-9 * values.max(-1)).any():
        raise invalid_argument(name, f"an eigenvalue of {least.min():g}", "positive semi-definite in each band")
    return torch.from_numpy(np.maximum(values, 0)), torch.from_numpy(vectors)


def _selected(subset: ArrayLike | torch.Tensor, count: int, kind: str) -> np.ndarray:
    """Convert indices or a boolean mask of `count` images or components to indices."""
    index = np.asarray(subset)
    if index.dtype == bool and index.shape == (count,):
        index = np.flatnonzero(index)
    if not index.size:
        raise ValueError(f"subset: no {kind} is selected; select at least one")
    if index.ndim != 1 or index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= count:
        must = f"indices from 0 to {count - 1}, or a boolean mask of length {count}"
        raise invalid_argument("subset", subset, must)
    return index


class GaussianPredictor:
    r"""The exact predictor of Gaussian data whose bands (`chroma.pyramid.bands`) are independent.

    In band m, :math:`E[x_0 | x_t]` moves from the mean towards x by the resolved fraction
    :math:`\alpha V_m / (\alpha V_m + 1 - \alpha) = \sigma(\log \mathrm{SNR} + \log V_m)`, or, where a band has a
    covariance of colours in place of one variance, along each of its eigenvectors by that of its eigenvalue.

    Args:
        mean: of the data, (C, H, W).
        band_variance: V_m >= 0, the variance of each coefficient of band m, finest first, (levels,): 7 values for
            64 x 64 pixels; or the covariances of the colours in each band, (levels, C, C), symmetric and positive
            semi-definite (`chroma.spectra.band_covariance`).

    Attributes:
        mean: of the data, (C, H, W).
        band_variance: V_m or the covariances, finest first, (levels,) or (levels, C, C) float64.
        sizes: the number of coefficients in each band, finest first, (levels,).

    Raises:
        ValueError: for a mean or variances of another shape, negative variances, covariances that are not symmetric or
            have a negative eigenvalue, NaN, and an infinite mean.

    >>> white = GaussianPredictor(torch.zeros(1, 2, 2), band_variance=[1.0, 1.0])
    >>> round(white(torch.ones(1, 1, 2, 2), 0.0).mean().item(), 3)  # sqrt(1 - alpha) x: x is half signal, half noise
    0.707
    >>> x = torch.ones(2, 1, 2, 2)
    >>> torch.allclose(white(x, 1.0), white(x, torch.tensor([1.0, 1.0])))  # one log-SNR for all images, or one for each
    True
    >>> white.sample(5).shape
    torch.Size([5, 1, 2, 2])
    """

    def __init__(self, mean: torch.Tensor, band_variance: ArrayLike):
        variances = check_not_nan("band_variance", band_variance)
        _check_mean(mean)
        channels = len(mean)
        self.sizes = band_sizes(tuple(mean.shape))
        count, pixels = len(self.sizes), " x ".join(map(str, mean.shape[1:]))
        if variances.shape not in ((count,), (count, channels, channels)):
            must = (
                f"{count} values for images of {pixels} pixels, one per band, finest first, "
                f"or {count} covariances of {channels} x {channels}"
            )
            raise invalid_argument("band_variance", f"shape {variances.shape}", must)
        if variances.ndim == 1 and (variances < 0).any():
            raise invalid_argument("band_variance", band_variance, "at least 0 in each band")
        self.mean, self.band_variance = mean, variances
        # one variance for all colours: any directions will do, and none are needed
        self._directions = None if variances.ndim == 1 else _eigenvectors("band_variance", variances)

    def _coefficients(self, x: torch.Tensor) -> list[tuple[torch.Tensor, Any]]:
        """Each band along its directions of colour, and their variances, to broadcast against it."""
        parts = bands(x)
        if self._directions is None:
            return list(zip(parts, self.band_variance.tolist(), strict=True))
        return [
            (torch.einsum("cd,bchw->bdhw", vectors.to(part), part), values.to(part)[:, None, None])
            for part, values, vectors in zip(parts, *self._directions, strict=True)
        ]

    def _recombined(self, scaled: list[torch.Tensor]) -> torch.Tensor:
        """The image whose bands have these coefficients along their directions of colour."""
        if self._directions is not None:
            scaled = [
                torch.einsum("cd,bdhw->bchw", vectors.to(part), part)
                for part, vectors in zip(scaled, self._directions[1], strict=True)
            ]
        return sum(scaled[1:], scaled[0])

    def __call__(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        _check_shape(x, self.mean.shape)
        signal_scale, noise_scale = scales(log_snr)
        coefficients = self._coefficients(x - signal_scale * self.mean.to(x))
        return self._recombined(
            [noise_scale / (signal_scale**2 * v + noise_scale**2) * part for part, v in coefficients]
        )

    def sample(self, count: int, generator: torch.Generator | None = None) -> torch.Tensor:
        """Sample images of the Gaussian distribution.

        Args:
            count: their number.
            generator: of the random numbers; PyTorch's default one if None.

        Returns:
            The images, (count, C, H, W), of the mean's dtype.
        """
        white = torch.randn((count, *self.mean.shape), generator=generator, dtype=self.mean.dtype)
        return self.mean + self._recombined([v**0.5 * part for part, v in self._coefficients(white)])


class MixturePredictor:
    r"""The exact predictor of a mixture of Gaussians: data whose every prompt has its own mean and covariance.

    Given the prompt, the noise is predicted by that prompt's Gaussian. Without it, by all of them together,
    :math:`\sum_p P(p \mid x_t)\, \epsilon_p(x_t)`: the difference is the guidance that a network without training error
    would have.

    Args:
        components: the Gaussian of each prompt.
        weights: how frequent each prompt is, (P,); equal by default.

    Attributes:
        components: as passed.
        weights: adding up to 1, (P,) float64.

    Raises:
        ValueError: for no component, components of different shapes, and weights that are not positive or not one per
            component.

    >>> black, white = (GaussianPredictor(torch.full((1, 1, 1), mean), [0.01]) for mean in (-1.0, 1.0))
    >>> mixture = MixturePredictor([black, white])
    >>> mixture.posterior(torch.zeros(1, 1, 1, 1), 0.0)
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    """

    def __init__(self, components: Sequence[GaussianPredictor], weights: ArrayLike | None = None):
        if not components or len({component.mean.shape for component in components}) > 1:
            raise invalid_argument("components", f"{len(components)} of them", "at least one, all of the same shape")
        shares = check_not_nan("weights", np.ones(len(components)) if weights is None else weights)
        if shares.shape != (len(components),) or (shares <= 0).any() or not np.isfinite(shares).all():
            raise invalid_argument("weights", weights, f"> 0, one for each of the {len(components)} components")
        self.components, self.weights = tuple(components), shares / shares.sum()

    def given(self, subset: ArrayLike) -> MixturePredictor:
        """Condition the predictor on a subset of its components: those that a prompt leaves possible.

        Args:
            subset: their indices, or a boolean mask, (P,).

        Returns:
            The predictor of these components alone, each as frequent relative to the others as before.

        Raises:
            ValueError: for a subset that is empty or not of these components.
        """
        index = _selected(subset, len(self.components), "component")
        return MixturePredictor([self.components[i] for i in index], self.weights[index])

    @functools.cached_property
    def _families(self) -> list[tuple[GaussianPredictor, np.ndarray, torch.Tensor]]:
        """Components by their covariance: one of them, the indices of all, and the bands of their means, (P', D)."""
        members: dict[bytes, list[int]] = {}
        for i, component in enumerate(self.components):
            members.setdefault(component.band_variance.tobytes(), []).append(i)
        families = []
        for indices in members.values():
            means = torch.stack([self.components[i].mean for i in indices]).double()
            first = self.components[indices[0]]
            families.append((first, np.array(indices), _joined(first._coefficients(means))))
        return families

    def posterior(self, x: torch.Tensor, log_snr: float) -> torch.Tensor:
        """Compute the probability of each component, given noised images.

        Args:
            x: noised images, (B, C, H, W).
            log_snr: of all images.

        Returns:
            (B, P) in double precision; each row sums to 1.
        """
        _check_shape(x, self.components[0].mean.shape)
        signal_scale, noise_scale = _clamped_scales(log_snr)
        logits = torch.from_numpy(self.weights).log().to(x.device).repeat(len(x), 1)
        for first, indices, means in self._families:
            bands_of_x = first._coefficients(x.double())
            rows, centres = _joined(bands_of_x), signal_scale * means.to(x.device)
            variance = _noised(bands_of_x, signal_scale, noise_scale)
            # |row - centre|^2 multiplied out, so that all components of the family take one matrix product
            squares = (rows.square() / variance).sum(1, keepdim=True) - 2 * (rows / variance) @ centres.T
            squares += (centres.square() / variance).sum(1)
            # a band is stored at full size, where each of its coefficients is repeated
            volumes = variance.log().view(len(first.sizes), -1).mean(1) @ torch.from_numpy(first.sizes).to(variance)
            logits[:, indices] -= (squares + volumes) / 2
        return torch.softmax(logits, 1)

    def __call__(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        if isinstance(log_snr, torch.Tensor) and log_snr.ndim:
            single = [self(image, float(z)) for image, z in zip(x.split(1), log_snr, strict=True)]
            return torch.cat(single)
        posterior = self.posterior(x, float(log_snr))
        signal_scale, noise_scale = _clamped_scales(log_snr)
        eps_hat = torch.zeros_like(x)
        for first, indices, means in self._families:
            bands_of_x = first._coefficients(x.double())
            share = posterior[:, indices]
            deviation = share.sum(1, keepdim=True) * _joined(bands_of_x) - signal_scale * share @ means.to(x.device)
            noise = noise_scale * deviation / _noised(bands_of_x, signal_scale, noise_scale)
            eps_hat += first._recombined([part.view(x.shape) for part in noise.chunk(len(first.sizes), 1)]).to(x)
        return eps_hat


def _joined(coefficients: list[tuple[torch.Tensor, Any]]) -> torch.Tensor:
    """The bands of images one after the other, (B, D)."""
    return torch.cat([part.flatten(1) for part, _ in coefficients], 1)


def _noised(coefficients: list[tuple[torch.Tensor, Any]], signal_scale: Any, noise_scale: Any) -> torch.Tensor:
    """The variance of each coefficient once noise is added, (D,)."""
    double = torch.float64  # a Python number would become single precision
    variances = [torch.as_tensor(v, dtype=double).to(part).expand(part.shape[1:]).flatten() for part, v in coefficients]
    return signal_scale**2 * torch.cat(variances) + noise_scale**2


class WienerPredictor:
    r"""The exact predictor of Gaussian data with any covariance: the Wiener filter, the best linear denoiser.

    Along each eigenvector of the covariance, :math:`E[x_0 | x_t]` moves from the mean towards x by
    :math:`\alpha \lambda / (\alpha \lambda + 1 - \alpha)`. Fitted on some photographs and tested on others, it says
    what can be known of an image without anything but its second moments.

    Args:
        images: that the mean and the covariance are estimated from, (N, C, H, W), N >= 2.

    Attributes:
        mean: of the images, (C, H, W).
        eigenvalues: of their covariance (divided by N), largest first, (K,) with K <= N - 1.
        eigenvectors: one per row, (K, C H W).

    Raises:
        ValueError: for images of another shape, fewer than two of them, and NaN or infinity.

    >>> images = torch.randn(5000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> wiener = WienerPredictor(images)
    >>> wiener(torch.ones(1, 1, 2, 2), 0.0).mean().round(decimals=1)  # white noise again: half signal, half noise
    tensor(0.7000)
    """

    def __init__(self, images: torch.Tensor):
        _check_tensor("images", images, 4, "(N, C, H, W) with N >= 2")
        if len(images) < 2 or not torch.isfinite(images).all():
            raise invalid_argument("images", f"{len(images)} images", "at least 2, with finite values")
        rows = images.flatten(1).double()
        mean = rows.mean(0)
        centred = rows - mean
        if len(rows) <= rows.shape[1]:  # the matrix of products of images is smaller, and has the same eigenvalues
            values, vectors = torch.linalg.eigh(centred @ centred.T / len(rows))
            kept = values > values[-1] * RANK_TOLERANCE
            directions = (vectors[:, kept].T @ centred) / (values[kept, None] * len(rows)).sqrt()
        else:
            values, vectors = torch.linalg.eigh(centred.T @ centred / len(rows))
            kept = values > values[-1] * RANK_TOLERANCE
            directions = vectors[:, kept].T
        self.mean = mean.view(images.shape[1:])
        self.eigenvalues, self.eigenvectors = values[kept].flip(0), directions.flip(0).contiguous()

    def __call__(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        _check_shape(x, self.mean.shape)
        signal_scale, noise_scale = (
            scale.flatten(1) if isinstance(scale, torch.Tensor) else scale for scale in _clamped_scales(log_snr)
        )
        values, vectors = self.eigenvalues.to(x), self.eigenvectors.to(x)
        deviation = x.flatten(1) - signal_scale * self.mean.to(x).flatten()
        # without any variance all is noise; each eigenvector takes its signal away from that
        signal = signal_scale**2 * values / (signal_scale**2 * values + noise_scale**2)
        return ((deviation - (signal * (deviation @ vectors.T)) @ vectors) / noise_scale).view_as(x)

    def expected_error(self, x0: torch.Tensor, log_snr: float) -> torch.Tensor:
        """Compute the expected square of x0_hat - x0 in each band of images, over the noise.

        Args:
            x0: images, (B, C, H, W); ones that the filter was not fitted on, unless memory is what is to be measured.
            log_snr: of all images.

        Returns:
            E|x0_hat - x0|^2, finest band first, (B, levels) in double precision.

        Raises:
            ValueError: for images of another shape.
        """
        _check_shape(x0, self.mean.shape)
        signal = torch.sigmoid(log_snr + self.eigenvalues.log())
        deviation = x0.double() - self.mean
        coefficients = deviation.flatten(1) @ self.eigenvectors.T
        missing = deviation - ((signal * coefficients) @ self.eigenvectors).view_as(deviation)
        noise = (signal**2 @ self._band_parts) * np.exp(-log_snr)
        return band_energy(missing) + noise

    def resolved_fraction(self, x0: torch.Tensor, log_snrs: ArrayLike) -> np.ndarray:
        """Compute the fraction of each band of images that the filter resolves, over the noise, without sampling any.

        Args:
            x0: images, (B, C, H, W); ones that the filter was not fitted on, unless memory is what is to be measured.
            log_snrs: (N,).

        Returns:
            What `chroma.accumulators.ResolvedFraction` would measure on them, finest first, (levels, N).

        Raises:
            ValueError: for images of another shape, and NaN.
        """
        total = band_energy(x0.double() - self.mean).sum(0)
        errors = [self.expected_error(x0, z).sum(0) for z in check_not_nan("log_snrs", log_snrs).tolist()]
        return (1 - torch.stack(errors, -1) / total[:, None]).numpy()

    @functools.cached_property
    def _band_parts(self) -> torch.Tensor:
        """How much of each eigenvector is in each band, (K, levels)."""
        return band_energy(self.eigenvectors.view(-1, *self.mean.shape))


class EmpiricalPredictor:
    r"""The exact predictor of a finite data set: what a diffusion model that memorised the images would predict.

    :math:`E[x_0 | x_t] = \sum_i p_i x_i`, with the posterior probabilities

    .. math:: p = \mathrm{softmax}_i \left(-\frac{|x_t - \sqrt{\alpha}\, x_i|^2}{2 (1 - \alpha)}\right).

    Args:
        images: (N, C, H, W), each as likely as the others: floating-point in [-1, 1], or uint8 for 0 to 255 (a quarter
            of the memory; one chunk is converted at a time).

    Attributes:
        images: as passed, (N, C, H, W).
        chunk_bytes: the size of the chunks of converted images, of which one at a time is held in memory: 13,000 images
            of 64 x 64 x 3 stay far below 2 GB.

    Raises:
        ValueError: for images of another shape or dtype, and for NaN or infinity.

    >>> black_or_white = EmpiricalPredictor(torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1))
    >>> grey = torch.zeros(1, 1, 1, 1)
    >>> black_or_white.posterior(grey, 0.0), black_or_white.denoise(grey, 0.0).item()
    (tensor([[0.5000, 0.5000]]), 0.0)
    >>> black_or_white.given([1]).denoise(grey, 0.0).item()
    1.0
    >>> x = torch.tensor([0.1, -0.3]).view(2, 1, 1, 1)  # one log-SNR for all images, or one for each
    >>> torch.allclose(black_or_white(x, 1.0), black_or_white(x, torch.tensor([1.0, 1.0])))
    True
    """

    chunk_bytes = 256 * 2**20

    def __init__(self, images: torch.Tensor):
        _check_tensor("images", images, 4, "(N, C, H, W) with N >= 1")
        if images.dtype != torch.uint8 and not images.is_floating_point():
            dtype = str(images.dtype).removeprefix("torch.")
            raise ValueError(f"images: dtype {dtype} is not supported; use uint8 or a floating-point type")
        if images.dtype != torch.uint8 and not torch.isfinite(images).all():
            raise ValueError("images: some values are NaN or infinite; use finite values only")
        self.images = images
        double = torch.zeros((), dtype=torch.float64, device=images.device)
        self._squares = torch.cat([(y * y).sum(1) for y in self._chunks(double)])

    def given(self, subset: ArrayLike | torch.Tensor) -> EmpiricalPredictor:
        """Condition the predictor on a subset of its images.

        Args:
            subset: their indices, or a boolean mask, (N,), as a tensor, an array or a list.

        Returns:
            The predictor of these images alone.

        Raises:
            ValueError: for a subset that is empty or not of this data set.
        """
        index = _selected(subset, len(self.images), "image")
        return EmpiricalPredictor(self.images[torch.as_tensor(index, device=self.images.device)])

    def _chunks(self, like: torch.Tensor) -> Iterator[torch.Tensor]:
        """Convert the images chunk by chunk to the dtype and device of `like`: (rows, C H W) each."""
        rows = max(1, self.chunk_bytes // (like.element_size() * prod(self.images.shape[1:])))
        for part in self.images.split(rows):
            flat = part.flatten(1).to(like)
            yield flat / 127.5 - 1 if part.dtype == torch.uint8 else flat

    def posterior(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Compute the posterior probability of each image of the data set, given noised images.

        Args:
            x: noised images, (B, C, H, W).
            log_snr: of all images, or one per image, (B,).

        Returns:
            The probabilities, (B, N); each row sums to 1.

        Raises:
            ValueError: if x has another shape than the images of the data set.
        """
        _check_shape(x, self.images.shape[1:])
        signal_scale, noise_scale = (
            scale.flatten(1) if isinstance(scale, torch.Tensor) else scale for scale in _clamped_scales(log_snr)
        )
        flat = x.flatten(1)
        # -|x - s y|^2 / 2 sigma^2 without |x|^2, which is common to all images
        products = torch.cat([flat @ y.T for y in self._chunks(x)], 1).double()  # large numbers whose differences count
        squares = self._squares.to(products.device)
        logits = (signal_scale * products - signal_scale**2 / 2 * squares) / noise_scale**2
        return torch.softmax(logits, 1).to(x)

    def denoise(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Compute the posterior mean E[x0 | x_t = x].

        Args:
            x: noised images, (B, C, H, W).
            log_snr: of all images, or one per image, (B,).

        Returns:
            The mean, (B, C, H, W).

        Raises:
            ValueError: if x has another shape than the images of the data set.
        """
        weights, start = self.posterior(x, log_snr), 0
        mean = torch.zeros_like(x).flatten(1)
        for images in self._chunks(x):
            mean.addmm_(weights[:, start : start + len(images)], images)
            start += len(images)
        return mean.view_as(x)

    def __call__(self, x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        """Predict the noise in `x`, (B, C, H, W), at `log_snr`, a float or (B,)."""
        signal_scale, noise_scale = _clamped_scales(log_snr)
        return (x - signal_scale * self.denoise(x, log_snr)) / noise_scale


def _clamped_scales(log_snr: float | torch.Tensor) -> tuple[float, float] | tuple[torch.Tensor, torch.Tensor]:
    """Compute `scales` with a noise scale of at least TINY, whose square is not 0 in the precision of the scale."""
    if isinstance(log_snr, torch.Tensor) and log_snr.ndim:
        signal_scales, noise_scales = scales(log_snr)
        return signal_scales, noise_scales.clamp(min=max(TINY, torch.finfo(noise_scales.dtype).tiny ** 0.5))
    signal_scale, noise_scale = scales(float(log_snr))
    return signal_scale, max(noise_scale, TINY)
