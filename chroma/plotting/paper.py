"""Figures of the paper's theory and of its images, and those of its appendices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from chroma.palette import level_colour, level_name
from chroma.plotting.style import draw_picture, ink, label_curves, styled


@styled
def idea(images: Sequence[npt.ArrayLike], times: Sequence[float], original: npt.ArrayLike) -> Figure:
    """Show a noised image averaged to ever lower resolutions, each average with a bar for its adjusted time.

    Args:
        images: D^m x of the noised image x, for m = 0, 1, ..., (3, H / 2^m, W / 2^m) each, in [-1, 1].
        times: tau_m of each, from 0 (image) to 1 (noise); the first one is t itself.
        original: the image without noise, (3, H, W).

    Returns:
        The figure.

    >>> image = np.zeros((3, 8, 8))
    >>> figure = idea([image, image[:, ::2, ::2]], [0.9, 0.8], image)
    >>> [ax.get_title() for ax in figure.axes[:3]]
    ['8×8', '4×4', 'the picture']
    """
    count = len(images) + 1
    size = np.shape(images[0])[-1]
    figure, axes = plt.subplots(2, count, figsize=(1.5 * count, 2.4), height_ratios=[1, 0.13])
    draw_picture(axes[0, -1], original, "the picture")
    axes[1, -1].axis("off")
    for level, (image, time, (top, bottom)) in enumerate(zip(images, times, axes.T[:-1], strict=True)):
        draw_picture(top, image, level_name(size, level), edge=level_colour(size, level))
        top.title.set_color(ink(level_colour(size, level)))
        top.title.set_fontweight("bold")
        bottom.barh([0], [1], color="#ececec", height=1)
        bottom.barh([0], [time], color=level_colour(size, level), height=1)
        bottom.set(xlim=(0, 1), ylim=(-0.5, 0.5), yticks=[], xticks=[])
        bottom.grid(False)
        bottom.spines[:].set_visible(False)
        bottom.set_xlabel(f"adjusted time\nτ = {time:.2f}" if level else f"time\nt = {time:.2f}", fontsize=9)
    return figure


@styled
def trajectory(rows: Mapping[str, Sequence[npt.ArrayLike | None]], columns: Sequence[str]) -> Figure:
    """Show images in rows and columns, such as the states of a trajectory (Fig 1a).

    Args:
        rows: label -> one image (3, H, W) per column, in [-1, 1]; None leaves the place empty.
        columns: the titles of the columns.

    Returns:
        The figure.

    >>> image = np.zeros((3, 8, 8))
    >>> figure = trajectory({"x": [image, image], "change": [None, image]}, ["step 1", "step 2"])
    >>> [len(ax.images) for ax in figure.axes]
    [1, 1, 0, 1]
    """
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.25 * len(columns), 1.32 * len(rows) + 0.2), squeeze=False
    )
    for i, (label, images) in enumerate(rows.items()):
        for j, (ax, image) in enumerate(zip(axes[i], images, strict=True)):
            if image is None:
                ax.axis("off")
            else:
                draw_picture(ax, image, columns[j] if i == 0 else "")
        axes[i, 0].axis("on")
        axes[i, 0].set_ylabel(label, fontsize=9)
        axes[i, 0].spines[:].set_visible(False)
        axes[i, 0].set(xticks=[], yticks=[])
    return figure


@styled
def matched_times(
    rows: Mapping[str, Sequence[npt.ArrayLike]],
    times: Mapping[str, Sequence[str]],
    pair: tuple[tuple[int, int], tuple[int, int]],
) -> Figure:
    """Show one diffusion at two resolutions, and frame two images of equal SNR at different times (Fig 2).

    Args:
        rows: label -> images, (3, H, W) each, in [-1, 1]; as many in each row.
        times: label -> the title of each image of that row.
        pair: (row, column) of the averaged image, framed in yellow, and of the directly noised one, framed in green.

    Returns:
        The figure.

    >>> image = np.zeros((3, 8, 8))
    >>> rows = {"averaged": [image, image], "noised directly": [image, image]}
    >>> times = {"averaged": ["τ = 0.3", "τ = 0.6"], "noised directly": ["t = 0.6", "t = 0.8"]}
    >>> figure = matched_times(rows, times, pair=((0, 1), (1, 0)))
    >>> [ax.get_title() for ax in figure.axes if ax.spines["left"].get_visible()]
    ['τ = 0.6', 't = 0.6']
    """
    count = len(next(iter(rows.values())))
    figure, axes = plt.subplots(len(rows), count, figsize=(1.55 * count, 1.85 * len(rows)))
    frames = dict(zip(pair, ("#e6b800", "#2e8b57"), strict=True))
    for i, (label, images) in enumerate(rows.items()):
        for j, image in enumerate(images):
            draw_picture(axes[i, j], image, times[label][j], edge=frames.get((i, j)))
        axes[i, 0].set_ylabel(label, fontsize=9)
    return figure


@styled
def adjusted_times(t: np.ndarray, tau: np.ndarray, alpha: np.ndarray, size: int) -> Figure:
    """Plot the adjusted times tau_m and the signal alpha(tau_m) of each level against time (Fig 3).

    Args:
        t: times, from 0 (image) to 1 (noise), (N,).
        tau: the adjusted times, (levels, N) (`chroma.chromatography.adjusted_time`).
        alpha: the signal at these times, (levels, N).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> import chroma
    >>> t, schedule = np.linspace(0, 1, 9), chroma.Cosine()
    >>> tau = np.stack([chroma.adjusted_time(schedule, t, level) for level in range(3)])
    >>> figure = adjusted_times(t, tau, schedule.alpha(tau), size=64)
    >>> [text.get_text() for text in figure.axes[0].get_legend().texts]
    ['64×64', '32×32', '16×16']
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.9))
    for ax, curves, name in zip(axes, (tau, alpha), ("adjusted time τₘ", "signal α(τₘ)"), strict=True):
        for level, curve in enumerate(curves):
            ax.plot(t, curve, color=level_colour(size, level), label=level_name(size, level))
        ax.set(xlabel="time t   (noise ← → image)", ylabel=name, xlim=(t.max(), t.min()), ylim=(0, 1.02))
    axes[0].legend(title="resolution", fontsize=8.5, title_fontsize=8.5)
    return figure


