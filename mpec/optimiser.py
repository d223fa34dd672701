"""A follower that optimises, in matrix form, and its one inequality form with the sign conventions.

Every follower is stated as a minimiser; a maximising one is negated when it is compiled
(:attr:`Optimiser.sense` remembers). Multipliers and prices are those of the minimising form.

Sign conventions (used everywhere in the core; nothing else decides a sign):

| origin                 | row written as             | multiplier | derivative of the optimal value |
| ---------------------- | -------------------------- | ---------- | -------------------------- |
| row >= lower           | a.x + f.p >= lower         | mu >= 0    | dV/d lower = +mu           |
| row <= upper           | -a.x - f.p >= -upper       | mu >= 0    | dV/d upper = -mu           |
| row == value           | a.x + f.p == value         | nu free    | dV/d value = nu            |
| variable >= lower      | x >= lower                 | mu >= 0    | reduced cost = +mu         |
| variable <= upper      | -x >= -upper               | mu >= 0    | reduced cost = -mu         |
| given quantity p       |                            |            | dV/dp = g + G'x + R p - F'mu |

so the price of an original row is mu(lower side) - mu(upper side), or nu.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse as sp

Array = np.ndarray
Side = Literal["lower", "upper", "equal"]


@dataclass(frozen=True)
class Optimiser:
    """min over x of  constant + c.x + g.p + 1/2 x'Qx + x'Gp + 1/2 p'Rp, given p, subject to

        row_lower <= A x + F p <= row_upper,   lower <= x <= upper.

    n columns x, k givens p, m rows. ``quadratic`` Q (n, n) and ``given_quadratic`` R (k, k) are
    symmetric or None; ``cross`` G is (n, k) or None; ``matrix`` A (m, n), ``given_matrix`` F (m, k).
    ``sense`` is -1 where the block maximised: its own objective is sense times this one.
    """

    name: str
    columns: tuple[str, ...]
    givens: tuple[str, ...]
    rows: tuple[str, ...]
    cost: Array
    given_cost: Array
    constant: float
    quadratic: sp.csr_matrix | None
    cross: sp.csr_matrix | None
    given_quadratic: sp.csr_matrix | None
    matrix: sp.csr_matrix
    given_matrix: sp.csr_matrix
    row_lower: Array
    row_upper: Array
    lower: Array
    upper: Array
    sense: int = 1

    def value(self, x: Array, p: Array) -> float:
        """The minimised objective at (x, p)."""
        total = self.constant + float(self.cost @ x) + float(self.given_cost @ p)
        if self.quadratic is not None:
            total += 0.5 * float(x @ (self.quadratic @ x))
        if self.cross is not None:
            total += float(x @ (self.cross @ p))
        if self.given_quadratic is not None:
            total += 0.5 * float(p @ (self.given_quadratic @ p))
        return total

    def own_value(self, x: Array, p: Array) -> float:
        """The follower's objective as its block states it (a maximiser's is not negated)."""
        return self.sense * self.value(x, p)

    def gradient(self, x: Array, p: Array) -> Array:
        """c + Q x + G p, shape (n,)."""
        out = np.array(self.cost, dtype=float)
        if self.quadratic is not None:
            out = out + self.quadratic @ x
        if self.cross is not None:
            out = out + self.cross @ p
        return out

    def given_gradient(self, x: Array, p: Array) -> Array:
        """g + G'x + R p, shape (k,): the explicit part of dV/dp."""
        out = np.array(self.given_cost, dtype=float)
        if self.cross is not None:
            out = out + self.cross.T @ x
        if self.given_quadratic is not None:
            out = out + self.given_quadratic @ p
        return out


