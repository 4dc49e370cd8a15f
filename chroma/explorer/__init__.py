"""The schedule explorer: a noise schedule, its chromatogram and a real image at every level, live without a kernel.

The controls are ipywidgets, linked in the browser (`jslink`) to one anywidget that computes and draws; nothing
runs in Python after the page is built, and nothing is fetched: the photograph travels inside the page. The
mathematics is a port of ``chroma.schedules`` and ``chroma.chromatography``, tested against them.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, fields
from pathlib import Path

import anywidget
import ipywidgets
import numpy as np
import traitlets

from chroma._check import refuse, whole
from chroma.palette import COLOURS
from chroma.published import SHIPPED
from chroma.pyramid import depth
from chroma.schedules import EDM, Cosine, Linear, Natural, RectifiedFlow, ScaledLinear, Sigmoid
from chroma.steps import plan

SIZES = (32, 64, 128, 256)
KERNELS = (2, 4)
STEPS = (10, 20, 30, 50)
NATURAL_LAST = 12.0  # Natural never ends; by t = 12 even the coarsest level of a 64 x 64 image has begun

LABELS = {
    Cosine: "Cosine",
    Linear: "Linear",
    ScaledLinear: "Scaled linear (Stable Diffusion)",
    Sigmoid: "Sigmoid",
    Natural: "Natural",
    RectifiedFlow: "Rectified flow",
    EDM: "EDM",
}


@dataclass(frozen=True)
class Range:
    """What the slider of one schedule parameter offers."""

    label: str
    least: float
    most: float
    step: float
    digits: int


# Chosen so that no two sliders can contradict each other (start < end, sigma_min < sigma_max) and so that
# every default is a whole number of steps: a slider rounds its first value to one.
RANGES = {
    (Cosine, "s"): Range("s", 0.0, 0.2, 0.001, 3),
    (Linear, "beta_min"): Range("β min", 0.05, 5.0, 0.05, 2),
    (Linear, "beta_max"): Range("β max", 5.0, 40.0, 0.5, 1),
    (ScaledLinear, "beta_min"): Range("β min", 0.05, 5.0, 0.05, 2),
    (ScaledLinear, "beta_max"): Range("β max", 5.0, 40.0, 0.5, 1),
    (Sigmoid, "start"): Range("start", -8.0, 0.0, 0.25, 2),
    (Sigmoid, "end"): Range("end", 0.5, 8.0, 0.25, 2),
    (RectifiedFlow, "shift"): Range("shift", 0.25, 8.0, 0.25, 2),
    (EDM, "sigma_min"): Range("σ min", 0.001, 0.1, 0.001, 3),
    (EDM, "sigma_max"): Range("σ max", 5.0, 200.0, 1.0, 0),
    (EDM, "rho"): Range("ρ", 1.0, 15.0, 0.5, 1),
}

_HERE = Path(__file__).parent


def _defaults(kind: type) -> dict[str, float]:
    return {parameter.name: parameter.default for parameter in fields(kind)}


def _kind(kind: type) -> dict:
    """What the browser must know of a schedule class."""
    last = min(kind.domain[1], NATURAL_LAST)
    return {"name": kind.__name__, "label": LABELS[kind], "last": last, "parameters": _defaults(kind)}


def _comb(name: str) -> dict:
    """The log-SNRs of a shipped scheduler's steps, one list for each of STEPS; None is -inf, which JSON lacks."""
    shipped = SHIPPED[name]
    tokens = (shipped.size // shipped.latent_factor // 2) ** 2
    plans = [plan(shipped.config, count, tokens).log_snrs for count in STEPS]
    return {
        "label": shipped.title,
        "log_snrs": [[round(float(z), 6) if np.isfinite(z) else None for z in log_snrs] for log_snrs in plans],
    }


def levels_of(size: int, kernel: int) -> int:
    """How many levels an image of side `size` has."""
    return 1 + depth((size, size), kernel)


class ScheduleView(anywidget.AnyWidget):
    """The drawing half of the explorer. Its traits hold what the reader chose; indices point into `kinds`, `sizes`,
    `kernels`; `compare` is 0 for none, else 1 + an index into `kinds`, and `comb` one into `combs`; `progress` is the
    place of `t` on the axis, from noise (0) to image (1). Schedule parameters are traits too, named "Cosine_s" after
    class and field.
    """

    _esm = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("schedules.js", "draw.js", "widget.js"))
    _css = (_HERE / "explorer.css").read_text(encoding="utf-8")

    kinds = traitlets.List([_kind(kind) for kind in LABELS]).tag(sync=True)
    colours = traitlets.List(list(COLOURS)).tag(sync=True)
    kernels = traitlets.List(list(KERNELS)).tag(sync=True)
    sizes = traitlets.List(list(SIZES)).tag(sync=True)
    combs = traitlets.List([_comb(name) for name in SHIPPED]).tag(sync=True)
    steps = traitlets.List(list(STEPS)).tag(sync=True)
    photograph = traitlets.Unicode().tag(sync=True)

    schedule = traitlets.Int(0).tag(sync=True)
    compare = traitlets.Int(0).tag(sync=True)
    comb = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(STEPS.index(30)).tag(sync=True)
    axis = traitlets.Int(0).tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    kernel = traitlets.Int(0).tag(sync=True)
    levels = traitlets.Int(1).tag(sync=True)
    levels_max = traitlets.Int(1).tag(sync=True)
    t = traitlets.Float(0.6).tag(sync=True)
    t_max = traitlets.Float(1.0).tag(sync=True)
    progress = traitlets.Float(0.4).tag(sync=True)


