"""A measuring run: Eq 19 over a list of prompts, several seeds each, that goes on where it was stopped::

    python -m chroma.measure --model emoji-32 --prompts prompts.txt --steps 50 --seeds 4 --out measured.safetensors
    accelerate launch --multi_gpu --num_processes 2 -m chroma.measure ... (without GPUs: ACCELERATE_USE_CPU=true in
    front)

What is measured of a prompt follows from its place in the list and its seeds alone. So a run that was killed goes on
with the first prompt that is missing, and several processes, each with its share of the prompts, find the numbers of
one.

The result is one safetensors file, read by `load`. Its tensors: ``energy``, (prompts, parts, steps, levels),
`|e_CFG^(m)|^2` averaged over each part of a prompt's seeds (up to 32 seeds a part is a seed); ``weights``, (parts,),
the seeds in each; ``log_snrs``, (steps,). Its metadata, JSON under the key ``run``: model, prompts, seeds, scale and
the rest of `Run`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from chroma import data, models
from chroma._check import finite, refuse, replace_file, whole
from chroma._processes import accelerator
from chroma.measure import CFGChromatography, Estimate, distances, jackknife, shares, theories
from chroma.predictors import Guided, from_pipeline
from chroma.prompts import encode
from chroma.pyramid import band_sizes
from chroma.sampling import ddim, forced
from chroma.schedules import Schedule


@dataclass(frozen=True)
class Run:
    """What a run measures, and all that its numbers depend on.

    weights: `chroma.models.fingerprint` of the network. scale: of the guidance that steers the trajectories; None
    measures on real images instead. images: the sha256 of those images, or None. shape: (C, H, W) of what is
    denoised: pixels, or latents. dtype: the network's precision.
    """

    model: str
    weights: str
    prompts: tuple[str, ...]
    log_snrs: tuple[float, ...]
    seeds: int
    scale: float | None
    images: str | None
    shape: tuple[int, int, int]
    dtype: str


@dataclass(frozen=True)
class Measured:
    """The finished run and its energies, (prompts, parts, steps, levels); standard errors are over prompts.

    With one prompt alone, they are over its seeds.
    """

    run: Run
    log_snrs: np.ndarray
    energy: np.ndarray
    weights: np.ndarray

    @property
    def null(self) -> np.ndarray:
        """The shares of white noise, (levels,)."""
        sizes = band_sizes(self.run.shape)
        return sizes / sizes.sum()

    def _over_prompts(self, function) -> Estimate:
        if len(self.energy) == 1:
            return jackknife(self.energy[0], self.weights, function)
        per_prompt = np.average(self.energy, axis=1, weights=self.weights)
        return jackknife(per_prompt, np.full(len(per_prompt), self.run.seeds), function)

    def result(self) -> Estimate:
        """The chromatogram over all prompts (Eq 19), finest first, (levels, steps)."""
        return self._over_prompts(shares)

    def of_prompt(self, index: int) -> Estimate:
        """The chromatogram of one prompt, (levels, steps), with its standard error over seeds: at least two."""
        return jackknife(self.energy[index], self.weights, shares)

    def distance(self, theory) -> Estimate:
        """Total variation between the chromatogram and `theory`, (levels, steps) or (levels,), at each step."""
        return self._over_prompts(lambda energy: distances(energy, theory))

    def mean_distance(self, theory) -> Estimate:
        """Its mean over the steps, each weighing alike: steps are equidistant in the model's own time."""
        return self._over_prompts(lambda energy: distances(energy, theory).mean(-1))


def equidistant(schedule: Schedule, steps: int) -> np.ndarray:
    """Log-SNRs, noisy to clean, in the middle of `steps` equal parts of the schedule's time: none of them is
    infinite.

    >>> from chroma import RectifiedFlow
    >>> RectifiedFlow().time(equidistant(RectifiedFlow(), steps=4)).round(3)
    array([0.875, 0.625, 0.375, 0.125])
    """
    first, last = schedule.domain
    return schedule.log_snr(last - (np.arange(whole("steps", steps, 1)) + 0.5) / steps * (last - first))


