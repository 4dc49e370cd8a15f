"""How each model is trained: one frozen `Recipe` per model.

The bundled models are small enough for two processor cores and of the class of the paper's: a pixel UNet, a T5 text
encoder and the cosine schedule, together a ``diffusers.IFPipeline``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

from chroma._check import check_finite, check_int, invalid_argument

LARGEST_SEED = 2**64 - 1  # PyTorch's
CHOICES = {
    "schedule": ("cosine", "linear", "natural"),
    "prediction_type": ("v_prediction", "epsilon"),
    "mixed_precision": ("no", "bf16"),
    "dataset": ("drawings", "scenes", "dead-leaves"),
}


@dataclass(frozen=True)
class Recipe:
    """The size of a model, its loss and its schedule of training.

    Attributes:
        size: side of the images in pixels.
        residual: train for what one downsampling loses (Eqs 21 and 23) instead of all of the noise (Eqs 3 and 20).
        schedule: of alpha over 1000 training times: "cosine", "linear" (betas from 1e-4 to 0.02) or "natural" (a
            constant beta of 0.01: alpha falls exponentially, Eqs 28 to 31).
        prediction_type: what the network predicts, diffusers' "v_prediction" or "epsilon".
        block_out_channels: of the UNet, one entry per resolution, finest first.
        layers_per_block: residual blocks in each of them.
        num_samples: images seen in all, with repetition.
        batch_size: images per step.
        learning_rate: at its highest, after the warm-up, from where a cosine takes it to 0.
        lr_warmup_steps: steps of the warm-up.
        ema_decay: of the moving average of the weights, which is what is saved.
        cond_drop_prob: share of empty prompts, for classifier-free guidance.
        high_noise_fraction: share of images whose times are from the noisiest three tenths alone, where the layout is
            decided.
        mixed_precision: "no" (float32) or "bf16".
        init_from: the folder of a finished run to start from, with a new rise and fall of the learning rate; None
            starts from random weights.
        seed: of everything random.
        dataset: "drawings", "scenes" or "dead-leaves", unless a folder of images is given.
        slope: of the power spectrum of dead leaves; other data sets have their own.

    Raises:
        ValueError: for a field that no training can have, by its name.

    >>> from dataclasses import replace
    >>> large = replace(RECIPES["emoji-8"], block_out_channels=(64, 128, 256), num_samples=240_000)
    >>> large.size, large.residual
    (8, False)
    """

    size: int = 32
    residual: bool = False
    schedule: str = "cosine"
    prediction_type: str = "v_prediction"
    block_out_channels: tuple[int, ...] = (24, 32, 64, 128, 192)
    layers_per_block: tuple[int, ...] = (0, 1, 1, 1, 1)
    num_samples: int = 120_000
    batch_size: int = 16
    learning_rate: float = 1.5e-3
    lr_warmup_steps: int = 200
    ema_decay: float = 0.998
    cond_drop_prob: float = 0.1
    high_noise_fraction: float = 0.0
    mixed_precision: str = "bf16"
    init_from: str | None = None
    seed: int = 0
    dataset: str = "drawings"
    slope: float = 2.0

    def __post_init__(self) -> None:
        for name, least in {"size": 1, "num_samples": 1, "batch_size": 1, "lr_warmup_steps": 0, "seed": 0}.items():
            self._set(name, check_int(name, getattr(self, name), least))
        if self.seed > LARGEST_SEED:
            raise invalid_argument("seed", self.seed, f"a whole number from 0 to {LARGEST_SEED}")
        for name in ("learning_rate", "ema_decay", "cond_drop_prob", "high_noise_fraction"):
            highest = float("inf") if name == "learning_rate" else 1.0
            self._set(name, _number(name, getattr(self, name), highest))
        for name, least in {"block_out_channels": 1, "layers_per_block": 0}.items():
            self._set(name, _whole_numbers(name, getattr(self, name), least))
        self._set("slope", _number("slope", self.slope, float("inf")))
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise invalid_argument(name, getattr(self, name), " or ".join(map(repr, known)))
        if not isinstance(self.residual, bool):
            raise invalid_argument("residual", self.residual, "True or False")
        if self.residual and self.size % 2:
            raise invalid_argument("size", self.size, "even for a residual model, which predicts what halving loses")
        if self.init_from is not None:
            self._set("init_from", os.fspath(self.init_from))
            if not self.init_from:
                raise invalid_argument("init_from", "an empty name", "the folder of a finished run, or None")

    def _set(self, name: str, value: Any) -> None:
        """Store a checked field as a plain Python value, which a run's card can hold."""
        object.__setattr__(self, name, value)


