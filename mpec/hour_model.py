"""One hour of the game as mixed-integer rows: a relaxation of the true game, exact road cost included.

Every point of the eps-game whose quantities lie in the hour's intervals satisfies these rows, so the
maximum over them bounds the hour's profit from above. What is nonlinear is held from both sides:
roads by the hull of their curves (29), residuals and the users' bill by McCormick rows (24), and the
users' choice (31) by big-M pairs with derived Ms. Value-function cuts hold the bill from above.

Revenue:  dt * sum_rs (cmin Wmod - kappa V - outside_cost w_out),  V = vehicle-hours of the pair, less what is
paid to rivals, dt * sum posted price * P.
"""

from __future__ import annotations

import numpy as np

from formulations.congestion import RoadCost
from formulations.prices import grid_ends, posted_payments, price_steps
from formulations.routes import RouteSet
from instances.model import Instance
from mpec.envelopes import NARROW, breakpoints, piecewise_product, roomy
from mpec.expression import Expression, add_row
from mpec.hour_dispatch import HourDispatch, add_dispatch, leeway
from mpec.hour_state import HourBlock, HourState
from mpec.intervals import longest_stay
from mpec.linear_model import LinearModel
from mpec.residual_rows import add_residual_rows
from mpec.rival_bill import cost_without_leader, rivals_share
from mpec.road_rows import add_road_rows
from mpec.tolerances import DELTA, WIDER_EPSILON
from mpec.value_cuts import add_value_cut

Array = np.ndarray


STILL = 1e-8
"""A road whose time varies less than this, relatively, keeps its longest time."""


ORDINARY_RISE = (1e-6, 1e2)
"""h per veh/h, at the mean over a road's interval: times that rise so need no unit of their own."""


