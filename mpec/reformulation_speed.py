"""How fast the reformulation is beside Pyomo's own chain: results/performance/reformulation.json and .md.

    python -m mpec.reformulation_speed [--buses 2690] [--small 5] [--no-chain] [--out results/performance]

The follower is LinDistFlow-like: a random radial feeder with flows, voltages, shedding, generation and
octagon limits (2690 buses: 16,139 variables and 43,034 pairs; 3170: 19,019 and 50,714). Chain:
core.kkt, mpec.simple_disjunction, gdp.bigm. Both get the same M, an assertion here, since only the
writing is compared; on a small feeder both models are solved and must agree.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pyomo.version

from mpec.reformulation import single_level

SIDES = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))


def feeder_game(buses: int, *, seed: int = 0, stations: int = 6) -> Any:
    """A leader that chooses the load of some stations on a random radial feeder, and its operator."""
    random = np.random.default_rng(seed)
    stations = min(stations, buses - 1)
    parent = [-1, *(int(random.integers(max(0, i - 8), i)) for i in range(1, buses))]
    children: list[list[int]] = [[] for _ in range(buses)]
    for i in range(1, buses):
        children[parent[i]].append(i)
    demand = random.uniform(5.0, 20.0, buses)
    place = {int(i): k for k, i in enumerate(random.choice(np.arange(1, buses), stations, replace=False))}
    price = random.uniform(1.0, 5.0, buses)
    model = pyo.ConcreteModel(name=f"feeder with {buses} buses")
    model.charging = pyo.Var(range(stations), bounds=(0.0, 10.0))
    model.operator = pyo.Block()
    _operator(model.operator, model.charging, parent, children, demand, place, price)
    sold = sum(model.charging[k] for k in range(stations))
    model.profit = pyo.Objective(expr=4.0 * sold - 0.5 * model.operator.drawn, sense=pyo.maximize)
    return model


def _operator(
    block: Any,
    load: Any,
    parent: list[int],
    children: list[list[int]],
    demand: np.ndarray,
    place: dict[int, int],
    price: np.ndarray,
) -> None:
    buses, lines = range(len(parent)), range(1, len(parent))
    limit = 4.0 * float(demand.sum())
    drop = 0.1 / (limit * len(parent))
    block.p = pyo.Var(lines, bounds=(-limit, limit))
    block.q = pyo.Var(lines, bounds=(-limit, limit))
    block.v = pyo.Var(lines, bounds=(0.81, 1.21))
    block.shed = pyo.Var(buses, bounds=(0.0, 1.0))
    block.generation = pyo.Var(buses, bounds=(0.0, 5.0))
    block.reactive_generation = pyo.Var(buses, bounds=(0.0, 3.0))
    block.drawn = pyo.Var(bounds=(0.0, 2.0 * limit))
    block.reactive_drawn = pyo.Var(bounds=(-2.0 * limit, 2.0 * limit))

    def balance(b: Any, i: int) -> Any:
        supply = (b.drawn if i == 0 else b.p[i]) + b.generation[i] + demand[i] * b.shed[i]
        sent = sum(b.p[k] for k in children[i])
        return supply - sent - (load[place[i]] if i in place else 0.0) == demand[i]

    def reactive(b: Any, i: int) -> Any:
        supply = (b.reactive_drawn if i == 0 else b.q[i]) + b.reactive_generation[i]
        return supply - sum(b.q[k] for k in children[i]) == 0.5 * demand[i]

    def voltage(b: Any, i: int) -> Any:
        near = 1.0 if parent[i] == 0 else b.v[parent[i]]
        return near - b.v[i] == drop * b.p[i] + drop * b.q[i]

    block.balance = pyo.Constraint(buses, rule=balance)
    block.reactive_balance = pyo.Constraint(buses, rule=reactive)
    block.voltage_drop = pyo.Constraint(lines, rule=voltage)
    block.octagon = pyo.Constraint(
        lines,
        range(4),
        rule=lambda b, i, k: SIDES[k][0] * b.p[i] + SIDES[k][1] * b.q[i] <= 1.4 * limit,
    )
    block.cost = pyo.Objective(
        expr=3.0 * block.drawn
        + sum(price[i] * block.generation[i] + 50.0 * demand[i] * block.shed[i] for i in buses)
    )


def pyomo_chain(model: Any, big_m: float) -> float:
    """core.kkt, mpec.simple_disjunction, gdp.bigm on the operator's block, in place; seconds."""
    began = time.perf_counter()
    block = model.operator
    pyo.TransformationFactory("core.kkt").apply_to(block, parameterize_wrt=list(model.charging.values()))
    pyo.TransformationFactory("mpec.simple_disjunction").apply_to(model)
    pyo.TransformationFactory("gdp.bigm").apply_to(model, bigM=big_m)
    return time.perf_counter() - began


