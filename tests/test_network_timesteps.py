"""The network of a pipeline is given the timesteps that the table of pipelines predicts, when the pipeline runs."""

import copy
from inspect import signature
from itertools import groupby

import diffusers
import numpy as np
import pytest
import torch
from tiny_pipelines import BUILD, tiny_pipeline

from chroma.schedulers.pipelines import pipeline_plan
from chroma.schedulers.steps import step_log_snrs

STEPS = 4
NETWORKS = ("transformer", "unet", "prior", "decoder")
TIMES = ("timestep", "timesteps", "timestep_ratio", "t")


def thousandth(times):
    return times / 1000


def reversed_thousandth(times):
    return 1 - times / 1000


def one_less(times):
    return times - 1


def tangent_ratio(angles):
    return np.sin(angles) / (np.sin(angles) + np.cos(angles))


# what a network is given, as a function of the scheduler's timestep; that timestep itself where nothing is listed
CONDITIONING = {
    "AuraFlowPipeline": thousandth,
    "ChromaImg2ImgPipeline": thousandth,
    "ChromaPipeline": thousandth,
    "Flux2KleinPipeline": thousandth,
    "Flux2Pipeline": thousandth,
    "GlmImagePipeline": one_less,
    "Ideogram4Pipeline": reversed_thousandth,
    "Krea2Pipeline": thousandth,
    "LongCatImagePipeline": thousandth,
    "Lumina2Pipeline": reversed_thousandth,
    "LuminaPipeline": reversed_thousandth,
    "NucleusMoEImagePipeline": thousandth,
    "OvisImagePipeline": thousandth,
    "PRXPipeline": thousandth,
    "QwenImageEditPipeline": thousandth,
    "QwenImageImg2ImgPipeline": thousandth,
    "QwenImageInpaintPipeline": thousandth,
    "QwenImagePipeline": thousandth,
    "SanaSprintPipeline": tangent_ratio,
    "ZImageImg2ImgPipeline": reversed_thousandth,
    "ZImageInpaintPipeline": reversed_thousandth,
    "ZImagePipeline": reversed_thousandth,
}

SHIFTS = {"base_image_seq_len": 16, "max_image_seq_len": 64}  # so close together that one token makes a difference
SCHEDULERS = {
    "static": lambda: diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
    "dynamic": lambda: diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, **SHIFTS),
    "linear": lambda: diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, time_shift_type="linear", base_shift=0.25, max_shift=0.75, base_image_seq_len=16
    ),
    "inverted": lambda: diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True),
    "inverted unit": lambda: diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True, num_train_timesteps=1),
    "unipc": lambda: diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "dpm flow": lambda: diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "dpm": lambda: diffusers.DPMSolverMultistepScheduler(),
    "ddim": lambda: diffusers.DDIMScheduler(),
    "cogvideox": lambda: diffusers.CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0, timestep_spacing="trailing"
    ),
    "karras": lambda: diffusers.EulerDiscreteScheduler(
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_spacing="leading",
        timestep_type="continuous",
        steps_offset=1,
    ),
    "edm": diffusers.EDMEulerScheduler,
    "ddpm": diffusers.DDPMScheduler,
    "scm": diffusers.SCMScheduler,
    "wuerstchen": diffusers.DDPMWuerstchenScheduler,
}
# the schedulers that each class is run with: those of its published models, and with sizes, a shift that follows them
CASES = {
    "AllegroPipeline": ["ddim"],
    "AnimateDiffPipeline": ["ddim"],
    "AuraFlowPipeline": ["static"],
    "BriaFiboPipeline": ["static", "dynamic"],
    "BriaPipeline": ["static", "dynamic"],
    "ChromaImg2ImgPipeline": ["dynamic"],
    "ChromaPipeline": ["static", "dynamic"],
    "CogVideoXPipeline": ["cogvideox"],
    "CogView3PlusPipeline": ["cogvideox"],
    "CogView4ControlPipeline": ["linear"],
    "CogView4Pipeline": ["linear"],
    "CosmosTextToWorldPipeline": ["edm"],
    "DDIMPipeline": ["ddim"],
    "DDPMPipeline": ["ddpm"],
    "DiTPipeline": ["ddim"],
    "EasyAnimatePipeline": ["static", "dynamic"],
    "ErnieImagePipeline": ["static"],
    "Flux2KleinPipeline": ["dynamic"],
    "Flux2Pipeline": ["static", "dynamic"],
    "GlmImagePipeline": ["linear"],
    "HeliosPipeline": ["dynamic"],
    "HiDreamImagePipeline": ["static", "dynamic", "unipc"],
    "HunyuanDiTPipeline": ["ddim"],
    "HunyuanImagePipeline": ["static"],
    "HunyuanVideo15Pipeline": ["static"],
    "HunyuanVideoFramepackPipeline": ["dynamic"],
    "HunyuanVideoPipeline": ["static"],
    "Ideogram4Pipeline": ["static"],
    "Kandinsky3Pipeline": ["ddpm"],
    "Kandinsky5T2IPipeline": ["static"],
    "KandinskyPipeline": ["ddpm"],
    "KandinskyV22Pipeline": ["ddpm"],
    "Krea2Pipeline": ["static", "dynamic"],
    "LTX2ImageToVideoPipeline": ["dynamic"],
    "LTX2Pipeline": ["dynamic"],
    "LTXConditionPipeline": ["static"],
    "LTXImageToVideoPipeline": ["dynamic"],
    "LTXPipeline": ["static", "dynamic"],
    "LattePipeline": ["ddim"],
    "LongCatImagePipeline": ["static", "dynamic"],
    "Lumina2Pipeline": ["static", "dynamic"],
    "LuminaPipeline": ["static"],
    "MochiPipeline": ["static", "inverted"],
    "MotifVideoPipeline": ["static", "dynamic"],
    "NucleusMoEImagePipeline": ["static", "dynamic"],
    "OmniGenPipeline": ["static", "inverted unit"],
    "OvisImagePipeline": ["static", "dynamic"],
    "PRXPipeline": ["static"],
    "PixArtAlphaPipeline": ["dpm"],
    "PixArtSigmaPAGPipeline": ["dpm"],
    "PixArtSigmaPipeline": ["dpm"],
    "QwenImageEditPipeline": ["dynamic"],
    "QwenImageImg2ImgPipeline": ["dynamic"],
    "QwenImageInpaintPipeline": ["dynamic"],
    "QwenImagePipeline": ["static", "dynamic"],
    "SanaPAGPipeline": ["dpm flow"],
    "SanaPipeline": ["static", "dpm flow"],
    "SanaSprintPipeline": ["scm"],
    "SanaVideoPipeline": ["dpm flow"],
    "SkyReelsV2Pipeline": ["unipc"],
    "StableCascadeDecoderPipeline": ["wuerstchen"],
    "StableCascadePriorPipeline": ["wuerstchen"],
    "StableVideoDiffusionPipeline": ["karras"],
    "WanImageToVideoPipeline": ["unipc"],
    "WanPipeline": ["static", "unipc"],
    "ZImageImg2ImgPipeline": ["dynamic"],
    "ZImageInpaintPipeline": ["dynamic"],
    "ZImagePipeline": ["static", "dynamic"],
}


