r"""Resolution chromatography: which resolution an image gains signal in, at each log-SNR (Eqs 8 to 18 and 34).

Averaging n x n pixels divides the variance of white noise by n^2 and leaves the intensity of the signal unchanged
(Eq 9). The image at level m therefore has a log-SNR that is greater by :math:`2 m \log n` (Eqs 11 and 16), which is
:math:`m \log 4` for n = 2. In log-SNR, the chromatography r_m of Eq 18 is a softmax over levels.

Level 0 is the full resolution. All functions are NumPy functions and accept arrays of any shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chroma._check import check_int, check_not_nan, invalid_argument
from chroma.pyramid import band_sizes
from chroma.schedules import Schedule


def _check_level(level: ArrayLike) -> np.ndarray:
    """Convert levels to a float64 array without NaN or negative entries."""
    levels = check_not_nan("level", level)
    if (levels < 0).any():
        raise invalid_argument("level", level, ">= 0: 0 is the full resolution")
    return levels


def _log_expit(z: np.ndarray) -> np.ndarray:
    """Compute log sigma(z) = log alpha to an absolute error of 1e-16.

    This is exact enough, since the result is exponentiated, and faster than log1p.
    """
    return np.minimum(z, 0) - np.log(1 + np.exp(-np.abs(z)))


def level_log_snr(log_snr: ArrayLike, level: ArrayLike, factor: int = 2) -> np.ndarray:
    r"""Compute the log-SNR of the image at a level, :math:`\log \mathrm{SNR}(t) + 2 m \log n` (Eqs 11 and 16).

    Args:
        log_snr: of the full-size image, any shape.
        level: m >= 0, of a shape that broadcasts against `log_snr`.
        factor: n, the side of the averaged square.

    Returns:
        The log-SNR :math:`\log \mathrm{SNR}(\tau_m)`, of the broadcast shape.

    Raises:
        ValueError: for NaN, a negative level, or a factor below 2.

    >>> round(float(level_log_snr(0.0, 1)), 3)  # log 4
    1.386
    """
    return (check_not_nan("log_snr", log_snr) + 2 * _check_level(level) * np.log(check_int("factor", factor, 2)))[()]


def adjusted_time(schedule: Schedule, t: ArrayLike, level: ArrayLike, factor: int = 2) -> np.ndarray:
    r"""Compute the adjusted time tau_m, at which the schedule has the SNR of the image at level m (Eq 16).

    Args:
        schedule: the noise schedule.
        t: time of the full-size image, in the units of ``schedule.domain``, any shape.
        level: m >= 0, of a shape that broadcasts against `t`.
        factor: n, the side of the averaged square.

    Returns:
        :math:`\tau_m = \mathrm{SNR}^{-1}(n^{2m}\, \mathrm{SNR}(t))`, of the broadcast shape and in the units of
        ``schedule.domain``; the schedule's first time where the schedule has no SNR that high.

    Raises:
        ValueError: for NaN, a time outside the schedule's domain, a negative level, or a factor below 2.

    >>> from chroma import Cosine
    >>> adjusted_time(Cosine(), 0.8, level=[0, 1, 2]).round(3)
    array([0.8  , 0.633, 0.416])
    """
    return schedule.time(level_log_snr(schedule.log_snr(t), level, factor))


def intensity(log_snr: ArrayLike, level: ArrayLike, factor: int = 2) -> np.ndarray:
    r"""Compute lambda_m, the factor that gives :math:`D^m x_t` unit marginal variance again (Eqs 12 and 16).

    It is :math:`\lambda_m = \sqrt{\alpha_{\tau_m} / \alpha_t} = n^m / \sqrt{1 + (n^{2m} - 1) \alpha_t}`.

    Args:
        log_snr: of the full-size image, any shape.
        level: m >= 0, of a shape that broadcasts against `log_snr`.
        factor: n, the side of the averaged square.

    Returns:
        lambda_m, of the broadcast shape. It is 1 for a clean image, n^m for pure noise.

    Raises:
        ValueError: for NaN, a negative level, or a factor below 2.

    >>> intensity([-np.inf, 0.0, np.inf], 1).round(3)  # pure noise, equal parts, a clean image
    array([2.   , 1.265, 1.   ])
    """
    z = check_not_nan("log_snr", log_snr)
    z_level = level_log_snr(z, level, factor)
    with np.errstate(invalid="ignore"):
        log_ratio = _log_expit(z_level) - _log_expit(z)
    # at log-SNR = -inf both logarithms are -inf; their difference is then 2 m log n itself
    return np.exp(0.5 * np.where(np.isneginf(z), level_log_snr(0.0, level, factor), log_ratio))[()]


def chromatogram(
    log_snr: ArrayLike, levels: int, log_band_variance: ArrayLike | None = None, factor: int = 2
) -> np.ndarray:
    r"""Compute r_m, the share of level m in the signal that is generated at a log-SNR (Eqs 18 and 34).

    As :math:`d\alpha_{\tau_m} / dt = \sigma'(z_m)\, dz/dt` and dz/dt is common to all levels, the chromatogram is

    .. math:: r_m = \frac{\sigma'(z_m)}{\sum_n \sigma'(z_n)}, \qquad z_m = z + m \log 4,

    a softmax of :math:`\log \sigma(z_m) + \log \sigma(-z_m)`, for any schedule (Theorem 1). The softmax is finite for
    every z, while Eq 34 as printed overflows as :math:`\alpha \to 0`.

    Args:
        log_snr: z, any shape.
        levels: their number, at least 1.
        log_band_variance: log V_m, (levels,), finest first: the band variance of real data in place of the paper's
            m log 4, and so of `factor` (the spectrum-aware chromatogram).
        factor: n, the side of the averaged square.

    Returns:
        The shares, finest first, (levels,) + the shape of `log_snr`; their sum over axis 0 is 1.

    Raises:
        ValueError: for NaN, no level at all, or a `log_band_variance` that is not finite or of another shape.

    >>> noisy, clean = chromatogram([-20.0, 20.0], levels=3).T
    >>> (21 * noisy).round(3), (21 * clean).round(3)  # in proportion to 4^m near pure noise, and to 4^-m near the image
    (array([ 1.,  4., 16.]), array([16.,  4.,  1.]))
    """
    z = check_not_nan("log_snr", log_snr)
    levels = check_int("levels", levels, 1)
    if log_band_variance is None:
        offsets = level_log_snr(0.0, np.arange(levels), factor)
    else:
        offsets = check_not_nan("log_band_variance", log_band_variance)
        if offsets.shape != (levels,) or not np.isfinite(offsets).all():
            raise invalid_argument("log_band_variance", log_band_variance, f"finite, of shape ({levels},)")
    # Beyond +-limit the softmax has reached its limits 4^m and 4^-m to the last digit; so have infinite z.
    limit = 800.0 + np.abs(offsets).max()
    distance = np.abs(np.clip(z, -limit, limit) + offsets.reshape(-1, *[1] * z.ndim))
    # sigma'(z_m) = e^-d / (1 + e^-d)^2 with d = |z_m|, over the largest e^-d: the softmax without its logarithms
    shares = np.exp(distance.min(axis=0) - distance)
    shares /= np.square(1 + np.exp(-distance))
    shares /= shares.sum(axis=0)
    return shares


def _check_variances(name: str, variances: ArrayLike) -> np.ndarray:
    """Convert variances to a float64 array (levels,) of finite values >= 0."""
    values = check_not_nan(name, variances)
    if values.ndim != 1 or not len(values) or (values < 0).any() or not np.isfinite(values).all():
        raise invalid_argument(name, variances, "one finite value >= 0 per band, of shape (levels,)")
    return values


def _by_level(log_snr: ArrayLike, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clip z to +-1e6, where every limit is reached, and shape log V_m to broadcast against z: (levels,) + z.shape."""
    z = np.clip(check_not_nan("log_snr", log_snr), -1e6, 1e6)
    with np.errstate(divide="ignore"):
        return z, np.log(variances).reshape(-1, *[1] * z.ndim)


