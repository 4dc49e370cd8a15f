r"""How far each band of an image has come from one image to another, by energy.

An image whose prompt was switched at some log-SNR lies between the images of the two prompts, and one that SDEdit made
lies between the image it was given and one that is sampled from pure noise. The measure is the energy of its difference
from the first one over that between both, band by band.

The prediction of the chromatogram is that the resolved part of a band, :math:`\sigma(z + \log V_m)` at the log-SNR z of
the switch, stays, and that the rest, :math:`1 - \sigma(z + \log V_m)`, is generated after it
(`chroma.chromatography.resolved_fraction`). For SDEdit on Gaussian data this is exact if the sampler adds noise at each
step; DDIM, which adds none, changes the part :math:`1 - \sqrt{\sigma(z + \log V_m)}`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from chroma._check import invalid_argument
from chroma.estimates import Estimate, jackknife
from chroma.pyramid import band_energy


class BandChanges:
    """The energy of each band's change from a first image, over that between a first and a second one.

    Args:
        first: images, (B, C, H, W).
        second: images that replace them, (B, C, H, W).
        images: K states in between, (B, C, H, W) each.

    Raises:
        ValueError: for images of another shape.

    >>> first, second = torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2)
    >>> changes = BandChanges(first, second + torch.eye(2), [first, (first + second + torch.eye(2)) / 2])
    >>> changes.fractions().value  # of two bands, in two states
    array([[0.  , 0.25],
           [0.  , 0.25]])
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, images: Sequence[torch.Tensor]):
        for x in (second, *images):
            if x.shape != first.shape:
                raise invalid_argument("images", tuple(x.shape), f"of shape {tuple(first.shape)}, as the first ones")
        energies = [band_energy((x - first).double()).cpu().numpy() for x in (*images, second)]
        self._energies = np.stack(energies, 1)  # (B, K + 1, levels)

    def estimate(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Estimate a function of the fractions, with its jackknife standard error over images.

        Args:
            function: of fractions, (n, levels, K), n of them side by side.

        Returns:
            The estimate.
        """
        return jackknife(self._energies, np.ones(len(self._energies)), lambda mean: function(self._fractions(mean)))

    @staticmethod
    def _fractions(mean: np.ndarray) -> np.ndarray:
        return np.swapaxes(mean[..., :-1, :] / mean[..., -1:, :], -1, -2)

    def fractions(self) -> Estimate:
        """Estimate the fractions, finest band first, (levels, K): 0 for the first image, 1 for as far as the second."""
        return self.estimate(lambda fractions: fractions)
