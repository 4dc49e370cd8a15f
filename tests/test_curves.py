"""Band variances: the default curve, the published spectra of latents, and the recipes that use them."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from chroma import ask
from chroma.accumulators import BandVariance
from chroma.schedulers.atlas import chart
from chroma.schedulers.curves import (
    PIXEL_VARIANCE,
    SPECTRA,
    SPECTRUM_OF,
    LatentSpectrum,
    band_variances,
    photograph_variance,
)
from chroma.schedulers.published import PUBLISHED
from chroma.switching import switch_log_snr

PAGE = (Path(__file__).parents[1] / "book" / "your-pipeline.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SPECTRA)
def test_a_random_field_with_a_published_spectrum_has_these_band_variances(name):
    spectrum, side = SPECTRA[name], 128
    frequency = torch.fft.fftfreq(side, 1 / side, dtype=torch.float64)
    radius = torch.hypot(frequency[:, None], frequency[None, :])
    radius[0, 0] = torch.inf
    noise = torch.randn(60, 1, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    power = spectrum.amplitude * radius**-spectrum.exponent
    field = torch.fft.ifft2(torch.fft.fft2(noise) * power.sqrt()).real
    found = BandVariance()
    found.update(field)
    measured = found.result()
    expected = band_variances("spectrum", side, latent=True, spectrum=spectrum) * (spectrum.side / side) ** 2
    for m in range(6):  # coarser bands have fewer than 4 x 4 coefficients
        assert measured.value[m] == pytest.approx(expected[m], abs=4 * measured.standard_error[m])


@pytest.mark.parametrize("curve", ["levels", "photographs", "spectrum"])
def test_an_image_of_twice_the_side_shows_each_resolution_with_four_times_the_variance(curve):
    small, large = (
        band_variances(curve, side, [4, 16, 24], latent=True, spectrum=SPECTRA["wan21"]) for side in (64, 128)
    )
    np.testing.assert_allclose(large, 4 * small)


def test_pixels_have_the_spectrum_that_was_published_for_a_model_of_pixels():
    """PixelGen's fit at 512 pixels (howardhx/speed, configs.yaml), on another collection of photographs."""
    pixelgen = LatentSpectrum("PixelGen", 3745.46, 2.4493, 512, "howardhx/speed")
    published = band_variances("spectrum", 512, [8, 16, 32, 64], latent=False, spectrum=pixelgen)
    ours = band_variances("photographs", 512, [8, 16, 32, 64], latent=False)
    assert np.abs(np.log(published / ours)).max() < 0.7  # half a level


def test_a_pyramid_of_photographs_is_one_of_the_curves():
    np.testing.assert_allclose(photograph_variance(96), band_variances("photographs", 96, latent=False))
    np.testing.assert_allclose(photograph_variance(96, True), photograph_variance(96) / PIXEL_VARIANCE)


def test_a_chart_has_the_published_spectrum_where_there_is_one_and_says_where_it_is_assumed():
    assert SPECTRUM_OF.keys() <= PUBLISHED.keys()
    known, unknown = chart("flux-dev", 4), chart("sdxl", 4)
    assert "done_spectrum" in known[0] and "2605.18736" in known.assumption
    assert "done_spectrum" not in unknown[0] and "is assumed" in unknown.assumption
    # coarse bands of latents vary less than the levels say, so that they are generated at cleaner levels
    assert known[2]["done_spectrum"]["16"] < known[2]["done"]["16"]


def test_recipes_atlas_and_answers_switch_by_one_curve():
    for name, side in (("sdxl", 128), ("if", 64)):
        model = ask.find_model(name, 30)
        variance = 1.0 if side == 128 else PIXEL_VARIANCE
        assert switch_log_snr(resolution="16x16", size=side, data_variance=variance) == pytest.approx(
            model.half_done("16x16")
        )
        rows, step = chart(name, 30), model.level(model.half_done("16x16")).step
        assert rows[step - 1]["done"]["16"] >= 0.5 > rows[step - 2]["done"]["16"]
    assert f"data_variance={PIXEL_VARIANCE}" in PAGE


@pytest.mark.parametrize(
    ("name", "steps", "resolutions", "words"),
    [
        ("sd15", 30, ["16x16"], r"begins with step (\d+) of 30, counted from 0"),
        ("sd21", 30, ["12x12", "24x24"], r'"12x12"\]` \(step (\d+)\) or `\["24x24"\]` \(step (\d+)\)'),
        ("sdxl", 30, ["32x32", "16x16", "64x64"], r"with step (\d+) of 30. Three .* the steps (\d+) and (\d+)\."),
        ("sdxl", 30, ["32x32"], r"--at 32x32   # step (\d+), sigma 4.000"),
        ("sd3", 28, ["16x16"], r"In both, the second prompt begins with step (\d+) of 28"),
        ("flux-dev", 28, ["16x16"], r"In both, the second prompt begins with step (\d+) of 28"),
    ],
)
def test_a_recipe_names_the_step_at_which_it_switches(name, steps, resolutions, words):
    model = ask.find_model(name, steps)
    found = re.search(words, PAGE)
    assert found and [int(step) for step in found.groups()] == [
        ask.switch(model, resolution).values["step"] for resolution in resolutions
    ]