@styled
def theorem(
    schedules: Mapping[str, tuple[np.ndarray, np.ndarray]], shares: Mapping[str, np.ndarray], size: int
) -> Figure:
    """Plot the shares of three schedules against each schedule's own time, and against log-SNR (Theorem 1).

    Every second level is shown, so that the curves can be told apart.

    Args:
        schedules: three, name -> times as a fraction of the way from image to noise, (N,), and log-SNRs, (N,).
        shares: name -> r_m, (levels, N).
        size: the side length of the images in pixels.

    Returns:
        The figure.

    >>> import chroma
    >>> t, kinds = np.linspace(0.1, 0.9, 9), (chroma.Cosine, chroma.Linear, chroma.Sigmoid)
    >>> schedules = {kind.__name__: (t, kind().log_snr(t)) for kind in kinds}
    >>> shares = {name: chroma.chromatogram(z, 3) for name, (_, z) in schedules.items()}
    >>> figure = theorem(schedules, shares, size=4)
    >>> [len(ax.lines) for ax in figure.axes]  # on the left also one per entry of the legend
    [9, 6]
    """
    figure, axes = plt.subplots(1, 2, figsize=(8.8, 3.6), sharey=True)
    line_styles = ("-", "--", ":")
    for line_style, (name, (t, z)) in zip(line_styles, schedules.items(), strict=True):
        curves = dict(list(enumerate(shares[name]))[::2])
        for level, curve in curves.items():
            colour = level_colour(size, level)
            axes[0].plot(t, curve, line_style, color=colour, linewidth=1.4)
            axes[1].plot(z, curve, line_style, color=colour, linewidth=1.4)
        axes[0].plot([], [], line_style, color="#333333", label=name)
    axes[0].set(xlabel="each schedule's own time   (noise ← → image)", ylabel="share rₘ", xlim=(1, 0), ylim=(0, 0.82))
    axes[1].set(xlabel="log-SNR   (noise ← → image)", xlim=(-14, 8))
    label_curves(axes[1], z, curves, size)
    axes[0].legend(fontsize=8.5)
    return figure


