"""The judge as every command calls it: with or without a recheck of the upper bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mpec import result_folder
from mpec.certificate import Certificate, certify, certify_folder
from mpec.checks.record import RecheckOutcome
from mpec.equilibrium import Equilibrium
from mpec.options import SolveOptions, Solver, silent
from mpec.pessimistic import SECONDS

DEFAULT_GAP = 0.01


def judge(
    equilibrium: Equilibrium,
    *,
    gap: float = DEFAULT_GAP,
    recheck: bool = False,
    solver: Solver | None = None,
    pessimistic_seconds: float = SECONDS,
    workers: int = 1,
    thorough: bool = False,
    say: Callable[[str], None] = silent,
) -> Certificate:
    """Judge a result; with ``recheck`` its upper bound is re-proved first, by ``solver`` if one is named.

    Without a record of a bound there is nothing to re-prove. ``pessimistic_seconds`` bounds the search for
    the followers' worst answer (0: none), ``workers`` the processes that re-prove hours. Without
    ``thorough`` intervals are taken as they stand: only for a record that this very process made, not for one that
    goes on from a file. Raises SolverMissing.
    """
    outcome = None
    if recheck and equilibrium.bound_record is not None:
        outcome = _rechecked(solver, say, workers, thorough=thorough)(equilibrium)
    return certify(
        equilibrium.instance,
        equilibrium,
        target_gap=gap,
        recheck=outcome,
        pessimistic_seconds=pessimistic_seconds,
    )


def judge_solved(equilibrium: Equilibrium, options: SolveOptions) -> Certificate:
    """Judge what a solve with these options gave; one that went on from a file is re-proved claim by claim."""
    return judge(
        equilibrium,
        gap=options.gap,
        recheck=options.recheck,
        workers=options.workers,
        thorough=options.resume,
        say=options.say,
    )


def judge_folder(
    folder: Path,
    *,
    recheck: bool = False,
    solver: Solver | None = None,
    workers: int = 1,
    say: Callable[[str], None] = silent,
) -> Certificate:
    """Judge a stored result afresh, against the default gap, or a sharper one that it was solved for.

    Raises ResultError when the folder can't be read, SolverMissing.
    """
    stated = result_folder.read_claims(folder).get("options")
    gap = stated.get("gap") if isinstance(stated, dict) else None
    sensible = isinstance(gap, int | float) and not isinstance(gap, bool) and gap >= 0
    _, certificate = certify_folder(
        folder,
        target_gap=float(min(gap, DEFAULT_GAP)) if sensible and gap is not None else DEFAULT_GAP,
        recheck=_rechecked(solver, say, workers, thorough=True) if recheck else None,
    )
    return certificate


def _rechecked(
    solver: Solver | None, say: Callable[[str], None], workers: int, *, thorough: bool
) -> Callable[[Equilibrium], RecheckOutcome]:
    """The recheck as the judge takes it: a function of the result."""
    from mpec.recheck import recheck_bound

    def run(equilibrium: Equilibrium) -> RecheckOutcome:
        say("rechecking the upper bound")
        outcome: RecheckOutcome = recheck_bound(
            equilibrium, solver=solver, say=say, thorough=thorough, workers=workers
        )
        say(f"recheck {outcome.state}{': ' + outcome.details if outcome.details else ''}")
        return outcome

    return run
