"""All of the users' answers of one period with residual flow, enclosed by a relaxation at given prices.

For every incoming residual in an interval (isolated equilibria are possible, all of them must be inside).
Prices are given, so the bill b_k of a route is a number, and

    V = sum_k w_k,   S = sum_k w_k T_k,   V + xi eta S = W + xi r_in,   r = eta S,
    kappa S + sum_k w_k b_k = u V                         ((31): u = cmin; McCormick on u V),
    kappa T_k + b_k >= u,   sum_rs S = sum_a x_a t_a + charging,
    Beckmann: sum_a kappa I_a(x_a) + sum_k w_k (kappa charging + b_k) <= the same for a reference split
    scaled to V (convex in V, so its chord from above),

t_a, x_a t_a and I_a convex: tangents from below, chords from above. Intervals of x, V, u, r are tightened by
linear programs, whose safe dual bounds count. The chords' error is quadratic in the intervals' width, so a
few rounds shrink them to the incoming residual's own width where the answer is unique.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from formulations.congestion import RoadCost
from formulations.route_records import RouteSet
from mpec import tolerances
from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession, SolverError, safe_bound
from mpec.solvers.highs import work_done
from mpec.worst_users import Reference, UsersPolytope, add_loads

Array = np.ndarray

TANGENTS = 4
"""Tangents per road and convex function, beside the one at the reference flow."""

ROUNDING = 1e-8
"""Relative slack of tangents and chords: over very narrow intervals HiGHS's presolve has called exact ones,
which a true answer keeps to 1e-14, infeasible."""

MARGIN = 1e-8
"""Relative slack of the equilibrium rows: what the followers' answers are found to."""


@dataclass
class Box:
    """Intervals of one period: road flows (A,), vehicles V, cheapest costs u, residuals r (N,)."""

    flow_low: Array
    flow_high: Array
    vehicles_low: Array
    vehicles_high: Array
    cost_low: Array
    cost_high: Array
    residual_low: Array
    residual_high: Array

    @property
    def width(self) -> float:
        """Largest relative width of the vehicles' and costs' intervals."""
        return max(
            float(np.max((high - low) / np.maximum(np.abs(high), 1e-9), initial=0.0))
            for low, high in (
                (self.vehicles_low, self.vehicles_high),
                (self.cost_low, self.cost_high),
                (self.residual_low, self.residual_high),
            )
        )


