"""The folder of a training run: what may be written there, its checkpoint, and the run that it starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
# how messages name what a run consists of; the rest of the names are the recipe's own
RUN_FIELDS = {"data": "images or prompts", "start": "the model of init_from"}


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
        run: its recipe, the checksum of its data, and the identity of the model that it starts from, if any.

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
    if "start" in recorded and "start" in run:  # its identity counts, not the folder that it is in now
        recorded, run = ({**one, "recipe": {**one["recipe"], "init_from": None}} for one in (recorded, run))
    if found := differences(_named(recorded), _named(run)):
        raise ValueError(f"{folder} holds another run ({'; '.join(found)}): choose another folder for this run")


def _named(run: dict) -> dict:
    """What a run consists of, by the names that messages have for it."""
    named = {RUN_FIELDS.get(name, name): value for name, value in run.items()}
    if isinstance(start := run.get("start"), dict):
        named[RUN_FIELDS["start"]] = {f"{component} of init_from": value for component, value in start.items()}
    return named


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
        run: its recipe, the checksum of its data, and the identity of the model that it starts from, if any.

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
            recorded, record = (_read_object(path, metadata, key) for key in ("run", "record"))
            if not isinstance(recorded.get("recipe"), dict):
                raise _corrupt(path, "its metadata has no recipe")
            _check_same(folder, recorded, run)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
    except SafetensorError as error:
        raise _corrupt(path, str(error)) from error
    _check_record(path, record, recorded["recipe"])
    return tensors, record


def _corrupt(path: Path, what: str) -> ValueError:
    return ValueError(f"the checkpoint {path} is corrupt ({what}): delete it to start again")


def _read_object(path: Path, metadata: dict, key: str) -> dict:
    try:
        found = json.loads(metadata[key])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _corrupt(path, f"its metadata {key!r} is not a JSON object")
    return found


def _check_record(path: Path, record: dict, recipe: dict) -> None:
    """Check what is on record beside the tensors, without which no run resumes."""
    steps = recipe["num_samples"] // recipe["batch_size"]
    for key, least, most in (("step", 1, steps), ("ema_steps", 1, steps), ("seconds", 0, float("inf"))):
        value = record.get(key)
        kinds = (int, float) if key == "seconds" else (int,)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            raise _corrupt(path, f"its {key!r} is {value!r}")
    if not isinstance(record.get("losses", []), list):
        raise _corrupt(path, "its 'losses' are not a list")


def check_tensors(
    folder: Path, tensors: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[tuple[int, ...], torch.dtype]]
) -> None:
    """Refuse a checkpoint that does not have exactly the tensors that a run resumes from.

    Args:
        folder: of the run.
        tensors: of the checkpoint, by name.
        expected: their shapes and types, by name.

    Raises:
        ValueError: naming the first tensor that is missing, unknown, of another shape or type, or not finite.
    """
    path = folder / CHECKPOINT
    for name, (shape, dtype) in expected.items():
        tensor = tensors.get(name)
        if tensor is None:
            raise _corrupt(path, f"the tensor {name} is missing")
        if tensor.shape != shape or tensor.dtype != dtype:
            found = f"{tensor.dtype} of shape {tuple(tensor.shape)}, and must be {dtype} of shape {shape}"
            raise _corrupt(path, f"the tensor {name} is {found}")
        if not tensor.isfinite().all():
            raise _corrupt(path, f"the tensor {name} has NaN or infinity")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise _corrupt(path, f"the tensor {unknown[0]} is none of this model's")


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
