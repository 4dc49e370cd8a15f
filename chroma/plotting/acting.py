"""Figures of what is done by resolution: prompts that change, and schedulers step by step."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from chroma.palette import level_colour, level_name, resolution_colour
from chroma.plotting._style import _curve, _figure, _picture, _with_errors, heat_map


@_figure
def atlas_chart(charts: dict[str, Sequence[dict]], photographs: bool = True):
    """Rows of `chroma.atlas.atlas`, scheduler -> rows: a column a step, coloured by the share of each resolution in
    it.
    """
    figure, axes = plt.subplots(len(charts), 1, figsize=(8.8, 1.15 * len(charts) + 0.6), squeeze=False)
    for ax, (title, rows) in zip(axes[:, 0], charts.items(), strict=True):
        key = "share_photographs" if photographs else "share"
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
        ax.tick_params(length=0, labelsize=7)
    handles = {}
    for ax in axes[:, 0]:
        handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    order = sorted(handles, key=lambda name: -int(name.split("×")[0]))
    figure.legend([handles[name] for name in order], order, loc="outside lower center", ncols=6, fontsize=8)
    return figure


@_figure
def switching(rows: dict[str, Sequence], etas: Sequence[float], t: np.ndarray, shares: np.ndarray, size: int):
    """Figs 7 and 9: label -> an image (3, H, W) for each eta, below the chromatogram (levels, len(t)) over the same
    axis.

    etas: in the order of the columns, equidistant and falling; t: times from 0 to 1, increasing.
    """
    count = len(etas)
    figure, axes = plt.subplots(
        len(rows) + 1,
        count,
        figsize=(0.95 * count, 1.02 * len(rows) + 2.1),
        height_ratios=[2.0] + [1.0] * len(rows),
        squeeze=False,
    )
    grid = axes[0, 0].get_gridspec()
    for ax in axes[0]:
        ax.remove()
    top = figure.add_subplot(grid[0, :])
    heat_map(top, t, shares, size)
    half = abs(etas[1] - etas[0]) / 2
    top.set(xlim=(etas[0] + half, etas[-1] - half), xticks=etas, xticklabels=[f"{eta:g}" for eta in etas])
    top.set_title("time t of the switch, η   (noise ← → image)", loc="center", fontsize=9)
    for (label, images), strip in zip(rows.items(), axes[1:], strict=True):
        for ax, image in zip(strip, images, strict=True):
            _picture(ax, image)
        strip[0].set_ylabel(label, fontsize=8)
    return figure


@_figure
def commitments(x: np.ndarray, panels: dict, size: int, xlabel: str, ylabel: str):
    """A curve a resolution against x, in order of x; panels: title -> an Estimate or array, (levels, len(x))."""
    figure, axes = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 3.6), squeeze=False, sharey=True)
    low = min(-0.03, *(float(_with_errors(given)[0].min()) for given in panels.values()))
    high = 1.05 * max(float(_with_errors(given)[0].max()) for given in panels.values())
    for ax, (title, given) in zip(axes[0], panels.items(), strict=True):
        values, errors = _with_errors(given)
        for level, (value, error) in enumerate(zip(values, errors, strict=True)):
            _curve(
                ax, x, value, error, level_colour(size, level), label=level_name(size, level), marker="o", markersize=3
            )
        ax.set(xlabel=xlabel, title=title, xlim=(x[0], x[-1]), ylim=(low, high))
    axes[0, 0].set_ylabel(ylabel)
    axes[0, -1].legend(fontsize=8, title="resolution", title_fontsize=8)
    return figure


@_figure
def weights(z: np.ndarray, curves: dict[str, Sequence[float]], marks: dict[str, float]):
    """Weights of a prompt against log-SNR, name -> (len(z),); marks: label -> a log-SNR to point out."""
    figure, ax = plt.subplots(figsize=(7.4, 2.9))
    looks = ("-", "--", "-.", ":")
    for (name, curve), look in zip(curves.items(), looks * 2, strict=False):
        ax.plot(z, curve, look, label=name)
    for label, at in marks.items():
        ax.axvline(at, color="#999999", linewidth=0.8)
        ax.text(at, 1.04, label, ha="center", fontsize=8)
    ax.set(xlabel="log-SNR   (noise ← → image)", ylabel="weight of the second prompt", ylim=(-0.03, 1.12))
    ax.set_xlim(z.min(), z.max())
    ax.legend(fontsize=8.5)
    return figure
