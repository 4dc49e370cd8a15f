"""Streaming measurements over the states of a sampler, each with its standard error::

    chromatogram = CFGChromatography(log_snrs)
    for state in ddim(predictor := guided(cond, uncond, 4.0), noise, log_snrs):
        chromatogram.update(state.log_snr, predictor.guidance)

An accumulator is fed batch by batch with `update` and holds sums alone, on the device of what it is fed, so memory does
not grow with the number of samples and nothing is transferred before the result is read. NaN is refused then.

A whole list of prompts is measured by `chroma.runs`::

    python -m chroma.measure --model emoji-32 --prompts prompts.txt --steps 50 --seeds 4 --out measured.safetensors
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from chroma._check import not_nan, refuse
from chroma.chromatography import chromatography, guidance_power
from chroma.pyramid import band_energy, band_sizes
from chroma.sampling import State

GROUPS = 32


def precise(x: torch.Tensor) -> torch.Tensor:
    """x in double precision, or in single on the one kind of device that has no other (Apple's).

    >>> precise(torch.zeros(2, dtype=torch.float16)).dtype
    torch.float64
    """
    return x.detach().to(torch.float32 if x.device.type == "mps" else torch.float64)


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` samples and its standard error; arrays of one shape."""

    value: np.ndarray
    standard_error: np.ndarray
    count: int


class Mean:
    """The mean of per-sample vectors, (B, ...) at a time (the pairwise update of Chan, Golub and LeVeque 1983).

    >>> mean = Mean()
    >>> mean.update(torch.tensor([[1.0], [2.0]]))
    >>> mean.update(torch.tensor([[3.0]]))
    >>> mean.result().value, mean.result().standard_error.round(3), mean.result().count  # 1 / sqrt(3)
    (array([2.]), array([0.577]), 3)
    """

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def update(self, samples: torch.Tensor) -> None:
        """Add a batch of samples, (B, ...), kept in double precision on their device."""
        if not len(samples):
            raise refuse("samples", "an empty batch", "at least one")
        samples = precise(samples)
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

    >>> power = BandPower()
    >>> power.update(torch.randn(1000, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    >>> power.result().value.round(1)
    array([1., 1., 1., 1.])
    """

    def __init__(self):
        self._mean, self._shape = Mean(), None

    def update(self, x: torch.Tensor) -> None:
        """Add a batch of images of one shape."""
        if self._shape is not None and tuple(x.shape[1:]) != self._shape:
            raise refuse("x", tuple(x.shape), f"a batch of shape (B, {', '.join(map(str, self._shape))}) as before")
        energy = band_energy(precise(x))
        self._shape = tuple(x.shape[1:])
        self._mean.update(energy / torch.from_numpy(band_sizes(self._shape)).to(energy))

    def result(self) -> Estimate:
        """V_m, finest first, with its standard error over images."""
        return self._mean.result()


def jackknife(parts: np.ndarray, weights: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """`function` of a mean, with the standard error that leaving out one part at a time tells (Efron and Tibshirani
    1993).

    parts: (G, ...), the mean of each part; weights: (G,), how many samples each has. function: of an array
    of means (n, ...), the n of them side by side. Raises ValueError for less than two parts, and for NaN or infinity.

    >>> estimate = jackknife(np.array([[1.0], [2.0], [3.0]]), np.ones(3), lambda means: means)
    >>> estimate.value, estimate.standard_error.round(3)  # of the mean itself: 1 / sqrt(3), as in `Mean`
    (array([2.]), array([0.577]))
    """
    weights = weights.astype(float)
    if len(parts) < 2:
        raise refuse("count", int(weights.sum()), "at least 2 samples, for a standard error")
    if not np.isfinite(parts).all():
        raise refuse("samples", "NaN or infinite entries", "finite")
    shape = (-1, *[1] * (parts.ndim - 1))
    total, count = (weights.reshape(shape) * parts).sum(0), weights.sum()
    without = (total - weights.reshape(shape) * parts) / (count - weights).reshape(shape)
    value, *others = function(np.concatenate([total[None] / count, without]))
    others = np.array(others)
    error = np.sqrt((len(parts) - 1) / len(parts) * np.square(others - others.mean(0)).sum(0))
    return Estimate(np.asarray(value), error, int(count))


class _Sums:
    """Sums of per-sample vectors at each of several log-SNRs, samples dealt in turn into `GROUPS` groups."""

    def __init__(self, log_snrs: Sequence[float]):
        steps = not_nan("log_snrs", log_snrs)
        if steps.ndim != 1 or not len(steps) or (np.diff(steps) <= 0).any():
            raise refuse("log_snrs", log_snrs, "strictly increasing, from noisy to clean")
        self.log_snrs = steps
        self._step = {float(z): i for i, z in enumerate(steps)}
        self._turn, self._counts, self._sums = [0] * len(steps), np.zeros((len(steps), GROUPS), int), None

    def _add(self, log_snr: float, samples: torch.Tensor, alike: bool = False) -> None:
        """Add a batch of samples, (B, ...), at one of `log_snrs`: one a group, or all of them, if alike, to one
        group.
        """
        if log_snr not in self._step:
            raise refuse("log_snr", log_snr, "one of the log_snrs that the accumulator was made for")
        step = self._step[log_snr]
        if self._sums is None:
            self._shape = tuple(samples.shape[1:])
            self._sums = samples.new_zeros((len(self._turn), GROUPS, *self._shape))
        if tuple(samples.shape[1:]) != self._shape:
            raise refuse("samples", tuple(samples.shape), f"a batch of shape (B, {', '.join(map(str, self._shape))})")
        first = self._turn[step]
        if alike:
            self._sums[step, first % GROUPS] += samples.sum(0)
            self._counts[step, first % GROUPS] += len(samples)
        else:
            group = torch.arange(first, first + len(samples), device=samples.device) % GROUPS
            self._sums[step].index_add_(0, group, samples)
            np.add.at(self._counts[step], np.arange(first, first + len(samples)) % GROUPS, 1)
        self._turn[step] += 1 if alike else len(samples)

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of each group that has samples, (groups, steps, ...), and how many it has, (groups,)."""
        counts = self._counts.sum(1)
        if (self._counts != self._counts[0]).any():
            raise refuse("samples", f"{counts.min()} to {counts.max()} a log-SNR", "the same at each log-SNR")
        if not counts[0]:
            raise refuse("count", 0, "at least 1 sample")
        weights = self._counts[0][self._counts[0] > 0]
        sums = self._sums.cpu().double().numpy().swapaxes(0, 1)[: len(weights)]
        return sums / weights.reshape(-1, *[1] * (sums.ndim - 1)), weights

    def _estimate(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """`function` of the means, an array (n, steps, ...) of them at a time, with its jackknife standard error."""
        return jackknife(*self.parts(), function)


def shares(energy: np.ndarray) -> np.ndarray:
    """Energies (..., steps, levels) over their sum, levels first: (..., levels, steps) (Eq 19). NaN where all are 0.

    >>> shares(np.array([[3.0, 1.0], [2.0, 2.0]]))
    array([[0.75, 0.5 ],
           [0.25, 0.5 ]])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.swapaxes(energy / energy.sum(-1, keepdims=True), -1, -2)


def theories(log_snrs, shape: tuple[int, int, int], power=None, between=None) -> dict[str, np.ndarray]:
    """What a measured chromatogram of (C, H, W) images may be compared with: name -> shares, (levels, steps) or
    (levels,).

    power: V_m, (levels,), for the two that know the spectrum of the data; between: w_m, for the one that knows what the
    prompts decide of it (`chroma.chromatography.guidance_power`), unless given all of it.

    >>> known = theories([0.0], shape=(3, 2, 2), power=[0.1, 0.4])
    >>> list(known)
    ['formula for the norm', "the paper's rₘ", 'spectrum-aware rₘ', 'white noise']
    >>> known["white noise"]
    array([0.75, 0.25])
    """
    sizes = band_sizes(shape)
    found = {}
    if power is not None:
        energy = guidance_power(log_snrs, power, power if between is None else between) * sizes[:, None]
        found["formula for the norm"] = energy / energy.sum(0)
    found["the paper's rₘ"] = chromatography(log_snrs, len(sizes))
    if power is not None:
        found["spectrum-aware rₘ"] = chromatography(log_snrs, len(sizes), np.log(power))
    return found | {"white noise": sizes / sizes.sum()}


def distances(energy: np.ndarray, theory) -> np.ndarray:
    """Total variation between `shares(energy)` and `theory`, (levels,) or (levels, steps): (..., steps).

    >>> distances(np.array([[3.0, 1.0], [2.0, 2.0]]), [0.5, 0.5])
    array([0.25, 0.  ])
    """
    theory = not_nan("theory", theory)
    theory = theory if theory.ndim == 2 else theory[:, None]
    return np.abs(shares(energy) - theory).sum(-2) / 2


class CFGChromatography(_Sums):
    """Eq 19: which resolution the guidance term e_CFG is made of, at each log-SNR.

    Norms are averaged over samples before they are divided: it is averages that a theory foretells. Standard errors
    are a jackknife's over (at most) `GROUPS` parts of the samples, which are dealt in turn.

    >>> chromatogram = CFGChromatography([0.0])
    >>> chromatogram.update(0.0, torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]]).repeat(2, 1, 1, 1))
    >>> chromatogram.result().value  # of the energy, 4, the mean of 1/2 has 4 x 1/4
    array([[0.75],
           [0.25]])
    """

    def update(self, log_snr: float, guidance: torch.Tensor, alike: bool = False) -> None:
        """Add e_CFG of a batch, (B, C, H, W), at one of `log_snrs` (`chroma.predictors.Guided.guidance`).

        alike: the batch is of one prompt or image; standard errors are then over batches.
        """
        self._add(log_snr, band_energy(precise(guidance)), alike)

    def result(self) -> Estimate:
        """The shares, finest first, (levels, steps)."""
        return self._estimate(shares)

    def energy(self) -> Estimate:
        """The mean energies `|e_CFG^(m)|^2`, finest first, (levels, steps)."""
        return self._estimate(lambda energy: np.swapaxes(energy, -1, -2))

    def distance(self, theory) -> Estimate:
        """Total variation between the shares and `theory`, (levels, steps) or (levels,), at each log-SNR: (steps,)."""
        return self._estimate(lambda energy: distances(energy, theory))

    def mean_distance(self, theory, weights=None) -> Estimate:
        """The mean of `distance` over log-SNRs; `weights`, (steps,), if they are not to weigh alike."""
        return self._estimate(lambda energy: np.average(distances(energy, theory), axis=-1, weights=weights))


class Direct(_Sums):
    """Direct measurement: which part of real images' bands a denoiser knows at each log-SNR, without guidance.

    rho_m(z) = 1 - E|x0hat - x0|^2_m / E|x0 - mean|^2_m, and its rate d rho_m / dz, whose shares are the chromatogram.
    Fed by `chroma.sampling.forced`, which keeps image and noise while log-SNR goes up: differences are then of one
    sample with itself, and their standard error shrinks with the step instead of staying that of rho.

    mean: (C, H, W), the mean of the data set that the images come from.

    >>> from chroma.exact import GaussianPredictor
    >>> from chroma.sampling import forced
    >>> white = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0])
    >>> x0, noise = torch.randn(2, 1000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> direct = Direct([-2.0, 0.0, 2.0], white.mean)
    >>> for state in forced(white, x0, noise, [-2.0, 0.0, 2.0]):
    ...     direct.update(state, x0)
    >>> direct.result().value.round(1)  # alpha, in both bands
    array([[0.1, 0.5, 0.9],
           [0.1, 0.5, 0.9]])
    """

    def __init__(self, log_snrs: Sequence[float], mean: torch.Tensor):
        super().__init__(log_snrs)
        self.mean = mean

    def update(self, state: State, x0: torch.Tensor) -> None:
        """Add a state of `forced` on the images x0, (B, C, H, W)."""
        images = precise(x0)
        error, total = band_energy(precise(state.x0) - images), band_energy(images - self.mean.to(images))
        self._add(state.log_snr, torch.stack([error, total], 1))

    @staticmethod
    def _rho(sums: np.ndarray) -> np.ndarray:
        """(..., steps, 2, levels) -> (..., levels, steps)."""
        return np.swapaxes(1 - sums[..., 0, :] / sums[..., 1, :], -1, -2)

    def _slopes(self, sums: np.ndarray) -> np.ndarray:
        return np.diff(self._rho(sums), axis=-1) / np.diff(self.log_snrs)

    def result(self) -> Estimate:
        """rho_m, finest first, (levels, steps): 0 where nothing is known of a band, 1 where everything is."""
        return self._estimate(self._rho)

    @property
    def between(self) -> np.ndarray:
        """The log-SNRs half way between two of `log_snrs`, where `rate` and `shares` are: (steps - 1,)."""
        return (self.log_snrs[1:] + self.log_snrs[:-1]) / 2

    def rate(self) -> Estimate:
        """d rho_m / dz between neighbouring log-SNRs, (levels, steps - 1). Below 0 where a network unlearns."""
        return self._estimate(self._slopes)

    def shares(self) -> Estimate:
        """The measured chromatogram: the rates over their sum, (levels, steps - 1). Wild where hardly any rate is
        left.
        """
        return self._estimate(lambda sums: shares(np.swapaxes(self._slopes(sums), -1, -2)))

    def distance(self, theory) -> Estimate:
        """Total variation between `shares` and `theory`, (levels, steps - 1) or (levels,): (steps - 1,)."""
        return self._estimate(lambda sums: distances(np.swapaxes(self._slopes(sums), -1, -2), theory))

    def mean_distance(self, theory) -> Estimate:
        """The mean of `distance`, each interval weighing as much as is generated in it: sum_m of the rates, if any."""

        def mean(sums: np.ndarray) -> np.ndarray:
            rates = np.swapaxes(self._slopes(sums), -1, -2)
            weights = np.maximum(rates.sum(-1), 0)
            apart = np.where(weights > 0, distances(rates, theory), 0.0)
            return (apart * weights).sum(-1) / weights.sum(-1)

        return self._estimate(mean)

    def information(self) -> Estimate:
        """What x_t tells of x0 in each band up to each of `log_snrs`, in nats, (levels, steps): 0 at the first.

        I-MMSE (Guo, Shamai and Verdu 2005): d I / d SNR = E|x0hat - x0|^2 / 2, here band by band and integrated by the
        trapezoidal rule. For an exact predictor the sum over bands grows to the entropy of a finite data set; an
        inexact one has larger errors and seems to learn more.
        """

        def integrated(sums: np.ndarray) -> np.ndarray:
            rate = sums[..., 0, :] * np.exp(self.log_snrs)[:, None] / 2  # dI/dz
            parts = (rate[..., 1:, :] + rate[..., :-1, :]) / 2 * np.diff(self.log_snrs)[:, None]
            total = np.concatenate([np.zeros_like(rate[..., :1, :]), parts.cumsum(-2)], -2)
            return np.swapaxes(total, -1, -2)

        return self._estimate(integrated)

    def total_information(self) -> Estimate:
        """The sum of `information` over bands, up to the last log-SNR: one number, in nats."""

        def integrated(sums: np.ndarray) -> np.ndarray:
            rate = sums[..., 0, :].sum(-1) * np.exp(self.log_snrs) / 2
            return np.trapezoid(rate, self.log_snrs)

        return self._estimate(integrated)


class ChangePSD:
    """Fig 1b: the power spectral density of the changes of E[x0 | x_t] within intervals of log-SNR.

    edges: strictly increasing, the log-SNRs between which changes are taken, all of them visited by the sampler.

    >>> from chroma.sampling import State
    >>> changes = ChangePSD([0.0, 1.0])
    >>> for log_snr, x0 in ((0.0, torch.zeros(2, 1, 8, 8)), (1.0, torch.tensor([1.0, -1.0] * 4).expand(2, 1, 8, 8))):
    ...     changes.update(State(log_snr, x0, x0, x0))
    >>> changes.centroid().value  # stripes of one pixel: 4 cycles in 8 pixels
    array([4.])
    """

    def __init__(self, edges: Sequence[float]):
        self._sums = _Sums(edges)
        self.edges = self._sums.log_snrs
        if len(self.edges) < 2:
            raise refuse("edges", edges, "at least two")
        self._sums = _Sums(self.edges[1:])
        self._before = None

    def update(self, state: State) -> None:
        """Add a state; those between two edges pass unnoticed. A batch begins at the first edge."""
        if state.log_snr not in self.edges:
            return
        if state.log_snr != self.edges[0]:
            if self._before is None:
                raise refuse("state", f"log-SNR {state.log_snr}", f"first the one at {self.edges[0]}, the first edge")
            self._sums._add(state.log_snr, radial_psd(precise(state.x0) - self._before))
        self._before = precise(state.x0)

    def result(self) -> Estimate:
        """The densities at 1 .. H/2 cycles per image, (intervals, H // 2)."""
        return self._sums._estimate(lambda density: density)

    def centroid(self) -> Estimate:
        """The mean frequency of the change in cycles per image, (intervals,): ring k stands for some 2 pi k of them."""

        def mean_frequency(density: np.ndarray) -> np.ndarray:
            k = np.arange(1, density.shape[-1] + 1)
            return (density * k * k).sum(-1) / (density * k).sum(-1)

        return self._sums._estimate(mean_frequency)


def radial_psd(x: torch.Tensor) -> torch.Tensor:
    """The power spectral density of each image averaged over rings of spatial frequency, (B, C, H, W) -> (B, H // 2).

    Entry k - 1 is the mean over channels and over all frequencies with `|f|` rounded to k cycles per image,
    k = 1 .. H/2; `|FFT|^2 / (H W)`, so that white noise of unit variance has density 1. Square images alone.

    >>> stripes = torch.tensor([1.0, 0.0, -1.0, 0.0] * 2).expand(1, 1, 8, 8)  # 2 cycles in 8 pixels
    >>> radial_psd(stripes).argmax().item() + 1
    2
    """
    if x.ndim != 4 or x.shape[-1] != x.shape[-2]:
        raise refuse("x", tuple(x.shape), "a batch of square images, shape (B, C, H, H)")
    side = x.shape[-1]
    frequency = torch.fft.fftfreq(side, 1 / side, device=x.device)
    ring = torch.hypot(frequency[:, None], frequency[None, :]).round().long().flatten()
    power = torch.fft.fft2(x, norm="ortho").abs().square().mean(1).flatten(1)
    totals = torch.zeros(len(x), int(ring.max()) + 1, dtype=power.dtype, device=x.device).index_add_(1, ring, power)
    return (totals / torch.bincount(ring))[:, 1 : side // 2 + 1]


if __name__ == "__main__":
    from chroma.runs import main

    main()
