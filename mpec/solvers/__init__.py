"""Solvers behind one small interface: open a session on a LinearModel, change it, solve it."""

from mpec.linear_model import LinearModel
from mpec.solvers.dust import without_dust
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import Session, Solved, SolverError, SolverMissing, safe_bound

__all__ = [
    "SOLVERS",
    "HighsSession",
    "Session",
    "Solved",
    "SolverError",
    "SolverMissing",
    "open_session",
    "safe_bound",
]

SOLVERS = ("highs", "gurobi", "scip")


def open_session(model: LinearModel, solver: str = "highs", *, threads: int = 1, seed: int = 0) -> Session:
    """A solver session on ``model``; ``solver`` is "highs", "gurobi" or "scip". A mixed-integer model is given to it
    without the coefficients that it would drop by itself (mpec.solvers.dust).

    Raises SolverMissing where the solver isn't installed, has no licence for a model of this size, or
    lacks a feature that the model uses; the message names the cure.
    """
    model = without_dust(model)
    if solver == "highs":
        return HighsSession(model, threads=threads, seed=seed)
    if solver == "gurobi":
        from mpec.solvers.gurobi import GurobiSession

        return GurobiSession(model, threads=threads, seed=seed)
    if solver == "scip":
        from mpec.solvers.scip import ScipSession

        return ScipSession(model, threads=threads, seed=seed)
    raise SolverMissing(f"solver {solver!r} is not known; choose {', '.join(SOLVERS)}")
