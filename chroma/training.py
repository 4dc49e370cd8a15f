"""One trainer for the losses of Eqs 3, 20, 21 and 23.

::

    python -m chroma.training --help
    python -m chroma.training photos-32 --out runs/photos-32
    accelerate launch --multi_gpu --num_processes 2 -m chroma.training faces-32 --data FACES --out runs/faces-32

(The last one, without GPUs, with ACCELERATE_USE_CPU=true in front.)

Every random number of step k follows from the seed and k alone: an interrupted run resumes to the same weights, and
several processes compute what one would, each its share of the batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chroma import data
from chroma._atomic import remove_partials, write_atomically, write_folder
from chroma._check import check_int, check_pixels, invalid_argument
from chroma._fingerprint import identify
from chroma._ownership import owned
from chroma._processes import accelerator as make_accelerator
from chroma._provenance import machine
from chroma._run_folder import (
    CARD,
    CHECKPOINT,
    check_start,
    check_tensors,
    check_unfinished,
    is_finished,
    read_checkpoint,
    read_start,
)
from chroma._terminal import CommandLine, file_path, number, one_sentence, print_text, whole_number
from chroma.losses import mean_square, noise_loss, residual_loss
from chroma.networks import build_pipeline, unet_settings
from chroma.process import add_noise, eps_from_velocity, scales
from chroma.pyramid import residual
from chroma.recipes import HELD_OUT_CROPS, HELD_OUT_LEAVES, LEAVES, RECIPES, SCENE_CROPS, Recipe

LOCK = "training.lock"
PIPELINE = "pipeline"  # the folder that a pipeline is written to before its files take their places
TRAINING_TIMES = 1000
LOSSES_SHOWN = 50  # steps that the loss beside the progress bar is averaged over
MONITOR_BATCH = 96  # images per forward of the monitor
MONITORED = "images seen {}, loss {:.4f} on trained and {:.4f} on held-out ones"


class ConditionedUNet(torch.nn.Module):
    r"""Text encoder and UNet in one: what is trained.

    The output is what the recipe's `prediction_type` names. A velocity
    :math:`\sqrt{\alpha}\,\epsilon - \sqrt{1 - \alpha}\,x_0` stays of the size of the data where there is hardly any
    signal, and so does the error of the x0 it stands for; an error in the noise itself is divided by
    :math:`\sqrt{\alpha}`.

    Args:
        unet: a UNet2DConditionModel.
        text_encoder: a T5EncoderModel.
    """

    def __init__(self, unet: Any, text_encoder: Any):
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, x: torch.Tensor, time: torch.Tensor, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Predict the velocity, or the noise.

        Args:
            x: noised images, (B, C, H, W).
            time: training times, (B,).
            tokens: of the prompts, (B, tokens).
            mask: attention mask of the tokens, (B, tokens).

        Returns:
            (B, C, H, W).
        """
        embeds = self.text_encoder(input_ids=tokens, attention_mask=mask)[0]
        return self.unet(x, time, encoder_hidden_states=embeds).sample[:, : x.shape[1]]


@dataclasses.dataclass(frozen=True)
class TrainingBatch:
    """What one step is trained on.

    Attributes:
        rows: of the data set, (B,).
        drop_cond: whether each loses its prompt, (B,) bool.
        times: training times, (B,).
        noise: (B, C, H, W).
    """

    rows: np.ndarray
    drop_cond: np.ndarray
    times: torch.Tensor
    noise: torch.Tensor


