"""One function a figure; no mathematics.

Each takes arrays that are ready to draw and returns a Matplotlib figure. Levels have the colours of `chroma.palette`
and are named at the curve. Time runs as generation does, from noise (left) to image (right), as in the paper's Fig 4.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from chroma.palette import level_colour, level_name

STYLE = {
    "figure.dpi": 144,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "image.interpolation": "nearest",
}


def _figure(draw):
    """Draw in the book's style, and hand over a figure that no pyplot state holds on to."""

    @functools.wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        with plt.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        plt.close(figure)
        return figure

    return styled


def _width(panels) -> float:
    """Inches for panels side by side: no wider than a page can show without small print."""
    return float(np.clip(4.4 * len(panels), 6.6, 9.8))


def pixels(x) -> np.ndarray:
    """An image (3, H, W) in [-1, 1], array or tensor, as (H, W, 3) in [0, 1]; what is outside is clipped."""
    return np.clip((np.asarray(x, dtype=np.float64).transpose(1, 2, 0) + 1) / 2, 0, 1)


def _picture(ax, x, title: str = "", edge: str | None = None):
    ax.imshow(pixels(x))
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title, loc="center", fontsize=9)
    ax.spines[:].set_visible(edge is not None)
    ax.spines[:].set(color=edge, linewidth=3)


