"""A place has one writer at a time, files are there whole or not at all, and a full disk is named with its file."""

import json
import multiprocessing
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from chroma._atomic import remove_partials, write_atomically, write_folder
from chroma._ownership import owned

# ---- ownership


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "out.lock"


def own(lock):
    return owned(lock.with_suffix(""), lock)


def other_owner(lock, script="import time; print(flush=True); time.sleep(60)"):
    """Another process that owns the place; returns it once it does."""
    program = f"""
from pathlib import Path
from chroma._ownership import owned
with owned(Path({str(lock.with_suffix(""))!r}), Path({str(lock)!r})):
    {script}
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def test_a_place_is_owned_while_the_block_runs_and_free_afterwards(lock):
    with own(lock):
        owner = json.loads(lock.read_text())
        assert (owner["host"], owner["pid"]) == (socket.gethostname(), os.getpid())
        with pytest.raises(
            ValueError, match=rf"out is in use by process {os.getpid()} on {socket.gethostname()}, since"
        ):
            own(lock).__enter__()
    assert not lock.exists()
    with pytest.raises(KeyboardInterrupt), own(lock):
        raise KeyboardInterrupt
    assert not lock.exists()


def test_a_running_process_keeps_its_place_and_a_killed_one_loses_it(lock):
    process = other_owner(lock)
    try:
        with pytest.raises(ValueError, match=f"in use by process {process.pid} on .*: wait until it ends, or choose"):
            own(lock).__enter__()
    finally:
        process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, though its parent has not asked for its end
    with own(lock):
        pass
    process.wait()
    assert not lock.exists()


def test_a_lock_that_nobody_holds_is_taken_over_whoever_signed_it(lock):
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "since": "2026-01-01"}))
    with own(lock):
        assert json.loads(lock.read_text())["pid"] == os.getpid()
    assert not lock.exists()


def test_a_lock_that_was_cut_short_is_taken_over_and_a_file_of_the_user_is_not(lock):
    lock.write_text("")
    with own(lock):
        pass
    lock.write_text("the key is under the mat")
    with pytest.raises(ValueError, match="is not a lock of chroma: delete it, or choose another --out"):
        own(lock).__enter__()
    assert lock.read_text() == "the key is under the mat"


@pytest.mark.parametrize("attempt", range(5))
def test_of_many_that_find_an_abandoned_lock_one_at_a_time_owns_the_place(lock, attempt):
    process = other_owner(lock, "import os; print(flush=True); os.kill(os.getpid(), 9)")
    assert process.wait() == -signal.SIGKILL and lock.exists()
    alone, inside, refused = threading.Lock(), [], []

    def compete():
        try:
            with own(lock):
                inside.append(alone.acquire(blocking=False))
                time.sleep(0.001)
                alone.release()
        except ValueError:
            refused.append(1)

    threads = [threading.Thread(target=compete) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(inside) and len(inside) + len(refused) == 12
    assert list(lock.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"nothing can be written in .*file.*: choose another --out"):
            owned(folder / "out", folder / "out.lock").__enter__()


def test_a_new_folder_goes_if_nothing_is_written_into_it(tmp_path):
    with owned(tmp_path / "a/b/out", tmp_path / "a/b/out.lock"):
        pass
    assert list(tmp_path.iterdir()) == []
    with owned(tmp_path / "a/b/out", tmp_path / "a/b/out.lock"):
        (tmp_path / "a/b/out").write_text("result")
    assert (tmp_path / "a/b/out").exists()


# ---- files


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")
    for error in (OSError(5, "Input/output error"), KeyboardInterrupt()):

        def fails(file, error=error):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails)
            with pytest.raises(type(error)):
                write_atomically(tmp_path / "file", b"new")
        assert [file.name for file in tmp_path.iterdir()] == ["file"]
        assert (tmp_path / "file").read_bytes() == b"old"


def test_a_file_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "disk" / "file").read_bytes() == b"new" and (tmp_path / "link").is_symlink()


def test_a_file_is_readable_for_whom_the_user_s_mask_allows(tmp_path):
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o644


def test_processes_that_write_one_file_at_once_each_write_it_whole(tmp_path):
    contents = [bytes([i]) * 100_000 for i in range(8)]
    threads = [threading.Thread(target=write_atomically, args=(tmp_path / "file", content)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "file").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


def limited(function, pipe):
    """Run a function where files may have 100,000 bytes; send what it raises."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        function()
    except Exception as error:
        pipe.send((type(error).__name__, str(error)))
    else:
        pipe.send(None)


def raised_where_files_are_limited(function):
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=limited, args=(function, theirs))
    process.start()
    found = ours.recv()
    process.join()
    return found


def test_a_file_that_becomes_too_large_is_named_with_its_bytes(tmp_path):
    kind, words = raised_where_files_are_limited(lambda: write_atomically(tmp_path / "checkpoint", bytes(200_000)))
    assert kind == "OSError"
    assert words == (
        f"{tmp_path}/checkpoint could not be written: files may not become this large here; it needs 200,000 bytes; "
        "make room for it, then run the same command again"
    )
    assert list(tmp_path.iterdir()) == []


def test_weights_that_become_too_large_are_named_with_their_bytes(tmp_path):
    import numpy as np
    from safetensors.numpy import save_file

    def write(folder):
        save_file({"weight": np.zeros(200_000, np.uint8)}, folder / "model.safetensors")

    _, words = raised_where_files_are_limited(lambda: write_folder(tmp_path, "pipeline", 200_000, write))
    assert f"{tmp_path}/pipeline could not be written: files may not become this large here; it needs 200,000" in words
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_with_the_bytes_needed_and_those_that_are_free(tmp_path, monkeypatch):
    def full(file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        OSError, match=r"file could not be written: the disk is full; it needs 3 bytes and [\d,]+ are free"
    ):
        write_atomically(tmp_path / "file", b"new")


def test_a_folder_is_filled_only_when_all_is_written(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "old").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")

    def write(folder, fails):
        (folder / "unet").mkdir()
        (folder / "unet" / "new").write_text("new")
        (folder / "index").write_text("new")
        if fails:
            raise KeyError("index")

    with pytest.raises(KeyError):
        write_folder(tmp_path, "pipeline", 6, lambda folder: write(folder, fails=True))
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["notes.txt", "old", "unet"]
    write_folder(tmp_path, "pipeline", 6, lambda folder: write(folder, fails=False))
    assert sorted(item.name for item in tmp_path.rglob("*")) == ["index", "new", "notes.txt", "unet"]


def test_what_killed_processes_left_is_removed_and_nothing_of_others(tmp_path):
    number = "0123456789abcdef" * 2
    for name in (f"out.{number}.partial", f"other.{number}.partial", "out.partial", "my.partial", "out", "out.parts"):
        (tmp_path / name).write_text("")
    (tmp_path / f"pipeline.{number}.partial").mkdir()
    remove_partials(tmp_path, "out")
    remove_partials(tmp_path, "pipeline")
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "my.partial",
        f"other.{number}.partial",
        "out",
        "out.parts",
    ]
