r"""The operators D and U, and the orthogonal bands that they split an image into.

D averages squares of n x n pixels and U repeats each pixel into such a square (n is the argument `factor`, 2 by
default). DU is the identity and UD an orthogonal projector. The bands :math:`U^m (D^m - U D^{m+1}) x` are therefore
orthogonal, and their energies add up to :math:`|x|^2`. Band 0 is the finest.

Functions of images take NumPy arrays or PyTorch tensors, (..., H, W), and return what they were passed: the same type,
dtype and device. They raise ValueError for images whose sides `factor` does not divide as often as it must, and for
dtypes that are not floating-point.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from chroma._check import check_int, invalid_argument

if TYPE_CHECKING:  # NumPy users need not have PyTorch
    import torch

Images = TypeVar("Images", np.ndarray, "torch.Tensor")  # whatever a function is passed, it returns


def _check_images(x: np.ndarray | torch.Tensor) -> None:
    """Raise unless x is a floating-point array or tensor of at least two dimensions."""
    if getattr(x, "ndim", 0) < 2:
        raise invalid_argument("x", f"shape {tuple(np.shape(x))}", "an array or tensor of shape (..., H, W)")
    if not (np.issubdtype(x.dtype, np.floating) if isinstance(x, np.ndarray) else x.is_floating_point()):
        raise invalid_argument("x", f"dtype {x.dtype}", "floating-point: squares and means of bytes overflow")


def downsample(x: Images, times: int = 1, factor: int = 2) -> Images:
    r"""Average squares of pixels, :math:`D^k x` (the D of Eqs 8 and 9).

    Args:
        x: images, (..., H, W).
        times: k, how often D is applied.
        factor: n, the side of the averaged square.

    Returns:
        The means over squares of side n^k, (..., H/n^k, W/n^k).

    Raises:
        ValueError: if n^k does not divide H and W, and for x that is not floating-point.

    >>> downsample(np.array([[0.0, 1.0], [2.0, 5.0]]))
    array([[2.]])
    >>> downsample(np.zeros((2, 3, 64, 64)), times=3).shape
    (2, 3, 8, 8)
    """
    _check_images(x)
    times, factor = check_int("times", times, 0), check_int("factor", factor, 2)
    *rest, height, width = x.shape
    side = factor**times
    if height % side or width % side:
        raise invalid_argument("x", f"{height} x {width} pixels", f"of a size that {factor}^{times} = {side} divides")
    if factor > 4:  # many slices are slower than one reduction
        return x.reshape(*rest, height // side, side, width // side, side).mean((-3, -1)) if times else x
    for _ in range(times):
        corners = [x[..., i::factor, j::factor] for i in range(factor) for j in range(factor)]
        x = sum(corners[1:], corners[0]) / factor**2  # a tenth of the time of a mean over two axes
    return x


def upsample(x: Images, times: int = 1, factor: int = 2) -> Images:
    r"""Repeat each pixel into a square, :math:`U^k x` (the U of Eq 22, nearest-neighbour upsampling).

    Args:
        x: images, (..., H, W).
        times: k, how often U is applied.
        factor: n, the side of the square that one U makes of a pixel.

    Returns:
        The enlarged images, (..., n^k H, n^k W).

    Raises:
        ValueError: for x that is not floating-point.

    >>> upsample(np.array([[1.0, 2.0]]))
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    _check_images(x)
    side = check_int("factor", factor, 2) ** check_int("times", times, 0)
    if isinstance(x, np.ndarray):
        return np.repeat(np.repeat(x, side, -2), side, -1)
    return x.repeat_interleave(side, -2).repeat_interleave(side, -1)


