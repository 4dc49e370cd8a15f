r"""Measure Eq 19 over a list of prompts, several seeds each; an interrupted run resumes.

::

    python -m chroma.measure --model emoji-32 --prompts prompts.txt --steps 50 --seeds 4 --out measured.safetensors
    accelerate launch --multi_gpu --num_processes 2 -m chroma.measure ... (without GPUs: ACCELERATE_USE_CPU=true in
    front)

What is measured of a prompt follows from its place in the list and its seeds alone. So an interrupted run resumes with
the first prompt that is missing, and several processes, each with its share of the prompts, find the numbers of one.

The result is one safetensors file, read by `load`. Its tensors: ``energy``, (prompts, parts, steps, levels),
:math:`|e_\mathrm{CFG}^{(m)}|^2` averaged over each part of a prompt's seeds (up to 32 seeds one part is one seed);
``weights``, (parts,), the seeds in each; ``log_snrs``, (steps,). Its metadata, JSON under the key ``run``: model,
prompts, seeds, scale and the rest of `Run`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from chroma import data, models
from chroma._atomic import write_atomically
from chroma._check import check_finite, check_int, invalid_argument
from chroma._processes import accelerator
from chroma.accumulators import CFGChromatography, energy_shares, share_distances
from chroma.chromatography import chromatogram, guidance_power
from chroma.estimates import Estimate, jackknife
from chroma.models import DiffusersPipeline, Pipeline
from chroma.palette import PREDICTION_LABELS
from chroma.predictors import Guided, from_pipeline
from chroma.prompts import encode
from chroma.pyramid import band_sizes, resolution_label, resolutions, white_noise_shares
from chroma.sampling import ddim, teacher_forced


@dataclass(frozen=True)
class Run:
    """What a run measures, and all that its numbers depend on.

    Attributes:
        model: its name.
        weights: `chroma.models.Pipeline.fingerprint` of its network.
        prompts: in their order.
        log_snrs: of the steps, from noisy to clean.
        seeds: samples per prompt.
        scale: of the guidance that steers the trajectories; None where real images are measured.
        images: the sha256 of those images, or None.
        shape: (C, H, W) of what is denoised: pixels, or latents.
        dtype: the network's precision.
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
    """A finished run. Standard errors are over prompts; with one prompt alone, over its seeds.

    Attributes:
        run: what was measured.
        log_snrs: of the steps, (steps,).
        energy: of the bands, (prompts, parts, steps, levels).
        weights: seeds in each part, (parts,).
    """

    run: Run
    log_snrs: np.ndarray
    energy: np.ndarray
    weights: np.ndarray

    def _over_prompts(self, function: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        if len(self.energy) == 1:
            return jackknife(self.energy[0], self.weights, function)
        per_prompt = np.average(self.energy, axis=1, weights=self.weights)
        return jackknife(per_prompt, np.full(len(per_prompt), self.run.seeds), function)

    def result(self) -> Estimate:
        """Estimate the chromatogram over all prompts (Eq 19), finest first, (levels, steps)."""
        return self._over_prompts(energy_shares)

    def of_prompt(self, index: int) -> Estimate:
        """Estimate the chromatogram of one prompt, with its standard error over seeds.

        Args:
            index: of the prompt.

        Returns:
            (levels, steps).

        Raises:
            ValueError: if the prompt has one seed alone.
        """
        return jackknife(self.energy[index], self.weights, energy_shares)

    def distance(self, predicted: ArrayLike) -> Estimate:
        """Estimate the total variation between the measured and predicted shares at each step.

        Args:
            predicted: shares, (levels, steps) or (levels,).

        Returns:
            (steps,).
        """
        return self._over_prompts(lambda energy: share_distances(energy, predicted))

    def mean_distance(self, predicted: ArrayLike) -> Estimate:
        """Estimate the mean of `distance` over the steps, which are uniform in the model's own time.

        Args:
            predicted: shares, (levels, steps) or (levels,).

        Returns:
            One number.
        """
        return self._over_prompts(lambda energy: share_distances(energy, predicted).mean(-1))


def predictions(
    log_snrs: ArrayLike,
    shape: tuple[int, int, int],
    band_variance: ArrayLike | None = None,
    between_prompt_variance: ArrayLike | None = None,
) -> dict[str, np.ndarray]:
    """Compute the shares that a measured chromatogram may be compared with.

    Args:
        log_snrs: of the steps, (steps,).
        shape: (C, H, W) of what is denoised.
        band_variance: V_m of the data, finest first, (levels,), for the two predictions that use the spectrum.
        between_prompt_variance: w_m, the part of it that the prompts decide (`chroma.chromatography.guidance_power`);
            all of it by default.

    Returns:
        Name -> shares, (levels, steps) or (levels,). The names are "guidance_power", the formula for what Eq 19
        measures, "paper", the paper's r_m, "band_variance", r_m with V_m in place of 4^m, and "white_noise".
        `chroma.palette.PREDICTION_LABELS` has names for figures.

    >>> shares = predictions([0.0], shape=(3, 2, 2), band_variance=[0.1, 0.4])
    >>> list(shares)
    ['guidance_power', 'paper', 'band_variance', 'white_noise']
    >>> shares["white_noise"]
    array([0.75, 0.25])
    """
    sizes, shares = band_sizes(shape), {}
    if band_variance is not None:
        w = band_variance if between_prompt_variance is None else between_prompt_variance
        energy = guidance_power(log_snrs, band_variance, w) * sizes[:, None]
        shares["guidance_power"] = energy / energy.sum(0)
    shares["paper"] = chromatogram(log_snrs, len(sizes))
    if band_variance is not None:
        shares["band_variance"] = chromatogram(log_snrs, len(sizes), np.log(band_variance))
    return shares | {"white_noise": white_noise_shares(shape)}


def measure_prompts(
    pipe: DiffusersPipeline,
    name: str,
    prompts: Sequence[str],
    out: str | Path,
    steps: int = 50,
    seeds: int = 4,
    scale: float = 4.0,
    images: torch.Tensor | None = None,
    batch_size: int = 16,
) -> Measured:
    """Measure prompts and save the result.

    Finished prompts wait in the folder `out`.parts, from where an interrupted run resumes.

    Args:
        pipe: from `chroma.models.load`.
        name: what to call the model.
        prompts: at least one.
        out: the file of the result.
        steps: uniform in the model's own time.
        seeds: trajectories per prompt; noises per image with `images`.
        scale: of the guidance that steers the trajectories.
        images: (len(prompts), 3, H, W) in [-1, 1]: measure on these, one per prompt, instead of on trajectories
            (teacher forcing; a latent model is given what its VAE makes of them).
        batch_size: the most samples of a prompt at a time.

    Returns:
        The result.

    Raises:
        ValueError: for an empty list, images that do not fit, an `out` or parts of another run, and predictions that
            are not finite, naming the prompt; what was finished before is kept.

    >>> import tempfile
    >>> from chroma import models
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     prompts, out = ["a flat drawing of owl", "a line drawing of ox"], f"{folder}/measured.safetensors"
    ...     measured = measure_prompts(models.load("emoji-8"), "emoji-8", prompts, out, steps=3)
    >>> measured.result().value.shape, measured.result().count  # bands of 8, 4, 2 and 1; 2 prompts with 4 seeds each
    ((4, 3), 8)
    >>> measured.result().value.sum(0).round(6)
    array([1., 1., 1.])
    """
    prompts = _checked_prompts(prompts)
    check_int("seeds", seeds, 1 if len(prompts) > 1 else 2)
    view = Pipeline(pipe)
    clean = None if images is None else view.latents(_checked_images(images, len(prompts)))
    shape = view.shape if clean is None else (clean.shape[1], clean.shape[2], clean.shape[3])
    run = Run(
        name,
        view.fingerprint,
        prompts,
        tuple(view.schedule(shape).uniform_log_snrs(steps).tolist()),
        seeds,
        check_finite("scale", scale) if images is None else None,
        None if images is None else data.checksum(images.cpu().numpy(), prompts),
        shape,
        str(view.network.dtype).removeprefix("torch."),
    )
    out, parts = Path(out), Path(f"{out}.parts")
    if out.exists():
        return _same(load(out), run, out)
    parts.mkdir(parents=True, exist_ok=True)
    state = accelerator()
    missing = [i for i in range(len(prompts)) if _read_part(_part(parts, i), run) is None]
    state.wait_for_everyone()  # all have seen the same parts: only then may any add to them
    _measure_missing(state, pipe, run, missing[state.process_index :: state.num_processes], clean, parts, batch_size)
    state.wait_for_everyone()
    if state.is_main_process:
        _join_parts(run, parts, out)
    state.wait_for_everyone()
    return load(out)


def _checked_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    prompts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise invalid_argument("prompts", prompts, "at least one, in words")
    return prompts


def _checked_images(images: torch.Tensor, count: int) -> torch.Tensor:
    if images.ndim != 4 or images.shape[:2] != (count, 3):
        raise invalid_argument("images", f"shape {tuple(images.shape)}", f"({count}, 3, H, W), one for each prompt")
    return images


def _measure_missing(
    state: Any, pipe: Any, run: Run, missing: Sequence[int], clean: torch.Tensor | None, parts: Path, batch_size: int
) -> None:
    """Measure the prompts `missing`, one file each."""
    from tqdm import tqdm

    device = Pipeline(pipe).device
    # embeddings of large text encoders take megabytes per prompt: they wait on the host
    waiting = {i: {name: x.cpu() for name, x in encode(pipe, run.prompts[i]).items()} for i in missing}
    unconditional = encode(pipe, "")
    if not unconditional:
        must = "one that takes prompts: without them there is no guidance"
        raise invalid_argument("pipe", type(pipe).__name__, must)
    for i in tqdm(missing, unit=" prompts", disable=not (missing and state.is_local_main_process)):
        conditioning = {name: tensor.to(device) for name, tensor in waiting.pop(i).items()}
        predictor = Guided(from_pipeline(pipe, conditioning), from_pipeline(pipe, unconditional), run.scale or 0.0)
        energy, weights = _prompt_energy(predictor, run, i, None if clean is None else clean[i], batch_size, device)
        if not np.isfinite(energy).all():
            prediction = f"the model's prediction for prompt {i}, {run.prompts[i]!r},"
            raise invalid_argument(prediction, "NaN or infinite values", "finite")
        _save(_part(parts, i), run, {"energy": energy, "weights": weights})


def _prompt_energy(
    predictor: Guided, run: Run, index: int, image: torch.Tensor | None, batch_size: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """The energies of one prompt, (parts, steps, levels), and how many seeds are in each part."""
    chromatogram = CFGChromatography(run.log_snrs)
    for start in range(0, run.seeds, batch_size):
        seeds = range(start, min(start + batch_size, run.seeds))
        eps = torch.stack([seed_noise(run.shape, index, seed) for seed in seeds]).to(device)
        if image is None:
            states = ddim(predictor, eps, run.log_snrs)
        else:
            states = teacher_forced(predictor, image.to(eps).expand_as(eps), eps, run.log_snrs)
        for state in states:
            chromatogram.update(state.log_snr, predictor.guidance)
    return chromatogram.parts()


def seed_noise(shape: tuple[int, ...], index: int, seed: int) -> torch.Tensor:
    """Sample the noise of one seed of one prompt, on the host: the same on every device.

    Args:
        shape: (C, H, W).
        index: of the prompt in its list.
        seed: number of the seed.

    Returns:
        (C, H, W) float32 of unit variance.

    >>> bool((seed_noise((1, 2, 2), 0, 0) == seed_noise((1, 2, 2), 0, 1)).any())
    False
    """
    entropy = np.random.SeedSequence([seed, index]).generate_state(1)[0]
    return torch.randn(shape, generator=torch.Generator().manual_seed(int(entropy)))


def _part(parts: Path, index: int) -> Path:
    return parts / f"{index}.safetensors"


def _join_parts(run: Run, parts: Path, out: Path) -> None:
    """Write the result from the files of all prompts, then delete these."""
    tensors = [_read_part(_part(parts, i), run) for i in range(len(run.prompts))]
    measured = [part for part in tensors if part is not None]
    energy, weights = np.stack([part["energy"] for part in measured]), measured[0]["weights"]
    _save(out, run, {"energy": energy, "weights": weights, "log_snrs": np.array(run.log_snrs)})
    for file in parts.iterdir():
        file.unlink()
    parts.rmdir()


def _save(path: Path, run: Run, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(contiguous, _metadata(run)))


def _metadata(run: Run) -> dict[str, str]:
    return {"run": json.dumps(asdict(run))}


def _read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
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


def _read_part(path: Path, run: Run) -> dict[str, np.ndarray] | None:
    """What was measured of a prompt, or None if it was not yet."""
    if not path.is_file():
        return None
    record, arrays = _read(path)
    if record != json.loads(_metadata(run)["run"]):
        raise ValueError(f"{path.parent} holds partial results of a different run; delete it or choose another --out")
    return arrays


def _same(measured: Measured, run: Run, out: Path) -> Measured:
    if measured.run != run:
        raise ValueError(f"{out} is the result of a different run; delete it or choose another --out")
    return measured


def load(file: str | Path) -> Measured:
    """Load the result of a run.

    Args:
        file: written by `measure_prompts`.

    Returns:
        The result.

    Raises:
        ValueError: if the file is corrupt or something else, naming it.
    """
    record, arrays = _read(Path(file))
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    try:
        return Measured(Run(**fields), arrays["log_snrs"], arrays["energy"], arrays["weights"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{file} is not a result that this version of chroma.measure reads ({error})") from error


def report(measured: Measured) -> str:
    """Write the chromatogram at ten log-SNRs, and its distances from the paper's and from white noise's, as text.

    Args:
        measured: of `measure_prompts` or `load`.

    Returns:
        Lines of text.
    """
    result = measured.result()
    sides = resolutions(measured.run.shape[-1])[: result.value.shape[0]]
    steps = np.unique(np.linspace(0, len(measured.log_snrs) - 1, 10).astype(int))
    lines = ["log-SNR  " + " ".join(f"{resolution_label(side):>14}" for side in sides)]
    for i in steps:
        values = zip(result.value[:, i], result.standard_error[:, i], strict=True)
        lines.append(f"{measured.log_snrs[i]:7.2f}  " + " ".join(f"{v:7.3f}±{e:.4f}" for v, e in values))
    for name, shares in predictions(measured.log_snrs, measured.run.shape).items():
        distance = measured.mean_distance(shares)
        value = f"{distance.value:.3f}±{distance.standard_error:.3f}"
        lines.append(f"total variation from {PREDICTION_LABELS[name]}, mean over steps: {value}")
    counts = f"{len(measured.run.prompts)} prompts, {measured.run.seeds} seeds each"
    return "\n".join([*lines, f"{result.count} samples: {counts}"])


def _lines(name: str, file: Path) -> list[str]:
    if not file.is_file():
        raise invalid_argument(name, str(file), "a text file that exists")
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line]


def _images(source: str | None, prompts: Sequence[str], pipe: Any) -> torch.Tensor | None:
    """The image of each prompt, (prompts, 3, H, W)."""
    if source is None:
        return None
    size = Pipeline(pipe).image_size
    if source == "drawings":
        drawings, known = data.training_drawings(size)
        unknown = [prompt for prompt in prompts if prompt not in known]
        if unknown:
            must = "one of those of the bundled drawings (chroma.data.training_drawings)"
            raise invalid_argument("prompts", unknown[0], must)
        images = drawings.images[[known.index(prompt) for prompt in prompts]]
    else:
        files = _lines("images", Path(source))
        if len(files) != len(prompts):
            must = f"one for each of the {len(prompts)} prompts, one per line"
            raise invalid_argument("images", f"{len(files)} files", must)
        images = np.stack([data.image(file, size) for file in files])
    return torch.from_numpy(images)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chroma.measure",
        description="Measure which resolution a model's guidance consists of at each step (Eq 19); "
        "interrupted runs resume.",
    )
    parser.add_argument(
        "--model", required=True, help="a bundled model, the folder of a pipeline, or a hub's owner/name"
    )
    parser.add_argument("--prompts", required=True, type=Path, help="a text file, one prompt per line")
    parser.add_argument("--out", required=True, type=Path, help="the file for the result, NAME.safetensors")
    parser.add_argument("--steps", type=int, default=50, help="times at which it is measured (%(default)s)")
    parser.add_argument("--seeds", type=int, default=4, help="samples per prompt (%(default)s)")
    parser.add_argument("--scale", type=float, default=4.0, help="guidance scale of the trajectories (%(default)s)")
    parser.add_argument(
        "--images",
        help="measure on real images instead: 'drawings', or a text file with the path of one image per prompt",
    )
    parser.add_argument(
        "--batch-size", type=int, default=16, help="the most samples of a prompt at a time (%(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda, mps, ... (a GPU, if there is one)")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16"),
        default="float32",
        help="the network's precision (%(default)s: guidance is small, and rounding looks like white noise)",
    )
    parser.add_argument("--offload", choices=("model", "sequential"), help="for a GPU too small for the pipeline")
    parser.add_argument("--compile", action="store_true", help="compile the network first (torch.compile)")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of ``python -m chroma.measure``.

    Args:
        arguments: of the command line, ``sys.argv`` by default.
    """
    args = _parser().parse_args(arguments)
    prompts = _lines("prompts", args.prompts)
    if not prompts:
        raise invalid_argument("prompts", f"{args.prompts}, which is empty", "a text file with one prompt per line")
    batch_size = check_int("batch_size", args.batch_size, 1)
    state = accelerator()
    device = args.device or str(state.device)
    if torch.device(device).index is None and torch.device(device).type == state.device.type:
        device = str(state.device)  # each process its own GPU
    pipe = models.load(args.model, device, getattr(torch, args.dtype), args.offload)
    if args.compile:
        Pipeline(pipe).network.compile()
    images = _images(args.images, prompts, pipe)
    measured = measure_prompts(
        pipe, args.model, prompts, args.out, args.steps, args.seeds, args.scale, images, batch_size
    )
    if state.is_main_process:
        print(report(measured))


if __name__ == "__main__":
    main()