def _number(name: str, value: Any, highest: float) -> float:
    must = "a finite number >= 0" if highest == float("inf") else f"a number from 0 to {highest:g}"
    try:
        number = check_finite(name, value)
    except (TypeError, ValueError):
        raise invalid_argument(name, value, must) from None
    if not 0 <= number <= highest:
        raise invalid_argument(name, value, must)
    return number


def _whole_numbers(name: str, values: Any, least: int) -> tuple[int, ...]:
    if not isinstance(values, (list, tuple)) or not values:
        raise invalid_argument(name, values, "whole numbers, one per resolution")
    return tuple(check_int(name, value, least) for value in values)


SCENE_CROPS = 120  # per training photograph
HELD_OUT_CROPS = 4  # per held-out photograph
LEAVES = 16_000  # images of dead leaves that a network is trained on
HELD_OUT_LEAVES = 512

# small enough that seven of them can be compared: what differs between two is what their names say
SMALL = Recipe(
    block_out_channels=(16, 32, 64, 128),
    layers_per_block=(0, 1, 1, 1),
    num_samples=64_000,
    batch_size=32,
    ema_decay=0.999,
    mixed_precision="no",
)

RECIPES = {
    "photos-32": Recipe(
        block_out_channels=(32, 64, 96, 160, 192),
        layers_per_block=(1, 1, 1, 1, 1),
        num_samples=352_000,
        batch_size=32,
        learning_rate=1e-3,
        ema_decay=0.999,
        dataset="scenes",
    ),
    "photos-64-residual": replace(
        SMALL,
        size=64,
        residual=True,
        block_out_channels=(16, 32, 64, 96, 128),
        layers_per_block=(0, 1, 1, 1, 1),
        num_samples=40_000,
        dataset="scenes",
    ),
    **{
        f"photos-32-{schedule}": replace(SMALL, schedule=schedule, dataset="scenes")
        for schedule in ("linear", "cosine", "natural")
    },
    "photos-32-epsilon": replace(SMALL, prediction_type="epsilon", dataset="scenes"),
    **{f"dead-leaves-{slope}": replace(SMALL, dataset="dead-leaves", slope=slope) for slope in (1.6, 2.0, 2.4)},
    "emoji-32-first": Recipe(high_noise_fraction=0.5),
    "emoji-32": Recipe(
        num_samples=60_000, learning_rate=1e-3, high_noise_fraction=0.5, init_from="runs/emoji-32-first"
    ),
    "emoji-64": Recipe(
        size=64,
        block_out_channels=(24, 24, 32, 64, 128, 192),
        layers_per_block=(0, 0, 1, 1, 1, 1),
        batch_size=32,
        high_noise_fraction=0.5,
    ),
    "emoji-64-residual": Recipe(
        size=64,
        residual=True,
        block_out_channels=(24, 32, 48, 64, 96, 128),
        layers_per_block=(0, 1, 1, 1, 1, 1),
        batch_size=32,
    ),
    "emoji-32-residual": Recipe(
        size=32,
        residual=True,
        block_out_channels=(32, 48, 64, 96, 128),
        layers_per_block=(0, 1, 1, 1, 1),
        num_samples=60_000,
        batch_size=32,
    ),
    "emoji-16-residual": Recipe(
        size=16, residual=True, block_out_channels=(48, 64, 96, 128), layers_per_block=(1, 1, 1, 1), batch_size=32
    ),
    "emoji-8": Recipe(
        size=8, block_out_channels=(64, 96, 128), layers_per_block=(1, 1, 1), batch_size=32, high_noise_fraction=0.5
    ),
}

# for a folder of photographs and a GPU: the networks of Ho et al. (2020, appendix B), one size each
FACES = Recipe(
    block_out_channels=(128, 256, 256, 256),
    layers_per_block=(2, 2, 2, 2),
    num_samples=12_800_000,
    batch_size=128,
    learning_rate=2e-4,
    lr_warmup_steps=5000,
    ema_decay=0.9999,
    cond_drop_prob=0.0,
)
RECIPES |= {
    "faces-32": FACES,
    "faces-64-residual": replace(FACES, size=64, residual=True, block_out_channels=(64, 128, 256, 256)),
}
