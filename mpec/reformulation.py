"""From a bilevel problem to one single-level model: single_level is the core's public function.

leader's objective and rows, every follower's KKT conditions, every complementary pair written in
one of four modes:  big_m (all solvers),  sos1, indicator, strong_duality (solvers that have them).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from mpec import tolerances
from mpec.bilevel import Bilevel
from mpec.complementarity import Bound, Linear, Pair
from mpec.derivation import Derivation
from mpec.export import write_model
from mpec.kkt import Kkt, add_kkt
from mpec.leader import compile_bilevel
from mpec.linear_model import Array, LinearModel, Products, QuadraticRow
from mpec.modes import big_m, indicator, sos1, strong_duality
from mpec.modes.big_m import Written
from mpec.optimiser import as_inequalities
from mpec.products import identities, linearise
from mpec.refusals import Refused
from mpec.solvers import SOLVERS

Mode = Literal["big_m", "sos1", "indicator", "strong_duality"]
MODES: dict[str, Callable[..., Written]] = {
    "big_m": big_m.write,
    "sos1": sos1.write,
    "indicator": indicator.write,
    "strong_duality": strong_duality.write,
}


@dataclass(frozen=True)
class SingleLevel:
    """The single-level model with everything needed to solve it, to check a point and to read it.

    ``base`` has everything but the pairs, ``model`` the pairs too, written in ``mode``. ``pairs`` carry
    their bounds (mode big_m); ``written`` the report per M; ``infeasible`` is True where
    the derivation of bounds proved that no feasible point exists. ``seconds`` is the wall time of the
    reformulation without bounds, ``bound_seconds`` that of the bounds.
    """

    problem: Bilevel
    base: LinearModel
    model: LinearModel
    mode: str
    solver: str
    followers: tuple[Kkt, ...]
    pairs: tuple[Pair, ...]
    written: Written
    infeasible: bool
    seconds: float
    bound_seconds: float

    @property
    def assumed(self) -> bool:
        """Whether a bound was asserted by the user instead of derived."""
        return any(
            b is not None and not b.proven for p in self.pairs for b in (p.slack_bound, p.multiplier_bound)
        )

    def column(self, name: str) -> int:
        return self.model.column_names.index(name)

    def export(self, path: str) -> None:
        """Write the single-level model as .lp or .mps, with names that say where rows come from."""
        write_model(self.model, path)

    def solve(self, **options: Any) -> Any:
        """Solve and check; see mpec.bilevel_solution.solve_single_level."""
        from mpec.bilevel_solution import solve_single_level

        return solve_single_level(self, **options)


def single_level(
    model: Any,
    leader: Any = None,
    followers: Any = (),
    mode: str = "big_m",
    solver: str = "highs",
    *,
    prices: Sequence[tuple[Any, Any]] = (),
    assert_bounds: Mapping[str, float] | float | None = None,
    bounds: Literal["derive", "intervals"] = "derive",
) -> SingleLevel:
    """Reformulate a Pyomo model with follower blocks as one single-level model (optimistic solution).

    Args:
        model: a Pyomo ConcreteModel; the leader's objective and constraints are those outside the blocks
            and may use followers' variables and prices.
        leader: the leader's variables (Vars, a block, or a list); None: all that no follower owns.
        followers: a block, an indexed block or a list of these, each with one objective (linear or convex
            quadratic; products of own and foreign variables may stand in it) or with Complementarity
            components (an equilibrium).
        mode: "big_m", "sos1", "indicator" or "strong_duality".
        solver: the solver it is meant for; "highs", "gurobi" or "scip".
        prices: pairs (leader's variable, follower's constraint): the variable is the derivative of the
            follower's optimal value, as a minimiser, by the constraint's right-hand side.
        assert_bounds: upper bounds that the user asserts for multipliers, one number or by row name;
            used where smaller than what can be derived, marked ASSUMED: never CERTIFIED.
        bounds: "derive" spends LPs on them, "intervals" only interval propagation.

    Raises:
        Refused: what has no exact single-level form, or what the solver lacks.
        UnboundedPair: (big_m) a side of a pair has no finite derived bound.
        InfeasibleFollower: contradictory rows of a follower.
    """
    with _collection_paused():
        began = time.perf_counter()
        problem = compile_bilevel(model, leader=leader, followers=followers, prices=prices)
        compiled = time.perf_counter() - began
        out = reformulate(problem, mode, solver, assert_bounds=assert_bounds, bounds=bounds)
    return replace(out, seconds=out.seconds + compiled)


@contextmanager
def _collection_paused() -> Iterator[None]:
    """No garbage collection while many small records are made beside a large modelling tree: each pass
    would walk all of it and find nothing (40 % of the time at 19,000 variables)."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def reformulate(
    problem: Bilevel,
    mode: str = "big_m",
    solver: str = "highs",
    *,
    assert_bounds: Mapping[str, float] | float | None = None,
    bounds: Literal["derive", "intervals"] = "derive",
) -> SingleLevel:
    """As single_level, from a compiled bilevel problem. The problem's own model isn't changed."""
    if mode not in MODES:
        raise Refused(f"mode {mode!r} is not known; choose {', '.join(MODES)}")
    if solver not in SOLVERS:
        raise Refused(f"solver {solver!r} is not known; choose {', '.join(SOLVERS)}")
    began = time.perf_counter()
    model = problem.model.copy()
    kkts, pairs = _conditions(problem, model)
    _linearise(problem, model, kkts)
    _refuse_unsupported(problem, model, mode, solver, kkts, pairs)
    middle = time.perf_counter()
    infeasible = False
    if mode in ("big_m", "strong_duality"):
        priced = [[link.row for link in problem.prices if link.follower == f] for f in range(len(kkts))]
        derivation = Derivation(model, kkts, pairs, priced)
        pairs = derivation.run() if bounds == "derive" else derivation.intervals()
        infeasible = derivation.infeasible
        pairs = _asserted(pairs, assert_bounds)
        _box_multipliers(model, pairs)
    bounded = time.perf_counter()
    base = model.copy()
    written = MODES[mode](model, pairs, followers=kkts)
    end = time.perf_counter()
    return SingleLevel(
        problem, base, model, mode, solver, tuple(kkts), tuple(pairs), written, infeasible,
        seconds=(middle - began) + (end - bounded), bound_seconds=bounded - middle,
    )  # fmt: skip


