"""Whatever the class of a pipeline, its scheduler and its call: each evaluation of the network has the right prompt."""

from copy import deepcopy

import diffusers
import numpy as np
import pytest
import torch
from tiny import tiny
from variants import IMAGE, variant

from chroma import models
from chroma.callbacks import TENSORS, switch_prompts
from chroma.prompts import pipeline_embeddings

AT = -1.0
FAST = ("StableDiffusionImg2ImgPipeline", "StableDiffusionPAGPipeline", "StableDiffusionXLInpaintPipeline")
FAST += ("FluxKontextPipeline", "StableDiffusion3ControlNetPipeline", "LatentConsistencyModelPipeline")
SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def evaluations(pipe):
    """A list that grows with each evaluation of the pipeline's network: its time, prompt and pooled prompt."""
    seen = []

    def record(_, args, given):
        time = given["timestep"] if "timestep" in given else args[1]
        pooled = (given.get("added_cond_kwargs") or {}).get("text_embeds", given.get("pooled_projections"))
        seen.append((float(time.flatten()[0]), given["encoder_hidden_states"].clone(), pooled))

    models.Pipeline(pipe).network.register_forward_pre_hook(record, with_kwargs=True)
    return seen


def log_snr(pipe, time):
    """Of the image that the network is given at its time, by the table that it was trained with, not by the steps."""
    if hasattr(pipe.scheduler, "alphas_cumprod"):
        alphas = pipe.scheduler.alphas_cumprod.double().numpy()
        return float(np.interp(time, np.arange(len(alphas)), np.log(alphas / (1 - alphas))))
    sigma = time if models.Pipeline(pipe).family == "flux" else time / 1000
    return -np.inf if sigma >= 1 else 2 * np.log((1 - sigma) / sigma)


def run(pipe, call, at=(AT,), steps=8, prompts="ab", **later):
    """Which prompt each evaluation had, and which it should have had."""
    seen = evaluations(pipe)
    embeddings = [pipeline_embeddings(pipe, prompt) for prompt in "ab"]
    pipe(**switch_prompts(pipe, list(prompts), list(at), steps, **call), **later)
    given = [int(torch.equal(prompt[-1], embeddings[1]["prompt_embeds"][0])) for _, prompt, _ in seen]
    parts = [sum(log_snr(pipe, time) >= switch for switch in at) for time, _, _ in seen]
    return given, ["ab".index(prompts[part]) for part in parts], seen, embeddings


@pytest.mark.parametrize(
    "name", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in TENSORS]
)
def test_each_evaluation_is_conditioned_on_its_prompt(name):
    pipe, call = variant(name)
    given, right, seen, embeddings = run(pipe, call)
    assert given == right and {*given} == {0, 1}
    guided = getattr(pipe, "do_classifier_free_guidance", False) and "Flux" not in name
    for (_, prompt, pooled), index in zip(seen, given, strict=True):
        for row in prompt[int(guided) :]:  # the negative prompt comes first, and stays
            assert torch.equal(row, embeddings[index]["prompt_embeds"][0])
        if guided:
            assert torch.equal(prompt[0], seen[0][1][0])
        if len(TENSORS[name]) == 2:
            assert torch.equal(pooled[-1], embeddings[index]["pooled_prompt_embeds"][0])


@pytest.mark.parametrize(
    "scheduler",
    [
        diffusers.HeunDiscreteScheduler(**SD),
        diffusers.KDPM2DiscreteScheduler(**SD),
        diffusers.KDPM2AncestralDiscreteScheduler(**SD),
        diffusers.PNDMScheduler(**SD, skip_prk_steps=True),
        diffusers.DPMSolverSinglestepScheduler(**SD),
        diffusers.EulerDiscreteScheduler(**SD, use_karras_sigmas=True),
        diffusers.UniPCMultistepScheduler(**SD),
    ],
    ids=lambda scheduler: type(scheduler).__name__,
)
@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"])
def test_solvers_with_two_evaluations_per_step_switch_at_the_evaluation(scheduler, name):
    pipe, call = variant(name)
    pipe.scheduler = scheduler
    given, right, *_ = run(pipe, call, steps=7)
    assert given == right and {*given} == {0, 1}


@pytest.mark.parametrize("strength", [0.2, 0.35, 0.6, 1.0])
def test_an_image_to_image_call_starts_with_the_prompt_of_its_first_step(strength):
    pipe, call = variant("StableDiffusionXLImg2ImgPipeline")
    given, right, *_ = run(pipe, call | {"strength": strength}, at=[-float("inf")], steps=10)
    assert given == right
    if strength < 0.5:
        with pytest.raises(ValueError, match=r"prompt 1, 'a', would get no step: with at=\[-5.0\] and steps=10"):
            switch_prompts(pipe, ["a", "b"], [-5.0], 10, **call | {"strength": strength})


