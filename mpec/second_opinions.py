"""A MILP's bound, and that it has no point at all, by a run of the judge's own: proven where that can be had in time.

Proven means by linear programs alone (mpec.proven_milp). What can't be proven in time rests on a solver's word, and
says so; but not where the model is of a kind that solvers get wrong (mpec.model_health): then nothing is shown.
"""

from __future__ import annotations

import time
from copy import copy
from dataclasses import dataclass

import numpy as np

from mpec.hour_solve import certified_bound, relaxed_bound
from mpec.linear_model import Array, LinearModel
from mpec.model_health import findings
from mpec.proven_milp import proven_bound
from mpec.solvers import HighsSession, SolverMissing, open_session
from mpec.solvers.careful import solve_milp

OTHER_SEED = 4711

PROOF_SECONDS = 20.0
"""For a MILP's proof; nine of ten of small games take less than one."""


@dataclass(frozen=True)
class Opinion:
    """A bound, what is to be said of it, and the solver on whose word it rests ("": it is proven)."""

    bound: float
    note: str = ""
    word_of: str = ""


def second_bound(
    model: LinearModel, solver: str, near: float | None, deadline: float, *, seconds: float | None
) -> Opinion:
    """A MILP's upper bound by a run of this process.

    ``near``: a bound as good as this is enough. HiGHS runs without presolve: what it is to confirm was found with it,
    and HiGHS 1.16's presolve bounds some ordinary models falsely, with any seed. Where HiGHS takes the place of a
    solver that can't be used, it runs twice, and the larger bound counts.
    """
    if not any(model.integer):
        return Opinion(relaxed_bound(model))
    left = max(deadline - time.perf_counter(), 1.0)
    limit = left if seconds is None else min(left, seconds)
    proof = proven_bound(model, seconds=min(limit, PROOF_SECONDS), near=near)
    if proof.finished:
        return Opinion(proof.bound)
    found = findings(model)
    if found:
        return Opinion(proof.bound, f"{found[0]}: no solver's word is taken, and a proof took too long")
    bounds, notes = [], []
    first = solver != "highs"
    for presolve, seed in ((first, OTHER_SEED), (not first, OTHER_SEED + 1)):
        run = solve_milp(model, solver, seed=seed, presolve=presolve, gap=1e-6, time_limit=limit, cutoff=near)
        bounds.append(certified_bound(model, run.solved, False))
        notes += [run.note] if run.note else []
        if not (presolve and run.solver == "highs") or not bounds[-1] > -np.inf:
            break
    return Opinion(min(proof.bound, max(bounds)), "; ".join(notes), run.solver)


def said_empty(model: LinearModel, solver: str, *, seconds: float) -> tuple[str, Array | None, str]:
    """Whether a model has a point: how it is known that it has none; a point, if one was found; what else stands in
    the way of saying so, empty if nothing. Raises SolverMissing where ``solver`` can't be used."""
    asked = copy(model)
    asked.cost, asked.constant, asked.maximise = [0.0] * model.columns, 0.0, True
    if not any(model.integer):
        x = HighsSession(asked).solve().x
        return (
            "proven",
            x,
            "" if relaxed_bound(asked) == -np.inf else "its linear program is not proven empty",
        )
    if proven_bound(asked, seconds=min(seconds, PROOF_SECONDS)).bound == -np.inf:
        return "proven", None, ""
    names: list[str] = []
    for name in dict.fromkeys((solver, "scip")):
        try:
            solved = open_session(asked, name, seed=OTHER_SEED).solve(time_limit=seconds)
        except SolverMissing:
            if name == solver:
                raise
            continue
        names.append(name)
        if solved.status != "infeasible":
            return "", solved.x, f"the solver {name} says {solved.status}"
    found, doubt = findings(model), ""
    if found:
        doubt = f"{found[0]}: no solver's word is taken, and a proof took too long"
    elif len(names) < 2:
        doubt = f"only {names[0]} says that it has no point, and a proof took too long; another solver helps (scip)"
    return f"says {' and '.join(names)}", None, doubt
