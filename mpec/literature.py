"""Published bilevel problems, every mode on every solver: the table in results/literature.

    python -m mpec.literature [--cases tests/data/bilevel_cases.json] [--out DIR] [--only NAME ...]

A case is a JSON record: leader and follower over x and y with matrices, senses, bounds, prices (dual
variables the leader uses) and the published optimum; its format is in the file's "schema".
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyomo.environ as pyo

from mpec.complementarity import UnboundedPair
from mpec.reformulation import MODES, largest_m, single_level
from mpec.refusals import InfeasibleFollower, Refused
from mpec.solvers import SOLVERS, SolverError

CASES = Path("tests/data/bilevel_cases.json")
VALUE = 1e-6
"""Relative distance from the published optimum up to which a value counts as right."""

MEMBER = {True: 2e-3, False: 1e-6}
"""Relative distance of a solution from the published optimal set, by whether an objective is quadratic: there a value
right to 1e-6 leaves the point uncertain by about its root."""

Prices = list[tuple[Any, Any]]


def load_cases(path: str | Path = CASES) -> list[dict[str, Any]]:
    """The cases of a file, in its order."""
    return list(json.loads(Path(path).read_text(encoding="utf-8"))["cases"])


def build_case(case: Mapping[str, Any]) -> tuple[Any, Prices]:
    """(Pyomo model with block ``follower``, price links for single_level) of one case."""
    leader, follower = case["leader"], case["follower"]
    model = pyo.ConcreteModel(name=case["name"])
    model.x = pyo.Var(range(case["n_x"]))
    model.follower = pyo.Block()
    model.follower.y = pyo.Var(range(case["n_y"]))
    x, y = list(model.x.values()), list(model.follower.y.values())
    _bounds(x, leader["x_lb"], leader["x_ub"], leader["integer_x"])
    _bounds(y, follower["y_lb"], follower["y_ub"], follower["integer_y"])
    model.rows = _rows(leader["constraints"], x, y)
    limits = [(v, leader["y_lb"][j], leader["y_ub"][j]) for j, v in enumerate(y)]
    model.limits = pyo.ConstraintList()
    for v, low, high in limits:
        if low is not None:
            model.limits.add(v >= low)
        if high is not None:
            model.limits.add(v <= high)
    cost = _linear(follower["d_x"], x) + _linear(follower["d_y"], y) + follower["const"]
    cost += 0.5 * _square(follower["Q_yy"], y, y) + 0.5 * _square(follower["Q_xx"], x, x)
    cost += _square(follower["Q_xy"], x, y)
    model.follower.rows = _rows(follower["constraints"], x, y)
    model.follower.cost = pyo.Objective(expr=cost, sense=_sense(follower["sense"]))
    objective = _linear(leader["c_x"], x) + _linear(leader["c_y"], y) + leader["const"]
    objective += 0.5 * _square(leader["Q"], x + y, x + y)
    prices: Prices = []
    declared = case.get("prices") or []
    model.price = pyo.Var(range(len(declared)))
    for k, price in enumerate(declared):
        model.price[k].setlb(price["lb"])
        model.price[k].setub(price["ub"])
        prices.append((model.price[k], model.follower.rows[price["follower_row"]]))
        objective += price.get("leader_coef", 0.0) * model.price[k]
    for term in leader.get("price_times_y") or []:
        objective += term["coef"] * model.price[term["price"]] * y[term["y"]]
    model.objective = pyo.Objective(expr=objective, sense=_sense(leader["sense"]))
    return model, prices


def _sense(text: str) -> Any:
    return pyo.minimize if text == "min" else pyo.maximize


def _bounds(
    variables: Sequence[Any], low: Sequence[Any], high: Sequence[Any], integer: Sequence[int]
) -> None:
    for j, v in enumerate(variables):
        v.setlb(low[j])
        v.setub(high[j])
        if j in integer:
            v.domain = pyo.Integers


def _linear(coefficients: Sequence[float], variables: Sequence[Any]) -> Any:
    return sum(c * v for c, v in zip(coefficients, variables, strict=True) if c != 0.0)


def _square(matrix: Sequence[Sequence[float]] | None, left: Sequence[Any], right: Sequence[Any]) -> Any:
    if matrix is None:
        return 0.0
    return sum(
        q * u * v
        for row, u in zip(matrix, left, strict=True)
        for q, v in zip(row, right, strict=True)
        if q != 0.0
    )


def _rows(rows: Sequence[Mapping[str, Any]], x: Sequence[Any], y: Sequence[Any]) -> Any:
    def rule(_: Any, k: int) -> Any:
        row = rows[k]
        body = _linear(row["a_x"], x) + _linear(row["a_y"], y)
        if row["sense"] == "==":
            return body == row["rhs"]
        return body <= row["rhs"] if row["sense"] == "<=" else body >= row["rhs"]

    return pyo.Constraint(range(len(rows)), rule=rule)


@dataclass(frozen=True)
class Outcome:
    """One case in one mode on one solver: a row of the table."""

    problem: str
    kind: str
    mode: str
    solver: str
    outcome: str
    value: float | None
    published: float | None
    verdict: str
    seconds: float
    member: str
    bound_seconds: float
    largest_m: float | None
    source: str
    reason: str


def run_case(case: Mapping[str, Any], mode: str, solver: str) -> Outcome:
    """Solve one case; ``outcome`` is right, WRONG, refused or failed."""
    began = time.perf_counter()
    published = case["optimum"].get("leader_objective")
    head = (case["name"], case["class"], mode, solver)
    try:
        model, prices = build_case(case)
        single = single_level(model, followers=[model.follower], mode=mode, solver=solver, prices=prices)
        solution = single.solve()
    except (Refused, UnboundedPair, InfeasibleFollower) as error:
        text = str(error).splitlines()[0]
        return Outcome(
            *head, "refused", None, published, "REFUSED", time.perf_counter() - began, "", 0.0, None, "", text
        )
    except SolverError as error:
        text = str(error).splitlines()[0]
        return Outcome(
            *head, "failed", None, published, "", time.perf_counter() - began, "", 0.0, None, "", text
        )
    value = solution.leader_objective
    if published is None:
        right = solution.status == "infeasible"
    else:
        right = value is not None and abs(value - published) <= VALUE * max(1.0, abs(published))
    most = largest_m(single.pairs)
    return Outcome(
        *head,
        "right" if right else "WRONG",
        value,
        published,
        solution.verdict,
        time.perf_counter() - began,
        member_of(case, solution.variables),
        single.bound_seconds,
        None if most is None else most[0],
        "" if most is None else most[1],
        solution.reason,
    )


def member_of(case: Mapping[str, Any], variables: Mapping[str, float]) -> str:
    """Whether x and y lie in the published optimal set (its coordinates' ranges): yes, no, or "" without one."""
    optimum = case["optimum"]
    if optimum.get("unique_xy"):
        ranges = [[v, v] for v in [*optimum["x"], *optimum["y"]]]
    else:
        ranges = optimum.get("optimal_set_coordinate_ranges") or []
    if not ranges or not variables:
        return ""
    names = [f"x[{i}]" for i in range(case["n_x"])] + [f"follower.y[{j}]" for j in range(case["n_y"])]
    room = MEMBER["QP" in case["class"] or "x*y" in case["class"]]
    inside = all(
        # A variable that occurs nowhere is in no model, and free.
        name not in variables
        or low - room * max(1.0, abs(low)) <= variables[name] <= high + room * max(1.0, abs(high))
        for name, (low, high) in zip(names, ranges, strict=True)
    )
    return "yes" if inside else "no"


def run_all(cases: Iterable[Mapping[str, Any]]) -> list[Outcome]:
    """Every case in every mode on every solver."""
    return [run_case(case, mode, solver) for case in cases for mode in MODES for solver in SOLVERS]


def write_table(outcomes: Sequence[Outcome], out: Path) -> None:
    """results.csv with one row per outcome, and README.md with the counts."""
    out.mkdir(parents=True, exist_ok=True)
    fields = list(Outcome.__dataclass_fields__)
    with (out / "results.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        for o in outcomes:
            writer.writerow([_cell(getattr(o, f)) for f in fields])
    (out / "README.md").write_text(summary_text(outcomes), encoding="utf-8")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def summary_text(outcomes: Sequence[Outcome]) -> str:
    """Counts per mode and solver, and what was refused and why."""
    problems = sorted({o.problem for o in outcomes})
    lines = [
        "# Published bilevel problems",
        "",
        f"{len(problems)} problems, every mode on every solver, made by `python -m mpec.literature`;"
        " rows in results.csv.",
        '"right": within 1e-6 relative of the published optimum (or infeasible, where that is published).',
        '"refused": the mode or solver lacks what the problem needs, or no finite big-M exists; see the row.',
        "",
        "| mode | solver | right | wrong | refused | failed | of these CERTIFIED | in the optimal set | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for mode in MODES:
        for solver in SOLVERS:
            mine = [o for o in outcomes if o.mode == mode and o.solver == solver]
            counts = Counter(o.outcome for o in mine)
            certified = sum(o.verdict in ("CERTIFIED", "INFEASIBLE") for o in mine)
            seconds = sum(o.seconds for o in mine)
            row = [
                mode,
                solver,
                counts["right"],
                counts["WRONG"],
                counts["refused"],
                counts["failed"],
                certified,
                f"{sum(o.member == 'yes' for o in mine)} of {sum(o.member != '' for o in mine)}",
            ]
            lines.append("| " + " | ".join(str(v) for v in row) + f" | {seconds:.1f} |")
    lines += ["", "Problems that no mode on HiGHS solves, and the reason in mode big_m:", ""]
    for name in problems:
        mine = [o for o in outcomes if o.problem == name and o.solver == "highs"]
        if mine and not any(o.outcome == "right" for o in mine):
            reason = next((o.reason for o in mine if o.mode == "big_m"), "")
            lines.append(f"* {name} ({mine[0].kind}): {reason}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 0 unless a value was wrong."""
    parser = argparse.ArgumentParser(prog="python -m mpec.literature", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=CASES)
    parser.add_argument("--out", type=Path, default=Path("results/literature"))
    parser.add_argument("--only", nargs="*", help="names of problems")
    options = parser.parse_args(arguments)
    cases = [c for c in load_cases(options.cases) if not options.only or c["name"] in options.only]
    outcomes = run_all(cases)
    write_table(outcomes, options.out)
    print(summary_text(outcomes))
    return 1 if any(o.outcome == "WRONG" or o.member == "no" for o in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
