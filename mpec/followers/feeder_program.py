"""The operator's program, eqs. (4)-(13), with the network eliminated: what is left to decide, and limits.

On a radial feeder line flows and squared voltages are affine in the net demand of the buses, so the only
decisions are z = (wind used [kW], shed [kW], emergency supply [kW]) and every limit is a row

    lower <= H_p . p + H_q . q <= upper,    p, q = net demand of the buses, kW and kvar,
    p = base + load - wind - shed - emergency (q likewise, each at its own power factor).

The matrix is the same in all periods and scenarios: only base loads, available wind and the import price
change. Costs here are conditional on the scenario and per hour (money/h): the probability-weighted cost of
(4) is probability * dt times that, and so are its duals. Row groups say which part of a price a dual
belongs to: "substation" and the import price make the energy part, "line" the congestion, "voltage" the
voltage part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.dispatch_data import INNER_SCALE
from formulations.feeder_tree import feeder_tree
from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FeederProgram:
    """Matrices shared by all periods and scenarios; B buses, Z decisions, I rows, M stations.

    row_p, row_q (I, B); lower, upper (I,) of H.(p, q), `offset` (I,) already moved to the right sides.
    decision_p, decision_q (B, Z): net demand per unit of decision (negative); station_p, station_q (B, M).
    rows (I, Z) = the rows' coefficients on the decisions; by_load (I, M) on the stations' loads.
    scale (I,): the factor a row was multiplied with, so that its entries are of the size of 1.
    """

    instance: Instance
    names: tuple[str, ...]
    group: Array
    row_p: Array
    row_q: Array
    lower: Array
    upper: Array
    scale: Array
    decision_p: Array
    decision_q: Array
    station_p: Array
    station_q: Array
    shed_bus: Array
    rows: Array
    by_load: Array
    station_bus: Array
    tan_phi: Array
    root: int
    downstream: Array
    voltage_p: Array
    voltage_q: Array

    @property
    def decisions(self) -> int:
        return int(self.decision_p.shape[1])


@dataclass(frozen=True)
class ScenarioData:
    """The right sides of one period and scenario, conditional and per hour.

    base_p, base_q (B,); upper_decision (Z,) (lower is 0); cost (Z,) money per kWh of decision, the
    import eliminated; fixed_cost money/h, load_cost money/kWh: cost = fixed + load_cost sum(P) + cost.z;
    lower, upper (I,): limits of rows.z + by_load.P.
    """

    base_p: Array
    base_q: Array
    upper_decision: Array
    cost: Array
    fixed_cost: float
    load_cost: float
    lower: Array
    upper: Array


def feeder_program(instance: Instance) -> FeederProgram:
    """The rows of (5)-(11) for an instance. Raises ValueError where the feeder is not radial."""
    tree, feeder = feeder_tree(instance), instance.feeder
    buses, count = instance.bus_index, len(instance.buses)
    scale = INNER_SCALE if feeder.polygon == "inner" else 1.0
    per_unit = 1.0 / (feeder.base_ohm * feeder.base_kva)
    r = np.array([line.r_ohm * per_unit for line in instance.lines])
    x = np.array([line.x_ohm * per_unit for line in instance.lines])
    down = tree.downstream
    upstream = down.T  # (B, L): the lines between a bus and the root
    voltage_p, voltage_q = -2.0 * (upstream * r) @ down, -2.0 * (upstream * x) @ down
    nothing, every = np.zeros(count), np.ones(count)

    names: list[str] = []
    group: list[str] = []
    entries: list[tuple[Array, Array, float, float]] = []

    def add(name: str, kind: str, p: Array, q: Array, low: float, high: float) -> None:
        names.append(name)
        group.append(kind)
        entries.append((p, q, low, high))

    s, root2 = feeder.substation_kva * scale, math.sqrt(2.0)
    add("import_kw", "substation", every, nothing, 0.0, s)
    add("import_kvar", "substation", nothing, every, 0.0, s)
    add("substation_octagon", "substation", every, every, -math.inf, root2 * s)
    for i, line in enumerate(instance.lines):
        if math.isfinite(line.rating_kva):
            s = line.rating_kva * scale
            add(f"flow_kw[{line.id}]", "line", down[i], nothing, -s, s)
            add(f"flow_kvar[{line.id}]", "line", nothing, down[i], -s, s)
            add(f"line_octagon[{line.id},P+Q]", "line", down[i], down[i], -root2 * s, root2 * s)
            add(f"line_octagon[{line.id},P-Q]", "line", down[i], -down[i], -root2 * s, root2 * s)
    v0 = feeder.root_voltage_pu**2
    for b, bus in enumerate(instance.buses):
        if b != tree.root:
            add(
                f"v[{bus.id}]",
                "voltage",
                voltage_p[b],
                voltage_q[b],
                bus.vmin_pu**2 - v0,
                bus.vmax_pu**2 - v0,
            )

    row_p, row_q = np.array([e[0] for e in entries]), np.array([e[1] for e in entries])
    size = np.maximum(np.abs(row_p).max(axis=1), np.abs(row_q).max(axis=1))
    # Voltage rows are in p.u. per kW; scaling them to 1 keeps a solver's absolute tolerance meaningful.
    factor = np.array(
        [1.0 / m if kind == "voltage" and m > 0 else 1.0 for m, kind in zip(size, group, strict=True)]
    )
    row_p, row_q = row_p * factor[:, None], row_q * factor[:, None]
    decision_p, decision_q, shed_bus = _decisions(instance)
    station_bus = np.array([buses[m.bus] for m in instance.stations], int)
    tan_phi = np.array([m.tan_phi for m in instance.stations], float)
    station_p = np.zeros((count, len(station_bus)))
    station_p[station_bus, np.arange(len(station_bus))] = 1.0
    station_q = station_p * tan_phi
    return FeederProgram(
        instance=instance,
        names=tuple(names),
        group=np.array(group),
        row_p=row_p,
        row_q=row_q,
        lower=np.array([e[2] for e in entries]) * factor,
        upper=np.array([e[3] for e in entries]) * factor,
        scale=factor,
        decision_p=decision_p,
        decision_q=decision_q,
        station_p=station_p,
        station_q=station_q,
        shed_bus=shed_bus,
        rows=row_p @ decision_p + row_q @ decision_q,
        by_load=row_p @ station_p + row_q @ station_q,
        station_bus=station_bus,
        tan_phi=tan_phi,
        root=tree.root,
        downstream=down,
        voltage_p=voltage_p,
        voltage_q=voltage_q,
    )


def _decisions(instance: Instance) -> tuple[Array, Array, Array]:
    """Net demand per kW of wind, shed and emergency supply, and the bus of every shed column."""
    buses, count = instance.bus_index, len(instance.buses)
    columns_p, columns_q, shed_bus = [], [], []

    def column(bus: int, kvar_per_kw: float) -> None:
        p, q = np.zeros(count), np.zeros(count)
        p[bus], q[bus] = -1.0, -kvar_per_kw
        columns_p.append(p)
        columns_q.append(q)

    for farm in instance.wind_farms:
        column(buses[farm.bus], farm.tan_phi)
    for b, bus in enumerate(instance.buses):
        if bus.load_kw > 0.0:
            column(b, bus.load_kvar / bus.load_kw)
            shed_bus.append(b)
    for station in instance.stations:
        column(buses[station.bus], station.tan_phi)
    shape = (count, len(columns_p))
    return (
        np.array(columns_p).T.reshape(shape),
        np.array(columns_q).T.reshape(shape),
        np.array(shed_bus, int),
    )


def scenario_data(program: FeederProgram, period_index: int, scenario_index: int) -> ScenarioData:
    """The right sides of one period and scenario. Raises KeyError where wind data is missing."""
    instance = program.instance
    period, scenario = instance.periods[period_index], instance.scenarios[scenario_index]
    base_p = np.array([b.load_kw for b in instance.buses]) * period.load_factor
    base_q = np.array([b.load_kvar for b in instance.buses]) * period.load_factor
    available = np.array([instance.wind[scenario.id, period.id, f.id] for f in instance.wind_farms], float)
    farms, sheds, stations = len(instance.wind_farms), len(program.shed_bus), len(instance.stations)
    voll, spill = instance.feeder.voll_per_kwh, instance.feeder.curtailment_per_kwh
    energy = period.import_price_per_kwh
    base_rows = program.row_p @ base_p + program.row_q @ base_q
    return ScenarioData(
        base_p=base_p,
        base_q=base_q,
        upper_decision=np.concatenate([available, base_p[program.shed_bus], np.full(stations, math.inf)]),
        cost=np.concatenate(
            [np.full(farms, -energy - spill), np.full(sheds, voll - energy), np.full(stations, voll - energy)]
        ),
        fixed_cost=float(energy * base_p.sum() + spill * available.sum()),
        load_cost=energy,
        lower=program.lower - base_rows,
        upper=program.upper - base_rows,
    )


def station_prices(
    program: FeederProgram, data: ScenarioData, row_multiplier: Array
) -> tuple[Array, Array, Array]:
    """lambda (B,), pi (B,) and the stations' price (M,), conditional, from the duals of the rows (I,).

    V(P) depends on a bus's demand through the import it costs and through every row's limit:
    lambda_b = import price - sum_i H_p[i, b] y_i, and the same with H_q for pi.
    """
    active = data.load_cost - program.row_p.T @ row_multiplier
    reactive = -program.row_q.T @ row_multiplier
    return active, reactive, active[program.station_bus] + program.tan_phi * reactive[program.station_bus]
