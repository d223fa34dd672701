"""The page of mpec.day_performance: results/performance/day.md from the rows, with growth.png and growth.svg.

What the page says of a target ("reached", "not reached") and of the growth (the exponent) is computed from the rows.
Parts without rows are left out.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from mpec.bench_rows import Row, number, seconds_text, text_table
from mpec.day_growth import DAY, drawn_sizes, growth_figure, growth_text
from mpec.figures import STYLE, write_figure
from mpec.wording import money, percent


@dataclass(frozen=True)
class Target:
    """A gap, and the seconds of wall time within which it is to stand."""

    gap: float
    seconds: float


LONG = "dlmp-0.5-long"
TARGETS = {
    "fixed-0": Target(1e-3, 240.0),
    "dlmp-0": Target(3e-3, 480.0),
    "dlmp-0.5": Target(1e-2, 480.0),
    "regulated-0.5": Target(1e-2, 480.0),
    LONG: Target(2e-3, 1800.0),
}
WAYS = {
    DAY: "decomposed, HiGHS",
    "monolithic": "one MILP, HiGHS",
    "exact-minlp": "nonconvex MINLP, SCIP",
    "heuristic": "gravitational search, 50 × 100",
}


def write_page(rows: Sequence[Row], folder: Path) -> None:
    """day.md, and the plot of the growth where rows of two sizes are there."""
    named = {row["case"]: row for row in rows}
    drawn = drawn_sizes(named)
    if drawn:
        with mpl.rc_context(STYLE):
            write_figure(growth_figure(named, drawn), folder, "growth")
    (folder / "day.md").write_text(page(named, drawn), encoding="utf-8")


def page(rows: Mapping[str, Row], drawn: Sequence[str]) -> str:
    """The parts that have rows."""
    parts = [
        "# The certified day\n\nMade by `python -m mpec.day_performance` on 2 cores with HiGHS on the bundled day; "
        "money is CNY per day, seconds are wall time of one run.\n",
        _days(rows, "The four days", [case for case in TARGETS if case != LONG]),
        _phases(rows),
        _side_by_side(rows),
        growth_text(rows, drawn),
        _days(rows, "Long runs", [LONG]),
    ]
    return "\n".join(part for part in parts if part)


# ---- the days ----------------------------------------------------------------------------------
def _days(rows: Mapping[str, Row], title: str, cases: Sequence[str]) -> str:
    there = [case for case in cases if case in rows]
    if not there:
        return ""
    lines = []
    for case in there:
        row, target = rows[case], TARGETS[case]
        when = number(row["to_target_s"])
        lines.append(
            [
                case, row["tariff"], row["xi"], money(number(row["lower"]), 1), money(number(row["upper"]), 1),
                percent(number(row["gap"])), seconds_text(row["seconds"]), seconds_text(row["first_interval_s"]),
                seconds_text(row["to_5_percent_s"]), seconds_text(row["to_1_percent_s"]),
                f"{percent(target.gap)} in {target.seconds / 60:.0f} min", _verdict(when, target.seconds),
            ]
        )  # fmt: skip
    head = ["case", "tariff", "ξ", "lower", "upper", "gap", "ended after", "first interval", "5 %", "1 %"]
    return f"## {title}\n\n" + text_table([*head, "target", "the target was"], lines)


def _verdict(when: float | None, limit: float) -> str:
    if when is None:
        return "not reached"
    return f"{'reached' if when <= limit else 'reached too late,'} after {when:.0f} s"


def _phases(rows: Mapping[str, Row]) -> str:
    """Seconds by phase, largest first; what no phase counts is the rest."""
    spent: dict[str, dict[str, float]] = {}
    for case in TARGETS:
        text = rows.get(case, {}).get("phases", "")
        if text:
            spent[case] = {name: float(value) for name, value in ast.literal_eval(text).items()}
    if not spent:
        return ""
    total = {name: sum(p.get(name, 0.0) for p in spent.values()) for p in spent.values() for name in p}
    names = sorted(total, key=lambda name: -total[name])
    lines = []
    for case, phases in spent.items():
        rest = float(rows[case]["seconds"]) - sum(phases.values())
        shown = [f"{phases[name]:.0f}" if name in phases else "" for name in names]
        lines.append([case, *shown, f"{max(rest, 0.0):.0f}"])
    return "## Where the time went\n\nSeconds by phase.\n\n" + text_table(["case", *names, "else"], lines)


# ---- side by side ------------------------------------------------------------------------------
def _side_by_side(rows: Mapping[str, Row]) -> str:
    if sum(case in rows for case in WAYS) < 2:
        return ""
    day = rows.get(DAY)
    bound = None if day is None else number(day["upper"])
    lines = []
    for case, way in WAYS.items():
        row = rows.get(case)
        if row is None:
            continue
        lower = number(row["lower"])
        below = None if bound is None or lower is None else (bound - lower) / max(abs(bound), 1.0)
        lines.append(
            [way, case, money(lower, 1), money(number(row["upper"]), 1), percent(number(row["gap"])),
             percent(below), seconds_text(row["seconds"])]
        )  # fmt: skip
    head = [
        "way",
        "case",
        "lower",
        "upper",
        "gap to its own upper",
        f"gap to the upper of {DAY}",
        "ended after",
    ]
    said = (
        "The same game (the bundled day, dlmp, ξ = 0.5) each time. A lower value counts only where the followers' "
        'exact answer to its prices earns it and the judge accepts that answer; it is "none" otherwise, whatever a '
        "solver says. The last gap is each way's optimality gap under the decomposed run's bound; the heuristic has no "
        "bound of its own.\n\n"
    )
    return "## Side by side\n\n" + said + text_table(head, lines)
