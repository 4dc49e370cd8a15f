"""A chart for every scheduler: which step draws which resolution::

    python -m chroma.atlas sdxl --steps 30
    python -m chroma.atlas path/to/pipeline --steps 50 --json

A row a step, from noise to image. A resolution is a grid over the picture, named by its side in pixels (or latents):
"8" is 8 x 8. In the step from log-SNR z to z', band m grows by s(z' + log V_m) - s(z + log V_m): `share` is that over
the sum of all bands, with the paper's V_m = 4^m (Eq 18, integrated over the step), `share_photographs` the same with
the band powers of photographs; `done` and `done_photographs` are what the band has by then. The last step ends at the
image itself.

Needs NumPy alone for the schedulers that `chroma.steps.plan` knows; others are set up by diffusers.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import numpy as np

from chroma._check import refuse, whole
from chroma.published import SHIPPED
from chroma.schedules import expit
from chroma.steps import Plan, plan, visited

# V_m / 4^m of the bundled photographs by the side of the grid, pixels in [-1, 1]; a test computes them again.
# Finer grids follow the power law of these.
PHOTOGRAPHS = {1: 0.0734, 2: 0.0613, 4: 0.0540, 8: 0.0444, 16: 0.0335, 32: 0.0257, 64: 0.0197, 128: 0.0153}
SLOPE = -0.347
PIXEL_VARIANCE = 0.264  # of the same photographs; latents are scaled to variance one


def photograph_power(side: int, latent: bool = False) -> np.ndarray:
    """V_m of photographs at `side` x `side` pixels, finest first, (levels,).

    latent: of latents in their place, as if these were the picture itself, scaled to unit variance: an assumption.

    >>> power = photograph_power(64)
    >>> len(power), bool((np.diff(power) > 0).all())  # the coarser the band, the more power
    (7, True)
    """
    grids = _grids(side)
    known, finest = np.log(list(PHOTOGRAPHS)), np.log(128)
    log_grids = np.log(grids)
    inside = np.interp(log_grids, known, np.log(list(PHOTOGRAPHS.values())))
    density = np.exp(inside + SLOPE * np.maximum(log_grids - finest, 0))
    return density * (side / np.array(grids)) ** 2 / (PIXEL_VARIANCE if latent else 1.0)


def _grids(side: int) -> list[int]:
    """The sides of the grids, halved as long as they can be: 96, 48, ..., 3 for 96."""
    return [side >> level for level in range(whole("size", side, 1).bit_length()) if side % 2**level == 0]


def atlas(
    scheduler: str | Path | Mapping, steps: int = 30, size: int | None = None, latent_factor: int | None = None
) -> list[dict]:
    """The chart as a list of rows {step, timestep, log_snr, share, share_photographs, done}, shares keyed by size
    ("64").

    scheduler: a name of `chroma.published.SHIPPED`, a bundled model's name, the folder of a pipeline or of a
    scheduler, a ``scheduler_config.json`` or what is in it, a hub's owner/name, or a diffusers scheduler. size,
    latent_factor: the side of its images in pixels, and how many of them a latent spans (1: no latents); by default
    what is known of it. A log-SNR of -inf (pure noise) is None. Raises ValueError naming what is unknown and what to
    pass.

    >>> rows = atlas("sd15", steps=30)
    >>> [max(row["share"], key=row["share"].get) for row in (rows[0], rows[-1])]  # the most drawn grid of latents
    ['8', '64']
    >>> round(sum(rows[10]["share"].values()), 6)
    1.0
    """
    config, known_size, known_factor = _find(scheduler)
    size, latent_factor = size or known_size, latent_factor or known_factor or 1
    if size is None:
        raise refuse("size", size, "given: nothing is known of the images of this scheduler")
    if whole("size", size, 1) % whole("latent_factor", latent_factor, 1):
        raise refuse("latent_factor", latent_factor, f"a divisor of the size, {size}")
    side = size // latent_factor
    found = _plan(config, steps, tokens=max(1, side * side // 4))
    grids = _grids(side)
    levels = 2 * np.log(side / np.array(grids))[:, None]
    photographs = np.log(photograph_power(side, latent_factor > 1))[:, None]
    edges = np.append(found.log_snrs, np.inf)
    done, done_photographs = (expit(edges + offset) for offset in (levels, photographs))
    shares, shares_photographs = (_shares(np.diff(grown)) for grown in (done, done_photographs))
    keyed = lambda values: {str(grid): float(value) for grid, value in zip(grids, values, strict=True)}  # noqa: E731
    return [
        {
            "step": i,
            "timestep": float(found.timesteps[i]),
            "log_snr": float(z) if np.isfinite(z) else None,
            "share": keyed(shares[:, i]),
            "share_photographs": keyed(shares_photographs[:, i]),
            "done": keyed(done[:, i + 1]),
            "done_photographs": keyed(done_photographs[:, i + 1]),
        }
        for i, z in enumerate(found.log_snrs)
    ]


def _shares(grown: np.ndarray) -> np.ndarray:
    """Increments over their sum, (levels, steps); where nothing grows any more, as white noise would."""
    total = grown.sum(0)
    null = np.append(0.75 * 0.25 ** np.arange(len(grown) - 1), 0.25 ** (len(grown) - 1))[:, None]
    return np.where(total > 0, grown / np.where(total > 0, total, 1), null)


def _find(scheduler) -> tuple[Mapping, int | None, int | None]:
    """The configuration (or the scheduler itself), and the size and latent factor that go with it, if known."""
    if isinstance(scheduler, Mapping) or hasattr(scheduler, "set_timesteps"):
        return scheduler, None, None
    if scheduler in SHIPPED:
        shipped = SHIPPED[scheduler]
        return shipped.config, shipped.size, shipped.latent_factor
    path = Path(scheduler)
    bundled = Path(__file__).parent / "weights" / str(scheduler)
    path = bundled if bundled.is_dir() and not path.exists() else path
    if not path.exists() and str(scheduler).count("/") == 1:
        return _read(_downloaded(str(scheduler))), None, None
    for folder in (path, path / "scheduler"):
        if (folder / "scheduler_config.json").is_file():
            return _read(folder / "scheduler_config.json"), *_size(path)
    if path.is_file():
        return _read(path), None, None
    known = f"one of {', '.join(SHIPPED)}, a bundled model, a pipeline's folder, a scheduler_config.json, or owner/name"
    raise refuse("scheduler", scheduler, known)


def _read(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a scheduler's configuration ({error})") from error


def _size(folder: Path) -> tuple[int | None, int | None]:
    """The size in pixels and the latent factor of a saved pipeline, from its other configurations."""
    files = [folder / name / "config.json" for name in ("unet", "transformer")]
    config = next((_read(file) for file in files if file.is_file()), {})
    vae = folder / "vae" / "config.json"
    factor = 2 ** (len(_read(vae)["block_out_channels"]) - 1) if vae.is_file() else 1
    return (config["sample_size"] * factor if "sample_size" in config else None), factor


def _downloaded(name: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, "scheduler/scheduler_config.json"))
    except Exception as error:  # the hub's client has kinds of its own for a connection that breaks off
        raise OSError(
            f"the scheduler of {name} is not on this machine and could not be downloaded: connect to the network, or "
            "pass the folder of the saved pipeline"
        ) from error


def _plan(config, steps: int, tokens: int) -> Plan:
    """`chroma.steps.plan`, or for a class that it does not know, what diffusers itself sets."""
    if isinstance(config, Mapping):
        try:
            return plan(config, steps, tokens)
        except ValueError as unknown:
            import diffusers

            kind = getattr(diffusers, config.get("_class_name", ""), None)
            if "is known without diffusers" not in str(unknown) or kind is None:
                raise
            config = kind.from_config(config)
    config = deepcopy(config)  # the caller's own scheduler stays as it is
    config.set_timesteps(steps)
    if not hasattr(config, "sigmas") and not hasattr(config, "alphas_cumprod"):
        raise refuse("scheduler", type(config).__name__, "one with alphas_cumprod or sigmas")
    log_snrs = visited(config)
    keep = np.append(True, np.diff(log_snrs) > 0)  # a step that is evaluated twice is one
    return Plan(np.asarray(config.timesteps, dtype=float)[keep], log_snrs[keep])


def table(rows: Sequence[dict], photographs: bool = False):
    """The rows as a table for the terminal (rich): in each cell the share of the step, and what is done of the band.

    >>> table(atlas("sd15", steps=30)).row_count
    30
    """
    from rich import box
    from rich.table import Table

    which = "_photographs" if photographs else ""
    title = "with the band powers of photographs" if photographs else "by the paper's rₘ"
    drawn = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for head in ("step", "t", "log-SNR", *(f"{side}×{side}" for side in rows[0]["share"])):
        drawn.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        share, done = row[f"share{which}"], row[f"done{which}"]
        cells = [f"{100 * share[side]:.0f}/{100 * done[side]:.0f}" for side in share]
        z = "-∞" if row["log_snr"] is None else f"{row['log_snr']:.1f}"
        drawn.add_row(str(row["step"]), f"{row['timestep']:.3g}", z, *cells)
    return drawn


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m chroma.atlas``."""
    parser = argparse.ArgumentParser(
        prog="python -m chroma.atlas", description="Which step of a scheduler draws which resolution, in per cent."
    )
    parser.add_argument("scheduler", metavar="SCHEDULER_OR_MODEL", help=f"one of {', '.join(SHIPPED)}, or a path")
    parser.add_argument("--steps", type=int, default=30, help="of the inference (%(default)s)")
    parser.add_argument("--size", type=int, help="of the images in pixels, unless known")
    parser.add_argument("--latent-factor", type=int, help="pixels that a latent spans, unless known (else 1)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the chart into an image file")
    args = parser.parse_args(arguments)
    try:
        rows = atlas(args.scheduler, args.steps, args.size, args.latent_factor)
    except (ValueError, OSError, ImportError, KeyError) as error:
        parser.error(str(error))
    if args.plot:
        from chroma.plotting import atlas_chart

        atlas_chart({str(args.scheduler): rows}).savefig(args.plot)
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    from rich.console import Console

    console = Console()
    side = max(map(int, rows[0]["share"]))
    console.print(
        f"{args.scheduler} in {len(rows)} steps, grids up to {side}×{side} (of latents, if it draws latents)."
    )
    console.print("In each cell: share of the step / done by then, per cent.")
    for photographs in (False, True):
        console.print(table(rows, photographs))


if __name__ == "__main__":
    main()
