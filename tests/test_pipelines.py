"""Whatever the class of a pipeline, its noise predictor says what the pipeline's own network and scheduler say."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import tiny

from chroma import models
from chroma.predictors import Guided, from_pipeline, predict_batched
from chroma.process import add_noise, scales
from chroma.prompts import encode
from chroma.sampling import ddim

GUIDED = ["StableDiffusionPipeline", "StableDiffusion2", "StableDiffusionXLPipeline", "StableDiffusion3Pipeline"]
PROMPTED = [*GUIDED, "FluxPipeline", "IFPipeline"]
SCALE = 3.0


def noise(pipe, count=1, seed=0):
    return torch.randn((count, *models.Pipeline(pipe).shape), generator=torch.Generator().manual_seed(seed))


def log_snrs_seen(pipe) -> np.ndarray:
    """The log-SNRs of the steps that the pipeline has just taken, noisy to clean, by its scheduler's own tables."""
    scheduler = pipe.scheduler
    if hasattr(scheduler, "alphas_cumprod"):
        alpha = scheduler.alphas_cumprod[scheduler.timesteps].double()
        return torch.log(alpha / (1 - alpha)).numpy()
    sigma = scheduler.sigmas[:-1].double()
    return (2 * torch.log((1 - sigma) / sigma)).numpy()


@pytest.mark.parametrize("kind", GUIDED)
def test_guided_sampling_ends_where_the_pipeline_itself_ends(kind):
    pipe = tiny(kind)
    start, steps = noise(pipe), 5
    if kind == "StableDiffusion3Pipeline":  # its first sigma is 1, where log-SNR is infinite: start one step later
        steps = torch.linspace(0.95, 0.2, 5).tolist()
        drawn = pipe("a", latents=start, sigmas=steps, guidance_scale=SCALE, output_type="latent").images
        sigma = pipe.scheduler.sigmas[0].double()
        start = start / float((1 - sigma).square() + sigma.square()) ** 0.5  # the same picture, as Eq 1 scales it
    else:
        drawn = pipe("a", latents=start, num_inference_steps=steps, guidance_scale=SCALE, output_type="latent").images
    predictor = Guided(from_pipeline(pipe, "a"), from_pipeline(pipe), SCALE)
    *_, last = ddim(predictor, start.double(), log_snrs_seen(pipe))
    final = float(getattr(pipe.scheduler, "final_alpha_cumprod", 1.0))  # DDIM's last step may stop just before x0
    sample = final**0.5 * last.x0 + (1 - final) ** 0.5 * last.eps_hat
    torch.testing.assert_close(sample.float(), drawn, atol=2e-4, rtol=1e-4)


def test_flux_ends_where_its_pipeline_ends():
    pipe = tiny("FluxPipeline")
    pipe.default_sample_size = 8
    start, sigmas = noise(pipe), np.linspace(0.95, 0.2, 5)
    packed = pipe._pack_latents(start, 1, 4, 8, 8)
    drawn = pipe("a", latents=packed, height=8, width=8, sigmas=sigmas, output_type="latent").images
    drawn = pipe._unpack_latents(drawn, 8, 8, 1)
    sigma = pipe.scheduler.sigmas[0].double()
    begin = start.double() / float((1 - sigma).square() + sigma.square()) ** 0.5
    *_, last = ddim(from_pipeline(pipe, "a"), begin, log_snrs_seen(pipe))
    torch.testing.assert_close(last.x0.float(), drawn, atol=2e-4, rtol=1e-4)


def test_if_predicts_the_first_half_of_what_its_unet_says():
    pipe = tiny("IFPipeline")
    x = noise(pipe, 2)
    log_snr = float(models.Pipeline(pipe).schedule(models.Pipeline(pipe).shape).log_snr(400))
    with torch.no_grad():
        said = pipe.unet(x, 400, encode(pipe, "a")["encoder_hidden_states"].expand(2, -1, -1)).sample[:, :3]
    torch.testing.assert_close(from_pipeline(pipe, "a")(x, log_snr), said)


@pytest.mark.parametrize("kind", PROMPTED)
def test_prompts_that_were_encoded_earlier_need_no_text_encoder_and_fit_in_a_file(kind, tmp_path):
    pipe = tiny(kind)
    x = noise(pipe, 2)
    said = from_pipeline(pipe, ["a", "b"])(x, -1.0)
    save_file({name: tensor.contiguous() for name, tensor in encode(pipe, ["a", "b"]).items()}, tmp_path / "told")
    for name in ("text_encoder", "text_encoder_2"):
        if hasattr(pipe, name):
            setattr(pipe, name, None)
    torch.testing.assert_close(from_pipeline(pipe, load_file(tmp_path / "told"))(x, -1.0), said)
    assert not torch.equal(said[:1], from_pipeline(pipe, load_file(tmp_path / "told"))(x.flip(0), -1.0)[1:])


