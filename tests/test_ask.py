"""Eleven questions that people ask about their samplers, with numbers from formulas that are not this package's."""

import json
import subprocess
import sys
from math import exp, log, sqrt
from types import SimpleNamespace

import diffusers
import numpy as np
import pytest

from chroma import ask
from chroma.ask.__main__ import main
from chroma.ask.levels import find_model
from chroma.schedulers.published import PUBLISHED

SDXL_ALPHAS = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def scheduler(name):
    config = PUBLISHED[name].config
    return getattr(diffusers, config["_class_name"]).from_config(dict(config))


# ---- the eleven questions


@pytest.mark.parametrize(("shift", "steps", "ratio"), [(8.0, 20, 0.875), (5.0, 40, 0.9), (3.0, 30, 0.875)])
def test_1_wan_changes_its_expert_where_its_pipeline_does(shift, steps, ratio):
    answer = ask.experts(find_model("wan22", steps, shift=shift), ratio)
    config = dict(PUBLISHED["wan22"].config) | {"flow_shift": shift}
    unipc = diffusers.UniPCMultistepScheduler.from_config(config)
    unipc.set_timesteps(steps)
    high = sum(bool(t >= ratio * 1000) for t in unipc.timesteps)  # the comparison in WanPipeline
    assert answer.values["high_noise_steps"] == high and answer.values["low_noise_steps"] == steps - high
    assert f"step {high} of {steps}" in answer.answer
    snr = ((1 - ratio) / ratio) ** 2  # of the 90 x 160 latents of 720p; averaging to 16 x 16 leaves 1/31.6 of the noise
    cleaner = snr * (90 / 16) ** 2
    assert answer.done["by the boundary"]["16x16"] == pytest.approx(cleaner / (1 + cleaner))


@pytest.mark.parametrize(("name", "own"), [("sd3", 3.0), ("flux-dev", exp(1.15)), ("wan21-480p", 3.0)])
def test_2_a_larger_image_gets_the_shift_that_leaves_each_resolution_its_step(name, own):
    answer = ask.shift_for(find_model(name), scale=1.5)
    assert answer.values["shift"] == pytest.approx(1.5 * own)
    t = np.linspace(0.1, 0.9, 9)
    before, after = (s * t / (1 + (s - 1) * t) for s in (own, answer.values["shift"]))
    # averaging 1.5 x 1.5 cells of the larger image divides the deviation of its noise by 1.5
    np.testing.assert_allclose(before / (1 - before), after / (1 - after) / 1.5)


def test_2_twice_the_frames_of_a_video_count_at_most_as_half_a_doubling_of_the_side():
    model = find_model("wan21-480p", shift=4.0)
    assert ask.shift_for(model, frames_scale=2).values["shift"] == pytest.approx(4 * sqrt(2))
    assert ask.shift_for(model, scale=2, frames_scale=4).values["shift"] == pytest.approx(16)


@pytest.mark.parametrize("name", ["sd15", "sdxl", "sd3", "flux-dev"])
@pytest.mark.parametrize("steps", [28, 30])
def test_3_a_strength_starts_the_pipelines_of_diffusers_at_the_step_that_was_promised(name, steps):
    model = find_model(name, steps)
    values = ask.strength_for(model, "32x32").values
    own = scheduler(name)
    if name == "flux-dev":
        own.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=1.15)
    else:
        own.set_timesteps(steps)
    kinds = {"sd15": "StableDiffusion", "sdxl": "StableDiffusionXL", "sd3": "StableDiffusion3", "flux-dev": "Flux"}
    pipeline = getattr(diffusers, f"{kinds[name]}Img2ImgPipeline")
    times, _ = pipeline.get_timesteps(SimpleNamespace(scheduler=own), steps, values["strength"], None)
    expected = model.inference.plan.timesteps[values["start_step"]]
    assert float(times[0]) == pytest.approx(expected, abs=1)
    side = model.inference.side
    flow = 1 / (1 + side / 32)  # the weight of the image at which averaging to 32 x 32 makes it as strong as the noise
    sigma = 1 - flow if model.is_flow else side / 32
    assert model.level(float(model.inference.plan.log_snrs[values["start_step"]])).sigma <= sigma
    assert model.level(float(model.inference.plan.log_snrs[values["start_step"] - 1])).sigma > sigma