@dataclass(frozen=True)
class Inequalities:
    """An optimiser with every row and variable bound as  a.x + f.p >= b  or  a.x + f.p == b.

    ``names[i]`` tells the origin: the row's or column's name and the side. ``origin`` is "row" or
    "column", ``index`` its index in the optimiser, ``side`` "lower", "upper" or "equal".
    A (m, n), F (m, k), b (m,). ``equality`` and ``given_only`` (no x in the row) are masks (m,).
    """

    optimiser: Optimiser
    names: tuple[str, ...]
    matrix: sp.csr_matrix
    given_matrix: sp.csr_matrix
    right: Array
    equality: Array
    origin_is_row: Array
    index: Array
    side: tuple[Side, ...]

    @property
    def rows(self) -> int:
        return len(self.names)

    @property
    def given_only(self) -> Array:
        """Rows without follower variable: conditions on p alone, whose multiplier is never needed."""
        counts: Array = np.diff(self.matrix.indptr) == 0
        return counts

    def slack(self, x: Array, p: Array) -> Array:
        """a.x + f.p - b, shape (m,)."""
        return np.asarray(self.matrix @ x + self.given_matrix @ p - self.right)

    def select(self, keep: Array) -> Inequalities:
        """The same follower with only the rows of the mask or index array ``keep``."""
        rows = np.flatnonzero(keep) if np.asarray(keep).dtype == bool else np.asarray(keep, dtype=int)
        return Inequalities(
            self.optimiser,
            tuple(self.names[i] for i in rows),
            self.matrix[rows],
            self.given_matrix[rows],
            self.right[rows],
            self.equality[rows],
            self.origin_is_row[rows],
            self.index[rows],
            tuple(self.side[i] for i in rows),
        )

    def original_duals(self, multiplier: Array) -> tuple[Array, Array]:
        """(row duals, reduced costs) of the optimiser from multipliers of these rows; absent rows count 0."""
        rows = np.zeros(len(self.optimiser.rows))
        cols = np.zeros(len(self.optimiser.columns))
        signed = np.where([s == "upper" for s in self.side], -1.0, 1.0) * np.asarray(multiplier, dtype=float)
        is_row = self.origin_is_row
        np.add.at(rows, self.index[is_row], signed[is_row])
        np.add.at(cols, self.index[~is_row], signed[~is_row])
        return rows, cols


def as_inequalities(optimiser: Optimiser) -> Inequalities:
    """Rows and variable bounds in one list (the table above); equal sides become one equality.

    Order: rows (lower or equal side, then upper side), then variable bounds. A range row gives two.
    """
    n = len(optimiser.columns)
    parts: list[tuple[bool, Array, Side]] = []
    for is_row, low, high in (
        (True, optimiser.row_lower, optimiser.row_upper),
        (False, optimiser.lower, optimiser.upper),
    ):
        equal = low == high
        parts.append((is_row, np.flatnonzero(equal), "equal"))
        parts.append((is_row, np.flatnonzero(~equal & np.isfinite(low)), "lower"))
        parts.append((is_row, np.flatnonzero(~equal & np.isfinite(high)), "upper"))
    identity = sp.identity(n, format="csr")
    empty = sp.csr_matrix((n, len(optimiser.givens)))
    names: list[str] = []
    sides: list[Side] = []
    matrices, givens, rights, origins, indices = [], [], [], [], []
    for is_row, which, side in parts:
        if not len(which):
            continue
        labels = optimiser.rows if is_row else optimiser.columns
        sign = -1.0 if side == "upper" else 1.0
        low, high = (
            (optimiser.row_lower, optimiser.row_upper) if is_row else (optimiser.lower, optimiser.upper)
        )
        matrices.append(sign * (optimiser.matrix if is_row else identity)[which])
        givens.append(sign * (optimiser.given_matrix if is_row else empty)[which])
        rights.append(sign * (high if side == "upper" else low)[which])
        origins.append(np.full(len(which), is_row))
        indices.append(which)
        sides += [side] * len(which)
        tail = {"lower": ".lower", "upper": ".upper", "equal": ""}[side]
        names += [labels[i] + tail for i in which]
    if not names:
        return Inequalities(
            optimiser, (), sp.csr_matrix((0, n)), sp.csr_matrix((0, len(optimiser.givens))),
            np.zeros(0), np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, int), (),
        )  # fmt: skip
    matrix, given = sp.vstack(matrices).tocsr(), sp.vstack(givens).tocsr()
    matrix.eliminate_zeros()
    given.eliminate_zeros()
    return Inequalities(
        optimiser,
        tuple(names),
        matrix,
        given,
        np.concatenate(rights),
        np.array([s == "equal" for s in sides]),
        np.concatenate(origins),
        np.concatenate(indices),
        tuple(sides),
    )


@dataclass(frozen=True)
class GivenPrice:
    """dV/dp as a linear expression: constant + on_x x + on_given p + on_multiplier mu.

    Shapes (k,), (k, n), (k, k), (k, m). For the distribution system this is the nodal price of the loads p
    (eq. (4) in mode dlmp).
    """

    constant: Array
    on_x: sp.csr_matrix
    on_given: sp.csr_matrix
    on_multiplier: sp.csr_matrix


def given_price(rows: Inequalities) -> GivenPrice:
    """dV/dp = g + G'x + R p - F'mu, the envelope theorem with the signs of the table above."""
    o = rows.optimiser
    n, k = len(o.columns), len(o.givens)
    on_x = sp.csr_matrix((k, n)) if o.cross is None else o.cross.T.tocsr()
    on_given = sp.csr_matrix((k, k)) if o.given_quadratic is None else o.given_quadratic
    return GivenPrice(np.array(o.given_cost), on_x, on_given, (-rows.given_matrix.T).tocsr())
