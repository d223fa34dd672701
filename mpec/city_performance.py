"""How far the certified day scales with a city: results/performance/cities.csv and .md.

    python -m mpec.city_performance CITY [CITY ...] [--periods 8-8 8-10 7-12] [--pairs 10 20 30]
        [--stations 8 12] [--feeder INSTANCE ...] [--workers 1 2] [--seconds 600] [--generate-routes]
        [--again] [--keep DIR]

A CITY is a folder (made by `mpec new`, say) or a bundled name. Every combination is a case, solved and judged in a
process of its own; a case with a row is not run again (unless --again): the bench goes on where it stopped. --keep
stores the results too, a folder each, from the first iteration on. Growth in O-D pairs: the first N of vehicles.csv.
In stations: the first N, with their share of the others' rating. In buses: the feeder of another instance, the
stations spread evenly over it. `--workers 1 2` measures the speed-up, the serial share, and what two processes get
done at once on this machine; what 10 would do is a projection by Amdahl's law, stated as such.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import instances
from formulations.routes import route_set
from instances.model import Instance
from mpec.bench_rows import add_row, markdown, reached, read_rows
from mpec.equilibrium import Equilibrium
from mpec.executors import leave_with
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.result_folder import begin, write
from mpec.route_rounds import solve_on_generated_routes

KEY = ("instance", "periods", "pairs", "stations", "buses", "workers", "route_set")
FIELDS = (*KEY, "roads", "scenarios", "routes", "seconds", "cpu_seconds", "lower", "upper", "gap",
          "first_interval_s", "to_5_percent_s", "to_2_percent_s", "peak_memory_mib", "verdict",
          "no_cheaper_route", "serial_share", "two_at_once", "phases")  # fmt: skip
SHOWN = FIELDS[:-3]
CLUSTER = 10


@dataclass(frozen=True)
class Case:
    """One run: a city and what is taken of it; None: all of it."""

    city: str
    periods: tuple[int, int] | None = None
    pairs: int | None = None
    stations: int | None = None
    feeder: str | None = None
    workers: int = 1
    generate: bool = False
    seconds: float = 600.0
    gap: float = 0.02
    recheck: bool = True
    keep: Path | None = None

    def game(self) -> Instance:
        """The part of the city. Raises InstanceError, and ValueError for more pairs or stations than it has."""
        game = instances.load(self.city).select(periods=self.periods)
        if self.pairs is not None:
            game = fewer_pairs(game, self.pairs)
        if self.stations is not None:
            game = fewer_stations(game, self.stations)
        if self.feeder is not None:
            game = on_feeder(game, instances.load(self.feeder).select(periods=self.periods))
        return game


def fewer_pairs(game: Instance, count: int) -> Instance:
    """The first ``count`` O-D pairs and their trips."""
    _enough(count, len(game.pairs), "O-D pairs")
    kept = game.pairs[:count]
    keys = {pair.key for pair in kept}
    trips = {key: flow for key, flow in game.trips.items() if key[:2] in keys}
    declared = game.route_set
    if declared is not None:
        declared = tuple(route for route in declared if (route.origin, route.destination) in keys)
    return replace(game, pairs=kept, trips=trips, route_set=declared)


def fewer_stations(game: Instance, count: int) -> Instance:
    """The first ``count`` stations, each with its share of the rating of those that are left out."""
    _enough(count, len(game.stations), "stations")
    share = sum(s.rated_kva for s in game.stations) / sum(s.rated_kva for s in game.stations[:count])
    kept = tuple(replace(s, rated_kva=s.rated_kva * share) for s in game.stations[:count])
    names = {station.id for station in kept}
    tariff = {key: row for key, row in game.tariff.items() if key[0] in names}
    return replace(game, stations=kept, tariff=tariff, route_set=None)


def on_feeder(game: Instance, other: Instance) -> Instance:
    """The city's roads with another instance's feeder, wind and periods; stations spread over its buses."""
    buses = [bus.id for bus in other.buses if bus.id != other.feeder.root_bus]
    places = [buses[i * len(buses) // len(game.stations)] for i in range(len(game.stations))]
    return replace(
        game,
        feeder=other.feeder,
        buses=other.buses,
        lines=other.lines,
        wind_farms=other.wind_farms,
        scenarios=other.scenarios,
        wind=other.wind,
        periods=other.periods,
        stations=tuple(replace(s, bus=bus) for s, bus in zip(game.stations, places, strict=True)),
    )


def _enough(count: int, there: int, what: str) -> None:
    if not 1 <= count <= there:
        raise ValueError(f"{count} {what} are asked for; the city has {there}")


# ---- one case ------------------------------------------------------------------------------------------


def row_key(case: Case, game: Instance) -> dict[str, Any]:
    """What tells a row from the others."""
    labels = [period.id for period in game.periods]
    return {
        "instance": game.name,
        "periods": f"{labels[0]}-{labels[-1]}",
        "pairs": len(game.pairs),
        "stations": len(game.stations),
        "buses": len(game.buses),
        "workers": case.workers,
        "route_set": "generated" if case.generate else "complete" if game.route_set is None else "declared",
    }


def run_case(case: Case) -> dict[str, Any]:
    """Solve and judge a case in this process; its row."""
    game = case.game()
    out = None if case.keep is None else case.keep / "-".join(map(str, row_key(case, game).values()))
    options = SolveOptions(
        gap=case.gap,
        time_limit=case.seconds,
        workers=case.workers,
        generate_routes=case.generate,
        out=out,
        say=_say,
    )
    with nullcontext() if out is None else begin(out, force=True):
        began, before = time.perf_counter(), _cpu_seconds()
        result = (solve_on_generated_routes if case.generate else solve_game)(game, options)
        seconds, worked = time.perf_counter() - began, _cpu_seconds() - before
        certificate = judge(result, gap=case.gap, recheck=case.recheck, pessimistic_seconds=0.0, say=_say)
        if out is not None:
            write(result, certificate, out)
    return {
        **row_key(case, game),
        "roads": len(game.roads),
        "scenarios": len(game.scenarios),
        "routes": len(route_set(result.instance).routes),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(worked, 1),
        "lower": certificate.lower_bound,
        "upper": certificate.upper_bound,
        "gap": certificate.gap,
        "first_interval_s": reached(result, float("inf")),
        "to_5_percent_s": reached(result, 0.05),
        "to_2_percent_s": reached(result, 0.02),
        "peak_memory_mib": round(peak_memory(case.workers)),
        "verdict": certificate.verdict,
        "no_cheaper_route": certificate.all_routes.no_cheaper_route,
        "serial_share": _serial_share(result) if case.workers == 1 else None,
        "two_at_once": None if case.workers == 1 else two_at_once(),
        "phases": result.options.get("phases", ""),
    }


def _serial_share(result: Equilibrium) -> float | None:
    """Share of a run with one worker that more workers could not take over: what lay outside the hours' tasks."""
    inside = result.options.get("task_seconds")
    return None if inside is None else round(max(0.0, 1.0 - float(inside) / max(result.seconds, 1e-9)), 3)


