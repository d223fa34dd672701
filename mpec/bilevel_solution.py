"""Solve a single-level model and check what comes out: claims are checked, not believed.

After the solver: *polish* fixes one side of every pair to zero and solves what is left (an LP, or a QP),
so that binaries which were only nearly integral leave no trace. Then every follower is solved again at the
leader's decisions, and every condition is evaluated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mpec.bilevel_checks import OPTIMAL, Check, evaluate
from mpec.diagnosis import why_infeasible
from mpec.incumbent import good_point
from mpec.linear_model import Array
from mpec.modes.big_m import BigM
from mpec.reformulation import SingleLevel
from mpec.solvers import SolverError, SolverMissing, open_session
from mpec.solvers.session import Solved

MOST_PAIRS = 60
"""Pairs up to which a second search looks for a point that refutes the solver's bound."""

SECOND_NODES = 150
"""LPs spent on that."""


@dataclass(frozen=True)
class UsedM:
    """A big-M of the report with the distance of the solution from it."""

    bound: BigM
    distance: float


@dataclass(frozen=True)
class BilevelSolution:
    """The outcome. ``status``: optimal, feasible (optimality not proven), infeasible, refused.

    ``verdict``: CERTIFIED (checks passed, bound met, every M proven), EQUILIBRIUM (checks passed),
    REJECTED (a check failed), INFEASIBLE (proven), REFUSED. Objectives as the players state them.
    """

    status: str
    verdict: str
    leader_objective: float | None = None
    bound: float | None = None
    follower_objectives: tuple[float, ...] = ()
    variables: Mapping[str, float] = field(default_factory=dict)
    x: Array | None = None
    checks: tuple[Check, ...] = ()
    big_m: tuple[UsedM, ...] = ()
    reason: str = ""
    solver: str = ""
    mode: str = ""
    seconds: float = 0.0

    @property
    def gap(self) -> float | None:
        if self.leader_objective is None or self.bound is None:
            return None
        return abs(self.bound - self.leader_objective) / max(1.0, abs(self.leader_objective))

    def summary(self) -> dict[str, Any]:
        """What a command prints as JSON: a number that doesn't exist is None, never NaN or infinite."""
        followers = [_number(v) for v in self.follower_objectives]
        return {
            "status": self.status,
            "verdict": self.verdict,
            "leader_objective": _number(self.leader_objective),
            "follower_objective": followers[0] if len(followers) == 1 else (followers or None),
            "variables": {k: _number(v) for k, v in self.variables.items()},
            "reason": self.reason,
            "bound": _number(self.bound),
            "gap": _number(self.gap),
            "solver": self.solver,
            "mode": self.mode,
            "seconds": _number(self.seconds),
            "checks": [
                {"name": c.name, "value": _number(c.value), "tolerance": c.tolerance, "passed": c.passed}
                for c in self.checks
            ],
            "big_m": [
                {
                    "name": m.bound.name,
                    "side": m.bound.side,
                    "value": _number(m.bound.value),
                    "source": m.bound.source,
                    "proven": m.bound.proven,
                    "distance": _number(m.distance),
                    "leaks": m.bound.leaks,
                }
                for m in self.big_m
            ],
        }


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def solve_single_level(
    single: SingleLevel,
    *,
    solver: str | None = None,
    gap: float = 1e-7,
    time_limit: float | None = None,
    threads: int = 1,
    seed: int = 0,
    load: bool = True,
) -> BilevelSolution:
    """Solve, polish, check; with ``load`` the values go into the modelling variables.

    Raises SolverMissing where the solver can't take the model.
    """
    began = time.perf_counter()
    name = solver or single.solver
    if single.infeasible:
        return _infeasible(single, name, began)
    session = open_session(single.model, name, threads=threads, seed=seed)
    try:
        solved = session.solve(gap=gap, time_limit=time_limit)
    finally:
        session.close()
    if solved.status == "infeasible":
        found = _second_opinion(single)
        if found is None:
            return _infeasible(single, name, began)
        claim = replace(
            solved, status="feasible", x=found, bound=-math.inf if single.base.maximise else math.inf
        )
        return judged(single, claim, name, time.perf_counter() - began)
    if solved.status == "unbounded":
        reason = (
            "the single-level relaxation is unbounded in the leader's direction: bound the"
            " leader's variables or objective"
        )
        return BilevelSolution(
            "refused",
            "REFUSED",
            reason=reason,
            solver=name,
            mode=single.mode,
            seconds=time.perf_counter() - began,
        )
    if solved.x is None:
        bound = solved.bound if math.isfinite(solved.bound) else None
        reason = "no point was found in the time allowed"
        return BilevelSolution(
            "refused",
            "REFUSED",
            bound=bound,
            reason=reason,
            solver=name,
            mode=single.mode,
            seconds=time.perf_counter() - began,
        )
    out = judged(single, solved, name, time.perf_counter() - began)
    if load and out.x is not None:
        for column, variable in single.problem.handles.items():
            variable.set_value(float(out.x[column]), skip_validation=True)
    return out


