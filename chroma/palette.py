"""The colour of each resolution, the same one in the explorer, in figures and in tables.

Colours follow the visible spectrum from high to low resolution, as in a chromatogram: 64×64 is red, 32×32 orange and
1×1 violet, whatever the size of the image that they are a part of. Neighbours alternate between dark and light, so that
they can be distinguished in grey and with every type of colour vision. Each colour has a contrast of at least 3:1 on
white and on the background of the dark theme. Curves carry their resolution as a label too.
"""

from math import log2

from chroma.pyramid import resolution_label

# of 1×1, 2×2, 4×4, ..., 256×256
COLOURS = ("#605bdb", "#0f97dc", "#007974", "#1aa533", "#806a00", "#e26f04", "#ca2f47", "#c16be5", "#be3383")

PREDICTION_LABELS = {  # of what measured shares are compared with
    "guidance_power": "formula for the norm",
    "guidance_colours": "formula, with colours",
    "guidance_wiener": "formula, all covariances",
    "guidance_paper": "formula, the paper's 4ᵐ",
    "static": "static, Nₘwₘ",
    "paper": "the paper's rₘ",
    "unit_variance": "rₘ, unit variance",
    "levels": "rₘ of levels",
    "band_variance": "spectrum-aware rₘ",
    "colours": "with colours",
    "wiener": "Wiener filter",
    "white_noise": "white noise",
}


def resolution_colour(side: float) -> str:
    """Look up the colour of a resolution: the one of the nearest power of two. Colours repeat after nine.

    Args:
        side: of the image, in pixels or latents.

    Returns:
        The colour, as "#rrggbb".

    >>> resolution_colour(64) == level_colour(128, 1)
    True
    """
    return COLOURS[round(log2(side)) % len(COLOURS)]


def level_colour(size: int, level: int, factor: int = 2) -> str:
    """Look up the colour of a level of an image.

    Args:
        size: the side of the image, in pixels or latents.
        level: m; 0 is the finest.
        factor: n, the side of the averaged square.

    Returns:
        The colour, as "#rrggbb".
    """
    return resolution_colour(size / factor**level)


def level_name(size: int, level: int, factor: int = 2) -> str:
    """Name a level of an image by its resolution, as the paper's legends do.

    Args:
        size: the side of the image, in pixels or latents.
        level: m; 0 is the finest.
        factor: n, the side of the averaged square.

    Returns:
        The name, such as "16×16".
    """
    return resolution_label(size // factor**level)
