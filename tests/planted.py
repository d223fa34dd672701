"""Systematic lies about a JSON document: every leaf and every list of it, falsified small, large and absurdly."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Path = tuple[str | int, ...]
Lie = tuple[Path, Any]


def lies(value: Any, path: Path = ()) -> Iterator[Lie]:
    """(path, false value) for everything in ``value``; DROP as false value takes the entry away."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*path, key), DROP
            yield from lies(item, (*path, key))
        return
    if isinstance(value, list):
        if value:
            yield path, value[:-1]
            yield path, [*value, value[-1]]
            yield path, value[::-1]
            yield path, []
        for i, item in enumerate(value):
            yield from lies(item, (*path, i))
        return
    if isinstance(value, bool):
        falsified: list[Any] = [not value, None, "true"]
    elif isinstance(value, int | float):
        whole = isinstance(value, int)
        near = [value + 1, value - 1] if whole else [value * (1 + 1e-5) + 1e-5, value * (1 - 1e-5) - 1e-5]
        falsified = [*near, -3 * value - 7, 0, 1e308, str(value), value + 0.5, True, None]
    elif isinstance(value, str):
        falsified = ["", value + "x", 3, None]
    else:
        falsified = [0.0, 1.0, "null", []]
    for item in falsified:
        yield path, item


class _Drop:
    def __repr__(self) -> str:
        return "DROP"


DROP = _Drop()


def told(document: Any, lie: Lie) -> Any:
    """A copy of the document with one lie in it."""
    out = copy.deepcopy(document)
    path, value = lie
    if not path:
        return copy.deepcopy(value)
    place = out
    for key in path[:-1]:
        place = place[key]
    if value is DROP:
        del place[path[-1]]
    else:
        place[path[-1]] = copy.deepcopy(value)
    return out
