"""The losses of Eqs 3, 20, 21 and 23, and one trainer::

    python -m chroma.training --help
    python -m chroma.training emoji-64-residual --out runs/emoji-64-residual
    accelerate launch --multi_gpu --num_processes 2 -m chroma.training faces-32 --data FACES --out runs/faces-32

(The last one, without GPUs, with ACCELERATE_USE_CPU=true in front.)

Every random number of step k follows from the seed and k alone: a run that was killed goes on as if nothing had
happened, and several processes compute what one would, each its share of the batch.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import math
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

import chroma
from chroma import data, scenes
from chroma._check import refuse, replace_file
from chroma._processes import accelerator as processes
from chroma.data import checksum
from chroma.networks import untrained
from chroma.pyramid import downsample, residual
from chroma.recipes import HELD_OUT_CROPS, RECIPES, SCENE_CROPS, Recipe, drawings

CHECKPOINT = "checkpoint.safetensors"
Predictor = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # (x: (B, C, H, W), log_snr: (B,)) -> noise


def noised(x0: torch.Tensor, noise: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    """x_t = sqrt(alpha) x0 + sqrt(1 - alpha) eps, each image at its own log-SNR, (B,) (Eq 1).

    >>> x0, noise = torch.ones(2, 1, 1, 1), torch.zeros(2, 1, 1, 1)
    >>> noised(x0, noise, torch.tensor([0.0, 100.0])).flatten()
    tensor([0.7071, 1.0000])
    """
    signal, sigma = _amplitudes(log_snr)
    return signal * x0 + sigma * noise


def noise_loss(predictor: Predictor, x0: torch.Tensor, noise: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    """`|eps - eps_theta(x_t, t)|^2` of each image, (B,), a mean over its C H W values (Eq 3).

    x0, noise: (B, C, H, W); log_snr: (B,).

    >>> x0, noise = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> noise_loss(lambda x, log_snr: torch.zeros_like(x), x0, noise, torch.zeros(1))  # 2^2 / 4
    tensor([1.])
    """
    return _square(noise - predictor(noised(x0, noise, log_snr), log_snr))


def low_loss(predictor: Predictor, x0: torch.Tensor, noise: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    """Eq 3 for the low-resolution images D x0 (Eq 20). x0: (B, C, H, W); noise: (B, C, H/2, W/2), of unit variance.

    >>> black, noise = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 2, 2)
    >>> low_loss(lambda x, log_snr: torch.zeros_like(x), black, noise, torch.zeros(1))
    tensor([1.])
    """
    return noise_loss(predictor, downsample(x0), noise, log_snr)


def residual_loss(predictor: Predictor, x0: torch.Tensor, noise: torch.Tensor, log_snr: torch.Tensor) -> torch.Tensor:
    """`|eps - UD eps - eps_res(x_t, t)|^2` of each image, (B,), a mean over its C H W values (Eq 21).

    White noise has 3/4 of its energy in this part: an eps_res of 0 has a loss of 0.75.

    >>> x0, noise = torch.zeros(1, 1, 2, 2), torch.tensor([[[[2.0, 0.0], [0.0, 0.0]]]])
    >>> residual_loss(lambda x, log_snr: torch.zeros_like(x), x0, noise, torch.zeros(1))  # (1.5^2 + 3 x 0.5^2) / 4
    tensor([0.7500])
    """
    return _square(residual(noise) - predictor(noised(x0, noise, log_snr), log_snr))


def level_loss(
    predictor: Predictor, x0: torch.Tensor, noise: torch.Tensor, log_snr: torch.Tensor, level: int, levels: int
) -> torch.Tensor:
    """The loss of predictor number `level` among `levels` (Eq 23): residual noise of D^m x0, all of it for the last.

    x0: (B, C, H, W), full size; noise: (B, C, H/2^m, W/2^m), of unit variance.

    >>> silent, black = (lambda x, log_snr: torch.zeros_like(x)), torch.zeros(1, 1, 4, 4)
    >>> level_loss(silent, black, torch.ones(1, 1, 4, 4), torch.zeros(1), level=0, levels=2)  # ones have no residual
    tensor([0.])
    >>> level_loss(silent, black, torch.ones(1, 1, 2, 2), torch.zeros(1), level=1, levels=2)
    tensor([1.])
    """
    loss = noise_loss if level == levels - 1 else residual_loss
    return loss(predictor, downsample(x0, level), noise, log_snr)


def _square(error: torch.Tensor) -> torch.Tensor:
    return error.square().mean((1, 2, 3))


def _amplitudes(log_snr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    z = log_snr[:, None, None, None]
    return torch.sigmoid(z).sqrt(), torch.sigmoid(-z).sqrt()


class Denoiser(torch.nn.Module):
    """Text encoder and UNet in one: what is trained. The output is the velocity sqrt(alpha) eps - sqrt(1 - alpha) x0.

    A velocity stays of the size of the data where there is hardly any signal, and so does the error of the x0 it
    stands for; an error in the noise itself would be divided by sqrt(alpha).
    """

    def __init__(self, unet, text_encoder):
        super().__init__()
        self.unet, self.text_encoder = unet, text_encoder

    def forward(self, x, time, tokens, mask):
        """The velocity in x, (B, C, H, W), at training times `time`, (B,), for prompts given as `tokens` and `mask`."""
        words = self.text_encoder(input_ids=tokens, attention_mask=mask)[0]
        return self.unet(x, time, encoder_hidden_states=words).sample[:, : x.shape[1]]


def _started(recipe: Recipe):
    """The pipeline of the run to go on from, and its card."""
    from chroma import models

    if not (Path(recipe.start) / "card.json").is_file():
        raise refuse("start", recipe.start, "the folder of a finished run, with its card.json")
    pipe = models.load(recipe.start)
    size, channels = pipe.unet.config.sample_size, tuple(pipe.unet.config.block_out_channels)
    if (size, channels) != (recipe.size, recipe.channels):
        raise refuse("start", f"a network of size {size}, channels {channels}", "of the recipe's size and channels")
    return pipe, json.loads((Path(recipe.start) / "card.json").read_text(encoding="utf-8"))


@dataclasses.dataclass(frozen=True)
class Batch:
    """What one step sees: rows of the data set, and whether each loses its prompt; times; noise (B, C, H, W)."""

    rows: np.ndarray
    silent: np.ndarray
    times: torch.Tensor
    noise: torch.Tensor


def batch(recipe: Recipe, step: int, count: int) -> Batch:
    """The batch of step number `step` from `count` images: a function of the seed and the step alone.

    Each pass over the data is a new permutation of it.

    >>> from chroma.recipes import RECIPES
    >>> seen = [row for step in range(2) for row in batch(RECIPES["emoji-8"], step, count=64).rows]
    >>> sorted(seen) == list(range(64))  # a pass over 64 images is two batches of 32
    True
    """
    places = np.arange(step * recipe.batch, (step + 1) * recipe.batch)
    rows = np.array([_order(recipe.seed, place // count, count)[place % count] for place in places])
    generator = torch.Generator().manual_seed(int(np.random.SeedSequence([recipe.seed, step]).generate_state(1)[0]))
    shape = (recipe.batch, 3, recipe.size, recipe.size)
    silent = torch.rand(recipe.batch, generator=generator) < recipe.dropout
    times = torch.randint(0, 1000, (recipe.batch,), generator=generator)
    noise = torch.randn(shape, generator=generator)
    noisy = torch.rand(recipe.batch, generator=generator) < recipe.noisy
    return Batch(rows, silent.numpy(), torch.where(noisy, 700 + times * 3 // 10, times), noise)


@functools.lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def learning_rate(recipe: Recipe, step: int) -> float:
    """A linear warm-up, then a cosine to 0.

    >>> from chroma.recipes import Recipe
    >>> recipe = Recipe(images=16_000, batch=16, warmup=100, learning_rate=1e-3)
    >>> [round(learning_rate(recipe, step), 5) for step in (0, 99, 500, 1000)]
    [1e-05, 0.00098, 0.0005, 0.0]
    """
    steps = recipe.images // recipe.batch
    decay = (1 + math.cos(math.pi * step / steps)) / 2
    return recipe.learning_rate * decay * min(1, (step + 1) / max(recipe.warmup, 1))


@dataclasses.dataclass(frozen=True)
class Monitor:
    """What tells learning from memorising: images trained on, and images of the same kind held out.

    trained, held_out: (images, prompts) each, of equal number; points: at how many moments of training, equally spaced,
    the loss on both is computed, with the moving average of the weights, at fixed times and fixed noise.
    """

    trained: tuple[np.ndarray, Sequence[str]]
    held_out: tuple[np.ndarray, Sequence[str]]
    points: int = 20


def train(
    recipe: Recipe,
    images: np.ndarray,
    prompts: Sequence[str],
    folder: str | Path,
    every: int = 500,
    monitor: Monitor | None = None,
):
    """Train by `recipe` and return the ``diffusers.IFPipeline``, saved in `folder` in half precision with its run card.

    images: (N, 3, size, size), floats in [-1, 1]; prompts: N. A checkpoint is written every `every` steps; called
    again with the same arguments, the run goes on from there, to the same weights. The card has the losses of
    `monitor`, if one is given, as rows (images seen, loss on trained images, loss on held-out images). Raises
    ValueError for images of another shape, a recipe that cannot be met, and if the checkpoint in `folder` is of another
    run or is corrupt.
    """
    from diffusers.training_utils import EMAModel
    from tqdm import tqdm

    if images.shape[1:] != (3, recipe.size, recipe.size) or not len(images) or images.dtype.kind != "f":
        must = f"floats of shape (N, 3, {recipe.size}, {recipe.size}), N >= 1"
        raise refuse("images", f"{images.dtype} of shape {images.shape}", must)
    if len(prompts) != len(images):
        raise refuse("prompts", f"{len(prompts)} of them", f"one for each of the {len(images)} images")
    if recipe.images < recipe.batch:
        raise refuse("images", recipe.images, f"at least one batch of {recipe.batch}")
    accelerator = processes(mixed_precision=recipe.precision)
    if recipe.batch % accelerator.num_processes:
        raise refuse("batch", recipe.batch, f"a multiple of the {accelerator.num_processes} processes")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    pipe, before = _started(recipe) if recipe.start else (untrained(recipe, prompts), None)
    inputs = pipe.tokenizer([*prompts, ""], padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    alphas = pipe.scheduler.alphas_cumprod.double()
    log_snrs = torch.log(alphas / (1 - alphas)).float()
    model = Denoiser(pipe.unet, pipe.text_encoder).to(memory_format=torch.channels_last).train()
    weights = list(model.parameters())
    optimizer = torch.optim.AdamW(weights, recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    ema = EMAModel(weights, decay=recipe.ema, use_ema_warmup=True, power=1.0, foreach=True)
    run = {"recipe": dataclasses.asdict(recipe), "data": checksum(images, prompts)}
    first, seconds, curve = _resume(folder, run, model, optimizer, ema)
    net, optimizer = accelerator.prepare(model, optimizer)
    ema.to(accelerator.device)
    log_snrs = log_snrs.to(accelerator.device)

    loss_of = residual_loss if recipe.residual else noise_loss
    share = recipe.batch // accelerator.num_processes
    mine = slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)
    steps = recipe.images // recipe.batch
    started, shown = time.monotonic(), []
    progress = tqdm(
        total=steps * recipe.batch,
        initial=first * recipe.batch,
        unit=" images",
        disable=not accelerator.is_local_main_process,
        mininterval=10,
    )
    for step in range(first, steps):
        now = batch(recipe, step, len(images))
        rows, device = now.rows[mine], accelerator.device
        spoken = np.where(now.silent[mine], len(images), rows)
        tokens, mask = inputs.input_ids[spoken].to(device), inputs.attention_mask[spoken].to(device)
        x0 = torch.from_numpy(images[rows].astype(np.float32)).to(device)
        noise, times = now.noise[mine].to(device), now.times[mine].to(device)

        def predict(x, log_snr, times=times, tokens=tokens, mask=mask):
            with accelerator.autocast():
                velocity = net(x.to(memory_format=torch.channels_last), times, tokens, mask)
            signal, sigma = _amplitudes(log_snr)
            predicted = signal * velocity.float() + sigma * x  # eps, in float32: near pure noise it is almost x
            return residual(predicted) if recipe.residual else predicted

        log_snr = log_snrs[times]
        # divided by alpha, an error of the noise is one of the velocity: every time weighs the same
        loss = (loss_of(predict, x0, noise, log_snr) / torch.sigmoid(log_snr)).mean()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(weights, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, step)
        optimizer.step()
        optimizer.zero_grad()
        ema.step(weights)

        shown.append(loss.detach())
        progress.update(recipe.batch)
        if len(shown) == 50:
            progress.set_postfix(loss=f"{torch.stack(shown).mean().item():.4f}")
            shown.clear()
        if monitor and (step + 1) % max(1, steps // monitor.points) == 0:
            ema.store(weights)
            ema.copy_to(weights)
            measure = functools.partial(_monitored_loss, recipe, model, pipe.tokenizer, log_snrs, accelerator)
            curve.append([(step + 1) * recipe.batch, measure(*monitor.trained), measure(*monitor.held_out)])
            ema.restore(weights)
            progress.write("images seen {}, loss {:.4f} on trained and {:.4f} on held-out ones".format(*curve[-1]))
        if (step + 1) % every == 0 and step + 1 < steps and accelerator.is_main_process:
            _checkpoint(folder, run, step + 1, seconds + time.monotonic() - started, curve, model, optimizer, ema)
    progress.close()
    if accelerator.is_main_process:
        seconds += time.monotonic() - started
        _checkpoint(folder, run, steps, seconds, curve, model, optimizer, ema)
    ema.copy_to(weights)
    pipe.unet.to(memory_format=torch.contiguous_format)
    pipe.to(dtype=torch.float16)
    if accelerator.is_main_process:
        pipe.save_pretrained(folder)
        card = {**run, "images_seen": steps * recipe.batch, "minutes": round(seconds / 60, 1), **_machine(accelerator)}
        card |= {"losses": curve} if curve else {}
        card |= {"start": before} if before else {}
        replace_file(folder / "card.json", json.dumps(card, indent=1).encode())
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return pipe


def _machine(accelerator) -> dict:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return {
        "machine": f"{accelerator.num_processes} x {accelerator.device.type}, {torch.get_num_threads()} threads each",
        "versions": {"chroma": chroma.__version__, "torch": torch.__version__, "python": platform.python_version()},
        "commit": commit.stdout.strip() or None,
    }


@torch.no_grad()
def _monitored_loss(recipe, model, tokenizer, log_snrs, accelerator, images, prompts) -> float:
    """The training loss of a set of images at evenly spread times, with noise that is the same at every call."""
    generator = torch.Generator().manual_seed(recipe.seed)
    # the golden ratio spreads the times of neighbouring images, which are of one photograph
    times = ((torch.arange(len(images)) * 0.6180339887 % 1) * len(log_snrs)).long()
    losses = []
    for start in range(0, len(images), 96):
        rows = slice(start, start + 96)
        inputs = tokenizer(
            list(prompts[rows]), padding="max_length", max_length=77, truncation=True, return_tensors="pt"
        ).to(accelerator.device)
        x0 = torch.from_numpy(images[rows].astype(np.float32))
        noise = torch.randn(x0.shape, generator=generator).to(accelerator.device)
        x0, time_ = x0.to(accelerator.device), times[rows].to(accelerator.device)
        x = noised(x0, noise, log_snrs[time_])
        with accelerator.autocast():
            velocity = model(x.to(memory_format=torch.channels_last), time_, inputs.input_ids, inputs.attention_mask)
        signal, sigma = _amplitudes(log_snrs[time_])
        error = signal * noise - sigma * x0 - velocity.float()
        losses.append(_square(residual(error) if recipe.residual else error))
    return round(float(torch.cat(losses).mean()), 6)


def _checkpoint(folder: Path, run: dict, step: int, seconds: float, curve: list, model, optimizer, ema) -> None:
    """Everything that the next step depends on, in one file that is there whole or not at all."""
    from safetensors.torch import save

    tensors = {f"model.{name}": tensor for name, tensor in model.named_parameters()}
    tensors |= {f"ema.{i}": tensor for i, tensor in enumerate(ema.shadow_params)}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{name}": tensor for name, tensor in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = {"step": step, "seconds": seconds, "losses": curve, "ema_steps": ema.optimization_step}
    replace_file(folder / CHECKPOINT, save(tensors, {"run": json.dumps(run), "record": json.dumps(record)}))


def _resume(folder: Path, run: dict, model, optimizer, ema) -> tuple[int, float, list]:
    """Load the checkpoint in `folder`, if any: the step to go on with, seconds spent and losses monitored so far."""
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.is_file():
        return 0, 0.0, []
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise ValueError(f"the checkpoint {path} is corrupt ({error}): delete it to start again") from error
    if json.loads(metadata["run"]) != json.loads(json.dumps(run)):
        raise refuse("folder", str(folder), "empty, or hold a checkpoint of the same recipe and data")
    record = json.loads(metadata["record"])
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
    """The command line: a recipe by name, any of its fields changed, on the bundled drawings or a folder of images."""
    parser = argparse.ArgumentParser(prog="python -m chroma.training", description="Train a small diffusion model.")
    parser.add_argument("recipe", choices=RECIPES, help="where to start from; the options change single fields of it")
    parser.add_argument("--out", required=True, type=Path, help="folder for the pipeline, its card and checkpoints")
    parser.add_argument(
        "--data", type=Path, help="a folder of images (JPEG, PNG, ...) in place of the bundled drawings"
    )
    parser.add_argument("--every", type=int, default=500, help="steps between checkpoints (%(default)s)")
    for field in dataclasses.fields(Recipe):
        _option(parser, field)
    args = vars(parser.parse_args(arguments))
    name, out, folder, every = (args.pop(key) for key in ("recipe", "out", "data", "every"))
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in args.items()}
    recipe = dataclasses.replace(RECIPES[name], **{key: value for key, value in changes.items() if value is not None})
    images, prompts, monitor = _data(recipe, folder)
    train(recipe, images, prompts, out, every, monitor)


def _option(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    name, kind = f"--{field.name.replace('_', '-')}", type(field.default)
    if kind is bool:
        parser.add_argument(name, action=argparse.BooleanOptionalAction)
    elif kind is tuple:
        parser.add_argument(name, type=int, nargs="+", metavar="N")
    else:
        parser.add_argument(name, type=str if field.default is None else kind)


def _data(recipe: Recipe, folder: Path | None) -> tuple[np.ndarray, list[str], Monitor | None]:
    if folder is None and recipe.dataset == "scenes":
        taught, held_out = (
            scenes.scenes(recipe.size, crops, split=split)
            for crops, split in ((SCENE_CROPS, "training"), (HELD_OUT_CROPS, "held-out"))
        )
        # as many trained images as held-out ones, of photographs spread over all of them
        rows = np.linspace(0, len(taught.images) - 1, len(held_out.images)).astype(int)
        trained = taught.images[rows], [taught.prompts[row] for row in rows]
        monitor = Monitor(trained, (held_out.images, held_out.prompts))
        return taught.images, scenes.partial_prompts(taught), monitor
    if folder is None:
        known, prompts = drawings(recipe.size)
        return known.images, prompts, None
    found = data.folder(folder, recipe.size)
    for note in found.notes:
        logging.getLogger(__name__).warning(note)
    return found.images, [""] * len(found.images), None


if __name__ == "__main__":
    main()
