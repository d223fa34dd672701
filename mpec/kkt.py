"""A follower's KKT conditions as rows of a LinearModel, and its complementary pairs.

For  min f(x, p)  s.t.  a_i.x + f_i.p >= b_i  (multiplier mu_i >= 0; equalities: free)

    stationarity   c + Q x + G p - A' mu = 0
    feasibility    A x + F p >= b (or == b)
    pairs          0 <= a_i.x + f_i.p - b_i  _|_  mu_i >= 0

Necessary and sufficient for linear and convex quadratic followers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mpec.complementarity import Bound, Linear, Pair
from mpec.linear_model import LinearModel
from mpec.optimiser import Array, Inequalities


@dataclass(frozen=True)
class Kkt:
    """Where a follower's conditions stand in the model.

    ``primal`` (n,) and ``given`` (k,) are columns; ``multiplier`` (m,) the multiplier column of each
    inequality row, -1 for rows that hold the given quantities only. ``pairs`` has one entry per
    inequality row with follower variables, in row order; ``pair_of`` (m,) its position or -1.
    """

    rows: Inequalities
    primal: Array
    given: Array
    multiplier: Array
    pair_of: Array
    pairs: list[Pair]


def add_kkt(
    model: LinearModel,
    rows: Inequalities,
    given_columns: Sequence[int] | Array,
    *,
    prefix: str = "",
    primal_columns: Array | None = None,
    slack_bounds: Sequence[Bound | None] | None = None,
    multiplier_bounds: Sequence[Bound | None] | None = None,
) -> Kkt:
    """Add the follower's columns, stationarity and feasibility rows; return them with the pairs.

    Args:
        model: grows by n primal columns (unless ``primal_columns`` exist already), one multiplier per
            row with follower variables, n stationarity rows, and a feasibility row per row that
            isn't a variable bound (those become column bounds; existing ones are tightened by them).
        given_columns: the model's column of each given quantity, length k.
        prefix: put before every name, e.g. "scenario[2].".
        slack_bounds, multiplier_bounds: per row of ``rows``; a finite multiplier bound also becomes
            the column's bound. Equalities have free multipliers.
    """
    o = rows.optimiser
    m = rows.rows
    given = np.asarray(given_columns, dtype=int)
    low, high = _column_bounds(rows)
    if primal_columns is None:
        primal = model.add_variables((prefix + name for name in o.columns), low, high)
    else:
        primal = np.asarray(primal_columns, dtype=int)
        for j, a, b in zip(primal.tolist(), low.tolist(), high.tolist(), strict=True):
            model.lower[j], model.upper[j] = max(model.lower[j], a), min(model.upper[j], b)
    owner = np.flatnonzero(~rows.given_only)
    multiplier = np.full(m, -1)
    low = np.where(rows.equality[owner], -math.inf, 0.0)
    high = np.array([_cap(multiplier_bounds, i) for i in owner.tolist()])
    multiplier[owner] = model.add_variables(
        (f"multiplier[{prefix}{rows.names[i]}]" for i in owner),
        low,
        np.where(rows.equality[owner], math.inf, high),
    )
    _feasibility(model, rows, primal, given, prefix)
    _stationarity(model, rows, owner, primal, given, multiplier, prefix)
    pairs, pair_of = _pairs(rows, primal, given, multiplier, prefix, slack_bounds, multiplier_bounds)
    return Kkt(rows, primal, given, multiplier, pair_of, pairs)


def _cap(bounds: Sequence[Bound | None] | None, row: int) -> float:
    bound = None if bounds is None else bounds[row]
    return math.inf if bound is None else bound.value


def _column_bounds(rows: Inequalities) -> tuple[Array, Array]:
    """Bounds of x from the rows that stem from variable bounds (screened rows are gone here too)."""
    n = len(rows.optimiser.columns)
    low, high = np.full(n, -math.inf), np.full(n, math.inf)
    for i in np.flatnonzero(~rows.origin_is_row):
        j, side = rows.index[i], rows.side[i]
        if side != "upper":
            low[j] = rows.right[i]
        if side != "lower":
            high[j] = -rows.right[i] if side == "upper" else rows.right[i]
    return low, high


def _feasibility(model: LinearModel, rows: Inequalities, primal: Array, given: Array, prefix: str) -> None:
    """a.x + f.p >= b or == b; variable bounds are column bounds."""
    write = np.flatnonzero(rows.origin_is_row)
    upper = np.where(rows.equality[write], rows.right[write], math.inf)
    model.add_rows(
        (prefix + rows.names[i] for i in write),
        sp.hstack([rows.matrix[write], rows.given_matrix[write]]).tocsr(),
        np.concatenate([primal, given]),
        rows.right[write],
        upper,
    )


def _stationarity(
    model: LinearModel,
    rows: Inequalities,
    owner: Array,
    primal: Array,
    given: Array,
    multiplier: Array,
    prefix: str,
) -> None:
    """A' mu - Q x - G p = c, one row per follower variable."""
    o = rows.optimiser
    parts, columns = [sp.csr_matrix(rows.matrix[owner].T)], [multiplier[owner]]
    if o.quadratic is not None:
        parts.append(sp.csr_matrix(-o.quadratic))
        columns.append(primal)
    if o.cross is not None:
        parts.append(sp.csr_matrix(-o.cross))
        columns.append(given)
    names = (f"stationarity[{prefix}{name}]" for name in o.columns)
    model.add_rows(names, sp.hstack(parts).tocsr(), np.concatenate(columns), o.cost, o.cost)


def _pairs(
    rows: Inequalities,
    primal: Array,
    given: Array,
    multiplier: Array,
    prefix: str,
    slack_bounds: Sequence[Bound | None] | None,
    multiplier_bounds: Sequence[Bound | None] | None,
) -> tuple[list[Pair], Array]:
    wide = sp.hstack([rows.matrix, rows.given_matrix]).tocsr()
    columns = np.concatenate([primal, given])[wide.indices]
    pair_of = np.full(rows.rows, -1)
    which = np.flatnonzero(~rows.equality & ~rows.given_only)
    pair_of[which] = np.arange(len(which))
    one = np.ones(1)
    pairs = []
    for i in which.tolist():
        a, b = wide.indptr[i], wide.indptr[i + 1]
        pairs.append(
            Pair(
                prefix + rows.names[i],
                Linear(columns[a:b], wide.data[a:b], -float(rows.right[i])),
                Linear(multiplier[i : i + 1], one),
                None if slack_bounds is None else slack_bounds[i],
                None if multiplier_bounds is None else multiplier_bounds[i],
            )
        )
    return pairs, pair_of