def measure(
    pipe,
    name: str,
    prompts: Sequence[str],
    out: str | Path,
    steps: int = 50,
    seeds: int = 4,
    scale: float = 4.0,
    images: torch.Tensor | None = None,
    batch: int = 16,
) -> Measured:
    """Measure `prompts` and save the result in the file `out`.

    pipe: from `chroma.models.load`; name: what to call it. seeds: trajectories of each prompt, steered by guidance of
    `scale`; or, with `images`, (len(prompts), 3, H, W) in [-1, 1], one for each prompt, that many noises on each
    (teacher forcing; a latent model sees what its VAE makes of them). batch: the most samples of a prompt at a time.
    Prompts that are finished wait in the folder `out`.parts. Raises ValueError for an empty list, for images that do
    not fit, if `out` or its parts are of another run, and if the model's predictions are not finite, naming the
    prompt; what was finished before is kept.

    >>> import tempfile
    >>> from chroma import models
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     prompts = ["a flat drawing of owl", "a line drawing of ox"]
    ...     measured = measure(models.load("emoji-8"), "emoji-8", prompts, f"{folder}/measured.safetensors", steps=3)
    >>> measured.result().value.shape, measured.result().count  # bands of 8, 4, 2 and 1; 2 prompts with 4 seeds each
    ((4, 3), 8)
    >>> measured.result().value.sum(0).round(6)
    array([1., 1., 1.])
    """
    from tqdm import tqdm

    prompts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise refuse("prompts", prompts, "at least one, in words")
    whole("seeds", seeds, 1 if len(prompts) > 1 else 2)
    if images is not None and (images.ndim != 4 or images.shape[:2] != (len(prompts), 3)):
        raise refuse("images", f"shape {tuple(images.shape)}", f"({len(prompts)}, 3, H, W), one for each prompt")
    clean = None if images is None else models.latents(pipe, images)
    shape = models.shape(pipe) if clean is None else tuple(clean.shape[1:])
    run = Run(
        name,
        models.fingerprint(pipe),
        prompts,
        tuple(equidistant(models.schedule(pipe, shape), steps).tolist()),
        seeds,
        finite("scale", scale) if images is None else None,
        None if images is None else data.checksum(images.cpu().numpy(), prompts),
        shape,
        str(models.network(pipe).dtype).removeprefix("torch."),
    )
    out, parts = Path(out), Path(f"{out}.parts")
    if out.exists():
        return _same(load(out), run, out)
    parts.mkdir(parents=True, exist_ok=True)

    state = accelerator()
    missing = [i for i in range(len(prompts)) if _part(parts / f"{i}.safetensors", run) is None]
    state.wait_for_everyone()  # all have seen the same parts: now they may add to them
    missing = missing[state.process_index :: state.num_processes]
    # embeddings of large text encoders take megabytes a prompt: they wait on the host
    told = {i: {name: tensor.cpu() for name, tensor in encode(pipe, prompts[i]).items()} for i in missing}
    nothing = encode(pipe, "")
    if not nothing:
        raise refuse("pipe", type(pipe).__name__, "one that takes prompts: without them there is no guidance")
    for i in tqdm(missing, unit=" prompts", disable=not (missing and state.is_local_main_process)):
        now = {name: tensor.to(models.device(pipe)) for name, tensor in told.pop(i).items()}
        predictor = Guided(from_pipeline(pipe, now), from_pipeline(pipe, nothing), run.scale or 0.0)
        energy, weights = _one(predictor, run, i, None if clean is None else clean[i], batch, models.device(pipe))
        if not np.isfinite(energy).all():
            raise refuse(f"the model's prediction for prompt {i}, {prompts[i]!r},", "NaN or infinite values", "finite")
        _save(parts / f"{i}.safetensors", run, {"energy": energy, "weights": weights})
    state.wait_for_everyone()
    if state.is_main_process:
        found = [_part(parts / f"{i}.safetensors", run) for i in range(len(prompts))]
        energy, weights = np.stack([part["energy"] for part in found]), found[0]["weights"]
        _save(out, run, {"energy": energy, "weights": weights, "log_snrs": np.array(run.log_snrs)})
        for file in parts.iterdir():
            file.unlink()
        parts.rmdir()
    state.wait_for_everyone()
    return load(out)


def _one(predictor: Guided, run: Run, index: int, image, batch: int, device) -> tuple[np.ndarray, np.ndarray]:
    """The energies of one prompt, (parts, steps, levels), and how many seeds are in each part."""
    chromatogram = CFGChromatography(run.log_snrs)
    for start in range(0, run.seeds, batch):
        noise = torch.stack([_noise(run.shape, index, k) for k in range(start, min(start + batch, run.seeds))]).to(
            device
        )
        if image is None:
            states = ddim(predictor, noise, run.log_snrs)
        else:
            states = forced(predictor, image.to(noise).expand_as(noise), noise, run.log_snrs)
        for now in states:
            chromatogram.update(now.log_snr, predictor.guidance)
    return chromatogram.parts()


def _noise(shape: tuple[int, ...], index: int, seed: int) -> torch.Tensor:
    """The noise of seed number `seed` of prompt number `index`, drawn on the host: the same on every device."""
    entropy = np.random.SeedSequence([seed, index]).generate_state(1)[0]
    return torch.randn(shape, generator=torch.Generator().manual_seed(int(entropy)))


