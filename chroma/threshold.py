r"""Static threshold for multiple resolutions (Appendix B): clamp the prediction of x0 level by level.

:math:`E[x_0^{(m)} | x_{\tau_m}^{(m)}]` of Eq 37 is :math:`D^m \hat x_0`, since :math:`\lambda_t^{(m)}` and
:math:`\tau_m` cancel. The static threshold for multiple resolutions is therefore the reconstruction of x0 from its
pyramid, with a clamp after each level. Log-SNRs are floats or tensors (B,).
"""

from __future__ import annotations

import torch

from chroma._check import check_finite, invalid_argument
from chroma.process import NoisePredictor, eps_from_x0, predict_x0, scales
from chroma.pyramid import build_pyramid, residual, upsample


def multi_resolution_threshold(
    x: torch.Tensor, eps_hat: torch.Tensor, log_snr: float | torch.Tensor, bound: float = 1.0
) -> torch.Tensor:
    """Rebuild the prediction of x0 from its coarsest level upwards, clamped at every level (Algorithm 1 as meant).

    The coarsest level is the base, and each finer level adds its residual. `threshold_as_printed` is Algorithm 1 as
    printed.

    Args:
        x: noised images, (B, C, H, W).
        eps_hat: the noise predicted in them, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).
        bound: levels are clamped to +-bound.

    Returns:
        The clamped prediction of x0, (B, C, H, W).

    Raises:
        ValueError: unless bound > 0 and `x` and `eps_hat` have the same shape.

    >>> x0, eps_hat = torch.tensor([[[[2.0, 2.0], [2.0, 0.0]]]]), torch.zeros(1, 1, 2, 2)  # of mean 1.5
    >>> multi_resolution_threshold(x0, eps_hat, log_snr=100.0).flatten().tolist()  # the mean is clamped to 1
    [1.0, 1.0, 1.0, -0.5]
    """
    bound = check_finite("bound", bound, above=0)
    if x.shape != eps_hat.shape:
        raise invalid_argument("eps_hat", tuple(eps_hat.shape), f"of the shape of x, {tuple(x.shape)}")
    *finer, coarsest = build_pyramid(predict_x0(x, eps_hat, log_snr))
    x0 = coarsest.clamp(-bound, bound)
    for level in reversed(finer):
        x0 = (upsample(x0) + residual(level)).clamp(-bound, bound)
    return x0


def thresholded(predictor: NoisePredictor, bound: float = 1.0) -> NoisePredictor:
    """Clamp the x0 of a predictor level by level, and recompute its noise from the clamped x0 (Eq 7).

    Both must change: a sampler that clamps x0 and continues with the noise as predicted takes a step towards neither.

    Args:
        predictor: of the noise.
        bound: as in `multi_resolution_threshold`.

    Returns:
        The predictor of the recomputed noise.

    >>> from chroma.process import predict_x0, scales
    >>> bright = lambda x, log_snr: (x - 3 * scales(log_snr)[0]) / scales(log_snr)[1]  # of data that are 3 everywhere
    >>> x = torch.zeros(1, 1, 1, 1)
    >>> [round(predict_x0(x, predictor(x, 0.0), 0.0).item(), 3) for predictor in (bright, thresholded(bright))]
    [3.0, 1.0]
    """

    def predict(x: torch.Tensor, log_snr: float | torch.Tensor) -> torch.Tensor:
        return eps_from_x0(x, multi_resolution_threshold(x, predictor(x, log_snr), log_snr, bound), log_snr)

    return predict


def threshold_as_printed(
    x: torch.Tensor, eps_hat: torch.Tensor, log_snr: float | torch.Tensor, bound: float = 1.0
) -> torch.Tensor:
    """Follow Algorithm 1 line by line as printed, for the page on misprints: an ordinary clamp of x0.

    At m = 0 the printed algorithm overwrites all that it has added up before.

    Args:
        x: noised images, (B, C, H, W).
        eps_hat: the noise predicted in them, (B, C, H, W).
        log_snr: of all images, or one per image, (B,).
        bound: x0 is clamped to +-bound.

    Returns:
        The clamped prediction of x0, (B, C, H, W).

    >>> x0, eps_hat = torch.tensor([[[[2.0, 2.0], [2.0, 0.0]]]]), torch.zeros(1, 1, 2, 2)
    >>> threshold_as_printed(x0, eps_hat, log_snr=100.0).flatten().tolist()  # an ordinary clamp
    [1.0, 1.0, 1.0, 0.0]
    """
    signal_scale, _ = scales(log_snr)
    alpha = signal_scale**2
    x0 = torch.zeros_like(x)
    level_x, level_eps_hat = build_pyramid(x), build_pyramid(eps_hat)
    for m in range(len(level_x) - 1, -1, -1):
        alpha_tau = 4**m * alpha / ((4**m - 1) * alpha + 1)
        intensity = 2**m / (1 + (4**m - 1) * alpha) ** 0.5
        mean = (intensity * level_x[m] - 2**m * (1 - alpha_tau) ** 0.5 * level_eps_hat[m]) / alpha_tau**0.5  # Eq 37
        if m > 0:
            # the coarsest level has nothing below it to subtract
            part = residual(mean) if m < len(level_x) - 1 else mean
            x0 = x0 + upsample(part, m)
        else:
            x0 = mean
        x0 = x0.clamp(-bound, bound)
    return x0