def _label_curves(ax, x, curves: dict[int, np.ndarray], size: int):
    """The name of each level at the peak of its curve, in its colour; finest first, higher where there is no room."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    placed = []
    for level, curve in curves.items():
        top = int(np.argmax(curve))
        along = float(np.clip((x[top] - left) / (right - left), 0.045, 0.955))  # of the axes, from the left
        up = (curve[top] - low) / (high - low) + 0.012
        while any(abs(along - a) < 0.095 and abs(up - b) < 0.055 for a, b in placed):
            up += 0.01
        placed.append((along, up))
        style = {"color": level_colour(level), "fontsize": 8.5, "fontweight": "bold"}
        ax.text(along, up, level_name(size, level), transform=ax.transAxes, ha="center", va="bottom", **style)


@_figure
def idea(images: Sequence, clocks: Sequence[float], original):
    """The landing page's picture: one noised image, averaged further and further, and each average's own clock.

    images: x at levels 0, 1, ..., each (3, H, W); clocks: tau_m in [0, 1] of each; original: the image without noise.
    """
    count = len(images) + 1
    figure, axes = plt.subplots(2, count, figsize=(1.9 * count, 2.6), height_ratios=[1, 0.13])
    _picture(axes[0, -1], original, "the picture")
    axes[1, -1].axis("off")
    for level, (image, clock, (top, bottom)) in enumerate(zip(images, clocks, axes.T[:-1], strict=True)):
        _picture(top, image, level_name(np.shape(images[0])[-1], level), edge=level_colour(level))
        top.title.set_color(level_colour(level))
        top.title.set_fontweight("bold")
        bottom.barh([0], [1], color="#ececec", height=1)
        bottom.barh([0], [clock], color=level_colour(level), height=1)
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
            ax.plot(t, curve, color=level_colour(level), label=level_name(size, level))
        ax.set(xlabel="time t   (noise ← → image)", ylabel=name, xlim=(t.max(), t.min()), ylim=(0, 1.02))
    axes[0].legend(title="resolution", fontsize=8.5, title_fontsize=8.5)
    return figure


@_figure
def chromatogram(x: np.ndarray, panels: dict, size: int, null: np.ndarray, xlabel: str = "time t   (noise ← → image)"):
    """Fig 4: r_m curves above their heat map; panels: title -> shares (levels, len(x)), drawn side by side.

    Shares are an array, or an Estimate, drawn with two standard errors to either side. x: times or log-SNRs, in order;
    noise is drawn on the left if `xlabel` says that it is time. null: (levels,) the shares of white noise, dotted.
    """
    highest = 0.82
    span = (x.max(), x.min()) if xlabel.startswith("time") else (x.min(), x.max())
    figure, axes = plt.subplots(
        2, len(panels), figsize=(max(6.6, 4.6 * len(panels)), 4.9), height_ratios=[1, 0.62], sharex=True, squeeze=False
    )
    for (top, bottom), (title, given) in zip(axes.T, panels.items(), strict=True):
        shares, errors = _with_errors(given)
        highest = max(highest, float(shares.max()) + 0.07)
        for level, (curve, error) in enumerate(zip(shares, errors, strict=True)):
            _curve(top, x, curve, error, level_colour(level))
            top.axhline(null[level], color=level_colour(level), linewidth=0.8, linestyle=":")
        top.set(ylabel="share rₘ", ylim=(0, highest), xlim=span, title=title)
        _label_curves(top, x, dict(enumerate(shares)), size)
        heat_map(bottom, x, shares, size)
        bottom.set_xlabel(xlabel)
    return figure


def _with_errors(given) -> tuple[np.ndarray, np.ndarray]:
    """Value and standard error of an Estimate; of an array, itself and zeros."""
    if hasattr(given, "standard_error"):
        return given.value, given.standard_error
    return np.asarray(given), np.zeros(np.shape(given))


def _curve(ax, x, value, error, colour, **style):
    """A curve, and a band of two standard errors to either side where there are any."""
    ax.plot(x, value, color=colour, **style)
    if error.any():
        ax.fill_between(x, value - 2 * error, value + 2 * error, color=colour, alpha=0.25, linewidth=0)


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
            _curve(ax, z, value, error, level_colour(level), label=level_name(size, level))
            ax.plot(z, foretold, "--", color=level_colour(level), linewidth=1)
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


def heat_map(ax, x: np.ndarray, shares: np.ndarray, size: int):
    """Rows of `shares` (levels, len(x)) as strips of their level's colour, pale where it is small; finest on top."""
    step = np.gradient(x)
    edges = np.append(x - step / 2, x[-1] + step[-1] / 2)
    for level, row in enumerate(shares):
        ramp = LinearSegmentedColormap.from_list("level", ["white", level_colour(level)])
        ax.pcolormesh(edges, [level - 0.5, level + 0.5], row[None], cmap=ramp, vmin=0, vmax=1, rasterized=True)
    ax.set(yticks=range(len(shares)), yticklabels=[level_name(size, level) for level in range(len(shares))])
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0, labelsize=8)
    ax.grid(False)
    for level, label in enumerate(ax.get_yticklabels()):
        label.set_color(level_colour(level))
    ax.spines[:].set_visible(False)


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
            colour = level_colour(level)
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
            level = int(np.log2(64)) - int(np.log2(int(side)))  # one grid, one colour: 64 x 64 is level 0 of the book's
            ax.bar(range(len(rows)), share, 1.0, bottom=bottom, color=level_colour(level), label=f"{side}×{side}")
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


def table(header: Sequence[str], rows: Sequence[Sequence]):
    """A Markdown table for a notebook: numbers to four significant digits, anything else as it is."""
    from IPython.display import Markdown

    text = lambda cell: f"{cell:.4g}" if isinstance(cell, (float, np.floating)) else str(cell)  # noqa: E731
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join("| " + " | ".join(map(text, line)) + " |" for line in lines))


def distance_table(measurements: dict[str, tuple]):
    """A table of mean distances; measurements: where -> (a measurement, its theories, as `chroma.measure.theories`)."""
    names = list(next(iter(measurements.values()))[1])
    rows = []
    for where, (measured, theories) in measurements.items():
        distances = [with_error(measured.mean_distance(theories[name])) for name in names]
        rows.append([where, *distances, measured.result().count])
    return table(["measured on", *names, "samples"], rows)


def with_error(estimate) -> str:
    """A `chroma.measure.Estimate` of one number in words: "0.43 ± 0.02", two digits of the error."""
    value, error = float(estimate.value), float(estimate.standard_error)
    digits = 0 if error >= 10 else max(0, 1 - int(np.floor(np.log10(error)))) if error > 1e-12 else 2
    return f"{value:.{digits}f} ± {error:.{digits}f}"