@styled
def thresholds(
    pictures: Mapping[str, npt.ArrayLike], profiles: Mapping[str, npt.ArrayLike], bound: float = 1.0
) -> Figure:
    """Show predictions of x0 after each kind of threshold, and plot their values along one row (Appendix B).

    Args:
        pictures: title -> an image, (3, H, W), in [-1, 1].
        profiles: three, label -> the values along one row of pixels, (W,).
        bound: the largest absolute value allowed, marked by two lines.

    Returns:
        The figure.

    >>> x0, row = np.zeros((3, 8, 8)), np.linspace(-2, 2, 8)
    >>> profiles = {"no threshold": row, "ordinary clamp": row.clip(-1, 1), "level by level": row / 2}
    >>> figure = thresholds(dict.fromkeys(profiles, x0), profiles)
    >>> len(figure.axes[-1].lines)  # three profiles and two bounds
    5
    """
    figure = plt.figure(figsize=(8.8, 4.6))
    gridspec = figure.add_gridspec(2, len(pictures), height_ratios=[1, 0.9])
    for i, (title, image) in enumerate(pictures.items()):
        draw_picture(figure.add_subplot(gridspec[0, i]), image, title)
    ax = figure.add_subplot(gridspec[1, :])
    line_styles = ((":", "#888888"), ("--", "#2f86c4"), ("-", "#d1495b"))
    for (label, profile), (line_style, colour) in zip(profiles.items(), line_styles, strict=True):
        ax.plot(profile, line_style, label=label, linewidth=1.6, color=colour)
    for sign in (-1, 1):
        ax.axhline(sign * bound, color="#333333", linewidth=0.8)
    width = len(np.asarray(profile))
    ax.set(xlabel="pixel along the middle row (red channel)", ylabel="value of x̂₀", xlim=(0, width - 1))
    ax.legend(fontsize=8.5, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.22))
    return figure


@styled
def cascade_parts(
    rows: Mapping[str, Sequence[npt.ArrayLike]], columns: Sequence[str], edges: Mapping[int, str]
) -> Figure:
    """Show the input of each network of a cascade and its contribution to x0, one row per log-SNR (Fig 5).

    Args:
        rows: label -> one image (3, H, W) per column, in [-1, 1].
        columns: the titles of the columns.
        edges: column -> the colour of the frames of its images.

    Returns:
        The figure.

    >>> image = np.zeros((3, 8, 8))
    >>> figure = cascade_parts({"t = 0.9": [image, image]}, ["x", "D x"], {1: "#e26f04"})
    >>> [ax.spines["left"].get_visible() for ax in figure.axes]
    [False, True]
    """
    figure, axes = plt.subplots(
        len(rows), len(columns), figsize=(1.4 * len(columns), 1.5 * len(rows) + 0.45), squeeze=False
    )
    for i, (label, images) in enumerate(rows.items()):
        for j, (ax, image) in enumerate(zip(axes[i], images, strict=True)):
            draw_picture(ax, image, columns[j] if i == 0 else "", edge=edges.get(j))
        axes[i, 0].set_ylabel(label, fontsize=9)
    return figure


@styled
def ablations(blocks: Mapping[str, Mapping[str, Sequence[np.ndarray]]]) -> Figure:
    """Show samples from the same seeds under each ablation, one row per block (Fig 6).

    Args:
        blocks: title -> label of a cell -> images, (3, H, W) each, in [-1, 1]. A cell shows n^2 of them in n rows, with
            n the root of their number, rounded.

    Returns:
        The figure.

    >>> samples = [np.zeros((3, 8, 8))] * 4
    >>> figure = ablations({"threshold": {"both": samples, "without τ": samples}})
    >>> figure.axes[0].images[0].get_array().shape  # two by two images
    (16, 16, 3)
    """
    count = len(next(iter(blocks.values())))
    figure, axes = plt.subplots(len(blocks), count, figsize=(1.75 * count, 1.95 * len(blocks) + 0.2), squeeze=False)
    for i, (title, cells) in enumerate(blocks.items()):
        for ax, (label, images) in zip(axes[i], cells.items(), strict=True):
            side = round(len(images) ** 0.5)
            rows = [np.concatenate(images[k : k + side], 2) for k in range(0, side * side, side)]
            draw_picture(ax, np.concatenate(rows, 1), label)
        axes[i, 0].set_ylabel(title, fontsize=9)
    return figure
