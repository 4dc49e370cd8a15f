"""Make the picture that other sites show of a link to the book: ``python book/_tools/social_card.py``.

It is 1200 x 630 pixels, as those sites ask: a noisy photograph, two averages of it, and the question of the book.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from chroma import Cosine, data, intensity
from chroma.process import add_noise
from chroma.pyramid import downsample

CARD = Path(__file__).parents[1] / "_assets" / "card.png"
LOG_SNR = float(Cosine().log_snr(0.75))
LEVELS = (0, 2, 3)


def pictures() -> list[np.ndarray]:
    """Average a noised photograph to the levels of the card; each is (H, W, 3), in [0, 1]."""
    photograph = torch.from_numpy(data.photograph(size=256))
    noise = torch.randn(photograph.shape, generator=torch.Generator().manual_seed(1))
    noised = add_noise(photograph, noise, LOG_SNR)
    averaged = [float(intensity(LOG_SNR, level)) * downsample(noised, level) for level in LEVELS]
    return [np.clip((image.permute(1, 2, 0).numpy() + 1) / 2, 0, 1) for image in averaged]


def main() -> None:
    """Write the card."""
    figure, axes = plt.subplots(1, len(LEVELS), figsize=(12, 6.3), dpi=100)
    figure.subplots_adjust(left=0.04, right=0.96, bottom=0.02, top=0.74, wspace=0.05)
    for ax, image in zip(axes, pictures(), strict=True):
        ax.imshow(image, interpolation="nearest")
        ax.set_axis_off()
    figure.text(0.04, 0.86, "Why do diffusion models generate coarse to fine?", fontsize=27, weight="bold")
    figure.text(0.04, 0.78, "One noisy image, averaged: the noise cancels, the picture hardly changes.", fontsize=21)
    figure.savefig(CARD, dpi=100, facecolor="white", pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
