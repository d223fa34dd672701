"""Products of prices and quantities made linear by the follower's own optimality conditions.

At every optimal point of a follower with multipliers mu (rows a_i.x + f_i.p >= b_i or == b_i),

    row i:      sum_j a_ij mu_i x_j + sum_k f_ik mu_i p_k = b_i mu_i              (complementarity)
    column j:   sum_i a_ij mu_i x_j - sum_l Q_jl x_l x_j - sum_k G_jk p_k x_j = c_j x_j   (stationarity x_j)

A sum of products that is a combination of left sides equals the same combination of right sides, which
is linear. The electricity bill  sum_k (dV/dp_k) p_k  is one case: strong duality of the linear program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from mpec.complementarity import Linear
from mpec.kkt import Kkt
from mpec.optimiser import Array

Product = tuple[int, int]
DENSE = 4_000_000
"""Entries up to which the linear system for the combination is solved densely."""


@dataclass(frozen=True)
class Identities:
    """All identities of some followers: product columns x identities, and each one's linear right side.

    ``products`` (pairs of model columns, smaller first) index the rows of ``left``; identity q says
    sum_r left[r, q] product_r = linear_q(x).
    """

    products: Mapping[Product, int]
    left: sp.csc_matrix
    linear: tuple[dict[int, float], ...]


def identities(followers: Sequence[Kkt]) -> Identities:
    """The row and column identities above for every follower, over the model's columns."""
    place: dict[Product, int] = {}
    row: list[int] = []
    column: list[int] = []
    value: list[float] = []
    linear: list[dict[int, float]] = []

    def put(first: int, second: int, identity: int, entry: float) -> None:
        key = (min(first, second), max(first, second))
        row.append(place.setdefault(key, len(place)))
        column.append(identity)
        value.append(entry)

    for kkt in followers:
        o, rows = kkt.rows.optimiser, kkt.rows
        start_rows = len(linear)
        linear += [
            {int(mu): float(b)} if mu >= 0 else {} for mu, b in zip(kkt.multiplier, rows.right, strict=True)
        ]
        start_columns = len(linear)
        linear += [{int(x): float(c)} for x, c in zip(kkt.primal, o.cost, strict=True)]
        a = rows.matrix.tocoo()
        for i, j, entry in zip(a.row.tolist(), a.col.tolist(), a.data.tolist(), strict=True):
            mu, x = int(kkt.multiplier[i]), int(kkt.primal[j])
            put(mu, x, start_rows + i, entry)
            put(mu, x, start_columns + j, entry)
        f = rows.given_matrix.tocoo()
        for i, k, entry in zip(f.row.tolist(), f.col.tolist(), f.data.tolist(), strict=True):
            if kkt.multiplier[i] >= 0:
                put(int(kkt.multiplier[i]), int(kkt.given[k]), start_rows + i, entry)
        for matrix, other in ((o.quadratic, kkt.primal), (o.cross, kkt.given)):
            if matrix is not None:
                coo = matrix.tocoo()
                for j, k, entry in zip(coo.row.tolist(), coo.col.tolist(), coo.data.tolist(), strict=True):
                    put(int(kkt.primal[j]), int(other[k]), start_columns + j, -entry)
    left = sp.csc_matrix((value, (row, column)), shape=(len(place), len(linear)))
    return Identities(place, left, tuple(linear))


def linearise(known: Identities, wanted: Mapping[Product, float]) -> Linear | None:
    """A linear expression equal to sum wanted[(i, j)] x_i x_j wherever the followers are optimal.

    None where the products aren't a combination of the identities.
    """
    keys = {(min(i, j), max(i, j)): 0.0 for i, j in wanted}
    for (i, j), entry in wanted.items():
        keys[(min(i, j), max(i, j))] += entry
    keys = {k: v for k, v in keys.items() if v != 0.0}
    if any(k not in known.products for k in keys):
        return None
    target = np.zeros(len(known.products))
    for k, v in keys.items():
        target[known.products[k]] = v
    weights = _combination(known.left, target)
    if weights is None:
        return None
    terms: dict[int, float] = {}
    for q in np.flatnonzero(weights):
        for j, entry in known.linear[q].items():
            terms[j] = terms.get(j, 0.0) + float(weights[q]) * entry
    terms = {j: v for j, v in terms.items() if v != 0.0}
    return Linear(np.array(list(terms), dtype=int), np.array(list(terms.values())))


def _combination(left: sp.csc_matrix, target: Array) -> Array | None:
    """Weights with left @ weights = target to 1e-9, or None; rounding noise in the weights is zeroed."""
    rows, columns = _connected(left, target)
    part, right = left[rows][:, columns], target[rows]
    if part.shape[0] * part.shape[1] <= DENSE:
        solved = np.linalg.lstsq(part.toarray(), right, rcond=None)[0]
    else:
        solved = spla.lsqr(part, right, atol=1e-14, btol=1e-14, iter_lim=20 * max(part.shape))[0]
    solved = np.where(np.abs(solved) <= 1e-12 * np.abs(solved).max(initial=0.0), 0.0, solved)
    if np.abs(part @ solved - right).max(initial=0.0) > 1e-9 * max(
        1.0, float(np.abs(right).max(initial=0.0))
    ):
        return None
    out = np.zeros(left.shape[1])
    out[columns] = solved
    return out


def _connected(left: sp.csc_matrix, target: Array) -> tuple[Array, Array]:
    """The rows and columns that hang together with the target; the rest can't matter."""
    size = left.shape[0]
    coo = left.tocoo()
    total = size + left.shape[1]
    joined = sp.csr_matrix((np.ones(len(coo.data)), (coo.row, size + coo.col)), shape=(total, total))
    _, label = sp.csgraph.connected_components(joined, directed=False)
    wanted = np.isin(label, label[np.flatnonzero(target)])
    return np.flatnonzero(wanted[:size]), np.flatnonzero(wanted[size:])


def bill(kkt: Kkt) -> Linear:
    """sum_k (dV/dp_k) p_k of a linear follower with constant cost: c.x + g.p - b.mu, by strong duality.

    For the distribution system with p its loads this is the electricity bill under nodal prices.
    """
    o, rows = kkt.rows.optimiser, kkt.rows
    if o.quadratic is not None or o.cross is not None or o.given_quadratic is not None:
        raise ValueError("the bill is linear for a linear follower only")
    owner = kkt.multiplier >= 0
    columns = np.concatenate([kkt.primal, kkt.given, kkt.multiplier[owner]])
    values = np.concatenate([o.cost, o.given_cost, -rows.right[owner]])
    used = values != 0.0
    return Linear(columns[used], values[used])
