"""D (the n x n mean), U (nearest neighbour), and the orthogonal bands they split an image into.

D averages n x n pixels and U repeats them (n = `kernel`, 2 unless told). DU = I, and UD is an orthogonal projector:
so the bands U^m (D^m - U D^(m+1)) x are orthogonal and their energies add up to `|x|^2`. Band 0 is the finest.

All functions take NumPy arrays or PyTorch tensors x: (..., H, W), keep their kind, dtype and device, and
raise ValueError for a size that the kernel does not divide.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from chroma._check import refuse, whole


def _times_and_kernel(x, times: int, kernel: int) -> tuple[int, int]:
    if getattr(x, "ndim", 0) < 2:
        raise refuse("x", f"shape {tuple(np.shape(x))}", "an array or tensor of shape (..., H, W)")
    if not (np.issubdtype(x.dtype, np.floating) if isinstance(x, np.ndarray) else x.is_floating_point()):
        raise refuse("x", f"dtype {x.dtype}", "floating-point: squares and means of bytes overflow")
    return whole("times", times, 0), whole("kernel", kernel, 2)


def downsample(x, times: int = 1, kernel: int = 2):
    """D^times x: the mean over squares of kernel^times pixels, (..., H, W) -> (..., H/k, W/k) (Eq 8).

    >>> downsample(np.array([[0.0, 1.0], [2.0, 5.0]]))
    array([[2.]])
    >>> downsample(np.zeros((2, 3, 64, 64)), times=3).shape
    (2, 3, 8, 8)
    """
    times, kernel = _times_and_kernel(x, times, kernel)
    *rest, height, width = x.shape
    side = kernel**times
    if height % side or width % side:
        raise refuse("x", f"{height} x {width} pixels", f"of a size that {kernel}^{times} = {side} divides")
    if kernel > 4:  # many slices are slower than one reduction
        return x.reshape(*rest, height // side, side, width // side, side).mean((-3, -1)) if times else x
    for _ in range(times):
        corners = [x[..., i::kernel, j::kernel] for i in range(kernel) for j in range(kernel)]
        x = sum(corners[1:], corners[0]) / kernel**2  # a tenth of the time of a mean over two axes
    return x


def upsample(x, times: int = 1, kernel: int = 2):
    """U^times x: each pixel repeated into a square of kernel^times, (..., H, W) -> (..., kH, kW) (Eq 22).

    >>> upsample(np.array([[1.0, 2.0]]))
    array([[1., 1., 2., 2.],
           [1., 1., 2., 2.]])
    """
    times, kernel = _times_and_kernel(x, times, kernel)
    side = kernel**times
    repeat = np.repeat if isinstance(x, np.ndarray) else type(x).repeat_interleave
    return repeat(repeat(x, side, -2), side, -1)


def residual(x, kernel: int = 2):
    """x - U D x: what one downsampling loses (Algorithm 1's getResidual; the target of Eqs 21 and 23).

    >>> residual(np.array([[0.0, 1.0], [2.0, 5.0]]))
    array([[-2., -1.],
           [ 0.,  3.]])
    """
    return x - upsample(downsample(x, 1, kernel), 1, kernel)


def depth(shape: tuple[int, ...], kernel: int = 2) -> int:
    """How often D can be applied to an image of `shape` (..., H, W): 6 for 64 x 64 pixels with kernel 2.

    >>> depth((3, 64, 64)), depth((3, 96, 96))  # down to 1 x 1, and to 3 x 3
    (6, 5)
    """
    height, width = shape[-2:]
    times = 0
    while height % kernel == 0 and width % kernel == 0 and min(height, width) > 1:
        height, width, times = height // kernel, width // kernel, times + 1
    return times


def pyramid(x, kernel: int = 2) -> list:
    """[x, D x, D^2 x, ...] down to `depth(x.shape)`: each level made from the one before.

    >>> [level.shape for level in pyramid(np.zeros((3, 4, 4)))]
    [(3, 4, 4), (3, 2, 2), (3, 1, 1)]
    """
    levels = [x]
    for _ in range(depth(x.shape, kernel)):
        levels.append(downsample(levels[-1], 1, kernel))
    return levels


def bands(x, kernel: int = 2) -> list:
    """The orthogonal parts of x at full size, finest first; they sum to x. `depth` bands, then the coarsest rest.

    For 2^M x 2^M pixels the rest is the mean: M + 1 parts in all (the unnumbered display above Eq 19).

    >>> fine, mean = bands(np.array([[0.0, 1.0], [2.0, 5.0]]))
    >>> fine.tolist(), mean.tolist()
    ([[-2.0, -1.0], [0.0, 3.0]], [[2.0, 2.0], [2.0, 2.0]])
    """
    levels = pyramid(x, kernel)
    parts = [upsample(level, m, kernel) for m, level in enumerate(levels)]
    return [fine - coarse for fine, coarse in pairwise(parts)] + parts[-1:]


def band_energy(x, kernel: int = 2):
    """`|band_m|^2` of each image, x: (B, C, H, W) -> (B, levels), finest first; sums to `|x|^2` (Eq 19's norms).

    `E_m = n^2m |D^m x|^2 - n^2(m+1) |D^(m+1) x|^2`: by Pythagoras, nothing needs to be upsampled.

    >>> band_energy(np.array([[[[0.0, 1.0], [2.0, 5.0]]]]))  # 4 + 1 + 9 and 4 x 4: in all 1 + 4 + 25
    array([[14., 16.]])
    """
    if getattr(x, "ndim", 0) != 4:
        raise refuse("x", f"shape {tuple(np.shape(x))}", "a batch of images, shape (B, C, H, W)")
    levels = pyramid(x, kernel)
    norms = [kernel ** (2 * m) * (level * level).sum((-3, -2, -1)) for m, level in enumerate(levels)]
    energies = [fine - coarse for fine, coarse in pairwise(norms)] + norms[-1:]
    stack = np.stack if isinstance(x, np.ndarray) else _torch_stack
    return stack(energies, -1)


def _torch_stack(tensors, dim):
    import torch

    return torch.stack(tensors, dim)


def band_sizes(shape: tuple[int, ...], kernel: int = 2) -> np.ndarray:
    """N_m: the number of independent coefficients in each band of a (C, H, W) image; they sum to C H W.

    (1 - 1/n^2) C H W / n^2m for band m, and what is left for the coarsest: white noise of unit variance has
    these band energies on average.

    >>> band_sizes((3, 8, 8)).tolist()
    [144, 36, 9, 3]
    """
    channels, height, width = shape
    counts = [channels * height * width]
    for _ in range(depth(shape, kernel)):
        counts.append(counts[-1] // kernel**2)
    return np.array([*(-np.diff(counts)), counts[-1]])
