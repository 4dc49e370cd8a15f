"""A UNet of any parametrisation is a noise predictor, and one that knows a size can be asked at a larger one."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel

from chroma import from_scheduler, models
from chroma.chromatography import level_log_snr
from chroma.exact import GaussianPredictor
from chroma.predictors import UNetPredictor, cascade, from_pipeline, residual_part, upsample_guided
from chroma.pyramid import downsample
from chroma.sampling import ddim
from chroma.threshold import thresholded

POWER = 4.0 ** np.arange(6) * 0.05
x = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def gaussian(size, power):
    return GaussianPredictor(torch.zeros((3, size, size), dtype=torch.float64), power)


def any_size(image, log_snr):
    """The exact predictor of D of the data, asked at any size: what it knows of a band goes by its width in pixels."""
    power = POWER[1:] / 4
    bands = int(np.log2(image.shape[-1])) + 1
    return gaussian(image.shape[-1], np.append(power, [power[-1]] * 2)[:bands])(image, log_snr)


@pytest.mark.parametrize("log_snr", [-8.0, 0.0, 5.0])
def test_weight_one_is_eq_22_with_the_predictors_own_residual(log_snr):
    as_cascade = cascade([residual_part(any_size), any_size])
    torch.testing.assert_close(upsample_guided(any_size)(x, log_snr), as_cascade(x, log_snr))


def test_the_coarse_part_of_an_upsample_guided_prediction_is_that_of_the_small_image():
    alone = any_size(2 * downsample(x) / (1 + 3 / (1 + np.exp(3.0))) ** 0.5, float(level_log_snr(-3.0, 1)))
    torch.testing.assert_close(downsample(upsample_guided(any_size)(x, -3.0)), alone / 2)


def test_any_factor_and_a_weight_that_depends_on_time():
    wide = torch.randn((1, 3, 24, 24), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    asked = []

    def spy(image, log_snr):
        asked.append((image.shape[-1], log_snr))
        return image

    predictor = upsample_guided(spy, weight=lambda z: float(z < 0), factor=3)
    predictor(wide, -1.0), predictor(wide, 1.0)
    assert asked == [(24, -1.0), (8, pytest.approx(-1 + 2 * np.log(3))), (24, 1.0)]
    # n x n means of white noise have 1/n of its size, and lambda brings them back to variance one
    coarse = upsample_guided(lambda image, z: image, factor=3)(wide, -30.0)
    torch.testing.assert_close(downsample(coarse, 1, 3), downsample(wide, 1, 3))
    assert torch.equal(upsample_guided(spy, 0.0)(wide, -1.0), wide)


def test_a_thresholded_prediction_is_within_bounds_and_tells_noise_from_image_consistently():
    strong = thresholded(lambda image, log_snr: torch.zeros_like(image))  # claims that all is signal
    states = list(ddim(strong, x, np.linspace(-6, 6, 10)))
    assert max(state.x0.abs().max() for state in states) < 1 + 1e-9
    again = [downsample(state.x0, 2).abs().max() for state in states]
    assert max(again) < 1 + 1e-9


def unet():
    torch.manual_seed(0)
    return UNet2DModel(
        16, 3, 6, block_out_channels=(8, 8), down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2,
        layers_per_block=1, norm_num_groups=4,
    ).double()  # fmt: skip


@pytest.mark.parametrize("step", [0, 100, 990])
def test_a_velocity_is_turned_into_the_noise_that_diffusers_derives_from_it(step):
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False)
    schedule, net = from_scheduler(scheduler), unet()
    image = x[..., :16, :16]
    with torch.no_grad():
        velocity = net(image, step).sample[:, :3]
    log_snr = float(schedule.log_snr(step))
    noise = UNetPredictor(net, schedule, prediction_type="v_prediction")(image, log_snr)
    # diffusers' own x0 for that velocity; its tables are float32, and sigma is 0.006 at step 0
    x0 = scheduler.step(velocity, step, image).pred_original_sample
    alpha = scheduler.alphas_cumprod[step].double()
    torch.testing.assert_close(noise, (image - alpha.sqrt() * x0) / (1 - alpha).sqrt(), atol=1e-4, rtol=1e-5)


def test_one_prompt_for_all_images_or_one_for_each():
    pipe = models.load("emoji-32")
    images = x.float()
    prompts = ["a flat drawing of owl", "a line drawing of ox"]
    both = from_pipeline(pipe, prompts)(images, -2.0)
    each = torch.cat([from_pipeline(pipe, prompt)(images[i : i + 1], -2.0) for i, prompt in enumerate(prompts)])
    torch.testing.assert_close(both, each, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="x must be a batch of 2, an image for each prompt"):
        from_pipeline(pipe, prompts)(images[:1], -2.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"prediction_type": "sample"}, "prediction_type must be 'epsilon' or 'v_prediction'; got sample"),
        (
            {"conditioning": torch.zeros(4, 8)},
            r"conditioning must be embeddings of shape \(1 or B, tokens, width\); got \(4, 8\)",
        ),
    ],
)
def test_bad_input_is_refused_by_name(arguments, words):
    with pytest.raises(ValueError, match=words):
        UNetPredictor(unet(), from_scheduler(DDPMScheduler()), **arguments)
