"""Steps that diffusers sets: what the network really gets, lists that the user gives, and refusals in one sentence."""

import sys
import types

import diffusers
import numpy as np
import pytest
import torch

from chroma import EDM, RectifiedFlow, from_scheduler
from chroma.schedulers.config import alphas_cumprod_from_config
from chroma.schedulers.handover import plan_steps
from chroma.schedulers.published import FLUX, latent_diffusion
from chroma.schedulers.settings import UnknownScheduler
from chroma.schedulers.steps import plan, step_log_snrs

SECOND_ORDER = ["HeunDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler"]


def seen_by_the_network(scheduler):
    """The log-SNR of each input of a network, from the factor by which the scheduler scales it in a real run."""
    image, sigmas = torch.ones(1, 1, 2, 2, dtype=torch.float64), []
    for t in scheduler.timesteps:
        ratio = float((image / scheduler.scale_model_input(image, t)).mean())
        sigmas.append((ratio**2 - 1) ** 0.5)
        image = scheduler.step(torch.randn_like(image), t, image).prev_sample
    return -2 * np.log(sigmas)


@pytest.mark.parametrize("karras", [False, True])
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_a_second_order_solver_is_read_as_its_network_sees_it_at_any_moment(name, karras):
    scheduler = getattr(diffusers, name)(num_train_timesteps=100, use_karras_sigmas=karras)
    scheduler.set_timesteps(6)
    random_state, before = torch.get_rng_state(), step_log_snrs(scheduler)
    assert torch.equal(random_state, torch.get_rng_state())
    # float32 sigmas: the scale of the input has few digits where sigma is small
    np.testing.assert_allclose(before, seen_by_the_network(scheduler), atol=2e-3)
    np.testing.assert_array_equal(step_log_snrs(scheduler), before)  # after the run, whose state the scheduler has
    scheduler.set_timesteps(6)
    image = torch.ones(1, 1, 2, 2)
    for t in scheduler.timesteps[:3]:
        scheduler.step(scheduler.scale_model_input(image, t), t, image)
    np.testing.assert_array_equal(step_log_snrs(scheduler), before)  # in the middle of a step
    assert scheduler.step_index == 3


@pytest.fixture
def dpm_solver_sde(monkeypatch):
    """Its class, with a stand-in for torchsde's noise, which does not change where its steps are."""

    class BrownianTree:
        def __init__(self, t0, w0, t1, **kwargs):
            self.w0 = w0

        def __call__(self, ta, tb):
            return torch.zeros_like(self.w0)

    stand_in = types.ModuleType("torchsde")
    stand_in.BrownianTree = BrownianTree
    stand_in.BrownianInterval = lambda *args, t0=0, size=None, dtype=None, **kwargs: BrownianTree(
        0, torch.zeros(size), 1
    )
    monkeypatch.setitem(sys.modules, "torchsde", stand_in)
    from diffusers.schedulers.scheduling_dpmsolver_sde import DPMSolverSDEScheduler

    yield DPMSolverSDEScheduler
    sys.modules.pop("diffusers.schedulers.scheduling_dpmsolver_sde", None)


@pytest.mark.parametrize("karras", [False, True])
def test_dpm_solver_sde_is_evaluated_at_the_middle_of_its_steps(dpm_solver_sde, karras):
    scheduler = dpm_solver_sde(use_karras_sigmas=karras)
    scheduler.set_timesteps(6)
    found = step_log_snrs(scheduler)
    np.testing.assert_allclose(found, seen_by_the_network(scheduler), atol=2e-3)
    assert len(found) == 11
    np.testing.assert_allclose(found[1:-1:2], (found[:-2:2] + found[2::2]) / 2, atol=1e-4)  # in log-SNR
    assert len(plan_steps(dpm_solver_sde(use_karras_sigmas=karras), 6).log_snrs) == 11


