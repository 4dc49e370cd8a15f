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

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from chroma import data, models
from chroma._check import check_finite, check_int, check_pixels, invalid_argument
from chroma._fingerprint import identify, loaded_identity, shorten
from chroma._measure_command import check_inputs, least_seeds, load_images, make_parser
from chroma._measured_files import (
    differences,
    own,
    part_file,
    parts_folder,
    read,
    read_part,
    remove_left_over,
    remove_parts,
    save,
)
from chroma._processes import accelerator
from chroma._terminal import one_sentence, print_text
from chroma.accumulators import CFGChromatography, energy_shares, share_distances
from chroma.chromatography import generation_weights
from chroma.estimates import Estimate, jackknife
from chroma.models import DiffusersPipeline, Pipeline
from chroma.nulls import predictions
from chroma.palette import PREDICTION_LABELS
from chroma.predictors import Guided, from_pipeline
from chroma.prompts import check_distinguishable, encode
from chroma.pyramid import resolution_label, resolutions
from chroma.sampling import ddim, teacher_forced


@dataclass(frozen=True)
class Run:
    """What a run measures, and all that its numbers depend on.

    Attributes:
        model: its name.
        weights: `chroma.models.Pipeline.fingerprint` of the model.
        prompts: in their order.
        log_snrs: of the steps, from noisy to clean.
        seeds: samples per prompt.
        scale: of the guidance that steers the trajectories; None where real images are measured.
        images: the sha256 of those images, or None.
        shape: (C, H, W) of what is denoised: pixels, or latents.
        dtype: the network's precision.
        components: sha256 of each component of the model, by which a run with another one says which it is; None in
            results of earlier editions, whose `weights` are another kind of fingerprint.
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
    components: Mapping[str, str] | None = None


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

    def mean_distance(self, predicted: ArrayLike, band_variance: ArrayLike | None = None) -> Estimate:
        """Estimate the mean of `distance`, each log-SNR weighted by what is generated there, whatever the schedule.

        Args:
            predicted: shares, (levels, steps) or (levels,).
            band_variance: V_m of the data, for `chroma.chromatography.generation_weights`; the paper's 4^m by default.

        Returns:
            One number.
        """
        powers = 4.0 ** np.arange(self.energy.shape[-1]) if band_variance is None else band_variance
        weights = generation_weights(self.log_snrs, powers)
        return self._over_prompts(lambda energy: share_distances(energy, predicted) @ weights)


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
        ValueError: for an empty list, prompts that the model does not distinguish, images that do not fit, an `out` or
            parts of another run, naming what differs, an `out` that another process is measuring, and predictions
            that are not finite or do not depend on the prompt, naming it; what was finished before is kept.
        OSError: if a file cannot be written.

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
    run, clean = _describe(pipe, name, prompts, steps, seeds, scale, images, identify(pipe))
    return _measure(pipe, run, clean, Path(out), check_int("batch_size", batch_size, 1))


def _describe(
    pipe: DiffusersPipeline,
    name: str,
    prompts: Sequence[str],
    steps: int,
    seeds: int,
    scale: float,
    images: torch.Tensor | None,
    components: Mapping[str, str],
) -> tuple[Run, torch.Tensor | None]:
    """The record of a run, and the images that it is given, as the network sees them."""
    prompts = _checked_prompts(prompts)
    check_int("seeds", seeds, least_seeds(len(prompts)))
    view = Pipeline(pipe)
    clean = None if images is None else view.latents(_checked_images(images, len(prompts)))
    shape = view.shape if clean is None else (clean.shape[1], clean.shape[2], clean.shape[3])
    run = Run(
        name,
        shorten(components),
        prompts,
        tuple(view.schedule(shape).uniform_log_snrs(steps).tolist()),
        seeds,
        check_finite("scale", scale) if images is None else None,
        None if images is None else data.checksum(images.cpu().numpy(), prompts),
        shape,
        str(view.network.dtype).removeprefix("torch."),
        components,
    )
    return run, clean


def _measure(pipe: DiffusersPipeline, run: Run, clean: torch.Tensor | None, out: Path, batch_size: int) -> Measured:
    """Measure what is missing of a run and join it."""
    state, parts = accelerator(), parts_folder(out)
    with _owned(state, out):
        state.wait_for_everyone()  # nobody else writes from here on
        if out.exists():
            measured = _same(out, run)
            if state.is_main_process:
                remove_left_over(out, asdict(run), len(run.prompts))
            return measured
        for note in check_distinguishable(pipe, run.prompts):
            logging.getLogger(__name__).warning(note)
        parts.mkdir(parents=True, exist_ok=True)
        missing = [i for i in range(len(run.prompts)) if read_part(part_file(parts, i), asdict(run)) is None]
        state.wait_for_everyone()  # all have seen the same parts: only then may any add to them
        _measure_missing(
            state, pipe, run, missing[state.process_index :: state.num_processes], clean, parts, batch_size
        )
        state.wait_for_everyone()
        if state.is_main_process:
            _join_parts(run, parts, out)
        state.wait_for_everyone()
    return load(out)


@contextmanager
def _owned(state: Any, out: Path) -> Iterator[None]:
    """Own the result while the block runs, by the first process for all of them; one that is there is only read."""
    if state.is_main_process and not out.is_file():
        with own(out):
            yield
    else:
        yield


def _checked_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    prompts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        raise invalid_argument("prompts", prompts, "at least one, in words")
    return prompts


def _checked_images(images: torch.Tensor, count: int) -> torch.Tensor:
    if images.ndim != 4 or images.shape[:2] != (count, 3):
        raise invalid_argument("images", f"shape {tuple(images.shape)}", f"({count}, 3, H, W), one for each prompt")
    if not images.is_floating_point():
        raise invalid_argument("images", str(images.dtype), "floats in [-1, 1] (bytes divided by 127.5, minus 1)")
    check_pixels("images", float(images.min()), float(images.max()))
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
    for i in tqdm(missing, unit=" prompts", disable=not (missing and state.is_local_main_process)):
        conditioning = {name: tensor.to(device) for name, tensor in waiting.pop(i).items()}
        predictor = Guided(from_pipeline(pipe, conditioning), from_pipeline(pipe, unconditional), run.scale or 0.0)
        energy, weights = _prompt_energy(predictor, run, i, None if clean is None else clean[i], batch_size, device)
        if not np.isfinite(energy).all():
            prediction = f"the model's prediction for prompt {i}, {run.prompts[i]!r},"
            raise invalid_argument(prediction, "NaN or infinite values", "finite")
        if not energy.sum(-1).all():
            prediction = f"the guidance of prompt {i}, {run.prompts[i]!r},"
            raise invalid_argument(prediction, "0 at some step", "other than 0: it has no shares; use --dtype float32")
        save(part_file(parts, i), asdict(run), {"energy": energy, "weights": weights})


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


def _join_parts(run: Run, parts: Path, out: Path) -> None:
    """Write the result from the files of all prompts, then delete these."""
    tensors = [read_part(part_file(parts, i), asdict(run)) for i in range(len(run.prompts))]
    measured = [part for part in tensors if part is not None]
    energy, weights = np.stack([part["energy"] for part in measured]), measured[0]["weights"]
    save(out, asdict(run), {"energy": energy, "weights": weights, "log_snrs": np.array(run.log_snrs)})
    remove_parts(parts, out, len(run.prompts))


def _same(out: Path, run: Run) -> Measured:
    """The result in `out`, which must be of this run."""
    measured = load(out)
    _check_same(out, measured.run, asdict(run))
    return measured


def _check_same(out: Path, saved: Run, wanted: Mapping[str, Any]) -> None:
    differing = differences(json.loads(json.dumps(asdict(saved))), wanted)
    if differing:
        what = f"{out} is the result of a different run"
        raise ValueError(f"{what}, which differs in {differing}; delete it or choose another --out")


def load(file: str | Path) -> Measured:
    """Load the result of a run.

    Args:
        file: written by `measure_prompts`.

    Returns:
        The result.

    Raises:
        ValueError: if the file is corrupt or something else, naming it.
    """
    record, arrays = read(Path(file))
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
        lines.append(f"total variation from {PREDICTION_LABELS[name]}, weighted by what is generated: {value}")
    counts = f"{len(measured.run.prompts)} prompts, {measured.run.seeds} seeds each"
    return "\n".join([*lines, f"{result.count} samples: {counts}"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line of ``python -m chroma.measure``.

    Args:
        arguments: of the command line, ``sys.argv`` by default.
    """
    parser = make_parser()
    args = parser.parse_args(arguments)
    with one_sentence(parser):
        inputs = check_inputs(args)
        state = accelerator()
        known = {"model": args.model, "prompts": inputs.prompts, "seeds": args.seeds, "dtype": args.dtype}
        if args.out.is_file():
            _check_same(args.out, load(args.out).run, known)
        with _owned(state, args.out):
            pass  # refused before the model is loaded, which may take minutes
        device = args.device or str(state.device)
        if torch.device(device).index is None and torch.device(device).type == state.device.type:
            device = str(state.device)  # each process its own GPU
        pipe = models.load(args.model, device, getattr(torch, args.dtype), args.offload)
        if args.compile:
            Pipeline(pipe).network.compile()
        images = load_images(inputs.images, inputs.prompts, pipe)
        components = loaded_identity(pipe, Path(pipe.config["_name_or_path"]), args.dtype)
        run, clean = _describe(pipe, args.model, inputs.prompts, args.steps, args.seeds, args.scale, images, components)
        measured = _measure(pipe, run, clean, args.out, args.batch_size)
        if state.is_main_process:
            print_text(report(measured))


if __name__ == "__main__":
    main()
