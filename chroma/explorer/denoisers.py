"""The live view: three denoisers sample side by side from the same noise, in a page without Python.

Two of them are exact and small: Gaussian data with the powers of photographs (`chroma.exact.GaussianPredictor`), and a
finite set, which is what a network that memorised it would predict (`chroma.exact.EmpiricalPredictor`). The third is
the bundled text-to-image network photos-32. Its weights and the runtime are files of the book's site, fetched when the
reader asks for them. The mathematics in sampler.js is tested against this package.
"""

from __future__ import annotations

import base64
import io
import json
from functools import cache
from pathlib import Path
from typing import Any

import anywidget
import numpy as np
import traitlets

from chroma.data import SCENE_STYLES, photograph, photograph_names
from chroma.explorer import LABELS, default_parameters
from chroma.explorer._linking import link_modules
from chroma.palette import COLOURS
from chroma.schedules import EDM, Cosine, Linear, RectifiedFlow

SIDE = 32  # pixels, of the network's images
SHEET_COLUMNS = 15
SCHEDULES = (Cosine, Linear, RectifiedFlow, EDM)  # those whose ends are noise and image for each denoiser
RUNTIME_BYTES = 14_239_897  # of WebAssembly; the scripts around it are small
DEFAULTS = {
    "seed": "3",
    "steps": "25",
    "schedule": "Cosine",
    "style": "photo",
    "subject": "a kingfisher",
    "scale": "3",
    "switch": "0",
    "style2": "oil",
    "subject2": "a kingfisher",
    "step": "15",
}

_FOLDER = Path(__file__).parent
RECORD = _FOLDER / "network.json"  # of the network's file, written by book/_tools/export_onnx.py
_SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.glob("*.js")}


@cache
def remembered_images() -> np.ndarray:
    """Load the finite set of the live view: every bundled photograph, followed by its mirror image.

    Returns:
        (360, 3, 32, 32) uint8.

    >>> images = remembered_images()
    >>> images.shape, bool((images[1] == images[0][..., ::-1]).all())
    ((360, 3, 32, 32), True)
    """
    photographs = np.stack([photograph(name, SIDE) for name in photograph_names()])
    pixels = np.clip(np.rint((photographs + 1) * 127.5), 0, 255).astype(np.uint8)
    return np.stack([pixels, pixels[..., ::-1]], 1).reshape(-1, 3, SIDE, SIDE)


def photograph_powers() -> tuple[np.ndarray, np.ndarray]:
    """Estimate the mean colour of the finite set, and the covariance of its colours in each band.

    Returns:
        The mean, (3,), and the covariances, finest band first, (6, 3, 3), of values in [-1, 1].

    >>> mean, covariances = photograph_powers()
    >>> mean.shape, covariances.shape
    ((3,), (6, 3, 3))
    """
    import torch

    from chroma.spectra import band_covariance

    images = torch.from_numpy(remembered_images() / 127.5 - 1)
    mean = images.mean((0, 2, 3))
    return mean.numpy(), band_covariance(images - mean[:, None, None]).numpy()


def _describe_gaussian() -> dict[str, Any]:
    """Describe the Gaussian to the browser: its mean, and each band's eigenvalues and eigenvectors, in columns."""
    mean, covariances = photograph_powers()
    values, vectors = np.linalg.eigh(covariances)
    return {"mean": mean.tolist(), "values": values.tolist(), "vectors": vectors.tolist()}


def _sheet() -> str:
    """Encode the photographs without their mirror images as a sheet of tiles, a lossless WebP in a URL."""
    from PIL import Image

    tiles = remembered_images()[::2]
    rows = tiles.reshape(-1, SHEET_COLUMNS, 3, SIDE, SIDE).transpose(0, 3, 1, 4, 2)
    file = io.BytesIO()
    Image.fromarray(rows.reshape(-1, SHEET_COLUMNS * SIDE, 3)).save(file, "WEBP", lossless=True, method=6)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()


def _describe_network(folder: str | None) -> dict[str, Any]:
    """Describe the network to the browser: where its files are, its prompts' tokens, its training times' log-SNRs."""
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    return {
        "folder": None if folder is None else f"{folder}network/{record['file']}",
        "runtime": f"{folder}onnxruntime/",
        "runtime_bytes": RUNTIME_BYTES,
        "styles": SCENE_STYLES,
        **{name: record[name] for name in ("bytes", "log_snrs", "subjects", "ids")},
    }


class SamplingView(anywidget.AnyWidget):
    """Sample in the browser with three denoisers, and show any step of each.

    Attributes:
        gaussian: the mean and the covariances of the Gaussian data, by their eigenvalues and eigenvectors.
        sheet: the photographs of the finite set, as a data URL.
        side: of all images, in pixels.
        network: where the files of the network are, and what it needs beside them.
        schedules: label and parameters of each schedule, under the name of its class.
        colours: one per image side 1, 2, 4, .., as "#rrggbb".
        state: what is chosen first, under the names of the controls.
        worker: the script of the worker that samples.
    """

    _esm = link_modules(_SCRIPTS, "live.js")
    _css = (_FOLDER / "live.css").read_text(encoding="utf-8")

    gaussian = traitlets.Dict().tag(sync=True)
    sheet = traitlets.Unicode().tag(sync=True)
    side = traitlets.Int(SIDE).tag(sync=True)
    network = traitlets.Dict().tag(sync=True)
    schedules = traitlets.Dict(
        {kind.__name__: {"label": LABELS[kind], "parameters": default_parameters(kind)} for kind in SCHEDULES}
    ).tag(sync=True)
    colours = traitlets.List(list(COLOURS)).tag(sync=True)
    state = traitlets.Dict(DEFAULTS).tag(sync=True)
    worker = traitlets.Unicode(link_modules(_SCRIPTS, "worker.js")).tag(sync=True)


def live(network: str | None = "") -> SamplingView:
    """Build the live view of three denoisers, a widget to put last in a notebook cell.

    Two exact denoisers sample at once, in any page or notebook. The network needs a page of the book's site, or of
    another site that has its files: "network" and "onnxruntime" of the site's folder ``_static``.

    Args:
        network: the folder with these two, relative to ``_static``; None to offer the exact denoisers alone.

    Returns:
        The widget.

    >>> sorted(live().gaussian)
    ['mean', 'values', 'vectors']
    """
    return SamplingView(gaussian=_describe_gaussian(), sheet=_sheet(), network=_describe_network(network))
