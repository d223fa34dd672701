"""The operator's program as the judge writes it: one period, one scenario, eqs. (4)-(13), from the instance.

Written a second time on purpose: the judge shares no model with those whose results it judges. Powers are in
units of the feeder's throughput and costs in units of the import price, so that a solver's absolute
tolerances mean the same for every instance.

    minimise  c_e P_GD + c_ab (available - P_WT) + VOLL (shed + emergency)      (per hour, given the scenario)

The optimal dual face is what is complementary to an optimal dispatch x*: {y : c - A'y sign-right and 0 where
x* has slack}. A slack below ``ACTIVE`` times its row's size counts as none (the eps-game).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from instances.model import Instance
from mpec.equilibrium import Point
from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession

Array = np.ndarray

ACTIVE = 2e-7
"""Relative slack below which a row of the operator's program counts as binding: twice the tolerance of a
dispatch, so that a load which is meant to sit on a kink, and does so to 1e-7, has the kink's prices."""

NOISE = 1e-9
"""Slack below this share of a row's size is a solver's rounding."""

SLACKNESS = 1e-7
"""What the slack of binding sides may be worth, as a share of serving everything by import. The bounding model allows
more (mpec.hour_dispatch.leeway), and the same sides to bind."""

_FLOOR = 1e-3
"""Rows are judged relative to their own size, but not finer than this share of the feeder's throughput."""


def outward_ends(instance: Instance) -> list[tuple[int, int]]:
    """(bus nearer to the root, bus farther) of every line, bus indices. Raises ValueError unless a tree."""
    index, root = instance.bus_index, instance.bus_index[instance.feeder.root_bus]
    ends: list[tuple[int, int] | None] = [None] * len(instance.lines)
    queue, reached = deque([root]), {root}
    while queue:
        bus = queue.popleft()
        for n, line in enumerate(instance.lines):
            a, b = index[line.from_bus], index[line.to_bus]
            if ends[n] is not None or bus not in (a, b):
                continue
            far = b if bus == a else a
            if far in reached:
                raise ValueError(f"line {line.id} closes a loop; the feeder must be radial")
            ends[n] = (bus, far)
            reached.add(far)
            queue.append(far)
    if len(reached) < len(instance.buses):
        raise ValueError("some buses are not connected with the root")
    return [end for end in ends if end is not None]


@dataclass(frozen=True)
class Dispatch:
    """An optimal answer: cost per hour given the scenario [money/h] and the columns' values (scaled)."""

    cost: float
    x: Array


