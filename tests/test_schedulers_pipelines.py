"""Every pipeline class takes the steps that its own source hands to its scheduler."""

import ast
import re
from types import SimpleNamespace

import numpy as np
import pytest
from pipeline_source import Recorder, handed_over, method, sources

from chroma.schedulers._given import TAKE_NEITHER, TAKE_SIGMAS_ALONE, TAKE_TIMESTEPS_ALONE
from chroma.schedulers.pipelines import PIPELINES, REFUSED, pipeline_inputs, pipeline_plan

WIDTH, HEIGHT, FRAMES, STEPS = 768, 512, 41, 6
SHIFTS = {"base_shift": 0.6, "max_shift": 1.3, "base_image_seq_len": 300, "max_image_seq_len": 5000}
FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
DYNAMIC = {"use_dynamic_shifting": True, **SHIFTS}
COMBINED = [name for name in PIPELINES if name.endswith("CombinedPipeline")]
OPTIONS = {"is_distilled": False, "sample_sigmas": None, "use_native_flow_schedule": False}
SPRINT = [name for name in PIPELINES if "SanaSprint" in name]


def source_inputs(name, config, options):
    """What the source of the class hands over, at the sizes above."""
    rule = PIPELINES[name]
    factor, temporal, patch = rule.latent_factor, rule.temporal_factor, rule.patch
    frames, height, width = (FRAMES - 1) // temporal + 1, HEIGHT // factor, WIDTH // factor
    video = "num_frames" in {argument.arg for argument in method(name).args.args}
    frames = 9 if name == "HunyuanVideoFramepackPipeline" else frames if video else 1
    cells = frames * (height // patch) * (width // patch)
    packed = "_pack_latents" in sources()[name][0]
    shape = (1, cells, 64) if packed else (1, 16, frames, height, width) if video else (1, 16, height, width)
    latents = SimpleNamespace(shape=shape, ndim=len(shape))
    sizes = {"height": HEIGHT, "width": WIDTH, "num_frames": FRAMES, "num_inference_steps": STEPS, "device": None}
    in_latents = {"latent_height": height, "latent_width": width, "latent_num_frames": frames}
    patches = (1, patch, patch) if name == "HeliosPipeline" else patch
    attributes = {
        "vae_scale_factor": factor,
        "vae_scale_factor_spatial": factor,
        "vae_scale_factor_temporal": temporal,
        "vae_spatial_compression_ratio": factor,
        "vae_temporal_compression_ratio": temporal,
        "transformer_spatial_patch_size": patch,
        "transformer_temporal_patch_size": 1,
        "transformer": SimpleNamespace(config=SimpleNamespace(patch_size=patches), max_seq=4096),
        "config": SimpleNamespace(**{**OPTIONS, **options}),
        "device": None,
        "_execution_device": None,
    }
    given = {**sizes, **in_latents, "latents": latents, "image_latents": latents, "window_num_frames": 33}
    return handed_over(name, Recorder.from_config(config), {**given, "timestep_device": None}, attributes)


def assert_same_inputs(name, config, options):
    theirs = source_inputs(name, config, options)
    config = {"_class_name": "FlowMatchEulerDiscreteScheduler", **config}
    pipeline = {"_class_name": name, **options}
    ours = pipeline_inputs(pipeline, config, STEPS, width=WIDTH, height=HEIGHT, frames=FRAMES)
    for their, our in zip(theirs, (ours.sigmas, ours.timesteps, ours.mu), strict=True):
        assert (their is None) == (our is None), (theirs, ours)
        if their is not None:  # some compute in single precision
            np.testing.assert_allclose(np.asarray(their, dtype=float), our, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(set(PIPELINES) - set(COMBINED) - set(SPRINT)))
def test_a_pipeline_hands_over_what_its_source_does(name):
    assert_same_inputs(name, DYNAMIC, {})
    assert_same_inputs(name, {"shift": 3.0}, {})


@pytest.mark.parametrize("name", COMBINED)
def test_a_combined_pipeline_passes_its_steps_to_its_decoder(name):
    assert "num_inference_steps=num_inference_steps" in sources()[name][0].split("self.decoder_pipe(")[1]


def test_every_pipeline_class_is_in_the_table_or_refused_with_a_reason():
    assert not set(PIPELINES) & set(REFUSED)
    assert set(sources()) == set(PIPELINES) | set(REFUSED)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        ({"use_dynamic_shifting": True}, {"is_distilled": True}),
        ({"use_dynamic_shifting": True, "use_flow_sigmas": True}, {}),
        ({"shift": 2.0}, {"use_native_flow_schedule": True, "sample_sigmas": [1.0, 0.7, 0.5, 0.4, 0.2, 0.1]}),
    ],
)
@pytest.mark.parametrize(
    "name", ["Cosmos3OmniPipeline", "Flux2Pipeline", "FluxPipeline", "Krea2Pipeline", "QwenImage21Pipeline"]
)
def test_settings_of_the_pipeline_and_its_scheduler_are_followed(name, config, options):
    assert_same_inputs(name, config, options)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StableAudioPipeline", "this one generates audio"),
        ("FluxPipelin", "did you mean FluxPipeline"),
        ("HeliosPyramidPipeline", "several passes, each with steps of its own"),
        ("MyOwn", "name a class that samples alike"),
    ],
)
def test_a_pipeline_whose_steps_are_not_known_is_refused(name, words):
    with pytest.raises(ValueError, match=words):
        pipeline_inputs(name, FLOW, 4, width=512, height=512)