def test_a_solver_is_read_past_a_wrapper_that_somebody_put_in_place_of_a_method():
    scheduler = diffusers.KDPM2DiscreteScheduler(num_train_timesteps=100)
    scheduler.set_timesteps(5)
    expected, original = step_log_snrs(scheduler), scheduler.scale_model_input
    scheduler.scale_model_input = lambda x, t: original(x, t)
    np.testing.assert_array_equal(step_log_snrs(scheduler), expected)
    assert scheduler.step_index is None


def test_a_scheduler_object_stays_as_it_is():
    scheduler = diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, use_dynamic_shifting=True)
    scheduler.set_timesteps(5, mu=0.5)
    before = scheduler.timesteps.clone(), scheduler.sigmas.clone(), dict(scheduler.config)
    plan_steps(scheduler, 20, 4096)
    assert torch.equal(scheduler.timesteps, before[0]) and torch.equal(scheduler.sigmas, before[1])
    assert dict(scheduler.config) == before[2]


def flow(sigmas):
    with np.errstate(divide="ignore"):
        return 2 * (np.log1p(-sigmas) - np.log(sigmas))


@pytest.mark.parametrize("settings", [{}, {"shift_terminal": 0.02}, {"use_beta_sigmas": True}, {"invert_sigmas": True}])
@pytest.mark.parametrize("given", [{"sigmas": [1.0, 0.7, 0.3]}, {"timesteps": [1000.0, 700.0, 250.0]}, {"steps": 7}])
def test_a_dynamic_flow_steps_as_diffusers_with_the_same_mu_and_lists(settings, given):
    config = {**FLUX, **settings}
    given = {"steps": None, "mu": 0.8, **given}
    made = diffusers.FlowMatchEulerDiscreteScheduler.from_config(config)
    made.set_timesteps(given["steps"], mu=0.8, sigmas=given.get("sigmas"), timesteps=given.get("timesteps"))
    sigmas = made.sigmas[:-1].double().numpy()
    for scheduler in (config, diffusers.FlowMatchEulerDiscreteScheduler.from_config(config)):
        planned = plan_steps(scheduler, **given)
        np.testing.assert_allclose(
            planned.log_snrs, flow(1 - sigmas if "invert_sigmas" in settings else sigmas), atol=1e-4
        )
        np.testing.assert_allclose(planned.timesteps, made.timesteps.numpy(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "given"),
    [
        (latent_diffusion("DDPMScheduler"), {"timesteps": [999, 500, 20]}),
        (latent_diffusion("LCMScheduler"), {"timesteps": [999, 759, 499, 259]}),
        (
            latent_diffusion("EulerDiscreteScheduler"),
            {"timesteps": [999, 845, 730, 587, 443, 310, 193, 116, 53, 13]},
        ),  # AYS
        (
            latent_diffusion("EulerDiscreteScheduler"),
            {"sigmas": [14.615, 6.475, 3.861, 2.697, 1.886, 0.652, 0.403, 0.152, 0.029, 0.0]},
        ),
        (latent_diffusion("DPMSolverMultistepScheduler"), {"timesteps": [999, 845, 730, 587, 443]}),
        (latent_diffusion("HeunDiscreteScheduler"), {"timesteps": [900, 500, 100]}),
        ({"_class_name": "UniPCMultistepScheduler", "use_flow_sigmas": True}, {"sigmas": [0.9, 0.5, 0.2]}),
    ],
)
def test_lists_that_the_user_gives_are_set_as_diffusers_sets_them(config, given):
    made = getattr(diffusers, config["_class_name"]).from_config(config)
    made.set_timesteps(**{key: np.array(values) for key, values in given.items()})
    evaluations = np.sort(np.unique(np.asarray(made.timesteps), return_index=True)[1])[::1]
    planned = plan_steps(config, None, **given)
    np.testing.assert_allclose(planned.timesteps, np.asarray(made.timesteps, dtype=float)[evaluations])
    assert (np.diff(planned.log_snrs) > 0).all()
    if "sigmas" in given:
        sigmas = np.array(given["sigmas"][: len(planned.log_snrs)])
        expected = flow(sigmas) if "use_flow_sigmas" in config else -2 * np.log(sigmas)
        np.testing.assert_allclose(planned.log_snrs, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("config", "given", "words"),
    [
        ("DDIMScheduler", {"timesteps": [999, 500]}, "DDIMScheduler does not accept timesteps: leave timesteps out"),
        ("DDIMScheduler", {"sigmas": [1.0, 0.5]}, "DDIMScheduler does not accept sigmas"),
        ("DDIMScheduler", {"steps": 5, "mu": 1.0}, "DDIMScheduler does not accept mu"),
        (
            "FlowMatchHeunDiscreteScheduler",
            {"sigmas": [1.0, 0.5]},
            "FlowMatchHeunDiscreteScheduler does not accept sigmas",
        ),
        (
            "EulerDiscreteScheduler",
            {"sigmas": [3.0, 1.0, 0.0], "timesteps": [9, 5]},
            "Only one of `timesteps` or `sigmas`",
        ),
        (
            "UniPCMultistepScheduler",
            {"sigmas": [0.9, 0.5]},
            "Passing `sigmas` is only supported when `use_flow_sigmas=True`",
        ),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"sigmas": [0.5, 0.9]},
            "sigmas must be in falling order, from noise to image",
        ),
        ("FlowMatchEulerDiscreteScheduler", {"sigmas": [0.9, 0.9]}, "sigmas must be in falling order"),
        ("FlowMatchEulerDiscreteScheduler", {"sigmas": []}, "sigmas must be a list of at least one finite number"),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"sigmas": [1.0, np.nan]},
            "sigmas must be a list of at least one finite number",
        ),
        ("FlowMatchEulerDiscreteScheduler", {"timesteps": ["a"]}, "timesteps must be a list of numbers"),
        ("FlowMatchEulerDiscreteScheduler", {"sigmas": [1.0, 0.5, 0.0]}, r"sigmas must be within \(0, 1\] for a flow"),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"sigmas": [14.6, 0.5]},
            r"sigmas must be within \(0, 1\] for a flow; got \[14.6, 0.5\]",
        ),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"steps": 4, "sigmas": [1.0, 0.5]},
            "steps must be left out or 2, the number of sigmas",
        ),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"sigmas": [1.0, 0.5], "timesteps": [900]},
            "timesteps must be as many as the sigmas",
        ),
        ("DDPMScheduler", {"timesteps": [2000, 5]}, "`timesteps` must start before"),
        ("DDPMScheduler", {}, "steps must be a whole number >= 1; got None"),
        ("DDIMScheduler", {"steps": 2000}, "DDIMScheduler"),
        ("CMStochasticIterativeScheduler", {"steps": 41}, "cannot be larger than"),
        (
            "UniPCMultistepScheduler",
            {"steps": 1500},
            "steps must be fewer with this UniPCMultistepScheduler; got 1500, of which",
        ),
        ("DDIMInverseScheduler", {"steps": 10}, "one whose steps all go from noise to image; got DDIMInverseScheduler"),
        ("DPMSolverMultistepInverseScheduler", {"steps": 10}, "one whose steps all go from noise to image"),
        ("RePaintScheduler", {"steps": 50}, "one whose steps all go from noise to image"),
        ("UnCLIPScheduler", {"steps": 1}, "diffusers' UnCLIPScheduler cannot set these steps .*use other settings"),
        ("DPMSolverSDEScheduler", {"steps": 5}, "requires the torchsde library"),
        ("StableDiffusionPipeline", {"steps": 5}, "such as DDIMScheduler.* got StableDiffusionPipeline"),
        (7, {"steps": 5}, "scheduler must be one whose steps are known without diffusers"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_sentence(config, given, words):
    with pytest.raises(ValueError, match=words):
        plan_steps({"_class_name": config}, **{"steps": None, **given})


def test_objects_that_are_no_schedulers_are_refused():
    with pytest.raises(ValueError, match="scheduler must be a diffusers scheduler"):
        plan_steps(object(), 5)
    with pytest.raises(ValueError, match="scheduler must be a diffusers scheduler"):
        step_log_snrs(object())


@pytest.mark.parametrize("name", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "EulerDiscreteScheduler"])
@pytest.mark.parametrize("karras", [False, True])
def test_zero_terminal_snr_keeps_what_diffusers_keeps_of_it(name, karras):
    config = latent_diffusion(name, rescale_betas_zero_snr=True, timestep_spacing="trailing", use_karras_sigmas=karras)
    made = getattr(diffusers, name).from_config(config)
    made.set_timesteps(8)
    planned = plan(config, 8)
    assert planned.log_snrs[0] == pytest.approx(-24 * np.log(2), abs=1e-3)  # sigma is 4096
    np.testing.assert_allclose(planned.log_snrs, -2 * np.log(made.sigmas[:8].double().numpy()), atol=2e-3)


