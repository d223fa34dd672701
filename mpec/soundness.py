"""Truth tests of the exact way at scale: ``python -m mpec.soundness [--games 200] [--out results/soundness]``.

Per random game (mpec.random_games): solve by hours and as one MILP, judge both with the bound rechecked, search the
best price by exact followers' answers (mpec.price_search), and look whether true equilibria lie inside the hours'
relaxations (mpec.containment). A violation is any of:

    upper        an allowed answer earns more than an upper bound
    crossed      lower > upper on the way, or one method's lower above the other's upper
    infeasible   INFEASIBLE is said although an allowed price exists, or without naming hour and station
    judge        a verdict REJECTED, or one that does not follow from the gap
    outside      a true equilibrium outside the relaxation
    crash        an exception

Rows go to rows.csv one by one; games that it holds already are not run again. README.md has the counts.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.certificate import judge_point
from mpec.containment import check_containment
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import Follower
from mpec.judging import judge
from mpec.options import Method, SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import Found, best_price
from mpec.random_games import Size, random_game

CLOSE = 1e-9
"""Relative rounding allowed between an exact answer's profit and an upper bound."""


@dataclass(frozen=True)
class Effort:
    """What is spent on a game: target gap, seconds per solve, prices on the grid, prices for containment (0: none)."""

    gap: float = 2e-3
    seconds: float = 20.0
    prices: int = 600
    contained: int = 3
    methods: tuple[Method, ...] = ("decomposed", "monolithic")


@dataclass
class Row:
    """One game's outcome, as in rows.csv; empty where there is nothing."""

    seed: int
    size: str
    tariff: str
    xi: float
    periods: int
    stations: int
    pairs: int
    routes: int = 0
    best_found: float | None = None
    prices_tried: int = 0
    decomposed_verdict: str = ""
    decomposed_lower: float | None = None
    decomposed_upper: float | None = None
    decomposed_gap: float | None = None
    decomposed_seconds: float | None = None
    monolithic_verdict: str = ""
    monolithic_lower: float | None = None
    monolithic_upper: float | None = None
    monolithic_gap: float | None = None
    monolithic_seconds: float | None = None
    answers: int = 0
    contained_checks: int = 0
    violations: list[str] = field(default_factory=list)


