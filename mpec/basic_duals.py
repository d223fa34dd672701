"""Bounds over *basic* optimal multipliers, for followers whose multipliers the leader doesn't use.

If (x, p) is optimal for the follower, then some optimal multiplier vector is basic: its positive entries
belong to linearly independent active rows. So a single-level model may restrict itself to basic ones,
and their entries are bounded even where the set of all optimal multipliers isn't (for example where the
follower's feasible set shrinks to a point). With A = rows, r = rank A and g = c + Q x + G p:

    mu_B = (A_B')^-1 g >= 0,  mu_i > 0  only if row i is active,  |B| = r.

The bases are enumerated when there are few.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mpec.optimiser import Array, Inequalities
from mpec.solvers.polytope import Polytope

MOST_BASES = 60_000
"""Row subsets that are looked at when the follower's cost is constant."""

MOST_PARAMETRIC_BASES = 3_000
"""The same when the cost depends on other variables and every basis needs its own LPs."""

INDEPENDENT = 1e-10
"""Least singular value of a basis of unit rows; below it the rows count as dependent."""


@dataclass(frozen=True)
class BasicBounds:
    """Largest multiplier and slack of each row over all optimal points with basic multipliers.

    ``multiplier``, ``slack`` (m,): nan for rows that were not asked for. ``bases`` counts what was enumerated.
    """

    multiplier: Array
    slack: Array
    bases: int


def basic_bounds(
    rows: Inequalities,
    place: Polytope,
    primal: Array,
    given: Array,
    *,
    want_multiplier: Array,
    want_slack: Array,
) -> BasicBounds | None:
    """Enumerate; None where there are too many bases.

    Args:
        rows: a follower without equality rows (eliminated); rows on p alone are ignored.
        place: a polyhedron that contains every optimal point; ``primal`` and ``given`` are the columns
            of the follower's variables and of p in it.
        want_multiplier, want_slack: masks of the rows whose bound is wanted.
    """
    live = np.flatnonzero(~rows.given_only)
    o = rows.optimiser
    matrix = rows.matrix[live].toarray()
    rank = int(np.linalg.matrix_rank(matrix)) if matrix.size else 0
    constant = o.quadratic is None and o.cross is None
    most = MOST_BASES if constant else MOST_PARAMETRIC_BASES
    if rank == 0 or math.comb(len(live), rank) > most:
        return None
    wide = _wide(rows, place, primal, given)
    search = _Search(rows, place, wide, live, matrix, rank, want_multiplier, want_slack)
    if constant:
        search.constant_cost()
    else:
        search.parametric_cost(primal, given)
    return BasicBounds(search.multiplier, search.slack, search.bases)


def _wide(rows: Inequalities, place: Polytope, primal: Array, given: Array) -> sp.csr_matrix:
    """The slacks' rows over the polyhedron's columns."""
    coo = sp.hstack([rows.matrix, rows.given_matrix]).tocoo()
    columns = np.concatenate([primal, given])[coo.col]
    return sp.csr_matrix((coo.data, (coo.row, columns)), shape=(rows.rows, len(place.lower)))


