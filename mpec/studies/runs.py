"""Carries one run of a study out: the result and its certificate. Runs end by iterations, sweeps and gaps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mpec.certificate import Certificate
from mpec.equilibrium import Equilibrium
from mpec.judging import DEFAULT_GAP, judge
from mpec.options import SolveOptions
from mpec.pessimistic import SECONDS
from mpec.studies.run_spec import RunSpec

Array = np.ndarray


def carry_out(run: RunSpec, start: Array | None = None) -> tuple[Equilibrium, Certificate]:
    """Solve and judge one run; ``start`` (M, T): the prices of its base (method robust).

    The run's record stands in the result's options as ``study_run``. Nothing is written. Raises what the
    methods raise.
    """
    result = _result(run, start)
    result = replace(result, options={**result.options, "study_run": run.record()}, seed=run.seed)
    certificate = judge(
        result,
        gap=float(run.settings.get("gap", DEFAULT_GAP)),
        recheck=bool(run.settings.get("recheck", False)),
        # Counted, not timed: the row doesn't depend on the machine.
        pessimistic_seconds=SECONDS if run.settings["pessimistic"] else 0.0,
    )
    return result, certificate


def _result(run: RunSpec, start: Array | None) -> Equilibrium:
    if run.method == "exact":
        return _exact(run)
    if run.method == "heuristic":
        return _heuristic(run)
    from mpec.followers.answer import follow

    if run.method == "policy":
        from mpec.naive_policies import policy_prices

        return follow(run.game, policy_prices(run.game, run.settings["policy"], seed=run.seed))
    from mpec.robust_prices import robust_prices

    if start is None:
        raise ValueError(f"{run.label()}: the run that it starts from has no prices")
    radius, tries = float(run.settings["radius"]), int(run.settings["tries"])
    return follow(run.game, robust_prices(run.game, start, radius=radius, tries=tries, seed=run.seed))


def _exact(run: RunSpec) -> Equilibrium:
    """Without a time limit and without a checkpoint: a run begun again takes the very same way."""
    from mpec.orchestrator import solve_game

    settings = run.settings
    options = SolveOptions(
        gap=settings["gap"],
        sweeps=settings["sweeps"],
        time_limit=None,
        solver=settings["solver"],
        workers=1,
        recheck=settings["recheck"],
        seed=run.seed,
    )
    return solve_game(run.game, options)


def _heuristic(run: RunSpec) -> Equilibrium:
    from mpec.gravitational_search import best_response

    settings = run.settings
    return best_response(
        run.game,
        runs=1,
        population=settings["population"],
        iterations=settings["iterations"],
        start=settings["start"],
        seed=run.seed,
    )
