"""500 random bounded linear bilevel problems, every mode on every solver, against enumeration.

    python -m mpec.random_bilevel [--problems 500] [--first 1000] [--out results/literature]

Integer leader variables, equality rows, coupling rows of the leader, maximising leaders, free upper ends and
infeasible problems turn up among them. The truth needs no bound: complementary choices enumerated depth first, an LP
each (scipy's linprog), integers by a grid. Rows go to random.csv one problem at a time; problems
that it holds already are not run again; random.md has the counts.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
from scipy.optimize import linprog

from mpec.reformulation import MODES, single_level
from mpec.refusals import Refused
from mpec.solvers import SOLVERS, SolverError

CLOSE = 1e-6
"""Relative (absolute below 1) distance from the enumeration's optimum up to which a value counts as right."""


class RandomLinear:
    """A random bounded bilevel problem, linear on both levels, as data; follower rows A y + F x >= b."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.nx, self.ny = int(random.integers(1, 4)), int(random.integers(1, 4))
        rows = int(random.integers(1, 5))
        self.a = random.integers(-5, 6, (rows, self.ny)).astype(float)
        self.f = random.integers(-5, 6, (rows, self.nx)).astype(float)
        self.b = self.a.sum(axis=1) + self.f.sum(axis=1) - random.integers(0, 6, rows)
        self.d = random.integers(-5, 6, self.ny).astype(float)
        self.cx = random.integers(-5, 6, self.nx).astype(float)
        self.cy = random.integers(-5, 6, self.ny).astype(float)
        self.y_high: list[float | None] = [10.0] * self.ny
        if random.integers(0, 2):
            self.y_high = [float(v) if v < 9 else None for v in random.integers(3, 10, self.ny)]
        if any(u is None for u in self.y_high):
            self.a = np.vstack([self.a, -np.ones(self.ny)])
            self.f = np.vstack([self.f, np.zeros(self.nx)])
            self.b = np.append(self.b, -float(random.integers(3, 12)))
        self.leader = [
            (row, float(row.sum() - random.integers(0, 5)))
            for row in random.integers(-4, 5, (int(random.integers(0, 3)), self.nx + self.ny)).astype(float)
        ]
        self.maximise = bool(random.integers(0, 2))
        self.equality = bool(random.integers(0, 4) == 0) and self.ny > 1
        self.integer = bool(random.integers(0, 3) == 0) and self.nx == 1
        self.x_high = float(random.integers(2, 8))

    def model(self) -> Any:
        """As a Pyomo model with follower block ``f``."""
        model = pyo.ConcreteModel()
        kind = pyo.Integers if self.integer else pyo.Reals
        model.x = pyo.Var(range(self.nx), bounds=(0, self.x_high), domain=kind)
        model.f = pyo.Block()
        model.f.y = pyo.Var(range(self.ny), bounds=lambda _, j: (0, self.y_high[j]))
        x, y = list(model.x.values()), list(model.f.y.values())

        def body(on_x: np.ndarray, on_y: np.ndarray) -> Any:
            return sum(c * v for c, v in zip([*on_x, *on_y], [*x, *y], strict=True) if c)

        model.f.cost = pyo.Objective(expr=body(np.zeros(self.nx), self.d))
        model.f.rows = pyo.ConstraintList()
        for i in range(len(self.b)):
            left = body(self.f[i], self.a[i])
            if not isinstance(left, int):
                model.f.rows.add(left == self.b[i] if self.equality and i == 0 else left >= self.b[i])
        model.rows = pyo.ConstraintList()
        for row, right in self.leader:
            left = body(row[: self.nx], row[self.nx :])
            if not isinstance(left, int):
                model.rows.add(left >= right)
        sense = pyo.maximize if self.maximise else pyo.minimize
        model.objective = pyo.Objective(expr=body(self.cx, self.cy), sense=sense)
        return model

    def enumerated(self) -> float | None:
        """The optimum by enumerating complementary choices with another LP code; None if infeasible."""
        return _Enumeration(self).value()


class _Enumeration:
    """Depth first over 'row active' or 'multiplier zero', scipy's LP at each node, integers by a grid."""

    def __init__(self, p: RandomLinear) -> None:
        self.p = p
        first = 1 if p.equality else 0
        r, x, b = list(p.a[first:]), list(p.f[first:]), list(p.b[first:])
        for j in range(p.ny):
            unit = np.eye(p.ny)[j]
            r.append(unit)
            x.append(np.zeros(p.nx))
            b.append(0.0)
            most = p.y_high[j]
            if most is not None:
                r.append(-unit)
                x.append(np.zeros(p.nx))
                b.append(-most)
        self.r, self.x, self.b = np.array(r), np.array(x), np.array(b)
        self.m, self.n = len(b), p.nx + p.ny
        self.sign = -1.0 if p.maximise else 1.0
        self.cost = np.concatenate([self.sign * p.cx, self.sign * p.cy, np.zeros(self.m + first)])
        equal = np.zeros((p.ny + first, self.n + self.m + first))
        equal[: p.ny, self.n : self.n + self.m] = self.r.T
        equal[: p.ny, self.n + self.m :] = p.a[:first].T
        equal[p.ny :, : p.nx], equal[p.ny :, p.nx : self.n] = p.f[:first], p.a[:first]
        self.equal, self.right = equal, np.concatenate([p.d, p.b[:first]])
        above = np.zeros((self.m + len(p.leader), equal.shape[1]))
        above[: self.m, : p.nx], above[: self.m, p.nx : self.n] = -self.x, -self.r
        for q, (row, _) in enumerate(p.leader):
            above[self.m + q, : self.n] = -row
        self.above, self.most = above, np.concatenate([-self.b, [-right for _, right in p.leader]])
        self.best = np.inf

    def value(self) -> float | None:
        grid: list[tuple[int, ...] | None] = [None]
        if self.p.integer:
            grid = list(itertools.product(range(int(self.p.x_high) + 1), repeat=self.p.nx))
        for x in grid:
            self._search(x, [])
        return None if np.isinf(self.best) else self.sign * self.best

    def _search(self, x: tuple[int, ...] | None, active: list[bool]) -> None:
        p = self.p
        box = [(0.0, p.x_high)] * p.nx if x is None else [(v, v) for v in x]
        bounds: list[Any] = [*box, *[(None, None)] * p.ny, *[(0, None)] * self.m]
        bounds += [(None, None)] * (self.equal.shape[1] - len(bounds))
        rows, right = [self.equal], [self.right]
        for q, is_active in enumerate(active):
            if is_active:
                row = np.zeros(self.equal.shape[1])
                row[: p.nx], row[p.nx : self.n] = self.x[q], self.r[q]
                rows.append(row[None, :])
                right.append(self.b[q : q + 1])
            else:
                bounds[self.n + q] = (0, 0)
        solved: Any = linprog(
            self.cost, self.above, self.most, np.vstack(rows), np.concatenate(right), bounds=bounds
        )
        if solved.status == 2 or (solved.status == 0 and solved.fun >= self.best - 1e-9):
            return
        assert solved.status == 0, solved.message
        z = solved.x
        slack = self.r @ z[p.nx : self.n] + self.x @ z[: p.nx] - self.b
        violated = np.minimum(slack, z[self.n : self.n + self.m])[len(active) :]
        if len(active) == self.m or violated.max(initial=0.0) <= 1e-9:
            self.best = min(self.best, solved.fun)
            return
        self._search(x, [*active, True])
        self._search(x, [*active, False])


