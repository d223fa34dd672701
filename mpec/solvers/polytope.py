"""Many linear programs over one polyhedron: only the objective changes, every answer is a safe bound.

The LP solver supplies row duals; the bound is recomputed from them (Neumaier & Shcherbina 2004), without rounding
errors wherever the columns have bounds (mpec.exact_sums), so an LP that ended early or with rounding can make a bound
weaker, never false.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from mpec import tolerances
from mpec.exact_sums import ExactRows
from mpec.linear_model import Array, LinearModel
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import Transposed, dual_bound

ROUNDING = 1e-11
"""A reduced cost below this share of the terms it is made of is taken for zero on an unbounded column."""


class Polytope:
    """{x : row_lower <= A x <= row_upper, lower <= x <= upper}, kept in HiGHS between calls.

    ``lps`` counts the solves; ``point`` is the last optimal vertex (None if there was none); ``inexact`` counts the
    finite values that only floating-point sums stand behind, as a reduced cost met a column without a bound.
    """

    def __init__(
        self, matrix: sp.csr_matrix, row_lower: Array, row_upper: Array, lower: Array, upper: Array
    ) -> None:
        self.matrix = matrix.tocsr()
        self.row_lower, self.row_upper = np.array(row_lower, dtype=float), np.array(row_upper, dtype=float)
        self.lower, self.upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
        self.lps = self.inexact = 0
        self.point: Array | None = None
        self.empty = False
        self._session: HighsSession | None = None

    @property
    def session(self) -> HighsSession:
        if self._session is None:
            model = LinearModel("polytope")
            columns = model.add_variables((f"x[{j}]" for j in range(len(self.lower))), self.lower, self.upper)
            names = (f"r[{i}]" for i in range(len(self.row_lower)))
            model.add_rows(names, self.matrix, columns, self.row_lower, self.row_upper)
            self._session = HighsSession(model)
        return self._session

    @cached_property
    def _exact_rows(self) -> ExactRows:
        return ExactRows(self.matrix)

    def set_bounds(self, lower: Array, upper: Array) -> None:
        """Change the box of all columns."""
        changed = np.flatnonzero((self.lower != lower) | (self.upper != upper))
        if not len(changed):
            return
        self.lower, self.upper = np.array(lower, dtype=float), np.array(upper, dtype=float)
        if self._session is not None:
            self._session.set_bounds(changed, self.lower[changed], self.upper[changed])

    def widened(self, margin: float = 1e-6) -> Polytope:
        """The polyhedron with every finite side moved outward by margin (1 + |side|)."""

        def out(values: Array, sign: float) -> Array:
            return np.where(
                np.isfinite(values), values + sign * margin * (1.0 + np.abs(np.nan_to_num(values))), values
            )

        return Polytope(
            self.matrix,
            out(self.row_lower, -1.0),
            out(self.row_upper, 1.0),
            out(self.lower, -1.0),
            out(self.upper, 1.0),
        )

    def surely_empty(self) -> bool:
        """Whether no point exists even if every side is moved outward: more than rounding."""
        wide = self.widened()
        try:
            wide.minimum(np.zeros(len(self.lower)))
            return wide.empty
        finally:
            wide.close()

    def maximum(self, cost: Array, *, exact: bool = False) -> float:
        """A number that max cost.x can't exceed, close to it where the LP solved; inf if unbounded.

        -inf (and ``empty``) where the polyhedron is empty. With ``exact`` the LP's own value is
        returned instead, without safety.
        """
        return -self.minimum(-np.asarray(cost, dtype=float), exact=exact)

    def minimum(self, cost: Array, *, exact: bool = False) -> float:
        """A number that min cost.x can't fall below; -inf if unbounded, inf if the polyhedron is empty."""
        cost = np.asarray(cost, dtype=float)
        session = self.session
        session.set_objective(cost, maximise=False)
        solved = session.solve()
        self.lps += 1
        self.point = solved.x
        if solved.status == "infeasible":
            self.empty = True
            return math.inf
        if solved.row_duals is None:
            return -math.inf
        if exact and solved.objective is not None:
            return solved.objective
        rows, columns = (self.row_lower, self.row_upper), (self.lower, self.upper)
        value = self._exact_rows.lower_bound(cost, solved.row_duals, rows, columns)
        if not math.isfinite(value):
            value = self._safe(cost, solved.row_duals)
            if not math.isfinite(value) and solved.status == "optimal":
                value = self._safe(cost, self._repaired(cost, solved.row_duals))
            self.inexact += math.isfinite(value)
        return value - tolerances.BOUND_MARGIN * max(1.0, abs(value)) if math.isfinite(value) else value

    def _safe(self, cost: Array, duals: Array) -> float:
        return lower_bound(self.matrix, self.row_lower, self.row_upper, self.lower, self.upper, cost, duals)

    def _repaired(self, cost: Array, duals: Array) -> Array:
        """Duals moved by least squares so that reduced costs vanish on the columns without a bound.

        The solver leaves them at its dual tolerance, which a column without a bound can't afford.
        """
        rows = np.flatnonzero(np.abs(duals) > 1e-9 * np.abs(duals).max(initial=0.0))
        out = np.zeros(len(duals))
        out[rows] = duals[rows]
        for _ in range(2):
            d = cost - self.matrix.T @ out
            free = np.flatnonzero(np.isinf(np.where(d > 0, self.lower, self.upper)) & (d != 0))
            if not len(rows) or not len(free):
                return out
            # Columns that need no mending stay as they are: their reduced costs are rows of the system, too.
            held = np.flatnonzero(np.isinf(self.lower) | np.isinf(self.upper))
            part = self.matrix[rows][:, held].toarray()
            wanted = np.where(np.isin(held, free), d[held], 0.0)
            step, *_ = np.linalg.lstsq(part.T, wanted, rcond=None)
            out[rows] += step
        return out

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


