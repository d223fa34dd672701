"""Spread over seeds and what may be said from intervals; scipy's textbook distributions, nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """Of n values: largest, mean, sample standard deviation (None for one value), least."""

    n: int
    best: float
    mean: float
    sd: float | None
    worst: float


def spread(values: Sequence[float]) -> Spread | None:
    """None of no values."""
    if not values:
        return None
    array = np.asarray(values, float)
    sd = float(array.std(ddof=1)) if len(array) > 1 else None
    best, worst = float(array.max()), float(array.min())
    # The mean of equal numbers may be rounded past them.
    return Spread(len(array), best, min(max(float(array.mean()), worst), best), sd, worst)


def sd_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Confidence interval of the standard deviation of normal values (chi squared), None below two values."""
    n = len(values)
    if n < 2:
        return None
    square = (n - 1) * float(np.var(values, ddof=1))
    tail = 0.5 * (1.0 - CONFIDENCE)
    return (
        math.sqrt(square / float(stats.chi2.ppf(1.0 - tail, n - 1))),
        math.sqrt(square / float(stats.chi2.ppf(tail, n - 1))),
    )


def sd_ratio(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float] | None:
    """sd(first)/sd(second) with its confidence interval (F distribution); None where it can't be formed or one is
    nothing but rounding."""
    rounding = 1e-12 * float(np.abs([*first, *second, 0.0]).max())
    if len(first) < 2 or len(second) < 2 or min(np.std(first), np.std(second)) <= rounding:
        return None
    ratio = float(np.std(first, ddof=1) / np.std(second, ddof=1))
    tail, m, n = 0.5 * (1.0 - CONFIDENCE), len(first) - 1, len(second) - 1
    low, high = stats.f.ppf(1.0 - tail, m, n), stats.f.ppf(tail, m, n)
    return ratio, ratio / math.sqrt(float(low)), ratio / math.sqrt(float(high))


def flatness(curve: Sequence[float | None], share: float = 0.2) -> float | None:
    """Gain over the last ``share`` of a curve's iterations, relative to its end; None without a value there."""
    values = list(curve)
    if not values:
        return None
    before, end = values[max(int(len(values) * (1.0 - share)) - 1, 0)], values[-1]
    if before is None or end is None:
        return None
    return (end - before) / max(abs(end), 1.0)


Order = Literal["above", "below", "overlap", "unknown"]


def compare(first: tuple[float | None, float | None], second: tuple[float | None, float | None]) -> Order:
    """Whether every value of one interval lies above (below) every value of the other."""
    if first[0] is not None and second[1] is not None and first[0] > second[1]:
        return "above"
    if first[1] is not None and second[0] is not None and first[1] < second[0]:
        return "below"
    return "unknown" if None in (*first, *second) else "overlap"


def relative_change(
    start: tuple[float | None, float | None], end: tuple[float | None, float | None]
) -> tuple[float, float] | None:
    """[least, largest] of (b - a)/a for a in ``start``, b in ``end``; None for an open end or a <= 0."""
    a_low, a_high = start
    b_low, b_high = end
    if a_low is None or a_high is None or b_low is None or b_high is None or a_low <= 0.0:
        return None
    corners = [(b - a) / a for a in (a_low, a_high) for b in (b_low, b_high)]
    return min(corners), max(corners)