class ResidualRelaxation:
    """One period with residual flow, relaxed; ``tighten`` shrinks ``box``, ``polytope`` writes the rows."""

    def __init__(
        self, routes: RouteSet, t: int, prices: Array, arriving: tuple[Array, Array], at: Reference
    ) -> None:
        instance = routes.instance
        self.routes, self.at, self.roads = routes, at, RoadCost.of(instance)
        self.kappa, self.rate, self.xi = instance.users.kappa_per_h, instance.residual_rate, instance.users.xi
        self.bill = routes.plan_kwh @ prices + routes.outside_cost
        period = instance.periods[t]
        demand = np.array([instance.demand(pair, period) for pair in instance.pairs])
        self.demand, self.arriving = demand, arriving
        self.right_low, self.right_high = (demand + self.xi * end for end in arriving)
        self.usable = (self.right_high > 0.0)[routes.pair]
        self.box = self._first_box()

    def _hours(self, flow: Array) -> Array:
        """T_k (R,) at road flows (A,)."""
        times = self.roads.time(flow)
        return np.where(self.routes.outside, 0.0, self.routes.on_road @ times + self.routes.charging_h)

    def _first_box(self) -> Box:
        """Interval propagation from flows between nothing and all vehicles."""
        roads = len(self.routes.instance.roads)
        return self._propagate(np.zeros(roads), np.full(roads, float(self.right_high.sum())))

    def _propagate(self, low: Array, high: Array) -> Box:
        """Times from road flows (A,), dearer routes dropped, flows from demands, again; then V, u and r."""
        routes, share = self.routes, self.xi * self.rate
        pairs, roads = len(routes.instance.pairs), len(routes.instance.roads)
        for _ in range(12):
            least, most = self._hours(low), self._hours(high)
            self._drop(least, most)
            ceiling = np.where(self.usable, self.right_high[routes.pair] / (1.0 + share * least), 0.0)
            floor = self.right_low[routes.pair] / (1.0 + share * most)
            new_low, new_high = np.zeros(roads), np.zeros(roads)
            for mine in self._used_rows():
                if len(mine):
                    # A road takes at most all vehicles, at least all if every usable route is on it.
                    new_high += routes.on_road[mine].max(axis=0) * ceiling[mine].max()
                    new_low += routes.on_road[mine].min(axis=0) * floor[mine].min()
            before = float((high - low).sum())
            low, high = np.maximum(low, new_low), np.minimum(high, new_high)
            if float((high - low).sum()) > 0.99 * before:
                break
        least, most = self._hours(low), self._hours(high)
        vehicles, cost, residual = (np.zeros((2, pairs)) for _ in range(3))
        for n, mine in enumerate(self._used_rows()):
            if not len(mine):
                continue
            vehicles[0, n] = self.right_low[n] / (1.0 + share * most[mine].max())
            vehicles[1, n] = self.right_high[n] / (1.0 + share * least[mine].min())
            cost[0, n] = (self.kappa * least[mine] + self.bill[mine]).min()
            cost[1, n] = (self.kappa * most[mine] + self.bill[mine]).min()
            residual[0, n] = self.rate * vehicles[0, n] * least[mine].min()
            residual[1, n] = self.rate * vehicles[1, n] * most[mine].max()
        return Box(low, high, *vehicles, *cost, *residual)

    def _used_rows(self) -> list[Array]:
        return [rows[self.usable[rows]] for rows in self.routes.pair_rows]

    def _drop(self, least: Array, most: Array) -> None:
        """A route dearer than some other of its pair throughout the box can't be used."""
        low, high = self.kappa * least + self.bill, self.kappa * most + self.bill
        for mine in self._used_rows():
            if len(mine):
                best = high[mine].min()
                self.usable[mine] = low[mine] <= best + MARGIN * abs(best)

    # ---- the rows --------------------------------------------------------------------------------
    def polytope(self, *, capped: bool = True) -> UsersPolytope:
        """The relaxation over the present box. Extra columns are kept in ``self.columns``."""
        routes, box = self.routes, self.box
        least, most = self._hours(box.flow_low), self._hours(box.flow_high)
        self._drop(least, most)
        used = np.flatnonzero(self.usable)
        model = LinearModel("users with residual flow")
        share = self.xi * self.rate
        ceiling = self.right_high[routes.pair[used]] / (1.0 + share * least[used])
        flow = model.add_variables([f"route[{k}]" for k in used], 0.0, ceiling)
        pairs, roads = range(len(routes.instance.pairs)), range(len(routes.instance.roads))
        vehicles = model.add_variables([f"vehicles[{n}]" for n in pairs], box.vehicles_low, box.vehicles_high)
        cheapest = model.add_variables([f"cheapest[{n}]" for n in pairs], box.cost_low, box.cost_high)
        residual = model.add_variables([f"residual[{n}]" for n in pairs], box.residual_low, box.residual_high)
        # Every column needs finite ends: the safe bounds of ``tighten`` are worthless without.
        longest = max(float(most.max(initial=0.0)), 1.0)
        hours = model.add_variables([f"hours[{n}]" for n in pairs], 0.0, 2.0 * longest * box.vehicles_high)
        road = model.add_variables([f"flow[{a}]" for a in roads], box.flow_low, box.flow_high)
        slowest = 2.0 * self.roads.time(box.flow_high) + 1.0
        area = 2.0 * self.roads.integral(box.flow_high) + 1.0
        times = model.add_variables([f"time[{a}]" for a in roads], 0.0, slowest)
        spent = model.add_variables([f"spent[{a}]" for a in roads], 0.0, slowest * (box.flow_high + 1.0))
        potential = model.add_variables([f"potential[{a}]" for a in roads], 0.0, area)
        self.columns = {"vehicles": vehicles, "cheapest": cheapest, "residual": residual, "flow": road}
        for a in roads:
            mine = flow[routes.on_road[used, a] > 0.0]
            model.add_row(f"road[{a}]", [*mine, road[a]], [*np.ones(len(mine)), -1.0], 0.0, 0.0)
            self._convex_rows(model, a, int(road[a]), (int(times[a]), int(spent[a]), int(potential[a])))
        for n in pairs:
            self._pair_rows(
                model, n, used, flow, (vehicles[n], cheapest[n], residual[n], hours[n]), times, least, most
            )
        charging = np.where(routes.outside, 0.0, routes.charging_h)[used]
        model.add_row(
            "vehicle_hours",
            [*hours, *spent, *flow],
            [*np.ones(len(hours)), *-np.ones(len(spent)), *-charging],
            0.0,
            0.0,
        )
        self._beckmann(model, used, flow, vehicles, potential)
        return UsersPolytope(model, used, flow, add_loads(model, routes, used, flow, capped=capped))

    def _convex_rows(self, model: LinearModel, a: int, x: int, columns: tuple[int, int, int]) -> None:
        """t_a, x_a t_a, I_a between tangents and chord over the road's flow interval."""
        low, high = float(self.box.flow_low[a]), float(self.box.flow_high[a])
        points = np.unique(
            np.clip([*np.linspace(low, high, TANGENTS), float(self.at.road_flow[a])], low, high)
        )
        values, slopes = self._functions(a, points)
        ends, _ = self._functions(a, np.array([low, high]))
        for y, value, slope, end, name in zip(
            columns, values, slopes, ends, ("time", "spent", "potential"), strict=True
        ):
            size = ROUNDING * (1.0 + float(np.abs(end).max()))
            for p, (f, g) in enumerate(zip(value, slope, strict=True)):
                at = float(points[p])
                model.add_row(f"{name}_tangent[{a},{p}]", [y, x], [1.0, -g], f - g * at - size, math.inf)
            rise = (end[1] - end[0]) / (high - low) if high - low > 1e-12 * (1.0 + high) else 0.0
            over = end[0] - rise * low if rise else float(end.max())
            model.add_row(f"{name}_chord[{a}]", [y, x], [1.0, -rise], -math.inf, over + size)

    def _functions(self, a: int, x: Array) -> tuple[Array, Array]:
        """t_a, x t_a, I_a and their slopes at flows x (K,): (3, K) each."""
        spread = np.zeros((len(self.routes.instance.roads), len(x)))
        spread[a] = x
        time, slope = self.roads.time(spread)[a], self.roads.derivative(spread)[a]
        area = self.roads.integral(spread)[a]
        return np.array([time, x * time, area]), np.array([slope, time + x * slope, time])

    def _pair_rows(
        self,
        model: LinearModel,
        n: int,
        used: Array,
        flow: Array,
        columns: tuple[int, int, int, int],
        times: Array,
        least: Array,
        most: Array,
    ) -> None:
        """V, S, r of one O-D pair and its equilibrium (31)."""
        routes, box = self.routes, self.box
        vehicles, cheapest, residual, hours = columns
        mine = np.flatnonzero(routes.pair[used] == n)
        rows, cols = used[mine], flow[mine]
        ones = np.ones(len(cols))
        model.add_row(f"vehicles[{n}]", [*cols, vehicles], [*ones, -1.0], 0.0, 0.0)
        model.add_row(f"residual[{n}]", [residual, hours], [1.0, -self.rate], 0.0, 0.0)
        low, high = float(self.right_low[n]), float(self.right_high[n])
        slack = 1e-7 * max(abs(high), 1e-9)
        model.add_row(
            f"conservation[{n}]", [vehicles, hours], [1.0, self.xi * self.rate], low - slack, high + slack
        )
        model.add_row(f"hours_least[{n}]", [hours, *cols], [1.0, *-least[rows]], 0.0, math.inf)
        model.add_row(f"hours_most[{n}]", [hours, *cols], [1.0, *-most[rows]], -math.inf, 0.0)
        for k in rows:
            # kappa T_k + b_k >= u; an outside route takes no time.
            on = [] if routes.outside[k] else list(np.flatnonzero(routes.on_road[k]))
            fixed = self.bill[k] + (0.0 if routes.outside[k] else self.kappa * routes.charging_h[k])
            model.add_row(
                f"no_dearer[{n},{k}]",
                [*times[on], cheapest],
                [*[self.kappa] * len(on), -1.0],
                -fixed,
                math.inf,
            )
        # kappa S + sum w b = u V: McCormick of u V over the box, widened for the eps-game.
        terms, weights = [hours, *cols], [self.kappa, *self.bill[rows]]
        (u0, u1), (v0, v1) = (
            (float(box.cost_low[n]), float(box.cost_high[n])),
            (float(box.vehicles_low[n]), float(box.vehicles_high[n])),
        )
        slack = MARGIN * max(abs(u1), abs(u0)) * max(v1, 1e-12)
        for u, v, below in ((u0, v0, True), (u1, v1, True), (u1, v0, False), (u0, v1, False)):
            bounds = (-u * v - slack, math.inf) if below else (-math.inf, -u * v + slack)
            model.add_row(
                f"bill[{n},{u:.6g},{v:.6g}]", [*terms, vehicles, cheapest], [*weights, -u, -v], *bounds
            )

    def _beckmann(
        self, model: LinearModel, used: Array, flow: Array, vehicles: Array, potential: Array
    ) -> None:
        """The answer's potential is at most that of the reference split at the same vehicles."""
        routes, box = self.routes, self.box
        totals = np.array([self.at.flows[rows].sum() for rows in routes.pair_rows])
        if np.any((totals <= 0.0) & (box.vehicles_high > 0.0)):
            return
        split = self.at.flows / np.where(totals > 0.0, totals, 1.0)[routes.pair]
        fixed = self.bill + self.kappa * np.where(routes.outside, 0.0, routes.charging_h)
        by_pair = np.zeros((len(totals), len(potential)))
        np.add.at(by_pair, routes.pair, split[:, None] * routes.on_road)
        low, high = box.vehicles_low @ by_pair, box.vehicles_high @ by_pair
        weight = np.zeros(len(totals))
        np.add.at(weight, routes.pair, split * fixed)
        constant = 0.0
        start, end = (self.roads.integral(x) for x in (low, high))
        for a in np.flatnonzero(high > 0.0):
            rise = (end[a] - start[a]) / (high[a] - low[a]) if high[a] - low[a] > 1e-12 * high[a] else 0.0
            weight += self.kappa * rise * by_pair[:, a]
            constant += self.kappa * (start[a] - rise * low[a] if rise else max(start[a], end[a]))
        size = float(weight @ box.vehicles_high) + constant
        columns = [*potential, *flow, *vehicles]
        values = [*[self.kappa] * len(potential), *fixed[used], *-weight]
        model.add_row("beckmann", columns, values, -math.inf, constant + MARGIN * abs(size))

    # ---- intervals -------------------------------------------------------------------------------
    def tighten(self, rounds: int = 5, until: float = 1e-3, deadline: float = math.inf) -> None:
        """Shrink the box by linear programs until it is narrow, hardly shrinks or the clock passes
        ``deadline``.

        First only the flows of roads whose time varies over the box, the rest by propagation; once that is
        narrow, all of it.
        """
        for number in range(rounds):
            before = self.box.width
            if before <= until:
                return
            names = ("flow",) if number == 0 else ("flow", "cheapest", "vehicles", "residual")
            if not self._shrink(names, until, deadline):
                return
            known, box = self.box, self._propagate(self.box.flow_low, self.box.flow_high)
            for field in fields(Box):
                better = np.maximum if field.name.endswith("_low") else np.minimum
                setattr(box, field.name, better(getattr(known, field.name), getattr(box, field.name)))
            self.box = box
            if number > 0 and self.box.width > 0.9 * before:
                return

    def _shrink(self, names: tuple[str, ...], until: float, deadline: float) -> bool:
        """One round of linear programs; False if the deadline came."""
        session, box = HighsSession(self.polytope(capped=False).model), self.box
        varies = self.roads.time(box.flow_high) - self.roads.time(box.flow_low)
        felt = varies > 0.05 * varies.max(initial=0.0)
        ends = {
            "flow": (box.flow_low, box.flow_high),
            "cheapest": (box.cost_low, box.cost_high),
            "vehicles": (box.vehicles_low, box.vehicles_high),
            "residual": (box.residual_low, box.residual_high),
        }
        for name in names:
            low, high = ends[name]
            for i, column in enumerate(self.columns[name]):
                narrow = high[i] - low[i] <= 0.1 * until * max(abs(high[i]), 1e-9)
                if narrow or (name == "flow" and not felt[i]):
                    continue
                if work_done() > deadline:
                    session.close()
                    return False
                session, (low[i], high[i]) = _range(session, int(column), float(low[i]), float(high[i]))
        session.close()
        return True


def _range(
    session: HighsSession, column: int, low: float, high: float
) -> tuple[HighsSession, tuple[float, float]]:
    """Safe bounds on a column over the model, never wider than [low, high]; the session to go on with.

    Where the solver fails, the end stays as it was: a failure proves nothing.
    """
    cost = np.zeros(session.model.columns)
    cost[column] = 1.0
    ends = [low, high]
    for maximise in (False, True):
        try:
            session.set_objective(cost, maximise=maximise)
            duals = session.solve().row_duals
        except SolverError:
            duals = None
            model = session.model
            session.close()
            session = HighsSession(model)
        if duals is None:
            continue
        bound = safe_bound(session.model, duals, cost, maximise=maximise)
        margin = tolerances.BOUND_MARGIN * max(abs(bound), 1.0)
        if maximise:
            ends[1] = min(high, bound + margin)
        else:
            ends[0] = max(low, bound - margin)
    return session, ((ends[0], ends[1]) if ends[0] <= ends[1] else (ends[1], ends[0]))
