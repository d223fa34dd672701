"""What electricity costs the leader: the three tariffs that replace the free c of eq. (4).

* `fixed`: c[m,t] is a number of tariff.csv.
* `dlmp`: c[m,t] = (1/dt) sum_s (lambda[s,b(m),t] + tan(phi[m]) pi[s,b(m),t]), the duals of (7) and (8).
* `regulated`: the operator of the grid picks c in its box with a mean cap, to earn most:

      max_c  dt sum_m sum_t c[m,t] P[m,t]        c_min <= c <= c_max,  sum_t c[m,t] <= T c_mean[m]

  with the dual   min  sum_m ( T c_mean[m] mu[m] + sum_t (c_max alpha[m,t] - c_min beta[m,t]) )
                  mu[m] + alpha[m,t] - beta[m,t] = dt P[m,t],   mu, alpha, beta >= 0

  The dual's value is the bill; it goes straight into the leader's problem. A station without mean cap has
  no mu. Given P it is also solved in closed form: fill the dearest hours first (`regulated_tariff`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from formulations.tariff_data import TariffBox, fixed_prices, regulated_tariff, tariff_box
from instances.model import Instance

__all__ = [
    "TariffBox",
    "fixed_prices",
    "fixed_tariff_block",
    "nodal_tariff_block",
    "regulated_dual_block",
    "regulated_tariff",
    "regulated_tariff_block",
    "tariff_block",
    "tariff_box",
]


def tariff_block(instance: Instance) -> pyo.Block:
    """The tariff of the instance's mode, as a block with electricity_price[m,t] and its given quantities."""
    build = {"fixed": fixed_tariff_block, "dlmp": nodal_tariff_block, "regulated": regulated_tariff_block}
    return build[instance.tariff_mode](instance)


def fixed_tariff_block(instance: Instance) -> pyo.Block:
    """electricity_price[m,t] is given by tariff.csv, money/kWh."""
    block = pyo.Block(concrete=True)
    stations, periods = _indices(instance)
    prices = fixed_prices(instance)
    block.electricity_price = pyo.Var(stations, periods, doc="price c[m,t], money/kWh")
    block.fixed_price = pyo.Constraint(
        stations,
        periods,
        rule=lambda b, m, t: b.electricity_price[m, t] == prices[stations.index(m), periods.index(t)],
        doc="tariff fixed: c[m,t] is the given price (deviation from (4))",
    )
    return block


def nodal_tariff_block(instance: Instance) -> pyo.Block:
    """electricity_price[m,t] from the duals of the operator's balances.

    Given: price_active[s,t,b], price_reactive[s,t,b], the duals of (7) and (8) in the probability-weighted
    programs, money per kW and kvar.
    """
    block = pyo.Block(concrete=True)
    stations, periods = _indices(instance)
    scenarios, buses = [s.id for s in instance.scenarios], [b.id for b in instance.buses]
    block.price_active = pyo.Var(scenarios, periods, buses, doc="given: dual lambda of (7), money/kW")
    block.price_reactive = pyo.Var(scenarios, periods, buses, doc="given: dual pi of (8), money/kvar")
    block.given = [block.price_active, block.price_reactive]
    block.electricity_price = pyo.Var(stations, periods, doc="price c[m,t], money/kWh")
    by_id = {station.id: station for station in instance.stations}

    def rule(b: pyo.Block, m: str, t: int) -> Any:
        bus, tan_phi = by_id[m].bus, by_id[m].tan_phi
        marginal = sum(b.price_active[s, t, bus] + tan_phi * b.price_reactive[s, t, bus] for s in scenarios)
        return instance.period_h * b.electricity_price[m, t] == marginal

    block.nodal_price = pyo.Constraint(
        stations,
        periods,
        rule=rule,
        doc="tariff dlmp: dt c[m,t] = sum_s (lambda + tan(phi) pi) at the station's bus (deviation from (4))",
    )
    return block


def regulated_tariff_block(instance: Instance) -> pyo.Block:
    """The operator's choice of c in its box and mean cap, given load[m,t]; objective: the bill, money."""
    block = pyo.Block(concrete=True)
    stations, periods = _indices(instance)
    box = tariff_box(instance)
    row = {m: i for i, m in enumerate(stations)}
    column = {t: j for j, t in enumerate(periods)}
    block.load = pyo.Var(stations, periods, domain=pyo.NonNegativeReals, doc="given: station load, kW")
    block.given = [block.load]
    block.electricity_price = pyo.Var(
        stations,
        periods,
        bounds=lambda b, m, t: (box.low[row[m], column[t]], box.high[row[m], column[t]]),
        doc="tariff regulated: price c[m,t] in its box, money/kWh (deviation from (4))",
    )
    block.mean_tariff = pyo.Constraint(
        [m for m in stations if np.isfinite(box.mean[row[m]])],
        rule=lambda b, m: sum(b.electricity_price[m, t] for t in periods) <= len(periods) * box.mean[row[m]],
        doc="tariff regulated: mean of c[m,t] over the periods at most c_mean[m] (deviation from (4))",
    )
    block.bill = pyo.Objective(
        expr=instance.period_h * sum(block.electricity_price[key] * block.load[key] for key in block.load),
        sense=pyo.maximize,
        doc="(4) the transfer sum of c P dt, which the operator maximises under tariff regulated, money",
    )
    return block


def regulated_dual_block(instance: Instance) -> pyo.Block:
    """The dual of `regulated_tariff_block`, given load[m,t]: its least `bill` is the operator's greatest."""
    block = pyo.Block(concrete=True)
    stations, periods = _indices(instance)
    box = tariff_box(instance)
    row = {m: i for i, m in enumerate(stations)}
    column = {t: j for j, t in enumerate(periods)}
    capped = [m for m in stations if np.isfinite(box.mean[row[m]])]
    block.load = pyo.Var(stations, periods, domain=pyo.NonNegativeReals, doc="given: station load, kW")
    block.given = [block.load]
    block.mean_dual = pyo.Var(capped, domain=pyo.NonNegativeReals, doc="dual mu[m] of the mean cap, kWh")
    mean = {m: block.mean_dual[m] for m in capped}
    block.high_dual = pyo.Var(
        stations, periods, domain=pyo.NonNegativeReals, doc="dual alpha[m,t] of the highest price, kWh"
    )
    block.low_dual = pyo.Var(
        stations, periods, domain=pyo.NonNegativeReals, doc="dual beta[m,t] of the least price, kWh"
    )
    block.tariff_stationarity = pyo.Constraint(
        stations,
        periods,
        rule=lambda b, m, t: (
            mean.get(m, 0.0) + b.high_dual[m, t] - b.low_dual[m, t] == instance.period_h * b.load[m, t]
        ),
        doc="tariff regulated, dual: mu + alpha - beta = dt P, kWh",
    )
    means = sum(len(periods) * box.mean[row[m]] * block.mean_dual[m] for m in capped)
    limits = sum(
        box.high[row[m], column[t]] * block.high_dual[m, t]
        - box.low[row[m], column[t]] * block.low_dual[m, t]
        for m in stations
        for t in periods
    )
    block.bill = pyo.Objective(expr=means + limits, doc="tariff regulated, dual: the bill, money")
    return block


def _indices(instance: Instance) -> tuple[list[str], list[int]]:
    return [station.id for station in instance.stations], [period.id for period in instance.periods]