def _infeasible(single: SingleLevel, solver: str, began: float) -> BilevelSolution:
    if single.assumed:
        return BilevelSolution(
            "refused",
            "REFUSED",
            reason=(
                "infeasible under asserted bounds, which proves nothing: remove assert_bounds or enlarge them"
            ),
            solver=solver,
            mode=single.mode,
            seconds=time.perf_counter() - began,
        )
    return BilevelSolution(
        "infeasible",
        "INFEASIBLE",
        reason=why_infeasible(single),
        solver=solver,
        mode=single.mode,
        seconds=time.perf_counter() - began,
    )


def judged(single: SingleLevel, solved: Solved, solver: str, seconds: float) -> BilevelSolution:
    """The polished point of a solve with all checks and the verdict."""
    assert solved.x is not None
    # The solver's own point counts only where the polished one fails: one that is better by using up the
    # tolerances is no better point.
    x, checks = _best(single, [polish(single, solved.x, solver)])
    if not all(c.passed for c in checks):
        x, checks = _best(single, [x, solved.x[: single.base.columns]])
    found = _second_opinion(single)
    if found is not None:
        x, checks = _best(single, [x, found])
    objective = single.base.objective(x)
    bound = solved.bound if math.isfinite(solved.bound) else None
    refuted = False
    if solved.status == "feasible" and not math.isfinite(solved.bound):
        refuted = solved.bound == (-math.inf if single.base.maximise else math.inf)
    if bound is not None:
        # A checked point is a value that the bound can't be worse than.
        beyond = (objective - bound) if single.base.maximise else (bound - objective)
        refuted = beyond > OPTIMAL * max(1.0, abs(objective))
        bound = None if refuted else bound
    proven = not single.assumed
    close = bound is not None and abs(bound - objective) <= OPTIMAL * max(1.0, abs(objective))
    passed = all(c.passed for c in checks)
    verdict = "REJECTED" if not passed else ("CERTIFIED" if proven and close else "EQUILIBRIUM")
    status = "optimal" if verdict == "CERTIFIED" else "feasible"
    return BilevelSolution(
        status,
        verdict,
        objective,
        bound,
        tuple(f.optimiser.own_value(x[f.primal], x[f.given]) for f in single.problem.followers),
        {n: float(v) for n, v in zip(single.problem.model.column_names, x, strict=False)},
        x,
        checks,
        _used(single, x),
        _reason(single, checks, proven, close, refuted),
        solver,
        single.mode,
        seconds,
    )


def _second_opinion(single: SingleLevel) -> Array | None:
    """A point found without the solver's MILP or any big-M, for small linear models: solvers' bounds were
    seen to be false, and a better point shows it."""
    base = single.base
    if len(single.pairs) > MOST_PAIRS or base.cost_products.values or base.quadratic_rows:
        return None
    return good_point(base, single.pairs, most_nodes=SECOND_NODES).x


