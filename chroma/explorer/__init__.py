"""The explorer of noise schedules: a chromatogram and a noisy image at every level, live in a page without Python.

The controls are ipywidgets, linked in the browser (`jslink`) to one anywidget that computes and draws. Nothing runs in
Python after the page is built, and nothing is fetched: the photograph travels inside the page. The mathematics in
schedules.js is that of ``chroma.schedules`` and ``chroma.chromatography``, and is tested against them.
"""

from __future__ import annotations

import base64
import inspect
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import numpy as np
import numpy.typing as npt
import traitlets

from chroma._check import check_int, invalid_argument
from chroma.explorer._linking import link_modules
from chroma.palette import COLOURS
from chroma.pyramid import depth
from chroma.schedulers.pipelines import published_plan
from chroma.schedulers.published import PUBLISHED
from chroma.schedulers.settings import FOLLOWED
from chroma.schedules import EDM, Cosine, Linear, Natural, RectifiedFlow, ScaledLinear, Schedule, Sigmoid

SIZES = (32, 64, 128, 256)
FACTORS = (2, 4)
STEP_COUNTS = (10, 20, 30, 50)
# the published schedulers whose steps need NumPy alone
SCHEDULERS = [name for name, published in PUBLISHED.items() if published.config["_class_name"] in FOLLOWED]
NATURAL_T_MAX = 12.0  # Natural never ends; by t = 12 even the coarsest level of a 64 x 64 image has begun

