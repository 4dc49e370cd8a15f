"""The figures of the paper that show theory and pictures, and those of its appendices."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np

from chroma.palette import level_colour, level_name
from chroma.plotting._style import _figure, _label_curves, _picture, ink


@_figure
def idea(images: Sequence, clocks: Sequence[float], original):
    """The landing page's picture: one noised image, averaged further and further, and each average's own clock.

    images: x at levels 0, 1, ..., each (3, H, W); clocks: tau_m in [0, 1] of each; original: the image without noise.
    """
    count = len(images) + 1
    figure, axes = plt.subplots(2, count, figsize=(1.5 * count, 2.15), height_ratios=[1, 0.13])
    _picture(axes[0, -1], original, "the picture")
    axes[1, -1].axis("off")
    for level, (image, clock, (top, bottom)) in enumerate(zip(images, clocks, axes.T[:-1], strict=True)):
        size = np.shape(images[0])[-1]
        _picture(top, image, level_name(size, level), edge=level_colour(size, level))
        top.title.set_color(ink(level_colour(size, level)))
        top.title.set_fontweight("bold")
        bottom.barh([0], [1], color="#ececec", height=1)
        bottom.barh([0], [clock], color=level_colour(size, level), height=1)
        bottom.set(xlim=(0, 1), ylim=(-0.5, 0.5), yticks=[], xticks=[])
        bottom.grid(False)
        bottom.spines[:].set_visible(False)
        bottom.set_xlabel(f"clock {'τ' if level else 't'} = {clock:.2f}", fontsize=9)
    return figure


@_figure
def trajectory(rows: dict[str, Sequence], columns: Sequence[str]):
    """Figs 1a and 6: a grid of pictures. rows: label -> one image (3, H, W) for each column title."""
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.25 * len(columns), 1.32 * len(rows) + 0.2), squeeze=False
    )
    for i, (label, images) in enumerate(rows.items()):
        for j, (ax, image) in enumerate(zip(axes[i], images, strict=True)):
            if image is None:
                ax.axis("off")
            else:
                _picture(ax, image, columns[j] if i == 0 else "")
        axes[i, 0].axis("on")
        axes[i, 0].set_ylabel(label, fontsize=9)
        axes[i, 0].spines[:].set_visible(False)
        axes[i, 0].set(xticks=[], yticks=[])
    return figure


@_figure
def matched_clocks(rows: dict[str, Sequence], clocks: dict[str, Sequence[str]], pair: tuple[tuple[int, int], ...]):
    """Fig 2: the same diffusion at two resolutions. rows: label -> images; clocks: label -> a caption for each.

    pair: (row, column) of the two pictures of equal SNR: the averaged one is framed in yellow, the other in green, as
    in the paper.
    """
    count = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), count, figsize=(1.55 * count, 1.85 * len(rows)))
    frames = dict(zip(pair, ("#e6b800", "#2e8b57"), strict=True))
    for i, (label, images) in enumerate(rows.items()):
        for j, image in enumerate(images):
            _picture(axes[i, j], image, clocks[label][j], edge=frames.get((i, j)))
        axes[i, 0].set_ylabel(label, fontsize=9)
    return figure


@_figure
def adjusted_times(t: np.ndarray, tau: np.ndarray, alpha: np.ndarray, size: int):
    """Fig 3: the adjusted times tau_m and the signal alpha(tau_m) against t; tau, alpha: (levels, len(t))."""
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.9))
    for ax, curves, name in zip(axes, (tau, alpha), ("adjusted time τₘ", "signal α(τₘ)"), strict=True):
        for level, curve in enumerate(curves):
            ax.plot(t, curve, color=level_colour(size, level), label=level_name(size, level))
        ax.set(xlabel="time t   (noise ← → image)", ylabel=name, xlim=(t.max(), t.min()), ylim=(0, 1.02))
    axes[0].legend(title="resolution", fontsize=8.5, title_fontsize=8.5)
    return figure


@_figure
def theorem(schedules: dict[str, tuple[np.ndarray, np.ndarray]], shares: dict[str, np.ndarray], size: int):
    """Theorem 1: shares of every other level against each schedule's own time (left) and log-SNR (right).

    schedules: three, name -> (times as a fraction of the way from clean to noisy, log-SNRs);
    shares: name -> (levels, len(times)).
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.6), sharey=True)
    styles = ("-", "--", ":")
    for style, (name, (t, z)) in zip(styles, schedules.items(), strict=True):
        some = dict(list(enumerate(shares[name]))[::2])  # every other level: twenty-one curves cannot be told apart
        for level, curve in some.items():
            colour = level_colour(size, level)
            axes[0].plot(t, curve, style, color=colour, linewidth=1.4)
            axes[1].plot(z, curve, style, color=colour, linewidth=1.4)
        axes[0].plot([], [], style, color="#333333", label=name)
    axes[0].set(xlabel="each schedule's own time   (noise ← → image)", ylabel="share rₘ", xlim=(1, 0), ylim=(0, 0.82))
    axes[1].set(xlabel="log-SNR   (noise ← → image)", xlim=(-14, 8))
    _label_curves(axes[1], z, some, size)
    axes[0].legend(fontsize=8.5)
    return figure