class FeederProgram:
    """One program, for loads ``load_kw`` (M,). Attributes name the columns and rows of ``model``.

    ``throughput_kw``: the unit of power; default: base load and station loads together, more is never moved. Wind that
    can't get out is no measure of anything: in its terms half a kW too much would count as none.
    """

    def __init__(
        self, instance: Instance, t: int, s: int, load_kw: Array, *, throughput_kw: float | None = None
    ) -> None:
        self.instance, self.t, self.s = instance, t, s
        self.load = np.asarray(load_kw, dtype=float)
        self.period, self.scenario = instance.periods[t], instance.scenarios[s]
        self.base_kw = np.array([b.load_kw for b in instance.buses]) * self.period.load_factor
        self.base_kvar = np.array([b.load_kvar for b in instance.buses]) * self.period.load_factor
        self.available = np.array(
            [instance.wind[self.scenario.id, self.period.id, f.id] for f in instance.wind_farms], dtype=float
        )
        total = float(self.base_kw.sum() + self.load.sum())
        self.unit = throughput_kw or total or float(self.available.sum()) or 1.0
        feeder = instance.feeder
        self.price = next(
            (c for c in (self.period.import_price_per_kwh, feeder.voll_per_kwh) if c > 0.0), 1.0
        )
        self.ends = outward_ends(instance)
        self.scale = math.cos(math.pi / 8) if feeder.polygon == "inner" else 1.0
        self.model = LinearModel(f"operator, period {self.period.id}, scenario {self.scenario.id}")
        self.size: list[float] = []  # of columns with bounds: what a relative slack refers to
        self.row_size: list[float] = []
        self._columns()
        self._balances()
        self._voltages()
        self._limits()

    # ---- model ---------------------------------------------------------------------------------
    def _column(self, name: str, low: float, high: float, cost: float, size: float) -> int:
        self.size.append(max(size, 1e-12))
        return self.model.add_variable(name, low, high, cost=cost)

    def _row(self, name: str, terms: list[tuple[int, float]], low: float, high: float, size: float) -> int:
        self.row_size.append(max(size, 1e-12))
        return self.model.add_row(name, [c for c, _ in terms], [v for _, v in terms], low, high)

    def _columns(self) -> None:
        instance, unit = self.instance, self.unit
        feeder = instance.feeder
        s = feeder.substation_kva * self.scale / unit
        cost = self.period.import_price_per_kwh / self.price
        voll, waste = feeder.voll_per_kwh / self.price, feeder.curtailment_per_kwh / self.price
        self.import_kw = self._column("import", 0.0, s, cost, min(s, 1.0))
        self.import_kvar = self._column("import kvar", 0.0, s, 0.0, min(s, 1.0))
        self.wind = [
            self._column(f"wind {f.id}", 0.0, a / unit, -waste, a / unit)
            for f, a in zip(instance.wind_farms, self.available, strict=True)
        ]
        self.model.constant = waste * float(self.available.sum()) / unit
        self.shed = [
            self._column(f"shed {b.id}", 0.0, 1.0 if kw > 0 else 0.0, voll * kw / unit, 1.0)
            for b, kw in zip(instance.buses, self.base_kw, strict=True)
        ]
        self.emergency = [
            self._column(f"emergency {m.id}", 0.0, math.inf, voll, 1.0) for m in instance.stations
        ]
        self.flow_kw: list[int] = []
        self.flow_kvar: list[int] = []
        for line in instance.lines:
            rating = line.rating_kva * self.scale / unit
            for group, what in ((self.flow_kw, "kW"), (self.flow_kvar, "kvar")):
                group.append(self._column(f"line {line.id} {what}", -rating, rating, 0.0, min(rating, 1.0)))
        root = instance.bus_index[feeder.root_bus]
        fixed = feeder.root_voltage_pu**2
        self.v = [
            self._column(
                f"v {bus.id}",
                fixed if b == root else bus.vmin_pu**2,
                fixed if b == root else bus.vmax_pu**2,
                0.0,
                1.0,
            )
            for b, bus in enumerate(instance.buses)
        ]

    def _balances(self) -> None:
        """(7), (8): import + wind + shed + emergency + inflow - outflow = base load + station load."""
        instance, unit, index = self.instance, self.unit, self.instance.bus_index
        active: list[list[tuple[int, float]]] = [[] for _ in instance.buses]
        reactive: list[list[tuple[int, float]]] = [[] for _ in instance.buses]
        demand, demand_kvar = self.base_kw.copy(), self.base_kvar.copy()
        root = index[instance.feeder.root_bus]
        active[root].append((self.import_kw, 1.0))
        reactive[root].append((self.import_kvar, 1.0))
        for farm, column in zip(instance.wind_farms, self.wind, strict=True):
            active[index[farm.bus]].append((column, 1.0))
            reactive[index[farm.bus]].append((column, farm.tan_phi))
        for b, column in enumerate(self.shed):
            active[b].append((column, self.base_kw[b] / unit))
            reactive[b].append((column, self.base_kvar[b] / unit))
        for m, (station, column) in enumerate(zip(instance.stations, self.emergency, strict=True)):
            b = index[station.bus]
            active[b].append((column, 1.0))
            reactive[b].append((column, station.tan_phi))
            demand[b] += self.load[m]
            demand_kvar[b] += station.tan_phi * self.load[m]
        for (near, far), p, q in zip(self.ends, self.flow_kw, self.flow_kvar, strict=True):
            active[near].append((p, -1.0))
            active[far].append((p, 1.0))
            reactive[near].append((q, -1.0))
            reactive[far].append((q, 1.0))
        self.active = [
            self._row(f"active {bus.id}", active[b], demand[b] / unit, demand[b] / unit, 1.0)
            for b, bus in enumerate(instance.buses)
        ]
        self.reactive = [
            self._row(f"reactive {bus.id}", reactive[b], demand_kvar[b] / unit, demand_kvar[b] / unit, 1.0)
            for b, bus in enumerate(instance.buses)
        ]

    def _voltages(self) -> None:
        """(9): v_near - v_far = 2 (R P + X Q) / (Z_base S_base)."""
        feeder = self.instance.feeder
        factor = 2.0 * self.unit / (feeder.base_ohm * feeder.base_kva)
        for n, line in enumerate(self.instance.lines):
            near, far = self.ends[n]
            drop = [(self.flow_kw[n], -factor * line.r_ohm), (self.flow_kvar[n], -factor * line.x_ohm)]
            self._row(f"voltage {line.id}", [(self.v[near], 1.0), (self.v[far], -1.0), *drop], 0.0, 0.0, 1.0)

    def _limits(self) -> None:
        """(6), (11): |P +- Q| <= sqrt2 S. The boxes (5), (10) are the columns' bounds."""
        diagonal = math.sqrt(2.0) * self.scale / self.unit
        s = diagonal * self.instance.feeder.substation_kva
        groups = [("substation", s, self.import_kw, self.import_kvar)]
        for n, line in enumerate(self.instance.lines):
            if math.isfinite(line.rating_kva):
                groups.append(
                    (f"line {line.id}", diagonal * line.rating_kva, self.flow_kw[n], self.flow_kvar[n])
                )
        for name, limit, p, q in groups:
            for sign in (1.0, -1.0):
                self._row(f"{name} P{sign:+.0f}Q", [(p, 1.0), (q, sign)], -limit, limit, min(limit, 1.0))

    # ---- judging a stated dispatch -------------------------------------------------------------
    def stated(self, point: Point) -> Array:
        """The point's dispatch as columns of the model."""
        t, s, unit = self.t, self.s, self.unit
        x = np.zeros(self.model.columns)
        x[self.import_kw], x[self.import_kvar] = point.import_kw[s, t] / unit, point.import_kvar[s, t] / unit
        x[self.wind] = point.wind_kw[s, t] / unit
        shed = point.shed_kw[s, t]
        # Where nothing can be shed any stated amount is a violation: keep its size.
        x[self.shed] = np.where(self.base_kw > 0, shed / np.where(self.base_kw > 0, self.base_kw, 1.0), shed)
        x[self.emergency] = point.emergency_kw[s, t] / unit
        x[self.flow_kw], x[self.flow_kvar] = point.line_kw[s, t] / unit, point.line_kvar[s, t] / unit
        x[self.v] = np.sign(point.voltage_pu[s, t]) * point.voltage_pu[s, t] ** 2
        return x

    def violation(self, x: Array) -> tuple[float, str]:
        """Largest violation of a row or bound relative to the row's size, and its name."""
        model, matrix = self.model, self.model.matrix()
        activity = np.asarray(matrix @ x)
        terms = np.asarray(abs(matrix) @ np.abs(x))
        # Balances are judged relative to what is balanced, limits relative to the limit.
        limited = np.array(model.row_lower) != np.array(model.row_upper)
        size = np.where(limited, np.array(self.row_size), np.maximum(terms, _FLOOR))
        rows = np.maximum(np.array(model.row_lower) - activity, activity - np.array(model.row_upper)) / size
        columns = np.maximum(np.array(model.lower) - x, x - np.array(model.upper)) / np.array(self.size)
        values = np.concatenate([rows, columns])
        if not np.isfinite(values[~np.isneginf(values)]).all():
            return math.nan, "a number that is not finite"
        worst = int(np.argmax(values))
        name = model.row_names[worst] if worst < len(rows) else model.column_names[worst - len(rows)]
        return max(float(values[worst]), 0.0), f"{name}, {self.where}"

    @property
    def where(self) -> str:
        return f"period {self.period.id}, scenario {self.scenario.id}"

    def cost(self, x: Array) -> float:
        """(4) per hour given the scenario, money/h."""
        return self.model.objective(x) * self.price * self.unit

    @property
    def cost_size(self) -> float:
        """What costs are compared with at least: this share of serving everything by import, money/h."""
        return _FLOOR * self.price * self.unit

    @cached_property
    def optimum(self) -> Dispatch:
        """Solve the program. Raises ArithmeticError when the solver has no optimal answer."""
        session = HighsSession(self.model)
        try:
            solved = session.solve()
        finally:
            session.close()
        if solved.status != "optimal" or solved.x is None:
            raise ArithmeticError(
                f"the operator's program has no optimal answer ({solved.status}) in {self.where}"
            )
        return Dispatch(self.cost(solved.x), solved.x)

    # ---- the optimal dual face -----------------------------------------------------------------
    def dual_face(self) -> tuple[LinearModel, Array, Array]:
        """A model whose points are the optimal multipliers y, scaled; columns of lambda and pi (B,).

        Row per primal column: c_j - (A'y)_j = 0, >= 0 at its lower bound, <= 0 at its upper bound;
        likewise the sign of y_i by the side on which row i binds. What slack the sides have that count as binding
        may be worth SLACKNESS in all: multipliers of a limit that the load is beyond by a hair belong to another price.
        """
        model, x, face = self.model, self.optimum.x, LinearModel("optimal dual face")
        activity = model.activity(x)
        worth, constant = np.zeros(model.rows), 0.0
        for i, name in enumerate(model.row_names):
            low, high, thin = model.row_lower[i], model.row_upper[i], ACTIVE * self.row_size[i]
            at_low, at_high = activity[i] - low <= thin, high - activity[i] <= thin
            face.add_variable(name, -math.inf if at_high else 0.0, math.inf if at_low else 0.0)
            worth[i] = _felt(activity[i], low, high, at_low, at_high, self.row_size[i])
        by_column = model.matrix().tocsc()
        for j, name in enumerate(model.column_names):
            thin = ACTIVE * self.size[j]
            at_low, at_high = x[j] - model.lower[j] <= thin, model.upper[j] - x[j] <= thin
            entries = slice(by_column.indptr[j], by_column.indptr[j + 1])
            # c - A'y in [0 or -inf, 0 or inf], so A'y in [c - upper, c - lower].
            lower = -math.inf if at_low else model.cost[j]
            upper = math.inf if at_high else model.cost[j]
            face.add_row(name, by_column.indices[entries], by_column.data[entries], lower, upper)
            felt = _felt(x[j], model.lower[j], model.upper[j], at_low, at_high, self.size[j])
            worth[by_column.indices[entries]] -= felt * by_column.data[entries]
            constant += felt * model.cost[j]
        felt_rows = np.flatnonzero(worth)
        if len(felt_rows):
            face.add_row("slackness", felt_rows, worth[felt_rows], -math.inf, SLACKNESS - constant)
        return face, np.array(self.active), np.array(self.reactive)


def _felt(value: float, low: float, high: float, at_low: bool, at_high: bool, size: float) -> float:
    """How far a value is from the one side at which it counts as binding; 0 for what a solver's rounding explains."""
    if at_low == at_high:
        return 0.0
    off = value - (low if at_low else high)
    return off if abs(off) > NOISE * size else 0.0