LABELS: dict[type[Schedule], str] = {
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
    """Describe the slider of one schedule parameter.

    Attributes:
        label: the text beside the slider.
        minimum: the value at its left end.
        maximum: the value at its right end.
        step: the distance between neighbouring values.
        decimals: how many are shown.
    """

    label: str
    minimum: float
    maximum: float
    step: float
    decimals: int


# Chosen so that no two sliders can contradict each other (start < end, sigma_min < sigma_max) and so that
# every default is a whole number of steps: a slider rounds its first value to one.
RANGES: dict[tuple[type[Schedule], str], Range] = {
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

_FOLDER = Path(__file__).parent
_SCRIPTS = {path.name: path.read_text(encoding="utf-8") for path in _FOLDER.glob("*.js")}


def default_parameters(kind: type[Schedule]) -> dict[str, float]:
    """List the parameters of a schedule class with their defaults.

    Args:
        kind: one of the classes in `LABELS`.

    Returns:
        Each parameter's default under the parameter's name.

    >>> default_parameters(EDM)
    {'sigma_min': 0.002, 'sigma_max': 80.0, 'rho': 7.0}
    """
    return {name: parameter.default for name, parameter in inspect.signature(kind).parameters.items()}


def parameter_trait(kind: type[Schedule], name: str) -> str:
    """Name the trait of the view that holds one parameter of a schedule class.

    Args:
        kind: one of the classes in `LABELS`.
        name: of the parameter.

    Returns:
        The name of the trait; `parameterTrait` in choice.js makes the same one.

    >>> parameter_trait(Cosine, "s")
    'Cosine_s'
    """
    return f"{kind.__name__}_{name}"


def count_levels(size: int, factor: int) -> int:
    """Count the levels of an image, from full size to the coarsest that averaging reaches.

    Args:
        size: the side length of the image in pixels.
        factor: the side length of the averaged squares in pixels.

    Returns:
        The number of levels.

    >>> count_levels(64, 2), count_levels(64, 4)
    (7, 4)
    """
    return 1 + depth((size, size), factor)


def _describe_schedule(kind: type[Schedule]) -> dict[str, Any]:
    """Describe a schedule class to the browser: its label, the last time shown, and its parameters."""
    return {
        "label": LABELS[kind],
        "t_max": min(kind.domain[1], NATURAL_T_MAX),
        "parameters": default_parameters(kind),
    }


def _describe_scheduler(name: str) -> dict[str, Any]:
    """Describe a published scheduler to the browser: its title, and the log-SNRs of its steps for each step count.

    A log-SNR of -inf is None, as JSON has no infinity; a step count is a string, as the keys of JSON are.
    """
    published = PUBLISHED[name]

    def step_log_snrs(count: int) -> list[float | None]:
        log_snrs = published_plan(published, count).log_snrs
        return [round(float(z), 6) if np.isfinite(z) else None for z in log_snrs]

    return {"label": published.title, "log_snrs": {str(count): step_log_snrs(count) for count in STEP_COUNTS}}


def _options(sizes: Sequence[int] = SIZES) -> dict[str, list[Any]]:
    """List what can be selected in each control; None is no selection."""
    schedules = [kind.__name__ for kind in LABELS]
    return {
        "schedule": schedules,
        "compare": [None, *schedules],
        "scheduler": [None, *SCHEDULERS],
        "num_steps": list(STEP_COUNTS),
        "axis": ["time", "log-SNR"],
        "size": list(sizes),
        "factor": list(FACTORS),
    }


class ScheduleView(anywidget.AnyWidget):
    """Compute and show, in the browser, what the reader of the explorer chose.

    The traits hold the choices. A trait "x_index" is the index of the selected entry of ``options["x"]``: without
    Python, an ipywidgets control can be linked by its index alone, since its value is not sent to the browser.
    `readChoice` in choice.js looks the entries up, and everything after it uses names.

    The parameters of the schedules are traits too, added by `explorer` and named by `parameter_trait`.

    Attributes:
        schedules: a description of each schedule, under the name of its class; from `_describe_schedule`.
        schedulers: a description of each published scheduler, under its name; from `_describe_scheduler`.
        options: what can be selected in each control.
        colours: one per image side 1, 2, 4, .., as "#rrggbb".
        photograph: the image, as a data URL.
        levels: how many levels are shown, at most `levels_max`.
        t: the time, from 0 (image) to `t_max` (noise).
        progress: the position of `t` on the axis of the chart, from 0 (noise) to 1 (image).
    """

    _esm = link_modules(_SCRIPTS, "widget.js")
    _css = (_FOLDER / "explorer.css").read_text(encoding="utf-8")

    schedules = traitlets.Dict({kind.__name__: _describe_schedule(kind) for kind in LABELS}).tag(sync=True)
    schedulers = traitlets.Dict({name: _describe_scheduler(name) for name in SCHEDULERS}).tag(sync=True)
    options = traitlets.Dict(_options()).tag(sync=True)
    colours = traitlets.List(list(COLOURS)).tag(sync=True)
    photograph = traitlets.Unicode().tag(sync=True)

    schedule_index = traitlets.Int(0).tag(sync=True)
    compare_index = traitlets.Int(0).tag(sync=True)
    scheduler_index = traitlets.Int(0).tag(sync=True)
    num_steps_index = traitlets.Int(STEP_COUNTS.index(30)).tag(sync=True)
    axis_index = traitlets.Int(0).tag(sync=True)
    size_index = traitlets.Int(0).tag(sync=True)
    factor_index = traitlets.Int(0).tag(sync=True)
    levels = traitlets.Int(1).tag(sync=True)
    levels_max = traitlets.Int(1).tag(sync=True)
    t = traitlets.Float(0.6).tag(sync=True)
    t_max = traitlets.Float(1.0).tag(sync=True)
    progress = traitlets.Float(0.4).tag(sync=True)


def data_url(image: np.ndarray) -> str:
    """Encode an image as a JPEG inside a URL, so that it travels in the page.

    Args:
        image: (3, N, N), in [-1, 1].

    Returns:
        The URL, which starts with ``data:image/jpeg;base64,``.

    >>> data_url(np.zeros((3, 32, 32)))[:23]
    'data:image/jpeg;base64,'
    """
    from PIL import Image

    pixels = np.clip(np.rint((image + 1) * 127.5), 0, 255).astype(np.uint8).transpose(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def explorer(image: npt.ArrayLike | None = None, size: int = 64, levels: int = 7) -> ipywidgets.Widget:
    """Build the interactive explorer of noise schedules, a widget to put last in a notebook cell.

    It shows the chromatogram of a schedule (Figs 3 and 4, left) and one noisy image at every level. It goes on working
    in a page without Python.

    Args:
        image: (3, N, N) in [-1, 1], with N one of 32, 64, 128, 256; a bundled photograph if None.
        size: the side length in pixels at which the image is shown first; one of the same numbers, at most N.
        levels: how many levels are shown first, each the 2 x 2 means of the one before; at most 1 + log2(size).

    Returns:
        The widget, with controls, a slider of time, and a `ScheduleView`.

    Raises:
        ValueError: if `image` has another shape or other values, or for another `size` or more `levels`.

    >>> controls, time, view = explorer(levels=3).children
    >>> view.levels, view.levels_max
    (3, 7)
    """
    if image is None:
        from chroma.data import photograph

        image = photograph(size=SIZES[-1])
    pixels = np.asarray(image, dtype=np.float64)
    if not any(pixels.shape == (3, side, side) for side in SIZES):
        raise invalid_argument("image", f"shape {pixels.shape}", f"of shape (3, N, N), N one of {SIZES}")
    if not (np.abs(pixels) <= 1).all():
        raise invalid_argument("image", f"values from {pixels.min():g} to {pixels.max():g}", "within [-1, 1]")
    sizes = [side for side in SIZES if side <= pixels.shape[1]]
    if size not in sizes:
        raise invalid_argument("size", size, f"one of {sizes}")
    levels_max = count_levels(size, FACTORS[0])
    if check_int("levels", levels, 1) > levels_max:
        raise invalid_argument("levels", levels, f"at most {levels_max} at size {size}")

    view = ScheduleView(
        photograph=data_url(pixels),
        options=_options(sizes),
        size_index=sizes.index(size),
        levels=levels,
        levels_max=levels_max,
    )
    view.add_traits(
        **{
            parameter_trait(kind, name): traitlets.Float(default).tag(sync=True)
            for kind in LABELS
            for name, default in default_parameters(kind).items()
        }
    )
    box = ipywidgets.VBox([_controls(view), _progress(view), view], layout={"width": "100%"})
    return box.add_class("chroma-explorer")


def _selection(
    view: ScheduleView,
    control: str,
    description: str,
    labels: Sequence[str],
    widget: type[ipywidgets.Widget] = ipywidgets.Dropdown,
    **widget_options: Any,
) -> ipywidgets.Widget:
    """Build a control that selects one of ``view.options[control]``, shown as `labels`."""
    trait = f"{control}_index"
    selection = widget(options=labels, index=getattr(view, trait), description=description, **widget_options)
    ipywidgets.jslink((selection, "index"), (view, trait))
    return selection


def _controls(view: ScheduleView) -> ipywidgets.Widget:
    """Build the grid of controls, each linked to `view` in the browser."""
    levels = ipywidgets.IntSlider(view.levels, 1, view.levels_max, description="levels")
    ipywidgets.jsdlink((view, "levels_max"), (levels, "max"))
    ipywidgets.jslink((levels, "value"), (view, "levels"))
    time = ipywidgets.BoundedFloatText(view.t, min=0.0, max=view.t_max, step=0.01, description="time t")
    ipywidgets.jsdlink((view, "t_max"), (time, "max"))
    ipywidgets.jslink((time, "value"), (view, "t"))

    schedules = list(LABELS.values())
    schedulers = [scheduler["label"] for scheduler in view.schedulers.values()]
    schedule = _selection(view, "schedule", "schedule", schedules)
    parameters = ipywidgets.Stack([_parameters(view, kind) for kind in LABELS], selected_index=view.schedule_index)
    ipywidgets.jsdlink((schedule, "index"), (parameters, "selected_index"))
    options = view.options
    controls = [
        schedule,
        _selection(view, "compare", "compare with", ["nothing", *schedules]),
        _selection(view, "scheduler", "steps of", ["no scheduler", *schedulers]),
        _selection(view, "num_steps", "how many steps", [str(count) for count in options["num_steps"]]),
        _selection(view, "axis", "axis", options["axis"], ipywidgets.RadioButtons, orientation="horizontal"),
        _selection(view, "size", "image size", [f"{side} × {side}" for side in options["size"]]),
        _selection(view, "factor", "averaged squares", [f"{n} × {n} pixels" for n in options["factor"]]),
        levels,
        time,
        parameters.add_class("chroma-parameters"),
    ]
    return ipywidgets.Box(controls).add_class("chroma-controls")


def _parameters(view: ScheduleView, kind: type[Schedule]) -> ipywidgets.Widget:
    """Build the sliders of one schedule's own parameters."""
    sliders = []
    for name, default in default_parameters(kind).items():
        offered = RANGES[kind, name]
        slider = ipywidgets.FloatSlider(
            default,
            min=offered.minimum,
            max=offered.maximum,
            step=offered.step,
            readout_format=f".{offered.decimals}f",
            description=offered.label,
        )
        ipywidgets.jslink((slider, "value"), (view, parameter_trait(kind, name)))
        sliders.append(slider)
    return ipywidgets.Box(sliders)


def _progress(view: ScheduleView) -> ipywidgets.Widget:
    """Build the slider above the chart, which moves along the axis of the chart: from noise to image, unlike t."""
    slider = ipywidgets.FloatSlider(
        view.progress, min=0.0, max=1.0, step=0.005, readout=False, description="time, from noise to image"
    )
    ipywidgets.jslink((slider, "value"), (view, "progress"))
    return slider.add_class("chroma-progress")