def _save(path: Path, run: Run, arrays: dict[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    replace_file(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, _metadata(run)))


def _metadata(run: Run) -> dict[str, str]:
    return {"run": json.dumps(asdict(run))}


def _open(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """A file's record of its run, and its arrays, refused by name if it is corrupt or something else."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            return json.loads(file.metadata()["run"]), arrays
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a whole result of chroma.measure ({error}): delete it to measure again"
        ) from error


def _part(path: Path, run: Run) -> dict[str, np.ndarray] | None:
    """What was measured of a prompt, or None if it was not yet."""
    if not path.is_file():
        return None
    record, arrays = _open(path)
    if record != json.loads(_metadata(run)["run"]):
        raise refuse(
            "out", str(path.parent.with_suffix("")), f"one whose parts, in {path.parent}, are of this very run"
        )
    return arrays


def _same(measured: Measured, run: Run, out: Path) -> Measured:
    if measured.run != run:
        raise refuse("out", f"{out}, a result of another run", "a new file, or one of this very run")
    return measured


def load(file: str | Path) -> Measured:
    """The result of a run. Raises ValueError, naming the file, if it is corrupt."""
    record, arrays = _open(Path(file))
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    try:
        return Measured(Run(**fields), arrays["log_snrs"], arrays["energy"], arrays["weights"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a result that this version of chroma.measure reads ({error})") from error


def report(measured: Measured) -> str:
    """The chromatogram at ten log-SNRs in words, and how far it is from the paper's and from white noise's."""
    side, result = measured.run.shape[-1], measured.result()
    levels = len(measured.null)
    steps = np.unique(np.linspace(0, len(measured.log_snrs) - 1, 10).astype(int))
    lines = ["log-SNR  " + " ".join(f"{f'{side >> m}x{side >> m}':>14}" for m in range(levels))]
    for i in steps:
        values = zip(result.value[:, i], result.standard_error[:, i], strict=True)
        lines.append(f"{measured.log_snrs[i]:7.2f}  " + " ".join(f"{v:7.3f}±{e:.4f}" for v, e in values))
    for name, theory in theories(measured.log_snrs, measured.run.shape).items():
        distance = measured.mean_distance(theory)
        lines.append(
            f"total variation from {name}, mean over steps: {distance.value:.3f}±{distance.standard_error:.3f}"
        )
    return "\n".join(
        [*lines, f"{result.count} samples: {len(measured.run.prompts)} prompts, {measured.run.seeds} seeds each"]
    )


def _lines(name: str, file: Path) -> list[str]:
    if not file.is_file():
        raise refuse(name, str(file), "a text file that exists")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def _images(listed: str | None, prompts: Sequence[str], pipe) -> torch.Tensor | None:
    """The image of each prompt, as what the pipeline denoises: pixels or latents."""
    from chroma.recipes import drawings

    if listed is None:
        return None
    side = models.pixels(pipe)
    if listed == "drawings":
        known, asking = drawings(side)
        unknown = [prompt for prompt in prompts if prompt not in asking]
        if unknown:
            raise refuse(
                "prompts", unknown[0], "one of those that the bundled drawings go by (chroma.recipes.drawings)"
            )
        images = known.images[[asking.index(prompt) for prompt in prompts]]
    else:
        files = _lines("images", Path(listed))
        if len(files) != len(prompts):
            raise refuse("images", f"{len(files)} files", f"one for each of the {len(prompts)} prompts, a line each")
        images = np.stack([data.image(file, side) for file in files])
    return torch.from_numpy(images)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line of ``python -m chroma.measure``."""
    parser = argparse.ArgumentParser(
        prog="python -m chroma.measure",
        description="Measure which resolution a model's guidance draws when (Eq 19); killed runs go on.",
    )
    parser.add_argument(
        "--model", required=True, help="a bundled model, the folder of a pipeline, or a hub's owner/name"
    )
    parser.add_argument("--prompts", required=True, type=Path, help="a text file, a prompt a line")
    parser.add_argument("--out", required=True, type=Path, help="the file for the result, NAME.safetensors")
    parser.add_argument("--steps", type=int, default=50, help="times at which it is measured (%(default)s)")
    parser.add_argument("--seeds", type=int, default=4, help="samples of each prompt (%(default)s)")
    parser.add_argument("--scale", type=float, default=4.0, help="guidance scale of the trajectories (%(default)s)")
    parser.add_argument(
        "--images",
        help="measure on real images instead: 'drawings', or a text file with the path of an image for each prompt",
    )
    parser.add_argument("--batch", type=int, default=16, help="the most samples of a prompt at a time (%(default)s)")
    parser.add_argument("--device", help="cpu, cuda, mps, ... (a GPU, if there is one)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="the network's precision (%(default)s: guidance is small, and rounding looks like white noise)",
    )
    parser.add_argument("--offload", choices=("model", "sequential"), help="for a GPU too small for the pipeline")
    parser.add_argument("--compile", action="store_true", help="compile the network first (torch.compile)")
    args = parser.parse_args(arguments)

    prompts = _lines("prompts", args.prompts)
    if not prompts:
        raise refuse("prompts", f"{args.prompts}, which is empty", "a text file with a prompt in each line")
    state = accelerator()
    device = args.device or str(state.device)
    if torch.device(device).index is None and torch.device(device).type == state.device.type:
        device = str(state.device)  # each process its own GPU
    pipe = models.load(args.model, device, getattr(torch, args.dtype), args.offload)
    if args.compile:
        models.network(pipe).compile()
    images = _images(args.images, prompts, pipe)
    measured = measure(
        pipe, args.model, prompts, args.out, args.steps, args.seeds, args.scale, images, whole("batch", args.batch, 1)
    )
    if state.is_main_process:
        print(report(measured))
