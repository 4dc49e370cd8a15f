"""What is on record of a run, compared with what is asked for now."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def differences(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the fields in which a record differs from a run that is asked for now.

    Args:
        recorded: field -> value, as read from JSON; a value may be such a record itself, whose fields then count.
        now: the same fields, or those of them that are known yet.

    Returns:
        One phrase per field that differs, "seeds: 4 there, 3 now".

    >>> differences({"seeds": 4, "prompts": ["owl", "ox"]}, {"seeds": 3, "prompts": ("owl", "fox")})
    ['seeds: 4 there, 3 now', "prompts: number 2 is 'ox' there, 'fox' now"]
    """
    found: list[str] = []
    for name, value in now.items():
        other, value = _plain(recorded.get(name)), _plain(value)
        if isinstance(value, dict) and isinstance(other, dict):
            found += differences(other, dict.fromkeys(other) | value)
        elif other != value:
            found.append(f"{name}: {_difference(other, value)}")
    return found


def _plain(value: Any) -> Any:
    """As JSON has it: tuples are lists."""
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _difference(there: Any, now: Any) -> str:
    if not (isinstance(there, list) and isinstance(now, list) and isinstance([*there, *now][0], (str, float))):
        return f"{_short(there)} there, {_short(now)} now"
    if len(there) != len(now):
        return f"{len(there)} there, {len(now)} now"
    place = next(i for i, (one, other) in enumerate(zip(there, now, strict=True)) if one != other)
    return f"number {place + 1} is {_short(there[place])} there, {_short(now[place])} now"


def _short(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, str) and re.fullmatch("[0-9a-f]{16,}", value):  # a checksum
        return f"{value[:8]}..."
    return text if len(text := repr(value)) <= 60 else f"{text[:57]}..."
