"""The bundled images: aligned drawings (contents x styles) and real photographs, checked as they are opened.

    drawings = load("drawings", size=32, styles=["fluent_3d", "noto_line"])
    crops = load("photographs", size=64, crops=500, seed=0)
    picture = photograph("sea/sea3", size=256)

Images are float32 in [-1, 1], channels first. Every reduction in size is a plain mean over squares of pixels (D of
`chroma.pyramid`), so that the statistics of coarse images are those of the fine ones and not of a filter. Whose images
they are is in ``chroma/bundled/LICENCES.md`` and `credit`.
"""

from __future__ import annotations

import difflib
import functools
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chroma._check import recorded, refuse, whole
from chroma.pyramid import downsample

FOLDER = Path(__file__).parent / "bundled"
REBUILD = "python -m chroma.bundled.build OUT"
DRAWN = 64  # pixels, as stored
BLANK = 4 / 127.5  # standard deviation of brightness below which a crop is empty sky, [-1, 1]
REDRAWS = 20
DEFAULT_PHOTOGRAPH = "wildlife/kingfisher"


@dataclass(frozen=True)
class Drawings:
    """Drawings of contents in styles, content by content: image i is `styles[i]` of `contents[i]`."""

    images: np.ndarray  # (N, 3, size, size) float32 in [-1, 1], on white
    contents: np.ndarray  # (N,) str, "hedgehog"
    styles: np.ndarray  # (N,) str, "fluent_3d"
    phrases: dict[str, str]  # style -> "a glossy 3D render of"

    @property
    def prompts(self) -> list[str]:
        """What each drawing shows, in words: "a glossy 3D render of hedgehog"."""
        return [f"{self.phrases[style]} {content}" for style, content in zip(self.styles, self.contents, strict=True)]


@dataclass(frozen=True)
class Photographs:
    """Square crops of photographs, each a k x k mean of the pixels in its box."""

    images: np.ndarray  # (N, 3, size, size) float32 in [-1, 1]
    names: np.ndarray  # (N,) str, "animals/hedgehog"; `credit(name)` in full
    boxes: np.ndarray  # (N, 4) int: left, top, right, bottom in the stored photograph
    authors: np.ndarray  # (N,) str
    licences: np.ndarray  # (N,) str


def load(name: str, size: int = 64, **options) -> Drawings | Photographs:
    """`drawings` or `photographs`, by name; `options` are theirs. ValueError for another name."""
    sets = {"drawings": drawings, "photographs": photographs}
    _known("name", [name], sets)
    return sets[name](size, **options)