def test_a_flow_whose_shift_depends_on_the_image_needs_its_tokens_or_mu():
    for scheduler in (FLUX, diffusers.FlowMatchEulerDiscreteScheduler.from_config(FLUX)):
        with pytest.raises(ValueError, match="passed with the number of tokens of its image"):
            plan_steps(scheduler, 5)
        np.testing.assert_allclose(plan_steps(scheduler, 5, 4096).timesteps[0], 1000)
    short = {"_class_name": "FlowMatchEulerDiscreteScheduler", "use_dynamic_shifting": True}
    np.testing.assert_array_equal(plan_steps(short, 9, 1000).log_snrs, plan_steps(FLUX, 9, 1000).log_snrs)


@pytest.mark.parametrize("name", ["UniPCMultistepScheduler", "DPMSolverMultistepScheduler", "DEISMultistepScheduler"])
def test_a_solver_lent_to_a_flow_is_a_flow_with_the_shift_of_the_image(name):
    config = {**FLUX, "_class_name": name, "use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    made = getattr(diffusers, name).from_config(config)
    assert from_scheduler(made, tokens=4096) == RectifiedFlow(float(np.exp(1.15)))
    made.set_timesteps(20, mu=1.15)
    np.testing.assert_allclose(
        plan_steps(config, 20, 4096).log_snrs, flow(made.sigmas[:-1].double().numpy()), atol=1e-4
    )
    static = getattr(diffusers, name)(use_flow_sigmas=True, flow_shift=5.0)
    assert from_scheduler(static) == RectifiedFlow(5.0)


def test_a_linear_time_shift_is_cogview4s():
    from diffusers.pipelines.cogview4.pipeline_cogview4 import calculate_shift

    config = {**FLUX, "base_shift": 0.25, "max_shift": 0.75, "time_shift_type": "linear"}
    mu = calculate_shift(1024, 256, 0.25, 0.75)
    made = diffusers.FlowMatchEulerDiscreteScheduler.from_config(config)
    assert from_scheduler(made, tokens=1024) == RectifiedFlow(mu)
    times = np.linspace(1000, 1, 10).astype(int)
    made.set_timesteps(sigmas=(times / 1000).tolist(), timesteps=times.tolist(), mu=mu)
    planned = plan(config, 10, 1024)
    np.testing.assert_allclose(planned.log_snrs, flow(made.sigmas[:-1].double().numpy()), atol=1e-4)
    np.testing.assert_array_equal(planned.timesteps, made.timesteps.numpy())


def test_the_schedule_of_a_scheduler_is_read_from_what_it_does():
    assert from_scheduler(diffusers.FlowMapEulerDiscreteScheduler(shift=3.0)) == RectifiedFlow(3.0)
    assert from_scheduler(diffusers.FlowMatchLCMScheduler(shift=3.0)) == RectifiedFlow(3.0)
    ddim = diffusers.DDIMScheduler.from_config({"use_flow_sigmas": True, "flow_shift": 3.0, "invert_sigmas": True})
    assert from_scheduler(ddim).domain == (0.0, 999.0)
    assert from_scheduler(diffusers.EDMDPMSolverMultistepScheduler()) == EDM(0.002, 80.0, 7.0)
    for name in ("MiniMaxH3Scheduler", "HeliosScheduler", "IPNDMScheduler", "SCMScheduler", "DDPMWuerstchenScheduler"):
        with pytest.raises(ValueError, match=f"scheduler must be a scheduler with alphas_cumprod.*got {name}"):
            from_scheduler(getattr(diffusers, name)())


def test_only_diffusers_knows_some_lists():
    with pytest.raises(UnknownScheduler):
        plan(latent_diffusion("DDPMScheduler"), None, timesteps=[999, 5])


def test_more_steps_than_training_timesteps_are_not_merged():
    config = latent_diffusion("EulerDiscreteScheduler", timestep_spacing="leading")
    with pytest.raises(
        ValueError, match="steps must be fewer with this EulerDiscreteScheduler; got 1500, of which 1 and 2"
    ):
        plan_steps(config, 1500)


def test_the_end_of_wuerstchens_list_is_no_step():
    given = plan_steps({"_class_name": "DDPMWuerstchenScheduler"}, None, timesteps=[1.0, 0.6, 0.2])
    np.testing.assert_allclose(given.timesteps, [1.0, 0.6])
    assert len(plan_steps({"_class_name": "DDPMWuerstchenScheduler"}, 10).log_snrs) == 10


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"_class_name": "EDMEulerScheduler", "rho": 0.0}, "EDMEulerScheduler"),
        ({"_class_name": "EDMEulerScheduler", "rho": 0.001}, "EDMEulerScheduler"),
        ({"_class_name": "EDMEulerScheduler", "sigma_min": -1.0}, "EDMEulerScheduler"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 0.0}, "FlowMatchEulerDiscreteScheduler"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": "3"}, "FlowMatchEulerDiscreteScheduler"),
        ({"_class_name": "DDIMScheduler", "num_train_timesteps": "1000"}, "DDIMScheduler"),
        ({"_class_name": "DDIMScheduler", "beta_end": 3.0}, "DDIMScheduler"),
        ({"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2]}, "DDIMScheduler"),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": None}, "DDIMScheduler"),
        ({"_class_name": "DPMSolverMultistepScheduler", "algorithm_type": "dpmsolver"}, "final_sigmas_type"),
        (
            {**FLUX, "max_image_seq_len": 256},
            "base_shift, max_shift, base_image_seq_len, max_image_seq_len are numbers",
        ),
        ({**FLUX, "time_shift_type": "cubic"}, "time_shift_type"),
    ],
)
def test_settings_that_no_scheduler_can_have_are_refused_in_one_sentence(config, words):
    with pytest.raises(ValueError, match=words):
        plan_steps(config, 5, 1024)


