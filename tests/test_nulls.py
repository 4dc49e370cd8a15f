"""The shares that a measured chromatogram is compared with, against limits and against a measurement."""

import time

import numpy as np
import pytest
import torch

from chroma import Cosine, Linear
from chroma.accumulators import BandVariance, CFGChromatography
from chroma.chromatography import generation_weights, total_variation
from chroma.data import training_drawings
from chroma.exact import WienerPredictor
from chroma.nulls import predictions
from chroma.palette import PREDICTION_LABELS
from chroma.process import add_noise
from chroma.pyramid import white_noise_shares

SHAPE = (3, 32, 32)


@pytest.fixture(scope="module")
def drawings():
    return torch.from_numpy(training_drawings(32)[0].images)


@pytest.fixture(scope="module")
def shares(drawings):
    return predictions(np.linspace(-8, 7, 31), SHAPE, drawings)


def test_all_are_shares_and_have_a_name_for_figures(shares):
    for name, share in shares.items():
        np.testing.assert_allclose(share.sum(0), 1, err_msg=name)
        assert (share >= 0).all() and name in PREDICTION_LABELS


def test_the_static_null_is_the_formula_at_pure_noise_and_white_noise_is_its_end(drawings):
    limits = predictions([-40.0, 40.0], SHAPE, drawings)
    for name in ("guidance_power", "guidance_colours", "guidance_wiener"):
        np.testing.assert_allclose(limits[name][:, 0], limits["static"], rtol=1e-9, err_msg=name)
    for name in ("guidance_power", "guidance_paper"):
        np.testing.assert_allclose(limits[name][:, 1], white_noise_shares(SHAPE), rtol=1e-9, err_msg=name)


def test_the_formula_with_all_covariances_is_what_a_linear_predictor_measures(drawings):
    # the prompt of a single image leaves the noise alone; without it, the Wiener filter predicts
    log_snrs, generator = [-5.0, -1.0, 2.0], torch.Generator().manual_seed(0)
    measured, wiener = CFGChromatography(log_snrs), WienerPredictor(drawings)
    for z in log_snrs:
        noise = torch.randn(drawings.shape, generator=generator)
        measured.update(z, noise - wiener(add_noise(drawings, noise, z), z))
    predicted = predictions(log_snrs, SHAPE, drawings)
    found = measured.result()
    assert (np.abs(found.value - predicted["guidance_wiener"]) < 5 * found.standard_error).all()
    assert measured.mean_distance(predicted["guidance_power"]).value > 0.05


def test_the_rates_of_the_wiener_filter_are_the_slopes_of_what_it_resolves(drawings):
    z = np.array([-6.0, -3.0, 0.0, 3.0])
    wiener = WienerPredictor(drawings)
    slopes = wiener.resolved_fraction(drawings, z + 1e-3) - wiener.resolved_fraction(drawings, z - 1e-3)
    np.testing.assert_allclose(predictions(z, SHAPE, drawings)["wiener"], slopes / slopes.sum(0), atol=1e-5)


def test_of_grey_white_images_all_rates_are_the_same_and_a_prompt_shared_by_all_determines_nothing():
    images = torch.randn(4000, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    found = predictions([-1.0, 1.0], (1, 4, 4), images)
    for name in ("unit_variance", "band_variance", "colours", "wiener"):
        reference = found["paper"] if name == "unit_variance" else np.full((3, 2), 1 / 3)
        assert total_variation(found[name], reference).max() < 0.03, name  # 4,000 images
    labels = np.arange(4000) % 2
    two = predictions([0.0], (1, 4, 4), images, labels)
    assert "wiener" not in two and "guidance_wiener" not in two


def test_all_predictions_of_one_measurement_take_less_than_two_seconds(drawings):
    started = time.process_time()
    predictions(np.linspace(-8, 7, 50), SHAPE, drawings)
    assert time.process_time() - started < 2


def test_a_mean_distance_by_what_is_generated_is_the_same_for_any_schedule(drawings):
    spectrum = BandVariance()
    spectrum.update(drawings - drawings.mean(0))
    variance = spectrum.result().value
    weighted, uniform = [], []
    for schedule in (Cosine(), Linear()):
        z = schedule.uniform_log_snrs(600)
        shares = predictions(z, SHAPE, drawings)
        distance = total_variation(shares["guidance_power"], shares["paper"])
        weighted.append(distance @ generation_weights(z, variance))
        uniform.append(distance.mean())
    # the schedules end at different noise levels, beyond which a hundredth is generated
    assert abs(weighted[0] - weighted[1]) < 0.01 < 0.03 < abs(uniform[0] - uniform[1])


def test_images_and_labels_that_do_not_fit_are_refused(drawings):
    with pytest.raises(ValueError, match=r"images must be of shape \(N, 3, 32, 32\)"):
        predictions([0.0], SHAPE, drawings[:, :, :16, :16])
    with pytest.raises(ValueError, match="prompts must be one label for each of the 512 images"):
        predictions([0.0], SHAPE, drawings, np.arange(3))
