"""The electricity bill that the leader may have to pay, as rows beside a model of the users' answers.

Tariff `dlmp`: for loads P the bill is c.P with c on the operator's optimal dual face; the leader's worst
case is its joint maximum, the derivative of the operator's optimal cost V at P in direction P. V is convex,
which encloses the bill over a box of loads; branching on the box closes the rest. Tariff `regulated`: c is
any tariff in its box and mean cap, since the operator's choice is the dearest; McCormick encloses the
products c P. Tariff `fixed`: a number.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from formulations.prices import owned
from formulations.tariff import tariff_box
from instances.model import Instance
from mpec.checks.feeder import FeederProgram
from mpec.exact_sums import exact_dual_bound
from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession

Array = np.ndarray

WIDE = 6
"""Up to so many stations whose load isn't settled the corners of what it can be are counted one by one."""

MOST_TANGENTS = 60

FAR = 1e6
"""No multiplier on a face is taken to exceed the largest one found (at least: the import price) by this factor."""


@dataclass(frozen=True)
class Products:
    """Columns of bill, price and load of every product c P in a model: bill = price * load is wanted."""

    bill: Array
    price: Array
    load: Array

    def misfit(self, x: Array) -> Array:
        """|bill - price load| by product."""
        return np.asarray(np.abs(x[self.bill] - x[self.price] * x[self.load]))


def mccormick(
    model: LinearModel,
    name: str,
    product: int,
    price: int,
    load: int,
    prices: tuple[float, float],
    loads: tuple[float, float],
) -> None:
    """product = price * load enclosed over the box; sides at an infinite price are left out."""
    (c0, c1), (p0, p1) = prices, loads
    for c, p, below in ((c0, p0, True), (c1, p1, True), (c1, p0, False), (c0, p1, False)):
        if math.isfinite(c) and math.isfinite(p):
            bounds = (-c * p, math.inf) if below else (-math.inf, -c * p)
            model.add_row(f"{name}[{c:.6g},{p:.6g}]", [product, load, price], [1.0, -c, -p], *bounds)


class OperatorValue:
    """V(P): the operator's expected optimal cost of one period [money] at the loads (M,), kW."""

    def __init__(self, instance: Instance, t: int, most: Array) -> None:
        self.instance, self.programs = instance, []
        nothing, base = np.zeros(len(instance.stations)), sum(b.load_kw for b in instance.buses)
        unit = base * instance.periods[t].load_factor + float(most.sum())
        for s, scenario in enumerate(instance.scenarios):
            program = FeederProgram(instance, t, s, nothing, throughput_kw=unit or 1.0)
            money = scenario.probability * instance.period_h * program.price * program.unit
            self.programs.append((program, HighsSession(program.model), money))
        self.bus = [instance.bus_index[station.bus] for station in instance.stations]
        self.tan_phi = np.array([station.tan_phi for station in instance.stations])
        self.tangents: list[tuple[float, Array]] = []
        first = self.programs[0][0]
        self.demand = np.array(first.model.row_lower)

    def close(self) -> None:
        for _, session, _ in self.programs:
            session.close()

    def at(self, load: Array) -> tuple[float, Array]:
        """V(P) and a subgradient (M,), money and money/kW. Raises ArithmeticError without an optimum."""
        total, slope = 0.0, np.zeros(len(load))
        for program, session, money in self.programs:
            drawn: dict[int, float] = {}
            for m, b in enumerate(self.bus):
                drawn[program.active[b]] = drawn.get(program.active[b], 0.0) + load[m]
                row = program.reactive[b]
                drawn[row] = drawn.get(row, 0.0) + load[m] * self.tan_phi[m]
            for row, kw in drawn.items():
                level = float(self.demand[row]) + kw / program.unit
                session.set_row_bounds(row, level, level)
            solved = session.solve()
            if solved.status != "optimal" or solved.objective is None:
                # From the last basis HiGHS may end at an "optimum" whose point breaks rows: once more, from none.
                session.reload()
                solved = session.solve()
            if solved.status != "optimal" or solved.objective is None or solved.row_duals is None:
                lacking = " without a point that keeps its rows" if solved.status == "optimal" else ""
                raise ArithmeticError(
                    f"the operator's program ended {solved.status}{lacking}, {program.where}"
                )
            total += money * solved.objective
            for m, b in enumerate(self.bus):
                price = solved.row_duals[program.active[b]]
                price += self.tan_phi[m] * solved.row_duals[program.reactive[b]]
                slope[m] += money * price / program.unit
        self._keep(total - float(slope @ load), slope)
        return total, slope

    def _keep(self, level: float, slope: Array) -> None:
        """Note the tangent unless it is known; the oldest of too many gives way."""
        for known, other in self.tangents:
            near = 1e-9 * (1.0 + float(np.abs(other).max(initial=0.0)))
            if np.abs(slope - other).max(initial=0.0) <= near and abs(level - known) <= 1e-9 * (
                1.0 + abs(known)
            ):
                return
        self.tangents = [*self.tangents, (level, slope)][-MOST_TANGENTS:]


