"""The files of a measuring run: one for its result, and in the folder OUT.parts one for each prompt until it is whole.

Every file has the record of its run, JSON under the key ``run``: one of another run is refused by what differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from chroma._atomic import remove_partials, write_atomically
from chroma._ownership import owned

PARTIAL = re.compile(r"\d+\.safetensors(\.[0-9a-f]{32})?\.partial")  # what a killed process leaves of a part
ANOTHER_EDITION = "the model, whose fingerprint an earlier edition of chroma computed in another way"
KNOWN_BY_MORE = ("weights", "components")  # compared component by component


def parts_folder(out: Path) -> Path:
    """Name the folder in which finished prompts wait.

    Args:
        out: the file of the result.

    Returns:
        The folder.
    """
    return out.with_name(f"{out.name}.parts")


def own(out: Path) -> AbstractContextManager[None]:
    """Own the result of a run while a block runs.

    Args:
        out: the file of the result.

    Returns:
        The context; entering it raises ValueError where another process owns `out` or it cannot be written.
    """
    check_file(out)
    return owned(out, _lock(out))


def check_file(out: Path) -> None:
    """Refuse a folder in the place of the result, and a file in the place of the folder of its parts.

    Args:
        out: the file of the result.

    Raises:
        ValueError: naming it.
    """
    if out.is_dir() or not out.name:
        raise ValueError(f"{out} is a folder; choose the name of a file, NAME.safetensors, as --out")
    parts = parts_folder(out)
    if parts.exists() and not parts.is_dir():
        raise ValueError(f"{parts}, the folder in which finished prompts wait, is a file; choose another --out")


def save(path: Path, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays with the record of their run.

    Args:
        path: the file.
        record: of the run.
        arrays: name -> array.
    """
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_atomically(path, save(contiguous, {"run": json.dumps(record)}))


def read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Read a file.

    Args:
        path: the file.

    Returns:
        The record of its run, and its arrays.

    Raises:
        ValueError: if it is corrupt or something else, naming it.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise ValueError(f"{path} is not a file: pass a result of chroma.measure")
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dict
            return dict(json.loads(file.metadata()["run"])), arrays
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not a whole result of chroma.measure ({error}): choose another --out, or delete it"
        ) from error


def part_file(parts: Path, index: int) -> Path:
    """Name the file of one prompt.

    Args:
        parts: of `parts_folder`.
        index: of the prompt.

    Returns:
        The file.
    """
    return parts / f"{index}.safetensors"


def read_part(path: Path, record: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Read what was measured of a prompt.

    Args:
        path: of `part_file`.
        record: of the run that it must be of.

    Returns:
        Its arrays, or None if it was not yet measured.

    Raises:
        ValueError: if the file is corrupt or of another run.
    """
    if not path.exists():
        return None
    saved, arrays = read(path)
    differing = differences(saved, record)
    if differing:
        what = f"{path.parent} holds partial results of a different run"
        raise ValueError(f"{what}, which differs in {differing}; delete it or choose another --out")
    return arrays


def remove_parts(parts: Path, out: Path, count: int) -> None:
    """Remove the files of all prompts, and what killed processes left; anything else in the folder stays.

    Args:
        parts: of `parts_folder`.
        out: the file of the result.
        count: of the prompts.
    """
    for item in parts.iterdir():
        if PARTIAL.fullmatch(item.name) and item.is_file():
            item.unlink()
    for index in range(count):
        part_file(parts, index).unlink(missing_ok=True)
    remove_partials(out.parent, out.name)
    with suppress(OSError):  # something of the user's is in it
        parts.rmdir()


def remove_left_over(out: Path, record: Mapping[str, Any], count: int) -> None:
    """Remove what a process that was killed in its last moment left beside a result; parts of another run stay.

    Args:
        out: the file of the result, which is there.
        record: of its run.
        count: of the prompts.
    """
    parts = parts_folder(out)
    if not parts.is_dir() and not _lock(out).exists():
        return
    with suppress(ValueError, OSError), own(out):
        for index in range(count):
            read_part(part_file(parts, index), record)
        remove_parts(parts, out, count)


def _lock(out: Path) -> Path:
    return out.with_name(f"{out.name}.lock")


def differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name what differs between the records of two runs.

    Args:
        saved: the record of a file.
        wanted: the record of the run that it should be of, or a part of it.

    Returns:
        What differs, in words; empty if nothing does.
    """
    wanted = json.loads(json.dumps(wanted))
    found = [_difference(key, saved.get(key), wanted[key]) for key in wanted if key not in KNOWN_BY_MORE]
    return "; ".join([one for one in found if one] + _model_differences(saved, wanted))


def _difference(key: str, old: Any, new: Any) -> str | None:
    if old == new:
        return None
    if key == "prompts" and isinstance(old, list) and len(old) == len(new):
        first = next(i for i in range(len(new)) if old[i] != new[i])
        return f"prompts (number {first + 1} is {old[first]!r} there and {new[first]!r} here)"
    if key in ("prompts", "log_snrs") and isinstance(old, list):
        name = "steps" if key == "log_snrs" else key
        if len(old) != len(new):
            return f"{name} ({len(old)} there and {len(new)} here)"
        return "the log-SNRs of the steps"
    return f"{key} ({old!r} there and {new!r} here)"


def _model_differences(saved: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    if "weights" not in wanted or saved.get("weights") == wanted["weights"]:
        return []
    old, new = saved.get("components"), wanted["components"]
    if not isinstance(old, dict):
        return [ANOTHER_EDITION]
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    names = ["the settings of the pipeline" if name == "pipeline" else f"its {name}" for name in changed]
    return [f"the model ({', '.join(names)})"]