@dataclass(frozen=True)
class Run:
    """One problem in one mode on one solver; ``expected`` is empty where the problem is infeasible."""

    seed: int
    leaders: int
    followers: int
    integer: bool
    mode: str
    solver: str
    outcome: str
    value: float | None
    expected: float | None
    verdict: str
    seconds: float
    reason: str


def run_problem(seed: int, chosen: Sequence[tuple[str, str]] | None = None) -> list[Run]:
    """Every (mode, solver) on one problem; ``outcome`` is right, WRONG, refused or failed."""
    problem = RandomLinear(seed)
    expected = problem.enumerated()
    every = [(mode, solver) for mode in MODES for solver in SOLVERS]
    return [_run(problem, seed, expected, mode, solver) for mode, solver in chosen or every]


def _run(problem: RandomLinear, seed: int, expected: float | None, mode: str, solver: str) -> Run:
    began, model = time.perf_counter(), problem.model()
    outcome, value, verdict, reason = "failed", None, "", ""
    try:
        solution = single_level(model, followers=[model.f], mode=mode, solver=solver).solve()
        value, verdict, reason = solution.leader_objective, solution.verdict, solution.reason
        if expected is None:
            right = verdict == "INFEASIBLE"
        else:
            right = value is not None and abs(value - expected) <= CLOSE * max(1.0, abs(expected))
        outcome = "right" if right else "WRONG"
    except Refused as error:
        outcome, verdict, reason = "refused", "REFUSED", str(error).splitlines()[0]
    except SolverError as error:
        reason = str(error).splitlines()[0]
    seconds = round(time.perf_counter() - began, 3)
    return Run(
        seed, problem.nx, problem.ny, problem.integer, mode, solver, outcome, value, expected, verdict,
        seconds, reason,
    )  # fmt: skip


