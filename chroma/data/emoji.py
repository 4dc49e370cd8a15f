"""The bundled emoji drawings: each content in each style, aligned; and those that the emoji models are trained on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from chroma._check import check_int, invalid_argument
from chroma.data.store import FOLDER, area_mean, check_known, decode_image, read_bundle
from chroma.pyramid import resolutions

STORED_SIZE = 64  # pixels


@dataclass(frozen=True)
class Drawings:
    """Drawings of contents in styles, content by content.

    Attributes:
        images: (N, 3, size, size) float32 in [-1, 1], on white.
        contents: what each image shows, (N,) str: "hedgehog".
        styles: how it is drawn, (N,) str: "fluent_3d".
        phrases: style -> how a prompt describes it: "a glossy 3D render of".

    >>> owls = drawings(8, contents="owl")
    >>> owls.styles.tolist(), owls.prompts[0]
    (['fluent_3d', 'fluent_flat', 'fluent_hc', 'noto', 'noto_line'], 'a glossy 3D render of owl')
    """

    images: np.ndarray
    contents: np.ndarray
    styles: np.ndarray
    phrases: dict[str, str]

    @property
    def prompts(self) -> list[str]:
        """The prompt of each image: "a glossy 3D render of hedgehog"."""
        return [f"{self.phrases[style]} {content}" for style, content in zip(self.styles, self.contents, strict=True)]


def drawings(
    size: int = 64, styles: str | Iterable[str] | None = None, contents: str | Iterable[str] | None = None
) -> Drawings:
    """Load the bundled drawings.

    Every content has a drawing in every style: N = contents x styles.

    Args:
        size: the side in pixels, 64 or 64/2^k.
        styles: one style or several, in this order; all of them in the stored order by default.
        contents: one content or several, in this order; all of them in the stored order by default.

    Returns:
        The drawings, content by content.

    Raises:
        ValueError: for a size, style or content that does not exist.

    >>> owls = drawings(32, styles=["fluent_3d", "noto_line"], contents="owl")
    >>> owls.images.shape, owls.prompts
    ((2, 3, 32, 32), ['a glossy 3D render of owl', 'a line drawing of owl'])
    """
    check_int("size", size, 1)
    if size not in resolutions(STORED_SIZE):
        raise invalid_argument("size", size, "64, 32, 16, 8, 4, 2 or 1")
    store = read_bundle(FOLDER, "drawings.npz")
    all_styles, all_contents = store["style"].tolist(), store["content"].tolist()
    styles = check_known("style", all_styles if styles is None else styles, all_styles)
    listed_by = "set(chroma.data.drawings(1).contents)"
    contents = check_known("content", all_contents if contents is None else contents, all_contents, listed_by)
    row = {content: i for i, content in enumerate(all_contents)}
    pairs = [(content, style) for content in contents for style in styles]
    images = np.empty((len(pairs), 3, size, size), np.float32)
    for i, (content, style) in enumerate(pairs):
        pixels = decode_image(store, row[content] * len(all_styles) + all_styles.index(style))
        images[i] = area_mean(pixels, STORED_SIZE // size)
    phrases = dict(zip(all_styles, store["phrase"].tolist(), strict=True))
    return Drawings(
        images,
        np.array([content for content, _ in pairs], str),
        np.array([style for _, style in pairs], str),
        {style: phrases[style] for style in styles},
    )


EMOJI_STYLES = {  # name in `chroma.data.drawings` -> words in a prompt
    "fluent_3d": "a glossy 3d render of",
    "fluent_flat": "a flat drawing of",
    "fluent_hc": "a black and white icon of",
    "noto_line": "a line drawing of",
}

# 128 contents that a small model can distinguish, so that the image nearest to a sample is rarely the wrong one by
# chance. They are smileys, animals, food, activities and objects whose names are one or two plain words, without the
# quarter whose glossy and flat drawings are most alike. The first one is nearest to the mean image; each further one is
# farthest from all that were selected before (mean square distance at 32 x 32, averaged over the styles).
EMOJI_CONTENTS = tuple(
    """
flatbread, club suit, elevator, musical keyboard, dollar banknote, nazar amulet, heart suit, american
football, goggles, Japanese dolls, abacus, horse face, desktop computer, broccoli, chess pawn, computer disk,
butterfly, bar chart, lion, sweat droplets, scarf, fax machine, anger symbol, dragon face, steaming bowl,
graduation cap, pill, television, dragon, orange book, sauropod, bento box, ladder, ant, red apple, movie
camera, blue book, loudspeaker, pea pod, ballet shoes, socks, thread, shorts, kimono, scissors, penguin,
hundred points, telephone receiver, rooster, file cabinet, bouquet, skis, monkey, running shirt, shopping
bags, carp streamer, ogre, dog face, safety vest, card index, tanabata tree, lady beetle, crocodile, red
envelope, shortcake, scorpion, sushi, floppy disk, poultry leg, peacock, slot machine, inbox tray, watermelon,
snake, clapper board, sports medal, leafy green, moose, magnet, empty nest, books, avocado, handbag, window,
fish, owl, tumbler glass, fly, hot pepper, robot, nesting dolls, credit card, shark, wilted flower, necktie,
kiwi fruit, pancakes, sparkler, orangutan, cactus, weary cat, goblin, diving mask, confetti ball, oyster,
ribbon, fortune cookie, wastebasket, clown face, hibiscus, ox, ice cream, stethoscope, fishing pole, snail,
wrapped gift, bullseye, bowling, hiking boot, softball, bucket, french fries, turkey, sunglasses, disguised
face, toolbox, maple leaf, printer
    """.replace("\n", " ")
    .strip()
    .split(", ")
)


def training_drawings(size: int) -> tuple[Drawings, list[str]]:
    """Load the drawings that the bundled emoji models were trained on, with their prompts.

    Args:
        size: the side in pixels, 64 or 64/2^k.

    Returns:
        The drawings, and the training prompt of each.

    Raises:
        ValueError: for a size that does not exist.

    >>> selected, prompts = training_drawings(size=8)
    >>> selected.images.shape, prompts[:2]
    ((512, 3, 8, 8), ['a glossy 3d render of flatbread', 'a flat drawing of flatbread'])
    """
    selected = drawings(size, styles=EMOJI_STYLES, contents=EMOJI_CONTENTS)
    pairs = zip(selected.styles.tolist(), selected.contents.tolist(), strict=True)
    return selected, [f"{EMOJI_STYLES[style]} {content.lower()}" for style, content in pairs]