def test_3_the_strength_that_keeps_a_resolution_is_the_strength_that_is_said_to_keep_it():
    model = find_model("sd3", 28)
    for side in (8, 16, 32, 64):
        strength = ask.strength_for(model, side).values["strength"]
        assert ask.keep_of(model, strength).values["half_kept"] == f"{side}x{side}"


@pytest.mark.parametrize("scale", [1.5, 2.0, 4.0])
def test_4_after_an_upscale_restart_at_the_sigma_that_averaging_brings_down_to_one(scale):
    answer = ask.restart(find_model("sdxl", 30, size=2048), scale)
    assert answer.values["sigma"] == pytest.approx(scale) and answer.values["sigma_before_upscale"] == pytest.approx(1)
    flow = ask.restart(find_model("sd3", 28, size=2048), scale)
    assert flow.values["sigma"] == pytest.approx(scale / (1 + scale))  # noise is scale times the image


def comfyui_sigma(model, percent):
    """`percent_to_sigma` of ComfyUI's ModelSamplingDiscrete and ModelSamplingDiscreteFlow, from their formulas."""
    if model.inference.shift is not None:
        shift, t = model.inference.shift, 1 - percent
        return shift * t / (1 + (shift - 1) * t)
    sigmas = np.sqrt((1 - SDXL_ALPHAS) / SDXL_ALPHAS)
    return exp(np.interp((1 - percent) * 999, np.arange(1000), np.log(sigmas)))


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux-dev", "qwen-image"])
def test_5_a_window_holds_the_same_steps_in_diffusers_and_in_comfyui(name):
    steps = 29  # a prime: shares of it are no short decimals
    model = find_model(name, steps)
    answer = ask.window(model, "8x8", "32x32")
    start, end, first, stop = (answer.values[key] for key in ("start", "end", "first_step", "stop_step"))
    kept = [i for i in range(steps) if not (i / steps < start or (i + 1) / steps > end)]  # ControlNet's pipelines
    assert kept == list(range(first, stop))
    guided = [i for i in range(steps) if int(start * steps) <= i < int(end * steps)]  # ClassifierFreeGuidance
    assert guided == kept
    percents = [answer.levels[edge].comfyui_percent for edge in ("start", "end")]
    high, low = (comfyui_sigma(model, percent) for percent in percents)
    sigmas = [model.level(float(z)).sigma for z in model.inference.plan.log_snrs]
    assert [i for i, sigma in enumerate(sigmas) if low < sigma <= high] == kept
    assert low == pytest.approx(answer.levels["end"].sigma, rel=1e-3)


def test_6_the_prompt_of_sdxl_switches_at_the_first_step_whose_32x32_average_is_half_signal():
    answer = ask.switch(find_model("sdxl", 30), "32x32")
    euler = scheduler("sdxl")
    euler.set_timesteps(30)
    alphas = SDXL_ALPHAS[euler.timesteps.long().numpy()]
    cleaner = alphas / (1 - alphas) * 16  # averaging 4 x 4 latents divides the variance of their noise by 16
    assert answer.values["step"] == int(np.argmax(cleaner >= 1)) == 7
    assert "[first:second:7]" in answer.notes[0]


def test_7_the_guidance_interval_of_a_paper_is_found_in_steps():
    answer = ask.window_of_sigmas(find_model("sdxl", 30), 5.42, 0.28)  # Kynkäänniemi et al. 2024, for SDXL
    euler = scheduler("sdxl")
    euler.set_timesteps(30)
    inside = [i for i, sigma in enumerate(euler.sigmas[:-1]) if 0.28 < sigma <= 5.42]
    assert (answer.values["first_step"], answer.values["stop_step"] - 1) == (inside[0], inside[-1])
    assert answer.done["by its start"]["8x8"] == pytest.approx(1 / (1 + 5.42**2 / 16**2))


