"""Figures of what is chosen by resolution: prompts that switch, prompt weights, and the steps of schedulers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chroma.estimates import Estimate
from chroma.palette import level_colour, resolution_colour
from chroma.plotting.layout import close_up, legend_above, panels, resolution_key, short_label, wrapped
from chroma.plotting.style import (
    PHONE_WIDTH,
    WIDTH,
    draw_curve,
    draw_picture,
    heat_map,
    on_phone,
    styled,
    with_errors,
)
from chroma.schedulers.atlas import suffix
from chroma.schedulers.curves import DEFAULT_CURVE


@styled
def atlas_chart(charts: Mapping[str, Sequence[Mapping]], curve: str = DEFAULT_CURVE) -> Figure:
    """Plot which resolutions each step of several schedulers generates, one panel per scheduler and one bar per step.

    The segments of a bar are the shares of the resolutions in the step, the coarsest at the bottom.

    Args:
        charts: title -> the rows of `chroma.schedulers.atlas.chart`.
        curve: of `chroma.schedulers.curves.CURVES`, whose shares are shown.

    Returns:
        The figure.

    >>> from chroma.schedulers.atlas import chart
    >>> figure = atlas_chart({"Stable Diffusion 1.5, 5 steps": chart("sd15", steps=5)})
    >>> [text.get_text() for text in figure.legends[0].texts]  # in latents
    ['64×64', '32×32', '16×16', '8×8', '4×4', '2×2', '1×1']
    """
    size = (PHONE_WIDTH if on_phone() else WIDTH, 0.95 * len(charts) + 0.7)
    figure, axes = plt.subplots(len(charts), 1, figsize=size, squeeze=False)
    for ax, (title, rows) in zip(axes[:, 0], charts.items(), strict=True):
        key = f"share{suffix(curve)}"
        sides = list(rows[0][key])
        bottom = np.zeros(len(rows))
        for side in reversed(sides):  # coarse at the bottom
            share = np.array([row[key][side] for row in rows])
            colour = resolution_colour(int(side))
            ax.bar(range(len(rows)), share, 1.0, bottom=bottom, color=colour, label=f"{side}×{side}")
            bottom += share
        ax.set(xlim=(-0.5, len(rows) - 0.5), ylim=(0, 1), yticks=[], xticks=[0, len(rows) - 1])
        ax.set_title(title, fontsize=9)
        ax.grid(False)
        ax.spines[:].set_visible(False)
        ax.tick_params(length=0, labelsize=8.5)
    handles: dict[str, Artist] = {}
    for ax in axes[:, 0]:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    order = sorted(handles, key=lambda name: -int(name.split("×")[0]))
    figure.legend(
        handles=[handles[name] for name in order],
        labels=order,
        loc="outside upper left",
        ncols=4 if on_phone() else 7,
        handlelength=1.1,
        columnspacing=1.2,
    )
    return figure


@styled
def regrets(rows: Mapping[str, Mapping[int, float]], ours: Sequence[str] = ()) -> Figure:
    """Plot how many times larger the error of each choice of steps is than that of the best choice, one row each.

    Args:
        rows: title -> number of steps -> the ratio, at least 1; from above to below. The numbers of steps are the same
            in all rows, at most four.
        ours: titles to emphasise.

    Returns:
        The figure.

    >>> figure = regrets({"cosine": {4: 1.7, 8: 2.2}, "uniform log-SNR": {4: 1.3, 8: 1.1}})
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['cosine', 'uniform log-SNR']
    """
    phone = on_phone()
    figure, ax = plt.subplots(figsize=(PHONE_WIDTH, 0.42 * len(rows) + 1) if phone else (WIDTH, 0.31 * len(rows) + 1))
    counts = list(next(iter(rows.values())))
    marks = (("o", "#9fc5e8"), ("s", "#5b9bd5"), ("^", "#2f6fb0"), ("D", "#1b3f73"))[: len(counts)]
    places = range(len(rows))
    for y, ratios in zip(places, rows.values(), strict=True):
        ax.plot([min(ratios.values()), max(ratios.values())], [y, y], color="#c9c9c9", linewidth=1.2, zorder=1)
    for count, (marker, colour) in zip(counts, marks, strict=True):
        of_count = [row[count] for row in rows.values()]
        ax.plot(of_count, places, marker, color=colour, label=f"{count}", markersize=6.5, zorder=2)
    ax.set_yticks([place - 0.45 for place in places] if phone else places, list(rows), fontsize=9)
    if phone:  # a name is above its row
        ax.tick_params(axis="y", direction="in", length=0, pad=-4)
        for label in ax.get_yticklabels():
            label.set_horizontalalignment("left")
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in ours else "normal")
    ax.set(
        xscale="log",
        ylim=(len(rows) - 0.5, -0.8 if phone else -0.5),
        xlim=(0.96, None),
        xlabel="error / smallest possible error",
    )
    highest = max(max(row.values()) for row in rows.values())
    ticks = [tick for tick in (1, 1.5, 2, 3, 4, 6, 8, 12) if tick < 1.1 * highest]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.xaxis.minorticks_off()
    ax.axvline(1, color="#555555", linewidth=1)
    ax.grid(axis="y", visible=False)
    figure.legend(title="steps", loc="outside upper left", ncols=len(counts), alignment="left")
    return figure


@styled
def switching_grid(
    rows: Mapping[str, Sequence[npt.ArrayLike]], etas: Sequence[float], t: np.ndarray, shares: np.ndarray, size: int
) -> Figure:
    """Show images whose prompt switches at time eta, below the chromatogram over the same axis (Figs 7 and 9).

    Args:
        rows: label -> one image (3, H, W) per eta, in [-1, 1].
        etas: the times of the switches, one per column, equidistant and falling from 1 to 0.
        t: the times of the chromatogram, increasing from 0 (image) to 1 (noise), (N,).
        shares: r_m at these times, (levels, N).
        size: the side length, in pixels, of the images whose levels the chromatogram shows.

    Returns:
        The figure.

    >>> t, image = np.linspace(0, 1, 9), np.zeros((3, 8, 8))
    >>> figure = switching_grid({"owl, then cat": [image, image]}, [1.0, 0.0], t, np.full((4, 9), 0.25), size=8)
    >>> len(figure.axes)  # the chromatogram and two images
    3
    """
    figure, top, axes = _below_a_chromatogram(len(rows), len(etas))
    heat_map(top, t, shares, size)
    half = abs(etas[1] - etas[0]) / 2
    every = 2 if on_phone() else 1
    top.set(xlim=(etas[0] + half, etas[-1] - half), xticks=etas[::every])
    top.set_xticklabels([f"{eta:g}" for eta in etas[::every]])
    top.set_title("time η of the switch   (noise ← → image)", loc="center", fontsize=9)
    for (label, images), row_axes in zip(rows.items(), axes, strict=True):
        for ax, image in zip(row_axes, images, strict=True):
            draw_picture(ax, image)
        if on_phone():
            row_axes[0].set_title(label, loc="center", fontsize=9)
        else:
            row_axes[0].set_ylabel(label, fontsize=9)
    only = {1.0: "second\nprompt\nonly", 0.0: "first\nprompt\nonly"}  # at both ends nothing is switched
    for first, last, eta in zip(axes[0], axes[-1], etas, strict=True):
        if on_phone():
            first.set_ylabel(f"η = {eta:g}", fontsize=9)
        else:
            last.set_xlabel(only.get(float(eta), ""), fontsize=9)
    return figure


def _below_a_chromatogram(rows: int, count: int) -> tuple[Figure, Axes, np.ndarray]:
    """A panel across the figure, and below it a place for each image, (rows, count); on a phone, time goes down."""
    if on_phone():
        cell = min(1.2, (PHONE_WIDTH - 0.4) / rows)
        figure = plt.figure(figsize=(PHONE_WIDTH, (cell + 0.06) * count + 2.6))
        grid = figure.add_gridspec(count + 1, rows, height_ratios=[1.8 / cell] + [1.0] * count)
        places = [[grid[j + 1, i] for j in range(count)] for i in range(rows)]
    else:
        cell = (WIDTH - 0.4) / count
        figure = plt.figure(figsize=(WIDTH, (cell + 0.08) * rows + 2.1))
        grid = figure.add_gridspec(rows + 1, count, height_ratios=[1.6 / cell] + [1.0] * rows)
        places = [[grid[i + 1, j] for j in range(count)] for i in range(rows)]
    close_up(figure)
    axes = np.array([[figure.add_subplot(place) for place in row] for row in places])
    return figure, figure.add_subplot(grid[0, :]), axes


@styled
def commitments(
    x: np.ndarray, shown: Mapping[str, Estimate | npt.ArrayLike], size: int, xlabel: str, ylabel: str
) -> Figure:
    """Plot one curve per resolution against the place of a switch, with bands of two standard errors.

    Args:
        x: the places of the switches, in the order of the axis, (N,).
        shown: title -> the values, (levels, N), with or without standard errors.
        size: the side length of the images in pixels.
        xlabel: what `x` is.
        ylabel: what the values are.

    Returns:
        The figure.

    >>> figure = commitments(np.array([1.0, 0.5, 0.0]), {"owl": np.eye(3)}, size=4, xlabel="η", ylabel="share")
    >>> len(figure.axes[0].lines)
    3
    """
    figure, axes = panels(len(shown), 3.4, sharey=True)
    low = min(-0.03, *(float(with_errors(values)[0].min()) for values in shown.values()))
    high = 1.05 * max(float(with_errors(values)[0].max()) for values in shown.values())
    for ax, (title, values) in zip(axes, shown.items(), strict=True):
        numbers, errors = with_errors(values)
        for level, (value, error) in enumerate(zip(numbers, errors, strict=True)):
            draw_curve(ax, x, value, error, level_colour(size, level), marker="o", markersize=3)
        ax.set(xlabel=short_label(xlabel, len(shown)), title=wrapped(title, len(shown)))
        ax.set(xlim=(x[0], x[-1]), ylim=(low, high))
    axes[0].set_ylabel(fill(ylabel, 26))
    resolution_key(figure, size, len(numbers))
    return figure


@styled
def weight_curves(log_snrs: np.ndarray, curves: Mapping[str, npt.ArrayLike], marks: Mapping[str, float]) -> Figure:
    """Plot weights of a prompt against log-SNR, as made by `chroma.switching`.

    Args:
        log_snrs: the abscissae, (N,).
        curves: name -> the weights, (N,); at most eight curves.
        marks: label -> a log-SNR to mark with a vertical line.

    Returns:
        The figure.

    >>> from chroma.switching import step_weight, switch_log_snr
    >>> z, half = np.linspace(-8, 8, 33), switch_log_snr(resolution="8x8", size=32)
    >>> figure = weight_curves(z, {"step": [step_weight(half)(log_snr) for log_snr in z]}, {"8×8": half})
    >>> len(figure.axes[0].lines)  # the weight and the mark
    2
    """
    figure, (ax,) = panels(1, 3.0)
    line_styles = ("-", "--", "-.", ":")
    for (name, curve), line_style in zip(curves.items(), line_styles * 2, strict=False):
        ax.plot(log_snrs, curve, line_style, label=name)
    for k, (label, log_snr) in enumerate(marks.items()):
        ax.axvline(log_snr, color="#999999", linewidth=0.8)
        ax.text(log_snr, 1.04 + 0.1 * (k % 2), label, ha="center", fontsize=8.5)
    ax.set(xlabel="log-SNR   (noise ← → image)", ylabel="weight of the second prompt", ylim=(-0.03, 1.24))
    ax.set_xlim(log_snrs.min(), log_snrs.max())
    legend_above(figure, ax, 4)
    return figure


@styled
def step_ruler(bands: Mapping[int, Sequence[float]], steps: Mapping[str, npt.ArrayLike]) -> Figure:
    """Plot when each resolution is generated, above the steps of several pipelines, on one axis of log-SNR.

    Args:
        bands: side of a resolution -> the log-SNRs at which 10, 50 and 90 per cent of its band are generated.
        steps: title -> the log-SNRs of the steps; -inf is left out.

    Returns:
        The figure.

    >>> figure = step_ruler({8: (-4.2, -2.0, 0.2)}, {"five steps": [-np.inf, -4.0, -2.0, 0.0, 2.0]})
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['8×8', 'five steps']
    """
    width = PHONE_WIDTH if on_phone() else WIDTH
    figure, ax = plt.subplots(figsize=(width, 0.32 * len(bands) + 0.55 * len(steps) + 0.8))
    places, labels = [], []
    for row, (side, (first, half, last)) in enumerate(bands.items()):
        colour = resolution_colour(side)
        ax.plot([first, last], [row, row], color=colour, linewidth=7, solid_capstyle="butt")
        ax.plot(half, row, "o", color="white", markeredgecolor=colour, markersize=6)
        places.append(float(row))
        labels.append(f"{side}×{side}")
    for i, (title, log_snrs) in enumerate(steps.items()):
        foot = len(bands) + 0.4 + 1.5 * i
        for step, z in enumerate(np.asarray(log_snrs, dtype=float)):
            if np.isfinite(z):
                tall = step % 5 == 0
                ax.plot([z, z], [foot - (0.4 if tall else 0.2), foot], color="#555555", linewidth=1.1)
                if tall:
                    ax.annotate(str(step), (z, foot), (0, -2), textcoords="offset points", ha="center", va="top")
        places.append(foot - 0.1)
        labels.append(fill(title, 12) if on_phone() else title)
    ax.set_yticks(places, labels)
    ax.set(ylim=(len(bands) + 1.5 * len(steps), -0.7), xlim=(-9.5, 4.3), xlabel="log-SNR   (noise ← → image)")
    ax.grid(visible=False, axis="y")
    return figure
