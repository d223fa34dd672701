"""The whole game as one exact nonconvex MINLP for SCIP, written straight from the equations: a second truth.

Nothing here comes from the reformulation, its bounds or its relaxations: no M, no tangent, no envelope.

    prices (rivals' as posted, the leader's on their grid), mean caps; (22), (23), (24), (26), (27) as equations;
    (29) t = t0 (1 + alpha ((x + b) / u)^beta);
    (31) as SOS1 sets of a route's flow and its excess cost; (1) with the products rho P and c P;
    the operator: its linear program's rows, its dual's rows, and equal objectives (products P times price);
    tariff `regulated`: the dual of max sum c P over the tariff's box and mean cap, which the leader pays.

SCIP closes small games. On larger ones it gives an interval: `python -m mpec.exact_minlp INSTANCE`.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import instances
from formulations.routes import RouteSet, route_set
from instances.model import Instance, Road, Scenario, Station
from mpec import tolerances
from mpec.exact_operator import operator_program
from mpec.solvers.session import SolverMissing

Array = np.ndarray

"""SCIP's feasibility tolerance: products that should be 0 may be this large."""


@dataclass(frozen=True)
class Exact:
    """SCIP's best value and proven bound of the day's profit (None: none yet), prices (M, T) of the best point.

    ``best`` is worth what SCIP's tolerance is worth; answer its prices exactly before it is believed.
    """

    best: float | None
    bound: float | None
    prices: Array | None
    status: str
    seconds: float


def exact_minlp(
    instance: Instance,
    time_limit: float,
    *,
    routes: RouteSet | None = None,
    feasibility: float = tolerances.MIP_FEASIBILITY,
) -> Exact:
    """Solve the game by SCIP's spatial branch and bound, rows met to ``feasibility``. Raises SolverMissing without
    PySCIPOpt."""
    try:
        import pyscipopt
    except ImportError as error:
        raise SolverMissing(
            "The exact MINLP needs SCIP; install it with: pip install 'evcs-mpec[scip]'"
        ) from error
    began = time.perf_counter()
    game = _Game(pyscipopt, instance, routes or route_set(instance))
    game.model.setParam("numerics/feastol", feasibility)
    game.write()
    game.model.setParam("limits/time", max(time_limit - (time.perf_counter() - began), 1.0))
    game.model.optimize()
    return game.read(time.perf_counter() - began)