def check_game(seed: int, size: Size | None = None, effort: Effort | None = None) -> Row:
    """All truth tests on the game of a seed; never raises for what the solver does."""
    size, effort = size or Size(), effort or Effort()
    instance = random_game(seed, size)
    row = Row(
        seed, f"{size.stations}-{size.periods}-{size.pairs}", instance.tariff_mode, instance.users.xi,
        len(instance.periods), len(instance.stations), len(instance.pairs),
    )  # fmt: skip
    try:
        _check(instance, row, effort)
    except Exception as error:
        row.violations.append(
            f"crash: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        )
    return row


def _check(instance: Instance, row: Row, effort: Effort) -> None:
    routes = route_set(instance)
    row.routes = len(routes.routes)
    follower = Follower(instance, routes)
    results: dict[str, Equilibrium] = {}
    for method in effort.methods:
        began = time.perf_counter()
        try:
            results[method] = solve_game(
                instance, SolveOptions(method=method, gap=effort.gap, time_limit=effort.seconds, workers=1)
            )
        except Exception as error:
            row.violations.append(f"crash: {method}: {type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        setattr(row, f"{method}_seconds", round(time.perf_counter() - began, 2))
        _judged(results[method], method, row, effort)
    starts = [r.point.prices for r in results.values() if r.point is not None]
    best = best_price(instance, follower, count=effort.prices, starts=starts, seed=row.seed)
    row.best_found, row.prices_tried = best.profit, best.tried
    for name, result in results.items():
        _against_truth(result, name, best, follower, routes, row)
    _against_each_other(list(results.items()), row)
    if effort.contained:
        outcome = check_containment(routes, prices=effort.contained, seed=row.seed)
        row.answers, row.contained_checks = outcome.hours, outcome.checks
        row.violations += [f"outside: {fault}" for fault in outcome.violations]


def _judged(result: Equilibrium, method: str, row: Row, effort: Effort) -> None:
    """The judge's verdict, and whether it follows from what is claimed."""
    certificate = judge(result, gap=effort.gap, recheck=True)
    for name, value in (
        ("verdict", certificate.verdict), ("lower", certificate.lower_bound),
        ("upper", result.upper_bound), ("gap", certificate.gap),
    ):  # fmt: skip
        setattr(row, f"{method}_{name}", value)
    if certificate.verdict == "REJECTED":
        failures = "; ".join(f"{c.name} {c.value!r} {c.where}" for c in certificate.failures)
        row.violations.append(f"judge: {method} REJECTED: {failures}")
    if result.status == "infeasible":
        if certificate.verdict != "INFEASIBLE":
            row.violations.append(f"judge: {method} says infeasible, the verdict is {certificate.verdict}")
        if "period" not in result.reason:
            row.violations.append(f"infeasible: {method} names no hour: {result.reason!r}")
    elif certificate.recheck == "refuted":
        row.violations.append(f"judge: {method}: the bound was refuted")


def _against_truth(
    result: Equilibrium, method: str, best: Found, follower: Follower, routes: RouteSet, row: Row
) -> None:
    for step in result.bounds:
        if step.lower is not None and step.upper is not None and _above(step.lower, step.upper):
            row.violations.append(f"crossed: {method}: lower {step.lower!r} above upper {step.upper!r}")
            break
    if best.profit is None or best.prices is None:
        return
    if result.status == "infeasible":
        row.violations.append(f"infeasible: {method}, but prices {best.prices.tolist()} are allowed")
    elif result.upper_bound is not None and _above(best.profit, result.upper_bound):
        # Only a point that the judge accepts refutes a bound.
        answered = follower.answer(best.prices).point
        sound = answered is not None and judge_point(follower.instance, answered, routes).passed
        kind = (
            "upper" if sound and answered and _above(answered.profit, result.upper_bound) else "unconfirmed"
        )
        row.violations.append(
            f"{kind}: {method}: {best.profit!r} at prices {best.prices.tolist()}, the bound is {result.upper_bound!r}"
        )


def _against_each_other(results: Sequence[tuple[str, Equilibrium]], row: Row) -> None:
    for name, one in results:
        for other_name, other in results:
            if one.lower_bound is None or other.upper_bound is None or name == other_name:
                continue
            if _above(one.lower_bound, other.upper_bound):
                row.violations.append(
                    f"crossed: {name} has a point worth {one.lower_bound!r}, "
                    f"{other_name}'s bound is {other.upper_bound!r}"
                )


def _above(value: float, bound: float) -> bool:
    return value > bound + CLOSE * max(1.0, abs(bound))


# ---- many games --------------------------------------------------------------------------------
def run(games: int, first: int, out: Path, size: Size, effort: Effort) -> int:
    """Run what rows.csv does not hold yet; the number of games with violations in the whole file."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "rows.csv"
    names = [f.name for f in fields(Row)]
    label = f"{size.stations}-{size.periods}-{size.pairs}"
    done = {(r["size"], int(r["seed"])) for r in _rows(path)}
    for seed in range(first, first + games):
        if (label, seed) in done:
            continue
        row = check_game(seed, size, effort)
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            if fresh:
                writer.writeheader()
            writer.writerow({**asdict(row), "violations": " | ".join(row.violations)})
        gap = "" if row.decomposed_gap is None else f"gap {100 * row.decomposed_gap:.3f} %"
        print(
            f"game {seed}: {row.decomposed_verdict} {gap} {' | '.join(row.violations)}",
            file=sys.stderr,
            flush=True,
        )
    rows = _rows(path)
    (out / "README.md").write_text(summary(rows), encoding="utf-8")
    return sum(bool(r["violations"]) for r in rows)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(rows: Sequence[dict[str, str]]) -> str:
    """README.md of the results: what was run, counts, every violation."""
    verdicts = Counter(r["decomposed_verdict"] or "none" for r in rows)
    whole = Counter(r["monolithic_verdict"] or "none" for r in rows)
    gaps = np.array([float(r["decomposed_gap"]) for r in rows if r["decomposed_gap"]])
    bad = [r for r in rows if r["violations"]]
    kinds = Counter(text.split(":")[0] for r in bad for text in r["violations"].split(" | "))
    lines = [
        "# Truth tests on random games",
        "",
        "Made by `python -m mpec.soundness` (what is tested: the module's own text). One row a game in `rows.csv`.",
        "",
        "| | |",
        "|---|---|",
        f"| games | {len(rows)} |",
        f"| prices answered exactly | {sum(int(r['prices_tried'] or 0) for r in rows)} |",
        f"| equilibria looked for in the relaxations | {sum(int(r['answers'] or 0) for r in rows)} |",
        f"| relaxations solved for that | {sum(int(r['contained_checks'] or 0) for r in rows)} |",
        f"| games with a violation | {len(bad)} |",
        f"| verdicts, by hours | {_counts(verdicts)} |",
        f"| verdicts, one MILP | {_counts(whole)} |",
        f"| gap at most 0.1 %, by hours | {int((gaps <= 1e-3).sum())} of {len(gaps)} |",
        f"| violations by kind | {_counts(kinds) or 'none'} |",
        "",
    ]
    if bad:
        lines += ["## Violations", ""]
        lines += [f"* game {r['seed']} ({r['size']}): {r['violations']}" for r in bad]
        lines.append("")
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when any game in the file has a violation."""
    parser = argparse.ArgumentParser(prog="python -m mpec.soundness", description=__doc__.split("\n")[0])
    parser.add_argument("--games", type=int, default=200, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--stations", type=int, default=2, help="most stations of a game")
    parser.add_argument("--periods", type=int, default=2, help="most periods")
    parser.add_argument("--pairs", type=int, default=2, help="most O-D pairs")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of each solve")
    parser.add_argument(
        "--out", type=Path, default=Path("results/soundness"), help="folder of rows.csv and README.md"
    )
    given = parser.parse_args(arguments)
    size = Size(given.stations, given.periods, given.pairs)
    return 1 if run(given.games, given.first, given.out, size, Effort(seconds=given.seconds)) else 0


if __name__ == "__main__":
    sys.exit(main())
