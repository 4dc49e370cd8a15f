"""Published schedulers: their configurations, the sizes of their images, and their sources.

Values are those of the ``scheduler/scheduler_config.json`` in a model's repository, or of a paper (see
`PublishedScheduler.source`), as far as they determine the steps. Flow-matching schedulers have the values that
``set_timesteps(steps)`` sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chroma.schedulers._models import FLUX, LATENT_BETAS, MODELS, PNDM
from chroma.schedules import Cosine


@dataclass(frozen=True)
class PublishedScheduler:
    """A scheduler as it is published with a model.

    Attributes:
        title: the name of the model or schedule, for tables.
        config: the scheduler's configuration, with the class of diffusers as ``_class_name``.
        size: the side of the model's images in pixels.
        latent_factor: pixels that a latent spans in each direction; 1 for models of pixels.
        source: the repository on the Hugging Face hub, or the paper.
        pipeline: the class of diffusers that runs the model; None for a schedule of a paper.
        frames: of a video; None for images.

    >>> published = PUBLISHED["sd15"]
    >>> published.config["_class_name"], published.size // published.latent_factor
    ('PNDMScheduler', 64)
    """

    title: str
    config: Mapping[str, Any]
    size: int
    latent_factor: int
    source: str
    pipeline: str | None = None
    frames: int | None = None


def latent_diffusion(name: str, **options: Any) -> dict[str, Any]:
    """Make a scheduler's configuration with the betas of latent diffusion (Rombach et al. 2022).

    Args:
        name: of the scheduler's class in diffusers.
        **options: further entries of the configuration.

    Returns:
        The configuration.

    >>> latent_diffusion("DDIMScheduler", steps_offset=1)["beta_schedule"]
    'scaled_linear'
    """
    return {"_class_name": name, "num_train_timesteps": 1000, **LATENT_BETAS, **options}


def _shifted_cosine(size: int) -> list[float]:
    """Compute the betas of simple diffusion's schedule: cosine, with a log-SNR that is less by 2 log(size / 64)."""
    times = np.arange(1, 1001) / 1001
    log_snr = Cosine(s=0.0).log_snr(times) - 2 * np.log(size / 64)
    alphas = 1 / (1 + np.exp(-log_snr))
    return (1 - alphas / np.concatenate([[1.0], alphas[:-1]])).tolist()


PUBLISHED: dict[str, PublishedScheduler] = {
    "sd15": PublishedScheduler(
        "Stable Diffusion 1.5",
        latent_diffusion("PNDMScheduler", **PNDM),
        512,
        8,
        "stable-diffusion-v1-5",
        pipeline="StableDiffusionPipeline",
    ),
    "sd21": PublishedScheduler(
        "Stable Diffusion 2.1, v-prediction",
        latent_diffusion("DDIMScheduler", prediction_type="v_prediction", steps_offset=1, set_alpha_to_one=False),
        768,
        8,
        "stabilityai/stable-diffusion-2-1",
        pipeline="StableDiffusionPipeline",
    ),
    "sdxl": PublishedScheduler(
        "SDXL",
        latent_diffusion("EulerDiscreteScheduler", timestep_spacing="leading", steps_offset=1),
        1024,
        8,
        "stabilityai/stable-diffusion-xl-base-1.0",
        pipeline="StableDiffusionXLPipeline",
    ),
    "sdxl-karras": PublishedScheduler(
        "SDXL, DPM++ 2M Karras",
        latent_diffusion("DPMSolverMultistepScheduler", use_karras_sigmas=True, steps_offset=1),
        1024,
        8,
        "diffusers documentation: SDXL's scheduler exchanged for DPM++ 2M Karras",
        pipeline="StableDiffusionXLPipeline",
    ),
    "if": PublishedScheduler(
        "DeepFloyd IF-I",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
        64,
        1,
        "DeepFloyd/IF-I-XL-v1.0",
        pipeline="IFPipeline",
    ),
    "sd3": PublishedScheduler(
        "Stable Diffusion 3",
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0},
        1024,
        8,
        "stabilityai/stable-diffusion-3-medium-diffusers",
        pipeline="StableDiffusion3Pipeline",
    ),
    "flux-dev-512": PublishedScheduler(
        "FLUX.1 dev at 512", FLUX, 512, 8, "black-forest-labs/FLUX.1-dev", "FluxPipeline"
    ),
    "flux-dev": PublishedScheduler("FLUX.1 dev at 1024", FLUX, 1024, 8, "black-forest-labs/FLUX.1-dev", "FluxPipeline"),
    "flux-schnell": PublishedScheduler(
        "FLUX.1 schnell",
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0},
        1024,
        8,
        "black-forest-labs/FLUX.1-schnell",
        pipeline="FluxPipeline",
    ),
    "edm": PublishedScheduler(
        "EDM (Karras et al. 2022)",
        {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        64,
        1,
        "arXiv:2206.00364, Table 1",
    ),
    "lcm": PublishedScheduler(
        "LCM",
        latent_diffusion("LCMScheduler", original_inference_steps=50),
        512,
        8,
        "SimianLuo/LCM_Dreamshaper_v7",
        pipeline="LatentConsistencyModelPipeline",
    ),
    "zero-snr": PublishedScheduler(
        "zero terminal SNR",
        latent_diffusion(
            "DDIMScheduler",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            prediction_type="v_prediction",
        ),
        512,
        8,
        "arXiv:2305.08891 (Lin et al. 2024)",
    ),
    "simple-diffusion": PublishedScheduler(
        "simple diffusion at 256, shifted cosine",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "trained_betas": _shifted_cosine(256)},
        256,
        1,
        "arXiv:2301.11093 (Hoogeboom et al. 2023)",
    ),
    "cosine": PublishedScheduler(
        "cosine",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
        64,
        1,
        "arXiv:2102.09672 (Nichol and Dhariwal 2021)",
    ),
    "linear": PublishedScheduler(
        "linear",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
        256,
        1,
        "google/ddpm-celebahq-256",
        pipeline="DDPMPipeline",
    ),
}
PUBLISHED |= {name: PublishedScheduler(*row) for name, row in MODELS.items()}
