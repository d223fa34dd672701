"""Sums that decide a bound, in exact rational arithmetic: what is rounded is rounded away from the claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from mpec.linear_model import LinearModel


def exact(values: Iterable[float]) -> Fraction:
    """The exact sum of floating-point numbers. Raises ValueError for one that is not finite."""
    total = Fraction(0)
    for value in values:
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"{number!r} is no number to add up")
        total += Fraction(number)
    return total


def products(pairs: Iterable[tuple[float, float]]) -> Fraction:
    """The exact sum of a * b. Raises ValueError for a factor that is not finite."""
    total = Fraction(0)
    for a, b in pairs:
        if not (math.isfinite(a) and math.isfinite(b)):
            raise ValueError(f"{a!r} times {b!r} is no number to add up")
        total += Fraction(float(a)) * Fraction(float(b))
    return total


def upwards(value: Fraction) -> float:
    """The least floating-point number that is not below the value."""
    near = float(value)
    return near if Fraction(near) >= value else math.nextafter(near, math.inf)


def downwards(value: Fraction) -> float:
    """The largest floating-point number that is not above the value."""
    return -upwards(-value)


def exact_dual_bound(model: LinearModel, row_duals: Sequence[float]) -> float:
    """The bound on a model's linear relaxation that these row duals prove, in exact arithmetic, rounded outwards.

    As mpec.solvers.safe_bound, whose floating-point sums carry a margin instead: for max c.x, with y and the
    reduced costs d = c - A'y as they are,  sum_i max over [rl_i, ru_i] of y_i r  +  sum_j max over [l_j, u_j] of d_j x.
    A dual that meets an infinite side is set to 0 first; a reduced cost that meets one proves nothing.
    """
    sign = 1 if model.maximise else -1
    reduced = [sign * Fraction(c) for c in model.cost]
    total = Fraction(0)
    for i, stated in enumerate(row_duals):
        y = sign * Fraction(float(stated))
        end = model.row_upper[i] if y > 0 else model.row_lower[i]
        if y == 0 or math.isinf(end):
            continue
        total += y * Fraction(end)
        for k in range(model.starts[i], model.starts[i + 1]):
            reduced[model.indices[k]] -= y * Fraction(model.values[k])
    for j, d in enumerate(reduced):
        if d == 0:
            continue
        end = model.upper[j] if d > 0 else model.lower[j]
        if math.isinf(end):
            return sign * math.inf
        total += d * Fraction(end)
    total += sign * Fraction(model.constant)
    return upwards(total) if model.maximise else downwards(-total)
