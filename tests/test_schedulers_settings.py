"""Every scheduler class of diffusers, with every setting: its steps are diffusers' own, or refused in a sentence."""

import inspect
import json

import diffusers
import numpy as np
import pytest
from diffusers import SchedulerMixin

from chroma.schedulers import settings
from chroma.schedulers.handover import plan_steps
from chroma.schedulers.steps import plan

STEPS, TOKENS = 8, 4096
MU = 1.15  # Flux's, for these tokens
OTHER_VALUES = {  # a value that is not the default, for the settings whose default does not suggest one
    "algorithm_type": "sde-dpmsolver++",
    "beta_schedule": "squaredcos_cap_v2",
    "disable_corrector": [0],
    "final_sigmas_type": "sigma_min",
    "interpolation_type": "log_linear",
    "lambda_min_clipped": -2.0,
    "mask_token_id": 3,
    "noise_mode": "1/t",
    "num_vec_classes": 8,
    "prediction_type": "v_prediction",
    "schedule_mode": "log",
    "shift_terminal": 0.1,
    "sigma_max": 9.0,
    "sigma_min": 0.05,
    "sigma_schedule": "exponential",
    "solver_type": "heun",
    "time_shift_type": "linear",
    "timestep_spacing": "trailing",
    "timestep_type": "continuous",
    "trained_betas": np.linspace(0.001, 0.021, 1000).tolist(),
    "tsr_k": 1.0,
    "tsr_sigma": 0.5,
    "upscale_mode": "nearest",
    "variance_type": "learned",
}
CLASSES = {
    name: kind
    for name in dir(diffusers)
    if name.endswith("Scheduler")
    and isinstance(kind := getattr(diffusers, name), type)
    and issubclass(kind, SchedulerMixin)
}
# these add no noise to an image, or do not reveal how, or go from image to noise
REFUSED = {
    *("AmusedScheduler", "BlockRefinementScheduler", "DDIMInverseScheduler", "DiscreteDDIMScheduler"),
    *("EntropyBoundScheduler", "HeliosDMDScheduler", "HeliosScheduler", "IPNDMScheduler", "KarrasVeScheduler"),
    *("LTXEulerAncestralRFScheduler", "PiflowScheduler", "RFD4ProteinaScheduler", "SCMScheduler"),
    *("ScoreSdeVeScheduler", "VQDiffusionScheduler"),
}
FLOWS = {
    *("FlowMapEulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"),
    *("FlowMatchLCMScheduler", "MiniMaxH3Scheduler"),
}
SCALED_BETWEEN_STEPS = {"KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"}


def other_value(name, default):
    if name in OTHER_VALUES and OTHER_VALUES[name] != default:
        return OTHER_VALUES[name]
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 3
    if isinstance(default, float):
        return default * 0.5 if default else 0.5
    return default


def configurations(name):
    """The class with its defaults, then with each setting at another value."""
    parameters = dict(list(inspect.signature(CLASSES[name].__init__).parameters.items())[1:])
    parameters.pop("kwargs", None)
    needed = {key: OTHER_VALUES[key] for key, one in parameters.items() if one.default is one.empty}
    if name in SCALED_BETWEEN_STEPS:  # the constructor of these takes a second for 1000 timesteps
        needed["num_train_timesteps"] = 100
    yield {"_class_name": name, **needed}
    for key, one in parameters.items():
        if key not in needed:
            value = other_value(key, one.default)
            yield {
                "_class_name": name,
                **needed,
                key: value[: needed.get("num_train_timesteps")] if key == "trained_betas" else value,
            }


def set_by_diffusers(config, steps):
    """Diffusers' scheduler as its pipelines set it, with Flux's shift where the shift depends on the image."""
    scheduler = CLASSES[config["_class_name"]].from_config(config)
    accepted = inspect.signature(scheduler.set_timesteps).parameters
    dynamic = scheduler.config.get("use_dynamic_shifting") and "mu" in accepted
    if dynamic and config["_class_name"].startswith("FlowMatch"):
        scheduler.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=MU)
    else:
        scheduler.set_timesteps(steps, **({"mu": MU} if dynamic else {}))
    return scheduler


def log_snrs_by_its_own_numbers(config, scheduler):
    """The log-SNRs of the evaluations, from the scheduler's sigmas, its table of alphas, or the scale of its inputs."""
    name, times = config["_class_name"], np.asarray(scheduler.timesteps, dtype=float)
    known = inspect.signature(CLASSES[name].__init__).parameters
    if name in SCALED_BETWEEN_STEPS:
        return _by_the_scale_of_inputs(scheduler)
    with np.errstate(divide="ignore"):
        if name == "MiniMaxH3Scheduler":  # its time is the weight of the image
            return 2 * np.log(times / (1 - times))
        if name == "DDPMWuerstchenScheduler":
            alphas = np.asarray(scheduler._alpha_cumprod(scheduler.timesteps[:-1], "cpu"), dtype=float)
            return np.log(alphas / (1 - alphas))
        if getattr(scheduler, "sigmas", None) is None or name in ("TCDScheduler", "LCMScheduler"):
            alphas = np.asarray(scheduler.alphas_cumprod, dtype=float)[times.astype(int)]
            return np.log(alphas) - np.log1p(-alphas)
        sigmas = np.asarray(scheduler.sigmas, dtype=float)[: len(times)]
        if config.get("invert_sigmas") and name in FLOWS:
            sigmas = 1 - sigmas
        if name in FLOWS or ("use_flow_sigmas" in known and scheduler.config.use_flow_sigmas):
            return 2 * (np.log1p(-sigmas) - np.log(sigmas))
        return -2 * np.log(sigmas)