def lower_bound(
    matrix: sp.csr_matrix,
    row_lower: Array,
    row_upper: Array,
    lower: Array,
    upper: Array,
    cost: Array,
    duals: Array,
) -> float:
    """min cost.x >= sum_i (y_i > 0 ? y_i rl_i : y_i ru_i) + sum_j (d_j > 0 ? d_j l_j : d_j u_j), d = c - A'y.

    Holds for every y, in floating point, too: what rounding may have done to d, to the products and to their sums is
    subtracted (Higham 2002, gamma_k). Entries of y that meet an infinite side are dropped; a reduced cost that is zero
    to rounding counts as zero on an unbounded column, otherwise the bound is -inf.
    """
    count = np.bincount(matrix.indices, minlength=len(cost))
    transposed = Transposed(matrix.T, abs(matrix).T, count)
    return dual_bound(cost, duals, (row_lower, row_upper), (lower, upper), transposed, noise=ROUNDING)


def propagate(
    matrix: sp.csr_matrix,
    row_lower: Array,
    row_upper: Array,
    lower: Array,
    upper: Array,
    *,
    rounds: int = 10,
) -> tuple[Array, Array]:
    """Interval propagation: tighten the box of x by single rows, repeated until little moves.

    For row i and column j with a_ij > 0:  x_j <= (ru_i - min of the rest) / a_ij, and so on.
    Each new bound is moved outward by 1e-12 of the terms it is made of. Returns new (lower, upper);
    the given ones where single rows contradict each other.
    """
    coo = matrix.tocoo()
    used = coo.data != 0.0
    row, col, val = coo.row[used], coo.col[used], coo.data[used]
    low, high = np.array(lower, dtype=float), np.array(upper, dtype=float)
    positive = val > 0
    count = matrix.shape[0]
    for _ in range(rounds):
        old_low, old_high = low.copy(), high.copy()
        least = val * np.where(positive, low[col], high[col])
        most = val * np.where(positive, high[col], low[col])
        for sense in (1.0, -1.0):
            term, side = (least, row_upper) if sense > 0 else (most, row_lower)
            infinite = ~np.isfinite(term)
            plain = np.where(infinite, 0.0, term)
            total = np.bincount(row, plain, minlength=count)
            size = np.bincount(row, np.abs(plain), minlength=count)
            holes = np.bincount(row, infinite, minlength=count)
            rest_known = (holes[row] == 0) | ((holes[row] == 1) & infinite)
            usable = rest_known & np.isfinite(side[row])
            room = side[row] - (total[row] - plain)
            room = room + sense * 1e-12 * (
                size[row] + np.abs(np.where(np.isfinite(side[row]), side[row], 0.0))
            )
            with np.errstate(invalid="ignore", over="ignore"):
                limit = room / val
            above = usable & (positive if sense > 0 else ~positive)
            below = usable & (~positive if sense > 0 else positive)
            np.minimum.at(high, col[above], limit[above])
            np.maximum.at(low, col[below], limit[below])
        with np.errstate(invalid="ignore"):
            gap = low - high
        if np.any(gap > 1e-6 * (1.0 + np.minimum(np.abs(low), np.abs(high)))):
            # Contradictory rows: going on would diverge. Whether it is rounding is for an LP to say.
            return np.array(lower, dtype=float), np.array(upper, dtype=float)
        moved = np.concatenate([_moved(old_low, low), _moved(old_high, high)])
        if not np.any(moved > 1e-3):
            break
    return np.minimum(low, high), np.maximum(low, high)


def _moved(old: Array, new: Array) -> Array:
    """Relative change of a bound; a bound that became finite counts as 1."""
    with np.errstate(invalid="ignore"):
        change = np.abs(new - old) / (1.0 + np.abs(new))
    return np.where(new == old, 0.0, np.where(np.isfinite(change), change, 1.0))