def _conditions(problem: Bilevel, model: LinearModel) -> tuple[list[Kkt], list[Pair]]:
    """Every follower's KKT rows, the prices' definitions, and all pairs."""
    kkts: list[Kkt] = []
    pairs: list[Pair] = []
    for follower in problem.followers:
        kkt = add_kkt(
            model, as_inequalities(follower.optimiser), follower.given, primal_columns=follower.primal
        )
        kkts.append(kkt)
        pairs += kkt.pairs
    for link in problem.prices:
        rows = kkts[link.follower].rows
        mine = np.flatnonzero(rows.origin_is_row & (rows.index == link.row))
        columns = kkts[link.follower].multiplier[mine]
        if np.any(columns < 0):
            raise Refused(
                f"the price {model.column_names[link.column]}: row {rows.optimiser.rows[link.row]}"
                " holds no variable of its"
                " follower, so its multiplier is not determined by the follower"
            )
        signs = np.array([-1.0 if rows.side[i] == "upper" else 1.0 for i in mine])
        model.add_row(
            f"price[{model.column_names[link.column]}]",
            np.concatenate([[link.column], columns]),
            np.concatenate([[1.0], -signs]),
            0.0,
            0.0,
        )
    for conditions in problem.conditions:
        for name, first, second in conditions.pairs:
            sides = [Linear(s.columns, s.values, s.constant) for s in (first, second)]
            for side, label in zip(sides, ("first", "second"), strict=True):
                model.add_row(f"{name}.{label}", side.columns, side.values, lower=-side.constant)
            pairs.append(Pair(name, sides[0], sides[1]))
    return kkts, pairs


def _linearise(problem: Bilevel, model: LinearModel, kkts: Sequence[Kkt]) -> None:
    """Replace the leader's products by linear expressions where the followers' conditions allow it."""
    if not kkts or not (model.cost_products.values or model.quadratic_rows):
        return
    multiplier_of = {}
    for link in problem.prices:
        rows = kkts[link.follower].rows
        mine = np.flatnonzero(rows.origin_is_row & (rows.index == link.row))
        signs = [-1.0 if rows.side[i] == "upper" else 1.0 for i in mine]
        columns = kkts[link.follower].multiplier[mine].tolist()
        multiplier_of[link.column] = list(zip(columns, signs, strict=True))
    known = identities(kkts)

    def expand(products: Products) -> dict[tuple[int, int], float]:
        """Prices are replaced by the multipliers they stand for."""
        out: dict[tuple[int, int], float] = {}
        for i, j, v in zip(products.first, products.second, products.values, strict=True):
            for a, x in multiplier_of.get(i, [(i, 1.0)]):
                for b, y in multiplier_of.get(j, [(j, 1.0)]):
                    key = (min(a, b), max(a, b))
                    out[key] = out.get(key, 0.0) + v * x * y
        return out

    multipliers = {int(c) for kkt in kkts for c in kkt.multiplier if c >= 0}

    def split(products: Products) -> tuple[Linear | None, Products]:
        """(linear part, products that stay): all at once, else those with multipliers."""
        terms = expand(products)
        whole = linearise(known, terms)
        if whole is not None:
            return whole, Products()
        with_dual = {k: v for k, v in terms.items() if k[0] in multipliers or k[1] in multipliers}
        part = linearise(known, with_dual) if with_dual else None
        if part is None:
            return None, products
        rest = {k: v for k, v in terms.items() if k not in with_dual}
        return part, Products(tuple(i for i, _ in rest), tuple(j for _, j in rest), tuple(rest.values()))

    found, model.cost_products = split(model.cost_products)
    if found is not None:
        for j, v in zip(found.columns.tolist(), found.values.tolist(), strict=True):
            model.cost[j] += v
    remaining: list[QuadraticRow] = []
    for row in model.quadratic_rows:
        found, stays = split(row.products)
        if found is not None:
            terms = np.concatenate([row.columns, found.columns]).astype(int)
            values = np.concatenate([row.values, found.values])
            row = replace(row, columns=tuple(terms.tolist()), values=tuple(values.tolist()), products=stays)
        if row.products.values:
            remaining.append(row)
        else:
            model.add_row(row.name, row.columns, row.values, row.lower, row.upper)
    model.quadratic_rows = remaining


