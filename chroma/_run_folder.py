"""The folder of a training run: what may be written there, its checkpoint, and the run that it starts from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chroma._check import invalid_argument
from chroma._records import differences
from chroma.networks import unet_settings, words_of
from chroma.recipes import Recipe

CHECKPOINT = "checkpoint.safetensors"
CARD = "card.json"
# what a finished run consists of, beside its card: a pipeline of diffusers
MODEL = ("model_index.json", "unet", "text_encoder", "tokenizer", "scheduler")


def check_unfinished(folder: Path) -> None:
    """Refuse a folder that holds a model and no checkpoint from which a run could resume.

    Args:
        folder: where a run would write; it need not exist.

    Raises:
        ValueError: if a run would overwrite what is there.
    """
    if (folder / CHECKPOINT).is_file():
        return
    if found := [name for name in (CARD, *MODEL) if (folder / name).exists()]:
        what = "a finished model" if CARD in found else f"a model that is not of this run ({found[0]})"
        raise ValueError(f"{folder} holds {what}, which would be overwritten: choose another folder for this run")


def is_finished(folder: Path, run: dict) -> bool:
    """Check whether a folder holds the model that a run ends with.

    Args:
        folder: of the run.
        run: its recipe and the checksum of its data.

    Returns:
        Whether nothing is left to be written.

    Raises:
        ValueError: if the model there is of another run.
    """
    card = folder / CARD
    if not card.is_file():
        return False
    _check_same(folder, _read_card(card, f"{card} is not the card of a run: choose another folder"), run)
    return (folder / MODEL[0]).is_file()


def _check_same(folder: Path, recorded: dict, run: dict) -> None:
    named = {"images or prompts" if name == "data" else name: value for name, value in run.items()}
    if found := differences({**recorded, "images or prompts": recorded.get("data")}, named):
        raise ValueError(f"{folder} holds another run ({'; '.join(found)}): choose another folder for this run")


def _read_card(path: Path, remedy: str) -> dict:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(card["recipe"], dict):
            return card
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(remedy)


def read_checkpoint(folder: Path, run: dict) -> tuple[dict[str, torch.Tensor], dict] | None:
    """Read the checkpoint of a run.

    Args:
        folder: of the run.
        run: its recipe and the checksum of its data.

    Returns:
        The tensors and what is on record beside them, or None if there is no checkpoint.

    Raises:
        ValueError: if it is corrupt, or of another run.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / CHECKPOINT
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if not {"run", "record"} <= metadata.keys():
                raise ValueError(f"{path} is not a checkpoint of a training run: choose another folder for this run")
            _check_same(folder, json.loads(metadata["run"]), run)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise ValueError(f"the checkpoint {path} is corrupt ({error}): delete it to start again") from error
    return tensors, json.loads(metadata["record"])


def read_start(recipe: Recipe) -> dict:
    """Read the card of the run that a recipe starts from.

    Args:
        recipe: with init_from.

    Returns:
        The card.

    Raises:
        ValueError: if there is none, or its model was trained with another loss.
    """
    card = Path(str(recipe.init_from)) / CARD
    must = "the folder of a finished run, with its card.json"
    if not card.is_file():
        raise invalid_argument("init_from", str(recipe.init_from), must)
    start = _read_card(
        card, str(invalid_argument("init_from", f"{recipe.init_from}, whose card is none of a run", must))
    )
    for name, earlier in {"residual": None, "schedule": "cosine", "prediction_type": "v_prediction"}.items():
        there, now = start["recipe"].get(name, earlier), getattr(recipe, name)
        if there != now:
            raise invalid_argument("init_from", f"{name} {there} there, {now} now", "a model of the recipe's loss")
    return start


def check_start(pipe: Any, recipe: Recipe, prompts: Sequence[str]) -> None:
    """Refuse to start from a model that is not of a recipe's architecture, or has no words for its prompts.

    Args:
        pipe: the model to start from.
        recipe: of the model to train.
        prompts: that it is to be trained on.

    Raises:
        ValueError: naming each difference.
    """
    if found := differences(pipe.unet.config, unet_settings(recipe)):
        raise invalid_argument("init_from", "; ".join(found), "a network of the recipe's architecture")
    vocabulary = pipe.tokenizer.get_vocab()
    if unknown := [word for word in words_of(prompts) if f"▁{word}" not in vocabulary]:
        some = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        without = f"a model without {len(unknown)} of their words: {some}"
        raise invalid_argument("init_from", without, "a model that was trained on every word of the prompts")