def resolved_fraction(log_snr: ArrayLike, band_variance: ArrayLike) -> np.ndarray:
    r"""Compute :math:`\rho_m = \sigma(z + \log V_m)`, the resolved fraction of each band of Gaussian data.

    It is the share of a band's variance that :math:`E[x_0 | x_t]` has at a log-SNR: the gain of the Wiener filter. Its
    derivative, normalised over m, is ``chromatogram(log_snr, levels, np.log(band_variance))``. It is derived in the
    book, on the page about the direct measurement.

    Where the colours of a band have the covariance with eigenvalues :math:`\lambda_i`, each of them is resolved by
    itself, and the fraction of the whole band is
    :math:`\sum_i \lambda_i \sigma(z + \log \lambda_i) / \sum_i \lambda_i`.

    Args:
        log_snr: z, any shape.
        band_variance: V_m >= 0, the variance of a coefficient of each band, finest first, (levels,)
            (`chroma.accumulators.BandVariance`); or the eigenvalues of the covariance of its colours, (levels, C)
            (`chroma.spectra.band_covariance`).

    Returns:
        The fractions, finest first, (levels,) + the shape of `log_snr`; 0 for a band without any variance.

    Raises:
        ValueError: for NaN, and for variances that are negative, infinite or of another shape.

    >>> resolved_fraction(0.0, [1.0, 3.0])
    array([0.5 , 0.75])
    >>> resolved_fraction(0.0, [[0.0, 2.0], [1.0, 1.0]]).round(3)  # two colours: all in one direction, or alike
    array([0.667, 0.5  ])
    """
    variances = check_not_nan("band_variance", band_variance)
    by_colour = variances.reshape(len(variances), -1) if variances.ndim in (1, 2) and variances.size else variances
    if by_colour.ndim != 2 or (by_colour < 0).any() or not np.isfinite(by_colour).all():
        must = "finite and >= 0, of shape (levels,) or (levels, C)"
        raise invalid_argument("band_variance", band_variance, must)
    z, log_variance = _by_level(log_snr, by_colour.ravel())
    fractions = np.exp(_log_expit(z + log_variance)).reshape(*by_colour.shape, *z.shape)
    if variances.ndim == 1:
        return fractions[:, 0]
    total = by_colour.sum(1, keepdims=True)
    weights = np.divide(by_colour, total, out=np.zeros_like(by_colour), where=total > 0)
    return (weights.reshape(*weights.shape, *[1] * z.ndim) * fractions).sum(1)