def compare(buses: int, small: int, *, chain: bool = True, big_m: float = 1e4) -> dict[str, Any]:
    """Times at full size and optimal values of both on a small feeder."""
    single = single_level(
        model := feeder_game(buses), followers=[model.operator], assert_bounds=big_m, bounds="intervals"
    )
    record: dict[str, Any] = {
        "buses": buses,
        "variables": len(single.problem.followers[0].primal),
        "pairs": len(single.pairs),
        "columns": single.model.columns,
        "rows": single.model.rows,
        "binaries": int(sum(single.model.integer)),
        "reformulation_seconds": single.seconds,
        "interval_bounds_seconds": single.bound_seconds,
    }
    del single, model
    if chain:
        record["pyomo_chain_seconds"] = pyomo_chain(feeder_game(buses), big_m)
        record["times_faster"] = record["pyomo_chain_seconds"] / record["reformulation_seconds"]
    record["small"] = _small(small, big_m)
    record["pyomo"], record["python"] = pyomo.version.version, platform.python_version()
    return record


def _small(buses: int, big_m: float) -> dict[str, Any]:
    mine = feeder_game(buses, stations=2)
    derived = single_level(mine, followers=[mine.operator])
    solved = derived.solve()
    theirs = feeder_game(buses, stations=2)
    seconds = pyomo_chain(theirs, big_m)
    pyo.SolverFactory("appsi_highs").solve(theirs)
    return {
        "buses": buses,
        "value": solved.leader_objective,
        "verdict": solved.verdict,
        "derived_bounds_seconds": derived.bound_seconds,
        "pyomo_value": float(pyo.value(theirs.profit)),
        "pyomo_chain_seconds": seconds,
    }


def report(record: dict[str, Any]) -> str:
    """The record in words."""
    lines = [
        "# Reformulation speed",
        "",
        "Made by `python -m mpec.reformulation_speed`; numbers of one run on one machine.",
        "",
        f"LinDistFlow-like follower: {record['variables']} variables, {record['pairs']} pairs;"
        f" single-level model {record['columns']} columns, {record['rows']} rows,"
        f" {record['binaries']} binaries.",
        "",
        f"* compile and write all rows: {record['reformulation_seconds']:.2f} s"
        f" (bounds by intervals, beside it: {record['interval_bounds_seconds']:.2f} s)",
    ]
    if "pyomo_chain_seconds" in record:
        lines.append(
            f"* core.kkt + mpec.simple_disjunction + gdp.bigm: {record['pyomo_chain_seconds']:.1f} s,"
            f" {record['times_faster']:.0f} times as long"
        )
    small = record["small"]
    lines.append(
        f"* {small['buses']} buses, solved: {small['value']:.9g} ({small['verdict']}, bounds derived"
        " by LPs in"
        f" {small['derived_bounds_seconds']:.2f} s), Pyomo's chain {small['pyomo_value']:.9g}"
    )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 if the small optima differ."""
    parser = argparse.ArgumentParser(
        prog="python -m mpec.reformulation_speed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--buses", type=int, default=3170)
    parser.add_argument("--small", type=int, default=5)
    parser.add_argument("--no-chain", action="store_true", help="leave out Pyomo's chain at full size")
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    options = parser.parse_args(arguments)
    record = compare(options.buses, options.small, chain=not options.no_chain)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "reformulation.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (options.out / "reformulation.md").write_text(report(record), encoding="utf-8")
    print(report(record))
    small = record["small"]
    agree = abs(small["value"] - small["pyomo_value"]) <= 1e-5 * max(1.0, abs(small["value"]))
    return 0 if agree else 1


if __name__ == "__main__":
    raise SystemExit(main())
