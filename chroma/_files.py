"""Bundled files that are what was bundled, and text files of any editor."""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"  # the bundled models, one folder each
BYTE_ORDER_MARKS = {  # in this order: the mark of UTF-32-LE begins with that of UTF-16-LE
    codecs.BOM_UTF8: "UTF-8",
    codecs.BOM_UTF32_LE: "UTF-32-LE",
    codecs.BOM_UTF32_BE: "UTF-32-BE",
    codecs.BOM_UTF16_LE: "UTF-16-LE",
    codecs.BOM_UTF16_BE: "UTF-16-BE",
}
JOINED_MARK = "\ufeff"  # stays in the middle where files with byte order marks are joined
LINE_END = re.compile(r"\r\n|\n|\r")
CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")  # those that are not white space


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


def read_lines(path: str | Path, entry: str = "prompt") -> list[str]:
    r"""Read a text file of one entry per line.

    Files are UTF-8, or of the encoding that their byte order mark names: UTF-8, UTF-16 or UTF-32, as Windows' editors
    and PowerShell write them. Lines end with a line feed, a carriage return, or both. The other characters at which
    `str.splitlines` splits, such as the line separator U+2028, come with text from web pages and do not end an entry.

    Args:
        path: of the file.
        entry: what a line is, for the message: "prompt".

    Returns:
        The lines without the white space around them; empty lines are left out.

    Raises:
        ValueError: if there is no such file, if it cannot be read, is not text, is of another encoding, or is empty.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "prompts.txt")
    ...     count = file.write_bytes("an owl\r\nan ox\r\n".encode("utf-16"))
    ...     read_lines(file)
    ['an owl', 'an ox']
    """
    path = Path(path)
    try:
        if not path.is_file():
            found = "is not a file" if path.exists() else "does not exist"
            raise ValueError(f"{path} {found}; use a text file with one {entry} per line")
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror or error}); use a text file that can") from error
    lines = LINE_END.split(_decode(content, path))
    for number, line in enumerate(lines, 1):
        if control := CONTROL_CHARACTER.search(line):
            found = f"line {number} has the control character U+{ord(control[0]):04X}"
            raise ValueError(f"{path} is not a text file of a known encoding: {found}; save it as UTF-8")
    entries = [line.strip().strip(JOINED_MARK).strip() for line in lines]
    entries = [line for line in entries if line]
    if not entries:
        raise ValueError(f"{path} is empty; write one {entry} per line")
    return entries


def _decode(content: bytes, path: Path) -> str:
    """Decode a text file by its byte order mark, or as UTF-8."""
    mark = next((mark for mark in BYTE_ORDER_MARKS if content.startswith(mark)), b"")
    encoding = BYTE_ORDER_MARKS.get(mark, "UTF-8")
    content = content[len(mark) :]
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = len(LINE_END.split(content[: error.start].decode(encoding, "ignore")))
        found = f"byte {content[error.start]:#04x} in line {line}"
        raise ValueError(f"{path} is not a text file in {encoding} ({found}); save it as UTF-8") from error