def test_8_added_detail_moves_fine_bands_and_leaves_what_is_settled():
    answer = ask.detail(find_model("sdxl", 30), "16x16", amount=0.1)
    sigma = answer.levels["start"].sigma
    assert 64 / sigma**2 == pytest.approx(9)  # 9 : 1 is 90 %
    shares = {side: 1 / (1 + sigma**2 * (side / 128) ** 2) for side in (16, 64)}
    lowered = {side: 1 / (1 + (0.9 * sigma) ** 2 * (side / 128) ** 2) for side in (16, 64)}
    for side in (16, 64):  # the derivative against the difference itself, whose curvature is a tenth of it
        assert answer.values["moved"][f"{side}x{side}"] == pytest.approx(lowered[side] - shares[side], rel=0.1)
    assert answer.values["moved"]["64x64"] > 2 * answer.values["moved"]["16x16"]


@pytest.mark.parametrize("name", ["sd15", "sd3"])
def test_9_training_timesteps_of_a_band_go_from_a_tenth_to_nine_tenths_of_it(name):
    model = find_model(name)
    values = ask.training_timesteps(model, "16x16", "16x16").values
    timesteps = np.arange(1, 1000)
    noise = timesteps / 1000 if name == "sd3" else None
    snr = ((1 - noise) / noise) ** 2 if name == "sd3" else (SDXL_ALPHAS / (1 - SDXL_ALPHAS))[timesteps]
    done = 1 / (1 + 1 / (snr * (model.inference.side / 16) ** 2))
    inside = timesteps[(done >= 0.1) & (done <= 0.9)]
    assert abs(values["max_timestep"] - inside[-1]) <= 1 and abs(values["min_timestep"] - inside[0]) <= 1
    if name == "sd3":  # half of the band, in the logit of sigma: averaging 8 x 8 cells
        assert values["logit_mean"] == pytest.approx(log(8))


def test_10_sdxl_s_refiner_takes_over_where_its_pipelines_say():
    answer = ask.refiner(find_model("sdxl", 40), 0.8)
    euler = scheduler("sdxl")
    euler.set_timesteps(40)
    assert answer.values["base_steps"] == len([t for t in euler.timesteps if t >= 200])  # StableDiffusionXLPipeline
    snr = SDXL_ALPHAS[200] / (1 - SDXL_ALPHAS[200])
    assert answer.done["by the base model"]["128x128"] == pytest.approx(snr / (1 + snr), rel=1e-4)


def test_11_sampling_may_stay_small_until_the_missing_band_begins():
    answer = ask.grow(find_model("flux-dev", 50), [0.5], delta=0.05)
    sigma = answer.values["64x64"]["sigma"]
    assert ((1 - sigma) / sigma) ** 2 == pytest.approx(0.05 / 0.95)  # the band of 128 x 128 has variance 1
    small = answer.values["64x64"]["sigma_of_the_small_image"]
    assert sigma == pytest.approx(2 * small / (1 + small))  # SPEED's align_timestep
    own = np.linspace(1, 1 / 50, 50)
    own = exp(1.15) * own / (1 + (exp(1.15) - 1) * own)
    assert answer.values["64x64"]["step"] == int(np.argmax(own <= sigma))


# ---- all questions


