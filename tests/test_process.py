"""The forward process, and one predictor signature: a log-SNR per image gives what one log-SNR after another gives."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from tiny import tiny

from chroma.exact import EmpiricalPredictor, GaussianPredictor
from chroma.losses import noise_loss
from chroma.predictors import (
    Guided,
    cascade,
    composed,
    frequency_decoupled,
    from_pipeline,
    predict_batched,
    residual_part,
    upsample_guided,
)
from chroma.process import add_noise, eps_from_velocity, eps_from_x0, predict_x0, scales
from chroma.switching import linear_ramp
from chroma.threshold import thresholded

LOG_SNRS = torch.tensor([-3.0, 0.0, 2.5], dtype=torch.float64)


def images(seed, size=8):
    return torch.randn(3, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


GAUSSIAN = GaussianPredictor(torch.zeros(3, 8, 8, dtype=torch.float64), [0.2, 0.5, 1.0, 2.0])
OTHER = GaussianPredictor(torch.full((3, 8, 8), 0.3, dtype=torch.float64), [0.1, 0.7, 0.9, 3.0])
SMALL = GaussianPredictor(torch.zeros(3, 4, 4, dtype=torch.float64), [0.5, 1.0, 2.0])
PREDICTORS = {
    "Gaussian": GAUSSIAN,
    "finite data set": EmpiricalPredictor(images(1)),
    "guided": Guided(GAUSSIAN, OTHER, 3.0),
    "guided with a scale of log-SNR": Guided(GAUSSIAN, OTHER, linear_ramp(-2.0, 2.0)),
    "composed": composed(OTHER, [GAUSSIAN], [linear_ramp(-2.0, 2.0)]),
    "frequency decoupled": frequency_decoupled(GAUSSIAN, OTHER, [1.0, 2.0, 3.0, linear_ramp(-2.0, 2.0)]),
    "cascade": cascade([residual_part(GAUSSIAN), SMALL]),
    "upsample guidance": upsample_guided(lambda x, z: x * scales(z)[1], linear_ramp(-2.0, 2.0)),
    "thresholded": thresholded(GAUSSIAN),
}


@pytest.mark.parametrize("predictor", PREDICTORS.values(), ids=PREDICTORS)
def test_a_log_snr_per_image_gives_what_each_image_gets_alone(predictor):
    x = images(0)
    joint = predictor(x, LOG_SNRS)
    alone = [predictor(x[i : i + 1], float(z)) for i, z in enumerate(LOG_SNRS)]
    # double precision, but scales of a tensor are computed by sigmoids and those of a float by logarithms
    torch.testing.assert_close(joint, torch.cat(alone), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["IFPipeline", "StableDiffusion3Pipeline"])
def test_networks_take_a_log_snr_per_image_too(kind):
    predictor = from_pipeline(tiny(kind), "a")
    x, z = torch.randn(3, predictor.channels, 8, 8, generator=torch.Generator().manual_seed(0)), LOG_SNRS.float()
    alone = torch.cat([predictor(x[i : i + 1], float(z[i])) for i in range(3)])
    torch.testing.assert_close(predictor(x, z), alone, rtol=1e-4, atol=1e-4)  # float32 networks, other batches
    both = predict_batched([predictor, from_pipeline(tiny(kind), "b")], x, z)
    torch.testing.assert_close(both[0], alone, rtol=1e-4, atol=1e-4)


def test_exact_predictors_are_losses_predictors_and_none_is_better():
    """E|eps - E[eps | x]|^2 of Gaussian data is known: the noise's variance less what is resolved of it."""
    generator = torch.Generator().manual_seed(0)
    x0 = GAUSSIAN.sample(3000, generator)
    eps = torch.randn(x0.shape, dtype=torch.float64, generator=generator)
    z = LOG_SNRS.repeat(1000)
    loss = noise_loss(GAUSSIAN, x0, eps, z)
    alpha = torch.sigmoid(LOG_SNRS)[:, None]
    variance, sizes = torch.tensor(GAUSSIAN.band_variance), torch.tensor(GAUSSIAN.sizes, dtype=torch.float64)
    expected = (alpha * variance / (alpha * variance + 1 - alpha) * sizes).sum(1) / sizes.sum()
    found = loss.view(1000, 3)
    error = found.std(0) / 1000**0.5
    assert ((found.mean(0) - expected).abs() < 4 * error).all()
    assert noise_loss(OTHER, x0, eps, z).mean() > loss.mean()


def test_noise_is_added_as_diffusers_adds_it():
    scheduler = DDPMScheduler()
    times = torch.tensor([10, 400, 990])
    alphas = scheduler.alphas_cumprod.double()[times]
    x0, eps = images(2), images(3)
    ours = add_noise(x0, eps, torch.log(alphas / (1 - alphas)))
    torch.testing.assert_close(ours, scheduler.add_noise(x0, eps, times), rtol=1e-6, atol=1e-6)  # its table is float32


@pytest.mark.parametrize("log_snr", [-6.0, 0.3, LOG_SNRS], ids=["noisy", "middle", "per image"])
def test_predictions_of_noise_image_and_velocity_are_one_prediction(log_snr):
    x0, eps = images(2), images(3)
    x = add_noise(x0, eps, log_snr)
    signal_scale, noise_scale = scales(log_snr)
    tolerance = {"rtol": 1e-9, "atol": 1e-9}  # double precision, divided by scales above 0.05
    torch.testing.assert_close(predict_x0(x, eps, log_snr), x0, **tolerance)
    torch.testing.assert_close(eps_from_x0(x, x0, log_snr), eps, **tolerance)
    velocity = signal_scale * eps - noise_scale * x0
    torch.testing.assert_close(eps_from_velocity(x, velocity, log_snr), eps, **tolerance)


@pytest.mark.parametrize("log_snr", [-700.0, -30.0, 0.0, 30.0, 700.0])
def test_scales_are_the_cosine_and_sine_of_one_angle_at_any_log_snr(log_snr):
    signal_scale, noise_scale = scales(log_snr)
    assert signal_scale**2 + noise_scale**2 == pytest.approx(1, rel=1e-15)
    assert 2 * (np.log(signal_scale) - np.log(noise_scale)) == pytest.approx(log_snr, rel=1e-12, abs=1e-12)
