r"""Streaming measurements over the states of a sampler, each with its standard error.

::

    chromatogram = CFGChromatography(log_snrs)
    for state in ddim(predictor := Guided(cond, uncond, 4.0), x_T, log_snrs):
        chromatogram.update(state.log_snr, predictor.guidance)

An accumulator is updated batch by batch and holds sums alone, on the device of what it is given, so memory does not
grow with the number of samples and nothing is transferred before the result is read. NaN is refused then.

A whole list of prompts is measured by `chroma.measure`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from chroma._check import check_not_nan, invalid_argument
from chroma.chromatography import total_variation
from chroma.estimates import Estimate, half_way, jackknife
from chroma.process import State
from chroma.pyramid import band_energy, band_sizes
from chroma.spectra import radial_psd

GROUPS = 32  # independent parts of the samples, for standard errors


def to_double(x: torch.Tensor) -> torch.Tensor:
    """Convert to double precision, or to single on the one kind of device that has no other (Apple's).

    Args:
        x: any tensor.

    Returns:
        The detached tensor, float64 (float32 on "mps").

    >>> to_double(torch.zeros(2, dtype=torch.float16)).dtype
    torch.float64
    """
    return x.detach().to(torch.float32 if x.device.type == "mps" else torch.float64)


class Mean:
    """A running mean of per-sample vectors (the pairwise update of Chan, Golub and LeVeque 1983).

    Attributes:
        count: the number of samples so far.
        mean: their mean, (...).
        squares: the sum of their squared deviations from the mean, (...).

    >>> mean = Mean()
    >>> mean.update(torch.tensor([[1.0], [2.0]]))
    >>> mean.update(torch.tensor([[3.0]]))
    >>> mean.result().value, mean.result().standard_error.round(3), mean.result().count  # 1 / sqrt(3)
    (array([2.]), array([0.577]), 3)
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros(())

    def update(self, samples: torch.Tensor) -> None:
        """Add a batch of samples.

        Args:
            samples: (B, ...), B >= 1; sums are kept in double precision on their device.

        Raises:
            ValueError: for an empty batch.
        """
        if not len(samples):
            raise invalid_argument("samples", "an empty batch", "at least one")
        samples = to_double(samples)
        count, mean = len(samples), samples.mean(0)
        total, delta = self.count + count, mean - self.mean
        self.mean = self.mean + delta * (count / total)
        self.squares = self.squares + ((samples - mean) ** 2).sum(0) + delta**2 * (self.count * count / total)
        self.count = total

    def result(self) -> Estimate:
        """Compute the mean so far with its standard error, (...).

        Returns:
            The estimate; `count` is the number of samples.

        Raises:
            ValueError: for fewer than two samples, and if a sample had NaN or infinity.
        """
        if self.count < 2:
            raise invalid_argument("count", self.count, "at least 2 samples, for a standard error")
        value = self.mean.cpu().numpy()
        if not np.isfinite(value).all():
            raise invalid_argument("samples", "NaN or infinite entries", "finite")
        spread = self.squares.cpu().numpy() / (self.count - 1)
        return Estimate(value, np.sqrt(spread / self.count), self.count)


class BandVariance:
    r"""The band variance V_m: the mean square of an image's coefficients in each band.

    White noise of unit variance has V_m = 1. A 1/f^2 spectrum has V_m proportional to 4^m, except for the last entry,
    the mean.

    >>> band_variance = BandVariance()
    >>> band_variance.update(torch.randn(1000, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    >>> band_variance.result().value.round(1)
    array([1., 1., 1., 1.])
    """

    def __init__(self) -> None:
        self._mean = Mean()
        self._shape: tuple[int, ...] | None = None

    def update(self, x: torch.Tensor) -> None:
        """Add a batch of images.

        Args:
            x: (B, C, H, W), the same C, H and W in each batch.

        Raises:
            ValueError: for images of another shape than before.
        """
        if self._shape is not None and tuple(x.shape[1:]) != self._shape:
            raise invalid_argument(
                "x", tuple(x.shape), f"a batch of shape (B, {', '.join(map(str, self._shape))}) as before"
            )
        energy = band_energy(to_double(x))
        self._shape = tuple(x.shape[1:])
        self._mean.update(energy / torch.from_numpy(band_sizes(self._shape)).to(energy))

    def result(self) -> Estimate:
        """Estimate V_m, finest first, with its standard error over images, (levels,)."""
        return self._mean.result()


class GroupedSums:
    """Sums of per-sample vectors at each of several log-SNRs, the samples distributed over `GROUPS` groups.

    Args:
        log_snrs: strictly increasing, from noisy to clean.

    Raises:
        ValueError: for log-SNRs in another order.
    """

    def __init__(self, log_snrs: Sequence[float]):
        steps = check_not_nan("log_snrs", log_snrs)
        if steps.ndim != 1 or not len(steps) or (np.diff(steps) <= 0).any():
            raise invalid_argument("log_snrs", log_snrs, "strictly increasing, from noisy to clean")
        self.log_snrs = steps
        self._step = {float(z): i for i, z in enumerate(steps)}
        self._seen = [0] * len(steps)  # units (samples or batches) at each log-SNR
        self._counts = np.zeros((len(steps), GROUPS), int)
        self._sums: torch.Tensor | None = None

    def add(self, log_snr: float, samples: torch.Tensor, one_unit: bool = False) -> None:
        """Add a batch of samples.

        Args:
            log_snr: one of `log_snrs`.
            samples: (B, ...).
            one_unit: put all of them into one group, since they are not independent; else each into the next group.

        Raises:
            ValueError: for another log-SNR, and for samples of another shape than before.
        """
        if log_snr not in self._step:
            raise invalid_argument("log_snr", log_snr, "one of the log_snrs that the accumulator was made for")
        step = self._step[log_snr]
        if self._sums is None:
            self._sums = samples.new_zeros((len(self._seen), GROUPS, *samples.shape[1:]))
        if samples.shape[1:] != self._sums.shape[2:]:
            must = f"a batch of shape (B, {', '.join(map(str, self._sums.shape[2:]))})"
            raise invalid_argument("samples", tuple(samples.shape), must)
        first = self._seen[step]
        if one_unit:
            self._sums[step, first % GROUPS] += samples.sum(0)
            self._counts[step, first % GROUPS] += len(samples)
        else:
            group = torch.arange(first, first + len(samples), device=samples.device) % GROUPS
            self._sums[step].index_add_(0, group, samples)
            np.add.at(self._counts[step], np.arange(first, first + len(samples)) % GROUPS, 1)
        self._seen[step] += 1 if one_unit else len(samples)

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Average each group.

        Returns:
            The mean of each group that has samples, (groups, steps, ...), and how many it has, (groups,).

        Raises:
            ValueError: without samples, and if log-SNRs have different numbers of them.
        """
        counts = self._counts.sum(1)
        if (self._counts != self._counts[0]).any():
            per_log_snr = f"{counts.min()} to {counts.max()} per log-SNR"
            raise invalid_argument("samples", per_log_snr, "the same number at each log-SNR")
        if self._sums is None or not counts[0]:
            raise invalid_argument("count", 0, "at least 1 sample")
        weights = self._counts[0][self._counts[0] > 0]
        sums = self._sums.cpu().double().numpy().swapaxes(0, 1)[: len(weights)]
        return sums / weights.reshape(-1, *[1] * (sums.ndim - 1)), weights

    def estimate(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Estimate a function of the means over samples, with its jackknife standard error.

        Args:
            function: of an array of means (n, steps, ...), n of them side by side.

        Returns:
            The estimate; its count is that of the independent units, samples or batches.
        """
        estimate = jackknife(*self.parts(), function)
        return Estimate(estimate.value, estimate.standard_error, self._seen[0])


def energy_shares(energy: np.ndarray) -> np.ndarray:
    """Divide band energies by their sum (Eq 19).

    Args:
        energy: (..., steps, levels).

    Returns:
        The shares with levels first, (..., levels, steps). NaN where all energies are 0.

    >>> energy_shares(np.array([[3.0, 1.0], [2.0, 2.0]]))
    array([[0.75, 0.5 ],
           [0.25, 0.5 ]])
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.swapaxes(energy / energy.sum(-1, keepdims=True), -1, -2)


def share_distances(energy: np.ndarray, predicted: ArrayLike) -> np.ndarray:
    """Compute the total variation between measured and predicted shares at each step.

    Args:
        energy: band energies, (..., steps, levels).
        predicted: shares, (levels,) or (levels, steps).

    Returns:
        (..., steps). NaN where all energies are 0.

    >>> share_distances(np.array([[3.0, 1.0], [2.0, 2.0]]), [0.5, 0.5])
    array([0.25, 0.  ])
    """
    shares = np.moveaxis(energy_shares(energy), -2, 0)
    other = check_not_nan("predicted", predicted)
    other = other.reshape(len(other), *[1] * (shares.ndim - 2), -1)
    empty = np.isnan(shares).any(0)
    return np.where(empty, np.nan, total_variation(np.where(empty, 0, shares), other))


class CFGChromatography(GroupedSums):
    r"""Eq 19: the bands that the guidance term e_CFG consists of, at each log-SNR.

    Norms are averaged over samples before they are divided, since predictions are of averages. Standard errors are a
    jackknife's over at most `GROUPS` parts of the samples.

    Args:
        log_snrs: strictly increasing, from noisy to clean.

    >>> chromatogram = CFGChromatography([0.0])
    >>> chromatogram.update(0.0, torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]]).repeat(2, 1, 1, 1))
    >>> chromatogram.result().value  # of the energy, 4, the mean of 1/2 has 4 x 1/4
    array([[0.75],
           [0.25]])
    """

    def update(self, log_snr: float, guidance: torch.Tensor, one_unit: bool = False) -> None:
        """Add a batch.

        Args:
            log_snr: one of `log_snrs`.
            guidance: e_CFG, (B, C, H, W) (`chroma.predictors.Guided.guidance`).
            one_unit: the batch is of one prompt or image; standard errors are then over batches.
        """
        self.add(log_snr, band_energy(to_double(guidance)), one_unit)

    def result(self) -> Estimate:
        """Estimate the shares, finest first, (levels, steps)."""
        return self.estimate(energy_shares)

    def energy(self) -> Estimate:
        r"""Estimate the mean energies :math:`|e_\mathrm{CFG}^{(m)}|^2`, finest first, (levels, steps)."""
        return self.estimate(lambda energy: np.swapaxes(energy, -1, -2))

    def distance(self, predicted: ArrayLike) -> Estimate:
        """Estimate the total variation between the measured and predicted shares at each step.

        Args:
            predicted: shares, (levels, steps) or (levels,).

        Returns:
            (steps,).
        """
        return self.estimate(lambda energy: share_distances(energy, predicted))

    def mean_distance(self, predicted: ArrayLike, weights: ArrayLike | None = None) -> Estimate:
        """Estimate the mean of `distance` over steps.

        Args:
            predicted: shares, (levels, steps) or (levels,).
            weights: of the steps, (steps,); equal by default.

        Returns:
            One number.
        """
        w = None if weights is None else np.asarray(weights, dtype=float)
        return self.estimate(lambda energy: np.average(share_distances(energy, predicted), axis=-1, weights=w))


class ResolvedFraction(GroupedSums):
    r"""Direct measurement: the fraction of each band of real images that a denoiser resolves, without guidance.

    :math:`\rho_m(z) = 1 - E|\hat x_0 - x_0|^2_m / E|x_0 - \bar x|^2_m`, and its rate :math:`d\rho_m / dz`, whose shares
    are the chromatogram. Updated with the states of `chroma.sampling.teacher_forced`, which keeps image and noise while
    log-SNR rises: differences are then of one sample with itself, and their standard error shrinks with the step
    instead of staying that of rho.

    Args:
        log_snrs: strictly increasing, from noisy to clean.
        mean: (C, H, W), the mean of the data set that the images come from.

    >>> from chroma.exact import GaussianPredictor
    >>> from chroma.sampling import teacher_forced
    >>> white = GaussianPredictor(torch.zeros(1, 2, 2), [1.0, 1.0])
    >>> x0, eps = torch.randn(2, 1000, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    >>> resolved = ResolvedFraction([-2.0, 0.0, 2.0], white.mean)
    >>> for state in teacher_forced(white, x0, eps, [-2.0, 0.0, 2.0]):
    ...     resolved.update(state, x0)
    >>> resolved.result().value.round(1)  # alpha, in both bands
    array([[0.1, 0.5, 0.9],
           [0.1, 0.5, 0.9]])
    """

    def __init__(self, log_snrs: Sequence[float], mean: torch.Tensor):
        super().__init__(log_snrs)
        self.mean = mean

    def update(self, state: State, x0: torch.Tensor, one_unit: bool = False) -> None:
        """Add a state.

        Args:
            state: of `chroma.sampling.teacher_forced`.
            x0: its images, (B, C, H, W).
            one_unit: the images are crops of one photograph; standard errors are then over batches.
        """
        images = to_double(x0)
        error, total = band_energy(to_double(state.x0) - images), band_energy(images - self.mean.to(images))
        self.add(state.log_snr, torch.stack([error, total], 1), one_unit)

    @staticmethod
    def _rho(sums: np.ndarray) -> np.ndarray:
        """(..., steps, 2, levels) -> (..., levels, steps)."""
        return np.swapaxes(1 - sums[..., 0, :] / sums[..., 1, :], -1, -2)

    def _rates(self, sums: np.ndarray) -> np.ndarray:
        """(..., steps, 2, levels) -> (..., steps - 1, levels)."""
        return np.swapaxes(np.diff(self._rho(sums), axis=-1) / np.diff(self.log_snrs), -1, -2)

    def result(self) -> Estimate:
        """Estimate rho_m, finest first, (levels, steps): 0 where nothing of a band is resolved, 1 where all is."""
        return self.estimate(self._rho)

    def half_points_of(self, sums: np.ndarray, of_levels: bool = False) -> np.ndarray:
        """Interpolate the log-SNR at which half of each band is resolved, for the function of an `estimate`.

        Args:
            sums: means of errors and variances, (..., steps, 2, levels).
            of_levels: of each level D^m x instead, which is all the bands from m on.

        Returns:
            The log-SNRs, finest first, (..., levels); NaN where `log_snrs` do not reach half.
        """
        parts = sums[..., ::-1].cumsum(-1)[..., ::-1] if of_levels else sums
        return half_way(self.log_snrs, self._rho(parts))

    def half_points(self, of_levels: bool = False) -> Estimate:
        """Estimate the log-SNR at which half of each band is resolved.

        Args:
            of_levels: of each level D^m x instead, which is all the bands from m on.

        Returns:
            The log-SNRs, finest first, (levels,); NaN where `log_snrs` do not reach half.
        """
        return self.estimate(lambda sums: self.half_points_of(sums, of_levels))

    @property
    def midpoints(self) -> np.ndarray:
        """The log-SNRs midway between two of `log_snrs`, to which `rate` and `shares` belong, (steps - 1,)."""
        return (self.log_snrs[1:] + self.log_snrs[:-1]) / 2

    def rate(self) -> Estimate:
        """Estimate d rho_m / dz between neighbouring log-SNRs, (levels, steps - 1).

        It is negative where a network's prediction gets worse.
        """
        return self.estimate(lambda sums: np.swapaxes(self._rates(sums), -1, -2))

    def shares(self) -> Estimate:
        """Estimate the chromatogram: the rates over their sum, (levels, steps - 1).

        It is noisy where hardly any rate is left.
        """
        return self.estimate(lambda sums: energy_shares(self._rates(sums)))

    def distance(self, predicted: ArrayLike) -> Estimate:
        """Estimate the total variation between `shares` and predicted shares in each interval.

        Args:
            predicted: (levels, steps - 1) or (levels,).

        Returns:
            (steps - 1,).
        """
        return self.estimate(lambda sums: share_distances(self._rates(sums), predicted))

    def mean_distance(self, predicted: ArrayLike) -> Estimate:
        """Estimate the mean of `distance`, each interval weighted by what is generated in it: the sum of its rates.

        Args:
            predicted: (levels, steps - 1) or (levels,).

        Returns:
            One number.
        """

        def mean(sums: np.ndarray) -> np.ndarray:
            rates = self._rates(sums)
            weights = np.maximum(rates.sum(-1), 0)
            distances = np.where(weights > 0, share_distances(rates, predicted), 0.0)
            return (distances * weights).sum(-1) / weights.sum(-1)

        return self.estimate(mean)

    def information(self) -> Estimate:
        r"""Estimate the information that x_t has about each band of x0 up to each log-SNR, in nats, (levels, steps).

        It is 0 at the first log-SNR. I-MMSE (Guo, Shamai and Verdu 2005),
        :math:`dI / d\,\mathrm{SNR} = E|\hat x_0 - x_0|^2 / 2`, here band by band and integrated by the trapezoidal
        rule. For an exact predictor the sum over bands grows to the entropy of a finite data set; an inexact one has
        larger errors and seems to gain more.
        """

        def integrated(sums: np.ndarray) -> np.ndarray:
            rate = sums[..., 0, :] * np.exp(self.log_snrs)[:, None] / 2  # dI/dz
            parts = (rate[..., 1:, :] + rate[..., :-1, :]) / 2 * np.diff(self.log_snrs)[:, None]
            total = np.concatenate([np.zeros_like(rate[..., :1, :]), parts.cumsum(-2)], -2)
            return np.swapaxes(total, -1, -2)

        return self.estimate(integrated)

    def total_information(self) -> Estimate:
        """Estimate the sum of `information` over bands, up to the last log-SNR: one number, in nats."""

        def integrated(sums: np.ndarray) -> np.ndarray:
            rate = sums[..., 0, :].sum(-1) * np.exp(self.log_snrs) / 2
            return np.trapezoid(rate, self.log_snrs)

        return self.estimate(integrated)


class ChangePSD:
    r"""The power spectral density of the changes of :math:`E[x_0 | x_t]` within intervals of log-SNR (Fig 1b).

    Args:
        edges: the log-SNRs between which changes are taken, strictly increasing, at least two; the sampler must have a
            step at each of them.

    Attributes:
        edges: as passed, (intervals + 1,) float64.

    Raises:
        ValueError: for fewer than two edges, or edges in another order.

    >>> from chroma.process import State
    >>> changes = ChangePSD([0.0, 1.0])
    >>> for log_snr, x0 in ((0.0, torch.zeros(2, 1, 8, 8)), (1.0, torch.tensor([1.0, -1.0] * 4).expand(2, 1, 8, 8))):
    ...     changes.update(State(log_snr, x0, x0, x0))
    >>> changes.centroid().value  # stripes of one pixel: 4 cycles in 8 pixels
    array([4.])
    """

    def __init__(self, edges: Sequence[float]):
        self.edges = GroupedSums(edges).log_snrs
        if len(self.edges) < 2:
            raise invalid_argument("edges", edges, "at least two")
        self._sums = GroupedSums(self.edges[1:].tolist())
        self._x0_before: torch.Tensor | None = None

    def update(self, state: State) -> None:
        """Add a state of a sampler.

        Args:
            state: its log-SNR is an edge, or the state is ignored; the first edge starts a new batch.

        Raises:
            ValueError: if the first state at an edge is not at the first edge.
        """
        if state.log_snr not in self.edges:
            return
        if state.log_snr != self.edges[0]:
            if self._x0_before is None:
                must = f"at the first edge, log-SNR {self.edges[0]}, before the others"
                raise invalid_argument("state", f"log-SNR {state.log_snr}", must)
            self._sums.add(state.log_snr, radial_psd(to_double(state.x0) - self._x0_before))
        self._x0_before = to_double(state.x0)

    def estimate(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Estimate a function of the mean densities, with its jackknife standard error over samples.

        Args:
            function: of an array of means (n, intervals, H // 2), n of them side by side.

        Returns:
            The estimate.
        """
        return self._sums.estimate(function)

    def result(self) -> Estimate:
        """Estimate the densities at 1 .. H/2 cycles per image (`chroma.spectra.radial_psd`), (intervals, H // 2)."""
        return self._sums.estimate(lambda density: density)

    def centroid(self) -> Estimate:
        """Estimate the mean frequency of the change in cycles per image, (intervals,).

        Ring k has a weight of its density times k, as it holds about 2 pi k frequencies.
        """

        def mean_frequency(density: np.ndarray) -> np.ndarray:
            k = np.arange(1, density.shape[-1] + 1)
            return (density * k * k).sum(-1) / (density * k).sum(-1)

        return self._sums.estimate(mean_frequency)