def _refuse_unsupported(
    problem: Bilevel, model: LinearModel, mode: str, solver: str, kkts: Sequence[Kkt], pairs: Sequence[Pair]
) -> None:
    """What HiGHS lacks, with the alternatives by name."""
    if solver != "highs":
        return
    if mode in ("sos1", "indicator"):
        raise Refused(
            f"HiGHS has no {'SOS1 sets' if mode == 'sos1' else 'indicator rows'}, which mode {mode} needs.\n"
            "  Use mode big_m, or solver scip or gurobi."
        )
    if model.cost_products.values or model.quadratic_rows:
        where = model.quadratic_rows[0].name if model.quadratic_rows else "the objective"
        whole = any(model.integer)
        convex_alone = not model.quadratic_rows and mode == "strong_duality" and not whole
        if not convex_alone:
            raise Refused(
                f"{where} of the leader has products of variables that the followers' conditions"
                " don't make linear, and"
                " HiGHS has no quadratic terms beside integers or in rows.\n  Use solver scip or gurobi."
            )
    if mode == "strong_duality":
        bilinear = [k.rows.optimiser.name for k in kkts if strong_duality.duality_gap(k).square]
        if bilinear or problem.conditions:
            name = bilinear[0] if bilinear else problem.conditions[0].name
            raise Refused(
                f"strong duality of {name} has products of variables (others' decisions stand in its"
                " rows or cost, or it is"
                " quadratic), and HiGHS has no bilinear rows.\n  Use mode big_m, or solver scip or gurobi."
            )


def _box_multipliers(model: LinearModel, pairs: Sequence[Pair]) -> None:
    """Derived bounds become column bounds; spatial branching on bilinear rows can't do without them."""
    for pair in pairs:
        side, bound = pair.multiplier, pair.multiplier_bound
        if (
            bound is not None
            and bound.proven
            and len(side.columns) == 1
            and side.values[0] == 1.0
            and side.constant == 0.0
        ):
            j = int(side.columns[0])
            model.upper[j] = min(model.upper[j], max(bound.value, 0.0))


def _asserted(pairs: Sequence[Pair], asserted: Mapping[str, float] | float | None) -> list[Pair]:
    """The user's multiplier bounds where they are smaller than the derived ones, marked as assumed."""
    if asserted is None:
        return list(pairs)
    names = {p.name for p in pairs}
    if isinstance(asserted, Mapping):
        unknown = [n for n in asserted if n not in names]
        if unknown:
            raise Refused(
                f"assert_bounds names {unknown[0]!r}, which is no pair; pairs are"
                f" {', '.join(sorted(names)[:8])} ..."
            )
    out = []
    for pair in pairs:
        value = asserted.get(pair.name) if isinstance(asserted, Mapping) else float(asserted)
        known = pair.multiplier_bound
        if value is not None and (known is None or value < known.value):
            assumed = Bound(float(value), "ASSUMED: asserted by the user", proven=False)
            pair = pair.bounded(pair.slack_bound, assumed)
        out.append(pair)
    return out


INTEGRALITY = tolerances.MIP_FEASIBILITY
"""What the leak rule of mode big_m is checked with."""


def largest_m(pairs: Sequence[Pair]) -> tuple[float, str] | None:
    """(value, source) of the largest big-M, or None without bounds."""
    found = [b for p in pairs for b in (p.slack_bound, p.multiplier_bound) if b is not None]
    if not found:
        return None
    most = max(found, key=lambda b: b.value)
    return most.value, most.source


__all__ = ["MODES", "Array", "Mode", "SingleLevel", "largest_m", "reformulate", "single_level"]