QUESTIONS = {
    "experts": [],
    "shift": ["--scale", "2"],
    "strength": ["--keep", "32x32"],
    "restart": [],
    "switch": ["--at", "32x32"],
    "window": ["--from", "32x32"],
    "detail": ["--keep", "16x16"],
    "train": ["--from", "4", "--until", "16"],
    "refiner": [],
    "grow": [],
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_answer_comes_first_fits_a_screen_and_is_also_json(question, capsys):
    command = [question, "wan22" if question == "experts" else "sdxl", *QUESTIONS[question]]
    main(command)
    text = capsys.readouterr().out
    main([*command, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert text.replace("\n", " ").startswith(found["answer"])
    assert len(text.splitlines()) <= 30 and max(map(len, text.splitlines())) <= 90
    assert (found["curve"] is None) == (question == "shift")
    for level in found["levels"].values():
        assert {"log_snr", "sigma", "timestep", "step", "share_of_steps", "comfyui_percent"} <= level.keys()


def test_an_answer_takes_a_moment_and_no_pytorch():
    code = (
        "import sys, time; from chroma.ask.__main__ import main; main(['experts', 'wan22', '--shift', '8']); "
        "assert not {'torch', 'diffusers', 'matplotlib'} & sys.modules.keys(); assert time.process_time() < 1"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_saved_pipeline_brings_its_own_boundary_and_spectrum(tmp_path):
    configs = {
        "model_index.json": {
            "_class_name": "WanPipeline",
            "boundary_ratio": 0.9,
            "vae": ["diffusers", "AutoencoderKLWan"],
        },
        "scheduler/scheduler_config.json": PUBLISHED["wan22"].config,
        "vae/config.json": {"_class_name": "AutoencoderKLWan"},
        "transformer/config.json": {"patch_size": [1, 2, 2]},
    }
    for name, config in configs.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(dict(config)))
    model = find_model(tmp_path, 20, size=480)
    assert ask.experts(model).values["boundary_ratio"] == 0.9
    assert model.inference.video and model.inference.spectrum.title == "Wan 2.1's autoencoder"
    alone = find_model(tmp_path / "scheduler" / "scheduler_config.json", 20, 480, pipeline="WanPipeline")
    np.testing.assert_allclose(alone.inference.plan.log_snrs, model.inference.plan.log_snrs)


@pytest.mark.parametrize("name", [name for name in PUBLISHED if name not in ("sana-sprint", "cascade-decoder")])
def test_units_convert_into_one_another_and_back_for_every_published_model(name):
    model = find_model(name, 10 if name != "pixart-alpha" else 20)
    for z in (-2.0, 0.0, 1.5):
        level = model.level(z)
        assert model.log_snr_of(sigma=level.sigma) == pytest.approx(z)
        if level.comfyui_percent is not None:
            assert model.log_snr_of(comfyui_percent=level.comfyui_percent) == pytest.approx(z)
        if level.timestep is not None and name not in ("mochi", "omnigen"):  # whose times go the other way
            assert model.log_snr_of(timestep=level.timestep) == pytest.approx(z)
        before, after = level.step - 1, level.step
        plan = np.concatenate([[-np.inf], model.inference.plan.log_snrs, [np.inf]])
        assert plan[before + 1] < z + 1e-6 and z <= plan[after + 1] + 1e-6


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("experts wan22 --ratio 1.2", "ratio must be between 0 and 1"),
        ("experts wan22 --ratio 0.05", "the low-noise expert has none of 30; use a smaller shift or more steps"),
        ("experts sdxl", "ratio must be given: SDXL has no boundary of its own"),
        ("shift sd3 --frames-scale 2", "Stable Diffusion 3 generates images, which have no frames"),
        ("shift sd3", "scale must be given"),
        ("switch sdxl --at 256x256", "resolution must be at most 128x128: the latents have no finer one"),
        ("switch sdxl --at 2x2", "all 30 steps are cleaner than that"),
        ("switch sdxl --at 3x5", "resolution must be a side such as 16x16"),
        ("switch sdxl --at 32x32 --size 1001", "latent_factor must be a divisor of the size, 1001"),
        ("switch flux-dev --at 32x32 --size 1000", "size must be a multiple of 16"),
        ("switch sdxl --at 32x32 --shift 3", "EulerDiscreteScheduler is no scheduler of a flow"),
        ("switch sdxl --at 32x32 --curve spectrum", "nobody has published a spectrum of these latents"),
        ("strength sd3", "give either --keep RESOLUTION or --strength NUMBER"),
        ("strength sd3 --strength 1.5", "strength must be more than 0 and at most 1"),
        ("strength sd3 --strength 0.01", "it leaves none of the steps"),
        ("restart sdxl --scale 0.5", "scale must be a finite number > 1"),
        ("window sdxl", "given one end at least"),
        ("window sdxl --from 64x64 --until 16x16", "wide enough to hold a step"),
        ("window sd3 --sigmas 5.42 0.28", "sigma must be between 0 and 1: the model is a flow"),
        ("train sdxl --from 32 --until 8", "from the coarsest resolution to the finest"),
        ("grow sdxl --scales 0.3", "such that the smaller size has whole cells"),
        ("refiner sdxl --denoising-end 0.999", "all 30 steps are noisier than that"),
        ("switch sdxxl --at 8x8", "did you mean 'sdxl'"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    said = capsys.readouterr().err
    assert ended.value.code == 2 and words in said and len(said.strip().splitlines()) == 1
