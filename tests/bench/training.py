"""Images a second of `chroma.training.train`, against the training loop of diffusers' own examples.

    python tests/bench/training.py [--images 1600] [--runs 5]

The other loop is written after ``train_text_to_image.py`` and ``train_unconditional.py`` in diffusers' repository, as
published: the same network, text encoder, batch and precision, on the same drawings and as many threads. Whole runs
are timed, from building the network to saving the pipeline, in turns; the result joins those in `_build/bench.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from diffusers.optimization import get_cosine_schedule_with_warmup
from diffusers.training_utils import EMAModel
from results import record
from torch.utils.data import DataLoader
from tqdm import tqdm

from chroma import training
from chroma.networks import build_pipeline
from chroma.recipes import RECIPES, Recipe


def plain(recipe: Recipe, images: np.ndarray, prompts: list[str], folder: str) -> None:
    """diffusers' example with both networks trained: what it does in a step is left as it is there."""
    accelerator = Accelerator(mixed_precision=recipe.mixed_precision)
    pipe = build_pipeline(recipe, prompts)
    unet, text_encoder, noise_scheduler = pipe.unet.train(), pipe.text_encoder.train(), pipe.scheduler
    weights = [*unet.parameters(), *text_encoder.parameters()]
    optimizer = torch.optim.AdamW(weights, recipe.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    ema = EMAModel(weights, decay=recipe.ema_decay, use_ema_warmup=True, power=1.0)

    dropped = np.random.default_rng(recipe.seed).random(len(prompts)) < recipe.cond_drop_prob
    kept_prompts = ["" if drop else prompt for drop, prompt in zip(dropped, prompts, strict=True)]
    tokens = pipe.tokenizer(kept_prompts, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    dataset = [
        {"input": torch.from_numpy(image), "input_ids": ids, "mask": mask}
        for image, ids, mask in zip(images, tokens.input_ids, tokens.attention_mask, strict=True)
    ]
    loader = DataLoader(dataset, batch_size=recipe.batch_size, shuffle=True, drop_last=True)
    steps = recipe.num_samples // recipe.batch_size
    lr_scheduler = get_cosine_schedule_with_warmup(optimizer, recipe.lr_warmup_steps, steps)
    unet, text_encoder, optimizer, loader, lr_scheduler = accelerator.prepare(
        unet, text_encoder, optimizer, loader, lr_scheduler
    )
    ema.to(accelerator.device)

    step, progress = 0, tqdm(total=steps, desc="Steps")
    while step < steps:
        for batch in loader:
            clean = batch["input"]
            noise = torch.randn_like(clean)
            timesteps = torch.randint(0, 1000, (len(clean),), device=clean.device).long()
            noisy_images = noise_scheduler.add_noise(clean, noise, timesteps)
            target = noise_scheduler.get_velocity(clean, noise, timesteps)
            words = text_encoder(input_ids=batch["input_ids"], attention_mask=batch["mask"])[0]
            predicted = unet(noisy_images, timesteps, words).sample[:, :3]
            loss = F.mse_loss(predicted.float(), target.float(), reduction="mean")
            average = accelerator.gather(loss.repeat(recipe.batch_size)).mean().item()
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
            ema.step(weights)
            step += 1
            progress.update(1)
            progress.set_postfix(step_loss=average, lr=lr_scheduler.get_last_lr()[0])
            if step == steps:
                break
    progress.close()
    ema.copy_to(weights)
    pipe.save_pretrained(folder)
    accelerator.end_training()


def seconds(run, recipe: Recipe, images: np.ndarray, prompts: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run(recipe, images, prompts, folder)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=RECIPES, default="emoji-32-first")
    parser.add_argument("--images", type=int, default=1600, help="in each run (%(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="of each loop (%(default)s)")
    args = parser.parse_args()

    *data, _ = training._load_data(RECIPES[args.recipe], None)
    recipe = dataclasses.replace(RECIPES[args.recipe], num_samples=args.images)
    warm = dataclasses.replace(recipe, num_samples=2 * recipe.batch_size)
    loops = {"chroma.training": training.train, "diffusers' example": plain}
    for run in loops.values():
        seconds(run, warm, *data)
    times = {name: [] for name in loops}
    for _ in range(args.runs):
        for name, run in loops.items():
            times[name].append(seconds(run, recipe, *data))

    rates = {name: recipe.num_samples / statistics.median(taken) for name, taken in times.items()}
    print(
        f"{args.recipe}, {recipe.num_samples} images a run, batch {recipe.batch_size}, {recipe.mixed_precision}, ",
        end="",
    )
    print(f"{torch.get_num_threads()} threads, median of {args.runs} runs")
    for name, rate in rates.items():
        spread = ", ".join(f"{recipe.num_samples / taken:.1f}" for taken in times[name])
        print(f"{name:20} {rate:6.1f} images/s  ({spread})")
    ours, theirs = rates.values()

    what = f"images/s of chroma.training.train over diffusers' example loop, {args.recipe}, whole runs"
    record("training throughput", ours / theirs, ">=1.0", args.runs, what)


if __name__ == "__main__":
    main()