class _Game:
    """The MINLP under construction; one attribute per quantity of the game."""

    def __init__(self, scip: Any, instance: Instance, routes: RouteSet) -> None:
        self.scip, self.instance, self.routes = scip, instance, routes
        self.model: Any = scip.Model("exact game")
        self.model.hideOutput()
        self.terms: list[Any] = []
        self.price: list[list[Any]] = []

    # ---- building ------------------------------------------------------------------------------
    def write(self) -> None:
        """All hours, what couples them, and the profit."""
        instance, model = self.instance, self.model
        periods = range(len(instance.periods))
        self.price = [[self._price(s, t) for t in periods] for s in instance.stations]
        for station, row in zip(instance.stations, self.price, strict=True):
            if station.price_mean_max is not None:
                model.addCons(self.scip.quicksum(row) <= len(row) * station.price_mean_max)
        residual: list[Any] = [instance.users.initial_residual] * len(instance.pairs)
        ceiling = np.full(len(instance.pairs), instance.users.initial_residual)
        loads = []
        for t in periods:
            load, residual, ceiling = self._users(t, residual, ceiling)
            loads.append(load)
            for m, station in enumerate(instance.stations):
                if station.owner == "leader":
                    self._earn(instance.period_h, self.price[m][t] * load[m])
        if instance.tariff_mode == "regulated":
            self._regulated(loads)
        for t in periods:
            if instance.tariff_mode == "fixed":
                for m, station in enumerate(instance.stations):
                    if station.owner == "rival":
                        continue
                    rate = instance.tariff[station.id, instance.periods[t].id].price_per_kwh or 0.0
                    self._earn(-instance.period_h * rate, loads[t][m])
            elif instance.tariff_mode == "dlmp":
                for scenario in instance.scenarios:
                    self._operator(t, scenario, loads[t])
        profit = model.addVar("profit", lb=None, ub=None)
        model.addCons(profit <= self.scip.quicksum(self.terms))
        model.setObjective(profit, "maximize")

    def _price(self, station: Station, t: int) -> Any:
        """rho[m,t]: in its box, a multiple of its step where it has one; a rival's is posted."""
        name = f"price {station.id} {t}"
        if station.owner == "rival":
            posted = self.instance.rival_prices[station.id, self.instance.periods[t].id]
            return self.model.addVar(name, lb=posted, ub=posted)
        price = self.model.addVar(name, lb=station.price_min, ub=station.price_max)
        if station.price_step is not None:
            count = self.model.addVar(f"steps {station.id} {t}", vtype="I", lb=0.0, ub=None)
            self.model.addCons(price == station.price_step * count)
        return price

    def _earn(self, factor: float, expression: Any) -> None:
        self.terms.append(factor * expression)

    def _users(self, t: int, incoming: list[Any], ceiling: Array) -> tuple[list[Any], list[Any], Array]:
        """(15), (22)-(31) of one period: (loads, leaving residuals, a ceiling on them)."""
        instance, routes, model = self.instance, self.routes, self.model
        period, xi = instance.periods[t], instance.users.xi
        demand = np.array([instance.demand(p, period) for p in instance.pairs])
        most = demand + xi * ceiling
        flow = [
            model.addVar(f"w {k} {t}", lb=0.0, ub=float(most[routes.pair[k]]))
            for k in range(len(routes.routes))
        ]
        hours = self._road_hours(t, flow, most)
        cost, spent = self._route_costs(t, hours)
        residual: list[Any] = []
        after = np.zeros(len(instance.pairs))
        for n in range(len(instance.pairs)):
            rows = routes.pair_rows[n]
            served = self.scip.quicksum(flow[k] for k in rows)
            after[n] = most[n] / xi if xi > 0.0 else 0.0
            if xi > 0.0:
                r = model.addVar(f"r {n} {t}", lb=0.0, ub=float(after[n]))
                amount = self.scip.quicksum(flow[k] * spent[k] for k in rows if spent[k] is not None)
                model.addCons(r == instance.residual_rate * amount)
                model.addCons(served == demand[n] + xi * incoming[n] - xi * r)
                residual.append(r)
            else:
                model.addCons(served == demand[n])
                residual.append(0.0)
            if most[n] > 0.0:
                self._wardrop(t, n, rows, flow, cost)
        load = []
        for m, station in enumerate(instance.stations):
            power = model.addVar(f"load {station.id} {t}", lb=0.0, ub=station.capacity_kw)
            model.addCons(
                power
                == self.scip.quicksum(
                    flow[k] * kwh for k, r in enumerate(routes.routes) for i, kwh in r.plan if i == m
                )
            )
            load.append(power)
        return load, residual, after

    def _road_hours(self, t: int, flow: list[Any], most: Array) -> list[Any]:
        """(27), (29): time of every road, a number where it can't vary."""
        hours: list[Any] = []
        for a, road in enumerate(self.instance.roads):
            using = [k for k, r in enumerate(self.routes.routes) if a in r.roads]
            pairs = {self.routes.routes[k].pair for k in using}
            if not using or road.bpr_alpha == 0.0:
                hours.append(_time(road, 0.0))
                continue
            top = float(sum(most[n] for n in pairs))
            x = self.model.addVar(f"x {road.id} {t}", lb=0.0, ub=top)
            self.model.addCons(x == self.scip.quicksum(flow[k] for k in using))
            y = self.model.addVar(f"t {road.id} {t}", lb=_time(road, 0.0), ub=_time(road, top))
            share = (x + road.background_veh_per_h) / road.capacity_veh_per_h
            beta = int(road.bpr_beta) if float(road.bpr_beta).is_integer() else road.bpr_beta
            self.model.addCons(y == road.free_flow_h * (1.0 + road.bpr_alpha * share**beta))
            hours.append(y)
        return hours

    def _route_costs(self, t: int, hours: list[Any]) -> tuple[list[Any], list[Any]]:
        """(15), (25), (30): (cost, time spent) of every route; None: an outside route spends no time."""
        kappa = self.instance.users.kappa_per_h
        cost: list[Any] = []
        spent: list[Any] = []
        for k, route in enumerate(self.routes.routes):
            if route.outside:
                cost.append(float(self.routes.outside_cost[k]))
                spent.append(None)
                continue
            charging = sum(kwh / self.instance.stations[m].pile_kw for m, kwh in route.plan)
            time_spent = self.scip.quicksum(hours[a] for a in route.roads) + charging
            bill = self.scip.quicksum(kwh * self.price[m][t] for m, kwh in route.plan)
            spent.append(time_spent)
            cost.append(kappa * time_spent + bill)
        return cost, spent

    def _wardrop(self, t: int, n: int, rows: Array, flow: list[Any], cost: list[Any]) -> None:
        """(31): w >= 0, c - cmin >= 0, at most one of them above 0."""
        cheapest = self.model.addVar(f"cmin {n} {t}", lb=0.0, ub=None)
        for k in rows:
            excess = self.model.addVar(f"excess {k} {t}", lb=0.0, ub=None)
            self.model.addCons(excess == cost[k] - cheapest)
            self.model.addConsSOS1([flow[k], excess])

    def _operator(self, t: int, scenario: Scenario, load: list[Any]) -> None:
        """(4)-(13) and its dual at equal objectives; the leader pays the price times the load."""
        instance, model = self.instance, self.model
        lp = operator_program(instance, instance.periods[t], scenario)
        name = f"{scenario.id} {t}"
        x = {c: model.addVar(f"{c} {name}", lb=None if c in lp.free else 0.0, ub=None) for c in lp.cost}
        column_of: dict[str, list[Any]] = {c: [] for c in lp.cost}
        dual_value: list[Any] = []
        price: dict[int, list[Any]] = {m: [] for m in range(len(instance.stations))}
        for row, terms, on_load, lower, upper in lp.rows:
            body = self.scip.quicksum(v * x[c] for c, v in terms.items())
            body = body + self.scip.quicksum(v * load[m] for m, v in on_load.items())
            sides = [(lower, 1.0)] if lower == upper else [(lower, 1.0), (upper, -1.0)]
            for end, sign in sides:
                if not math.isfinite(end):
                    continue
                if lower == upper:
                    model.addCons(body == end)
                else:
                    model.addCons(sign * body >= sign * end)
                y = model.addVar(
                    f"dual {row} {sign:+.0f} {name}", lb=None if lower == upper else 0.0, ub=None
                )
                for c, v in terms.items():
                    column_of[c].append(sign * v * y)
                dual_value.append(sign * end * y)
                for m, v in on_load.items():
                    price[m].append(-sign * v * y)
        for c, cost in lp.cost.items():
            reduced = cost - self.scip.quicksum(column_of[c])
            model.addCons(reduced == 0.0 if c in lp.free else reduced >= 0.0)
        bill, mine = [], []
        for m, station in enumerate(instance.stations):
            # The emergency supply's dual row: no price above VOLL.
            c = model.addVar(f"c {station.id} {name}", lb=None, ub=instance.feeder.voll_per_kwh)
            model.addCons(c == self.scip.quicksum(price[m]))
            bill.append(c * load[m])
            if station.owner == "leader":
                mine.append(bill[-1])
        spent = self.scip.quicksum(cost * x[c] for c, cost in lp.cost.items())
        total = self.scip.quicksum(dual_value) + self.scip.quicksum(bill)
        model.addCons(spent <= total)
        self._earn(-instance.period_h * scenario.probability, self.scip.quicksum(mine))

    def _regulated(self, loads: list[list[Any]]) -> None:
        """bill = max {dt sum c P : c in its box, mean <= cap}, by its dual, which the leader minimises."""
        instance, model = self.instance, self.model
        for m, station in enumerate(instance.stations):
            if station.owner == "rival":
                continue
            rows = [instance.tariff[station.id, p.id] for p in instance.periods]
            mean = rows[0].price_mean_max
            over = None if mean is None else model.addVar(f"mean {station.id}", lb=0.0, ub=None)
            if over is not None and mean is not None:
                self._earn(-len(rows) * mean, over)
            for t, row in enumerate(rows):
                low = model.addVar(f"low {station.id} {t}", lb=0.0, ub=None)
                high = model.addVar(f"high {station.id} {t}", lb=0.0, ub=None)
                self._earn(row.price_min or 0.0, low)
                if row.price_max is None:
                    model.addCons(high == 0.0)
                else:
                    self._earn(-row.price_max, high)
                balance = high - low + (over if over is not None else 0.0)
                model.addCons(balance == instance.period_h * loads[t][m])

    # ---- reading -------------------------------------------------------------------------------
    def read(self, seconds: float) -> Exact:
        """Values of the solved model."""
        model = self.model
        status = str(model.getStatus())
        bound = float(model.getDualbound())
        known = abs(bound) < model.infinity()
        best = prices = None
        if model.getNSols() > 0:
            point = model.getBestSol()
            best = float(model.getSolObjVal(point))
            prices = np.array([[model.getSolVal(point, p) for p in row] for row in self.price])
        return Exact(best, bound if known else None, prices, status, seconds)


def _time(road: Road, flow: float) -> float:
    """(29) at a number."""
    share = (flow + road.background_veh_per_h) / road.capacity_veh_per_h
    return float(road.free_flow_h * (1.0 + road.bpr_alpha * share**road.bpr_beta))


def main() -> int:
    """The command: best value and bound of an instance."""
    parser = argparse.ArgumentParser(prog="python -m mpec.exact_minlp", description=__doc__.splitlines()[0])
    parser.add_argument("instance")
    parser.add_argument("--time-limit", type=float, default=600.0)
    parser.add_argument("--tariff", choices=("fixed", "dlmp", "regulated"))
    parser.add_argument("--xi", type=float)
    given = parser.parse_args()
    game = instances.load(given.instance).select(tariff=given.tariff, xi=given.xi)
    print(exact_minlp(game, given.time_limit))
    return 0


__all__ = ["Exact", "exact_minlp", "operator_program"]

if __name__ == "__main__":
    sys.exit(main())