def guidance_power(log_snr: ArrayLike, band_variance: ArrayLike, between_prompt_variance: ArrayLike) -> np.ndarray:
    r"""Compute the expected square of e_CFG per coefficient of each band, for Gaussian data (compare Eq 19).

    With V the variance of a coefficient, w that of its mean given the prompt, and v = V - w, it is

    .. math:: E\, e_\mathrm{CFG}^2 = \frac{\alpha (1 - \alpha)\, w}{(\alpha v + 1 - \alpha)(\alpha V + 1 - \alpha)}.

    Multiplied by `chroma.pyramid.band_sizes` and normalised over bands, it predicts the chromatogram that Eq 19
    measures. Where a prompt determines little of a band (w much smaller than V) it is
    :math:`(w / V)\, \sigma'(z + \log V)`: the spectrum-aware chromatogram weighted by w / V. It is derived in the book,
    on the page about the guidance norm.

    Args:
        log_snr: z, any shape.
        band_variance: V >= 0, the variance of a coefficient of each band, finest first, (levels,).
        between_prompt_variance: w, from 0 to V, the variance over prompts of a coefficient's mean given the prompt,
            (levels,).

    Returns:
        The expected squares, finest first, (levels,) + the shape of `log_snr`.

    Raises:
        ValueError: for NaN, or unless 0 <= between_prompt_variance <= band_variance.

    >>> # the prompt determines all of the first band and nothing of the second
    >>> guidance_power(0.0, band_variance=[1.0, 1.0], between_prompt_variance=[1.0, 0.0])
    array([0.5, 0. ])
    """
    total = _check_variances("band_variance", band_variance)
    between = _check_variances("between_prompt_variance", between_prompt_variance)
    if total.shape != between.shape or (between > total).any():
        must = f"at most band_variance, {total.tolist()}, in each band"
        raise invalid_argument("between_prompt_variance", between_prompt_variance, must)
    z, log_total = _by_level(log_snr, total)
    _, log_within = _by_level(log_snr, total - between)
    _, log_between = _by_level(log_snr, between)
    # e^(z + log w) over (1 + e^(z + log V)) (1 + e^(z + log v)): both divided by (1 - alpha)^2
    return np.exp(z + log_between - np.logaddexp(0, z + log_total) - np.logaddexp(0, z + log_within))