SPRINT_SCHEDULER = {"_class_name": "SCMScheduler", "num_train_timesteps": 1000}


@pytest.mark.parametrize(
    ("pipeline", "config", "own", "words"),
    [
        ("SanaSprintPipeline", SPRINT_SCHEDULER, {"timesteps": [0.5, 1.3, 0]}, "timesteps must be in falling order"),
        ("SanaSprintPipeline", SPRINT_SCHEDULER, {"timesteps": [900.0, 1.0]}, "timesteps must be angles from 1.5708"),
        ("SanaSprintPipeline", SPRINT_SCHEDULER, {"steps": 2000}, "steps must be at most 1000"),
        ("FluxPipeline", {**FLOW, **DYNAMIC, "max_image_seq_len": 300}, {}, "max_image_seq_len must be another number"),
        ("FluxPipeline", {**FLOW, **DYNAMIC, "base_shift": None}, {}, "base_shift must be a number"),
        ("StableDiffusion3PAGPipeline", {**FLOW, **DYNAMIC}, {}, "scheduler must be one without use_dynamic_shifting"),
    ],
)
def test_what_a_pipeline_cannot_run_is_refused_in_a_sentence(pipeline, config, own, words):
    steps = own.get("steps", len(own.get("timesteps", [])) or 4)
    lists = {key: value for key, value in own.items() if key != "steps"}
    with pytest.raises(ValueError, match=words):
        pipeline_plan(pipeline, config, steps, width=512, height=512, **lists)


@pytest.mark.parametrize("name", sorted(PIPELINES))
def test_a_pipeline_takes_the_lists_that_are_arguments_of_its_call(name):
    arguments = {argument.arg for argument in (*method(name).args.args, *method(name).args.kwonlyargs)}
    sigmas = name not in TAKE_TIMESTEPS_ALONE | TAKE_NEITHER
    timesteps = name not in TAKE_SIGMAS_ALONE | TAKE_NEITHER
    assert sigmas == ("sigmas" in arguments)
    if "timesteps" in arguments and not timesteps:  # an argument that is always in conflict with its sigmas
        assert re.search(r"retrieve_timesteps\([^)]*sigmas(?!=None)", ast.unparse(method(name)))
    else:
        assert timesteps == ("timesteps" in arguments)
