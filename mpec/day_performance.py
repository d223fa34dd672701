"""How fast and how tight the certified day is: rows of results/performance/day.csv, the page day.md, growth.png.

    python -m mpec.day_performance [CASE ...] [--seconds N] [--again] [--out results/performance]

Cases: fixed-0, dlmp-0, dlmp-0.5, regulated-0.5 (the bundled day), monolithic, exact-minlp, heuristic (side by side),
hours-6, hours-12, hours-48, scenarios-1, scenarios-9 (growth), dlmp-0.5-long (a smaller gap in half an hour). A case
with a row is not run again without --again: the bench goes on where it stopped. Every row says when the first
interval stood, and when each gap was reached. PySCIPOpt 6.3 aborts the process (an invalid pointer of its own) on the
whole day after about 400 s: give exact-minlp --seconds 300.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import instances
from formulations.routes import route_set
from instances.model import Instance, Scenario, TariffMode
from mpec.bench_rows import add_row, reached, read_rows
from mpec.certificate import judge_point
from mpec.day_performance_page import LONG, TARGETS, write_page
from mpec.equilibrium import Equilibrium
from mpec.exact_minlp import Exact, exact_minlp
from mpec.followers.answer import Follower
from mpec.gravitational_search import best_response
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import within_caps
from mpec.solvers import SolverError

FIELDS = ("case", "tariff", "xi", "hours", "scenarios", "seconds", "lower", "upper", "gap", "first_interval_s",
          "to_5_percent_s", "to_1_percent_s", "to_target_s", "phases")  # fmt: skip
DAYS: dict[str, tuple[TariffMode, float]] = {
    "fixed-0": ("fixed", 0.0),
    "dlmp-0": ("dlmp", 0.0),
    "dlmp-0.5": ("dlmp", 0.5),
    "regulated-0.5": ("regulated", 0.5),
    LONG: ("dlmp", 0.5),
}
GROWTH = ("hours-6", "hours-12", "hours-48", "scenarios-1", "scenarios-9")
SIDE_BY_SIDE = ("monolithic", "exact-minlp", "heuristic")
CASES = (*(case for case in DAYS if case != LONG), *SIDE_BY_SIDE, *GROWTH, LONG)
TARGET_GAP = 1e-2
"""Of the cases without a target of their own."""


def game_of(case: str) -> Instance:
    """The bundled day as the case wants it."""
    day = instances.load("ieee33-road16")
    kind, _, what = case.partition("-")
    if case in DAYS:
        tariff, xi = DAYS[case]
        return day.select(tariff=tariff, xi=xi)
    if kind == "hours":
        return _hours(day, int(what))
    if kind == "scenarios":
        return _scenarios(day, int(what))
    return day


def _hours(day: Instance, count: int) -> Instance:
    """The first ``count`` hours of the day repeated as often as needed."""
    if count <= len(day.periods):
        return day.select(periods=(day.periods[0].id, day.periods[count - 1].id))
    copies = -(-count // len(day.periods))
    last = max(p.id for p in day.periods)
    moved = [{p.id: p.id + i * last for p in day.periods} for i in range(copies)]
    twice = replace(
        day,
        periods=tuple(replace(p, id=m[p.id]) for m in moved for p in day.periods),
        trips={(k[0], k[1], m[k[2]]): v for m in moved for k, v in day.trips.items()},
        wind={(k[0], m[k[1]], k[2]): v for m in moved for k, v in day.wind.items()},
        tariff={(k[0], m[k[1]]): v for m in moved for k, v in day.tariff.items()},
    )
    return twice.select(periods=(twice.periods[0].id, twice.periods[count - 1].id))


def _scenarios(day: Instance, count: int) -> Instance:
    """One scenario, or each split into three with the wind times 0.94, 0.97 and 1."""
    if count == 1:
        first = day.scenarios[0]
        wind = {k: v for k, v in day.wind.items() if k[0] == first.id}
        return replace(day, scenarios=(replace(first, probability=1.0),), wind=wind)
    factors = (0.94, 0.97, 1.0)
    split = tuple(
        Scenario(id=f"{s.id}.{i}", probability=s.probability / 3) for s in day.scenarios for i in range(3)
    )
    wind = {(f"{k[0]}.{i}", k[1], k[2]): v * f for k, v in day.wind.items() for i, f in enumerate(factors)}
    return replace(day, scenarios=split, wind=wind)


def _row(case: str, game: Instance, seconds: float) -> dict[str, object]:
    """A row that knows its game and nothing else yet."""
    return dict.fromkeys(FIELDS) | {
        "case": case,
        "tariff": game.tariff_mode,
        "xi": game.users.xi,
        "hours": len(game.periods),
        "scenarios": len(game.scenarios),
        "seconds": round(seconds, 1),
    }


def _interval(lower: float | None, upper: float | None) -> dict[str, float | None]:
    gap = None if lower is None or upper is None else (upper - lower) / max(abs(upper), 1.0)
    return {"lower": lower, "upper": upper, "gap": gap}


def _solved(case: str, game: Instance, result: Equilibrium, seconds: float) -> dict[str, object]:
    gaps = {"first_interval_s": float("inf"), "to_5_percent_s": 0.05, "to_1_percent_s": 0.01}
    gaps["to_target_s"] = TARGETS[case].gap if case in TARGETS else TARGET_GAP
    row = _row(case, game, seconds) | _interval(result.lower_bound, result.upper_bound)
    row |= {name: reached(result, gap) for name, gap in gaps.items()}
    return row | {"phases": result.options.get("phases", "")}


def run_case(case: str, seconds: float, game: Instance | None = None) -> dict[str, object]:
    """One case as a row of the table, on ``game`` in place of the case's own. Raises SolverMissing without SCIP, and
    SolverError where it breaks off (exact-minlp)."""
    game = game_of(case) if game is None else game
    began = time.perf_counter()
    if case == "exact-minlp":
        exact = exact_minlp(game, seconds)
        row = _row(case, game, exact.seconds) | _interval(answered(game, exact), exact.bound)
        return row | {"phases": f"SCIP: {exact.status}"}
    if case == "heuristic":
        result = best_response(game, runs=1, population=50, iterations=100, seed=0)
    else:
        options = SolveOptions(
            method="monolithic" if case == "monolithic" else "decomposed",
            gap=TARGETS[case].gap if case in TARGETS else TARGET_GAP,
            time_limit=seconds,
            say=print,
        )
        result = solve_game(game, options)
    return _solved(case, game, result, time.perf_counter() - began)


def answered(game: Instance, exact: Exact) -> float | None:
    """What the followers' exact answer to SCIP's best prices earns; None where the judge doesn't accept it.

    SCIP's own value is worth its tolerance only: 1e-7 in a complementary pair can be money in the profit.
    """
    if exact.prices is None:
        return None
    routes = route_set(game)
    prices = within_caps(game, exact.prices[None])[0]
    point = Follower(game, routes).answer(prices).point
    return point.profit if point is not None and judge_point(game, point, routes).passed else None


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="time and gap of the certified day")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)} (default: all)")
    parser.add_argument(
        "--seconds", type=float, help="time limit of a case (default: 480; the long one 1800)"
    )
    parser.add_argument("--again", action="store_true", help="measure cases that have a row anew")
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    given = parser.parse_args(arguments)
    for case in given.cases:
        if case not in CASES:
            parser.error(f"there is no case {case!r}; choose of {', '.join(CASES)}")
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "day.csv"
    rows = [dict.fromkeys(FIELDS, "") | row for row in read_rows(path)]
    for case in given.cases or CASES:
        if any(r["case"] == case for r in rows) and not given.again:
            print(f"{case}: has a row already")
            continue
        limit = given.seconds or (TARGETS[LONG].seconds if case == LONG else 480.0)
        try:
            row = run_case(case, limit)
        except SolverError as reason:
            print(f"{case}: no row. {reason}")
            continue
        rows = [r for r in rows if r["case"] != case]
        add_row(path, rows, FIELDS, row)
        write_page(rows, given.out)


if __name__ == "__main__":
    main()