def residual(x: Images, factor: int = 2) -> Images:
    r"""Compute what one downsampling loses, :math:`x - UDx` (Algorithm 1's getResidual; the target of Eqs 21 and 23).

    Args:
        x: images, (..., H, W).
        factor: n, the side of the averaged square.

    Returns:
        The residual, (..., H, W).

    Raises:
        ValueError: if n does not divide H and W, and for x that is not floating-point.

    >>> residual(np.array([[0.0, 1.0], [2.0, 5.0]]))
    array([[-2., -1.],
           [ 0.,  3.]])
    """
    return x - upsample(downsample(x, 1, factor), 1, factor)


def depth(shape: tuple[int, ...], factor: int = 2) -> int:
    """Count how often D can be applied to an image.

    Args:
        shape: (..., H, W).
        factor: n, the side of the averaged square.

    Returns:
        The number of times, such as 6 for 64 x 64 pixels and a factor of 2. The image has one level more.

    >>> depth((3, 64, 64)), depth((3, 96, 96))  # down to 1 x 1, and to 3 x 3
    (6, 5)
    """
    height, width = shape[-2:]
    times = 0
    while height % factor == 0 and width % factor == 0 and min(height, width) > 1:
        height, width, times = height // factor, width // factor, times + 1
    return times


def build_pyramid(x: Images, factor: int = 2) -> list[Images]:
    r"""Compute all levels of images, :math:`x, Dx, D^2 x, \dots`, each from the one before.

    Args:
        x: images, (..., H, W).
        factor: n, the side of the averaged square.

    Returns:
        `depth` + 1 levels, finest first; level m is (..., H/n^m, W/n^m).

    Raises:
        ValueError: for x that is not floating-point.

    >>> [level.shape for level in build_pyramid(np.zeros((3, 4, 4)))]
    [(3, 4, 4), (3, 2, 2), (3, 1, 1)]
    """
    levels = [x]
    for _ in range(depth(x.shape, factor)):
        levels.append(downsample(levels[-1], 1, factor))
    return levels


def bands(x: Images, factor: int = 2) -> list[Images]:
    """Split images into their orthogonal bands at full size (the unnumbered display above Eq 19).

    Args:
        x: images, (..., H, W).
        factor: n, the side of the averaged square.

    Returns:
        `depth` bands, finest first, and then the coarsest rest, (..., H, W) each; they sum to x. For 2^M x 2^M pixels
        and a factor of 2 the rest is the mean of the image: M + 1 parts in all.

    Raises:
        ValueError: for x that is not floating-point.

    >>> fine, mean = bands(np.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> fine.tolist(), mean.tolist()
    ([[-2.0, -1.0], [0.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]])
    """
    levels = build_pyramid(x, factor)
    parts = [upsample(level, m, factor) for m, level in enumerate(levels)]
    return [fine - coarse for fine, coarse in pairwise(parts)] + parts[-1:]


def band_energy(x: Images, factor: int = 2) -> Images:
    r"""Compute the energy of each band of each image (the squared norms of Eq 19).

    By Pythagoras, :math:`E_m = n^{2m} |D^m x|^2 - n^{2(m+1)} |D^{m+1} x|^2`, so no band is upsampled.

    Args:
        x: images, (B, C, H, W).
        factor: n, the side of the averaged square.

    Returns:
        The energies, finest first, (B, levels); their sum over levels is the energy of the image.

    Raises:
        ValueError: for x of another number of dimensions, or not floating-point.

    >>> band_energy(np.array([[[[0.0, 1.0], [2.0, 5.0]]]]))  # 4 + 1 + 9 and 4 x 4: in all 1 + 4 + 25
    array([[14., 16.]])
    """
    if getattr(x, "ndim", 0) != 4:
        raise invalid_argument("x", f"shape {tuple(np.shape(x))}", "a batch of images, shape (B, C, H, W)")
    levels = build_pyramid(x, factor)
    norms = [factor ** (2 * m) * (level * level).sum((-3, -2, -1)) for m, level in enumerate(levels)]
    energies = [fine - coarse for fine, coarse in pairwise(norms)] + norms[-1:]
    if isinstance(x, np.ndarray):
        return np.stack(energies, -1)
    import torch

    return torch.stack(energies, -1)


