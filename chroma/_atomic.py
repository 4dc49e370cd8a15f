"""Files that are there whole or not at all, and what to say when a disk has no room for them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FULL = {
    getattr(errno, "EDQUOT", errno.ENOSPC): "the disk quota is used up",
    errno.ENOSPC: "the disk is full",
    errno.EFBIG: "files may not become this large here",
}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a kill at any moment leaves either the old one or the new one.

    Args:
        path: the file; where it is a link, the file that it leads to is replaced.
        content: all of it.

    Raises:
        OSError: if it cannot be written, naming the file and its bytes; nothing is left behind.
    """
    target = Path(os.path.realpath(path))
    partial = partial_path(target)
    try:
        with open(partial, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, target)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_fault(path, len(content), error) from error
        raise


def write_folder(folder: Path, name: str, size: int, write: Callable[[Path], object]) -> None:
    """Write several files into a folder, none of which takes its place before all of them are written.

    Args:
        folder: where they go; files and folders of the same names are replaced, others stay.
        name: what they are, for the name of the folder that they are written to first.
        size: bytes that they need, about.
        write: is passed a folder and writes them there.

    Raises:
        OSError: if they cannot be written, with the bytes needed; nothing is left behind.
    """
    partial = partial_path(folder / name)
    try:
        partial.mkdir()
        write(partial)
        for item in sorted(partial.iterdir(), key=lambda item: item.is_file()):  # the index of a pipeline last
            target = folder / item.name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            os.replace(item, target)
    except Exception as error:
        # safetensors raises an error of its own, which has the number in its words
        number = error.errno if isinstance(error, OSError) else _number(str(error))
        if number is None:
            raise
        raise write_fault(folder / name, size, OSError(number, os.strerror(number))) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _number(words: str) -> int | None:
    found = re.search(r"os error (\d+)", words)
    return int(found[1]) if found else None


def partial_path(path: Path) -> Path:
    """Choose a name beside a file under which no other process writes."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")


def remove_partials(folder: Path, name: str = "") -> None:
    """Remove what killed processes left of the files that they were writing.

    Args:
        folder: where the files are; nobody else may be writing there, or none of this name.
        name: of the file that was being written; any by default.
    """
    left = re.compile(rf"{re.escape(name) or '.+'}(\.[0-9a-f]{{32}})?\.partial")
    for item in folder.iterdir():
        if left.fullmatch(item.name):
            with suppress(OSError):
                shutil.rmtree(item) if item.is_dir() else item.unlink()


def write_fault(path: Path, size: int, error: OSError) -> OSError:
    """Build the error to raise when a file cannot be written.

    Args:
        path: the file.
        size: bytes that it needs.
        error: what the system said.

    Returns:
        The error; the caller raises it.
    """
    reason = FULL.get(error.errno or 0)
    if reason is None:
        return OSError(f"{path} could not be written: {error.strerror or error}")
    free = ""
    with suppress(OSError):
        free = f" and {shutil.disk_usage(path.parent).free:,} are free" if error.errno != errno.EFBIG else ""
    return OSError(
        f"{path} could not be written: {reason}; it needs {size:,} bytes{free}; "
        "make room for it, then run the same command again"
    )
