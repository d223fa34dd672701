"""The whole game as one exact nonconvex MINLP for SCIP, written straight from the equations: a second truth.

Nothing here comes from the reformulation, its bounds or its relaxations: no M, no tangent, no envelope.

    prices (rivals' as posted, the leader's on their grid), mean caps; (22), (23), (24), (26), (27) as equations;
    (29) t = t0 (1 + alpha ((x + b) / u)^beta);
    (31) as SOS1 sets of a route's flow and its excess cost; (1) with the products rho P and c P;
    the operator: its linear program's rows, its dual's rows, and equal objectives (products P times price);
    tariff `regulated`: the dual of max sum c P over the tariff's box and mean cap, which the leader pays.

SCIP closes small games. On larger ones it gives an interval: `python -m mpec.exact_minlp INSTANCE`.

At given prices (:func:`best_answer`) the followers are left alone, in the eps-game that bounds are stated for:

    prices are numbers, so (15) is linear and no price multiplies a load; caps and steps are the giver's business;
    (31) as SOS1 sets of a flow and what its cost exceeds (1 + eps) cmin by; P <= S cos phi (1 + eps);
    the operator: SOS1 sets of every row's slack and its dual, every column and its reduced cost, in place of equal
    objectives, whose product is met to the tolerance only and pairs therefore to its root; what all stations pay is
    then cost - (dual objective without the loads), linear.
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
from mpec.solvers.session import SolverError, SolverMissing

Array = np.ndarray

ENDED = 1e-6
"""Relative gap at which the answers to given prices count as solved to their end."""


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
) -> Exact:
    """Solve the game by SCIP's spatial branch and bound. Raises SolverMissing without PySCIPOpt, SolverError where
    SCIP breaks off."""
    return _solved(instance, time_limit, routes, None, tolerances.MIP_FEASIBILITY)


NEAR = 3e-7
"""money that a used route may be dearer at given prices, beside eps: SCIP's prices are met to 1e-7 themselves."""


def best_answer(
    instance: Instance, prices: Array, time_limit: float, *, routes: RouteSet | None = None
) -> Exact:
    """What the followers' answers to prices (M, T), money/kWh, can earn the leader at most, in the eps-game.

    Every answer to prices that differ by far less than eps is among them, so that a tie which only rounding breaks
    is still one. So near to what arithmetic can tell apart SCIP breaks off at times, or calls infeasible what isn't:
    where it ends without a point it is asked again at ten times the tolerance, and that word is taken (status "error"
    where it breaks off twice). Raises SolverMissing without PySCIPOpt.
    """
    for feasibility in (tolerances.PRIMAL_FEASIBILITY, 10.0 * tolerances.PRIMAL_FEASIBILITY):
        try:
            answer = _solved(instance, time_limit, routes, prices, feasibility)
        except SolverMissing:
            raise
        except SolverError:
            answer = Exact(None, None, prices, "error", 0.0)
        if answer.best is not None:
            break
    return answer


def _solved(
    instance: Instance, time_limit: float, routes: RouteSet | None, prices: Array | None, feasibility: float
) -> Exact:
    try:
        import pyscipopt
    except ImportError as error:
        raise SolverMissing("The exact MINLP needs SCIP: pip install 'evcs-mpec[scip]'") from error
    began = time.perf_counter()
    game = _Game(pyscipopt, instance, routes or route_set(instance), prices)
    game.model.setParam("numerics/feastol", feasibility)
    if prices is not None:
        game.model.setParam("limits/gap", ENDED)
    game.write()
    game.model.setParam("limits/time", max(time_limit - (time.perf_counter() - began), 1.0))
    try:
        game.model.optimize()
    except Exception as error:
        # PySCIPOpt has no type of its own for what SCIP gives up on.
        raise SolverError(f"SCIP broke off: {error}") from error
    return game.read(time.perf_counter() - began)


