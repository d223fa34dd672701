"""Relaxations of single nonlinear terms, as rows: convex univariate functions and products.

Both hold for every point of the true set, so a model made of them bounds the true one. Partitions
make them tight: a partition with one piece needs no binaries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from mpec.expression import Expression, add_row
from mpec.linear_model import LinearModel

Array = np.ndarray
Function = Callable[[Array], Array]


class Pieces:
    """The partition p_0 < ... < p_n of a column x, in the incremental form.

    x = p_0 + sum_i d_i, 0 <= d_i <= p_i - p_{i-1}, and with binaries b_i (i < n):
    d_i >= (p_i - p_{i-1}) b_i, d_{i+1} <= (p_{i+1} - p_i) b_i. Adds 2n - 1 columns for n >= 2.
    """

    def __init__(self, model: LinearModel, name: str, column: int, points: Sequence[float]) -> None:
        self.points = np.asarray(points, dtype=float)
        self.column = column
        self.steps: list[int] = []
        self.binaries: list[int] = []
        lengths = np.diff(self.points)
        if len(lengths) < 2:
            return
        for i, length in enumerate(lengths):
            self.steps.append(model.add_variable(f"{name}.step{i}", 0.0, length))
        total = Expression(constant=self.points[0]).add_all(self.steps, np.ones(len(lengths)))
        add_row(model, f"{name}.pieces", total.add(column, -1.0), 0.0, 0.0)
        for i in range(len(lengths) - 1):
            b = model.add_variable(f"{name}.full{i}", 0.0, 1.0, integer=True)
            self.binaries.append(b)
            model.add_row(f"{name}.full{i}", [self.steps[i], b], [1.0, -lengths[i]], lower=0.0)
            model.add_row(f"{name}.next{i}", [self.steps[i + 1], b], [1.0, -lengths[i + 1]], upper=0.0)

    def interpolation(self, values: Array) -> Expression:
        """The piecewise linear function through (p_i, values_i), as an expression."""
        if not self.steps:
            width = self.points[-1] - self.points[0]
            slope = (values[-1] - values[0]) / width if width > 0 else 0.0
            return Expression({self.column: slope}, float(values[0] - slope * self.points[0]))
        slopes = np.diff(values) / np.diff(self.points)
        return Expression(constant=float(values[0])).add_all(self.steps, slopes)


NARROW = 1e-6
"""Intervals below this (relative to 1 or their size) are not cut, and no row or column is narrower unless it is an
equation: HiGHS 1.15.1 calls models with ranges about its feasibility tolerance infeasible, or cuts off their best
points. On hours of random games 0.3 % of its answers were false before, none of 6,000 after."""


LEAST_ROOM = 1e-5
"""Width, relative to 1 or the size, that a column has at least unless it is a constant."""


def roomy(low: float, high: float) -> tuple[float, float]:
    """The interval, widened where it is narrower than what solvers can tell from a point.

    HiGHS 1.15.1 calls models infeasible, falsely, when a column's range is about its feasibility tolerance:
    0 <= y - 12 x <= 5e-6, z = x, 5 u <= z with 0 <= x, y <= 1e-7 and z, u <= 40, beside any binary.
    """
    least = LEAST_ROOM * max(1.0, abs(low), abs(high))
    if low == high or high - low >= least:
        return low, high
    if 0.0 <= low < least:
        return 0.0, max(high, least)
    middle = 0.5 * (low + high)
    return min(low, middle - 0.5 * least), max(high, middle + 0.5 * least)


def breakpoints(low: float, high: float, inner: Sequence[float]) -> list[float]:
    """low, the inner points that are clear of the ends and of each other, high."""
    least = max(NARROW * max(1.0, abs(low), abs(high)), 1e-4 * (high - low))
    points = [low]
    for p in sorted(inner):
        if points[-1] + least <= p <= high - least:
            points.append(p)
    return [*points, high]


def convex_from_below(
    model: LinearModel, name: str, column: int, value: int, points: Array, f: Function, slope: Function
) -> None:
    """value >= f(p) + f'(p) (x - p) at every p of ``points``, f convex."""
    heights, slopes = f(points), slope(points)
    for i, (p, h, s) in enumerate(zip(points, heights, slopes, strict=True)):
        model.add_row(f"{name}.tangent{i}", [value, column], [1.0, -s], lower=float(h - s * p))