def record_times(pipe, call):
    """Run the pipeline and return the time that its network is given in each step."""
    network = next(getattr(pipe, name) for name in NETWORKS if getattr(pipe, name, None) is not None)
    times = []

    def before(_, args, kwargs):
        given = next((kwargs[name] for name in TIMES if name in kwargs), args[1] if len(args) > 1 else None)
        values = torch.as_tensor(given, dtype=torch.float64).flatten()
        if len(values.unique()) > 1:
            values = values[values > 0]  # the frames of a given image have time 0
        assert len(values.unique()) == 1
        times.append(float(values[0]))

    network.register_forward_pre_hook(before, with_kwargs=True)
    pipe(num_inference_steps=STEPS, **call)
    return np.array([time for time, _ in groupby(times)])  # with guidance, some networks are called twice per step


def predicted_plan(pipe, call):
    return pipeline_plan(
        type(pipe).__name__,
        pipe.scheduler,
        STEPS,
        width=call.get("width", 64),
        height=call.get("height", 64),
        frames=call.get("num_frames"),
    )


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, kinds in CASES.items() for kind in kinds])
def test_the_network_is_given_the_timesteps_of_the_plan(name, kind):
    pipe, call = tiny_pipeline(name, SCHEDULERS[kind]())
    plan = predicted_plan(pipe, call)
    times = record_times(pipe, call)
    predicted = CONDITIONING.get(name, np.asarray)(plan.timesteps)
    if "strength" in signature(type(pipe).__call__).parameters:
        assert 0 < len(times) <= STEPS
        predicted = predicted[-len(times) :]
    np.testing.assert_allclose(times, predicted, rtol=1e-5, atol=1e-5)
    if kind != "scm":
        np.testing.assert_allclose(step_log_snrs(pipe.scheduler), plan.log_snrs, rtol=1e-4, atol=1e-4)


def test_the_two_networks_of_wan_share_the_timesteps_of_one_plan():
    single, call = tiny_pipeline("WanPipeline", SCHEDULERS["static"]())
    second = copy.deepcopy(single.transformer)
    pipe = diffusers.WanPipeline(**{**single.components, "transformer_2": second}, boundary_ratio=0.7)
    plan, noisier, cleaner = predicted_plan(pipe, call), [], []
    for network, times in ((pipe.transformer, noisier), (pipe.transformer_2, cleaner)):
        network.register_forward_pre_hook(
            lambda _, __, kwargs, times=times: times.append(float(kwargs["timestep"][0])), with_kwargs=True
        )
    pipe(num_inference_steps=STEPS, **call)
    given = [time for time, _ in groupby([*noisier, *cleaner])]
    np.testing.assert_allclose(given, plan.timesteps, rtol=1e-5)
    assert min(noisier) >= 700 > max(cleaner)


def test_every_tiny_pipeline_is_run():
    assert set(CASES) == set(BUILD)
