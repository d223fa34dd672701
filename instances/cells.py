"""One cell: text to a checked value, or what is wrong with it."""

from __future__ import annotations

import math
import re

from instances.schema import LARGEST, SMALLEST_POSITIVE, Column

Cell = str | float | int | bool | None

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_RESERVED = {"road": ">", "station": ":;"}
_LONGEST_ID = 100


def read_cell(column: Column, text: str) -> tuple[Cell, str | None]:
    """The value of a cell, or None and what is wrong with it."""
    if not text:
        return None, "the cell is blank." if column.filled else None
    if column.kind == "id":
        return _read_id(column, text)
    if column.kind == "text":
        return text, None
    if column.kind == "flag":
        return (text == "1", None) if text in ("0", "1") else (None, "is neither 0 nor 1.")
    if column.kind == "period":
        if not _INTEGER.fullmatch(text):
            return None, "is not an integer of at most nine digits."
        return int(text), None
    return read_number(text, column.low, column.high)


def _read_id(column: Column, text: str) -> tuple[Cell, str | None]:
    if len(text) > _LONGEST_ID:
        return None, f"is longer than {_LONGEST_ID} characters."
    if not text.isprintable():
        return None, "holds a control character."
    for mark in _RESERVED.get(column.name, ""):
        if mark in text:
            return None, f"holds '{mark}', which joins ids in result files."
    if column.name == "road" and text == "outside":
        return None, "is reserved for the route that leaves the game."
    return text, None


def read_number(text: str, low: float, high: float) -> tuple[float | None, str | None]:
    """A decimal number within [low, high], or None and what is wrong with it."""
    if not _NUMBER.fullmatch(text):
        if text.lower().lstrip("+-") in ("nan", "inf", "infinity"):
            return None, "is not a finite number."
        return None, "is not a number."
    return range_problem(float(text), low, high)


def range_problem(value: float, low: float, high: float) -> tuple[float | None, str | None]:
    """``value`` if it is finite and within [low, high], else None and what is wrong."""
    if not math.isfinite(value) or abs(value) > LARGEST:
        return None, f"is not a finite number of at most {LARGEST:g}."
    if value < low:
        if low == SMALLEST_POSITIVE:
            return None, "is not above 0." if value <= 0 else f"is smaller than {SMALLEST_POSITIVE:g}."
        return None, "is negative." if low == 0.0 else f"is below {low:g}."
    if value > high:
        return None, f"is above {high:g}."
    return value, None
