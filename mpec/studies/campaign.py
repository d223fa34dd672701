"""All runs of a study: what is there is kept, what is missing is run, then rows, tables, figures, findings.

OUT/runs/<run>/   a result folder each, written as one when its run has ended: a killed study loses the runs in
                  flight and nothing else. OUT/.lock is held meanwhile: a second process is refused.
OUT/*             made anew from the run folders alone whenever all runs are there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mpec import result_folder
from mpec.certificate import Certificate
from mpec.equilibrium import Equilibrium
from mpec.executors import Tasks
from mpec.storage import FolderLock, ResultError, finish
from mpec.studies.publication import MARK, publish_study
from mpec.studies.rows import Material, collect
from mpec.studies.run_spec import RunSpec
from mpec.studies.runs import carry_out
from mpec.studies.study_file import Study
from mpec.wording import money, span

RUNS = "runs"


class RunsFailed(RuntimeError):
    """Some runs ended in an error; the others are stored."""


@dataclass(frozen=True)
class Outcome:
    """What a worker hands back: a judged result, or the error that ended the run; seconds of the whole run."""

    result: Equilibrium | None
    certificate: Certificate | None
    error: str
    seconds: float


def attempt(run: RunSpec, start: np.ndarray | None) -> Outcome:
    """One run in a worker; an error of one run must not end the others."""
    began = time.perf_counter()
    try:
        result, certificate = carry_out(run, start)
    except Exception as error:
        return Outcome(None, None, f"{type(error).__name__}: {error}", time.perf_counter() - began)
    return Outcome(result, certificate, "", time.perf_counter() - began)


def run_study(
    study: Study,
    out: Path,
    *,
    resume: bool = False,
    force: bool = False,
    workers: int = 1,
    cluster: str | None = None,
    say: Callable[[str], None],
) -> Material:
    """Run what is missing, then write everything that follows from the runs into ``out``.

    resume  keep the finished runs in ``out``; force: remove them first
    Raises ResultError (folder in use, holds a study already, can't be written), SolverMissing (cluster),
    RunsFailed when runs ended in errors; finished runs are stored in every case.
    """
    _may_begin(out, resume or force)
    with FolderLock(out):
        if force:
            shutil.rmtree(out / RUNS, ignore_errors=True)
        campaign = _Campaign(study, out / RUNS, say)
        campaign.take_over()
        tasks = Tasks(workers, cluster) if campaign.open_runs() else Tasks()
        try:
            campaign.run(tasks, workers)
        finally:
            tasks.close()
        say("all runs are there: tables, figures and findings")
        material = collect(study.runs, out / RUNS)
        publish_study(study, material, out, say)
        return material


def _may_begin(out: Path, allowed: bool) -> None:
    """A study's folder holds nobody's own README, and no runs unless they may be kept or replaced."""
    if out.exists() and not out.is_dir():
        raise ResultError(out, "is a file, not a folder", "Choose another --out.")
    readme = out / "README.md"
    if readme.exists() and MARK not in readme.read_text(encoding="utf-8", errors="replace"):
        raise ResultError(
            readme,
            "was not made by a study and would be overwritten",
            "Choose another --out, or move the file.",
        )
    if any((out / RUNS).glob("*/equilibrium.json")) and not allowed:
        raise ResultError(
            out,
            "holds runs of a study already",
            "Give --resume to keep them and run what is missing, --force to replace them, or another --out.",
        )


@dataclass
class _Campaign:
    study: Study
    folder: Path
    say: Callable[[str], None]
    done: dict[str, float] = field(default_factory=dict)

    def open_runs(self) -> list[RunSpec]:
        return [run for run in self.study.runs if run.folder not in self.done]

    def take_over(self) -> None:
        """Count what is there as done, and copy equal runs of the studies named under ``reuse``."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for rest in self.folder.glob(".copy-*"):
            shutil.rmtree(rest, ignore_errors=True)
        copied = 0
        for run in self.study.runs:
            place = self.folder / run.folder
            if not is_done(place, run):
                copied += self._copy(run, place)
            if is_done(place, run):
                self.done[run.folder] = float(result_folder.read_claims(place).get("seconds") or 0.0)
        if self.done:
            taken = f" ({copied} taken over from other studies)" if copied else ""
            self.say(f"{len(self.done)} of {len(self.study.runs)} runs are there already{taken}")

    def _copy(self, run: RunSpec, place: Path) -> int:
        """1 if an equal run was found in a study under ``reuse``, where its file says or beside this folder."""
        beside = self.folder.parent.parent
        near = [beside / f"{other.name}{suffix}" for other in self.study.reuse for suffix in ("", "-quick")]
        for other in (*self.study.reuse, *near):
            for found in sorted((other / RUNS).glob(f"*_{run.identity}")):
                if is_done(found, run):
                    copy = self.folder / f".copy-{os.getpid()}"
                    shutil.copytree(found, copy)
                    shutil.rmtree(place, ignore_errors=True)
                    os.replace(copy, place)
                    return 1
        return 0

    def run(self, tasks: Tasks, workers: int) -> None:
        """Runs without a base first, the longest first; then those that start from one of them."""
        failures: list[str] = []
        for wave in (False, True):
            runs = [run for run in self.open_runs() if (run.base is not None) == wave]
            runs.sort(key=effort, reverse=True)
            arguments, ready = [], []
            for run in runs:
                start = None
                if run.base is not None:
                    if run.base.folder not in self.done:
                        failures.append(f"{run.label()}: its base is missing ({run.base.label()})")
                        continue
                    start = self._prices(run.base)
                    if start is None:
                        failures.append(f"{run.label()}: its base found no prices ({run.base.label()})")
                        continue
                ready.append(run)
                arguments.append((run, start))
            for i, outcome in tasks.each(attempt, arguments):
                self._take(ready[i], outcome, workers, failures)
        if failures:
            listed = "\n".join(f"  {failure}" for failure in failures)
            raise RunsFailed(
                f"{len(failures)} of {len(self.study.runs)} runs failed; the others are stored:\n{listed}\n"
                "Mend the cause, then go on with --resume."
            )

    def _prices(self, base: RunSpec) -> np.ndarray | None:
        point = result_folder.read(self.folder / base.folder).point
        return None if point is None else point.prices

    def _take(self, run: RunSpec, outcome: Outcome, workers: int, failures: list[str]) -> None:
        if outcome.result is None:
            failures.append(f"{run.label()}: {outcome.error}")
            self.say(f"failed: {failures[-1]}")
            return
        result_folder.write(outcome.result, outcome.certificate, self.folder / run.folder, force=True)
        self.done[run.folder] = outcome.seconds
        rest = remaining(self.study.runs, self.done, workers)
        found = "no point" if outcome.result.profit is None else money(outcome.result.profit)
        left = "" if rest is None else f", about {span(rest)} left"
        self.say(
            f"{len(self.done)} of {len(self.study.runs)}: {run.label()}: {found}"
            f" ({span(outcome.seconds)}{left})"
        )


def is_done(folder: Path, run: RunSpec) -> bool:
    """Whether the folder holds the judged result of exactly this run; anything damaged counts as missing."""
    try:
        if not result_folder.finished(folder):
            return False
        finish(folder)
        claims = result_folder.read_claims(folder)
        stated: Any = claims["options"].get("study_run", {})
        return (
            stated.get("identity") == run.identity
            and (folder / result_folder.CERTIFICATE).is_file()
            and result_folder.instance_unchanged(folder, claims)
        )
    except (ResultError, OSError, KeyError, AttributeError):
        return False


def effort(run: RunSpec) -> float:
    """What a run takes, in a unit of its own for each method."""
    settings, periods = run.settings, len(run.game.periods)
    if run.method == "heuristic":
        return float(settings["population"] * settings["iterations"] * periods)
    if run.method == "exact":
        return 1e6 * float(periods * settings["sweeps"])
    return float(settings.get("tries", 1) * periods)


def remaining(runs: Sequence[RunSpec], done: dict[str, float], workers: int) -> float | None:
    """Seconds that the open runs will take, from the pace of the finished ones; None before there is any."""
    pace: dict[str, tuple[float, float]] = {}
    for run in runs:
        if run.folder in done:
            seconds, units = pace.get(run.method, (0.0, 0.0))
            pace[run.method] = seconds + done[run.folder], units + effort(run)
    left = [run for run in runs if run.folder not in done]
    if any(run.method not in pace for run in left):
        return None
    total = sum(effort(run) * pace[run.method][0] / pace[run.method][1] for run in left)
    return total / max(min(workers, len(left)), 1)