def test_a_part_of_sdxl_s_steps_is_planned_as_it_is_run():
    pipe, call = variant("StableDiffusionXLPipeline")
    given, right, *_ = run(pipe, call | {"denoising_end": 0.8}, steps=10)
    assert given == right and len(given) == 8
    with pytest.raises(ValueError, match="prompt 2, 'b', would get no step"):
        switch_prompts(pipe, ["a", "b"], [AT], 10, **call | {"denoising_end": 0.5})
    refiner, call = variant("StableDiffusionXLImg2ImgPipeline")
    given, right, *_ = run(refiner, call | {"denoising_start": 0.5}, at=[1.0], steps=20)
    assert given == right and len(given) == 10 and {*given} == {0, 1}


def schnell():
    pipe, call = variant("FluxPipeline")
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    return pipe, call


def test_the_four_steps_of_schnell_are_those_that_its_pipeline_sets():
    pipe, call = schnell()  # log-SNRs -inf, -2.2, 0 and 2.2
    given, right, *_ = run(pipe, call, at=[0.0, 1.0], steps=4, prompts="aba")
    assert given == right == [0, 0, 1, 0]
    with pytest.raises(ValueError, match="prompt 2, 'b', would get no step"):
        switch_prompts(pipe, ["a", "b"], [5.0], 4, **call)


def test_the_promise_of_a_step_is_kept_with_a_shift_that_depends_on_the_size():
    pipe, call = variant("FluxPipeline")
    for at in (50.0, 1.5):
        with pytest.raises(ValueError, match="prompt 2, 'b', would get no step"):
            switch_prompts(pipe, ["a", "b"], [at], 4, **call)
    given, right, *_ = run(pipe, call, at=[1.0], steps=4)
    assert given == right == [0, 0, 0, 1]
    sd3, call = variant("StableDiffusion3Pipeline")
    sd3.scheduler = pipe.scheduler
    given, right, *_ = run(sd3, call, steps=6)
    assert given == right and {*given} == {0, 1}


def test_timesteps_and_sigmas_of_one_s_own_are_planned():
    pipe, call = variant("StableDiffusion3Pipeline")
    given, right, *_ = run(pipe, call | {"sigmas": [0.9, 0.5, 0.45, 0.1]})
    assert given == right and len(given) == 4
    pipe, call = variant("StableDiffusionPipeline")
    pipe.scheduler = diffusers.EulerDiscreteScheduler(**SD)
    given, right, *_ = run(pipe, call | {"timesteps": [900, 600, 300, 100, 10]})
    assert given == right and len(given) == 5
    with pytest.raises(ValueError, match="sigmas must be left out: DDIMScheduler does not accept it"):
        switch_prompts(tiny("StableDiffusionPipeline"), ["a", "b"], [AT], sigmas=[3.0, 1.0])
    with pytest.raises(ValueError, match="goes back"):
        switch_prompts(pipe, ["a", "b"], [AT], timesteps=[900, 300, 600])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FluxPipeline", {"max_sequence_length": 16}),
        ("StableDiffusion3Pipeline", {"max_sequence_length": 16}),
        ("StableDiffusionXLPipeline", {"clip_skip": 1, "prompt_2": "b a"}),
        ("StableDiffusion3Pipeline", {"prompt_2": ["a a", "b b"], "prompt_3": "b"}),
        ("FluxPipeline", {"prompt_2": "b a b"}),
        ("StableDiffusionPipeline", {"negative_prompt": "b b b"}),
        ("StableDiffusionXLPipeline", {"negative_prompt": "b b b", "negative_prompt_2": "a a"}),
        ("StableDiffusion3Pipeline", {"negative_prompt": "b b b", "max_sequence_length": 16}),
        ("FluxPipeline", {"negative_prompt": "b b b", "true_cfg_scale": 2.0, "max_sequence_length": 16}),
    ],
)
@pytest.mark.parametrize("planned", [True, False])
def test_prompts_are_encoded_with_the_options_of_the_call(name, options, planned):
    pipe, call = variant(name)
    seen = evaluations(pipe)
    before = {k: v for k, v in options.items() if planned or k.startswith("prompt")}
    later = {k: v for k, v in options.items() if k not in before}
    pipe(**switch_prompts(pipe, ["a", "b"], [AT], 6, **call, **before), **later)
    switching = seen[0][1:], seen[-1][1:]
    for index, prompt in enumerate(("a", "b")):
        seen.clear()
        own = {k: v[index] if isinstance(v, list) else v for k, v in options.items()}
        pipe(prompt=prompt, num_inference_steps=6, **call, **own)
        alone = seen[0][1:], seen[-1][1:]
        torch.testing.assert_close(switching[index][0], alone[index][0], rtol=0, atol=0)
        if name != "FluxPipeline" and alone[index][1] is not None:  # Flux's pooled embedding stays that of the first
            torch.testing.assert_close(switching[index][1], alone[index][1], rtol=0, atol=0)


