"""rows.csv and what lies beside it: tidy tables made from the run folders alone.

rows.csv     a row per run: its game, method and settings, what the judge says, what people compare
curves.csv   run, iteration, best, mean: the heuristic's course
bounds.csv   run, iteration, lower, upper: the exact way's course
prices.csv   run, station, period, prices and load: of all runs but the heuristic's; of those the best
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpec import result_folder
from mpec.storage import current, read_json
from mpec.studies.run_spec import RunSpec

CURE = "Remove the run's folder and go on with --resume."

COLUMNS = (
    "run", "block", "method", "instance", "tariff", "xi", "kappa", "price_step", "first_period",
    "last_period",
    "seed", "population", "iterations", "start", "target_gap", "sweeps", "policy", "radius",
    "status", "verdict", "failed_checks", "recheck", "profit", "lower_bound", "upper_bound", "gap",
    "certified_upper", "optimality_gap", "refuted", "pessimistic_bound", "pessimistic_found",
    "users_cost", "vehicle_hours", "dso_cost", "energy_sold_kwh", "curtailment_kwh",
    "shedding_kwh", "emergency_kwh", "evaluations", "seconds",
)  # fmt: skip
TIMES = ("seconds",)
"""The columns in which a run carried out again may differ."""

CROSSED = 1e-9
"""Relative amount by which a judged profit must exceed a bound before the bound counts as refuted."""

CASE = ("instance", "tariff", "xi", "kappa", "price_step", "first_period", "last_period")
"""The columns that tell one game from another."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Material:
    """What tables, figures and findings are made from; lists of dicts with the columns of the files."""

    rows: Sequence[Row]
    curves: Sequence[Row]
    bounds: Sequence[Row]
    prices: Sequence[Row]


def collect(runs: Sequence[RunSpec], folder: Path) -> Material:
    """Read the finished runs below ``folder``. Raises ResultError naming the file that can't be read."""
    stored = [_Stored(run, folder / run.folder) for run in runs]
    rows = with_certified([one.row() for one in stored])
    best: dict[tuple[Any, ...], tuple[float, str]] = {}
    for row in rows:
        if row["method"] == "heuristic" and row["lower_bound"] is not None:
            known = best.get(game_of(row), (-math.inf, ""))
            best[game_of(row)] = max(known, (row["lower_bound"], row["run"]), key=lambda pair: pair[0])
    priced = {name for _, name in best.values()}
    return Material(
        rows,
        [line for one in stored for line in one.curve()],
        [line for one in stored for line in one.bounds()],
        [
            line
            for one in stored
            if one.run.method != "heuristic" or one.run.folder in priced
            for line in one.prices()
        ],
    )


def game_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells the row's game from others."""
    return tuple(row[name] for name in CASE)


def with_certified(rows: Sequence[Row]) -> list[Row]:
    """The rows with the exact way's bound on the same game, the gap to it, and whether a profit refutes it."""
    upper: dict[tuple[Any, ...], float] = {}
    for row in rows:
        if row["method"] == "exact" and row["upper_bound"] is not None and row["verdict"] != "REJECTED":
            upper[game_of(row)] = min(row["upper_bound"], upper.get(game_of(row), math.inf))
    done = []
    for row in rows:
        bound, lower = upper.get(game_of(row)), row["lower_bound"]
        gap = None if bound is None or lower is None else (bound - lower) / max(abs(bound), 1.0)
        crossed = gap is not None and gap < -CROSSED
        done.append({**row, "certified_upper": bound, "optimality_gap": gap, "refuted": crossed})
    return done


@dataclass(frozen=True)
class _Stored:
    run: RunSpec
    folder: Path

    def claims(self) -> dict[str, Any]:
        return result_folder.read_claims(self.folder)

    def row(self) -> Row:
        claims = self.claims()
        judged = read_json(current(self.folder, result_folder.CERTIFICATE), cure=CURE)
        settings, ties = self.run.settings, judged.get("pessimistic_profit") or {}
        values = {
            "run": self.run.folder,
            "block": self.run.block,
            "method": self.run.method,
            **self.run.case,
            "seed": self.run.seed,
            "target_gap": settings.get("gap"),
            **{name: settings.get(name) for name in _SETTINGS},
            **{
                name: judged.get(name) for name in ("verdict", "recheck", "lower_bound", "upper_bound", "gap")
            },
            "failed_checks": ";".join(c["name"] for c in judged["checks"] if not c["passed"]),
            "pessimistic_bound": ties.get("bound"),
            "pessimistic_found": ties.get("found"),
            "evaluations": claims["options"].get("evaluations"),
            **{name: claims.get(name) for name in _CLAIMS},
        }
        return {name: values.get(name) for name in COLUMNS}

    def curve(self) -> list[Row]:
        """The heuristic's best and mean after each iteration."""
        return [
            {"run": self.run.folder, "iteration": number, "best": best, "mean": mean}
            for record in self.claims()["options"].get("runs", ())
            if self.run.method == "heuristic"
            for number, (best, mean) in enumerate(zip(record["best"], record["mean"], strict=True), start=1)
        ]

    def bounds(self) -> list[Row]:
        if self.run.method != "exact":
            return []
        steps = result_folder.read(self.folder).bounds
        return [
            {"run": self.run.folder, "iteration": s.iteration, "lower": s.lower, "upper": s.upper}
            for s in steps
        ]

    def prices(self) -> list[Row]:
        result = result_folder.read(self.folder)
        point, game = result.point, result.instance
        if point is None:
            return []
        return [
            {
                "run": self.run.folder,
                "station": station.id,
                "period": period.id,
                "charging_price": float(point.prices[m, t]),
                "electricity_price": float(point.electricity_price[m, t]),
                "load_kw": float(point.load_kw[m, t]),
            }
            for m, station in enumerate(game.stations)
            for t, period in enumerate(game.periods)
        ]


_SETTINGS = ("population", "iterations", "start", "sweeps", "policy", "radius")
_CLAIMS = (
    "status", "profit", "users_cost", "vehicle_hours", "dso_cost", "energy_sold_kwh", "curtailment_kwh",
    "shedding_kwh", "emergency_kwh", "seconds",
)  # fmt: skip


def cell(value: Any) -> str:
    """A value as a CSV cell: numbers in full, blank where there is none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([cell(row[name]) for name in columns] for row in rows)
    return out.getvalue()


def files_of(material: Material) -> dict[str, str]:
    """The CSV files of a study by name."""
    return {
        "rows.csv": csv_text(COLUMNS, material.rows),
        "curves.csv": csv_text(("run", "iteration", "best", "mean"), material.curves),
        "bounds.csv": csv_text(("run", "iteration", "lower", "upper"), material.bounds),
        "prices.csv": csv_text(
            ("run", "station", "period", "charging_price", "electricity_price", "load_kw"), material.prices
        ),
    }
