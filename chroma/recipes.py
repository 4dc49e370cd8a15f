"""What each model is trained on, and how: one frozen `Recipe` a model.

The bundled models are small enough for two processor cores and of the class of the paper's: a pixel UNet, a T5 text
encoder and the cosine schedule, together a ``diffusers.IFPipeline``. All of them know the same `CONTENTS` in the same
`STYLES`.

>>> len(CONTENTS), len(STYLES)  # 512 drawings in all
(128, 4)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chroma import data


@dataclass(frozen=True)
class Recipe:
    """The size of a model, its loss and its schedule of training.

    size: pixels. residual: train for what one downsampling loses (Eqs 21 and 23) instead of all of the noise (Eqs 3
    and 20). channels: the UNet's, one entry a resolution, finest first. layers: residual blocks in each of them.
    images: how many are seen in all, with repetition. learning_rate: at its highest, after `warmup` steps, from where
    a cosine takes it to 0. ema: decay of the moving average that is saved. dropout: share of empty prompts, for
    classifier-free guidance. noisy: share of images that are taken from the noisiest three tenths of times alone, where
    the layout is decided. precision: "no" (float32) or "bf16". start: the folder of a run to go on from, with a new
    rise and fall of the learning rate; None begins anew. dataset: "drawings" or "scenes", what it learns
    unless another folder of images is given.

    >>> from dataclasses import replace
    >>> large = replace(RECIPES["emoji-32"], channels=(64, 128, 256, 256), layers=(2, 2, 2, 2), start=None)
    >>> large.size, large.residual
    (32, False)
    """

    size: int = 32
    residual: bool = False
    channels: tuple[int, ...] = (24, 32, 64, 128, 192)
    layers: tuple[int, ...] = (0, 1, 1, 1, 1)
    images: int = 120_000
    batch: int = 16
    learning_rate: float = 1.5e-3
    warmup: int = 200
    ema: float = 0.998
    dropout: float = 0.1
    noisy: float = 0.0
    precision: str = "bf16"
    start: str | None = None
    seed: int = 0
    dataset: str = "drawings"


STYLES = {  # as `chroma.data.drawings` names them -> as prompts do
    "fluent_3d": "a glossy 3d render of",
    "fluent_flat": "a flat drawing of",
    "fluent_hc": "a black and white icon of",
    "noto_line": "a line drawing of",
}

# 128 contents that a small model can tell apart, and whose nearest image is no matter of luck. From smileys, animals,
# food, activities and objects, names of one or two plain words, without the quarter whose glossy and flat drawings
# are most alike; then the one nearest the mean image and, again and again, the one farthest from all chosen so far
# (mean square distance at 32 x 32, averaged over the styles).
CONTENTS = tuple(
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


def drawings(size: int) -> tuple[data.Drawings, list[str]]:
    """What the bundled models know, at `size` x `size` pixels: the drawings, and the prompt that asks for each.

    >>> known, prompts = drawings(size=8)
    >>> known.images.shape, prompts[:2]
    ((512, 3, 8, 8), ['a glossy 3d render of flatbread', 'a flat drawing of flatbread'])
    """
    known = data.drawings(size, styles=STYLES, contents=CONTENTS)
    return known, [
        f"{STYLES[style]} {content.lower()}" for style, content in zip(known.styles, known.contents, strict=True)
    ]


SCENE_CROPS = 120  # per photograph; held-out photographs are cropped `HELD_OUT_CROPS` times
HELD_OUT_CROPS = 4

RECIPES = {
    "photos-32": Recipe(
        channels=(32, 64, 96, 160, 192),
        layers=(1, 1, 1, 1, 1),
        images=352_000,
        batch=32,
        learning_rate=1e-3,
        ema=0.999,
        dataset="scenes",
    ),
    "emoji-32-first": Recipe(noisy=0.5),
    "emoji-32": Recipe(images=60_000, learning_rate=1e-3, noisy=0.5, start="runs/emoji-32-first"),
    "emoji-64": Recipe(size=64, channels=(24, 24, 32, 64, 128, 192), layers=(0, 0, 1, 1, 1, 1), batch=32, noisy=0.5),
    "emoji-64-residual": Recipe(
        size=64, residual=True, channels=(24, 32, 48, 64, 96, 128), layers=(0, 1, 1, 1, 1, 1), batch=32
    ),
    "emoji-32-residual": Recipe(
        size=32, residual=True, channels=(32, 48, 64, 96, 128), layers=(0, 1, 1, 1, 1), images=60_000, batch=32
    ),
    "emoji-16-residual": Recipe(size=16, residual=True, channels=(48, 64, 96, 128), layers=(1, 1, 1, 1), batch=32),
    "emoji-8": Recipe(size=8, channels=(64, 96, 128), layers=(1, 1, 1), batch=32, noisy=0.5),
}

# for a folder of photographs and a GPU: the networks of Ho et al. (2020, appendix B), one size each
FACES = Recipe(
    channels=(128, 256, 256, 256),
    layers=(2, 2, 2, 2),
    images=12_800_000,
    batch=128,
    learning_rate=2e-4,
    warmup=5000,
    ema=0.9999,
    dropout=0.0,
)
RECIPES |= {
    "faces-32": FACES,
    "faces-64-residual": replace(FACES, size=64, residual=True, channels=(64, 128, 256, 256)),
}