def corners(low: Array, high: Array, total: tuple[float, float] = (0.0, math.inf)) -> Array:
    """Points (K, M) whose hull holds all P in [low, high] with sum P in ``total``.

    In up to WIDE dimensions the corners of just that set: a corner has one coordinate at most off its ends, which
    then is settled by the sum. In more, those of {P >= low, sum P in total}, with one coordinate off its lower end.
    """
    wide = np.flatnonzero(high > low)
    rest = float(low.sum())
    room = 1e-9 * (abs(rest) + float(high.sum()))
    least, most = max(total[0] - room, rest), min(total[1] + room, float(high.sum()))
    if len(wide) > WIDE:
        points = np.tile(low, (2 * len(wide), 1))
        for row, (end, m) in enumerate(itertools.product((least - rest, most - rest), wide)):
            points[row, m] += end
        return points
    bits = (np.arange(2 ** len(wide))[:, None] >> np.arange(len(wide))) % 2 == 1
    box = np.tile(low, (len(bits), 1))
    box[:, wide] = np.where(bits, high[wide], low[wide])
    sums = box.sum(axis=1)
    inside = [box[(sums >= least) & (sums <= most)]]
    for m in wide:
        edge = box[box[:, m] == low[m]]
        for end in (least, most):
            across = edge.copy()
            across[:, m] += end - edge.sum(axis=1)
            inside.append(across[(across[:, m] > low[m]) & (across[:, m] < high[m])])
    points = np.vstack(inside)
    return points if len(points) else box


def add_nodal_bill(
    model: LinearModel,
    value: OperatorValue,
    load: Array,
    low: Array,
    high: Array,
    reach: float,
    total: tuple[float, float] = (0.0, math.inf),
) -> tuple[Array, Array, float]:
    """An upper estimate of the dearest nodal bill for loads in the box whose sum is in ``total``, as (columns,
    coefficients, constant).

    V is convex, so for every c of the dual face at P and every reach d > 0, with L(P) the leader's loads of P

        c.L(P) <= (V(P + d L(P)) - V(P)) / d <= (sum_i theta_i V(P_i + d L(P_i)) - max_j tangent_j(P)) / d,

    P = sum_i theta_i P_i over points P_i around the box, theta >= 0, sum theta = 1, tangents wherever V has been looked
    at: exact where V is affine from P to P + d L(P), for all P in the box. L(P) = P where there is no rival.
    """
    points = corners(low, high, total)
    theta = model.add_variables([f"corner[{i}]" for i in range(len(points))], 0.0, 1.0)
    model.add_row("corners", theta, np.ones(len(theta)), 1.0, 1.0)
    for m, column in enumerate(load):
        model.add_row(f"corner_load[{m}]", [*theta, column], [*points[:, m], -1.0], 0.0, 0.0)
    further = 1.0 + reach * owned(value.instance)
    above = np.array([value.at(further * point)[0] for point in points])
    value.at(0.5 * (low + high))
    rounding = 1e-10 * float(np.abs(above).max())
    # A corner's coordinate may lie beyond the box, where there are many; the model's loads don't.
    tops = [level + float(np.maximum(slope * low, slope * high).sum()) for level, slope in value.tangents]
    least = min(level + float(np.minimum(slope * low, slope * high).sum()) for level, slope in value.tangents)
    below = model.add_variable("operator_cost", least - rounding, max(tops) + rounding)
    for i, (level, slope) in enumerate(value.tangents):
        lost = 1e-10 * (abs(level) + float(np.abs(slope) @ high))
        model.add_row(f"tangent[{i}]", [below, *load], [1.0, *-slope], level - lost, math.inf)
    columns = np.array([*theta, below, *load])
    weights = np.array([*above, -1.0, *np.zeros(len(load))]) / reach
    return columns, weights, rounding / reach


