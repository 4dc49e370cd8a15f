"""How panels and pictures are arranged: side by side on a page, below one another on a phone.

A page shows a figure some 600 to 800 CSS pixels wide, and a phone some 310 to 360. A figure that is made for the page
would have print of five pixels on the phone. So every figure function plots either layout from the same data, and
`chroma.plotting.style.phone_layout` asks for the narrow one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chroma.palette import level_colour, level_name
from chroma.plotting.style import PHONE_WIDTH, WIDTH, draw_picture, ink, on_phone

PICTURES_ACROSS_PHONE = 4


def panels(count: int, height: float, **options: Any) -> tuple[Figure, np.ndarray]:
    """Make a figure of equal panels: side by side, or below one another on a phone.

    Args:
        count: how many panels.
        height: of a panel in inches.
        **options: of ``plt.subplots``.

    Returns:
        The figure, and its panels, (count,).

    >>> from chroma.plotting.style import styled
    >>> figure = styled(lambda: panels(2, 3.0)[0])()
    >>> len(figure.axes), [float(inches) for inches in figure.get_size_inches()]
    (2, [7.2, 3.0])
    """
    if on_phone():
        height *= 0.8 if count > 1 else 1.0
        figure, axes = plt.subplots(count, 1, figsize=(PHONE_WIDTH, height * count), squeeze=False, **options)
    else:
        figure, axes = plt.subplots(1, count, figsize=(WIDTH, height), squeeze=False, **options)
    return figure, axes.ravel()


def close_up(figure: Figure) -> None:
    """Leave little room between the pictures of a figure, so that they are large.

    Args:
        figure: of pictures.

    >>> close_up(Figure())
    """
    figure.set_layout_engine("constrained", w_pad=0.025, h_pad=0.025, wspace=0.0, hspace=0.0)


def short_label(label: str, panels_across: int) -> str:
    """Leave out what follows three spaces in the label of an axis, where three panels or more share the width.

    Args:
        label: such as "log-SNR   (noise ← → image)".
        panels_across: how many panels share the width of a page; a phone has one panel.

    >>> short_label("log-SNR   (noise ← → image)", 3)
    'log-SNR'
    """
    return label.split("   ")[0] if panels_across > 2 and not on_phone() else label


def wrapped(text: str, panels_across: int) -> str:
    r"""Break a title into lines that are no wider than its panel; lines of mathematics are left as they are.

    Args:
        text: the title.
        panels_across: how many panels share the width of a page; a phone has one panel.

    >>> wrapped("the resolved fraction of photographs", 4)
    'the resolved\nfraction of\nphotographs'
    """
    inches = PHONE_WIDTH if on_phone() else WIDTH / panels_across
    return text if "$" in text else fill(text, max(8, int((inches - 0.45) / 0.077)))


def picture_grid(
    rows: Mapping[str, Sequence[npt.ArrayLike | None]],
    titles: Mapping[str, Sequence[str]] | Sequence[str],
    edge: Mapping[tuple[int, int], str] | None = None,
    phone: int = PICTURES_ACROSS_PHONE,
) -> Figure:
    """Show pictures in labelled rows and columns.

    On a phone, up to four rows of many columns change places with them. More rows are broken into shorter ones.

    Args:
        rows: label -> one image (3, H, W) per column, in [-1, 1]; None leaves the place empty.
        titles: of the columns; or label -> one title per image of this row.
        edge: (row, column) -> the colour of the frame of this image.
        phone: how many pictures a phone shows beside one another at most.

    Returns:
        The figure; its panels are in the order of the rows.

    >>> from chroma.plotting.style import styled
    >>> image = np.zeros((3, 8, 8))
    >>> rows = {"x": [image, image], "change": [None, image]}
    >>> figure = styled(picture_grid)(rows, ["step 1", "step 2"])
    >>> [ax.get_title() for ax in figure.axes], figure.axes[2].get_ylabel()
    (['step 1', 'step 2', '', ''], 'change')
    """
    names, count = list(rows), len(next(iter(rows.values())))
    common = None if isinstance(titles, Mapping) else titles
    phone += len(names) > phone + 1  # many rows: smaller pictures rather than a figure of many screens
    too_wide = on_phone() and count > phone
    transposed = too_wide and 2 < len(names) <= phone
    across = -(-count // -(-count // phone)) if too_wide else count
    arrange = _transposed if transposed else _in_blocks
    figure, axes, cell = arrange(len(names), count, across)
    for i, (name, images) in enumerate(rows.items()):
        for j, (ax, image) in enumerate(zip(axes[i], images, strict=True)):
            title = titles[name][j] if isinstance(titles, Mapping) else ""
            if image is None:
                ax.axis("off")
            else:
                draw_picture(ax, image, title, edge=(edge or {}).get((i, j)))
    for i, name in enumerate(names):
        if transposed:
            above = filter(None, (name, axes[i, 0].get_title()))
            axes[i, 0].set_title("\n".join(above), loc="center", fontsize=9)
        else:
            for ax in axes[i, ::across]:
                _label(ax, name, cell)
    for j, title in enumerate(common or ()):
        if transposed:
            _label(axes[0, j], title, cell)
        else:
            axes[0, j].set_title(title, loc="center", fontsize=9)
    return figure


def _transposed(rows: int, count: int, across: int) -> tuple[Figure, np.ndarray, float]:
    """The figure, its panels in the order of the rows, and the side of a picture: time runs down."""
    figure, axes, cell = _in_blocks(count, rows, rows)
    return figure, axes.T, cell


def _in_blocks(rows: int, count: int, across: int) -> tuple[Figure, np.ndarray, float]:
    """The figure, its panels in the order of the rows, and the side of a picture: blocks below one another."""
    blocks = -(-count // across)
    cell = min(1.5, ((PHONE_WIDTH if on_phone() else WIDTH) - 0.35) / across)
    size = (cell * across + 0.35, blocks * ((cell + 0.06) * rows + 0.35))
    figure, axes = plt.subplots(blocks * rows, across, figsize=size, squeeze=False)
    close_up(figure)
    in_rows = axes.reshape(blocks, rows, across).swapaxes(0, 1).reshape(rows, -1)
    for ax in in_rows[:, count:].flat:
        ax.axis("off")
    return figure, in_rows[:, :count], cell


def _label(ax: Axes, text: str, height: float) -> None:
    """Write a label to the left of a picture of this height in inches; an empty place shows it too."""
    ax.axis("on")
    if not ax.images:
        ax.spines[:].set_visible(False)
        ax.grid(False)
    ax.set(xticks=[], yticks=[])
    ax.set_ylabel(text if "$" in text else fill(text.replace("\n", " "), max(8, int(height / 0.074))), fontsize=9)


def resolution_key(figure: Figure, size: int, levels: int) -> None:
    """Write the resolution of each level in its colour above the panels, in place of a legend in one of them.

    Args:
        figure: to label.
        size: the side length of the images in pixels.
        levels: how many.

    >>> figure = Figure(layout="constrained")
    >>> resolution_key(figure, 8, 2)
    >>> [text.get_text() for text in figure.legends[0].texts]
    ['8×8', '4×4']
    """
    lines = [plt.Line2D([], [], color=level_colour(size, m), label=level_name(size, m)) for m in range(levels)]
    key = figure.legend(
        handles=lines, loc="outside upper left", ncols=4 if on_phone() else levels, handlelength=1.1, columnspacing=1.2
    )
    for level, text in enumerate(key.texts):
        text.set(color=ink(level_colour(size, level)), fontweight="bold")


def legend_above(figure: Figure, ax: Axes, across: int, title: str | None = None) -> None:
    """Show the legend of a panel above all panels, where it hides no curve.

    Args:
        figure: to label.
        ax: the panel whose curves have labels.
        across: how many entries fit beside one another on a page; a phone has two.
        title: of the legend.

    >>> figure = Figure(layout="constrained")
    >>> ax = figure.subplots()
    >>> _ = ax.plot([0, 1], label="measured")
    >>> legend_above(figure, ax, 3)
    >>> [text.get_text() for text in figure.legends[0].texts]
    ['measured']
    """
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=2 if on_phone() else across,
        title=title,
        alignment="left",
        columnspacing=1.4,
    )