def test_a_setting_changed_on_a_scheduler_is_followed_as_diffusers_follows_it():
    # as in diffusers#7214: the attribute changes what set_timesteps does, the dictionary stays as it was
    lent = diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction")
    lent.config.use_flow_sigmas, lent.config.flow_shift = True, 3.0
    assert from_scheduler(lent) == RectifiedFlow(3.0)
    dynamic = diffusers.FlowMatchEulerDiscreteScheduler()
    dynamic.config.use_dynamic_shifting = True
    assert from_scheduler(dynamic, tokens=4096) == RectifiedFlow(float(np.exp(1.15)))
    np.testing.assert_allclose(plan_steps(dynamic, 9, 4096).log_snrs, plan_steps(FLUX, 9, 4096).log_snrs, atol=1e-4)


@pytest.mark.parametrize(
    "betas",
    [
        {},
        {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"num_train_timesteps": 777, "beta_end": 0.013},
        {"trained_betas": np.linspace(0.001, 0.03, 1000).tolist()},
    ],
)
def test_alphas_of_a_configuration_are_diffusers_to_the_last_digit(betas):
    own = diffusers.DDIMScheduler(**betas).alphas_cumprod.double().numpy()
    np.testing.assert_array_equal(alphas_cumprod_from_config(betas), own)
    own = diffusers.DDIMScheduler(**betas, rescale_betas_zero_snr=True).alphas_cumprod.double().numpy()
    ours = alphas_cumprod_from_config({**betas, "rescale_betas_zero_snr": True})
    # PyTorch's square root is not the nearest float32, which matters where alpha is almost 0
    np.testing.assert_allclose(ours, own, rtol=5e-3, atol=1e-7)