def _count(steps: int) -> float:
    """Seconds of a loop that never leaves its processor."""
    began, total = time.perf_counter(), 0
    for i in range(steps):
        total += i * i
    return time.perf_counter() - began if total else 0.0


def two_at_once(steps: int = 20_000_000) -> float:
    """How much two processes get done against one, 1 to 2: two threads of one core are fewer than two cores."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_count, [1, 1]))
        alone = pool.submit(_count, steps).result()
        both = max(pool.map(_count, [steps, steps]))
    return round(2.0 * alone / both, 2)


def _say(message: str) -> None:
    print(message, flush=True)


def peak_memory(workers: int) -> float:
    """MiB at most: this process, and its largest child as often as there are workers."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(own + workers * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024.0


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


# ---- the table -----------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, str]]) -> str:
    """The rows as Markdown, then measured speed-ups and their projections."""
    text = (
        "# Cities\n\nMade by `python -m mpec.city_performance` with HiGHS. `seconds` is the wall time of the solve "
        "(without the recheck), `cpu_seconds` the processor time of all its processes: on a machine that does other "
        "things too, that is the fairer figure. `peak_memory_mib` counts the largest worker once per worker.\n\n"
    )
    return text + markdown(rows, SHOWN) + _speedups(rows)


def _speedups(rows: Sequence[dict[str, str]]) -> str:
    """Time to the first target that both runs reached, with 1 and 2 workers, and Amdahl's law for a cluster."""
    said = []
    for row in rows:
        twin = next(
            (r for r in rows if r["workers"] == "2" and all(r[k] == row[k] for k in KEY if k != "workers")),
            None,
        )
        if row["workers"] != "1" or twin is None:
            continue
        for name in ("to_2_percent_s", "to_5_percent_s", "first_interval_s"):
            if row[name] and twin[name] and float(twin[name]) > 0.0:
                said.append(_speedup(row, twin, name))
                break
    return "\n## Workers\n\n" + "\n".join(said) + "\n" if said else ""