def _by_the_scale_of_inputs(scheduler):
    import torch

    image, sigmas = torch.ones(1, 1, 1, 1, dtype=torch.float64), []
    for t in scheduler.timesteps:
        sigmas.append((float(image / scheduler.scale_model_input(image, t)) ** 2 - 1) ** 0.5)
        image = scheduler.step(torch.zeros_like(image), t, image).prev_sample
    return -2 * np.log(sigmas)


def check(config):
    """Equal steps, or a refusal of ours; whether it was refused."""
    try:
        planned = plan_steps(config, STEPS, TOKENS)
    except ValueError as error:
        assert str(error).count("\n") == 0 and len(str(error)) > 40
        return True
    scheduler = set_by_diffusers(config, STEPS)
    expected = log_snrs_by_its_own_numbers(config, scheduler)
    distinct = np.append(True, np.diff(expected) > 1e-4)
    # diffusers' sigmas are float32: near 0 and 1 their log-SNR has three or four digits
    np.testing.assert_allclose(planned.log_snrs, expected[distinct], atol=3e-3, rtol=3e-4)
    times = np.asarray(scheduler.timesteps, dtype=float)[: len(expected)][distinct]
    np.testing.assert_allclose(planned.timesteps, times, atol=1e-2, rtol=1e-5)
    return False


@pytest.mark.parametrize("name", CLASSES)
def test_each_setting_gives_diffusers_own_steps_or_a_refusal(name):
    refused = [config for config in configurations(name) if check(config)]
    if name in REFUSED:
        assert len(refused) == len(list(configurations(name)))
    elif name != "DPMSolverMultistepInverseScheduler":  # with flow sigmas, diffusers has its list from noise to image
        assert {"_class_name": name} not in refused and len(refused) <= 2


def test_settings_that_do_not_change_a_step_are_neutral_in_every_class_that_is_followed():
    for name, followed in settings.FOLLOWED.items():
        parameters = inspect.signature(CLASSES[name].__init__).parameters
        assert set(followed) <= set(parameters)
        for key, default in followed.items():
            assert parameters[key].default == default
        for key in sorted(settings._NEUTRAL & set(parameters) - set(followed)):
            changed = {"_class_name": name, key: other_value(key, parameters[key].default)}
            needed = {"skip_prk_steps": True} if "skip_prk_steps" in followed else {}
            own = log_snrs_by_its_own_numbers(changed, set_by_diffusers({**needed, **changed}, 8))
            np.testing.assert_array_equal(
                own, log_snrs_by_its_own_numbers(changed, set_by_diffusers({**needed, "_class_name": name}, 8))
            )


LEFT_OVER = {
    "use_karras_sigmas": True,
    "use_flow_sigmas": True,
    "use_dynamic_shifting": True,
    "invert_sigmas": True,
    "rescale_betas_zero_snr": True,
    "lambda_min_clipped": -5.1,
    "sigma_max": 700.0,
    "not_a_setting": 3,
}


@pytest.mark.parametrize("name", sorted(set(settings.FOLLOWED) - {"FlowMatchEulerDiscreteScheduler"}))
def test_settings_left_over_from_another_class_do_what_they_do_in_diffusers(name, tmp_path):
    ignored = {
        key: value
        for key, value in LEFT_OVER.items()
        if key not in inspect.signature(CLASSES[name].__init__).parameters
    }
    config = {"_class_name": name, **ignored, **({"skip_prk_steps": True} if name == "PNDMScheduler" else {})}
    assert not check(config)
    scheduler = CLASSES[name].from_config(config)
    scheduler.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "scheduler_config.json").read_text())
    assert set(ignored) <= set(saved) and not check(saved)
    np.testing.assert_allclose(plan_steps(scheduler, 8).log_snrs, plan_steps(saved, 8).log_snrs, atol=3e-3)


def test_defaults_that_another_class_left_in_a_live_configuration_are_not_settings():
    # EulerDiscrete marks its defaults (here "linspace"), and from_config then takes DDIM's own: "leading"
    config = diffusers.EulerDiscreteScheduler(beta_end=0.012).config
    planned = plan({**config, "_class_name": "DDIMScheduler"}, 8)
    made = diffusers.DDIMScheduler.from_config(config)
    made.set_timesteps(8)
    np.testing.assert_array_equal(planned.timesteps, np.asarray(made.timesteps))
