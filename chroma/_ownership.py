"""One process at a time writes to a place: a lock file names its owner."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from chroma._atomic import partial_path

PATIENCE = 1.0  # seconds in which a process that has created a lock has also written its name into it


@contextmanager
def owned(place: Path, lock: Path) -> Iterator[None]:
    """Own a place while the block runs; the lock of a process that no longer runs on this machine is taken over.

    Args:
        place: the file or folder that is written to, for messages.
        lock: the lock file, in a folder that is made if there is none.

    Raises:
        ValueError: if another process owns the place, naming that process, or nothing can be written there.
    """
    made = _make_folder(lock.parent)
    try:
        mine = _acquire(place, lock)
        try:
            yield
        finally:
            with suppress(OSError):
                if lock.read_bytes() == mine:  # else somebody has deleted it
                    lock.unlink()
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


def _acquire(place: Path, lock: Path) -> bytes:
    """Create the lock; returns its content."""
    mine = json.dumps(_owner()).encode()
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return _create(lock, mine)
        except FileExistsError:
            pass
        except OSError as error:
            raise _unwritable(lock.parent, error) from error
        try:
            content = lock.read_bytes()
        except FileNotFoundError:
            continue  # its owner has finished
        except OSError as error:
            raise _unwritable(lock.parent, error) from error
        if not content and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        if content:
            _check_abandoned(place, lock, content)
        _remove(lock, content)


def _create(lock: Path, content: bytes) -> bytes:
    with open(lock, "xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:  # a full disk
            lock.unlink()
            raise
    return content


def _check_abandoned(place: Path, lock: Path, content: bytes) -> None:
    """Raise unless the process that wrote the lock ran on this machine and has ended."""
    try:
        owner = json.loads(content)
        host, pid, since = owner["host"], int(owner["pid"]), owner["since"]
        here = (host, owner["namespace"]) == (socket.gethostname(), _namespace())
        started = owner["started"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{lock} is not a lock of chroma: delete it, or choose another --out") from None
    who = f"{place} is in use by process {pid} on {host}, since {since}"
    if not here:
        raise ValueError(f"{who}: choose another --out; if that process no longer runs, delete {lock}")
    if _started(pid) in (started, "unknown"):
        raise ValueError(f"{who}: wait until it ends, or choose another --out")


def _remove(lock: Path, content: bytes) -> None:
    """Remove an abandoned lock, but not one that another process has created in its place meanwhile."""
    aside = partial_path(lock)
    try:
        os.rename(lock, aside)
    except FileNotFoundError:
        return
    if aside.read_bytes() != content:
        os.rename(aside, lock)
    else:
        aside.unlink()


def _owner() -> dict[str, str | int | None]:
    pid = os.getpid()
    since = datetime.now(UTC).isoformat(" ", "seconds")
    return {
        "host": socket.gethostname(),
        "namespace": _namespace(),
        "pid": pid,
        "started": _started(pid),
        "since": since,
    }


def _namespace() -> str:
    """The numbering of processes that this one belongs to: containers of one host name may have several."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: int) -> str | None:
    """When a process started, or None if it does not run: with its number, this names a process."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        with suppress(OSError, IndexError):  # in Linux's own ticks since the start of the machine, whatever its date
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{process.create_time():.0f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "unknown"
