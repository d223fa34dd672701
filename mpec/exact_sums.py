"""Sums that decide a bound, in exact rational arithmetic: what is rounded is rounded away from the claim."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction


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
