"""The mixture of image and noise that a diffusers scheduler makes at each of its steps, found by probing the scheduler.

Names of classes and of settings mislead: a solver of Stable Diffusion mixes like a flow once it has
``use_flow_sigmas``, and a setting that a class ignores stays in its configuration. So a copy of the scheduler is given
an image of ones and noise of zeros, then the reverse, and what comes out are the two weights.
"""

from __future__ import annotations

import inspect
from copy import copy, deepcopy
from typing import Any

import numpy as np

from chroma._check import invalid_argument

# what a solver with two evaluations per step remembers from the first to the second, and its source of noise
_STATE = ("sample", "dt", "prev_derivative", "mid_point_sigma", "noise_sampler")


def setting(scheduler: Any, name: str) -> Any:
    """Look up a setting of a scheduler, unless its class ignores it.

    ``from_config`` keeps the settings of other classes in the configuration, and ``save_pretrained`` saves them.

    Args:
        scheduler: a diffusers scheduler.
        name: of the setting.

    Returns:
        The value; None if the class has no such setting.

    >>> from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
    >>> solver = DPMSolverMultistepScheduler(use_karras_sigmas=True)
    >>> setting(solver, "use_karras_sigmas"), setting(DDIMScheduler.from_config(solver.config), "use_karras_sigmas")
    (True, None)
    """
    known = inspect.signature(type(scheduler).__init__).parameters
    # diffusers reads attributes of its configuration, and `scheduler.config.name = value` changes nothing else
    return getattr(scheduler.config, name, scheduler.config.get(name)) if name in known else None


def step_weights(scheduler: Any) -> tuple[np.ndarray, np.ndarray]:
    """Find how much image and how much noise there is in what the network is given at each evaluation.

    Args:
        scheduler: a diffusers scheduler after its ``set_timesteps``; it stays as it is.

    Returns:
        The weights of the image and of the noise, up to a common factor, (evaluations,) each.

    Raises:
        ValueError: for a scheduler that does not mix an image with noise, or does not reveal how.

    >>> from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler
    >>> flow = FlowMatchEulerDiscreteScheduler()
    >>> flow.set_timesteps(sigmas=[0.75, 0.25])
    >>> step_weights(flow)
    (array([0.25, 0.75]), array([0.75, 0.25]))
    """
    if not hasattr(scheduler, "timesteps") or not hasattr(scheduler, "config"):
        raise invalid_argument("scheduler", type(scheduler).__name__, "a diffusers scheduler")
    probe = _probe(scheduler)
    if setting(scheduler, "invert_sigmas"):  # Mochi: sigma is the weight of the image, which scale_noise ignores
        noise, image = _mixed(probe)
    elif getattr(scheduler, "order", 1) == 2 and hasattr(scheduler, "scale_model_input"):
        sigmas = _sigmas_of_second_order(probe)
        image, noise = np.ones_like(sigmas), sigmas
    else:
        image, noise = _mixed(probe)
    if not (np.isfinite(image).all() and np.isfinite(noise).all() and (image >= 0).all() and (noise >= 0).all()):
        raise _not_a_mixture(scheduler, "its weights of image and noise are not all finite and positive")
    return image, noise


def mixes_like_flow(scheduler: Any) -> bool:
    """Find out whether a scheduler mixes image and noise as flow matching does.

    The weights of both have the sum 1, and the timesteps fall from noise to image.

    Args:
        scheduler: a diffusers scheduler; it stays as it is, and need not be set.

    Returns:
        Whether it does.

    >>> from diffusers import DDIMScheduler, FlowMatchHeunDiscreteScheduler
    >>> mixes_like_flow(FlowMatchHeunDiscreteScheduler()), mixes_like_flow(DDIMScheduler())
    (True, False)
    """
    trial = deepcopy(scheduler)
    try:
        type(trial).set_timesteps(trial, 4, **({"mu": 1.0} if setting(trial, "use_dynamic_shifting") else {}))
        image, noise = step_weights(trial)
    except Exception:  # a scheduler that cannot be set to steps is no flow
        return False
    falling = float(trial.timesteps[0]) > float(trial.timesteps[-1])
    return falling and bool(np.allclose(image + noise, 1, atol=1e-6, rtol=0))


def _probe(scheduler: Any) -> Any:
    """A copy to experiment with, in double precision, whose tensors are on the CPU."""
    import torch

    probe = copy(scheduler)
    for name in ("add_noise", "scale_noise", "scale_model_input", "step"):
        vars(probe).pop(name, None)  # a wrapper that somebody put in its place knows the scheduler, not the copy
    for name, value in list(vars(probe).items()):
        if torch.is_tensor(value):
            value = value.detach().cpu()
            setattr(probe, name, value.double() if value.is_floating_point() and name != "timesteps" else value)
    continuous = probe.timesteps.is_floating_point() and not hasattr(probe, "sigmas")
    if continuous and hasattr(probe, "previous_timestep"):
        probe.timesteps = probe.timesteps[:-1]  # Wuerstchen's list ends with the time of the finished image
    if len(probe.timesteps) == 0:
        raise _not_a_mixture(scheduler, "it has no timesteps")
    return probe