def band_split(x: Images, reference: Images, factor: int = 2) -> tuple[Images, Images]:
    r"""Split the energy of each band into what lies along a reference image and what does not.

    The first part is :math:`\langle x, y \rangle_m^2 / |y|_m^2`, with y the reference: signal. The other is the rest,
    :math:`|x|_m^2` less that: noise, or another image. The energy alone cannot distinguish lost signal from less noise.

    Args:
        x: images, (B, C, H, W).
        reference: images of the same shape, none of whose bands is empty.
        factor: n, the side of the averaged square.

    Returns:
        The energies along the reference and beside it, finest first, (B, levels) each.

    Raises:
        ValueError: for x of another number of dimensions, or not floating-point, and a reference of another shape or
            with an empty band.

    >>> y = np.array([[[[1.0, -1.0], [1.0, 3.0]]]])
    >>> noise = np.array([[[[1.0, 1.0], [-1.0, -1.0]]]])  # without a mean
    >>> [energies.round(3).tolist() for energies in band_split(2 * y + noise, y)]
    [[[18.0, 16.0]], [[2.0, 0.0]]]
    """
    if tuple(np.shape(x)) != tuple(np.shape(reference)):
        must = f"of the images' shape {tuple(np.shape(x))}"
        raise invalid_argument("reference", f"shape {tuple(np.shape(reference))}", must)
    energy, of_reference = band_energy(x, factor), band_energy(reference, factor)
    if not (of_reference > 0).all():
        raise invalid_argument("reference", "an image with an empty band", "images with something in every band")
    # <x, y> by polarisation: (|x + y|^2 - |x - y|^2) / 4
    product = (band_energy(x + reference, factor) - band_energy(x - reference, factor)) / 4
    along = product * product / of_reference
    return along, energy - along


def band_sizes(shape: tuple[int, ...], factor: int = 2) -> np.ndarray:
    r"""Count the independent coefficients N_m in each band of an image.

    Band m has :math:`N_m = (1 - 1/n^2)\, C H W / n^{2m}` of them and the coarsest part has the rest. On average, these
    are the band energies of white noise of unit variance.

    Args:
        shape: (C, H, W).
        factor: n, the side of the averaged square.

    Returns:
        N_m, finest first, (levels,) int; they sum to C H W.

    >>> band_sizes((3, 8, 8)).tolist()
    [144, 36, 9, 3]
    """
    channels, height, width = shape
    counts = [channels * height * width]
    for _ in range(depth(shape, factor)):
        counts.append(counts[-1] // factor**2)
    return np.array([*(-np.diff(counts)), counts[-1]])


def white_noise_shares(shape: tuple[int, ...], factor: int = 2) -> np.ndarray:
    """Compute the shares of the bands in the energy of white noise, N_m over their sum.

    Args:
        shape: (C, H, W).
        factor: n, the side of the averaged square.

    Returns:
        (levels,), finest first.

    >>> white_noise_shares((3, 4, 4))
    array([0.75  , 0.1875, 0.0625])
    """
    sizes = band_sizes(shape, factor)
    return sizes / sizes.sum()


def resolutions(size: int) -> list[int]:
    """List the sides of an image's resolutions, halved as long as they can be.

    Args:
        size: the side of the image.

    Returns:
        The sides, finest first, so that level m is entry m.

    Raises:
        ValueError: if `size` is not a whole number >= 1.

    >>> resolutions(96)
    [96, 48, 24, 12, 6, 3]
    """
    count = check_int("size", size, 1).bit_length()
    return [size >> level for level in range(count) if size % 2**level == 0]


def resolution_label(side: int) -> str:
    """Name a resolution by its side, as figures, tables and messages do.

    Args:
        side: in pixels or latents.

    Returns:
        The name, such as "16×16".

    >>> resolution_label(16)
    '16×16'
    """
    return f"{side}×{side}"
