"""Figures of the paper's theory and of its images, and those of its appendices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from chroma.palette import level_colour, level_name
from chroma.plotting.layout import legend_above, panels, picture_grid, resolution_key
from chroma.plotting.style import PHONE_WIDTH, WIDTH, draw_picture, ink, label_curves, on_phone, styled


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
    across = min(3, count) if on_phone() else count
    lines = -(-count // across)
    width = PHONE_WIDTH if on_phone() else WIDTH
    figure = plt.figure(figsize=(width, lines * (width / across + 0.75)))
    grid = figure.add_gridspec(2 * lines, across, height_ratios=[1, 0.1] * lines)
    places = [(2 * (k // across), k % across) for k in range(count)]
    tops = [figure.add_subplot(grid[row, column]) for row, column in places]
    bottoms = [figure.add_subplot(grid[row + 1, column]) for row, column in places]
    draw_picture(tops[-1], original, "the picture")
    bottoms[-1].axis("off")
    for level, (image, time, top, bottom) in enumerate(zip(images, times, tops, bottoms, strict=False)):
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
    return picture_grid(rows, columns)


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
    return picture_grid(rows, times, dict(zip(pair, ("#e6b800", "#2e8b57"), strict=True)))


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
    >>> [text.get_text() for text in figure.legends[0].texts]
    ['64×64', '32×32', '16×16']
    """
    figure, axes = panels(2, 3.7)
    for ax, curves, name in zip(axes, (tau, alpha), ("adjusted time τₘ", "signal α(τₘ)"), strict=True):
        for level, curve in enumerate(curves):
            ax.plot(t, curve, color=level_colour(size, level))
        ax.set(xlabel="time t   (noise ← → image)", ylabel=name, xlim=(t.max(), t.min()), ylim=(0, 1.02))
    resolution_key(figure, size, len(tau))
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
    figure, axes = panels(2, 3.5, sharey=True)
    line_styles = ("-", "--", ":")
    for line_style, (name, (t, z)) in zip(line_styles, schedules.items(), strict=True):
        curves = dict(list(enumerate(shares[name]))[::2])
        for level, curve in curves.items():
            colour = level_colour(size, level)
            axes[0].plot(t, curve, line_style, color=colour, linewidth=1.4)
            axes[1].plot(z, curve, line_style, color=colour, linewidth=1.4)
        axes[0].plot([], [], line_style, color="#333333", label=name)
    for ax in axes:
        ax.set_ylabel("share rₘ")
    axes[0].set(xlabel="each schedule's own time   (noise ← → image)", xlim=(1, 0), ylim=(0, 0.86))
    axes[1].set(xlabel="log-SNR   (noise ← → image)", xlim=(-14, 8))
    label_curves(axes[1], z, curves, size)
    legend_above(figure, axes[0], 3)
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
    figure = plt.figure(figsize=(PHONE_WIDTH, 4.2) if on_phone() else (WIDTH, 5.0))
    gridspec = figure.add_gridspec(2, len(pictures), height_ratios=[0.75, 1] if on_phone() else [1, 0.9])
    for i, (title, image) in enumerate(pictures.items()):
        title = fill(title, 14) if on_phone() else title
        draw_picture(figure.add_subplot(gridspec[0, i]), image, title)
    ax = figure.add_subplot(gridspec[1, :])
    line_styles = ((":", "#888888"), ("--", "#2f86c4"), ("-", "#d1495b"))
    for (label, profile), (line_style, colour) in zip(profiles.items(), line_styles, strict=True):
        ax.plot(profile, line_style, label=label, linewidth=1.6, color=colour)
    for sign in (-1, 1):
        ax.axhline(sign * bound, color="#333333", linewidth=0.8)
    width = len(np.asarray(profile))
    ax.set(xlabel="pixel along the middle row (red channel)", ylabel="value of x̂₀", xlim=(0, width - 1))
    ax.legend(ncols=2 if on_phone() else 3, loc="lower left", bbox_to_anchor=(-0.02, 1), columnspacing=1)
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
    frames = {(i, j): colour for i in range(len(rows)) for j, colour in edges.items()}
    return picture_grid(rows, columns, frames)


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
    mosaics = {title: [_mosaic(images) for images in cells.values()] for title, cells in blocks.items()}
    return picture_grid(mosaics, {title: list(cells) for title, cells in blocks.items()}, phone=2)


def _mosaic(images: Sequence[np.ndarray]) -> np.ndarray:
    """Join n^2 images, (3, H, W) each, in n rows: (3, n H, n W); n is the root of their number, rounded."""
    side = round(len(images) ** 0.5)
    return np.concatenate([np.concatenate(images[k : k + side], 2) for k in range(0, side * side, side)], 1)