def add_regulated_bill(
    model: LinearModel, instance: Instance, load: Array, low: Array, high: Array
) -> Products:
    """Add the tariff c[m,t] and its products with the loads (columns), all (M, T), loads in [low, high]."""
    box = tariff_box(instance)
    stations, periods = load.shape
    bill, price = [], []
    for m in range(stations):
        mine = model.add_variables([f"tariff[{m},{t}]" for t in range(periods)], box.low[m], box.high[m])
        if math.isfinite(box.mean[m]):
            model.add_row(
                f"mean_tariff[{m}]", mine, np.ones(periods), -math.inf, periods * float(box.mean[m])
            )
        for t in range(periods):
            e = model.add_variable(f"bill[{m},{t}]", -math.inf, math.inf)
            prices, loads = (
                (float(box.low[m, t]), float(box.high[m, t])),
                (float(low[m, t]), float(high[m, t])),
            )
            mccormick(model, f"bill[{m},{t}]", e, int(mine[t]), int(load[m, t]), prices, loads)
            bill.append(e)
            price.append(int(mine[t]))
    return Products(np.array(bill), np.array(price), load.ravel().astype(int))


@dataclass(frozen=True)
class DearestBill:
    """``found``: a bill that prices on the face lead to; ``bound``: none of them leads to more. Money."""

    found: float
    bound: float


def dearest_bill(instance: Instance, t: int, load: Array) -> DearestBill:
    """The largest bill c.P dt of the leader's stations over the optimal dual faces of period index t at loads (M,).

    The bound holds whatever the solver says: its row duals are taken as they are and the bound that they prove is
    added up exactly (mpec.exact_sums). For that the multipliers, some of which are free, need ends: FAR times the
    largest one found. Raises ArithmeticError when a program can't be solved.
    """
    found = bound = 0.0
    for s, scenario in enumerate(instance.scenarios):
        program = FeederProgram(instance, t, s, load)
        face, active, reactive = program.dual_face()
        cost = np.zeros(face.columns)
        for m, station in enumerate(instance.stations):
            bus = instance.bus_index[station.bus]
            sold = load[m] if station.owner == "leader" else 0.0
            cost[active[bus]] += sold / program.unit
            cost[reactive[bus]] += sold / program.unit * station.tan_phi
        session = HighsSession(face)
        try:
            session.set_objective(cost, maximise=True)
            solved = session.solve()
        finally:
            session.close()
        if solved.status != "optimal" or solved.x is None or solved.row_duals is None:
            raise ArithmeticError(f"the dearest bill was not found ({solved.status}), {program.where}")
        money = scenario.probability * instance.period_h * program.price * program.unit
        found += money * float(cost @ solved.x)
        bound += money * _proven(face, cost, solved.x, solved.row_duals)
    return DearestBill(found, max(found, bound))


def _proven(face: LinearModel, cost: Array, x: Array, row_duals: Array) -> float:
    """max cost.y over the face's points no larger than FAR times ``x``: at most this, by any row duals."""
    far = FAR * max(1.0, float(np.abs(x).max(initial=0.0)))
    boxed = face.copy()
    boxed.cost, boxed.maximise, boxed.constant = cost.tolist(), True, 0.0
    boxed.lower = [max(low, -far) for low in face.lower]
    boxed.upper = [min(high, far) for high in face.upper]
    return exact_dual_bound(boxed, row_duals.tolist())
