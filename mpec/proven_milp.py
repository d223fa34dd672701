"""A MILP's bound by linear programs alone: branch and bound whose every leaf is closed by its own row multipliers.

HiGHS states no proof of a MILP's bound, and bounds of its (and SCIP's) were false on badly scaled models. Here a solver
is only asked for linear programs, and only its multipliers are used: what they prove is added up with all rounding
counted against it (mpec.solvers.session.dual_bound), an empty leaf likewise by a ray. No cuts, no presolve: it is slow
where binaries are many, and is asked where their word is doubtful.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass, field

import numpy as np

from mpec.exact_sums import exact_dual_bound
from mpec.linear_model import LinearModel
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import SolverError, Transposed, dual_bound

Array = np.ndarray

WHOLE = 1e-6
"""How near a whole number an integer column must be not to be branched on."""


@dataclass(frozen=True)
class Proven:
    """bound: what no point exceeds (not falls below, when minimising); -inf (+inf): there is no point. nodes: linear
    programs solved. finished: nothing was left open for time."""

    bound: float
    nodes: int
    finished: bool


@dataclass(order=True)
class _Node:
    """A box of the integer columns; ``rank`` sorts the largest bound first."""

    rank: float
    number: int
    lower: Array = field(compare=False)
    upper: Array = field(compare=False)


class _Tree:
    def __init__(self, model: LinearModel) -> None:
        self.sign = 1.0 if model.maximise else -1.0
        relaxed = model.copy()
        relaxed.integer = [False] * model.columns
        self.model, self.session = model, HighsSession(relaxed)
        self.session.without_presolve()
        self.whole = np.flatnonzero(model.integer)
        matrix = model.matrix()
        self.transposed = Transposed(
            matrix.T.tocsr(), abs(matrix).T.tocsr(), np.bincount(matrix.indices, minlength=model.columns)
        )
        self.rows = np.array(model.row_lower, float), np.array(model.row_upper, float)
        self.lower, self.upper = np.array(model.lower, float), np.array(model.upper, float)
        self.lower[self.whole] = np.ceil(self.lower[self.whole])
        self.upper[self.whole] = np.floor(self.upper[self.whole])
        # An open end makes anything of a reduced cost that is 0 but for rounding: those are added up exactly.
        self.open = not (np.isfinite(self.lower).all() and np.isfinite(self.upper).all())
        # Of a minimisation of -sign * cost: dual_bound's form.
        self.cost = -self.sign * np.array(model.cost, float)

    def node(self, lower: Array, upper: Array, known: float) -> tuple[float, Array | None]:
        """What the node's linear program proves, times the sign and without the constant, and its point."""
        self.session.set_bounds(self.whole, lower, upper)
        try:
            solved = self.session.solve(relax=True, time_limit=60.0)
        except SolverError:
            return known, None
        low, high = self.lower.copy(), self.upper.copy()
        low[self.whole], high[self.whole] = lower, upper
        if solved.row_duals is not None:
            return min(known, -self._shown(self.cost, solved.row_duals, low, high)), solved.x
        if solved.status == "infeasible" and self._empty(low, high):
            return -np.inf, None
        return known, None

    def _shown(self, cost: Array, duals: Array, low: Array, high: Array) -> float:
        if self.open:
            return self._exactly(cost, -self.sign * duals, low, high)
        return dual_bound(cost, -self.sign * duals, self.rows, (low, high), self.transposed)

    def _empty(self, low: Array, high: Array) -> bool:
        """Whether HiGHS's ray shows that a box is empty: nothing could then be minimised to more than nothing."""
        ray = self.session.infeasibility_ray()
        if ray is None or not np.isfinite(ray).all() or not ray.any():
            return False
        ray = ray / float(np.abs(ray).max())
        nothing = np.zeros_like(self.cost)
        if self.open:
            return any(self._exactly(nothing, sign * ray, low, high) > 0.0 for sign in (1.0, -1.0))
        return any(
            dual_bound(nothing, sign * ray, self.rows, (low, high), self.transposed) > 0.0
            for sign in (1.0, -1.0)
        )

    def _exactly(self, cost: Array, duals: Array, low: Array, high: Array) -> float:
        """As dual_bound, by rational numbers."""
        model = self.model.copy()
        model.cost, model.constant, model.maximise = cost.tolist(), 0.0, False
        model.lower, model.upper = low.tolist(), high.tolist()
        return exact_dual_bound(model, duals.tolist())

    def branch(self, x: Array | None, lower: Array, upper: Array) -> tuple[int, float] | None:
        """The integer column to split, and below what; None if none is left."""
        left = np.flatnonzero(upper > lower)
        if not len(left):
            return None
        if x is not None:
            off = np.abs(x[self.whole[left]] - np.round(x[self.whole[left]]))
            i = int(np.argmax(off))
            if off[i] > WHOLE:
                return int(left[i]), float(np.floor(x[self.whole[left[i]]]))
        i = int(left[0])
        return i, float(np.floor(0.5 * (lower[i] + upper[i])))


def proven_bound(model: LinearModel, *, seconds: float, near: float | None = None) -> Proven:
    """A bound on a mixed-integer model that rests on no solver's word; ``near``: a bound as good as this is enough.

    After ``seconds`` the largest bound of what is left open is returned: valid, too. Raises SolverMissing for what
    HiGHS has not (products, SOS1 sets).
    """
    tree, began, count = _Tree(model), time.perf_counter(), itertools.count()
    constant = float(model.constant)
    enough = -np.inf if near is None else tree.sign * (near - constant)
    lower, upper = tree.lower[tree.whole], tree.upper[tree.whole]
    if (lower > upper).any():
        return Proven(-tree.sign * np.inf, 0, True)
    heap = [_Node(-np.inf, next(count), lower, upper)]
    closed, nodes = -np.inf, 0
    while heap and -heap[0].rank > max(enough, closed) and time.perf_counter() - began < seconds:
        node = heapq.heappop(heap)
        nodes += 1
        value, x = tree.node(node.lower, node.upper, -node.rank)
        if value <= max(enough, closed):
            closed = max(closed, value)
            continue
        chosen = tree.branch(x, node.lower, node.upper)
        whole = x is not None and _all_whole(x[tree.whole])
        if chosen is None or (whole and value <= _worth(tree, x) + 1e-9 * (1.0 + abs(value))):
            # Nothing to split, or the point itself is worth the bound: splitting can't lower it.
            closed = max(closed, value)
            continue
        i, below = chosen
        for low, high in ((node.lower[i], below), (below + 1.0, node.upper[i])):
            less, more = node.lower.copy(), node.upper.copy()
            less[i], more[i] = low, high
            heapq.heappush(heap, _Node(-value, next(count), less, more))
    tree.session.close()
    finished = not heap or -heap[0].rank <= max(enough, closed)
    top = max(closed, -heap[0].rank if heap else -np.inf)
    return Proven(tree.sign * top + constant if np.isfinite(top) else tree.sign * top, nodes, finished)


def _all_whole(values: Array) -> bool:
    return bool((np.abs(values - np.round(values)) <= WHOLE).all())


def _worth(tree: _Tree, x: Array | None) -> float:
    return -np.inf if x is None else float(tree.sign * (np.array(tree.model.cost) @ x))