def coloured_guidance_power(
    log_snr: ArrayLike, within: ArrayLike, between: ArrayLike, weights: ArrayLike | None = None
) -> np.ndarray:
    r"""Compute the expected square of e_CFG per coefficient of each band, with colours and a covariance per prompt.

    Prompt p has the covariance :math:`v_p` of colours in a band, and :math:`W` is that of the prompts' means. With
    :math:`S_p = \alpha v_p + (1 - \alpha) I`, :math:`V = \overline{v_p} + W`,
    :math:`S = \alpha V + (1 - \alpha) I` and :math:`\Delta_p = S_p^{-1} - S^{-1}`, the difference of the two linear
    predictors has, averaged over prompts,

    .. math:: E\, |e_\mathrm{CFG}|^2 = (1 - \alpha) \left( \overline{\mathrm{tr}\, \Delta_p S_p \Delta_p}
        + \alpha\, \mathrm{tr}\, S^{-1} W S^{-1} \right).

    With one colour and one v it is `guidance_power`. The unconditional predictor is the best linear one; the exact one
    of a mixture is `chroma.exact.MixturePredictor`.

    Args:
        log_snr: z, any shape.
        within: v_p, the covariances given the prompt, finest band first, (P, levels, C, C).
        between: W, the covariances of the prompts' means, (levels, C, C).
        weights: how frequent each of the P prompts (or kinds of prompt) is, (P,); equal by default.

    Returns:
        The expected squares divided by C, finest first, (levels,) + the shape of `log_snr`.

    Raises:
        ValueError: for NaN, and matrices of another shape or that are not covariances.

    >>> v, w = np.full((1, 1, 1, 1), 0.5), np.full((1, 1, 1), 1.5)
    >>> coloured_guidance_power(0.0, v, w).round(6), guidance_power(0.0, [2.0], [1.5]).round(6)
    (array([0.333333]), array([0.333333]))
    """
    v, w = _check_covariances("within", within, 4), _check_covariances("between", between, 3)
    if v.shape[1:] != w.shape:
        raise invalid_argument("between", f"shape {w.shape}", f"of shape {v.shape[1:]}, as within has it")
    shares = check_not_nan("weights", np.ones(len(v)) if weights is None else weights)
    if shares.shape != (len(v),) or (shares < 0).any() or not shares.sum() > 0:
        raise invalid_argument("weights", weights, f">= 0, one for each of the {len(v)} prompts")
    shares = shares / shares.sum()
    z = np.clip(check_not_nan("log_snr", log_snr), -700, 700)
    # z first: (Z, levels, C, C), divided by 1 - alpha, so that alpha / (1 - alpha) = e^z is all there is
    snr = np.exp(z.reshape(-1, 1, 1, 1))
    identity = np.eye(w.shape[-1])
    inverse = np.linalg.inv(identity + snr * (np.tensordot(shares, v, 1) + w))
    total = snr[..., 0, 0] * np.trace(inverse @ w @ inverse, axis1=-2, axis2=-1)
    for share, v_p in zip(shares, v, strict=True):
        s_p = identity + snr * v_p
        difference = np.linalg.inv(s_p) - inverse
        total = total + share * np.trace(difference @ s_p @ difference, axis1=-2, axis2=-1)
    return (total / w.shape[-1]).T.reshape(len(w), *z.shape)


def _check_covariances(name: str, covariances: ArrayLike, ndim: int) -> np.ndarray:
    """Convert to float64 arrays (..., levels, C, C) of symmetric, positive semi-definite matrices."""
    values = check_not_nan(name, covariances)
    if values.ndim != ndim or not values.size or values.shape[-1] != values.shape[-2]:
        shape = "(P, levels, C, C)" if ndim == 4 else "(levels, C, C)"
        raise invalid_argument(name, f"shape {values.shape}", f"of shape {shape}")
    if not np.isfinite(values).all() or not np.allclose(values, np.swapaxes(values, -1, -2), rtol=1e-6, atol=0):
        raise invalid_argument(name, "matrices that are not", "finite and symmetric")
    eigenvalues = np.linalg.eigvalsh(values)
    if (eigenvalues[..., 0] < -1e-9 * np.abs(eigenvalues).max(-1)).any():
        raise invalid_argument(name, f"an eigenvalue of {eigenvalues.min():g}", "positive semi-definite")
    return values


