"""The operator's linear program of one period and scenario, row by row from the equations, for the exact MINLP.

Written from the printed game alone, as all of mpec.exact_minlp is: nothing here comes from the Pyomo blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from instances.model import Instance, Period, Scenario


@dataclass
class OperatorRows:
    """min c.x, rows lower <= A x (+ B P) <= upper, x >= 0 or free: the operator's program of one period, scenario.

    Rows are (name, {column: coefficient}, {station: coefficient of P}, lower, upper).
    """

    cost: dict[str, float] = field(default_factory=dict)
    free: set[str] = field(default_factory=set)
    rows: list[tuple[str, dict[str, float], dict[int, float], float, float]] = field(default_factory=list)

    def column(self, name: str, cost: float = 0.0, *, free: bool = False) -> str:
        self.cost[name] = cost
        if free:
            self.free.add(name)
        return name

    def row(
        self,
        name: str,
        terms: dict[str, float],
        lower: float,
        upper: float,
        load: dict[int, float] | None = None,
    ) -> None:
        if math.isfinite(lower) or math.isfinite(upper):
            self.rows.append((name, terms, load or {}, lower, upper))


def operator_program(instance: Instance, period: Period, scenario: Scenario) -> OperatorRows:
    """(4)-(13) of the design's first page; money per hour given the scenario, kW, squared p.u. voltages."""
    feeder, base = instance.feeder, instance.feeder.base_kva
    scale = math.cos(math.pi / 8) if feeder.polygon == "inner" else 1.0
    lp = OperatorRows()
    for name, cost in (("import_kw", period.import_price_per_kwh), ("import_kvar", 0.0)):
        lp.column(name, cost)
    for bus in instance.buses:
        lp.column(f"v {bus.id}", free=True)
        kw = bus.load_kw * period.load_factor
        lp.column(f"shed {bus.id}", feeder.voll_per_kwh * kw)
        lp.row(f"shed {bus.id}", {f"shed {bus.id}": 1.0}, -math.inf, 1.0)
        if bus.id == feeder.root_bus:
            root = feeder.root_voltage_pu**2
            lp.row("root voltage", {f"v {bus.id}": 1.0}, root, root)
        else:
            lp.row(f"voltage {bus.id}", {f"v {bus.id}": 1.0}, bus.vmin_pu**2, bus.vmax_pu**2)
    for farm in instance.wind_farms:
        available = instance.wind[scenario.id, period.id, farm.id]
        lp.column(f"wind {farm.id}", -feeder.curtailment_per_kwh)
        lp.row(f"wind {farm.id}", {f"wind {farm.id}": 1.0}, -math.inf, available)
    for station in instance.stations:
        lp.column(f"emergency {station.id}", feeder.voll_per_kwh)
    for line in instance.lines:
        p, q = lp.column(f"p {line.id}", free=True), lp.column(f"q {line.id}", free=True)
        drop = {f"v {line.from_bus}": 1.0, f"v {line.to_bus}": -1.0}
        ohm = base * feeder.base_ohm
        drop |= {p: -2.0 * line.r_ohm / ohm, q: -2.0 * line.x_ohm / ohm}
        lp.row(f"drop {line.id}", drop, 0.0, 0.0)
        _octagon(lp, line.id, p, q, scale * line.rating_kva, lower=-1.0)
    _octagon(lp, "substation", "import_kw", "import_kvar", scale * feeder.substation_kva, lower=0.0)
    for kind, reactive in (("active", False), ("reactive", True)):
        for bus in instance.buses:
            _balance(lp, instance, period, bus.id, kind, reactive)
    return lp


def _octagon(lp: OperatorRows, name: str, p: str, q: str, limit: float, *, lower: float) -> None:
    """(5), (6), (10), (11): |P|, |Q| <= S (substation: 0 <= P, Q <= S) and |P +- Q| <= sqrt(2) S."""
    for column in (p, q):
        lp.row(f"{name} {column}", {column: 1.0}, lower * limit if lower else -math.inf, limit)
    for sign in (1.0, -1.0):
        wide = math.sqrt(2.0) * limit
        lp.row(f"{name} corner {sign:+.0f}", {p: 1.0, q: sign}, -wide, wide)


def _balance(
    lp: OperatorRows, instance: Instance, period: Period, bus_id: str, kind: str, reactive: bool
) -> None:
    """(7), (8): what comes in = what is drawn, at one bus."""
    bus = instance.buses[instance.bus_index[bus_id]]
    drawn = (bus.load_kvar if reactive else bus.load_kw) * period.load_factor
    terms: dict[str, float] = {f"shed {bus_id}": drawn}
    load: dict[int, float] = {}
    if bus_id == instance.feeder.root_bus:
        terms["import_kvar" if reactive else "import_kw"] = 1.0
    for line in instance.lines:
        flow = f"q {line.id}" if reactive else f"p {line.id}"
        if bus_id in (line.from_bus, line.to_bus):
            terms[flow] = 1.0 if line.to_bus == bus_id else -1.0
    for farm in instance.wind_farms:
        if farm.bus == bus_id:
            terms[f"wind {farm.id}"] = farm.tan_phi if reactive else 1.0
    for m, station in enumerate(instance.stations):
        if station.bus == bus_id:
            share = station.tan_phi if reactive else 1.0
            terms[f"emergency {station.id}"] = share
            load[m] = -share
    lp.row(f"{kind} {bus_id}", terms, drawn, drawn, load)