def run(problems: int, first: int, out: Path) -> int:
    """Run what random.csv does not hold yet; the number of wrong values in the whole file."""
    out.mkdir(parents=True, exist_ok=True)
    path, names = out / "random.csv", [f.name for f in fields(Run)]
    # A kill may have cut the last problem's rows off: only whole problems count.
    rows = [r for r in _rows(path) if None not in r.values()]
    every = len(MODES) * len(SOLVERS)
    whole = {s for s in {int(r["seed"]) for r in rows} if sum(int(r["seed"]) == s for r in rows) == every}
    rows = [r for r in rows if int(r["seed"]) in whole]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        for seed in range(first, first + problems):
            if seed in whole:
                continue
            found = run_problem(seed)
            for one in found:
                writer.writerow(asdict(one))
            file.flush()
            wrong = [f"{r.mode} on {r.solver}: {r.value!r}" for r in found if r.outcome == "WRONG"]
            print(f"problem {seed}: {'; '.join(wrong) or 'agreed'}", file=sys.stderr, flush=True)
    rows = _rows(path)
    (out / "random.md").write_text(summary(rows), encoding="utf-8")
    return sum(r["outcome"] == "WRONG" for r in rows)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(rows: Sequence[dict[str, str]]) -> str:
    """random.md: counts per mode and solver, and every wrong value."""
    seeds = {r["seed"]: r["expected"] for r in rows}
    infeasible = sum(not value for value in seeds.values())
    lines = [
        "# Random bounded linear bilevel problems",
        "",
        f"{len(seeds)} problems ({infeasible} of them infeasible), made by `python -m mpec.random_bilevel`; rows in "
        "random.csv.",
        '"right": within 1e-6 of the optimum found by enumerating complementary choices (an LP each), or '
        "called infeasible where that finds none.",
        "",
        "| mode | solver | right | wrong | refused | failed | of these CERTIFIED or INFEASIBLE | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        for solver in SOLVERS:
            mine = [r for r in rows if (r["mode"], r["solver"]) == (mode, solver)]
            counts = [
                sum(r["outcome"] == kind for r in mine) for kind in ("right", "WRONG", "refused", "failed")
            ]
            sure = sum(r["outcome"] == "right" and r["verdict"] in ("CERTIFIED", "INFEASIBLE") for r in mine)
            seconds = sum(float(r["seconds"]) for r in mine)
            cells = [mode, solver, *counts, sure, f"{seconds:.0f}"]
            lines.append("| " + " | ".join(str(c) for c in cells) + " |")
    wrong = [r for r in rows if r["outcome"] in ("WRONG", "failed")]
    if wrong:
        lines += ["", "Wrong or failed:", ""]
        lines += [
            f"* problem {r['seed']}, {r['mode']} on {r['solver']}: {r['outcome']}, {r['value'] or 'no value'} for "
            f"{r['expected'] or 'infeasible'} ({r['verdict']}) {r['reason']}"
            for r in wrong
        ]
    refused = {(r["mode"], r["solver"], r["reason"]) for r in rows if r["outcome"] == "refused"}
    if refused:
        lines += ["", "Refused:", ""]
        lines += [f"* {mode} on {solver}: {reason}" for mode, solver, reason in sorted(refused)[:12]]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when any value in the file is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m mpec.random_bilevel", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--first", type=int, default=1000, help="the first seed")
    parser.add_argument("--out", type=Path, default=Path("results/literature"))
    given = parser.parse_args(arguments)
    return 1 if run(given.problems, given.first, given.out) else 0


if __name__ == "__main__":
    sys.exit(main())
