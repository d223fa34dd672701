"""Behind `mpec.solve`: the exact way, by hours or as one MILP, and the result it leaves behind."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from instances.model import Instance
from mpec import result_folder
from mpec.blame import blamed_station, empty_hour_text
from mpec.bound_record import BoundLog, record_of, state_from_json, state_to_json
from mpec.certificate import judge_point, versions
from mpec.coupling import Multipliers
from mpec.decomposition import Decomposition, HourInfeasible, Limits
from mpec.equilibrium import BoundStep, Equilibrium
from mpec.executors import Tasks
from mpec.linear_model import LinearModel
from mpec.monolithic import run_monolithic
from mpec.options import OptionError, SolveOptions
from mpec.primal import Candidate, Primal
from mpec.recheck import bound_beside
from mpec.solvers import SolverMissing, open_session
from mpec.storage import ResultError

Array = np.ndarray


def solve_game(instance: Instance, options: SolveOptions, starts: Sequence[Array] = ()) -> Equilibrium:
    """Solve the game and return the best equilibrium with its bound; the caller judges and stores it.

    ``starts``: prices (M, T) that are tried first, besides those of ``options.start``.
    With ``options.out`` every iteration is on the disk before the next begins: an interrupted run
    (time, Ctrl-C, kill) is continued with ``resume``. Raises SolverMissing for a cluster that doesn't
    answer, ResultError for a folder that can't be read or written.
    """
    options = _with_solver(options)
    if options.method == "monolithic":
        return run_monolithic(instance, options, accept=_judged)
    began = time.perf_counter()
    deadline = None if options.time_limit is None else began + options.time_limit
    tasks = Tasks(min(options.workers, len(instance.periods)), options.cluster)
    run = Decomposition(
        instance,
        Limits(options.gap, deadline, options.sweeps),
        tasks,
        solver=options.solver,
        seed=options.seed,
        say=options.say,
        save=None if options.out is None else _Saver(options.out, options),
        accept=_judged,
        starts=[*starts, *_starts(options, instance)],
    )
    try:
        if options.resume and options.out is not None:
            _restore(run, options.out)
        options.say("sweep    time    lower bound    upper bound        gap   next")
        run.run()
        return result_of(run, options)
    except KeyboardInterrupt:
        options.say("interrupted: ending with the best pair so far")
        return result_of(run, options, "interrupted")
    except HourInfeasible as nowhere:
        return _infeasible(run, options, nowhere.t)
    finally:
        tasks.close()


def _with_solver(options: SolveOptions) -> SolveOptions:
    """The options with a solver that works here; a missing one is explained and HiGHS takes its place."""
    if options.solver == "highs":
        return options
    probe = LinearModel("probe", maximise=True)
    probe.add_variable("x", 0.0, 1.0, cost=1.0, integer=True)
    try:
        open_session(probe, options.solver).solve()
        return options
    except SolverMissing as reason:
        options.say(f"{options.solver} can't be used: {reason} Going on with HiGHS.")
        return replace(options, solver="highs")


def _judged(primal: Primal, candidate: Candidate) -> bool:
    """Only a judged point counts as a lower bound."""
    return judge_point(primal.routes.instance, primal.point(candidate), primal.routes, intervals=True).passed


def _starts(options: SolveOptions, instance: Instance) -> list[Array]:
    """Prices of a stored result, to be tried first."""
    if options.start is None:
        return []
    stored = result_folder.read(options.start)
    if stored.point is None:
        return []
    wanted = (len(instance.stations), len(instance.periods))
    if stored.point.prices.shape != wanted:
        raise OptionError(
            f"the result in {options.start} has prices of shape {stored.point.prices.shape}, this"
            f" game needs {wanted}; "
            "give a start of the same stations and periods"
        )
    return [stored.point.prices]


def result_of(run: Decomposition, options: SolveOptions, reason: str = "") -> Equilibrium:
    """What the run stands at, as a result."""
    point = run.primal.point(run.best) if run.best is not None else None
    lower = None if point is None else point.profit
    upper = bound_beside(lower, float(run.upper), options.say)
    if point is None:
        status = "no_point"
    else:
        status = "optimal" if upper is not None and run.gap <= options.gap else "feasible"
    record = record_of(run.log, run.states, run.dispatches, run.routes, upper) if run.states else None
    return Equilibrium(
        instance=run.instance,
        method="decomposed",
        status=status,  # type: ignore[arg-type]
        point=point,
        lower_bound=lower,
        upper_bound=upper,
        seconds=run.seconds(),
        solver=options.solver,
        seed=options.seed,
        options={**options.record(), **run.summary(), "task_seconds": round(run.tasks.spent_here, 2)},
        versions=versions(),
        bounds=tuple(run.steps),
        bound_record=record,
        reason=reason,
    )


def _infeasible(run: Decomposition, options: SolveOptions, t: int) -> Equilibrium:
    """No prices in the box are allowed in hour t: which station's limit is to blame is found by lifting
    one."""
    period = run.instance.periods[t].id
    station = blamed_station(run.routes, run.states[t], run.dispatches[t])
    reason = empty_hour_text(period, station)
    options.say(reason)
    return Equilibrium(
        instance=run.instance,
        method="decomposed",
        status="infeasible",
        point=None,
        seconds=run.seconds(),
        solver=options.solver,
        seed=options.seed,
        options=options.record(),
        versions=versions(),
        bounds=tuple(run.steps),
        bound_record={"kind": "infeasible", "period": period, "station": station},
        reason=reason,
    )


class _Saver:
    """Writes a row of bounds.csv, a checkpoint, and the best point whenever it is new."""

    def __init__(self, out: Path, options: SolveOptions) -> None:
        self.out, self.options = out, options
        self.stored: float | None = None
        self.rows = 0

    def __call__(self, run: Decomposition) -> None:
        result_folder.store_checkpoint(self.out, _content(run))
        for step in run.steps[self.rows :]:
            result_folder.append_bound(self.out, step)
        self.rows = len(run.steps)
        if run.best is not None:
            result_folder.write(result_of(run, self.options, "not finished"), None, self.out)
            self.stored = run.best.profit


def fingerprint(instance: Instance) -> str:
    """A checkpoint belongs to exactly this game."""
    return hashlib.sha256(repr(instance).encode()).hexdigest()


def _content(run: Decomposition) -> dict[str, Any]:
    best = run.best
    return {
        "instance": fingerprint(run.instance),
        "states": [state_to_json(s) for s in run.states],
        "multipliers": None if run.multipliers is None else run.multipliers.to_json(),
        "best": None
        if best is None
        else {
            "prices": best.prices, "flows": best.flows, "profit": best.profit,
            "excess": best.excess, "violation": best.violation,
        },
        "upper": run.upper,
        "sweep": run.sweep,
        "seconds": run.seconds(),
        "steps": [[s.iteration, s.seconds, s.lower, s.upper] for s in run.steps],
        "log": run.log.to_json(),
    }  # fmt: skip


def _restore(run: Decomposition, out: Path) -> None:
    """Go on from a checkpoint; a folder without one starts afresh. Raises ResultError for another game's."""
    content = result_folder.load_checkpoint(out)
    if content is None:
        return
    if content.get("instance") != fingerprint(run.instance):
        raise ResultError(
            out / result_folder.CHECKPOINT,
            "belongs to another game (instance, tariff, xi, kappa or periods differ)",
            "Give the options of the interrupted run, or --force to start afresh.",
        )
    run.prepare_again([state_from_json(s) for s in content["states"]])
    if content["multipliers"] is not None:
        run.multipliers = Multipliers.from_json(content["multipliers"])
    if content["best"] is not None:
        run.search.best = Candidate(**content["best"])
    run.upper, run.sweep, run.before = content["upper"], content["sweep"], content["seconds"]
    run.steps = [BoundStep(*row) for row in content["steps"]]
    run.log = BoundLog.from_json(content["log"])
    if isinstance(run.save, _Saver):
        run.save.rows = len(run.steps)


Accept = Callable[[Primal, Candidate], bool]