class _Game:
    """The MINLP under construction; one attribute per quantity of the game."""

    def __init__(self, scip: Any, instance: Instance, routes: RouteSet, given: Array | None) -> None:
        self.scip, self.instance, self.routes, self.given = scip, instance, routes, given
        self.epsilon = 0.0 if given is None else tolerances.EPSILON
        self.model: Any = scip.Model("exact game")
        self.model.hideOutput()
        self.terms: list[Any] = []
        self.price: list[list[Any]] = []

    # ---- building ------------------------------------------------------------------------------
    def write(self) -> None:
        """All hours, what couples them, and the profit."""
        instance, model = self.instance, self.model
        periods = range(len(instance.periods))
        if self.given is None:
            self.price = [[self._price(s, t) for t in periods] for s in instance.stations]
        else:
            self.price = self.given.tolist()
        for station, row in zip(instance.stations, self.price, strict=True):
            if station.price_mean_max is not None and self.given is None:
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
            power = model.addVar(
                f"load {station.id} {t}", lb=0.0, ub=station.capacity_kw * (1.0 + self.epsilon)
            )
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
        """(31): w >= 0, c - cmin >= 0, at most one of them above 0 (at given prices: above eps cmin)."""
        cheapest = self.model.addVar(f"cmin {n} {t}", lb=0.0, ub=None)
        for k in rows:
            excess = self.model.addVar(f"excess {k} {t}", lb=0.0, ub=None)
            if self.given is None:
                self.model.addCons(excess == cost[k] - cheapest)
            else:
                self.model.addCons(cost[k] - cheapest >= 0.0)
                self.model.addCons(excess >= cost[k] - (1.0 + self.epsilon) * cheapest - NEAR)
            self.model.addConsSOS1([flow[k], excess])

    def _operator(self, t: int, scenario: Scenario, load: list[Any]) -> None:
        """(4)-(13), its dual, and that both are optimal; the leader pays the price times the load."""
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
                y = model.addVar(
                    f"dual {row} {sign:+.0f} {name}", lb=None if lower == upper else 0.0, ub=None
                )
                if lower == upper:
                    model.addCons(body == end)
                else:
                    self._pair(sign * body - sign * end, y)
                for c, v in terms.items():
                    column_of[c].append(sign * v * y)
                dual_value.append(sign * end * y)
                for m, v in on_load.items():
                    price[m].append(-sign * v * y)
        for c, cost in lp.cost.items():
            reduced = cost - self.scip.quicksum(column_of[c])
            if c in lp.free:
                model.addCons(reduced == 0.0)
            else:
                self._pair(reduced, x[c])
        spent = self.scip.quicksum(cost * x[c] for c, cost in lp.cost.items())
        self._bill(t, scenario, load, price, spent - self.scip.quicksum(dual_value))

    def _pair(self, slack: Any, other: Any) -> None:
        """A slack >= 0 and what is 0 where it is not: by equal objectives, or at given prices as an SOS1 set."""
        if self.given is None:
            self.model.addCons(slack >= 0.0)
            return
        left = self.model.addVar(lb=0.0, ub=None)
        self.model.addCons(left == slack)
        self.model.addConsSOS1([left, other])

    def _bill(
        self, t: int, scenario: Scenario, load: list[Any], price: dict[int, list[Any]], left: Any
    ) -> None:
        """What the leader's stations pay; ``left`` is the cost less the dual objective without the loads' share,
        which is what all stations pay together."""
        instance, model = self.instance, self.model
        bill: list[Any] = []
        rivals: list[Any] = []
        for m, station in enumerate(instance.stations):
            # The emergency supply's dual row: no price above VOLL.
            c = model.addVar(f"c {station.id} {scenario.id} {t}", lb=None, ub=instance.feeder.voll_per_kwh)
            model.addCons(c == self.scip.quicksum(price[m]))
            if self.given is None or station.owner == "rival":
                (rivals if station.owner == "rival" else bill).append(c * load[m])
        factor = -instance.period_h * scenario.probability
        if self.given is None:
            model.addCons(left <= self.scip.quicksum(bill + rivals))
            self._earn(factor, self.scip.quicksum(bill))
        else:
            self._earn(factor, left - self.scip.quicksum(rivals))

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
            prices = self.given
            if prices is None:
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


if __name__ == "__main__":
    sys.exit(main())
