"""The polyhedron behind derived bounds: a model's rows, cuts on pairs, and strong duality with lifted
products."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from mpec.exact_sums import UNIT, summed_upwards
from mpec.optimiser import Array, Inequalities


class Lifting:
    """Grows a row system over the model's columns by rows and by columns for products.

    ``lower`` and ``upper`` are the present boxes of the model's columns.
    """

    def __init__(
        self, matrix: sp.csr_matrix, row_lower: Array, row_upper: Array, lower: Array, upper: Array
    ) -> None:
        self.matrix, self.row_lower, self.row_upper = matrix, row_lower, row_upper
        self.lower, self.upper = lower.tolist(), upper.tolist()
        self._row: list[Array] = []
        self._column: list[Array] = []
        self._value: list[Array] = []
        self._low: list[float] = []
        self._high: list[float] = []

    def add(
        self, columns: Sequence[int] | Array, values: Sequence[float] | Array, low: float, high: float
    ) -> None:
        """One more row."""
        columns = np.asarray(columns, dtype=int)
        self._row.append(np.full(len(columns), len(self._low)))
        self._column.append(columns)
        self._value.append(np.asarray(values, dtype=float))
        self._low.append(low)
        self._high.append(high)

    def column(self, low: float = -math.inf, high: float = math.inf) -> int:
        """One more column."""
        self.lower.append(low)
        self.upper.append(high)
        return len(self.lower) - 1

    def product(
        self,
        columns: Array,
        values: Array,
        low: float,
        high: float,
        other: int,
        other_low: float,
        other_high: float,
    ) -> int:
        """A column w for (values.x[columns]) * x[other] within its McCormick envelope (McCormick 1976).

        With u in [low, high] and v in [other_low, other_high]: w >= low v + other_low u - low other_low,
        and three more; a side with an infinite constant is left out. What is rounded is rounded outwards: the product
        of any u and v in their intervals keeps every row exactly.
        """
        w = self.column()
        far = np.abs([np.array(self.lower)[columns], np.array(self.upper)[columns]]).max(axis=0, initial=0.0)
        # Multiplied out, the entries -other_low values are rounded; a column for u has none where that has no limit.
        rounded = np.abs(values) != 1.0
        blur = 2.0 * UNIT * float((np.abs(values) * far)[rounded].sum())
        if not math.isfinite(blur):
            u = self.column(low, high)
            self.add([u, *columns], [1.0, *-values], 0.0, 0.0)
            columns, values, blur = np.array([u]), np.ones(1), 0.0
        for u_side, v_side, below in (
            (low, other_low, True),
            (high, other_high, True),
            (high, other_low, False),
            (low, other_high, False),
        ):
            if not (math.isfinite(u_side) and math.isfinite(v_side)):
                continue
            row = np.concatenate([[w, other], columns])
            entries = np.concatenate([[1.0, -u_side], -v_side * values])
            right = -u_side * v_side
            room = abs(v_side) * blur
            least, most = math.nextafter(right - room, -math.inf), math.nextafter(right + room, math.inf)
            self.add(row, entries, least if below else -math.inf, math.inf if below else most)
        return w

    def strong_duality(self, rows: Inequalities, primal: Array, given: Array, multiplier: Array) -> None:
        """(c + Q x + G p).x - b.mu + sum mu_i (F p)_i = 0 for a follower without equality rows."""
        o = rows.optimiser
        live = np.flatnonzero(~rows.given_only)
        columns, values = [primal, multiplier[live]], [np.array(o.cost), -rows.right[live]]
        low, high = np.array(self.lower)[given], np.array(self.upper)[given]
        for matrix, which, partner in (
            (rows.given_matrix, live, multiplier),
            (o.cross, np.arange(len(primal)), primal),
        ):
            if matrix is None:
                continue
            for i in which.tolist():
                span = slice(matrix.indptr[i], matrix.indptr[i + 1])
                index, data = matrix.indices[span], matrix.data[span]
                if len(index):
                    v = int(partner[i])
                    box = _range(data, low[index], high[index])
                    w = self.product(given[index], data, *box, v, self.lower[v], self.upper[v])
                    columns.append(np.array([w]))
                    values.append(np.ones(1))
        if o.quadratic is not None:
            columns.append(np.array([self._square(o.quadratic, primal)]))
            values.append(np.ones(1))
        self.add(np.concatenate(columns), np.concatenate(values), -1e-9, 1e-9)

    def _square(self, quadratic: sp.csr_matrix, primal: Array) -> int:
        """A column q >= x'Qx, from below by tangents at the box's corners and middle."""
        low, high = np.array(self.lower)[primal], np.array(self.upper)[primal]
        q = self.column(0.0, math.inf)
        if np.all(np.isfinite(low)) and np.all(np.isfinite(high)):
            size = np.maximum(np.abs(low), np.abs(high))
            self.upper[q] = float(size @ (abs(quadratic) @ size))
            for point in (low, high, 0.5 * (low + high)):
                slope = 2.0 * (quadratic @ point)
                self.add(
                    np.concatenate([[q], primal]),
                    np.concatenate([[1.0], -slope]),
                    -float(point @ (quadratic @ point)),
                    math.inf,
                )
        return q

    def assembled(self) -> tuple[sp.csr_matrix, Array, Array, Array, Array]:
        """(matrix, row_lower, row_upper, lower, upper) of everything."""
        width = len(self.lower)
        parts = (self.matrix.data, self.matrix.indices, self.matrix.indptr)
        base = sp.csr_matrix(parts, shape=(self.matrix.shape[0], width))
        if self._row:
            where = (np.concatenate(self._row), np.concatenate(self._column))
            extra = sp.csr_matrix((np.concatenate(self._value), where), shape=(len(self._low), width))
            base = sp.vstack([base, extra]).tocsr()
        base.eliminate_zeros()
        return (
            base,
            np.concatenate([self.row_lower, self._low]),
            np.concatenate([self.row_upper, self._high]),
            np.array(self.lower),
            np.array(self.upper),
        )


def _range(values: Array, low: Array, high: Array) -> tuple[float, float]:
    """Interval of values.p over the box, rounded outwards."""
    least = np.where(values > 0, values * low, values * high)
    most = np.where(values > 0, values * high, values * low)
    return -summed_upwards(-least), summed_upwards(most)