def test_a_negative_prompt_may_also_be_given_to_the_call_alone():
    for name in ("StableDiffusionPipeline", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline"):
        pipe, call = variant(name)
        seen = evaluations(pipe)
        drawn = [
            pipe(**switch_prompts(pipe, ["a", "b"], [AT], 4, **call, **before), **after)
            for before, after in (({"negative_prompt": "b a"}, {}), ({}, {"negative_prompt": "b a"}))
        ]
        assert len(drawn) == 2
        for one, other in zip(seen[:4], seen[4:], strict=True):
            torch.testing.assert_close(one[1], other[1])


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusion3Pipeline", "FluxPipeline"])
@pytest.mark.parametrize("planned", [True, False])
def test_several_images_of_a_prompt_change_together(name, planned):
    pipe, call = variant(name)
    seen = evaluations(pipe)
    options = {"num_images_per_prompt": 3, "negative_prompt": "b a"}
    before, later = (options, {}) if planned else ({}, options)
    images = pipe(**switch_prompts(pipe, ["a", "b"], [AT], 4, **before, **call), **later).images
    assert len(images) == 3
    assert all(torch.equal(row, seen[-1][1][-1]) for row in seen[-1][1][-3:])
    assert not torch.equal(seen[0][1][-1], seen[-1][1][-1])


@pytest.mark.parametrize(
    ("name", "later", "words"),
    [
        ("StableDiffusionPipeline", {"height": 16, "width": 16}, "size must be passed to switch_prompts as the side"),
        ("FluxPipeline", {"height": 16, "width": 16}, "size must be passed to switch_prompts as the side"),
    ],
)
def test_an_option_that_comes_too_late_is_refused_by_the_call(name, later, words):
    pipe, call = variant(name)
    call = {key: value for key, value in call.items() if key not in later}
    with pytest.raises(ValueError, match=words):
        pipe(**switch_prompts(pipe, ["a", "b"], ["4x4"], 6, **call), **later)


def test_a_strength_that_comes_too_late_is_refused_by_the_call():
    pipe, call = variant("StableDiffusionImg2ImgPipeline")
    planned = switch_prompts(pipe, ["a", "b"], [AT], 10, **call)
    with pytest.raises(ValueError, match=r"options that change the steps .* must be passed to switch_prompts"):
        pipe(**planned | {"strength": 0.3})
    planned = switch_prompts(pipe, ["a", "b"], [-3.0], 10, **call)
    with pytest.raises(ValueError, match=r"options that change the steps .* must be passed to switch_prompts"):
        pipe(**planned | {"strength": 0.5})


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("StableDiffusionPipeline", {"max_sequence_length": 3}, "max_sequence_length must be left out: it must be an"),
        ("StableDiffusionPipeline", {"prompt": "a"}, "prompt must be left to switch_prompts"),
        ("StableDiffusionPipeline", {"negative_prompt": ["a"]}, "negative_prompt must be one text"),
        ("StableDiffusionXLPipeline", {"prompt_2": ["a"]}, "prompt_2 must be one text, or 2, one for each prompt"),
        ("StableDiffusion3Pipeline", {"skip_guidance_layers": [0]}, "skip_guidance_layers must be None"),
        ("StableDiffusionPipeline", {"height": 16}, "size must be given: the side of the latents .* got 16 x 8"),
    ],
)
def test_options_that_cannot_be_kept_are_refused_by_name(name, options, words):
    pipe, call = variant(name)
    with pytest.raises(ValueError, match=words):
        switch_prompts(pipe, ["a", "b"], ["4x4"], 8, **call, **options)


def test_a_second_prediction_that_no_callback_reaches_cannot_be_given_later_either():
    pipe, call = variant("StableDiffusion3Pipeline")
    with pytest.raises(TypeError, match="multiple values for keyword argument 'skip_guidance_layers'"):
        pipe(**switch_prompts(pipe, ["a", "b"], [AT], 4, **call), skip_guidance_layers=[0])


