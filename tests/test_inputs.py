"""A predictor gives its network what the pipeline gives it, or the pipeline is refused."""

import diffusers
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from tiny import CONDITIONAL, tiny, unet, vae
from variants import IMAGE, conditional_unet, like, variant

from chroma import models
from chroma.predictors import from_pipeline
from chroma.prompts import default_guidance, encode

SAME_NETWORK = [
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "StableDiffusionPAGPipeline",
    "StableDiffusionXLImg2ImgPipeline",
    "StableDiffusionXLInpaintPipeline",
    "StableDiffusion3Img2ImgPipeline",
    "FluxPipeline",
    "FluxImg2ImgPipeline",
    "FluxKontextPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
]


def inputs_of(pipe, evaluate):
    """What the network is given, beside image and time, in its first evaluation: the rows of the positive prompt."""
    seen = []
    hook = models.Pipeline(pipe).network.register_forward_pre_hook(
        lambda _, args, given: seen.append(given), with_kwargs=True
    )
    evaluate()
    hook.remove()
    flat = {**seen[0], **(seen[0].get("added_cond_kwargs") or {})}
    names = ("encoder_hidden_states", "text_embeds", "time_ids", "pooled_projections", "guidance", "timestep_cond")
    return {name: flat[name][-1:].float() for name in names if flat.get(name) is not None}


@pytest.mark.parametrize("name", SAME_NETWORK)
def test_the_network_is_given_what_its_pipeline_gives_it(name):
    pipe, call = variant(name)
    by_pipeline = inputs_of(pipe, lambda: pipe(prompt="a", num_inference_steps=2, **call))
    x = torch.zeros(1, *models.Pipeline(pipe).shape)
    by_predictor = inputs_of(pipe, lambda: from_pipeline(pipe, "a")(x, 0.0))
    assert by_pipeline.keys() == by_predictor.keys()
    for key, value in by_pipeline.items():
        torch.testing.assert_close(by_predictor[key], value)


def test_a_guidance_scale_that_is_embedded_is_the_default_of_the_pipeline_s_own_call():
    assert default_guidance(variant("LatentConsistencyModelPipeline")[0]) == 8.5
    conditioning = encode(variant("FluxImg2ImgPipeline")[0], ["a", "b"])
    assert conditioning["guidance"].tolist() == [7.0, 7.0]
    assert encode(tiny("FluxPipeline"), "a")["guidance"].tolist() == [3.5]


def stable_diffusion(channels, **more):
    pipe = tiny("StableDiffusionPipeline")
    pipe.unet = conditional_unet(channels, **more)
    return pipe


def sdxl_refiner():
    base = tiny("StableDiffusionXLPipeline")
    sizes = {"addition_time_embed_dim": 4, "projection_class_embeddings_input_dim": 28}
    network = conditional_unet((4, 4), addition_embed_type="text_time", **sizes)
    parts = [base.vae, None, base.text_encoder_2, None, base.tokenizer_2, network, base.scheduler]
    return diffusers.StableDiffusionXLImg2ImgPipeline(*parts, requires_aesthetics_score=True, add_watermarker=False)


def refiner_in_the_class_of_the_base():
    pipe = tiny("StableDiffusionXLPipeline")
    pipe.unet = like(pipe.unet, projection_class_embeddings_input_dim=28)
    return pipe


def second_stage_of_if():
    pipe = tiny("IFPipeline")
    network = unet(*CONDITIONAL, (6, 6), encoder_hid_dim=8, cross_attention_dim=8, attention_head_dim=2)
    return diffusers.IFSuperResolutionPipeline(
        *(pipe.tokenizer, pipe.text_encoder, network, pipe.scheduler, pipe.scheduler),
        *(None, None, None),
        requires_safety_checker=False,
    )


def class_conditional():
    network = unet(diffusers.UNet2DModel, "UpBlock2D", "DownBlock2D", (3, 3), num_class_embeds=10)
    return diffusers.DDPMPipeline(network, diffusers.DDPMScheduler())


def ip_adapter():
    pipe = tiny("StableDiffusionPipeline")
    pipe.unet.encoder_hid_proj = torch.nn.Identity()  # as diffusers' load_ip_adapter puts in place
    pipe.unet.config.encoder_hid_dim_type = "ip_image_proj"
    return pipe


