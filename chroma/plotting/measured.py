"""Figures of measurements: spectra, chromatograms, and the distances between measurements and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from chroma.estimates import Estimate
from chroma.palette import PREDICTION_LABELS, level_colour, level_name
from chroma.plotting.layout import legend_above, panels, resolution_key, short_label, wrapped
from chroma.plotting.style import (
    PHONE_WIDTH,
    WIDTH,
    draw_curve,
    draw_picture,
    heat_map,
    label_curves,
    on_phone,
    styled,
    with_errors,
)


@styled
def change_spectra(spectra: Mapping[str, tuple[Estimate, Sequence[str]]]) -> Figure:
    """Plot the power spectral density of the changes of E[x0 | x_t], one curve per interval of log-SNR (Fig 1b).

    Lines are means over samples, and bands are two standard errors to either side.

    Args:
        spectra: title -> the densities, (intervals, K) at 1 .. K cycles per image, from the noisiest interval to the
            cleanest (`chroma.accumulators.ChangePSD`); and the names of the intervals.

    Returns:
        The figure.

    >>> density = Estimate(np.ones((2, 4)), np.full((2, 4), 0.1), 9)
    >>> figure = change_spectra({"model": (density, ["−4 to 0", "0 to 4"])})
    >>> len(figure.axes[0].lines)
    2
    """
    figure, axes = panels(len(spectra), 3.9, sharey=True)
    for ax, (title, (density, names)) in zip(axes, spectra.items(), strict=True):
        frequency = np.arange(1, density.value.shape[-1] + 1)
        colours = plt.get_cmap("plasma")(np.linspace(0, 0.82, len(names)))
        for mean, error, name, colour in zip(density.value, density.standard_error, names, colours, strict=True):
            low = np.maximum(mean - 2 * error, mean / 10)  # the axis is logarithmic
            ax.fill_between(frequency, low, mean + 2 * error, color=colour, alpha=0.2, linewidth=0)
            ax.plot(frequency, mean, color=colour, label=name)
        ax.set(xscale="log", yscale="log", xlabel="cycles per image", title=wrapped(title, len(spectra)))
        ax.set_xticks([1, 2, 4, 8, 16, 32][: int(np.log2(len(frequency))) + 1])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        ax.legend(title="log-SNR", fontsize=8.5, title_fontsize=8.5, loc="lower left", handlelength=1.2)
    axes[0].set(ylabel="power spectral density", ylim=(1e-6, None))
    return figure


@styled
def chromatogram(
    x: np.ndarray,
    shown: Mapping[str, Estimate | npt.ArrayLike],
    size: int | Mapping[str, int],
    null: npt.ArrayLike | Mapping[str, npt.ArrayLike],
    xlabel: str = "time t   (noise ← → image)",
) -> Figure:
    """Plot the shares r_m as curves and, below, as a heat map, one column per panel (Fig 4).

    Shares with standard errors have bands of two standard errors to either side.

    Args:
        x: times or log-SNRs, in order, (N,).
        shown: title -> the shares, (levels, N), with or without standard errors.
        size: the side length of the images in pixels, of all panels or by title.
        null: the shares of white noise, (levels,), of all panels or by title, plotted as dotted lines
            (`chroma.pyramid.white_noise_shares`).
        xlabel: what `x` is. Noise is on the left: where the label starts with "time", the axis is reversed.

    Returns:
        The figure.

    >>> import chroma
    >>> from chroma.pyramid import white_noise_shares
    >>> t = np.linspace(0.01, 0.99, 50)
    >>> shares = chroma.chromatogram(chroma.Cosine().log_snr(t), levels=7)
    >>> figure = chromatogram(t, {"cosine schedule": shares}, size=64, null=white_noise_shares((1, 64, 64)))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['64×64', '32×32', '16×16', '8×8', '4×4', '2×2', '1×1']
    """
    highest = max(0.82, *(float(with_errors(values)[0].max()) + 0.07 for values in shown.values()))
    span = (x.max(), x.min()) if xlabel.startswith("time") else (x.min(), x.max())
    sizes = size if isinstance(size, Mapping) else dict.fromkeys(shown, size)
    nulls = null if isinstance(null, Mapping) else dict.fromkeys(shown, null)
    count = len(shown)
    if on_phone():
        size_of, ratios = (PHONE_WIDTH, 4.3 * count), [1, 0.62] * count
        figure, stacked = plt.subplots(2 * count, 1, figsize=size_of, height_ratios=ratios, squeeze=False)
        axes = stacked.reshape(count, 2)
    else:
        figure, rows = plt.subplots(2, count, figsize=(WIDTH, 4.9), height_ratios=[1, 0.62], sharex=True, squeeze=False)
        axes = rows.T
    for (top, bottom), (title, values) in zip(axes, shown.items(), strict=True):
        side, white = sizes[title], np.asarray(nulls[title])
        shares, errors = with_errors(values)
        for level, (curve, error) in enumerate(zip(shares, errors, strict=True)):
            draw_curve(top, x, curve, error, level_colour(side, level))
            top.axhline(white[level], color=level_colour(side, level), linewidth=0.8, linestyle=":")
        top.set(ylabel="share rₘ", ylim=(0, highest), xlim=span, title=wrapped(title, count))
        if count < 3 or on_phone():
            label_curves(top, x, dict(enumerate(shares)), side)
        heat_map(bottom, x, shares, side)
        bottom.set(xlabel=short_label(xlabel, count), xlim=span)
    if count > 2 and not on_phone():
        resolution_key(figure, side, len(white))
    return figure


@styled
def gallery(t: np.ndarray, cells: Mapping[str, tuple[npt.ArrayLike, np.ndarray]], size: int) -> Figure:
    """Show one sample per prompt beside the heat map of its shares (Fig 8).

    Args:
        t: times, increasing, (N,).
        cells: prompt -> a sample (3, H, W) in [-1, 1], and its shares, (levels, N).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> figure = gallery(np.linspace(0, 1, 9), {"owl": (np.zeros((3, 8, 8)), np.full((4, 9), 0.25))}, size=8)
    >>> figure.axes[0].get_title("left")
    'owl'
    """
    columns = 1 if on_phone() else 2
    rows = -(-len(cells) // columns)
    width = PHONE_WIDTH if on_phone() else WIDTH
    figure, axes = plt.subplots(
        rows, 2 * columns, figsize=(width, 1.55 * rows), width_ratios=[0.75, 1] * columns, squeeze=False
    )
    for ax in axes.flat[2 * len(cells) :]:
        ax.axis("off")
    for i, (prompt, (image, shares)) in enumerate(cells.items()):
        left, right = axes[i // columns, 2 * (i % columns) : 2 * (i % columns) + 2]
        draw_picture(left, image)
        heat_map(right, t, shares, size)
        right.set(xlim=(t.max(), t.min()))
        right.tick_params(axis="x", labelsize=8.5)
        left.set_title(prompt, loc="left", fontsize=9)
        if i // columns == rows - 1:
            right.set_xlabel("time t")
    return figure


@styled
def distance_curves(
    x: np.ndarray,
    shown: Mapping[str, Mapping[str, Estimate | npt.ArrayLike]],
    xlabel: str,
    ylabel: str = "total variation",
) -> Figure:
    """Plot the distance between a measurement and each of its predictions, with bands of two standard errors.

    Args:
        x: log-SNRs or times, in order, (N,).
        shown: title -> prediction -> its distances, (N,), with or without standard errors; at most four predictions
            per panel, such as those of `chroma.nulls.predictions`.
        xlabel: what `x` is.
        ylabel: what the distances are.

    Returns:
        The figure.

    >>> z = np.linspace(-4, 4, 9)
    >>> figure = distance_curves(z, {"model": {"paper": 0.2 + 0 * z, "white_noise": 0.1 + 0 * z}}, "log-SNR")
    >>> [text.get_text() for text in figure.legends[0].texts]
    ["the paper's rₘ", 'white noise']
    """
    figure, axes = panels(len(shown), 3.3, sharey=True)
    line_styles = (("#d1495b", "-"), ("#2f86c4", "--"), ("#3f8f3a", "-."), ("#777777", ":"))
    for ax, (title, curves) in zip(axes, shown.items(), strict=True):
        for (name, values), (colour, line_style) in zip(curves.items(), line_styles, strict=False):
            label = PREDICTION_LABELS.get(name, name)
            draw_curve(ax, x, *with_errors(values), colour, linestyle=line_style, label=label)
        ax.set(xlabel=short_label(xlabel, len(shown)), title=wrapped(title, len(shown)))
        ax.set(ylim=(0, None), xlim=(x.min(), x.max()))
    axes[0].set_ylabel(ylabel)
    legend_above(figure, axes[0], 4)
    return figure


@styled
def resolved_fractions(
    log_snrs: np.ndarray, shown: Mapping[str, tuple[Estimate | npt.ArrayLike, npt.ArrayLike]], size: int
) -> Figure:
    """Plot the resolved fraction rho_m of each band against log-SNR: measured (solid) and predicted (dashed).

    Args:
        log_snrs: the abscissae, (N,).
        shown: title -> the measured rho_m, (levels, N), with or without standard errors; and the predicted one,
            (levels, N).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> rho = np.linspace([0.0, 0.2], [0.8, 1.0], 9).T
    >>> figure = resolved_fractions(np.linspace(-4, 4, 9), {"photographs": (rho, rho)}, size=8)
    >>> len(figure.axes[0].lines)  # two bands, measured and predicted
    4
    """
    return _curves_by_band(log_snrs, shown, size, "resolved fraction ρₘ")


@styled
def shares_by_band(
    log_snrs: np.ndarray, shown: Mapping[str, tuple[Estimate | npt.ArrayLike, npt.ArrayLike]], size: int
) -> Figure:
    """Plot the shares of the bands in the guidance as curves: measured (solid) and predicted (dashed).

    Args:
        log_snrs: the abscissae, (N,).
        shown: title -> the measured shares, (levels, N), with or without standard errors; and the predicted ones,
            (levels, N).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> shares = np.array([[0.25, 0.75], [0.75, 0.25]])
    >>> figure = shares_by_band(np.array([-1.0, 1.0]), {"a style": (shares, shares)}, size=2)
    >>> figure.axes[0].get_ylabel()
    'share of the guidance'
    """
    return _curves_by_band(log_snrs, shown, size, "share of the guidance")


def _curves_by_band(
    log_snrs: np.ndarray,
    shown: Mapping[str, tuple[Estimate | npt.ArrayLike, npt.ArrayLike]],
    size: int,
    quantity: str,
) -> Figure:
    """Plot one curve per band in each panel, from 0 to 1: measured (solid) and predicted (dashed)."""
    figure, axes = panels(len(shown), 3.5, sharey=True)
    for ax, (title, (measured, predicted)) in zip(axes, shown.items(), strict=True):
        bands = zip(*with_errors(measured), np.asarray(predicted), strict=True)
        for level, (value, error, prediction) in enumerate(bands):
            draw_curve(ax, log_snrs, value, error, level_colour(size, level))
            ax.plot(log_snrs, prediction, "--", color=level_colour(size, level), linewidth=1)
        limits = (log_snrs.min(), log_snrs.max())
        label = short_label("log-SNR   (noise ← → image)", len(shown))
        ax.set(xlabel=label, title=wrapped(title, len(shown)), ylim=(-0.05, 1.05), xlim=limits)
    axes[0].set_ylabel(quantity)
    resolution_key(figure, size, len(np.asarray(predicted)))
    return figure


@styled
def band_variances(sets: Mapping[str, Estimate], size: int) -> Figure:
    """Plot V_m / 4^m of several sets of images against resolution: constant for a 1/f^2 spectrum.

    Args:
        sets: name -> the band variances V_m, (levels,), the last one that of the mean
            (`chroma.accumulators.BandVariance`); at most six sets.
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> variance = Estimate(4.0 ** np.arange(4), np.full(4, 0.1), 100)
    >>> figure = band_variances({"power law": variance}, size=8)
    >>> figure.axes[0].lines[0].get_ydata().tolist()  # without the mean
    [1.0, 1.0, 1.0]
    """
    figure, (ax,) = panels(1, 3.8)
    markers = ("o-", "s--", "^-.", "D:", "v-", "P--")
    for (name, variance), marker in zip(sets.items(), markers, strict=False):
        levels = range(len(variance.value) - 1)  # the last is the mean, which has no neighbour to compare with
        scale = 4.0 ** np.array(levels)
        value, error = variance.value[:-1] / scale, variance.standard_error[:-1] / scale
        ax.errorbar(levels, value, 2 * error, fmt=marker, label=name, markersize=5, linewidth=1.4, capsize=2)
    ax.axhline(1, color="#777777", linewidth=1)
    ax.annotate("Vₘ = 4ᵐ", (0, 1), (0, -11), textcoords="offset points", fontsize=9)
    ax.set(yscale="log", xlabel="resolution", ylabel="band variance Vₘ / 4ᵐ")
    ax.set_xticks(levels, [level_name(size, level) for level in levels])
    legend_above(figure, ax, 3)
    return figure


@styled
def half_points(measured: Mapping[str, Estimate], predicted: Mapping[str, npt.ArrayLike], size: int) -> Figure:
    """Plot the log-SNR at which half of each band is resolved: measured (points) and predicted (dashed lines).

    Args:
        measured: name -> half points, finest first, (levels,) (`chroma.accumulators.ResolvedFraction.half_points`); at
            most six.
        predicted: of the same names, (levels,).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> half = Estimate(np.array([2.0, 0.0, -2.0]), np.full(3, 0.1), 96)
    >>> figure = half_points({"slope 2": half}, {"slope 2": half.value}, size=4)
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['4×4', '2×2', '1×1']
    """
    figure, (ax,) = panels(1, 3.8)
    for (name, estimate), marker in zip(measured.items(), ("o", "s", "^", "D", "v", "P"), strict=False):
        levels = np.arange(len(estimate.value))
        (line,) = ax.plot(levels, np.asarray(predicted[name]), "--", linewidth=1.2)
        error = 2 * estimate.standard_error
        ax.errorbar(
            levels, estimate.value, error, fmt=marker, color=line.get_color(), label=name, markersize=6, capsize=2
        )
    ax.set(xlabel="resolution of the band", ylabel="log-SNR at which half is resolved")
    ax.set_xticks(levels, [level_name(size, level) for level in range(len(levels))])
    legend_above(figure, ax, 3, title="measured; dashed: predicted")
    return figure


@styled
def collapses(counts: Sequence[int], measured: Sequence[Estimate], predicted: Sequence[float]) -> Figure:
    """Plot the log-SNR at which the exact predictor of a finite set recognises single images, against their number.

    Args:
        counts: numbers of images, increasing.
        measured: the log-SNR for each number, with its standard error.
        predicted: for each number (`chroma.information.collapse_log_snr`), plotted as a dashed line.

    Returns:
        The figure.

    >>> found = Estimate(np.float64(-5.0), np.float64(0.1), 100)
    >>> figure = collapses([16, 64], [found, found], [-5.0, -4.5])
    >>> figure.axes[0].get_xscale()
    'log'
    """
    figure, (ax,) = panels(1, 3.8)
    values = [float(estimate.value) for estimate in measured]
    errors = [2 * float(estimate.standard_error) for estimate in measured]
    ax.errorbar(counts, values, errors, fmt="o", markersize=6, capsize=2, label="exact predictor")
    ax.plot(counts, predicted, "--", linewidth=1.4, label="predicted: information = log n")
    ax.set(xscale="log", xlabel="number of images n", ylabel="log-SNR of the collapse")
    ax.set_xticks(list(counts), [f"{count:,}" for count in counts])
    ax.xaxis.minorticks_off()
    legend_above(figure, ax, 2)
    return figure
