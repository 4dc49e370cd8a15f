"""One process at a time writes to a place: a lock that the operating system frees names its owner in its file."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

PATIENCE = 0.5  # seconds in which an owner that has finished removes its lock


@contextmanager
def owned(place: Path, lock: Path) -> Iterator[None]:
    """Own a place while the block runs; a process that ends, however it ends, owns nothing any more.

    Args:
        place: the file or folder that is written to, for messages.
        lock: the lock file, in a folder that is made if there is none.

    Raises:
        ValueError: if another process owns the place, naming that process, or nothing can be written there.
    """
    made = _make_folder(lock.parent)
    try:
        with _locked(place, lock):
            yield
    except OSError:  # what could not be written belongs here: the folder that the message names stays
        made = []
        raise
    finally:
        for folder in made:  # where nothing was written, nothing is left behind
            with suppress(OSError):
                folder.rmdir()


def _make_folder(folder: Path) -> list[Path]:
    """Make a folder with its parents; returns those that are new, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return missing


def _unwritable(folder: Path, error: OSError) -> ValueError:
    return ValueError(f"nothing can be written in {folder} ({error.strerror}): choose another --out")


@contextmanager
def _locked(place: Path, lock: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    system = FileLock(lock, timeout=PATIENCE, thread_local=False)
    try:
        system.acquire()
    except Timeout:
        who = _described(lock)
        raise ValueError(f"{place} is in use by {who}: wait until it ends, or choose another --out") from None
    except OSError as error:
        raise _unwritable(lock.parent, error) from error
    try:
        _sign(lock)
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()  # while it is locked: whoever waits for this file looks for a new one
    finally:
        system.release()


def _sign(lock: Path) -> None:
    """Write the owner's name over that of one that was killed, but not over a file of the user."""
    if lock.stat().st_size and _owner(lock) is None:
        raise ValueError(f"{lock} is not a lock of chroma: delete it, or choose another --out")
    since = datetime.now(UTC).isoformat(" ", "seconds")
    try:
        lock.write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": since}))
    except OSError as error:  # a full disk
        raise _unwritable(lock.parent, error) from error


def _owner(lock: Path) -> dict | None:
    try:
        owner = json.loads(lock.read_bytes())
        return {key: owner[key] for key in ("host", "pid", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _described(lock: Path) -> str:
    owner = _owner(lock)
    if owner is None:  # in the moment before it has signed, or where locked files cannot be read
        return "another process"
    return f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
