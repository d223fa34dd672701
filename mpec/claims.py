"""What interval LPs claim of an hour, and how a bound rests on it: made, written down, read and proven again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mpec.hour_state import HourState
from mpec.intervals import QUANTITIES

Interval = tuple[str, int, float, float]
"""Quantity, index, low, high."""


@dataclass(frozen=True)
class Claims:
    """Intervals (quantity, index, low, high) and dropped routes that one round of LPs gave."""

    intervals: tuple[Interval, ...]
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Local:
    """How an hour's bound was reached: points below ``level`` don't count, rounds of claims, in order."""

    level: float
    rounds: tuple[Claims, ...] = ()


def claims_between(old: HourState, new: HourState) -> Claims:
    """The intervals that changed, and the routes that were dropped."""
    intervals = []
    for quantity in QUANTITIES:
        a, b = old.box.low[quantity], new.box.low[quantity]
        c, d = old.box.high[quantity], new.box.high[quantity]
        for i in np.flatnonzero((a != b) | (c != d)):
            intervals.append((quantity, int(i), float(b[i]), float(d[i])))
    dropped = tuple(int(k) for k in np.flatnonzero(old.box.usable & ~new.box.usable))
    return Claims(tuple(intervals), dropped)
