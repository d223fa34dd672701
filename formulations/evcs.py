"""The leader, the operator of the charging stations, eqs. (1)-(3).

    (1)  max sum_t sum_m (rho[m,t] - c[m,t]) P[m,t] dt,  m the leader's     money
         price_min[m] <= rho[m,t] <= price_max[m]                           money/kWh
         rho[m,t] = posted price, m a rival's
         (1/T) sum_t rho[m,t] <= price_mean_max[m]   where the station has a mean cap
    (2), (3)  P[m,t] <= S[m] cos(phi[m])                                    kW

(3) ties reactive to active power, Q = P tan(phi), so the apparent power of (2) is P / cos(phi) and the two
together are the one linear row above. P is the users' answer: the row couples the leader's prices to
what followers do. The box, the mean cap and rivals are deviations (formulations/README.md).
"""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo

from formulations.prices import price_box
from instances.model import Instance


def evcs_block(instance: Instance) -> pyo.Block:
    """The leader's block, indexed by station id and period label.

    Given:   load[m,t] station load, kW, and electricity_price[m,t], money/kWh (the followers' answers)
    Decides: charging_price[m,t], money/kWh
    """
    block = pyo.Block(concrete=True)
    stations, periods = _stations_and_periods(instance)
    block.load = pyo.Var(stations, periods, domain=pyo.NonNegativeReals, doc="given: station load P[m,t], kW")
    block.electricity_price = pyo.Var(
        stations, periods, doc="given: what electricity costs the leader c[m,t], money/kWh"
    )
    block.given = [block.load, block.electricity_price]
    _charging_price(block, instance)
    _capacity(block, instance)  # (2), (3)
    _profit(block, instance)  # (1)
    return block


def _stations_and_periods(instance: Instance) -> tuple[list[str], list[int]]:
    return [station.id for station in instance.stations], [period.id for period in instance.periods]


def _charging_price(block: pyo.Block, instance: Instance) -> None:
    stations, periods = _stations_and_periods(instance)
    low, high = price_box(instance)
    place = {key: i for i, key in enumerate((m, t) for m in stations for t in periods)}
    ends = list(zip(low.ravel().tolist(), high.ravel().tolist(), strict=True))
    block.charging_price = pyo.Var(
        stations,
        periods,
        bounds=lambda b, m, t: ends[place[m, t]],
        doc="charging price rho[m,t] in its box (a rival's: as posted), money/kWh (deviation: (1) has no bound)",
    )
    caps = {s.id: s.price_mean_max for s in instance.stations if s.price_mean_max is not None}
    block.mean_price_cap = pyo.Constraint(
        list(caps),
        rule=lambda b, m: sum(b.charging_price[m, t] for t in periods) / len(periods) <= caps[m],
        doc="mean of rho[m,t] over the periods at most price_mean_max[m], money/kWh (deviation)",
    )


def _capacity(block: pyo.Block, instance: Instance) -> None:
    stations, periods = _stations_and_periods(instance)
    tan_phi = {station.id: station.tan_phi for station in instance.stations}
    block.load_kvar = pyo.Expression(
        stations,
        periods,
        rule=lambda b, m, t: tan_phi[m] * b.load[m, t],
        doc="(3) the station's reactive power at its power factor, kvar",
    )
    capacity = {station.id: station.capacity_kw for station in instance.stations}
    block.capacity = pyo.Constraint(
        stations,
        periods,
        rule=lambda b, m, t: b.load[m, t] <= capacity[m],
        doc="(2) with (3): apparent power within the rating, P <= S cos(phi), kW",
    )


def _profit(block: pyo.Block, instance: Instance) -> None:
    mine = {station.id for station in instance.stations if station.owner == "leader"}

    def margin(key: tuple[str, int]) -> Any:
        return (block.charging_price[key] - block.electricity_price[key]) * block.load[key]

    block.profit = pyo.Objective(
        expr=instance.period_h * sum(margin(key) for key in block.load if key[0] in mine),
        sense=pyo.maximize,
        doc="(1) the leader's profit at its own stations over the periods, money",
    )