def level_variance(band_variance: ArrayLike, shape: tuple[int, int, int]) -> np.ndarray:
    r"""Compute the variance of each level :math:`D^m x_0` from the variances of the bands.

    A level is all of a coarse image, a band the difference of two: :math:`U^m D^m x_0` consists of the bands m and
    coarser, so that

    .. math:: \mathrm{Var}(D^m x_0) = \frac{1}{C H W} \sum_{k \ge m} N_k V_k.

    The paper takes it as 1 for every m ("average pooling does not affect the intensity", Section 3.1). With
    ``np.log(level_variance(...)) + m log 4`` in place of the bands' ``log V_m``, `chromatogram` is the paper's r_m for
    levels of these variances.

    Args:
        band_variance: V_m >= 0, finest first, (levels,).
        shape: (C, H, W) of the images.

    Returns:
        The variances, full size first, (levels,).

    Raises:
        ValueError: for variances that are negative, infinite or not one per band.

    >>> level_variance([0.0, 0.0, 16.0], (3, 4, 4))  # an image of one colour: nothing is lost by averaging
    array([1., 1., 1.])
    >>> level_variance([1.0, 1.0, 1.0], (3, 4, 4))  # white noise
    array([1.    , 0.25  , 0.0625])
    """
    variance, sizes = _check_variances("band_variance", band_variance), band_sizes(shape)
    if variance.shape != sizes.shape:
        raise invalid_argument("band_variance", f"shape {variance.shape}", f"one for each of the {len(sizes)} bands")
    return np.cumsum((sizes * variance)[::-1])[::-1] / sizes.sum()


def generation_weights(log_snrs: ArrayLike, band_variance: ArrayLike) -> np.ndarray:
    r"""Weigh log-SNRs by how much is generated around them: a mean over time that depends on no schedule.

    The weight of a log-SNR is :math:`\sum_m \left[ \sigma(z' + \log V_m) - \sigma(z + \log V_m) \right]` with z and z'
    halfway to its neighbours: each band counts once, where it is being generated. A mean over a schedule's own time
    would weigh mostly the log-SNRs through which that schedule happens to be slow.

    Args:
        log_snrs: strictly increasing, from noisy to clean, (steps,), at least 2; infinite ones have no weight.
        band_variance: V_m of the data, (levels,); ``4.0 ** np.arange(levels)`` for the paper's.

    Returns:
        The weights, which sum to 1, (steps,).

    Raises:
        ValueError: for log-SNRs that do not increase, and variances that are negative or infinite.

    >>> generation_weights([-20.0, -1.0, 1.0, 20.0], [1.0]).round(2)  # the one band is generated around 0
    array([0. , 0.5, 0.5, 0. ])
    """
    z = check_not_nan("log_snrs", log_snrs)
    if z.ndim != 1 or len(z) < 2 or (np.diff(z) <= 0).any():
        raise invalid_argument("log_snrs", log_snrs, "at least 2, strictly increasing, from noisy to clean")
    finite = np.clip(z, -1e6, 1e6)
    edges = np.concatenate([finite[:1], (finite[1:] + finite[:-1]) / 2, finite[-1:]])
    weights = np.diff(resolved_fraction(edges, band_variance).sum(0))
    if not weights.sum() > 0:
        raise invalid_argument("band_variance", band_variance, "such that something is generated at these log-SNRs")
    return weights / weights.sum()


def total_variation(shares: ArrayLike, other: ArrayLike) -> np.ndarray:
    r"""Compute the total-variation distance of two chromatograms, :math:`\frac{1}{2} \sum_m |r_m - r'_m|`.

    It is 0 if they are identical and 1 if they are disjoint: the largest difference between the shares that the two
    assign to any one set of levels.

    Args:
        shares: r_m, (levels, ...).
        other: r'_m, of a shape that broadcasts against `shares`.

    Returns:
        The distance, of the broadcast shape without its first axis.

    Raises:
        ValueError: for NaN.

    >>> float(total_variation([0.5, 0.5, 0.0], [0.0, 0.5, 0.5]))
    0.5
    """
    return (np.abs(check_not_nan("shares", shares) - check_not_nan("other", other)).sum(axis=0) / 2)[()]
