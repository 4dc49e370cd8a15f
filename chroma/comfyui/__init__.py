r"""Nodes for ComfyUI that take a resolution where others take a sigma, a percent or a step.

Install ``chroma`` into the Python of ComfyUI, then write one file, ``custom_nodes/chroma_resolution/__init__.py``::

    from chroma.comfyui import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

``workflow.json`` beside this module switches the prompt of SDXL at 32x32. The nodes need nothing but NumPy: what they
know of the model they ask its ``model_sampling``, whose ``percent_to_sigma`` they invert.

>>> sorted(NODE_CLASS_MAPPINGS)
['ResolutionToPercent', 'ResolutionToSigma', 'SplitSigmasAtResolution']
"""

from __future__ import annotations

from math import exp, log
from typing import Any

from chroma._check import check_finite, invalid_argument
from chroma.schedules import expit

_HALVINGS = 60  # of the interval in which a percent is searched; float64 has 53 bits


def sigma_at(model_sampling: Any, side: int, resolution: int, fraction: float = 0.5) -> float:
    r"""Find the sigma at which a fraction of a resolution of latents is generated, by the paper's levels.

    Args:
        model_sampling: of a ComfyUI model: a flow where one of its classes is called CONST, else one with
            ``sigma_data``.
        side: the shorter side of the latents.
        resolution: the side of the resolution.
        fraction: of its band.

    Returns:
        Sigma, in the units of the model.

    Raises:
        ValueError: for a resolution that the latents do not have, and a fraction outside (0, 1).

    >>> from types import SimpleNamespace
    >>> sigma_at(SimpleNamespace(sigma_data=1.0), side=128, resolution=32)  # SDXL
    4.0
    """
    if not 1 <= resolution <= side:
        raise invalid_argument("resolution", resolution, f"from 1 to {side}, the shorter side of the latents")
    if not 0 < check_finite("fraction", fraction) < 1:
        raise invalid_argument("fraction", fraction, "between 0 and 1: no sigma starts or completes a resolution")
    log_snr = log(fraction / (1 - fraction)) - 2 * log(side / resolution)
    if any(kind.__name__ == "CONST" for kind in type(model_sampling).__mro__):
        return float(expit(-log_snr / 2))
    return exp(-log_snr / 2) * float(getattr(model_sampling, "sigma_data", 1.0))


def percent_at(model_sampling: Any, sigma: float) -> float:
    """Find ComfyUI's percent of a sigma, by halving the interval from 0 to 1.

    Args:
        model_sampling: of a ComfyUI model; its ``percent_to_sigma`` falls.
        sigma: in the units of the model.

    Returns:
        The percent, between 0 and 1.

    >>> from types import SimpleNamespace
    >>> flow = SimpleNamespace(percent_to_sigma=lambda percent: 1 - percent)
    >>> percent_at(flow, 0.25)
    0.75
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if float(model_sampling.percent_to_sigma(middle)) > sigma else (low, middle)
    return high


def split_at(sigmas: Any, sigma: float) -> tuple[Any, Any]:
    """Split the sigmas of a sampler where they have fallen to a value, as SplitSigmas does at a step.

    Args:
        sigmas: falling, the last is usually 0.
        sigma: the value.

    Returns:
        The sigmas down to the first that is at most `sigma`, and those from this one on.

    Raises:
        ValueError: where either part would have no step.

    >>> split_at([1.0, 0.8, 0.5, 0.0], 0.8)
    ([1.0, 0.8], [0.8, 0.5, 0.0])
    """
    values = [float(value) for value in sigmas]
    step = sum(value > sigma for value in values)
    if not 0 < step < len(values) - 1:
        must = (
            f"between the first sigma, {values[0]:.4g}, and the last step's, {values[-2]:.4g}: use another resolution"
        )
        raise invalid_argument("the sigma of the resolution", f"{sigma:.4g}", must)
    return sigmas[: step + 1], sigmas[step:]


def _sampling(model: Any) -> Any:
    return model.get_model_object("model_sampling")


def _side(latent: Any) -> int:
    """The shorter side of latents, (B, C, H, W) or (B, C, frames, H, W)."""
    return min(latent["samples"].shape[-2:])


_INPUTS: dict[str, Any] = {
    "model": ("MODEL",),
    "latent": ("LATENT",),
    "resolution": ("INT", {"default": 32, "min": 1, "max": 4096}),
    "fraction": ("FLOAT", {"default": 0.5, "min": 0.01, "max": 0.99, "step": 0.01}),
}


class ResolutionToSigma:
    """A node: the sigma at which a resolution of the latents is half generated."""

    RETURN_TYPES = ("FLOAT",)
    RETURN_NAMES = ("sigma",)
    FUNCTION = "convert"
    CATEGORY = "sampling/custom_sampling/sigmas"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """List the inputs for ComfyUI."""
        return {"required": dict(_INPUTS)}

    def convert(self, model: Any, latent: Any, resolution: int, fraction: float) -> tuple[float]:
        """Run the node.

        Args:
            model: of ComfyUI.
            latent: of ComfyUI, whose shape counts.
            resolution: in latents.
            fraction: of the band.

        Returns:
            Sigma.
        """
        return (sigma_at(_sampling(model), _side(latent), resolution, fraction),)


class ResolutionToPercent(ResolutionToSigma):
    """A node: the same as a percent, for start_percent and end_percent."""

    RETURN_NAMES = ("percent",)

    def convert(self, model: Any, latent: Any, resolution: int, fraction: float) -> tuple[float]:
        """Run the node.

        Args:
            model: of ComfyUI.
            latent: of ComfyUI, whose shape counts.
            resolution: in latents.
            fraction: of the band.

        Returns:
            The percent, between 0 and 1.
        """
        (sigma,) = super().convert(model, latent, resolution, fraction)
        return (percent_at(_sampling(model), sigma),)


class SplitSigmasAtResolution:
    """A node: the sigmas before and after a resolution of the latents is half generated."""

    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")
    FUNCTION = "split"
    CATEGORY = "sampling/custom_sampling/sigmas"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """List the inputs for ComfyUI."""
        return {"required": {"sigmas": ("SIGMAS",), **_INPUTS}}

    def split(self, sigmas: Any, model: Any, latent: Any, resolution: int, fraction: float) -> tuple[Any, Any]:
        """Run the node.

        Args:
            sigmas: of a scheduler node.
            model: of ComfyUI.
            latent: of ComfyUI, whose shape counts.
            resolution: in latents.
            fraction: of the band.

        Returns:
            The sigmas of both samplers.
        """
        return split_at(sigmas, sigma_at(_sampling(model), _side(latent), resolution, fraction))


NODE_CLASS_MAPPINGS: dict[str, type] = {
    kind.__name__: kind for kind in (ResolutionToSigma, ResolutionToPercent, SplitSigmasAtResolution)
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {
    "ResolutionToSigma": "Resolution to sigma",
    "ResolutionToPercent": "Resolution to percent",
    "SplitSigmasAtResolution": "Split sigmas at a resolution",
}
