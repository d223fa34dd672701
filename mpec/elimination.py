"""Elimination of a follower's equality rows: x = x0 + Z x_N + Y p.

On a radial feeder, line flows and voltages become affine in the injections and the given loads, and
the dual face of the inequality rows is unchanged: {mu : exists nu, A'mu + E'nu = c} projects onto the
multipliers of the reduced problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg as sl
import scipy.sparse as sp

from mpec.optimiser import Array, Optimiser
from mpec.refusals import InfeasibleFollower


@dataclass(frozen=True)
class Recovery:
    """The way back from the reduced follower to the original one.

    ``kept`` (r,) are the original columns that stay, ``gone`` those eliminated by the original rows
    ``equalities`` (same length), ``fixed`` those with equal bounds. ``row_of`` and ``column_of`` give the
    origin of each reduced row: an original row, or else the bounds of an original column (-1: not that).
    x = ``origin`` + ``on_kept`` x_N + ``on_given`` p (all original columns).
    """

    original: Optimiser
    reduced: Optimiser
    kept: Array
    gone: Array
    fixed: Array
    equalities: Array
    row_of: Array
    column_of: Array
    origin: Array
    on_kept: Array
    on_given: Array

    def primal(self, x: Array, p: Array) -> Array:
        """All original columns from the reduced point, shape (n,)."""
        return np.asarray(self.origin + self.on_kept @ x + self.on_given @ p)

    def dual(self, x: Array, p: Array, row_duals: Array, reduced_costs: Array) -> tuple[Array, Array]:
        """(row duals, reduced costs) of the original, from those of the reduced follower.

        Signs are derivatives of the optimal value. The eliminated rows' multipliers follow from the
        stationarity of the eliminated columns, E_B' nu = (gradient - A'y - d)_B.
        """
        original = self.original
        y, d = np.zeros(len(original.rows)), np.zeros(len(original.columns))
        from_rows, from_columns = self.row_of >= 0, self.column_of >= 0
        y[self.row_of[from_rows]] = row_duals[from_rows]
        d[self.column_of[from_columns]] = row_duals[from_columns]
        d[self.kept] += reduced_costs
        full = self.primal(x, p)
        right = original.gradient(full, p) - original.matrix.T @ y - d
        if len(self.gone):
            basis = original.matrix[self.equalities][:, self.gone].toarray()
            y[self.equalities] = np.linalg.solve(basis.T, right[self.gone])
        d[self.fixed] = (original.gradient(full, p) - original.matrix.T @ y)[self.fixed]
        return y, d


def eliminate_equalities(
    optimiser: Optimiser, *, pivot_tolerance: float = 0.05, keep_rows: Sequence[int] = ()
) -> tuple[Optimiser, Recovery]:
    """Use every equality row (but those in ``keep_rows``) to express one column by the others and by p.

    Pivots: within a row at least ``pivot_tolerance`` of its largest entry; columns without bounds first,
    then columns without cost (states such as flows and voltages), then few entries (Markowitz).
    Columns with equal bounds are constants. Bounds of an eliminated column become a row with its
    name. Equality rows that lose all follower variables stay as conditions on p; 0 = 0 disappears.

    Raises InfeasibleFollower for a row that reads 0 = nonzero.
    """
    equal = np.setdiff1d(
        np.flatnonzero(optimiser.row_lower == optimiser.row_upper), np.asarray(keep_rows, dtype=int)
    )
    n, k = len(optimiser.columns), len(optimiser.givens)
    fixed = np.flatnonzero(optimiser.lower == optimiser.upper)
    dense = optimiser.matrix[equal].toarray()
    dense[:, fixed] = 0.0
    bounded = np.isfinite(optimiser.lower) | np.isfinite(optimiser.upper)
    dislike = np.where(bounded, 1.0, 0.0) * (1.0 + (optimiser.cost != 0))
    picks = _pivots(dense, 1e9 * dislike, pivot_tolerance)
    rows = equal[[i for i, _ in picks]].astype(int)
    gone = np.array([j for _, j in picks], dtype=int)
    kept = np.setdiff1d(np.arange(n), np.concatenate([gone, fixed]))
    origin, on_kept, on_given = np.zeros(n), np.zeros((n, len(kept))), np.zeros((n, k))
    origin[fixed] = optimiser.lower[fixed]
    on_kept[kept, np.arange(len(kept))] = 1.0
    if len(gone):
        chosen = optimiser.matrix[rows]
        basis = chosen[:, gone].toarray()
        right = np.column_stack(
            [
                optimiser.row_lower[rows] - chosen @ origin,
                -chosen[:, kept].toarray(),
                -optimiser.given_matrix[rows].toarray(),
            ]
        )
        solved = _solve_clean(basis, right)
        origin[gone] = solved[:, 0]
        on_kept[gone] = solved[:, 1 : 1 + len(kept)]
        on_given[gone] = solved[:, 1 + len(kept) :]
    return _reduce(optimiser, rows, gone, fixed, kept, origin, on_kept, on_given)


def _pivots(dense: Array, dislike: Array, tolerance: float) -> list[tuple[int, int]]:
    """Row and column of each pivot, by Gaussian elimination on an equilibrated copy.

    Without equilibration the units of a column (a fraction of a load beside kilowatts) decide.
    """
    work = _equilibrated(dense)
    dense = work.copy()
    scale = np.abs(dense).max(axis=1, initial=0.0)
    open_rows = np.ones(len(work), dtype=bool)
    picks: list[tuple[int, int]] = []
    while open_rows.any():
        size = np.abs(work)
        largest = size.max(axis=1, initial=0.0)
        live = open_rows & (largest > 1e-11 * np.maximum(scale, 1e-300))
        if not live.any():
            break
        candidate = (size >= tolerance * largest[:, None]) & (size > 0) & live[:, None]
        nonzero = (work != 0) & live[:, None]
        score = (nonzero.sum(axis=1)[:, None] - 1.0) * (nonzero.sum(axis=0)[None, :] - 1.0)
        score = score + dislike[None, :] - 1e-3 * size / np.maximum(largest, 1e-300)[:, None]
        score[~candidate] = np.inf
        i, j = np.unravel_index(int(np.argmin(score)), score.shape)
        picks.append((int(i), int(j)))
        open_rows[i] = False
        others = np.flatnonzero((work[:, j] != 0) & open_rows)
        factor = work[others, j] / work[i, j]
        update = np.outer(factor, work[i])
        before = np.abs(work[others]) + np.abs(update)
        work[others] -= update
        block = work[others]
        block[np.abs(block) <= 1e-13 * before] = 0.0
        work[others] = block
        work[others, j] = 0.0
        work[i] = 0.0
    return picks


def _equilibrated(dense: Array) -> Array:
    """Rows and columns scaled towards entries of size 1 (geometric means, three passes)."""
    out = dense.astype(float).copy()
    for _ in range(3):
        for axis in (1, 0):
            size = np.abs(out)
            most = size.max(axis=axis, initial=0.0)
            least = np.where(size > 0, size, np.inf).min(axis=axis, initial=np.inf)
            scale = np.where(most > 0, np.sqrt(most * np.where(np.isfinite(least), least, 1.0)), 1.0)
            out = out / (scale[:, None] if axis == 1 else scale[None, :])
    return out


def _solve_clean(basis: Array, right: Array) -> Array:
    """basis^-1 right with one step of refinement; entries that are rounding noise become exact zeros."""
    factor = sl.lu_factor(basis)
    solved = sl.lu_solve(factor, right)
    solved = solved + sl.lu_solve(factor, right - basis @ solved)
    size = np.abs(sl.lu_solve(factor, np.eye(len(basis)))) @ np.abs(right)
    solved[np.abs(solved) <= 1e-13 * size] = 0.0
    return np.asarray(solved)


def _reduce(
    o: Optimiser,
    rows: Array,
    gone: Array,
    fixed: Array,
    kept: Array,
    origin: Array,
    on_kept: Array,
    on_given: Array,
) -> tuple[Optimiser, Recovery]:
    rest = np.setdiff1d(np.arange(len(o.rows)), rows)
    bounded = gone[np.isfinite(o.lower[gone]) | np.isfinite(o.upper[gone])]
    bound_rows = (
        sp.csr_matrix(np.eye(len(o.columns))[bounded]) if len(bounded) else sp.csr_matrix((0, len(o.columns)))
    )
    matrix = sp.vstack([o.matrix[rest], bound_rows]).tocsr()
    given = sp.vstack([o.given_matrix[rest], sp.csr_matrix((len(bounded), len(o.givens)))]).tocsr()
    reduced_matrix = _clean(matrix, on_kept)
    reduced_given = _clean(matrix, on_given, given)
    shift = matrix @ origin
    low = np.concatenate([o.row_lower[rest], o.lower[bounded]]) - shift
    high = np.concatenate([o.row_upper[rest], o.upper[bounded]]) - shift
    row_of = np.concatenate([rest, np.full(len(bounded), -1)]).astype(int)
    column_of = np.concatenate([np.full(len(rest), -1), bounded]).astype(int)
    names = [o.rows[i] for i in rest] + [o.columns[j] for j in bounded]
    live = _nontrivial(o, names, reduced_matrix, reduced_given, low, high)
    cost, given_cost, constant, quadratic, cross, square = _substitute_objective(o, origin, on_kept, on_given)
    reduced = replace(
        o,
        columns=tuple(o.columns[j] for j in kept),
        rows=tuple(names[i] for i in live),
        matrix=reduced_matrix[live],
        given_matrix=reduced_given[live],
        row_lower=low[live],
        row_upper=high[live],
        lower=o.lower[kept],
        upper=o.upper[kept],
        cost=cost,
        given_cost=given_cost,
        constant=constant,
        quadratic=quadratic,
        cross=cross,
        given_quadratic=square,
    )
    return reduced, Recovery(
        o, reduced, kept, gone, fixed, rows, row_of[live], column_of[live], origin, on_kept, on_given
    )


def _clean(matrix: sp.csr_matrix, onto: Array, plus: sp.csr_matrix | None = None) -> sp.csr_matrix:
    """matrix @ onto (+ plus) without the entries that are only rounding noise of cancelled terms."""
    out, size = matrix @ onto, abs(matrix) @ np.abs(onto)
    if plus is not None:
        out, size = out + plus.toarray(), size + np.abs(plus.toarray())
    out = np.where(np.abs(out) <= 1e-13 * size, 0.0, out)
    return sp.csr_matrix(out)


def _nontrivial(
    o: Optimiser, names: list[str], matrix: sp.csr_matrix, given: sp.csr_matrix, low: Array, high: Array
) -> Array:
    """Rows that still say something; an equality without variables must read 0 = 0."""
    empty = (np.diff(matrix.indptr) == 0) & (np.diff(given.indptr) == 0)
    size = 1.0 + np.abs(np.where(np.isfinite(low), low, 0.0)) + np.abs(np.where(np.isfinite(high), high, 0.0))
    for i in np.flatnonzero(empty):
        if low[i] > 1e-9 * size[i] or high[i] < -1e-9 * size[i]:
            raise InfeasibleFollower(
                f"{o.name}: row {names[i]} reads {low[i]:.6g} <= 0 <= {high[i]:.6g} once the equality"
                " rows are used"
                " to eliminate variables; its equality rows contradict each other"
            )
    return np.flatnonzero(~empty)


Objective = tuple[Array, Array, float, "sp.csr_matrix | None", "sp.csr_matrix | None", "sp.csr_matrix | None"]


def _without_noise(values: Array, size: Array) -> Array:
    """Sums with 0 where all terms of the given total size have cancelled but for rounding."""
    return np.asarray(np.where(np.abs(values) <= 1e-13 * size, 0.0, values))


def _substitute_objective(o: Optimiser, origin: Array, on_kept: Array, on_given: Array) -> Objective:
    """c, g, constant, Q, G, R after x = x0 + Z x_N + Y p."""
    q = None if o.quadratic is None else o.quadratic.toarray()
    g = None if o.cross is None else o.cross.toarray()
    c = o.cost if q is None else o.cost + q @ origin
    constant = o.constant + float(o.cost @ origin) + (0.0 if q is None else 0.5 * float(origin @ q @ origin))
    given_cost = o.given_cost + on_given.T @ c
    cross = np.zeros((on_kept.shape[1], on_given.shape[1]))
    square = np.zeros((on_given.shape[1],) * 2) if o.given_quadratic is None else o.given_quadratic.toarray()
    quadratic = None
    if g is not None:
        given_cost = given_cost + g.T @ origin
        cross = cross + on_kept.T @ g
        square = square + on_given.T @ g + g.T @ on_given
    if q is not None:
        quadratic = sp.csr_matrix(on_kept.T @ q @ on_kept)
        cross = cross + on_kept.T @ q @ on_given
        square = square + on_given.T @ q @ on_given
    return (
        _without_noise(on_kept.T @ c, np.abs(on_kept.T) @ np.abs(c)),
        _without_noise(given_cost, np.abs(o.given_cost) + np.abs(on_given.T) @ np.abs(c)),
        constant,
        quadratic if quadratic is not None and quadratic.nnz else None,
        sp.csr_matrix(cross) if np.any(cross) else None,
        sp.csr_matrix(square) if np.any(square) else None,
    )