def training_batch(recipe: Recipe, step: int, count: int) -> TrainingBatch:
    """Choose the batch of one step: a function of the seed and the step alone.

    Each pass over the data is a new permutation of it.

    Args:
        recipe: of the model.
        step: its number.
        count: images in the data set.

    Returns:
        The batch.

    >>> from chroma.recipes import RECIPES
    >>> rows = [row for step in range(2) for row in training_batch(RECIPES["emoji-8"], step, count=64).rows]
    >>> sorted(rows) == list(range(64))  # a pass over 64 images is two batches of 32
    True
    """
    places = np.arange(step * recipe.batch_size, (step + 1) * recipe.batch_size)
    rows = np.array([_order(recipe.seed, place // count, count)[place % count] for place in places])
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([recipe.seed, step]).generate_state(1)[0]))
    shape = (recipe.batch_size, 3, recipe.size, recipe.size)
    drop_cond = torch.rand(recipe.batch_size, generator=generator) < recipe.cond_drop_prob
    times = torch.randint(0, TRAINING_TIMES, (recipe.batch_size,), generator=generator)
    noise = torch.randn(shape, generator=generator)
    high_noise = torch.rand(recipe.batch_size, generator=generator) < recipe.high_noise_fraction
    return TrainingBatch(rows, drop_cond.numpy(), torch.where(high_noise, 700 + times * 3 // 10, times), noise)


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Compute the learning rate of a step: a linear warm-up, then a cosine to 0.

    Args:
        recipe: of the model.
        step: its number.

    Returns:
        The learning rate.

    >>> from chroma.recipes import Recipe
    >>> recipe = Recipe(num_samples=16_000, batch_size=16, lr_warmup_steps=100, learning_rate=1e-3)
    >>> [round(learning_rate(recipe, step), 5) for step in (0, 99, 500, 1000)]
    [1e-05, 0.00098, 0.0005, 0.0]
    """
    steps = recipe.num_samples // recipe.batch_size
    decay = (1 + math.cos(math.pi * step / steps)) / 2
    return recipe.learning_rate * decay * min(1, (step + 1) / max(recipe.lr_warmup_steps, 1))


@dataclasses.dataclass(frozen=True)
class Monitor:
    """What tells learning from memorising: images trained on, and images of the same kind held out.

    The loss on both is computed with the moving average of the weights, at fixed times and with fixed noise.

    Attributes:
        trained: images, (N, 3, size, size), and their prompts.
        held_out: as many images, and their prompts.
        points: of the training, equally spaced, at which the losses are computed.
    """

    trained: tuple[np.ndarray, Sequence[str]]
    held_out: tuple[np.ndarray, Sequence[str]]
    points: int = 20


class _Trainer:
    """The state of one training run: everything that a step reads or changes."""

    def __init__(self, recipe: Recipe, images: np.ndarray, prompts: Sequence[str], folder: Path, accelerator: Any):
        from diffusers.training_utils import EMAModel

        self.recipe, self.images, self.folder, self.accelerator = recipe, images, folder, accelerator
        self.pipe, self.previous = _initial_pipeline(recipe, prompts)
        self.run = {"recipe": dataclasses.asdict(recipe), "data": data.checksum(images, prompts)}
        if recipe.init_from:  # a path says where a model was, not which it is
            self.run["start"] = identify(self.pipe)
        self.finished = is_finished(folder, self.run)
        saved = read_checkpoint(folder, self.run)
        # of the code that runs now, whatever is checked out when the run ends
        self.machine = machine(accelerator.num_processes, accelerator.device.type)
        self.inputs = self.tokenize([*prompts, ""])
        alphas = self.pipe.scheduler.alphas_cumprod.double()
        model = ConditionedUNet(self.pipe.unet, self.pipe.text_encoder)
        self.model = model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.weights = list(self.model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights, recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
        )
        self.ema = EMAModel(self.weights, decay=recipe.ema_decay, use_ema_warmup=True, power=1.0, foreach=True)
        self.steps = recipe.num_samples // recipe.batch_size
        self.step, self.seconds = 0, 0.0
        self.losses: list[list[float]] = []
        if saved:
            check_tensors(folder, saved[0], _expected_tensors(self.weights, self.model))
            self.step, self.seconds, self.losses = _restore(*saved, self.model, self.optimizer, self.ema)
        self.started = time.monotonic()
        self.net, self.optimizer = self.accelerator.prepare(self.model, self.optimizer)
        self.ema.to(self.device)
        self.log_snrs = torch.log(alphas / (1 - alphas)).float().to(self.device)

    @property
    def device(self) -> torch.device:
        return self.accelerator.device

    @property
    def predicts_velocity(self) -> bool:
        return self.recipe.prediction_type == "v_prediction"

    def tokenize(self, prompts: Sequence[str]) -> Any:
        as_the_pipeline_does = [prompt.lower().strip() for prompt in prompts]
        return self.pipe.tokenizer(
            as_the_pipeline_does, padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        )

    def train_step(self) -> torch.Tensor:
        """Take one step; returns its loss."""
        recipe, device = self.recipe, self.device
        batch = training_batch(recipe, self.step, len(self.images))
        share = recipe.batch_size // self.accelerator.num_processes
        own = slice(self.accelerator.process_index * share, (self.accelerator.process_index + 1) * share)
        rows = batch.rows[own]
        prompt_rows = np.where(batch.drop_cond[own], len(self.images), rows)  # the last prompt is the empty one
        tokens = self.inputs.input_ids[prompt_rows].to(device)
        mask = self.inputs.attention_mask[prompt_rows].to(device)
        x0 = torch.from_numpy(self.images[rows].astype(np.float32)).to(device)
        noise, times = batch.noise[own].to(device), batch.times[own].to(device)

        def predictor(x, log_snr):
            with self.accelerator.autocast():
                output = self.net(x.to(memory_format=torch.channels_last), times, tokens, mask)
            # in float32: near pure noise eps is almost x
            eps_hat = eps_from_velocity(x, output.float(), log_snr) if self.predicts_velocity else output.float()
            return residual(eps_hat) if recipe.residual else eps_hat

        log_snr = self.log_snrs[times]
        loss_of = residual_loss if recipe.residual else noise_loss
        loss = loss_of(predictor, x0, noise, log_snr)
        if self.predicts_velocity:  # divided by alpha, an error of the noise is one of the velocity
            loss = loss / torch.sigmoid(log_snr)
        loss = loss.mean()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.weights, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(recipe, self.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.step(self.weights)
        self.step += 1
        return loss.detach()

    def monitor(self, monitor: Monitor) -> None:
        """Add a row to the curve of losses, computed with the moving average of the weights."""
        self.ema.store(self.weights)
        self.ema.copy_to(self.weights)
        losses = [self._loss(*images_and_prompts) for images_and_prompts in (monitor.trained, monitor.held_out)]
        self.ema.restore(self.weights)
        if not np.isfinite(losses).all():
            raise self.diverged("the monitored loss is not finite", self.step)
        self.losses.append([self.step * self.recipe.batch_size, *losses])

    @torch.no_grad()
    def _loss(self, images: np.ndarray, prompts: Sequence[str]) -> float:
        """The training loss of a set of images at evenly spread times, with noise that is the same at every call."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        # the golden ratio spreads the times of neighbouring images, which are of one photograph
        all_times = ((torch.arange(len(images)) * 0.6180339887 % 1) * len(self.log_snrs)).long()
        losses = []
        for start in range(0, len(images), MONITOR_BATCH):
            rows = slice(start, start + MONITOR_BATCH)
            inputs = self.tokenize(prompts[rows]).to(self.device)
            x0 = torch.from_numpy(images[rows].astype(np.float32))
            noise = torch.randn(x0.shape, generator=generator).to(self.device)
            x0, times = x0.to(self.device), all_times[rows].to(self.device)
            x = add_noise(x0, noise, self.log_snrs[times])
            with self.accelerator.autocast():
                x = x.to(memory_format=torch.channels_last)
                output = self.model(x, times, inputs.input_ids, inputs.attention_mask)
            signal_scale, noise_scale = scales(self.log_snrs[times])
            target = signal_scale * noise - noise_scale * x0 if self.predicts_velocity else noise
            error = target - output.float()
            losses.append(mean_square(residual(error) if self.recipe.residual else error))
        return round(float(torch.cat(losses).mean()), 6)

    def check_losses(self, losses: torch.Tensor) -> None:
        """Raise if one of the last losses, on any of the processes, is not finite."""
        good = self.accelerator.gather(losses[None]).isfinite().all(0).tolist()
        if not all(good):
            raise self.diverged("the loss is not finite", self.step - len(good) + good.index(False) + 1)

    def check_weights(self) -> None:
        """Raise if the weights, or their moving average, have become numbers that cannot be saved."""
        weights = [*self.weights, *self.ema.shadow_params]
        if not torch.stack([weight.detach().half().isfinite().all() for weight in weights]).all():
            raise self.diverged("a weight is not finite in half precision", self.step)

    def diverged(self, what: str, step: int) -> ValueError:
        """Build the error that ends a run whose numbers are no longer of use; its last checkpoint stays as it is."""
        path = self.folder / CHECKPOINT
        kept = f"; {path} is kept as it was before" if path.is_file() else ""
        lower = f"train with a learning_rate below {self.recipe.learning_rate:g} in another folder"
        return ValueError(f"training diverged: {what} at step {step} of {self.steps}{kept}; {lower}")

    def checkpoint(self) -> None:
        """Write everything that the next step depends on, in one file that is there whole or not at all."""
        from safetensors.torch import save

        self.check_weights()
        if not self.accelerator.is_main_process:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.named_parameters()}
        tensors |= {f"ema.{i}": tensor for i, tensor in enumerate(self.ema.shadow_params)}
        for i, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in state.items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        record = {
            "step": self.step,
            "seconds": self.elapsed(),
            "losses": self.losses,
            "ema_steps": self.ema.optimization_step,
        }
        metadata = {"run": json.dumps(self.run), "record": json.dumps(record)}
        write_atomically(self.folder / CHECKPOINT, save(tensors, metadata))

    def elapsed(self) -> float:
        """Seconds spent in all, those before an interruption included."""
        return self.seconds + time.monotonic() - self.started

    def save(self) -> Any:
        """Save the pipeline, with the moving average of the weights in half precision, and its card."""
        self.check_weights()
        self.ema.copy_to(self.weights)
        self.pipe.unet.to(memory_format=torch.contiguous_format)
        self.pipe.to(dtype=torch.float16)
        if self.accelerator.is_main_process and not self.finished:
            size = sum(weight.nbytes for weight in self.weights)
            write_folder(self.folder, PIPELINE, size, self.pipe.save_pretrained)
            seen, minutes = self.steps * self.recipe.batch_size, round(self.elapsed() / 60, 1)
            card = {**self.run, "images_seen": seen, "minutes": minutes, **self.machine}
            card |= {"losses": self.losses} if self.losses else {}
            card |= {"init_from": self.previous} if self.previous else {}
            write_atomically(self.folder / CARD, json.dumps(card, indent=1).encode())
        self.accelerator.wait_for_everyone()
        self.accelerator.end_training()
        return self.pipe


def train(
    recipe: Recipe,
    images: np.ndarray,
    prompts: Sequence[str],
    folder: str | Path,
    checkpoint_every: int = 500,
    monitor: Monitor | None = None,
) -> Any:
    """Train a model and save it, in half precision, with its card.

    Called again with the same arguments, an interrupted run resumes from its checkpoint, to the same weights.

    Args:
        recipe: of the model.
        images: (N, 3, size, size), floats in [-1, 1].
        prompts: one per image.
        folder: for the pipeline, its card and checkpoints.
        checkpoint_every: steps between checkpoints.
        monitor: sets of images whose losses the card is to have, as rows (images seen, loss on trained images, loss on
            held-out images).

    Returns:
        The ``diffusers.IFPipeline``.

    Raises:
        ValueError: for images of another shape or out of range, a recipe that cannot be met, a folder that holds
            something else or that another process writes to, a checkpoint that is corrupt, and a loss or weights that
            are no longer finite (the checkpoint before stays).
        OSError: if a file cannot be written, naming it and the bytes that it needs.
    """
    folder = Path(folder)
    _check_run(recipe, checkpoint_every)
    _check_data("images", recipe, images, prompts)
    if monitor:
        check_int("monitor.points", monitor.points, 1)
        _check_data("monitor.trained", recipe, *monitor.trained)
        _check_data("monitor.held_out", recipe, *monitor.held_out)
    accelerator = make_accelerator(mixed_precision=recipe.mixed_precision)
    if recipe.batch_size % accelerator.num_processes:
        must = f"a multiple of the {accelerator.num_processes} processes"
        raise invalid_argument("batch_size", recipe.batch_size, must)
    with owned(folder, folder / LOCK) if accelerator.is_main_process else nullcontext():
        check_unfinished(folder)
        trainer = _Trainer(recipe, images, prompts, folder, accelerator)
        if accelerator.is_main_process:
            for name in (CHECKPOINT, PIPELINE, CARD):
                remove_partials(folder, name)
        _train(trainer, checkpoint_every, monitor)
        return trainer.save()


def _train(trainer: _Trainer, checkpoint_every: int, monitor: Monitor | None) -> None:
    """Take all steps that are left; their checkpoints are of finite numbers alone."""
    batch_size = trainer.recipe.batch_size
    monitor_every = max(1, trainer.steps // monitor.points) if monitor else 0
    losses: list[torch.Tensor] = []
    with _progress_bar(trainer) as progress:
        while trainer.step < trainer.steps:
            losses.append(trainer.train_step())
            last = trainer.step == trainer.steps
            monitors = monitor is not None and trainer.step % monitor_every == 0
            checkpoints = last or trainer.step % checkpoint_every == 0
            full = len(losses) == LOSSES_SHOWN
            if full or monitors or checkpoints:  # not at each step: a GPU would wait for it
                trainer.check_losses(torch.stack(losses[-LOSSES_SHOWN:]))
            if monitor and monitors:
                trainer.monitor(monitor)
            with suppress(OSError, ValueError):  # a terminal that has gone is no reason to stop
                progress.update(batch_size)
                if full:
                    progress.set_postfix(loss=f"{torch.stack(losses).mean().item():.4f}")
                if monitors and trainer.accelerator.is_local_main_process:
                    with progress.external_write_mode():
                        print_text(MONITORED.format(*trainer.losses[-1]))
            if full:
                losses.clear()
            if checkpoints:
                trainer.checkpoint()


@contextmanager
def _progress_bar(trainer: _Trainer) -> Iterator[Any]:
    """Show the images seen, and take the bar away however the run ends."""
    from tqdm import tqdm

    progress = tqdm(
        total=trainer.steps * trainer.recipe.batch_size,
        initial=trainer.step * trainer.recipe.batch_size,
        unit=" images",
        disable=sys.stderr is None or not trainer.accelerator.is_local_main_process,
        mininterval=10,
    )
    try:
        yield progress
    finally:
        with suppress(OSError, ValueError):
            progress.close()


def _check_run(recipe: Recipe, checkpoint_every: int) -> None:
    """Check what can be checked before any data is read."""
    check_int("checkpoint_every", checkpoint_every, 1)
    if recipe.num_samples < recipe.batch_size:
        raise invalid_argument("num_samples", recipe.num_samples, f"at least one batch of {recipe.batch_size}")
    unet_settings(recipe)
    if recipe.init_from:
        read_start(recipe)


def _check_data(name: str, recipe: Recipe, images: np.ndarray, prompts: Sequence[str]) -> None:
    if images.shape[1:] != (3, recipe.size, recipe.size) or not len(images) or images.dtype.kind != "f":
        must = f"floats of shape (N, 3, {recipe.size}, {recipe.size}), N >= 1"
        raise invalid_argument(name, f"{images.dtype} of shape {images.shape}", must)
    check_pixels(name, float(images.min()), float(images.max()))  # NaN if there is any
    if isinstance(prompts, str) or len(prompts) != len(images):
        found = "one string" if isinstance(prompts, str) else f"{len(prompts)} prompts"
        raise invalid_argument(
            "prompts" if name == "images" else f"prompts of {name}", found, f"one for each of the {len(images)} images"
        )


def _initial_pipeline(recipe: Recipe, prompts: Sequence[str]) -> tuple[Any, dict | None]:
    """An untrained pipeline, or that of the run to start from with the card of that run."""
    from chroma import models

    if not recipe.init_from:
        return build_pipeline(recipe, prompts), None
    card = read_start(recipe)
    pipe = models.load(recipe.init_from)
    check_start(pipe, recipe, prompts)
    return pipe, card


def _expected_tensors(
    weights: Sequence[torch.Tensor], model: torch.nn.Module
) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """The shape and type of each tensor of a checkpoint, by name."""
    kinds = [(tuple(weight.shape), weight.dtype) for weight in weights]
    expected = dict(zip((f"model.{name}" for name, _ in model.named_parameters()), kinds, strict=True))
    for i, kind in enumerate(kinds):
        expected[f"ema.{i}"] = expected[f"optimizer.{i}.exp_avg"] = expected[f"optimizer.{i}.exp_avg_sq"] = kind
        expected[f"optimizer.{i}.step"] = (), torch.float32
    return expected


def _restore(
    tensors: dict[str, torch.Tensor], record: dict, model: torch.nn.Module, optimizer: Any, ema: Any
) -> tuple[int, float, list]:
    """Go back to a checkpoint: the step to go on with, seconds spent and losses monitored so far."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
    saved, state, weights = _below("optimizer.", tensors), optimizer.state_dict(), optimizer.param_groups[0]["params"]
    for name, tensor in saved.items():
        i, key = name.split(".")
        if tensor.ndim:  # laid out in memory as its weight is: the fused step reads both in the order of their bytes
            tensor = torch.empty_like(weights[int(i)]).copy_(tensor)
        state["state"].setdefault(int(i), {})[key] = tensor
    optimizer.load_state_dict(state)
    ema.shadow_params = [tensors[f"ema.{i}"] for i in range(len(ema.shadow_params))]
    ema.optimization_step = record["ema_steps"]
    return record["step"], record["seconds"], record.get("losses", [])


def _below(prefix: str, tensors: dict) -> dict:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line: a recipe by name, any of its fields changed, on its data or on a folder of images.

    Args:
        arguments: of the command line, ``sys.argv`` by default.
    """
    parser = CommandLine(prog="python -m chroma.training", description="Train a small diffusion model.")
    parser.add_argument("recipe", choices=RECIPES, help="where to start from; the options change single fields of it")
    parser.add_argument(
        "--out", required=True, type=file_path, help="folder for the pipeline, its card and checkpoints"
    )
    parser.add_argument(
        "--data", type=file_path, help="a folder of images (JPEG, PNG, ...) in place of the bundled ones"
    )
    parser.add_argument(
        "--checkpoint-every", type=whole_number, default=500, help="steps between checkpoints (%(default)s)"
    )
    for field in dataclasses.fields(Recipe):
        _add_option(parser, field)
    args = vars(parser.parse_args(arguments))
    name, out, folder, every = (args.pop(key) for key in ("recipe", "out", "data", "checkpoint_every"))
    changes: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in args.items()}
    changes = {key: value for key, value in changes.items() if value is not None}
    with one_sentence(parser):
        recipe = dataclasses.replace(RECIPES[name], **changes)
        _check_run(recipe, every)
        check_unfinished(out)
        images, prompts, monitor = _load_data(recipe, folder)
        train(recipe, images, prompts, out, every, monitor)


def _add_option(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    name, kind = f"--{field.name.replace('_', '-')}", type(field.default)
    if kind is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction)
    elif kind is tuple:
        parser.add_argument(name, type=whole_number, nargs="+", metavar="N")
    else:
        parser.add_argument(name, type={int: whole_number, float: number}.get(kind, str))


def _load_data(recipe: Recipe, folder: Path | None) -> tuple[np.ndarray, list[str], Monitor | None]:
    if folder is not None:
        found = data.folder(folder, recipe.size)
        for note in found.notes:
            logging.getLogger(__name__).warning(note)
        return found.images, [""] * len(found.images), None
    if recipe.dataset == "scenes":
        trained = data.scenes(recipe.size, SCENE_CROPS, split="training")
        held_out = data.scenes(recipe.size, HELD_OUT_CROPS, split="held-out")
        # as many trained images as held-out ones, spread over all photographs and styles
        rows = np.linspace(0, len(trained.images) - 1, len(held_out.images)).astype(int)
        monitored = trained.images[rows], [trained.prompts[row] for row in rows]
        return trained.images, data.partial_prompts(trained), Monitor(monitored, (held_out.images, held_out.prompts))
    if recipe.dataset == "dead-leaves":
        images = data.dead_leaves(recipe.size, LEAVES + HELD_OUT_LEAVES, recipe.slope, recipe.seed)
        trained_leaves, held_out_leaves = images[:LEAVES], images[LEAVES:]
        none = [""] * LEAVES
        some = none[:HELD_OUT_LEAVES]
        return trained_leaves, none, Monitor((trained_leaves[:HELD_OUT_LEAVES], some), (held_out_leaves, some))
    drawings, prompts = data.training_drawings(recipe.size)
    return drawings.images, prompts, None


if __name__ == "__main__":
    main()
