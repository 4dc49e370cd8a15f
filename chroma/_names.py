"""What a name means that may be a bundled thing, a folder, or a model on the hub; where it may mean two, ask back."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from chroma._check import invalid_argument

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
SHORT_LIST = 10  # names that an error message lists in full
Kind = Literal["bundled", "path", "hub"]


def find_named(argument: str, value: str | Path, bundled: Collection[str], needs: str) -> tuple[Kind, str]:
    """Decide whether a name is that of a bundled thing, a path, or the hub's.

    A `Path` is a path. A text is what its prefix says, ``bundled:NAME`` or ``hub:OWNER/NAME``; a path if it starts with
    ``./``, ``../``, ``~`` or ``/``; a bundled name; the path of what exists; or else the hub's ``OWNER/NAME``.

    Args:
        argument: its name, for the refusal.
        value: the name.
        bundled: the names of bundled things.
        needs: what a path must be, for the refusal: "a folder with model_index.json".

    Returns:
        The kind, and the name without its prefix. A path exists.

    Raises:
        ValueError: for a name that is none of the three, and for one that may be two of them.
    """
    text = str(value)
    if not text.strip():
        raise invalid_argument(argument, "an empty name", _unknown(text, bundled, needs))
    if isinstance(value, str):
        kind, _, rest = value.partition(":")
        if kind == "bundled":
            if rest not in bundled:
                raise invalid_argument(argument, text, _unknown(rest, bundled, needs))
            return "bundled", rest
        if kind == "hub" and HUB_NAME.fullmatch(rest):
            return "hub", rest
        if value in bundled:
            if Path(value).is_dir():
                must = f"'bundled:{value}' for the bundled one, or './{value}' for the folder of the same name"
                raise invalid_argument(argument, text, must)
            return "bundled", value
    path = Path(os.path.expanduser(value))  # which leaves an unknown user as it is
    if path.exists():
        return "path", str(path)
    if isinstance(value, str) and HUB_NAME.fullmatch(value):
        if Path(value).parent.is_dir():
            must = f"'hub:{value}' for the hub, or the path of {needs}: there is a folder {Path(value).parent} here, "
            raise invalid_argument(argument, text, f"{must}without {Path(value).name} in it")
        return "hub", value
    raise invalid_argument(argument, text, _unknown(text, bundled, needs))


def _unknown(name: str, bundled: Collection[str], needs: str) -> str:
    similar = get_close_matches(Path(name).name, list(bundled), 1)
    hint = f" (did you mean {similar[0]!r}?)" if similar else ""
    listed = ", ".join(map(repr, bundled)) if len(bundled) <= SHORT_LIST else "a name that --help lists"
    return f"{listed}, {needs} that exists, or a hub's owner/name{hint}"
