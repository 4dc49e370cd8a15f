"""One colour a resolution, everywhere: explorer, figures, tables.

Colours go down the spectrum with the resolution, as in a chromatogram: 64×64 is red, 32×32 orange, 1×1 violet, whatever
the size of the image they are a part of. Neighbours alternate between dark and light, so that they can be told apart in
grey and by every eye; each has a contrast of at least 3:1 on white and on the dark theme's background. Curves carry
their resolution as a label too.
"""

from math import log2

# of 1×1, 2×2, 4×4, ..., 256×256
COLOURS = ("#605bdb", "#0f97dc", "#007974", "#1aa533", "#806a00", "#e26f04", "#ca2f47", "#c16be5", "#be3383")


def resolution_colour(side: float) -> str:
    """The hex colour of `side` x `side` pixels: that of the nearest power of two; colours repeat after nine.

    >>> resolution_colour(64) == level_colour(128, 1)
    True
    """
    return COLOURS[round(log2(side)) % len(COLOURS)]


def level_colour(size: int, level: int, kernel: int = 2) -> str:
    """The hex colour of level `level` of a `size` x `size` image (0 is the finest)."""
    return resolution_colour(size / kernel**level)


def level_name(size: int, level: int, kernel: int = 2) -> str:
    """The resolution of level `level` of a `size` x `size` image, as in the paper's legends: "16x16"."""
    side = size // kernel**level
    return f"{side}×{side}"
