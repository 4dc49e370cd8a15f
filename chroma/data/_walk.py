"""Every file below a folder: the images, those that cannot be used, and what else there is."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict, deque
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chroma._check import invalid_argument
from chroma.data._formats import FOREIGN_KINDS, OTHER_KINDS, is_image, suffix_formats

# What systems leave beside images. Names that begin with a dot or end with a tilde are left out as well.
SYSTEM_NAMES = {"__macosx", "@eadir", "thumbs.db", "ehthumbs.db", "desktop.ini", "#recycle", "$recycle.bin", "icon\r"}
SYSTEM_NAMES |= {"lost+found", "system volume information", "__pycache__"}
HIDDEN, OTHER, SEEN = "hidden or system file", "other file", "link to a folder that has been read"


@dataclass(frozen=True)
class Contents:
    """What is below a folder, as paths within it.

    Attributes:
        images: the files to be read, sorted.
        skipped: images and folders that cannot be opened, as (name, reason).
        others: what is no image: kind -> names, sorted.
    """

    images: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def describe_others(self) -> str:
        """Count what is no image: "2 text files (a.txt, b.txt), 1 video (c.mp4)"."""
        return ", ".join(f"{plural(len(names), kind)} ({first(names)})" for kind, names in sorted(self.others.items()))


def walk(path: Path) -> Contents:
    """Find the images below a folder, and account for everything else.

    A file is an image if its suffix belongs to a format that Pillow reads, or if its first bytes do. Symbolic links are
    followed, but no folder is read twice. Hidden files, and those that systems leave in folders, are no images. Pipes,
    sockets and devices are not opened.

    Args:
        path: of the folder.

    Returns:
        What was found.

    Raises:
        ValueError: if `path` is not a folder, or cannot be opened.
    """
    if not os.path.isdir(path):
        raise invalid_argument("path", str(path), "a folder of images")
    found, suffixes = Contents(), suffix_formats()
    seen = {str(parent) for parent in Path(os.path.realpath(path)).parents}  # a link to these leads back to `path`
    folders, links = deque([""]), deque[str]()
    while folders or links:  # links last: a folder is found under its own name rather than that of a link to it
        name = folders.popleft() if folders else links.popleft()
        real_path = os.path.realpath(path / name)
        if real_path in seen:
            found.others[SEEN].append(name)
            continue
        seen.add(real_path)
        try:
            for entry in os.scandir(path / name):
                below = f"{name}/{entry.name}" if name else entry.name
                if _is_system(entry.name):
                    found.others[HIDDEN].append(below)
                elif entry.is_symlink() and os.path.isdir(entry.path):
                    links.append(below)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(below)
                else:
                    _sort_in(entry, below, found, suffixes)
        except OSError as error:
            if not name:
                raise ValueError(f"path: the folder {path} cannot be opened ({describe(error)})") from error
            found.skipped.append((name, f"a folder that cannot be opened: {describe(error)}"))
    for names in (found.images, *found.others.values()):
        names.sort()
    return found


def _is_system(name: str) -> bool:
    """Whether a file is hidden, a backup copy, or one that an operating system leaves in folders."""
    return name.startswith(".") or name.endswith("~") or name.lower() in SYSTEM_NAMES


def _sort_in(entry: os.DirEntry[str], name: str, found: Contents, suffixes: Container[str]) -> None:
    """Add a file to the group that it belongs to."""
    suffix = os.path.splitext(name)[1].lower()
    try:
        if not entry.is_file(follow_symlinks=False) and (reason := why_no_file(entry.path)):
            found.skipped.append((name, reason))
        elif suffix in suffixes:
            found.images.append(name)
        elif suffix in FOREIGN_KINDS:
            found.skipped.append((name, f"{FOREIGN_KINDS[suffix]}, which Pillow does not read"))
        elif is_image(entry.path):
            found.images.append(name)
        else:
            found.others[OTHER_KINDS.get(suffix, OTHER)].append(name)
    except OSError as error:
        found.skipped.append((name, describe(error)))


def why_no_file(path: str | Path) -> str:
    """Say why a path is not one of a file, which can be read without waiting.

    Args:
        path: of anything.

    Returns:
        The reason, or "" for a file and for a link to one.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        if not os.path.islink(path):
            return describe(error)
        target = "itself" if error.errno == errno.ELOOP else os.readlink(path)
        return f"a broken symbolic link to {target}"
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return "" if stat.S_ISREG(mode) else f"{kinds.get(stat.S_IFMT(mode), 'a device')}, not a file"


def describe(error: Exception) -> str:
    """Say what is wrong without the number and the path of an operating system's error.

    Args:
        error: what was raised.

    Returns:
        The message, or the error's name if there is none.
    """
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def plural(count: int, noun: str) -> str:
    """Count things: "1 video", "2 videos", "2 files of arrays".

    Args:
        count: how many.
        noun: what they are, one of them.

    Returns:
        The number with the noun.
    """
    head, *rest = noun.split(" ", 1) if noun.startswith(("file of", "link to")) else [noun]
    return f"{count} {' '.join([head + 's' * (count != 1), *rest])}"


def first(names: Sequence[str], count: int = 3) -> str:
    """List the first names, and count the others.

    Args:
        names: as they are, or with something added to each.
        count: how many to list.

    Returns:
        The list; characters that cannot be printed are escaped.
    """
    listed = ", ".join("".join(c if c.isprintable() else repr(c)[1:-1] for c in name) for name in names[:count])
    return f"{listed} and {len(names) - count} more" if len(names) > count else listed
