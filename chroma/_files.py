"""Files that are there whole or not at all, and bundled files that are what was bundled."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"  # the bundled models, one folder each


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves either the old one or the new one.

    Args:
        path: the file.
        content: all of it.
    """
    partial = path.with_name(f"{path.name}.partial")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def record_checksums(folder: Path) -> None:
    """Write ``CHECKSUMS.json`` in a folder: the sha256 and the size in bytes of every other file below it.

    Args:
        folder: where the files are.
    """
    checksums = folder / "CHECKSUMS.json"
    entries = {
        file.relative_to(folder).as_posix(): {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "bytes": file.stat().st_size,
        }
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != checksums and "__pycache__" not in file.parts
    }
    checksums.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def read_verified(folder: Path, file: str, remedy: str) -> bytes:
    """Read a bundled file, once it has been found to be what ``CHECKSUMS.json`` has on record.

    Args:
        folder: where CHECKSUMS.json is.
        file: the file's path below it.
        remedy: what a user can do if the file is missing or corrupt.

    Returns:
        The file's content.

    Raises:
        FileNotFoundError: if the file is missing, naming it.
        ValueError: if the file is corrupt, naming it.
    """
    path, checksums = folder / file, folder / "CHECKSUMS.json"
    for needed in (checksums, path):
        if not needed.is_file():
            raise FileNotFoundError(f"the bundled file {needed} is missing: {remedy}")
    expected = json.loads(checksums.read_text(encoding="utf-8"))[file]["sha256"]
    content = path.read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise ValueError(
            f"the bundled file {path} is corrupt: its sha256 must be {expected[:12]}..., got {actual[:12]}...; {remedy}"
        )
    return content