def _speedup(row: dict[str, str], twin: dict[str, str], name: str) -> str:
    one, two = float(row[name]), float(twin[name])
    where = f"{row['instance']}, periods {row['periods']}, {row['pairs']} pairs"
    said = f"* {where}: {name} {one:g} with 1 worker, {two:g} with 2: measured speed-up {one / two:.2f}."
    if twin["two_at_once"]:
        said += (
            f" Two processes that only count got {twin['two_at_once']} times as much done as one on this machine:"
            " more is not to be had here (two cores would give 2, two threads of one core give less)."
        )
    if not row["serial_share"]:
        return said
    serial = float(row["serial_share"])
    faster = 1.0 / (serial + (1.0 - serial) / CLUSTER)
    return (
        f"{said} Of the run with 1 worker {100 * serial:.0f} % lay outside the hours' tasks (measured). Projection,"
        f" not measured: by Amdahl's law {CLUSTER} whole cores take {one / faster:.0f} s, {faster:.1f} times less,"
        " if no hour's task alone takes longer."
    )


def cases_of(given: argparse.Namespace) -> list[Case]:
    """Every combination of what was asked for."""
    chosen = itertools.product(
        given.cities, given.periods or [None], given.pairs or [None], given.stations or [None],
        given.feeder or [None], given.workers,
    )  # fmt: skip
    return [
        Case(*parts, given.generate_routes, given.seconds, given.gap, not given.no_recheck, given.keep)
        for parts in chosen
    ]


def _span(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="time, gap and memory of certified cities")
    parser.add_argument("cities", nargs="+", metavar="CITY")
    parser.add_argument("--periods", nargs="*", type=_span, metavar="A-B")
    parser.add_argument("--pairs", nargs="*", type=int, metavar="N")
    parser.add_argument("--stations", nargs="*", type=int, metavar="N")
    parser.add_argument("--feeder", nargs="*", metavar="INSTANCE")
    parser.add_argument("--workers", nargs="*", type=int, default=[1], metavar="N")
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--gap", type=float, default=0.02)
    parser.add_argument("--generate-routes", action="store_true")
    parser.add_argument("--no-recheck", action="store_true")
    parser.add_argument("--again", action="store_true", help="measure cases that have a row anew")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="store the results here")
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    path = given.out / "cities.csv"
    rows = [dict.fromkeys(FIELDS, "") | row for row in read_rows(path)]
    for case in cases_of(given):
        key = {name: str(value) for name, value in row_key(case, case.game()).items()}
        said = ", ".join(f"{name} {value}" for name, value in key.items())
        same = [row for row in rows if all(row[name] == value for name, value in key.items())]
        if same and not given.again:
            print(f"{said}: has a row already")
            continue
        print(said, flush=True)
        # A fresh process each, so that the peak memory is the case's own.
        apart = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, apart, initializer=leave_with, initargs=(os.getpid(),)) as pool:
            row = pool.submit(run_case, case).result()
        rows = [one for one in rows if one not in same]
        add_row(path, rows, FIELDS, row)
        (given.out / "cities.md").write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