def _move_to(probe: Any, index: int) -> None:
    for name in ("_begin_index", "_step_index"):
        if hasattr(probe, name):
            setattr(probe, name, index)


def _mixed(probe: Any) -> tuple[np.ndarray, np.ndarray]:
    """The weights that a solver itself reckons with, else those that `add_noise` or `scale_noise` applies."""
    if hasattr(probe, "_sigma_to_alpha_sigma_t"):  # add_noise of SASolver knows neither Karras nor flow sigmas
        image, noise = probe._sigma_to_alpha_sigma_t(probe.sigmas[: len(probe.timesteps)])
        return np.broadcast_to(np.asarray(image), noise.shape).astype(np.float64), np.asarray(noise)

    if not hasattr(probe, "add_noise") and not hasattr(probe, "scale_noise"):
        return _tabulated(probe)

    count = len(probe.timesteps)
    order = iter(np.arange(count).repeat(3).tolist())
    if hasattr(probe, "_begin_index"):  # it looks up the index of each timestep in their order; some are there twice
        probe._begin_index, probe.index_for_timestep = None, lambda *args, **kwargs: next(order)
    try:
        mixed = _mix(probe, probe.timesteps)
        if len(list(order)) not in (0, 3 * count):  # one index for all, as FlowMatchHeun has it
            rows = []
            for index in range(count):
                _move_to(probe, index)
                rows.append(_mix(probe, probe.timesteps[index : index + 1]))
            mixed = np.concatenate(rows)
        image_weights, noise_weights, both = mixed.T
    except NotImplementedError:
        return _tabulated(probe)
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise _not_a_mixture(probe, f"it cannot add noise to an image at its own timesteps ({error})") from error
    if not np.allclose(both, image_weights + noise_weights, rtol=1e-9, atol=1e-9, equal_nan=True):
        raise _not_a_mixture(probe, "it does not add noise to an image in proportion")
    return image_weights, noise_weights


def _mix(probe: Any, timesteps: Any) -> np.ndarray:
    """An image alone, noise alone, and both, at each of the timesteps: (timesteps, 3)."""
    import torch

    image, noise = (
        torch.tensor(row, dtype=torch.float64).repeat(len(timesteps)).reshape(-1, 1, 1, 1)
        for row in ([1.0, 0.0, 1.0], [0.0, 1.0, 1.0])
    )
    times = timesteps.repeat_interleave(3)
    if hasattr(probe, "scale_noise"):
        mixed = probe.scale_noise(sample=image, timestep=times, noise=noise)
    else:
        mixed = probe.add_noise(original_samples=image, noise=noise, timesteps=times)
    return np.asarray(mixed, dtype=np.float64).reshape(len(timesteps), 3)


def _tabulated(probe: Any) -> tuple[np.ndarray, np.ndarray]:
    """The weights by the table of alphas, for the schedulers that have no `add_noise` of their own."""
    if not hasattr(probe, "alphas_cumprod") or probe.timesteps.is_floating_point():
        raise _not_a_mixture(probe, "it has no add_noise or scale_noise, and no table of alphas")
    alphas, timesteps = np.asarray(probe.alphas_cumprod), np.asarray(probe.timesteps)
    if not ((timesteps >= 0) & (timesteps < len(alphas))).all():
        raise _not_a_mixture(probe, f"its timesteps are not within its table of {len(alphas)} alphas")
    return np.sqrt(alphas[timesteps]), np.sqrt(1 - alphas[timesteps])


def _sigmas_of_second_order(probe: Any) -> np.ndarray:
    """The sigmas by which a solver with two evaluations per step scales the network's inputs, from a run with zeros."""
    import torch

    for name in _STATE:
        if hasattr(probe, name):
            setattr(probe, name, None)
    _move_to(probe, 0)
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    factors = []
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        for timestep in probe.timesteps:
            factors.append(float(probe.scale_model_input(one, timestep)))
            try:
                probe.step(torch.zeros_like(one), timestep, one)
            except (NotImplementedError, TypeError, ValueError) as error:
                raise _not_a_mixture(probe, f"diffusers refuses a step of it ({error})") from error
    return np.sqrt(1 / np.array(factors) ** 2 - 1)


def _not_a_mixture(scheduler: Any, why: str) -> ValueError:
    must = "one that mixes an image with noise in a known way"
    return invalid_argument("scheduler", f"{type(scheduler).__name__}: {why}", must)