def test_a_size_in_pixels_is_not_taken_for_latents():
    pipe, call = variant("StableDiffusionPipeline")
    with pytest.raises(ValueError, match="size must be passed to switch_prompts as the side of the latents, in place"):
        pipe(**switch_prompts(pipe, ["a", "b"], ["16x16"], 8, size=64, **call))


def test_prompts_with_equal_embeddings_are_refused():
    pipe, call = variant("StableDiffusionPipeline")
    long = "a " * 80
    with pytest.raises(ValueError, match="prompts must be texts that the model can distinguish"):
        switch_prompts(pipe, [long + "a", long + "b"], [AT], 8, **call)


@pytest.mark.parametrize("name", ["StableDiffusionInstructPix2PixPipeline", "KolorsPipeline", "IFPipeline"])
def test_pipelines_whose_callback_is_not_known_are_refused_by_name(name):
    pipe = type(name, (), {})()
    with pytest.raises(ValueError, match=f"pipe must be a StableDiffusion, .*; got {name}"):
        switch_prompts(pipe, ["a", "b"], [AT])


def test_every_pipeline_of_the_families_is_listed_or_left_out_for_a_reason():
    families = ("StableDiffusion", "LatentConsistency", "Flux")
    left_out = {
        "StableDiffusionInstructPix2PixPipeline",  # holds its prompts in another order
        "StableDiffusionLDM3DPipeline",
        "StableDiffusionPanoramaPipeline",
        "StableDiffusionControlNetXSPipeline",
        "StableDiffusionXLControlNetXSPipeline",  # these four are deprecated
    }
    for name in dir(diffusers):
        if name.startswith(families) and not name.startswith("Flux2"):
            tensors = getattr(getattr(diffusers, name), "_callback_tensor_inputs", ())
            assert ("prompt_embeds" in tensors) == (name in TENSORS or name in left_out), name


def test_the_embeddings_that_are_handed_need_no_text_encoder_in_the_call():
    pipe, call = variant("FluxPipeline")
    planned = switch_prompts(pipe, ["a", "b"], [AT], 4, max_sequence_length=16, **call)
    pipe.text_encoder = pipe.text_encoder_2 = None
    assert "prompt" not in planned and pipe(**planned).images.shape[0] == 1


def test_a_pipeline_that_has_switched_prompts_generates_what_it_generated_before():
    pipe, call = variant("StableDiffusion3Pipeline")
    call["generator"] = torch.Generator()
    before = pipe(prompt="a", num_inference_steps=2, **call | {"generator": torch.Generator().manual_seed(0)}).images
    for _ in range(2):
        pipe(**switch_prompts(pipe, ["a", "b"], [AT], 4, **call), max_sequence_length=16)
    after = pipe(prompt="a", num_inference_steps=2, **call | {"generator": torch.Generator().manual_seed(0)}).images
    assert torch.equal(before, after)


def test_a_copy_of_a_pipeline_that_has_switched_prompts_encodes_by_itself():
    pipe, call = variant("StableDiffusion3Pipeline")
    switch_prompts(pipe, ["a", "b"], [AT], 4, **call)
    other = deepcopy(pipe)
    other.text_encoder = None
    with pytest.raises(ValueError, match="cannot encode a prompt with these options"):
        pipeline_embeddings(other, "a")
    assert pipeline_embeddings(pipe, "a")


@pytest.mark.parametrize("planned", [True, False])
def test_flux_s_negative_prompt_fits_several_images(planned):
    pipe, call = variant("FluxPipeline")
    options = {"num_images_per_prompt": 3, "negative_prompt": "b b", "true_cfg_scale": 2.0, "max_sequence_length": 16}
    before, later = (options, {}) if planned else ({}, options)
    seen = evaluations(pipe)
    pipe(**switch_prompts(pipe, ["a", "b"], [AT], 4, **before, **call), **later)
    negative = pipeline_embeddings(pipe, "b b", max_sequence_length=16)["prompt_embeds"]
    prompts = [pipeline_embeddings(pipe, one, max_sequence_length=16)["prompt_embeds"] for one in "ab"]
    assert [prompt.shape[:2] for _, prompt, _ in seen] == [(3, 16)] * 8
    for index, right in ((0, prompts[0]), (1, negative), (6, prompts[1]), (7, negative)):  # in turn, step by step
        assert torch.equal(seen[index][1], right.expand(3, -1, -1))


def test_the_callback_serves_a_second_call():
    pipe, call = variant("StableDiffusionImg2ImgPipeline")
    arguments = switch_prompts(pipe, ["a", "b"], [AT], 8, **call)
    one, two = (pipe(**arguments, generator=torch.Generator().manual_seed(0)).images for _ in range(2))
    assert torch.equal(one, two) and IMAGE.shape[-2:] == one.shape[-2:]
