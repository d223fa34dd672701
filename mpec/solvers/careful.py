"""One MILP solved with distrust: a solver may be missing, fail, stop, or contradict itself; never an exception.

* A solver that isn't there, has no licence (any more) or fails gives way to HiGHS.
* Its point counts only if it satisfies the model; its objective is recomputed.
* A bound that its own point beats is void.
* A model of a kind that solvers get wrong (mpec.model_health) is given to them in better units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from mpec.linear_model import Array, LinearModel
from mpec.model_health import findings
from mpec.solvers import open_session
from mpec.solvers.scaling import scaled
from mpec.solvers.session import Solved, SolverMissing

FEASIBLE = 1e-5
"""Violation, relative to a row's size, up to which a solver's point is taken for a point of the model."""

BEATEN = 1e-6
"""A bound that its own point beats by more than this share is false."""


@dataclass(frozen=True)
class Careful:
    """solved: what may be believed. note: what went wrong on the way, "" if nothing. solver: who answered."""

    solved: Solved
    note: str
    solver: str


def solve_milp(
    model: LinearModel,
    solver: str = "highs",
    *,
    seed: int = 0,
    presolve: bool = True,
    gap: float = 1e-4,
    time_limit: float | None = None,
    node_limit: int | None = None,
    cutoff: float | None = None,
) -> Careful:
    """Solve ``model``. See Session.solve for the arguments.

    Whatever fails, the outcome is an honest Solved: status "error" and an infinite bound at worst. Raises
    SolverMissing only where HiGHS itself can't take the model (products, SOS1 sets).
    """
    notes = []
    units = scaled(model) if findings(model) and _linear(model) else None
    asked = model if units is None else units.model
    solved, answered = _failed(model), solver
    for name in dict.fromkeys((solver, "highs")):
        try:
            session = open_session(asked, name, seed=seed)
            if not presolve:
                session.without_presolve()
            try:
                solved = session.solve(gap=gap, time_limit=time_limit, node_limit=node_limit, cutoff=cutoff)
            finally:
                session.close()
        except SolverMissing as reason:
            if name == "highs":
                raise
            notes.append(f"{name} can't be used ({str(reason).splitlines()[0]}), HiGHS takes its place")
            continue
        except Exception as error:  # a solver's own failure, of whatever kind, is no failure of the game
            notes.append(
                f"{name} failed ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
            )
            continue
        answered = name
        if solved.status != "error":
            break
        notes.append(f"{name} gave no answer")
    checked, doubt = believable(model, solved if units is None else units.unscaled(solved))
    return Careful(checked, "; ".join([*notes, *([doubt] if doubt else [])]), answered)


def _linear(model: LinearModel) -> bool:
    return not (model.sos1 or model.indicators or model.quadratic_rows or model.cost_products.values)


def _failed(model: LinearModel) -> Solved:
    return Solved("error", None, math.inf if model.maximise else -math.inf, None, None, None, 0.0)


def believable(model: LinearModel, solved: Solved) -> tuple[Solved, str]:
    """The outcome as far as it can be believed, and what is wrong with it ("" if nothing)."""
    worst = math.inf if model.maximise else -math.inf
    if math.isnan(solved.bound):
        solved = replace(solved, bound=worst)
    if solved.x is None:
        return solved, ""
    off = _violation(model, solved.x)
    if not off <= FEASIBLE:
        said = replace(solved, x=None, objective=None, status="no_point")
        return said, f"the solver's point misses the model by {off:.3g}"
    value = model.objective(solved.x)
    solved = replace(solved, objective=value)
    beyond = value - solved.bound if model.maximise else solved.bound - value
    # Only what the point's own rounding can't explain counts: a point may gain from the rows' tolerances.
    if beyond > BEATEN * (1.0 + abs(value)) + 1e3 * off * (1.0 + abs(value)):
        said = replace(solved, bound=worst, status="feasible")
        return said, f"the solver's bound {solved.bound!r} is FALSE: its own point has {value!r}"
    return solved, ""


def _violation(model: LinearModel, x: Array) -> float:
    """Largest violation of a row, bound or integrality, relative to 1 and the size of the row's terms."""
    if len(x) != model.columns or not np.isfinite(x).all():
        return math.inf
    matrix = model.matrix()
    activity = matrix @ x
    size = 1.0 + abs(matrix) @ np.abs(x)
    worst = 0.0
    for low, value, high, scale in (
        (np.array(model.row_lower), activity, np.array(model.row_upper), size),
        (np.array(model.lower), x, np.array(model.upper), 1.0 + np.abs(x)),
    ):
        if len(value):
            worst = max(worst, float(np.max((low - value) / scale)), float(np.max((value - high) / scale)))
    whole = np.array(model.integer, dtype=bool)
    if whole.any():
        worst = max(worst, float(np.max(np.abs(x[whole] - np.round(x[whole])))))
    return worst
