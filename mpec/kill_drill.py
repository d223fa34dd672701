"""Kill -9 at random instants, look at what is left, go on, and compare with a run that nobody killed.

    python -m mpec.kill_drill [--kills 50] [--study] [--out results/soundness] [-- solve GAME ...]

After every kill each result folder below the run's folder must be readable, hold every iteration that it held before,
and be judged without REJECTED; the run is then resumed. At the end of each run its interval must overlap that of the
undisturbed run. A line per kill goes to kills.csv, the counts to kills.md (with --study, four small games, to
study-kills.csv and .md).
"""

from __future__ import annotations

import argparse
import csv
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from mpec import result_folder
from mpec.certificate import certify_folder
from mpec.storage import ResultError, current

DEFAULT = ("solve", "line-limit", "--tariff", "dlmp", "--gap", "1e-3", "--workers", "1")
STUDY = """
question = "What is left of a study that is killed?"

[[runs]]
name = "exact"
method = "exact"
instance = "two-period-residual"
tariff = ["fixed", "dlmp"]
xi = [0.0, 0.5]
gap = 0.001
"""

EARLIEST = 0.25
"""Kills come after this share of the undisturbed run's time at the earliest: before, Python is still starting."""


@dataclass
class Kill:
    """One kill and what was found afterwards; ``faults`` is empty when all is well."""

    number: int
    after_s: float
    rows: int
    has_point: bool
    resumed_to_end: bool = False
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Interval:
    """What a result folder claims at the end."""

    lower: float | None
    upper: float | None


def drill(arguments: Sequence[str], kills: int, work: Path, seed: int = 0) -> list[Kill]:
    """Kill the command ``mpec arguments`` that often, resuming it in between; folders go below ``work``."""
    chance = random.Random(seed)
    began = time.perf_counter()
    clean = work / "undisturbed"
    _start(arguments, clean).wait()
    whole = time.perf_counter() - began
    truth = {place: _interval(clean / place) for place in _results(clean)}
    found: list[Kill] = []
    run, seen = work / "run", _Seen()
    while len(found) < kills:
        process = _start(arguments, run)
        wait = chance.uniform(EARLIEST, 1.0) * whole
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kill = Kill(len(found) + 1, round(wait, 3), 0, False)
            seen.look(run, kill)
            found.append(kill)
            continue
        if found:
            found[-1].resumed_to_end = True
            found[-1].faults += _compared(run, truth)
        shutil.rmtree(run, ignore_errors=True)
        seen = _Seen()
    _start(arguments, run).wait()
    found[-1].resumed_to_end = True
    found[-1].faults += _compared(run, truth)
    return found


def _start(arguments: Sequence[str], out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mpec", *arguments, "--out", str(out), "--resume"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _results(out: Path) -> list[Path]:
    """Result folders below ``out``, relative to it."""
    places = {p.parent for name in ("equilibrium.json", "checkpoint.npz") for p in out.rglob(name)}
    return sorted(p.relative_to(out) for p in places if ".new" not in p.parts)


class _Seen:
    """The iterations that a run has had on the disk so far, by folder."""

    def __init__(self) -> None:
        self.rows: dict[Path, list[str]] = {}

    def look(self, out: Path, kill: Kill) -> None:
        """Compare with what was there before; faults and counts go into ``kill``."""
        for place in _results(out):
            folder = out / place
            rows = _rows(folder)
            before = self.rows.get(place, [])
            if rows[: len(before)] != before:
                kill.faults.append(f"{place}: {len(before)} finished iterations were there, now {len(rows)}")
            self.rows[place] = rows
            kill.rows += len(rows)
            kill.faults += [f"{place}: {fault}" for fault in _faults(folder, kill)]


def _rows(folder: Path) -> list[str]:
    """The whole rows of bounds.csv, without their header; a row that a kill cut off is none."""
    path = current(folder, result_folder.BOUNDS)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return text[: text.rfind("\n") + 1].splitlines()[1:]


def _faults(folder: Path, kill: Kill) -> list[str]:
    try:
        result_folder.load_checkpoint(folder)
        if not result_folder.finished(folder):
            return []
        equilibrium, certificate = certify_folder(folder, pessimistic_seconds=0)
    except ResultError as error:
        return [f"can't be read: {error}"]
    kill.has_point = kill.has_point or equilibrium.point is not None
    return [f"judged REJECTED: {check.name} {check.where}" for check in certificate.failures]


def _interval(folder: Path) -> Interval:
    claims = result_folder.read_claims(folder)
    return Interval(claims.get("lower_bound"), claims.get("upper_bound"))


def _compared(run: Path, truth: dict[Path, Interval]) -> list[str]:
    """Faults of a run that was resumed to its end."""
    faults = []
    if _results(run) != list(truth):
        faults.append(f"results {_results(run)} instead of {list(truth)}")
    for place, expected in truth.items():
        if not result_folder.finished(run / place):
            faults.append(f"{place}: no result at the end")
            continue
        mine = _interval(run / place)
        for lower, upper in ((mine.lower, expected.upper), (expected.lower, mine.upper)):
            if lower is not None and upper is not None and lower > upper + 1e-9 * max(1.0, abs(upper)):
                faults.append(f"{place}: {mine} and the undisturbed {expected} exclude each other")
        if (mine.lower is None, mine.upper is None) != (expected.lower is None, expected.upper is None):
            faults.append(f"{place}: {mine} at the end, the undisturbed run has {expected}")
    return faults


def summary(arguments: Sequence[str], kills: Sequence[Kill]) -> str:
    """kills.md: counts and faults."""
    bad = [k for k in kills if k.faults]
    lines = [
        "# Killed runs",
        "",
        f"`mpec {' '.join(arguments)}`, killed (SIGKILL) at random instants and resumed; made by "
        "`python -m mpec.kill_drill`, one line per kill in the .csv file beside this one.",
        "",
        "| | |",
        "|---|---|",
        f"| kills | {len(kills)} |",
        f"| of these before the first point was stored | {sum(not k.has_point for k in kills)} |",
        f"| runs resumed to their end | {sum(k.resumed_to_end for k in kills)} |",
        f"| kills with a fault | {len(bad)} |",
        "",
        *(f"* kill {k.number} after {k.after_s} s: {'; '.join(k.faults)}" for k in bad),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when anything was lost or wrong."""
    parser = argparse.ArgumentParser(prog="python -m mpec.kill_drill", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/soundness"))
    parser.add_argument("--study", action="store_true", help="kill a study of four small games")
    parser.add_argument("command", nargs="*", default=list(DEFAULT), help="of mpec, after --")
    given = parser.parse_args(arguments)
    name = "study-kills" if given.study else "kills"
    with tempfile.TemporaryDirectory() as work:
        command = list(given.command)
        if given.study:
            (Path(work) / "study.toml").write_text(STUDY, encoding="utf-8")
            command = ["study", str(Path(work) / "study.toml")]
        kills = drill(command, given.kills, Path(work), given.seed)
    told = ["study", "study.toml"] if given.study else command
    given.out.mkdir(parents=True, exist_ok=True)
    with (given.out / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [f.name for f in fields(Kill)], lineterminator="\n")
        writer.writeheader()
        writer.writerows({**asdict(k), "faults": " | ".join(k.faults)} for k in kills)
    (given.out / f"{name}.md").write_text(summary(told, kills), encoding="utf-8")
    print(summary(told, kills))
    return 1 if any(k.faults for k in kills) else 0


if __name__ == "__main__":
    sys.exit(main())
