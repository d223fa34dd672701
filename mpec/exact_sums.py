"""Sums that decide a bound, in exact rational arithmetic: what is rounded is rounded away from the claim."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from mpec.linear_model import LinearModel

Array = np.ndarray


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


UNIT = 2.0**-53
"""Largest relative error of one rounded operation."""


def summed_upwards(terms: Array, constant: float = 0.0) -> float:
    """The sum of products that were rounded once each, and a constant, rounded upwards (Higham 2002, gamma_k)."""
    total = float(terms.sum()) + constant
    size = float(np.abs(terms).sum()) + abs(constant)
    return total + (len(terms) + 4) * UNIT * size if math.isfinite(size) else total


SPLIT = 2.0**27 + 1.0
"""Cuts a double's 53 digits in two halves whose products are exact (Dekker 1971)."""

SAFE = (1e-250, 1e150)
"""Sizes of factors and products between which nothing of an exact product is lost at either end of the exponents."""


def exact_products(a: Array, b: Array) -> tuple[Array, Array] | None:
    """(p, e) with a b = p + e exactly, elementwise; None where a factor or product is too large or small for that."""
    p = a * b
    sizes = np.abs(np.concatenate([a, b, p[(a != 0.0) & (b != 0.0)]]))
    sizes = sizes[sizes != 0.0]
    if not np.isfinite(sizes).all() or np.any((sizes < SAFE[0]) | (sizes > SAFE[1])):
        return None
    if np.any((p == 0.0) & (a != 0.0) & (b != 0.0)):
        return None
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return p, a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2)


def _halves(a: Array) -> tuple[Array, Array]:
    wide = SPLIT * a
    high = wide - (wide - a)
    return high, a - high


class ExactRows:
    """Rows rl <= A x <= ru, columns l <= x <= u: bounds on min c.x that hold without any rounding error.

    Products are split without error and added by a correctly rounded sum (math.fsum); what is rounded at all is
    rounded away from the claim.
    """

    def __init__(self, matrix: sp.csr_matrix) -> None:
        by_column = matrix.tocsc()
        self.row, self.value = by_column.indices, np.asarray(by_column.data, dtype=float)
        self.starts = by_column.indptr

    def lower_bound(
        self, cost: Array, duals: Array, rows: tuple[Array, Array], columns: tuple[Array, Array]
    ) -> float:
        """sum_i (y_i > 0 ? y_i rl_i : y_i ru_i) + sum_j (d_j > 0 ? d_j l_j : d_j u_j), d = c - A'y exactly.

        A dual that meets an infinite side is set to 0 first. -inf where a reduced cost that is not exactly 0 meets
        one, or where a number is out of :data:`SAFE`.
        """
        y = np.where((duals > 0) & np.isneginf(rows[0]), 0.0, duals)
        y = np.where((y < 0) & np.isposinf(rows[1]), 0.0, y)
        used = np.flatnonzero(y[self.row])
        starts = np.searchsorted(used, self.starts).tolist()
        split = exact_products(self.value[used], -y[self.row[used]])
        if split is None or not np.isfinite(cost).all():
            return -math.inf
        high, low = split[0].tolist(), split[1].tolist()
        d = np.array(
            [
                math.fsum([c, *high[i:k], *low[i:k]])
                for c, i, k in zip(cost.tolist(), starts[:-1], starts[1:], strict=True)
            ]
        )
        side = np.where(d > 0, columns[0], columns[1])
        end = np.where(y > 0, rows[0], rows[1])
        some, held = d != 0, y != 0
        if not np.isfinite(side[some]).all():
            return -math.inf
        terms = exact_products(np.concatenate([y[held], d[some]]), np.concatenate([end[held], side[some]]))
        if terms is None:
            return -math.inf
        # d_j itself was rounded once, to the nearest.
        blur = 2.0 * UNIT * float(np.abs(d[some] * side[some]).sum())
        return math.nextafter(math.fsum([*terms[0].tolist(), *terms[1].tolist(), -blur]), -math.inf)
