"""The bundled images, checked when opened: aligned drawings (contents x styles), real photographs. And your own::

    drawings = load("drawings", size=32, styles=["fluent_3d", "noto_line"])
    crops = load("photographs", size=64, crops=500, seed=0)
    picture = photograph("sea/sea3", size=256)
    faces = load("img_align_celeba", size=64)  # any folder of images, such as CelebA as it is

Images are float32 in [-1, 1] (those of a folder, which can be many, float16), channels first. Every reduction in size
is a plain mean over squares of pixels (D of `chroma.pyramid`), so that the statistics of coarse images are those of the
fine ones and not of a filter. Whose the bundled images are is in ``chroma/bundled/LICENCES.md`` and `credit`.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
BLOCK = 1000  # files decoded at a time: what an interruption waits for


@dataclass(frozen=True)
class Drawings:
    """Drawings of contents in styles, content by content: image i is `styles[i]` of `contents[i]`.

    >>> owls = drawings(8, contents="owl")
    >>> owls.styles.tolist(), owls.prompts[0]
    (['fluent_3d', 'fluent_flat', 'fluent_hc', 'noto', 'noto_line'], 'a glossy 3D render of owl')
    """

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


@dataclass(frozen=True)
class Folder:
    """The images of a folder, each the k x k mean of its centre square."""

    images: np.ndarray  # (N, 3, size, size) float16 in [-1, 1]
    names: np.ndarray  # (N,) str, paths within the folder, "000001.jpg"
    skipped: tuple[tuple[str, str], ...]  # (name, reason)
    notes: tuple[str, ...]  # what there is to know about them, in sentences


def load(name: str | Path, size: int = 64, **options) -> Drawings | Photographs | Folder:
    """`drawings` or `photographs`, by name, or the images of a `folder`, by its path; `options` are theirs.

    A folder of your own called "drawings" is "./drawings". ValueError for a name that is none of them.

    >>> load("photographs", size=8, crops=5).images.shape
    (5, 3, 8, 8)
    """
    sets = {"drawings": drawings, "photographs": photographs}
    if name in sets:
        return sets[name](size, **options)
    if not Path(name).is_dir():
        known = f"one of the {len(sets)} there are, such as {', '.join(sets)}"
        raise refuse("name", f"{name}, which is no folder of images either", known)
    return folder(name, size, **options)


def drawings(
    size: int = 64, styles: str | Iterable[str] | None = None, contents: str | Iterable[str] | None = None
) -> Drawings:
    """Drawings at `size` x `size` pixels, 64 or 64/2^k; only those of `styles` and `contents`, if given.

    Every content is there in every style: N = contents x styles, content by content, in the order given (the stored
    one by default). Raises ValueError for a size, style or content that there is not.

    >>> owls = drawings(32, styles=["fluent_3d", "noto_line"], contents="owl")
    >>> owls.images.shape, owls.prompts
    ((2, 3, 32, 32), ['a glossy 3D render of owl', 'a line drawing of owl'])
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

    >>> crops = photographs(size=8, crops=3, seed=0)
    >>> crops.images.shape
    (3, 3, 8, 8)
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

    >>> picture = photograph("wildlife/kingfisher", size=64)
    >>> picture.shape, bool(np.abs(picture).max() <= 1)
    ((3, 64, 64), True)
    """
    store = _open(FOLDER, "photographs.npz")
    pixels = _decode(store, _index(store, name))
    height, width, _ = pixels.shape
    if whole("size", size, 1) > min(height, width):
        raise refuse("size", size, f"at most {min(height, width)}, the shorter side of {name}")
    times, (left, top, right, bottom) = _centre(width, height, size)
    return _mean(pixels[top:bottom, left:right], times)


def folder(path: str | Path, size: int) -> Folder:
    """All images below the folder `path`, sorted by name, reduced to `size` x `size` pixels.

    Each is the k x k mean of its centre square of side k `size`, for the largest k that fits: upright as its EXIF
    says, on white where it is transparent, its first frame if it moves. Files that cannot be read and images smaller
    than `size` are skipped, and listed. In float16, CelebA's 202,599 faces take 5 GB at 64 x 64; it rounds by at most
    2^-12, a 32nd of the 2/255 between two values of a byte. Raises ValueError if `path` is no folder, holds no images
    or none that can be used.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as path:
    ...     Image.new("RGB", (20, 16), "white").save(f"{path}/white.png")
    ...     found = folder(path, size=8)
    >>> found.names.tolist(), found.images.shape, float(found.images.min())
    (['white.png'], (1, 3, 8, 8), 1.0)
    """
    whole("size", size, 1)
    if not Path(path).is_dir():
        raise refuse("path", str(path), "a folder of images")
    found = sorted(file.relative_to(path).as_posix() for file in Path(path).rglob("*") if file.is_file())
    files = [file for file in found if Path(file).suffix.lower() in SUFFIXES]
    if not files:
        there = f"{path}, where none of the {len(found)} files is one"
        raise refuse("path", there, f"a folder with images in it ({', '.join(sorted(SUFFIXES))})")

    images = np.empty((len(files), 3, size, size), np.float16)
    names, skipped, sizes, grey = [], [], set(), 0
    for file, read in zip(files, _read_all([Path(path) / file for file in files], size), strict=True):
        if isinstance(read, str):
            skipped.append((file, read))
            continue
        image, original = read
        images[len(names)] = image
        grey += bool((image[0] == image[1]).all() and (image[0] == image[2]).all())
        sizes.add(original)
        names.append(file)
    few = ", ".join(f"{name} ({reason})" for name, reason in skipped[:3])
    if not names:
        raise refuse(
            "path", f"{path}, of whose {len(files)} images none can: {few}", "a folder with images that can be used"
        )

    notes = []
    if skipped:
        more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
        notes.append(f"Skipped {len(skipped)} of {len(files)} files: {few}{more}.")
    if len(names) == 1:
        notes.append("There is one image only: a model can do no more than memorise it.")
    if grey:
        notes.append(f"Grey, and used as three equal channels: {grey} of {len(names)} images.")
    if len(sizes) > 1:
        notes.append(f"The images are of {len(sizes)} different sizes; each is cropped to its own centre.")
    return Folder(images[: len(names)], np.array(names), tuple(skipped), tuple(notes))


def image(path: str | Path, size: int) -> np.ndarray:
    """One image file, (3, size, size) float32 in [-1, 1]: the k x k mean of its centre square, as in `folder`.

    Raises ValueError, naming the file, if it cannot be read or is smaller than `size`.

    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as path:
    ...     Image.new("RGB", (20, 16), "black").save(f"{path}/black.png")
    ...     black = image(f"{path}/black.png", size=8)
    >>> black.shape, float(black.max())
    ((3, 8, 8), -1.0)
    """
    read = _read(Path(path), whole("size", size, 1))
    if isinstance(read, str):
        raise refuse("path", f"{path} ({read})", f"an image of at least {size} x {size} pixels")
    return read[0]


def checksum(images: np.ndarray, prompts: Sequence[str]) -> str:
    """The sha256 of a data set: the bytes of its images and its prompts.

    >>> grey = np.zeros((1, 3, 8, 8), np.float32)
    >>> [checksum(grey, ["grey"]) == checksum(grey, [name]) for name in ("grey", "gray")]
    [True, False]
    """
    digest = hashlib.sha256(str((images.dtype, images.shape)).encode())
    digest.update(np.ascontiguousarray(images))
    digest.update(json.dumps(list(prompts)).encode())
    return digest.hexdigest()


def photograph_names() -> list[str]:
    """The photographs' names, "collection/file".

    >>> len(photograph_names()), photograph_names()[0]
    (180, 'wildlife/bee')
    """
    return _open(FOLDER, "photographs.npz")["name"].tolist()


def credit(name: str) -> str:
    """Author, licence and source of a photograph or of a style of drawing, in one line.

    >>> credit("fluent_3d")
    'Fluent Emoji, (c) Microsoft Corporation, MIT'
    """
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


def _centre(width: int, height: int, size: int) -> tuple[int, tuple[int, ...]]:
    """The largest k for which k `size` fits, and the centre square of that side: left, top, right, bottom."""
    times = min(width, height) // size
    left, top = (width - times * size) // 2, (height - times * size) // 2
    return times, (left, top, left + times * size, top + times * size)


def _read_all(paths: list[Path], size: int) -> Iterator[tuple[np.ndarray, tuple[int, int]] | str]:
    """`_read` of each path, in order, by several threads."""
    progress = None
    if len(paths) > BLOCK:
        from tqdm import tqdm

        progress = tqdm(total=len(paths), unit=" images")
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BLOCK):
            block = paths[start : start + BLOCK]
            yield from pool.map(functools.partial(_read, size=size), block)
            if progress:
                progress.update(len(block))
    if progress:
        progress.close()


def _read(path: Path, size: int) -> tuple[np.ndarray, tuple[int, int]] | str:
    """The centre of an image, (3, size, size) float32, and its width and height in pixels; or why there is none."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
        width, height = image.size
        if min(width, height) < size:
            return f"{width} x {height} pixels, smaller than {size} x {size}"
        if image.mode in ("I", "F"):
            return f"pixels of mode {image.mode}, whose range is not known"
        times, box = _centre(width, height, size)
        image = image.crop(box)
        if image.mode.startswith("I;16"):
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # Pillow would clip it to 255
        if "A" in image.getbands() or "transparency" in image.info:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return _mean(np.asarray(image.convert("RGB")), times), (width, height)
    except UnidentifiedImageError:
        return "not an image"
    except Exception as error:  # a damaged file can raise almost anything
        return str(error) or type(error).__name__


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