def _best(single: SingleLevel, points: list[Array]) -> tuple[Array, tuple[Check, ...]]:
    """The first point that passes its checks, unless a later one passes and is clearly better; else the
    first."""
    sign = -1.0 if single.base.maximise else 1.0
    checked = [(x, evaluate(single, x)) for x in points]
    passing = [(x, checks) for x, checks in checked if all(c.passed for c in checks)]
    if not passing:
        return checked[0]
    best = passing[0]
    for other in passing[1:]:
        value = sign * single.base.objective(best[0])
        if sign * single.base.objective(other[0]) < value - 1e-7 * max(1.0, abs(value)):
            best = other
    return best


def _reason(single: SingleLevel, checks: tuple[Check, ...], proven: bool, close: bool, refuted: bool) -> str:
    failed = [f"{c.name}: {c.value:.3g} > {c.tolerance:.3g}" for c in checks if not c.passed]
    parts = ["; ".join(failed)] if failed else []
    if not proven:
        parts.append("a big-M is ASSUMED, so the optimum is not proven")
    if refuted and not proven:
        parts.append("this checked point is beyond the bound: the asserted bounds are too small")
    elif refuted:
        parts.append(
            "the solver's bound is FALSE: this checked point is beyond it; use another solver or mode"
        )
    elif not close:
        parts.append("the bound is not met")
    leaking = single.written.leaking
    if leaking:
        worst = max(leaking, key=lambda m: m.leak)
        parts.append(
            f"{len(leaking)} big-Ms reach the leak limit (largest {worst.value:.6g} on {worst.name}):"
            " the bound may be loose"
        )
    return "; ".join(parts)


def _used(single: SingleLevel, x: Array) -> tuple[UsedM, ...]:
    by_name = {p.name: p for p in single.pairs}
    out = []
    for m in single.written.report:
        pair = by_name[m.name]
        side = pair.slack if m.side == "slack" else pair.multiplier
        out.append(UsedM(m, m.value - side.at(x)))
    return tuple(out)


def polish(single: SingleLevel, x: Array, solver: str) -> Array:
    """The best point with one side of every pair fixed at zero, the side that is (nearly) zero at x.

    Falls back to x itself where the fixed problem can't be solved.
    """
    fixed = single.base.copy()
    point = x[: fixed.columns]
    for j in np.flatnonzero(fixed.integer):
        fixed.lower[j] = fixed.upper[j] = float(np.round(point[j]))
    fixed.integer = [False] * fixed.columns
    for i, pair in enumerate(single.pairs):
        side = pair.slack if _slack_is_zero(single, i, x) else pair.multiplier
        fixed.add_row(f"fixed[{pair.name}]", side.columns, side.values, -math.inf, -side.constant)
    # HiGHS's quadratic solver is less accurate than the others'.
    order = (solver, "highs") if fixed.cost_products.values else ("highs", solver)
    for name in dict.fromkeys(order):
        try:
            session = open_session(fixed, name)
            solved = session.solve(gap=1e-9)
            session.close()
        except SolverMissing:
            continue
        except SolverError:
            return point
        return solved.x if solved.x is not None else point
    return point


def _slack_is_zero(single: SingleLevel, i: int, x: Array) -> bool:
    """Whether the slack is the side to fix: by the binary where there is one, else by relative size."""
    pair = single.pairs[i]
    z = int(single.written.binaries[i])
    if 0 <= z < len(x) and min(x[z], 1.0 - x[z]) < 1e-4:
        return bool(x[z] > 0.5)
    s, y = abs(pair.slack.at(x)), abs(pair.multiplier.at(x))
    s_size = 1.0 + float(np.abs(pair.slack.values) @ np.abs(x[pair.slack.columns]))
    return s / s_size <= y / (1.0 + y)