def data_url(image: np.ndarray) -> str:
    """`image`, (3, N, N) in [-1, 1], as a JPEG inside a URL: what the page carries."""
    from PIL import Image

    pixels = np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def explorer(image=None, size: int = 64, levels: int = 7) -> ipywidgets.Widget:
    """The interactive schedule explorer (Figs 3 and 4, left), as a widget to put last in a notebook cell.

    image: a square picture, (3, N, N) in [-1, 1], N one of 32, 64, 128, 256; None takes a bundled photograph. It is
    shown at `size` (at most N, one of the same numbers) and, coarser by 2 x 2 means, at `levels` levels, at most
    1 + log2(size); the reader can change both. Raises ValueError for anything else.
    """
    if image is None:
        from chroma.data import photograph

        image = photograph(size=SIZES[-1])
    picture = np.asarray(image, dtype=np.float64)
    if not any(picture.shape == (3, side, side) for side in SIZES):
        raise refuse("image", f"shape {picture.shape}", f"of shape (3, N, N), N one of {SIZES}")
    if not (np.abs(picture) <= 1).all():
        raise refuse("image", f"values from {picture.min():g} to {picture.max():g}", "within [-1, 1]")
    sizes = [side for side in SIZES if side <= picture.shape[1]]
    if size not in sizes:
        raise refuse("size", size, f"one of {sizes}")
    if whole("levels", levels, 1) > levels_of(size, KERNELS[0]):
        raise refuse("levels", levels, f"at most {levels_of(size, KERNELS[0])} at size {size}")

    view = ScheduleView(
        photograph=data_url(picture),
        sizes=sizes,
        size=sizes.index(size),
        levels=levels,
        levels_max=levels_of(size, KERNELS[0]),
    )
    view.add_traits(
        **{
            f"{kind.__name__}_{name}": traitlets.Float(default).tag(sync=True)
            for kind in LABELS
            for name, default in _defaults(kind).items()
        }
    )
    box = ipywidgets.VBox([_controls(view), _progress(view), view], layout={"width": "100%"})
    return box.add_class("chroma-explorer")


def _controls(view: ScheduleView) -> ipywidgets.Widget:
    """The grid of controls, each linked to `view` in the browser. Dropdowns sync their index, not their value."""

    def choose(trait, description, options, widget=ipywidgets.Dropdown, **options_of_widget):
        control = widget(options=options, index=getattr(view, trait), description=description, **options_of_widget)
        ipywidgets.jslink((control, "index"), (view, trait))
        return control

    levels = ipywidgets.IntSlider(view.levels, 1, view.levels_max, description="levels")
    time = ipywidgets.BoundedFloatText(view.t, min=0.0, max=view.t_max, step=0.01, description="time t")
    ipywidgets.jsdlink((view, "levels_max"), (levels, "max"))
    ipywidgets.jslink((levels, "value"), (view, "levels"))
    ipywidgets.jsdlink((view, "t_max"), (time, "max"))
    ipywidgets.jslink((time, "value"), (view, "t"))

    schedule = choose("schedule", "schedule", list(LABELS.values()))
    parameters = ipywidgets.Stack([_parameters(view, kind) for kind in LABELS], selected_index=view.schedule)
    ipywidgets.jsdlink((schedule, "index"), (parameters, "selected_index"))
    controls = [
        schedule,
        choose("compare", "compare with", ["nothing", *LABELS.values()]),
        choose("comb", "steps of", ["no scheduler", *(comb["label"] for comb in view.combs)]),
        choose("count", "how many steps", [str(count) for count in view.steps]),
        choose("axis", "axis", ["time", "log-SNR"], ipywidgets.RadioButtons, orientation="horizontal"),
        choose("size", "image size", [f"{side} × {side}" for side in view.sizes]),
        choose("kernel", "kernel n", [f"{n} × {n} pixels" for n in KERNELS]),
        levels,
        time,
        parameters.add_class("chroma-parameters"),
    ]
    return ipywidgets.Box(controls).add_class("chroma-controls")


def _parameters(view: ScheduleView, kind: type) -> ipywidgets.Widget:
    """The sliders of one schedule's own parameters."""
    sliders = []
    for name, default in _defaults(kind).items():
        offer = RANGES[kind, name]
        slider = ipywidgets.FloatSlider(
            default,
            min=offer.least,
            max=offer.most,
            step=offer.step,
            readout_format=f".{offer.digits}f",
            description=offer.label,
        )
        ipywidgets.jslink((slider, "value"), (view, f"{kind.__name__}_{name}"))
        sliders.append(slider)
    return ipywidgets.Box(sliders)


def _progress(view: ScheduleView) -> ipywidgets.Widget:
    """The slider over the plot. It moves along the drawn axis, so it runs from noise to image, unlike t."""
    slider = ipywidgets.FloatSlider(
        view.progress, min=0.0, max=1.0, step=0.005, readout=False, description="time, from noise to image"
    )
    ipywidgets.jslink((slider, "value"), (view, "progress"))
    return slider.add_class("chroma-progress")