def flow_matching_unet():
    pipe = tiny("StableDiffusionPipeline")
    pipe.scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    return pipe


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: stable_diffusion((9, 4)), "whose network takes 9 channels and predicts 4"),  # inpainting
        (lambda: stable_diffusion((8, 4)), "whose network takes 8 channels"),  # InstructPix2Pix, Marigold
        (lambda: stable_diffusion((5, 4)), "whose network takes 5 channels"),  # depth
        (lambda: stable_diffusion((7, 4), num_class_embeds=10), "whose network has num_class_embeds=10"),  # upscaler
        (lambda: stable_diffusion((8, 8)), "whose network takes 8 channels"),
        (
            lambda: stable_diffusion((4, 4), class_embed_type="projection", projection_class_embeddings_input_dim=8),
            "whose network has class_embed_type='projection'",  # unCLIP
        ),
        (
            lambda: stable_diffusion((4, 4), addition_embed_type="image", encoder_hid_dim=8),
            "whose network has addition_embed_type='image'",  # Kandinsky
        ),
        (ip_adapter, "whose network has encoder_hid_dim_type='ip_image_proj'"),
        (sdxl_refiner, "requires_aesthetics_score=True"),
        (refiner_in_the_class_of_the_base, "whose network embeds 28 numbers of prompt and sizes, not 32"),
        (lambda: variant("FluxFillPipeline")[0], "whose network takes 36 channels and predicts 16"),
        (lambda: variant("FluxControlPipeline")[0], "whose network takes 32 channels and predicts 16"),
        (second_stage_of_if, "which has a component image_noising_scheduler"),
        (class_conditional, "whose network has num_class_embeds=10"),
        (lambda: variant("StableDiffusionControlNetPipeline")[0], "which has a component controlnet"),
        (lambda: variant("FluxControlNetPipeline")[0], "which has a component controlnet"),
    ],
)
def test_a_network_that_takes_more_is_refused(build, reason):
    pipe = build()
    with pytest.raises(ValueError, match="pipe must be one whose network takes an image, a time and a") as refusal:
        from_pipeline(pipe, "a")
    assert reason in str(refusal.value)
    with pytest.raises(ValueError, match="and nothing else"):
        models.Pipeline(pipe).check_inputs()


def test_what_a_network_predicts_must_be_known_from_its_scheduler():
    with pytest.raises(ValueError, match="pipe must be one whose network predicts noise or velocity; got"):
        from_pipeline(flow_matching_unet(), "a")


def test_the_size_of_a_network_may_be_a_pair_and_must_be_there():
    pipe = stable_diffusion((4, 4))
    pipe.unet.config.sample_size = (4, 8)
    assert models.Pipeline(pipe).shape == (4, 4, 8)
    pipe.unet.config.sample_size = None
    with pytest.raises(ValueError, match="pipe must be one whose network has a sample_size"):
        _ = models.Pipeline(pipe).shape


def test_conditioning_of_another_pipeline_is_refused():
    lcm, plain = variant("LatentConsistencyModelPipeline")[0], tiny("StableDiffusionPipeline")
    with pytest.raises(ValueError, match="prompt must be what encode makes for this pipeline, encoder_hidden"):
        from_pipeline(lcm, encode(plain, "a"))


def test_what_diffusers_cannot_encode_is_one_sentence():
    pipe = tiny("StableDiffusionPipeline")
    pipe.text_encoder = None
    with pytest.raises(ValueError, match="cannot encode a prompt with these options"):
        encode(pipe, "a")


PLAYGROUND = {"latents_mean": [0.1, -0.2, 0.3, 0.0], "latents_std": [2.0, 1.0, 0.5, 3.0]}  # each channel has its own
TINY = {"encoder_block_out_channels": (4, 4), "decoder_block_out_channels": (4, 4), "scaling_factor": 1.0}
TINY |= {"num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1)}


@pytest.mark.parametrize("kind", ["channel by channel", "tiny"])
def test_latents_are_those_of_the_pipeline_s_own_image_to_image_call(kind, monkeypatch):
    # the pipeline takes a sample: here the most probable one
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    pipe = variant("StableDiffusionXLImg2ImgPipeline")[0]
    torch.manual_seed(0)
    pipe.vae = vae(4, **PLAYGROUND, force_upcast=False) if kind != "tiny" else diffusers.AutoencoderTiny(**TINY)
    with torch.no_grad():
        theirs = pipe.prepare_latents(IMAGE, None, 1, 1, torch.float32, "cpu", add_noise=False)
    torch.testing.assert_close(models.Pipeline(pipe).latents(IMAGE), theirs)