@_figure
def thresholds(pictures: dict[str, np.ndarray], profiles: dict[str, np.ndarray], bound: float = 1.0):
    """Appendix B: predictions of x0 after each kind of threshold, and their values along one row of pixels."""
    figure = plt.figure(figsize=(8.8, 4.6))
    grid = figure.add_gridspec(2, len(pictures), height_ratios=[1, 0.9])
    for i, (title, image) in enumerate(pictures.items()):
        _picture(figure.add_subplot(grid[0, i]), image, title)
    ax = figure.add_subplot(grid[1, :])
    looks = ((":", "#888888"), ("--", "#2f86c4"), ("-", "#d1495b"))
    for (label, profile), (style, colour) in zip(profiles.items(), looks, strict=True):
        ax.plot(profile, style, label=label, linewidth=1.6, color=colour)
    for sign in (-1, 1):
        ax.axhline(sign * bound, color="#333333", linewidth=0.8)
    ax.set(xlabel="pixel along the middle row (red channel)", ylabel="value of x̂₀", xlim=(0, len(profile) - 1))
    ax.legend(fontsize=8.5, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.22))
    return figure


@_figure
def cascade_parts(rows: dict[str, Sequence], columns: Sequence[str], edges: dict[int, str]):
    """Fig 5: what each predictor is shown and what it adds, a row a time; edges: column -> colour of its frames."""
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.4 * len(columns), 1.5 * len(rows) + 0.45), squeeze=False
    )
    for i, (label, images) in enumerate(rows.items()):
        for j, (ax, image) in enumerate(zip(axes[i], images, strict=True)):
            _picture(ax, image, columns[j] if i == 0 else "", edge=edges.get(j))
        axes[i, 0].set_ylabel(label, fontsize=9)
    return figure


@_figure
def ablations(blocks: dict[str, dict[str, Sequence]]):
    """Fig 6: the same seeds under each ablation, a row a block. blocks: title -> label -> images, (3, H, W) each."""
    count = len(next(iter(blocks.values())))
    figure, axes = plt.subplots(len(blocks), count, figsize=(1.75 * count, 1.95 * len(blocks) + 0.2), squeeze=False)
    for i, (title, cells) in enumerate(blocks.items()):
        for ax, (label, images) in zip(axes[i], cells.items(), strict=True):
            side = round(len(images) ** 0.5)
            rows = [np.concatenate(images[k : k + side], 2) for k in range(0, side * side, side)]
            _picture(ax, np.concatenate(rows, 1), label)
        axes[i, 0].set_ylabel(title, fontsize=9)
    return figure
