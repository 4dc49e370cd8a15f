"""The static threshold for multiple resolutions is a clamped pyramid; as printed it is the ordinary clamp."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chroma.process import predict_x0
from chroma.pyramid import downsample, upsample
from chroma.threshold import multi_resolution_threshold, threshold_as_printed


def state(seed, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn((2, 3, 16, 16), generator=generator, dtype=torch.float64) for _ in range(2)]


seeds, log_snrs = st.integers(0, 2**31), st.floats(-6, 6)


@given(seeds, log_snrs, st.floats(0.2, 3))
def test_thresholding_is_a_clamped_pyramid(seed, log_snr, bound):
    x, noise = state(seed)
    mean = predict_x0(x, noise, log_snr)
    x0 = downsample(mean, 4).clamp(-bound, bound)
    for m in (3, 2, 1, 0):
        detail = downsample(mean, m) - upsample(downsample(mean, m + 1))
        x0 = (upsample(x0) + detail).clamp(-bound, bound)
    torch.testing.assert_close(multi_resolution_threshold(x, noise, log_snr, bound), x0)


@given(seeds, log_snrs)
def test_as_printed_it_is_the_ordinary_clamp(seed, log_snr):
    x, noise = state(seed)
    torch.testing.assert_close(
        threshold_as_printed(x, noise, log_snr), predict_x0(x, noise, log_snr).clamp(-1, 1), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize("shape", [(1, 3, 12, 12), (1, 3, 8, 16), (1, 1, 1, 1)])
def test_both_take_any_size(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(threshold_as_printed(x, 0 * x, 0.0), predict_x0(x, 0 * x, 0.0).clamp(-1, 1))
    assert multi_resolution_threshold(x, 0 * x, 0.0).abs().max() <= 1


@given(seeds, log_snrs)
def test_the_result_is_within_bounds_and_an_image_within_bounds_is_unchanged(seed, log_snr):
    x, noise = state(seed)
    assert multi_resolution_threshold(x, noise, log_snr).abs().max() <= 1
    mean = predict_x0(x, noise, log_snr)
    wide = float(mean.abs().max()) + 1e-9
    torch.testing.assert_close(multi_resolution_threshold(x, noise, log_snr, wide), mean)


def test_it_differs_from_the_ordinary_clamp_where_a_coarse_level_overshoots():
    # a grey of 1.5 with texture: the clamp flattens the texture, the pyramid moves the grey and keeps what fits
    texture = 0.4 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]], dtype=torch.float64).repeat(8, 8)
    x0 = (1.5 + texture).expand(1, 1, 16, 16)
    noise = torch.zeros_like(x0)
    log_snr = 0.0
    x = x0 * 0.5**0.5
    result = multi_resolution_threshold(x, noise, log_snr)
    torch.testing.assert_close(predict_x0(x, noise, log_snr).clamp(-1, 1), torch.ones_like(x0))
    torch.testing.assert_close(result, (1 + texture).clamp(max=1).expand_as(x0))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: multi_resolution_threshold(x, x, 0.0, bound=0.0), "bound must be a finite number > 0; got 0.0"),
        (lambda x: multi_resolution_threshold(x, x[:1], 0.0), r"eps_hat must be of the shape of x, \(2, 3, 8, 8\)"),
    ],
)
def test_bad_input_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call(torch.zeros(2, 3, 8, 8))