class _Search:
    def __init__(
        self,
        rows: Inequalities,
        place: Polytope,
        wide: sp.csr_matrix,
        live: Array,
        matrix: Array,
        rank: int,
        want_multiplier: Array,
        want_slack: Array,
    ) -> None:
        self.rows, self.place, self.wide, self.live = rows, place, wide, live
        self.want_multiplier, self.want_slack = want_multiplier, want_slack
        self.multiplier = np.where(want_multiplier, 0.0, np.nan)
        self.slack = np.where(want_slack, -math.inf, np.nan)
        self.bases = 0
        # Unit rows and an orthonormal basis of their span: A_B' mu = g becomes square.
        self.norm = np.linalg.norm(matrix, axis=1)
        unit = matrix / self.norm[:, None]
        _, _, span = np.linalg.svd(unit, full_matrices=False)
        self.span = span[:rank]
        self.square = self.span @ unit.T
        self.rank = rank

    def _chunks(self, size: int = 4096) -> Iterator[tuple[Array, Array]]:
        """(row subsets (s, r), their matrices (s, r, r)), only linearly independent ones."""
        subsets = itertools.combinations(range(len(self.live)), self.rank)
        while chunk := list(itertools.islice(subsets, size)):
            index = np.array(chunk, dtype=int)
            blocks = self.square.T[index].transpose(0, 2, 1)
            least = np.linalg.svd(blocks, compute_uv=False)[:, -1]
            good = least > INDEPENDENT
            yield index[good], blocks[good]

    def constant_cost(self) -> None:
        """mu_B is a number: collect the vertices, then look which of them can be optimal."""
        cost = self.rows.optimiser.cost
        right = self.span @ cost
        if np.linalg.norm(self.span.T @ right - cost) > 1e-9 * (1.0 + np.linalg.norm(cost)):
            return
        vertices: dict[tuple[int, ...], Array] = {}
        for index, blocks in self._chunks():
            values = np.linalg.solve(blocks, np.broadcast_to(right, (len(index), self.rank))[:, :, None])[:, :, 0]
            self.bases += len(index)
            scale = 1.0 + np.abs(values).max(axis=1, initial=0.0)
            keep = np.all(values >= -1e-9 * scale[:, None], axis=1)
            for subset, value, size in zip(index[keep], values[keep], scale[keep], strict=True):
                positive = value > 1e-11 * size
                support = tuple(self.live[subset[positive]].tolist())
                entry = vertices.setdefault(support, np.zeros(self.rows.rows))
                exact = value[positive] / self.norm[subset[positive]]
                entry[list(support)] = np.maximum(entry[list(support)], exact)
        for support, value in vertices.items():
            if not self._reachable(support):
                continue
            self.multiplier = np.where(self.want_multiplier, np.maximum(self.multiplier, value), np.nan)
            self._slacks(support)

    def _face(self, support: tuple[int, ...] | list[int]) -> Polytope:
        """The polyhedron with the rows of the support active."""
        rows = self.wide[list(support)]
        right = self.rows.right[list(support)]
        size = 1e-9 * (1.0 + np.abs(right))
        return Polytope(
            sp.vstack([self.place.matrix, rows]).tocsr(),
            np.concatenate([self.place.row_lower, right - size]),
            np.concatenate([self.place.row_upper, right + size]),
            self.place.lower,
            self.place.upper,
        )

    def _reachable(self, support: tuple[int, ...]) -> bool:
        face = self._face(support)
        face.minimum(np.zeros(len(self.place.lower)))
        face.close()
        return not face.empty

    def _slacks(self, support: tuple[int, ...]) -> None:
        if not np.any(self.want_slack):
            return
        face = self._face(support)
        for i in np.flatnonzero(self.want_slack):
            if not math.isinf(self.slack[i]) or self.slack[i] < 0:
                value = face.maximum(self.wide[i].toarray().ravel()) - float(self.rows.right[i])
                self.slack[i] = max(self.slack[i], value)
        face.close()

    def parametric_cost(self, primal: Array, given: Array) -> None:
        """mu_B is affine in (x, p): an LP per basis and wanted row, with that row active and mu_B >= 0."""
        o = self.rows.optimiser
        n = len(o.columns)
        gradient = np.zeros((n, len(self.place.lower)))
        if o.quadratic is not None:
            gradient[:, primal] += o.quadratic.toarray()
        if o.cross is not None:
            gradient[:, given] += o.cross.toarray()
        on_columns, constant = self.span @ gradient, self.span @ o.cost
        for index, blocks in self._chunks():
            for subset, block in zip(index, blocks, strict=True):
                self.bases += 1
                self._parametric(subset, np.linalg.solve(block, on_columns), np.linalg.solve(block, constant))

    def _parametric(self, subset: Array, on_columns: Array, constant: Array) -> None:
        rows = self.live[subset]
        on_columns, constant = on_columns / self.norm[subset][:, None], constant / self.norm[subset]
        basis = Polytope(
            sp.vstack([self.place.matrix, sp.csr_matrix(on_columns)]).tocsr(),
            np.concatenate([self.place.row_lower, -constant - 1e-9 * (1.0 + np.abs(constant))]),
            np.concatenate([self.place.row_upper, np.full(len(rows), math.inf)]),
            self.place.lower,
            self.place.upper,
        )
        for place, i in enumerate(rows):
            if not self.want_multiplier[i] or math.isinf(self.multiplier[i]):
                continue
            # Row i is active wherever its multiplier is positive.
            value = _with_active(basis, self.wide[i], float(self.rows.right[i])).maximum(on_columns[place])
            if math.isfinite(value) or value > 0:
                self.multiplier[i] = max(self.multiplier[i], value + float(constant[place]))
        for i in np.flatnonzero(self.want_slack):
            if self.slack[i] < math.inf:
                value = basis.maximum(self.wide[i].toarray().ravel()) - float(self.rows.right[i])
                self.slack[i] = max(self.slack[i], value)
        basis.close()


def _with_active(place: Polytope, row: sp.csr_matrix, right: float) -> Polytope:
    size = 1e-9 * (1.0 + abs(right))
    return Polytope(
        sp.vstack([place.matrix, row]).tocsr(),
        np.concatenate([place.row_lower, [right - size]]),
        np.concatenate([place.row_upper, [right + size]]),
        place.lower,
        place.upper,
    )
