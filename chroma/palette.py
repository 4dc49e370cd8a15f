"""One colour a resolution, everywhere: explorer, figures, tables.

Level 0 (the finest) is red, coarser levels go down the spectrum, as in a chromatogram. Every colour has a
contrast of at least 3:1 on white and on the dark theme's background; since hue alone cannot be told apart in
grey or by every eye, curves carry their resolution as a label too.
"""

LEVELS = ("#d1495b", "#c96a12", "#9a7d00", "#3f8f3a", "#178f80", "#2f86c4", "#6a6fe0", "#a05cd0", "#c14fa0")


def level_colour(level: int) -> str:
    """The hex colour of resolution level `level` (0 is the finest); colours repeat after 9 levels."""
    return LEVELS[level % len(LEVELS)]


def level_name(size: int, level: int, kernel: int = 2) -> str:
    """The resolution of level `level` of a `size` x `size` image, as in the paper's legends: "16x16"."""
    side = size // kernel**level
    return f"{side}×{side}"
