"""Figures of measurements: spectra, chromatograms, and how far theories are from them."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

from chroma.palette import level_colour, level_name
from chroma.plotting._style import _curve, _figure, _label_curves, _picture, _width, _with_errors, heat_map


@_figure
def change_spectra(panels: dict[str, tuple]):
    """Fig 1b: PSD of the changes of E[x0 | x_t], a curve an interval of time, early to late.

    panels: title -> (an Estimate of the densities, (intervals, K) at 1 .. K cycles per image, the intervals' names).
    Lines are means over samples; bands are two standard errors to either side.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(_width(panels), 3.7), squeeze=False, sharey=True)
    for ax, (title, (density, names)) in zip(axes[0], panels.items(), strict=True):
        frequency = np.arange(1, density.value.shape[-1] + 1)
        colours = plt.get_cmap("plasma")(np.linspace(0, 0.82, len(names)))
        for mean, error, name, colour in zip(density.value, density.standard_error, names, colours, strict=True):
            low = np.maximum(mean - 2 * error, mean / 10)  # the axis is logarithmic
            ax.fill_between(frequency, low, mean + 2 * error, color=colour, alpha=0.2, linewidth=0)
            ax.plot(frequency, mean, color=colour, label=name)
        ax.set(xscale="log", yscale="log", xlabel="spatial frequency (cycles per image)", title=title)
        ax.set_xticks([1, 2, 4, 8, 16, 32][: int(np.log2(len(frequency))) + 1])
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_formatter("")
        ax.legend(title="log-SNR from … to", fontsize=8, title_fontsize=8, loc="lower left")
    axes[0, 0].set(ylabel="power spectral density of the change", ylim=(1e-6, None))
    return figure


@_figure
def chromatogram(x: np.ndarray, panels: dict, size: int, null: np.ndarray, xlabel: str = "time t   (noise ← → image)"):
    """Fig 4: r_m curves above their heat map; panels: title -> shares (levels, len(x)), drawn side by side.

    Shares are an array, or an Estimate, drawn with two standard errors to either side. x: times or log-SNRs, in order;
    noise is drawn on the left if `xlabel` says that it is time. null: (levels,) the shares of white noise, dotted.
    """
    highest = max(0.82, *(float(_with_errors(given)[0].max()) + 0.07 for given in panels.values()))
    span = (x.max(), x.min()) if xlabel.startswith("time") else (x.min(), x.max())
    figure, axes = plt.subplots(
        2, len(panels), figsize=(max(6.6, 4.6 * len(panels)), 4.9), height_ratios=[1, 0.62], sharex=True, squeeze=False
    )
    for (top, bottom), (title, given) in zip(axes.T, panels.items(), strict=True):
        shares, errors = _with_errors(given)
        for level, (curve, error) in enumerate(zip(shares, errors, strict=True)):
            _curve(top, x, curve, error, level_colour(size, level))
            top.axhline(null[level], color=level_colour(size, level), linewidth=0.8, linestyle=":")
        top.set(ylabel="share rₘ", ylim=(0, highest), xlim=span, title=title)
        _label_curves(top, x, dict(enumerate(shares)), size)
        heat_map(bottom, x, shares, size)
        bottom.set_xlabel(xlabel)
    return figure


@_figure
def gallery(t: np.ndarray, cells: dict[str, tuple], size: int):
    """Fig 8: prompt -> (a sample (3, H, W), its shares (levels, len(t))): a picture beside a heat map for each."""
    columns = 3
    rows = -(-len(cells) // columns)
    figure, axes = plt.subplots(
        rows, 2 * columns, figsize=(10.4, 1.75 * rows), width_ratios=[0.62, 1] * columns, squeeze=False
    )
    for ax in axes.flat[2 * len(cells) :]:
        ax.axis("off")
    for i, (prompt, (image, shares)) in enumerate(cells.items()):
        left, right = axes[i // columns, 2 * (i % columns) : 2 * (i % columns) + 2]
        _picture(left, image)
        heat_map(right, t, shares, size)
        right.tick_params(axis="both", labelsize=6)
        right.set(xlim=(t.max(), t.min()))
        left.set_title(prompt, fontsize=8)
        if i // columns == rows - 1:
            right.set_xlabel("time t", fontsize=7)
    return figure


@_figure
def distances(x: np.ndarray, panels: dict[str, dict], xlabel: str, ylabel: str = "total variation"):
    """How far theories are from a measurement along x; panels: title -> theory -> an Estimate or array, (len(x),)."""
    figure, axes = plt.subplots(1, len(panels), figsize=(_width(panels), 3.4), squeeze=False, sharey=True)
    looks = (("#d1495b", "-"), ("#2f86c4", "--"), ("#3f8f3a", "-."), ("#777777", ":"))
    for ax, (title, curves) in zip(axes[0], panels.items(), strict=True):
        for (name, given), (colour, style) in zip(curves.items(), looks, strict=False):
            _curve(ax, x, *_with_errors(given), colour, linestyle=style, label=name)
        ax.set(xlabel=xlabel, title=title, ylim=(0, None), xlim=(x.min(), x.max()))
    axes[0, 0].set_ylabel(ylabel)
    axes[0, 0].legend(fontsize=8)
    return figure


@_figure
def resolved_fractions(z: np.ndarray, panels: dict[str, tuple], size: int):
    """What is known of each band: title -> (an Estimate of rho_m, (levels, len(z)); the theory's, dashed)."""
    figure, axes = plt.subplots(1, len(panels), figsize=(_width(panels), 3.7), squeeze=False, sharey=True)
    for ax, (title, (measured, theory)) in zip(axes[0], panels.items(), strict=True):
        values, errors = _with_errors(measured)
        for level, (value, error, foretold) in enumerate(zip(values, errors, theory, strict=True)):
            _curve(ax, z, value, error, level_colour(size, level), label=level_name(size, level))
            ax.plot(z, foretold, "--", color=level_colour(size, level), linewidth=1)
        ax.set(xlabel="log-SNR   (noise ← → image)", title=title, ylim=(-0.05, 1.05), xlim=(z.min(), z.max()))
    axes[0, 0].set_ylabel("resolved fraction ρₘ")
    axes[0, -1].legend(fontsize=8, title="resolution", title_fontsize=8)
    return figure


@_figure
def band_powers(sets: dict, size: int):
    """V_m / 4^m of several sets of images, set -> an Estimate (levels,); 1 is what the paper's r_m stands for."""
    figure, ax = plt.subplots(figsize=(6.8, 3.8))
    looks = ("o-", "s--", "^-.", "D:", "v-", "P--")
    for (name, power), look in zip(sets.items(), looks, strict=False):
        levels = np.arange(len(power.value) - 1)  # the last is the mean, which has no neighbour to compare with
        scale = 4.0**levels
        value, error = power.value[:-1] / scale, power.standard_error[:-1] / scale
        ax.errorbar(levels, value, 2 * error, fmt=look, label=name, markersize=5, linewidth=1.4, capsize=2)
    ax.axhline(1, color="#777777", linewidth=1)
    ax.annotate("what the paper's $r_m$ assumes", (0, 1), (0, -11), textcoords="offset points", fontsize=8.5)
    ax.set(yscale="log", xlabel="resolution", ylabel="band power Vₘ / 4ᵐ")
    ax.set_xticks(levels, [level_name(size, level) for level in levels])
    ax.legend(fontsize=8.5, loc="upper right", bbox_to_anchor=(1, 0.93))
    return figure
