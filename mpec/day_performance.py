"""How fast and how tight the certified day is: results/performance/day.csv and .md.

    python -m mpec.day_performance [CASE ...] [--seconds 480] [--out results/performance]

Cases: fixed-0, dlmp-0, dlmp-0.5, regulated-0.5 (the bundled day), hours-6, hours-12, hours-48, scenarios-1,
scenarios-9 (growth), monolithic, heuristic (side by side). A case with a row is not run again: the bench goes on
where it stopped. Every row says when the first interval stood, and when each gap was reached.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import instances
from instances.model import Instance, Scenario, TariffMode
from mpec.bench_rows import Row, add_row, markdown, reached, read_rows
from mpec.equilibrium import Equilibrium
from mpec.gravitational_search import best_response
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game

FIELDS = ("case", "tariff", "xi", "hours", "scenarios", "seconds", "lower", "upper", "gap", "first_interval_s",
          "to_5_percent_s", "to_1_percent_s", "phases")  # fmt: skip
DAYS: dict[str, tuple[TariffMode, float]] = {
    "fixed-0": ("fixed", 0.0),
    "dlmp-0": ("dlmp", 0.0),
    "dlmp-0.5": ("dlmp", 0.5),
    "regulated-0.5": ("regulated", 0.5),
}
GAPS = {"fixed-0": 1e-3, "dlmp-0": 3e-3, "dlmp-0.5": 1e-2, "regulated-0.5": 1e-2}
GROWTH = ("hours-6", "hours-12", "hours-48", "scenarios-1", "scenarios-9")
SIDE_BY_SIDE = ("monolithic", "heuristic")


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


def _row(case: str, game: Instance, result: Equilibrium, seconds: float) -> dict[str, object]:
    row: dict[str, object] = {
        "case": case,
        "tariff": game.tariff_mode,
        "xi": game.users.xi,
        "hours": len(game.periods),
        "scenarios": len(game.scenarios),
        "seconds": round(seconds, 1),
        "lower": result.lower_bound,
        "upper": result.upper_bound,
        "gap": None,
        "phases": result.options.get("phases", ""),
    }
    if result.lower_bound is not None and result.upper_bound is not None:
        row["gap"] = (result.upper_bound - result.lower_bound) / max(abs(result.upper_bound), 1.0)
    for name, gap in (("first_interval_s", float("inf")), ("to_5_percent_s", 0.05), ("to_1_percent_s", 0.01)):
        row[name] = reached(result, gap)
    return row


def run_case(case: str, seconds: float) -> dict[str, object]:
    """One case as a row of the table."""
    game = game_of(case)
    began = time.perf_counter()
    if case == "heuristic":
        result = best_response(game, runs=1, population=50, iterations=100, seed=0)
    else:
        options = SolveOptions(
            method="monolithic" if case == "monolithic" else "decomposed",
            gap=GAPS.get(case, 1e-2),
            time_limit=seconds,
            say=print,
        )
        result = solve_game(game, options)
    return _row(case, game, result, time.perf_counter() - began)


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    command = "Made by `python -m mpec.day_performance` on 2 cores with HiGHS; seconds are of one run."
    return "# The certified day\n\n" + command + "\n\n" + markdown(rows, FIELDS[:-1])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="time and gap of the certified day")
    parser.add_argument("cases", nargs="*", default=[*GAPS, *SIDE_BY_SIDE, *GROWTH])
    parser.add_argument("--seconds", type=float, default=480.0)
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "day.csv"
    rows = read_rows(path)
    for case in given.cases:
        if any(r["case"] == case for r in rows):
            print(f"{case}: has a row already")
            continue
        add_row(path, rows, FIELDS, run_case(case, given.seconds))
        (given.out / "day.md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