def convex_from_above(model: LinearModel, name: str, pieces: Pieces, value: int, f: Function) -> None:
    """value <= the chords of f over the pieces, f convex; a little above them where f is all but linear there."""
    heights = f(pieces.points)
    chord = pieces.interpolation(heights)
    middle = f(0.5 * (pieces.points[:-1] + pieces.points[1:]))
    room, least = 0.5 * (heights[:-1] + heights[1:]) - middle, NARROW * float(np.abs(heights).max())
    if float(room.min()) < least:
        chord.shift(least)
    add_row(model, f"{name}.chord", chord.add(value, -1.0), lower=0.0)


def product(
    model: LinearModel,
    name: str,
    value: int,
    first: int,
    second: int,
    box: tuple[float, float, float, float],
) -> None:
    """McCormick's four rows for value = first * second on first in [a, b], second in [c, d]."""
    a, b, c, d = box
    x, y = first, second
    if a == b or c == d:
        # One factor is a constant.
        column, factor = (y, a) if a == b else (x, c)
        model.add_row(f"{name}.constant", [value, column], [1.0, -factor], 0.0, 0.0)
        return
    (a, b), (c, d) = _not_narrow(a, b), _not_narrow(c, d)
    room, least = (b - a) * (d - c), NARROW * max(1.0, abs(b * d), abs(a * c))
    if room <= least:
        # (x - a) (y - c) is nothing: one row with room for it instead of four that are nearly parallel.
        model.add_row(f"{name}.narrow", [value, y, x], [1.0, -a, -c], -a * c - least, -a * c + least)
        return
    model.add_row(f"{name}.low_low", [value, y, x], [1.0, -a, -c], lower=-a * c)
    model.add_row(f"{name}.high_high", [value, y, x], [1.0, -b, -d], lower=-b * d)
    model.add_row(f"{name}.high_low", [value, y, x], [1.0, -b, -c], upper=-b * c)
    model.add_row(f"{name}.low_high", [value, y, x], [1.0, -a, -d], upper=-a * d)


def _not_narrow(low: float, high: float) -> tuple[float, float]:
    """The interval, widened to NARROW relative to its size."""
    missing = 0.5 * (NARROW * max(1.0, abs(low), abs(high)) - (high - low))
    return (low, high) if missing <= 0.0 else (low - missing, high + missing)


def piecewise_product(
    model: LinearModel,
    name: str,
    value: int,
    first: int,
    second: int,
    points: Sequence[float],
    second_box: tuple[float, float],
) -> None:
    """value = first * second with ``first`` partitioned at ``points``: McCormick on each piece.

    Pieces i carry (x_i, y_i, l_i): x = sum x_i, y = sum y_i, sum l_i = 1, l_i binary,
    p_{i-1} l_i <= x_i <= p_i l_i, c l_i <= y_i <= d l_i: the convex hull over the pieces.
    """
    c, d = second_box
    if len(points) <= 2 or c == d:
        product(model, name, value, first, second, (points[0], points[-1], c, d))
        return
    c, d = _not_narrow(c, d)
    low, high = Expression().add(value, -1.0), Expression().add(value, -1.0)
    low2, high2 = low.copy(), high.copy()
    sums = Expression().add(first, -1.0), Expression().add(second, -1.0), Expression()
    for i, (a, b) in enumerate(pairwise(points)):
        x = model.add_variable(f"{name}.first{i}", min(0.0, a), max(0.0, b))
        y = model.add_variable(f"{name}.second{i}", min(0.0, c), max(0.0, d))
        on = model.add_variable(f"{name}.piece{i}", 0.0, 1.0, integer=True)
        model.add_row(f"{name}.first{i}.low", [x, on], [1.0, -a], lower=0.0)
        model.add_row(f"{name}.first{i}.high", [x, on], [1.0, -b], upper=0.0)
        model.add_row(f"{name}.second{i}.low", [y, on], [1.0, -c], lower=0.0)
        model.add_row(f"{name}.second{i}.high", [y, on], [1.0, -d], upper=0.0)
        for total, column in zip(sums, (x, y, on), strict=True):
            total.add(column)
        low.add(y, a).add(x, c).add(on, -a * c)
        low2.add(y, b).add(x, d).add(on, -b * d)
        high.add(y, b).add(x, c).add(on, -b * c)
        high2.add(y, a).add(x, d).add(on, -a * d)
    add_row(model, f"{name}.first", sums[0], 0.0, 0.0)
    add_row(model, f"{name}.second", sums[1], 0.0, 0.0)
    add_row(model, f"{name}.one", sums[2], 1.0, 1.0)
    add_row(model, f"{name}.low_low", low, upper=0.0)
    add_row(model, f"{name}.high_high", low2, upper=0.0)
    add_row(model, f"{name}.high_low", high, lower=0.0)
    add_row(model, f"{name}.low_high", high2, lower=0.0)