@pytest.mark.parametrize("kind", PROMPTED)
def test_prompts_of_one_network_are_one_forward_and_say_what_each_says_alone(kind):
    pipe = tiny(kind)
    predictors, x = [from_pipeline(pipe), from_pipeline(pipe, "a"), from_pipeline(pipe, ["a", "b"])], noise(pipe, 2)
    alone, calls = [predictor(x, 0.5) for predictor in predictors], []
    hook = models.Pipeline(pipe).network.register_forward_pre_hook(lambda *_: calls.append(1))
    said = predict_batched(predictors, x, 0.5)
    hook.remove()
    assert len(calls) == 1
    for one, other in zip(said, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_predictors_of_two_networks_are_asked_one_by_one():
    one, two = tiny("IFPipeline"), tiny("IFPipeline")
    x = noise(one)
    said = predict_batched([from_pipeline(one, "a"), from_pipeline(two, "a")], x, 0.0)
    assert torch.equal(said[0], said[1])  # built alike


def test_a_flow_is_given_its_sigma_and_its_velocity_becomes_noise():
    class Velocity(torch.nn.Module):
        config = type("Config", (), {"in_channels": 1})()
        dtype = torch.float64

        def forward(self, hidden_states, timestep):
            # data that are 0 everywhere: x_sigma = sigma eps, so eps - x0 = x_sigma / sigma
            sigma = timestep[0].double() / 1000
            return type("Output", (), {"sample": hidden_states / sigma})()

    from chroma.predictors import TransformerPredictor

    eps = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for log_snr in (-6.0, 0.0, 6.0):
        predictor = TransformerPredictor(Velocity(), {})
        # the time is a float32, as networks take it
        torch.testing.assert_close(predictor(add_noise(0 * eps, eps, log_snr), log_snr), eps, atol=1e-5, rtol=1e-5)


def test_the_empty_prompt_of_sdxl_is_zeros_as_it_was_trained():
    conditioning = encode(tiny("StableDiffusionXLPipeline"), ["", "a"])
    assert not conditioning["encoder_hidden_states"][0].any() and conditioning["encoder_hidden_states"][1].any()
    assert not conditioning["text_embeds"][0].any() and conditioning["text_embeds"][1].any()


@pytest.mark.parametrize("kind", ["StableDiffusionPipeline", "StableDiffusion3Pipeline"])
def test_latents_of_an_image_come_back_as_what_the_vae_decodes(kind):
    pipe = tiny(kind)
    images = torch.rand(
        (2, 3, models.Pipeline(pipe).image_size, models.Pipeline(pipe).image_size),
        generator=torch.Generator().manual_seed(0),
    )
    latents = models.Pipeline(pipe).latents(images)
    assert latents.shape == (2, *models.Pipeline(pipe).shape)
    config = pipe.vae.config
    mode = pipe.vae.encode(images).latent_dist.mode()
    torch.testing.assert_close(
        latents / config.scaling_factor + (config.shift_factor or 0.0), mode, atol=1e-5, rtol=1e-5
    )


def test_half_precision_is_the_networks_own_business():
    pipe = tiny("IFPipeline").to(dtype=torch.bfloat16)
    x = noise(pipe)
    said = from_pipeline(pipe, "a")(x, 0.0)
    assert said.dtype == torch.float32
    torch.testing.assert_close(said, from_pipeline(tiny("IFPipeline"), "a")(x, 0.0), atol=0.05, rtol=0.05)


def test_guidance_is_the_difference_of_what_the_two_prompts_say():
    pipe = tiny("IFPipeline")
    predictor, x = Guided(from_pipeline(pipe, "a"), from_pipeline(pipe), lambda log_snr: log_snr), noise(pipe)
    said = predictor(x, 2.0)
    without, given = from_pipeline(pipe)(x, 2.0), from_pipeline(pipe, "a")(x, 2.0)
    torch.testing.assert_close(predictor.guidance, given - without, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(said, without + 2.0 * (given - without), atol=1e-5, rtol=1e-4)
    signal, _ = scales(0.0)
    assert signal == pytest.approx(0.5**0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: from_pipeline(tiny("IFPipeline"), "a")(torch.zeros(1, 4, 8, 8), 0.0),
            r"x must be \(B, 3, H, W\), as the network takes it; got shape \(1, 4, 8, 8\)",
        ),
        (
            lambda: from_pipeline(tiny("FluxPipeline"), "a")(torch.zeros(1, 4, 7, 8), 0.0),
            "x must be of even height and width",
        ),
        (lambda: encode(tiny("IFPipeline"), []), "prompt must be words, or a list of at least one prompt"),
        (
            lambda: encode(object()),
            "pipe must be a diffusers pipeline with a UNet or a transformer; got obj",
        ),
        (
            lambda: models.Pipeline(object()).network,
            "pipe must be a diffusers pipeline with a UNet or a transformer; got object",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