def drawings(
    size: int = 64, styles: str | Iterable[str] | None = None, contents: str | Iterable[str] | None = None
) -> Drawings:
    """Drawings at `size` x `size` pixels, 64 or 64/2^k; only those of `styles` and `contents`, if given.

    Every content is there in every style: N = contents x styles, content by content, in the order given (the stored
    one by default). Raises ValueError for a size, style or content that there is not.
    """
    whole("size", size, 1)
    if size not in {DRAWN >> k for k in range(DRAWN.bit_length())}:
        raise refuse("size", size, "64, 32, 16, 8, 4, 2 or 1")
    store = _open(FOLDER, "drawings.npz")
    all_styles, all_contents = store["style"].tolist(), store["content"].tolist()
    styles = _known("styles", all_styles if styles is None else styles, all_styles)
    contents = _known("contents", all_contents if contents is None else contents, all_contents)
    row = {content: i for i, content in enumerate(all_contents)}
    pairs = [(content, style) for content in contents for style in styles]
    images = np.empty((len(pairs), 3, size, size), np.float32)
    for i, (content, style) in enumerate(pairs):
        pixels = _decode(store, row[content] * len(all_styles) + all_styles.index(style))
        images[i] = _mean(pixels, DRAWN // size)
    shown, drawn = zip(*pairs, strict=True) if pairs else ((), ())
    phrases = dict(zip(all_styles, store["phrase"].tolist(), strict=True))
    return Drawings(images, np.array(shown, str), np.array(drawn, str), {style: phrases[style] for style in styles})


def photographs(size: int = 64, crops: int = 1000, seed: int = 0) -> Photographs:
    """`crops` square crops of random photographs, reduced to `size` x `size` pixels; the same for the same `seed`.

    The photographs take turns, each round in a new order. A crop's side is k `size` with k >= 2, log-uniform up to what
    fits, so that it is an exact k x k mean and what JPEG does to the finest pixels is averaged away. Blank sky is
    redrawn. Crop j does not depend on how many follow. Raises ValueError for a size that no photograph holds twice.
    """
    whole("size", size, 1), whole("crops", crops, 1), whole("seed", seed, 0)
    store = _open(FOLDER, "photographs.npz")
    short = store["shape"].min(1)
    if 2 * size > short.max():
        raise refuse("size", size, f"at most {short.max() // 2}: half a photograph's shorter side")
    fitting = np.flatnonzero(short >= 2 * size)
    rounds = -(-crops // len(fitting))
    # two families of random streams under one seed: orders, and crops
    orders = [np.random.default_rng([seed, 0, i]).permutation(fitting) for i in range(rounds)]
    which = np.concatenate(orders)[:crops]
    images, boxes = np.empty((crops, 3, size, size), np.float32), np.empty((crops, 4), int)
    for photo in np.unique(which):
        pixels = _decode(store, photo)
        for j in np.flatnonzero(which == photo):
            images[j], boxes[j] = _crop(pixels, size, np.random.default_rng([seed, 1, j]))
    return Photographs(images, store["name"][which], boxes, store["author"][which], store["licence"][which])


def photograph(name: str = DEFAULT_PHOTOGRAPH, size: int = 256) -> np.ndarray:
    """One photograph, (3, size, size) float32 in [-1, 1]: the k x k mean of its centre square of side k `size`.

    k is the largest that fits. Raises ValueError for an unknown name (`photograph_names` lists them), and for a size
    larger than the photograph's shorter side (256 for most).
    """
    store = _open(FOLDER, "photographs.npz")
    pixels = _decode(store, _index(store, name))
    height, width, _ = pixels.shape
    if whole("size", size, 1) > min(height, width):
        raise refuse("size", size, f"at most {min(height, width)}, the shorter side of {name}")
    times = min(height, width) // size
    top, left = (height - times * size) // 2, (width - times * size) // 2
    return _mean(pixels[top : top + times * size, left : left + times * size], times)


def photograph_names() -> list[str]:
    """The photographs' names, "collection/file"."""
    return _open(FOLDER, "photographs.npz")["name"].tolist()


def credit(name: str) -> str:
    """Author, licence and source of a photograph or of a style of drawing, in one line."""
    styles = _open(FOLDER, "drawings.npz")
    if name in styles["style"]:
        i = styles["style"].tolist().index(name)
        return f"{styles['credit'][i]}, {styles['licence'][i]}"
    store = _open(FOLDER, "photographs.npz")
    i = _index(store, name)
    return ", ".join(str(store[field][i]) for field in ("author", "licence", "source"))


def _crop(pixels: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, ...]]:
    """A crop that is not blank, or the least blank of `REDRAWS`, and its box."""
    height, width, _ = pixels.shape
    largest = min(height, width) // size
    best = (-1.0, None, None)
    for _ in range(REDRAWS):
        times = int(np.exp(rng.uniform(np.log(2), np.log(largest + 1))))
        side = times * size
        left, top = (int(rng.integers(free - side + 1)) for free in (width, height))
        image = _mean(pixels[top : top + side, left : left + side], times)
        contrast = float(image.mean(0).std())
        if contrast > best[0]:
            best = (contrast, image, (left, top, left + side, top + side))
        if contrast >= BLANK:
            break
    return best[1:]


def _mean(pixels: np.ndarray, times: int) -> np.ndarray:
    """(times h, times w, 3) uint8 -> (3, h, w) float32 in [-1, 1]. Sums of bytes are exact in float32."""
    image = np.moveaxis(pixels, -1, 0).astype(np.float32)
    return (downsample(image, 1, times) if times > 1 else image) / np.float32(127.5) - 1


def _decode(store: dict[str, np.ndarray], i: int) -> np.ndarray:
    """Image i, (H, W, 3) uint8."""
    from PIL import Image  # here, so that importing this module needs NumPy alone

    file = store["data"][store["offset"][i] : store["offset"][i + 1]]
    return np.asarray(Image.open(io.BytesIO(file.tobytes())).convert("RGB"))


@functools.cache
def _open(folder: Path, file: str) -> dict[str, np.ndarray]:
    """The arrays of a bundled file, once it has been found to be what was bundled."""
    content = recorded(folder, file, f"reinstall the package, or run {REBUILD}")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def _known(name: str, asked: str | Iterable[str], known: Iterable[str]) -> list[str]:
    """The names asked for (one, or several) as a list, refused if one is not among `known`."""
    asked, known = [asked] if isinstance(asked, str) else list(asked), list(known)
    for one in asked:
        if one not in known:
            near = known if len(known) <= 10 else difflib.get_close_matches(str(one), known, n=5)
            such_as = f", such as {', '.join(near)}" if near else ""
            raise refuse(name, one, f"one of the {len(known)} there are{such_as}")
    return asked


def _index(store: dict[str, np.ndarray], name: str) -> int:
    """The row of the photograph called `name`."""
    names = store["name"].tolist()
    _known("name", [name], names)
    return names.index(name)
