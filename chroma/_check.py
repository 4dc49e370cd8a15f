"""One form for every refusal: which argument, what it was, what it must be."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np


def refuse(name: str, value: object, must: str) -> ValueError:
    """The error to raise when the argument `name` is `value` but must be `must`."""
    return ValueError(f"{name} must be {must}; got {value if isinstance(value, str) else repr(value)}")


def not_nan(name: str, value) -> np.ndarray:
    """`value` as a float64 array, refused if any entry is NaN (infinities are meaningful log-SNRs)."""
    array = np.asarray(value, dtype=np.float64)
    if np.isnan(array).any():
        raise refuse(name, value, "free of NaN")
    return array


def whole(name: str, value, least: int) -> int:
    """`value` as an int, refused unless it is a whole number >= `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise refuse(name, value, f"a whole number >= {least}")
    return int(value)


def finite(name: str, value, *, above: float = -np.inf) -> float:
    """`value` as a float, refused unless it is finite and > `above`."""
    number = float(value)
    if not np.isfinite(number) or number <= above:
        raise refuse(name, value, "a finite number" if above == -np.inf else f"a finite number > {above:g}")
    return number


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves either the old one or the new one."""
    beside = path.with_name(f"{path.name}.partial")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def record(folder: Path) -> None:
    """Write `folder`/CHECKSUMS.json: the sha256 and the size in bytes of every other file below it."""
    checksums = folder / "CHECKSUMS.json"
    entries = {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != checksums
    }
    checksums.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def recorded(folder: Path, file: str, remedy: str) -> bytes:
    """The contents of a bundled file, refused by name if missing or not what `folder`/CHECKSUMS.json has on record."""
    path, checksums = folder / file, folder / "CHECKSUMS.json"
    for needed in (checksums, path):
        if not needed.is_file():
            raise FileNotFoundError(f"the bundled file {needed} is missing: {remedy}")
    expected = json.loads(checksums.read_text(encoding="utf-8"))[file]["sha256"]
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"the bundled file {path} is corrupt: its sha256 must be {expected[:12]}..., got {found[:12]}...; {remedy}"
        )
    return content
