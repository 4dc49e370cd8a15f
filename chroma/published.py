"""Schedulers as they are published: the configuration of each, its size and where it is from.

Values are those of the ``scheduler/scheduler_config.json`` in a model's repository, or of a paper, as `source` says, as
far as they bear on its steps. Flow-matching schedulers are set as ``set_timesteps(steps)`` sets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chroma.schedules import Cosine


@dataclass(frozen=True)
class Shipped:
    """A scheduler's configuration, the side in pixels of the images it is for, and how many of them a latent spans.

    >>> known = SHIPPED["sd15"]
    >>> known.config["_class_name"], known.size // known.latent_factor
    ('PNDMScheduler', 64)
    """

    title: str
    config: Mapping
    size: int
    latent_factor: int
    source: str


def _latent_diffusion(name: str, **more) -> dict:
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    return {"_class_name": name, "num_train_timesteps": 1000, **betas, **more}


def _shifted_cosine(size: int) -> list[float]:
    """Betas of simple diffusion's schedule for images of side `size`: cosine, its log-SNR less by 2 log(size / 64)."""
    times = np.arange(1, 1001) / 1001
    log_snr = Cosine(s=0.0).log_snr(times) - 2 * np.log(size / 64)
    alphas = 1 / (1 + np.exp(-log_snr))
    return (1 - alphas / np.concatenate([[1.0], alphas[:-1]])).tolist()


FLUX = {
    "_class_name": "FlowMatchEulerDiscreteScheduler",
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
PNDM = {"skip_prk_steps": True, "steps_offset": 1, "set_alpha_to_one": False}
SHIPPED = {
    "sd15": Shipped(
        "Stable Diffusion 1.5", _latent_diffusion("PNDMScheduler", **PNDM), 512, 8, "stable-diffusion-v1-5"
    ),
    "sd21": Shipped(
        "Stable Diffusion 2.1, v-prediction",
        _latent_diffusion("DDIMScheduler", prediction_type="v_prediction", steps_offset=1, set_alpha_to_one=False),
        768,
        8,
        "stabilityai/stable-diffusion-2-1",
    ),
    "sdxl": Shipped(
        "SDXL",
        _latent_diffusion("EulerDiscreteScheduler", timestep_spacing="leading", steps_offset=1),
        1024,
        8,
        "stabilityai/stable-diffusion-xl-base-1.0",
    ),
    "sdxl-karras": Shipped(
        "SDXL, DPM++ 2M Karras",
        _latent_diffusion("DPMSolverMultistepScheduler", use_karras_sigmas=True, steps_offset=1),
        1024,
        8,
        "diffusers documentation: SDXL's scheduler exchanged for DPM++ 2M Karras",
    ),
    "if": Shipped(
        "DeepFloyd IF-I",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
        64,
        1,
        "DeepFloyd/IF-I-XL-v1.0",
    ),
    "sd3": Shipped(
        "Stable Diffusion 3",
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0},
        1024,
        8,
        "stabilityai/stable-diffusion-3-medium-diffusers",
    ),
    "flux-dev-512": Shipped("FLUX.1 dev at 512", FLUX, 512, 8, "black-forest-labs/FLUX.1-dev"),
    "flux-dev": Shipped("FLUX.1 dev at 1024", FLUX, 1024, 8, "black-forest-labs/FLUX.1-dev"),
    "flux-schnell": Shipped(
        "FLUX.1 schnell",
        {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 1.0},
        1024,
        8,
        "black-forest-labs/FLUX.1-schnell",
    ),
    "edm": Shipped(
        "EDM (Karras et al. 2022)",
        {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        64,
        1,
        "arXiv:2206.00364, Table 1",
    ),
    "lcm": Shipped(
        "LCM",
        _latent_diffusion("LCMScheduler", original_inference_steps=50),
        512,
        8,
        "SimianLuo/LCM_Dreamshaper_v7",
    ),
    "zero-snr": Shipped(
        "zero terminal SNR",
        _latent_diffusion(
            "DDIMScheduler",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            prediction_type="v_prediction",
        ),
        512,
        8,
        "arXiv:2305.08891 (Lin et al. 2024)",
    ),
    "simple-diffusion": Shipped(
        "simple diffusion at 256, shifted cosine",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "trained_betas": _shifted_cosine(256)},
        256,
        1,
        "arXiv:2301.11093 (Hoogeboom et al. 2023)",
    ),
    "cosine": Shipped(
        "cosine",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"},
        64,
        1,
        "arXiv:2102.09672 (Nichol and Dhariwal 2021)",
    ),
    "linear": Shipped(
        "linear",
        {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
        256,
        1,
        "google/ddpm-celebahq-256",
    ),
}
