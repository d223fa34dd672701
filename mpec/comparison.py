"""`mpec compare`: the exact and the heuristic way on one game, judged by one judge.

The heuristic's optimality gap is its distance to the exact way's upper bound. A judged point above that
bound proves the bound false; this is said, and the bound is not used.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from instances.model import Instance
from mpec import figures, gravitational_search, result_folder
from mpec.certificate import Certificate
from mpec.equilibrium import Equilibrium
from mpec.judging import judge, judge_solved
from mpec.options import SolveOptions
from mpec.storage import write_file
from mpec.wording import money

_CROSSED = 1e-9
"""Relative amount by which a judged profit must exceed a bound before the bound counts as refuted."""


@dataclass(frozen=True)
class Budget:
    """What the heuristic may use. ``runs`` and ``iterations`` both None: the exact way's wall time."""

    runs: int | None = None
    population: int = 50
    iterations: int | None = None

    @property
    def by_time(self) -> bool:
        return self.runs is None and self.iterations is None


@dataclass(frozen=True)
class Row:
    """A row of comparison.csv; None where a number doesn't exist."""

    method: str
    profit: float | None
    upper_bound: float | None
    gap: float | None
    optimistic: float | None
    pessimistic_bound: float | None
    pessimistic_found: float | None
    verdict: str
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Both results with their certificates; ``refuted`` says why the bound is void, "" if it isn't."""

    results: Mapping[str, Equilibrium]
    certificates: Mapping[str, Certificate]
    rows: tuple[Row, ...]
    refuted: str


def compare(instance: Instance, options: SolveOptions, budget: Budget, *, force: bool = False) -> Comparison:
    """Solve both ways, judge both; exact/, heuristic/, comparison.csv and figures/ appear in options.out.

    ``force`` replaces results that are there. Raises what the two ways and the result folder raise;
    ValueError without options.out.
    """
    from mpec.orchestrator import solve_game

    if options.out is None:
        raise ValueError("a comparison needs a folder to write to (out)")
    exact_folder, heuristic_folder = options.out / "exact", options.out / "heuristic"
    with (
        result_folder.begin(exact_folder, resume=options.resume, force=force),
        result_folder.begin(heuristic_folder, resume=options.resume, force=force),
    ):
        options.say("exact: solving")
        exact = solve_game(instance, replace(options, out=exact_folder))
        exact_judged = judge_solved(exact, options)
        result_folder.write(exact, exact_judged, exact_folder)
        heuristic = _heuristic(instance, options, budget, exact.seconds)
        heuristic_judged = judge(heuristic, gap=options.gap, say=options.say)
        result_folder.write(heuristic, heuristic_judged, heuristic_folder)
    results = {"exact": exact, "heuristic": heuristic}
    comparison = joined(results, {"exact": exact_judged, "heuristic": heuristic_judged})
    write_file(options.out / "comparison.csv", table_csv(comparison.rows))
    figures.draw_all(results, options.out / "figures")
    return comparison


def _heuristic(instance: Instance, options: SolveOptions, budget: Budget, seconds: float) -> Equilibrium:
    """With the wall time of the exact way, or with the runs and iterations that were asked for."""
    if budget.by_time:
        options.say(f"heuristic: searching for {seconds:.0f} s, as long as the exact way took")
        return gravitational_search.best_response(
            instance,
            runs=None,
            population=budget.population,
            iterations=None,
            seed=options.seed,
            time_limit=seconds,
            say=options.say,
        )
    options.say("heuristic: searching")
    return gravitational_search.best_response(
        instance,
        runs=budget.runs or 10,
        population=budget.population,
        iterations=budget.iterations or 100,
        seed=options.seed,
        say=options.say,
    )


def _gap(profit: float | None, upper: float | None) -> float | None:
    if profit is None or upper is None:
        return None
    return (upper - profit) / max(abs(upper), 1.0)


def joined(results: Mapping[str, Equilibrium], certificates: Mapping[str, Certificate]) -> Comparison:
    """The table of both ways under the exact way's upper bound, if no judged point refutes that bound."""
    judged = {name: certificate.to_json() for name, certificate in certificates.items()}
    upper = judged["exact"]["upper_bound"]
    refuted = ""
    for name, certificate in judged.items():
        profit = certificate["lower_bound"]
        if upper is None or profit is None:
            continue
        if profit > upper + _CROSSED * max(abs(upper), 1.0):
            refuted = (
                f"The {name} result is judged and worth {profit!r}, above the stated upper bound {upper!r}: "
                "the bound is false and is not used. Solve again with another --solver, and report this."
            )
    rows = [
        _row(
            name, results[name], judged[name], None if refuted else upper, refuted if name == "exact" else ""
        )
        for name in results
    ]
    return Comparison(results, certificates, tuple(rows), refuted)


def _row(
    method: str, result: Equilibrium, judged: Mapping[str, Any], upper: float | None, refuted: str
) -> Row:
    pessimistic = judged["pessimistic_profit"] or {}
    return Row(
        method=method,
        profit=result.profit,
        upper_bound=upper,
        gap=_gap(judged["lower_bound"], upper),
        optimistic=judged["optimistic_profit"],
        pessimistic_bound=pessimistic.get("bound"),
        pessimistic_found=pessimistic.get("found"),
        verdict="REJECTED" if refuted else judged["verdict"],
        seconds=result.seconds,
    )


def table_csv(rows: Iterable[Row]) -> str:
    """comparison.csv; numbers in full, blank where there is none."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [field.name for field in fields(Row)]
    writer.writerow(names)
    for row in rows:
        values = (getattr(row, name) for name in names)
        writer.writerow(["" if v is None else repr(v) if isinstance(v, float) else v for v in values])
    return out.getvalue()


def table_text(rows: Iterable[Row], currency: str) -> str:
    """The table as it is printed: aligned columns, money with two digits."""
    header = ["", f"profit, {currency}", "upper bound", "gap", "optimistic", "pessimistic >="]
    header += ["found", "verdict", "s"]
    lines = [header]
    for row in rows:
        gap = "none" if row.gap is None else f"{100.0 * row.gap:.3f} %"
        amounts = (row.profit, row.upper_bound)
        ties = (row.optimistic, row.pessimistic_bound, row.pessimistic_found)
        lines.append(
            [row.method, *map(money, amounts), gap, *map(money, ties), row.verdict, f"{row.seconds:.1f}"]
        )
    widths = [max(len(line[c]) for line in lines) for c in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if c in (0, 7) else cell.rjust(width)
            for c, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