class HourBuilder:
    """Writes one hour's rows into a model. ``prefix`` goes before every name."""

    def __init__(
        self, model: LinearModel, routes: RouteSet, state: HourState, dispatch: HourDispatch | None
    ) -> None:
        self.model, self.routes, self.state = model, routes, state
        self.instance: Instance = routes.instance
        self.box = state.box
        self.prefix = f"h{self.instance.periods[state.t].id}"
        self.roads = RoadCost.of(self.instance)
        self.dispatch_data = dispatch
        self.used = np.flatnonzero(self.box.usable & (self.box.high["route_flow"] > 0))
        self.pairs = [int(n) for n in np.unique(routes.pair[self.used])]
        on = routes.on_road[self.used].sum(axis=0) > 0
        slow = self.roads.time(self.box.high["road_flow"])
        fast = self.roads.time(self.box.low["road_flow"])
        self.slow, self.fast = slow, fast
        self.varying = np.flatnonzero(on & (slow - fast > STILL * np.maximum(slow, 1e-3)))
        self.least_time, self.time_unit = self._time_units()
        self.stay_h, self.most_kwh = longest_stay(routes, slow)
        fixed = np.where(np.isin(np.arange(len(slow)), self.varying), 0.0, slow)
        # Roads whose time can't vary fold into the route's own constant time, too long by at most ``over_h``.
        self.fixed_h = np.where(routes.outside, 0.0, routes.on_road @ fixed + routes.charging_h)
        self.over_h = routes.on_road @ np.where(fixed > 0.0, slow - fast, 0.0)

    def build(self) -> HourBlock:
        self.block = self._columns()
        self._price_grid()
        self._flow_rows()
        add_road_rows(self)
        add_residual_rows(self)
        self._bill_rows()
        self._choice_rows()
        self._leader_products()
        self._rivals_income()
        for i, reference in enumerate(self.state.references):
            add_value_cut(self, reference, i)
        self._electricity_rows()
        return self.block

    def _electricity_rows(self) -> None:
        """The bill: a constant tariff; or tangents of the operator's cost, and its KKT conditions if asked for."""
        data, instance, load = self.dispatch_data, self.instance, self.block.load
        if data is None:
            return
        if instance.tariff_mode != "dlmp":
            self.block.dispatch = add_dispatch(self.model, data, load, self.prefix, frozenset())
            self.block.electricity.plus(self.block.dispatch.bill)
            return
        most = float(instance.feeder.voll_per_kwh * instance.period_h * self.box.high["load"].sum()) + 1.0
        idle, idle_most = cost_without_leader(self)
        bill = self.model.add_variable(self.name("electricity_bill"), self._least_bill(idle_most), most)
        self.block.electricity.add(bill).shift(-leeway(instance, self.state.t, self.box.high["load"]))
        for i, cut in enumerate(self.state.bill_cuts):
            row = idle.copy().shift(-cut.level).add(bill).add_all(load, -cut.slope)
            add_row(self.model, self.name("electricity_cut", i), row, lower=0.0)
        if self.state.exact_dispatch:
            if not data.scenarios:
                raise ValueError(
                    f"{self.prefix}: the operator's conditions are asked for without his programs"
                )
            self.block.dispatch = add_dispatch(self.model, data, load, self.prefix, self.state.dispatch_pairs)
            exact = self.block.dispatch.bill.copy().add(bill, -1.0)
            exact.plus(rivals_share(self, self.block.dispatch.prices), -1.0)
            add_row(self.model, self.name("electricity_exact"), exact, 0.0, 0.0)

    def _price_grid(self) -> None:
        """Prices with a step are a whole number of steps: what the prices are anyway, so the bound only tightens."""
        least, most = grid_ends(self.instance)
        for m, step in enumerate(price_steps(self.instance)):
            if step > 0.0:
                station = self.instance.stations[m].id
                count = self.model.add_variable(
                    self.name("price_steps", station), float(least[m]), float(most[m]), integer=True
                )
                row = Expression().add(self.block.price[m]).add(count, -float(step))
                add_row(self.model, self.name("price_steps", station), row, 0.0, 0.0)

    def _rivals_income(self) -> None:
        """What users pay at rivals' stations is not the leader's: posted price times load, linear."""
        paid = self.instance.period_h * posted_payments(self.instance)[:, self.state.t]
        self.block.revenue.add_all(self.block.load, -paid)

    def _least_bill(self, idle: float) -> float:
        """The best of the cuts' least values over the loads; -inf without cuts.

        A multiple of VOLL is no bound here: where a station's kvar make room for wind, prices fall below -VOLL.
        """
        low, high = self.box.low["load"], self.box.high["load"]
        least = [
            cut.level - idle + float(np.minimum(cut.slope * low, cut.slope * high).sum())
            for cut in self.state.bill_cuts
        ]
        return max(least, default=-np.inf)

    def name(self, text: str, identifier: object = "") -> str:
        return f"{self.prefix}.{text}[{identifier}]" if identifier != "" else f"{self.prefix}.{text}"

    def _one(self, quantity: str, index: int, label: object) -> int:
        low, high = roomy(float(self.box.low[quantity][index]), float(self.box.high[quantity][index]))
        return self.model.add_variable(self.name(quantity, label), low, high)

    def _columns(self) -> HourBlock:
        instance, box, model = self.instance, self.box, self.model
        pair_count, road_count = len(instance.pairs), len(instance.roads)
        label = [f"{p.origin}-{p.destination}" for p in instance.pairs]

        def blank(size: int) -> Array:
            return np.full(size, -1, dtype=int)

        block = HourBlock(
            t=self.state.t,
            price=np.array([self._one("price", m, s.id) for m, s in enumerate(instance.stations)], dtype=int),
            load=np.array([self._one("load", m, s.id) for m, s in enumerate(instance.stations)], dtype=int),
            income=blank(len(instance.stations)),
            incoming=blank(pair_count),
            residual=blank(pair_count),
            modified=blank(pair_count),
            cheapest=blank(pair_count),
            bill=blank(pair_count),
            hours=blank(pair_count),
            road_flow=blank(road_count),
            road_time=blank(road_count),
            least_time=self.least_time,
            time_unit=self.time_unit,
            road_hours=blank(road_count),
            route_flow=blank(len(self.routes.routes)),
            chosen=blank(len(self.routes.routes)),
            slack={},
            open_pairs=frozenset(),
            revenue=Expression(),
            electricity=Expression(),
            allowance=0.0,
            dispatch=None,
        )
        for n in range(pair_count):
            block.incoming[n] = self._one("incoming", n, label[n])
            block.residual[n] = self._one("residual", n, label[n])
        for n in self.pairs:
            block.modified[n] = self._one("modified", n, label[n])
            block.cheapest[n] = self._one("cheapest", n, label[n])
            corners = np.outer(
                [box.low["cheapest"][n], box.high["cheapest"][n]],
                [box.low["modified"][n], box.high["modified"][n]],
            )
            bill = roomy(float(corners.min()), float(corners.max()))
            block.bill[n] = model.add_variable(self.name("bill", label[n]), *bill)
            if instance.users.xi == 0.0:
                continue
            most = box.high["modified"][n] * self.stay_h
            block.hours[n] = model.add_variable(self.name("hours", label[n]), *roomy(0.0, float(most)))
        for a in self.varying:
            road = instance.roads[a].id
            low, high = box.low["road_flow"][a], box.high["road_flow"][a]
            block.road_flow[a] = self._one("road_flow", int(a), road)
            start, unit = self.least_time[a], self.time_unit[a]
            time = roomy(float((self.fast[a] - start) / unit), float((self.slow[a] - start) / unit))
            block.road_time[a] = model.add_variable(self.name("time", road), *time)
            hours = roomy(float(low * self.fast[a]), float(high * self.slow[a]))
            block.road_hours[a] = model.add_variable(self.name("road_hours", road), *hours)
        for k in self.used:
            block.route_flow[k] = self._one("route_flow", int(k), int(k))
        return block

    def _time_units(self) -> tuple[Array, Array]:
        """What the roads' times are counted from, and in, h (A,): 0 and 1 but for times that rise by next to nothing,
        or steeply.

        A power of two that makes the time's coefficient by flow about as large as the cost's by time: both far from
        what solvers delete (1e-9), and from what they can't tell from rounding.
        """
        least, unit = np.zeros(len(self.slow)), np.ones(len(self.slow))
        width = self.box.high["road_flow"] - self.box.low["road_flow"]
        # Where time hardly costs anything, it still decides what is left over for the next period.
        kappa = max(self.instance.users.kappa_per_h, 1.0)
        for a in self.varying:
            rise = float((self.slow[a] - self.fast[a]) / width[a])
            if not ORDINARY_RISE[0] <= rise <= ORDINARY_RISE[1]:
                least[a], unit[a] = self.fast[a], 2.0 ** np.round(0.5 * np.log2(rise / kappa))
        return least, unit

    def _flow_rows(self) -> None:
        """(27), (22), (23) and (26); what the eps-game lets stray is the width of the rows."""
        model, block, routes = self.model, self.block, self.routes
        stray = float(self.box.stray[self.pairs].sum()) if self.pairs else 0.0
        for a in self.varying:
            mine = self.used[routes.on_road[self.used, a] > 0]
            row = Expression().add(block.road_flow[a]).add_all(block.route_flow[mine], -np.ones(len(mine)))
            room = max(stray, NARROW)
            add_row(model, self.name("road_flow", self.instance.roads[a].id), row, 0.0, room)
        for m, station in enumerate(self.instance.stations):
            kwh = routes.plan_kwh[self.used, m]
            unit = self._load_unit(m)
            row = Expression().add(block.load[m], unit).add_all(block.route_flow[self.used], -unit * kwh)
            add_row(model, self.name("load", station.id), row, 0.0, max(unit * stray * self.most_kwh, NARROW))
        for n in self.pairs:
            mine = self.routes_of(n)
            row = Expression().add(block.modified[n]).add_all(block.route_flow[mine], -np.ones(len(mine)))
            add_row(model, self.name("served", n), row, 0.0, max(float(self.box.stray[n]), NARROW))
            xi = self.instance.users.xi
            row = Expression().add(block.modified[n]).add(block.incoming[n], -xi).add(block.residual[n], xi)
            demand = self.instance.demand(self.instance.pairs[n], self.instance.periods[self.state.t])
            add_row(model, self.name("modified", n), row, demand, demand)

    def _load_unit(self, m: int) -> float:
        """A power of two that makes the largest load at least 100: a row's least width is then the same in any unit."""
        high = float(self.box.high["load"][m])
        return float(2.0 ** np.clip(np.ceil(np.log2(100.0 / high)), 0.0, 20.0)) if high > 0.0 else 1.0

    def routes_of(self, n: int) -> Array:
        return np.asarray(self.used[self.routes.pair[self.used] == n])

    def _bill_rows(self) -> None:
        """cmin Wmod, exact where Wmod is a constant, else McCormick over pieces of cmin."""
        block, box, dt = self.block, self.box, self.instance.period_h
        for n in self.pairs:
            low, high = float(box.low["cheapest"][n]), float(box.high["cheapest"][n])
            second = float(box.low["modified"][n]), float(box.high["modified"][n])
            columns = int(block.bill[n]), int(block.cheapest[n]), int(block.modified[n])
            points = breakpoints(low, high, self.state.cheapest_points.get(n, ()))
            piecewise_product(self.model, self.name("bill", n), *columns, points, second)
            block.revenue.add(block.bill[n], dt)
            if block.hours[n] >= 0:
                block.revenue.add(block.hours[n], -dt * self.instance.users.kappa_per_h)
            for k in self.routes_of(n):
                if self.routes.outside[k]:
                    block.revenue.add(block.route_flow[k], -dt * float(self.routes.outside_cost[k]))
        block.allowance = self.allowance() * dt

    def allowance(self) -> float:
        """money/h that the eps-game can add to cmin Wmod - kappa V (and to Beckmann's potential).

        Used routes may cost cmin (1 + eps); a share delta of a pair may be on any other route.
        """
        kappa = self.instance.users.kappa_per_h
        dearest = self.most_kwh * float(self.box.high["price"].max(initial=0.0)) + kappa * self.stay_h
        outside = float(self.routes.outside_cost.max(initial=0.0))
        high = self.box.high
        each = [
            high["modified"][n]
            * (WIDER_EPSILON * max(high["cheapest"][n], 0.0) + DELTA * (dearest + outside))
            for n in self.pairs
        ]
        return float(sum(each))

    def _choice_rows(self) -> None:
        """(15), (25), (31): slack = c - cmin; w <= delta Wmod + w_hi z; slack <= eps cmin + M (1 - z).

        Without a binary: (w - delta Wmod) (M - eps cmin) / w_hi + slack <= M, what is left of both for z in [0, 1].
        """
        model, block, box = self.model, self.block, self.box
        kappa = self.instance.users.kappa_per_h
        choices, undecided = self.state.choices, []
        for n in self.pairs:
            mine = self.routes_of(n)
            some = Expression()
            for k in mine:
                slack = Expression(constant=kappa * self.fixed_h[k] + self.routes.outside_cost[k])
                slack.add(block.cheapest[n], -1.0)
                slack.add_all(block.price, self.routes.plan_kwh[k])
                if not self.routes.outside[k]:
                    on = self.varying[self.routes.on_road[k, self.varying] > 0]
                    for a in on:
                        slack.plus(block.time(int(a)), kappa)
                block.slack[int(k)] = slack
                add_row(model, self.name("slack", k), slack, 0.0, np.inf)
                over = kappa * float(self.over_h[k])
                few = WIDER_EPSILON * max(float(box.high["cheapest"][n]), 0.0) + over
                big = min(float(box.high["slack"][k]) + over, slack.interval(model)[1])
                # Both are rounded outwards; this is for the last sum, with room.
                big += 1e-12 * (abs(big) + abs(slack.constant))
                if big <= few * (1 + 1e-3) + 1e-8:
                    # Never dearer than that: a binary would carry a coefficient of nothing but rounding.
                    continue
                few_flow, most_flow = DELTA * float(box.high["modified"][n]), float(box.high["route_flow"][k])
                undecided.append(int(k))
                if choices is not None and int(k) not in choices:
                    if most_flow > NARROW:
                        steep = (big - few) / most_flow
                        either = slack.copy().add(block.route_flow[k], steep)
                        add_row(model, self.name("either", k), either, upper=big + steep * few_flow)
                    continue
                z = model.add_variable(self.name("chosen", k), 0.0, 1.0, integer=True)
                block.chosen[k] = z
                add_row(model, self.name("indifferent", k), slack.copy().add(z, big - few), upper=big)
                row = Expression().add(block.route_flow[k]).add(z, -most_flow)
                add_row(model, self.name("unused", k), row, upper=few_flow)
                some.add(z)
            if some.terms and len(some.terms) == len(mine) and box.low["modified"][n] > 0:
                add_row(model, self.name("some_route", n), some, lower=1.0)
        block.open_pairs = frozenset(undecided)

    def _leader_products(self) -> None:
        """sum_m rho_m P_m = revenue: McCormick on each product over pieces of the price, a second view of the same
        money. With exact products and all value-function cuts only equilibria would be left."""
        model, block, box = self.model, self.block, self.box
        dt = self.instance.period_h
        total = block.revenue.copy()
        for m, station in enumerate(self.instance.stations):
            low, high = float(box.low["price"][m]), float(box.high["price"][m])
            bounds = (low, high, float(box.low["load"][m]), float(box.high["load"][m]))
            corners = np.outer(bounds[:2], bounds[2:])
            income = roomy(float(corners.min()), float(corners.max()))
            u = model.add_variable(self.name("income", station.id), *income)
            block.income[m] = u
            points = breakpoints(low, high, self.state.price_points.get(m, ()))
            columns = u, int(block.price[m]), int(block.load[m])
            piecewise_product(model, self.name("income", station.id), *columns, points, bounds[2:])
            total.add(u, -dt)
        add_row(model, self.name("income"), total, -max(block.allowance, NARROW), 0.0)
