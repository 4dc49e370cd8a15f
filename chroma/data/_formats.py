"""Which files are images: the formats that Pillow reads, and those that it does not."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile

# Formats that Pillow identifies without decoding them, or decodes by running another program.
NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
COMMON_SUFFIXES = (".bmp", ".gif", ".jpg", ".png", ".tif", ".webp")  # for messages
COMMON = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP")  # tried first

# Images that Pillow does not read, unless a plugin is registered for the suffix. Raw files are here although many are
# TIFFs: Pillow would read the small preview in them.
FOREIGN = {
    "HEIC": ".heic .heics .heif .heifs .hif",
    "JPEG XL": ".jxl",
    "JPEG XR": ".hdp .jxr .wdp",
    "OpenEXR": ".exr",
    "Radiance HDR": ".hdr",
    "DICOM": ".dcm .dicom",
    "NIfTI": ".nii",
    "GIMP": ".xcf",
    "Photoshop's large format": ".psb",
    "vector graphics": ".ai .cdr .emf .eps .ps .svg .svgz .wmf",
    "camera raw": ".3fr .arw .cr2 .cr3 .crw .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl "
    ".sr2 .srf .srw",
}
OTHERS = {
    "text file": ".caption .cfg .csv .htm .html .ini .json .jsonl .log .md .rst .rtf .tags .toml .tsv .txt .xml .yaml "
    ".yml",
    "document": ".doc .docx .odt .pdf .ppt .pptx .xls .xlsx",
    "archive": ".7z .arrow .bz2 .gz .lmdb .mdb .parquet .rar .tar .tfrecord .tfrecords .tgz .xz .zip .zst",
    "video": ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv",
    "file of arrays": ".ckpt .h5 .hdf .hdf5 .mat .npy .npz .pickle .pkl .pt .pth .safetensors",
}
# First bytes, as (position, bytes), of what is often found under the name of an image.
SIGNATURES = (
    (0, b"version https://git-lfs", "a Git LFS pointer: the image itself is not here (git lfs pull)"),
    (4, b"ftypheic", "a HEIC image, which Pillow does not read"),
    (4, b"ftypheix", "a HEIC image, which Pillow does not read"),
    (4, b"ftypmif1", "a HEIF image, which Pillow does not read"),
    (0, b"\xff\x0a", "a JPEG XL image, which Pillow does not read"),
    (0, b"\xff\xd8\xff", "a JPEG that is damaged, or of a kind that Pillow does not read"),
    (0, b"\x89PNG\r\n\x1a\n", "a damaged PNG"),
    (4, b"JXL \r\n", "a JPEG XL image, which Pillow does not read"),
)


def _kinds(table: dict[str, str]) -> dict[str, str]:
    return {suffix: kind for kind, suffixes in table.items() for suffix in suffixes.split()}


FOREIGN_KINDS, OTHER_KINDS = _kinds(FOREIGN), _kinds(OTHERS)


def suffix_formats() -> dict[str, str]:
    """Look up the formats that Pillow reads, those of registered plugins included.

    Returns:
        Suffix, such as ".jpg", -> format, such as "JPEG".
    """
    from PIL import Image

    Image.init()
    readable = Image.OPEN.keys() - NOT_DECODED | {"MPO"}  # several JPEGs in one file; the format JPEG opens it
    return {suffix: format for suffix, format in Image.EXTENSION.items() if format in readable}


@functools.cache
def _formats(suffix: str, registered: int) -> tuple[str, ...]:
    """The formats that a file of this suffix may have; `registered` changes when a plugin is added."""
    from PIL import Image

    with_signature = [name for name in Image.ID if Image.OPEN[name][1] is not None and name not in NOT_DECODED]
    own = suffix_formats().get(suffix)  # a format without signature, such as TGA, would open many a damaged file
    others = [own] if own in Image.OPEN and own not in with_signature else []
    return (*(name for name in COMMON if name in with_signature), *set(with_signature).difference(COMMON), *others)


@contextmanager
def open_image(path: str | Path) -> Iterator[ImageFile.ImageFile]:
    """Open an image file by its first bytes, whatever its suffix.

    Args:
        path: of the file.

    Yields:
        The image, whose pixels are not read yet.

    Raises:
        PIL.UnidentifiedImageError: if it is of no format that Pillow decodes; Pillow's other errors for damaged files.
    """
    from PIL import Image

    Image.init()
    formats = _formats(os.path.splitext(path)[1].lower(), len(Image.OPEN))
    with open(path, "rb") as file:  # of a path, Pillow maps plain TIFFs into memory, and scrambles those on their side
        yield Image.open(file, formats=formats)


def is_image(path: str) -> bool:
    """Whether a file is an image by its first bytes.

    Args:
        path: of the file.

    Raises:
        OSError: if it cannot be opened.
    """
    from PIL import Image, UnidentifiedImageError

    with open(path, "rb") as file:
        head = file.read(16)
    if not any(_accepts(name, head) for name in _formats("", len(Image.OPEN))):
        return False
    try:
        with open_image(path):
            return True
    except UnidentifiedImageError:
        return False
    except Exception:  # the head of an image, and a damaged rest
        return True


def _accepts(format: str, head: bytes) -> bool:
    """Whether a file begins as those of a format do."""
    from PIL import Image

    accept = Image.OPEN[format][1]
    try:
        return accept is not None and accept(head) is True  # a string says why a format cannot be read
    except (IndexError, struct.error):  # the file is shorter than what is looked for
        return False


def describe_unknown(path: str | Path) -> str:
    """Say what a file is of which Pillow says that it is not an image.

    Args:
        path: of the file.

    Returns:
        "not an image", or more where the file tells.
    """
    with open(path, "rb") as file:
        head = file.read(32)
        if head[:4] in (b"II*\0", b"MM\0*"):
            return _describe_tiff(file)
    return next((what for start, bytes_, what in SIGNATURES if head.startswith(bytes_, start)), "not an image")


def _describe_tiff(file: IO[bytes]) -> str:
    """Say what kind of TIFF Pillow does not read."""
    from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION, ImageFileDirectory_v2

    try:
        file.seek(0)
        tags = ImageFileDirectory_v2(file.read(8))
        file.seek(tags.next)
        tags.load(file)
        bits, photometric = max(tags[BITSPERSAMPLE]), tags[PHOTOMETRIC_INTERPRETATION]
        kind = f"{bits} bits per sample and photometric interpretation {photometric}"
        return f"a TIFF of {kind}, which Pillow does not read"
    except Exception:  # damaged
        return "a TIFF that is damaged, or of a kind that Pillow does not read"
