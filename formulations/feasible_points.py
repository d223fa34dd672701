"""Feasible points of the operator's program for every station load, with slack to spare.

For a feasible x(P) with row slacks s_i(P) > 0, every optimal multiplier vector mu of the program obeys
sum_i s_i(P) mu_i <= f(x(P)) - V(P), V the optimal cost. That bounds the multipliers of all rows that have
slack at x(P), so several points are offered:

* `zero flow`: all base load shed, stations supplied by emergency, wind curtailed. Nothing flows, every
  voltage is the root's: slack in all line, octagon and (where limits leave room) voltage rows.
* `base draw`: half of the base load that the limits allow is served from the root: slack in import and
  shedding.
* `small draw`: the same with a little wind and emergency supply at every source: slack in all boxes.
* `proportional draw`: base *and* station loads served from the root in the same share, half of the share
  that every limit allows at the stations' full capacity. Cheaper than the others, so its bounds may be
  tighter, but it is feasible only for loads up to capacity (`load_limit_kw`).

All are affine in the loads: x(P) = x0 + X P. A point is left out where it would have no slack to add
(no base load; root voltage at vmin; no wind).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pyomo.core.base.component_namer import index_repr

from formulations.dispatch_data import OBLIQUE_SIDES, DispatchData
from formulations.feeder_tree import feeder_tree
from instances.model import Instance

Array = np.ndarray[Any, Any]

SMALL_SHARE = 0.1
"""Share of the served base load that wind and emergency supply together may take in `small draw`."""

CAPACITY_MARGIN = 1.01
"""Loads are looked at up to this multiple of the capacity, so that a load barely above it is covered too."""

LEAST_STEP = 1e-6
"""A point closer than this to `zero flow` has no slack worth having and is left out."""

ROUNDING = 1e-12
"""A slack above minus this counts as zero (p.u. or kW); half of the step is taken, so no row is broken."""


@dataclass(frozen=True)
class InteriorPoint:
    """x(P) by variable name of `distribution_block`: name -> (constant, {station id: coefficient}).

    load_limit_kw: the point is proven feasible for 0 <= P[m] <= limit; None means for every P >= 0.
    """

    name: str
    values: Mapping[str, tuple[float, Mapping[str, float]]]
    load_limit_kw: Mapping[str, float] | None = None


def interior_points(instance: Instance, period_index: int, scenario_index: int) -> list[InteriorPoint]:
    """The points above for one program, `zero flow` first. Errors as in `distribution_block`."""
    space = _Space(instance, period_index, scenario_index)
    points = [space.point("zero flow", space.zero_flow)]
    for name, direction, limited in (
        ("base draw", space.base_draw, False),
        ("small draw", space.small_draw, False),
        ("proportional draw", space.proportional_draw, True),
    ):
        step = 0.5 * space.longest_step(direction)
        if step > LEAST_STEP:
            points.append(space.point(name, space.zero_flow.plus(direction, step), limited))
    return points


@dataclass(frozen=True)
class _State:
    """Decisions affine in P: arrays (n, 1 + M), column 0 the constant, column 1 + m per kW of station m."""

    shed: Array
    wind: Array
    emergency: Array
    served: float = 0.0

    def plus(self, other: _State, step: float) -> _State:
        return _State(
            self.shed + step * other.shed,
            self.wind + step * other.wind,
            self.emergency + step * other.emergency,
        )


class _Space:
    """What the points of one program share: data, tree and incidence of stations and farms."""

    def __init__(self, instance: Instance, period_index: int, scenario_index: int) -> None:
        self.instance = instance
        self.data = DispatchData.of(instance, period_index, scenario_index)
        self.tree = feeder_tree(instance)
        stations, buses = instance.stations, instance.bus_index
        self.columns = 1 + len(stations)
        self.capacity = np.array([CAPACITY_MARGIN * m.capacity_kw for m in stations])
        self.base_kw = np.array(list(self.data.base_kw.values()))
        self.base_kvar = np.array(list(self.data.base_kvar.values()))
        self.available = np.array(list(self.data.available_kw.values()))
        self.station_bus = [buses[m.bus] for m in stations]
        self.farm_bus = [buses[f.bus] for f in instance.wind_farms]
        self.station_tan = np.array([m.tan_phi for m in stations])
        self.farm_tan = np.array([f.tan_phi for f in instance.wind_farms])
        self.unit = np.hstack([np.zeros((len(stations), 1)), np.eye(len(stations))])

    def _constant(self, values: Array) -> Array:
        return np.hstack([values.reshape(-1, 1), np.zeros((len(values), self.columns - 1))])

    @property
    def zero_flow(self) -> _State:
        ones, none = np.ones(len(self.base_kw)), np.zeros(len(self.available))
        return _State(self._constant(ones), self._constant(none), self.unit)

    @property
    def base_draw(self) -> _State:
        """Direction: base load is taken up everywhere, from the root alone."""
        none, sources = np.zeros(len(self.available)), np.zeros(len(self.station_bus))
        ones = np.ones(len(self.base_kw))
        return _State(-self._constant(ones), self._constant(none), self._constant(sources))

    @property
    def small_draw(self) -> _State:
        """Direction: as `base_draw`, and every wind farm and emergency supply gives a little of it.

        The shares are such that the imports of kW and of kvar both keep growing. A source that gives kvar
        gets no share where base load has none to take.
        """
        sources = len(self.available) + len(self.station_bus)
        each_kw = SMALL_SHARE * float(self.base_kw.sum()) / max(sources, 1)
        each_kvar = SMALL_SHARE * max(float(self.base_kvar.sum()), 0.0) / max(sources, 1)

        def share(tan_phi: Array) -> Array:
            return np.array([min(each_kw, each_kvar / t) if t > 0.0 else each_kw for t in tan_phi])

        wind = np.minimum(share(self.farm_tan), self.available)
        return _State(self.base_draw.shed, self._constant(wind), self._constant(share(self.station_tan)))

    @property
    def proportional_draw(self) -> _State:
        """Direction: base load is taken up and emergency supply replaced in the same proportion."""
        none = np.zeros(len(self.available))
        return _State(-self._constant(np.ones(len(self.base_kw))), self._constant(none), -self.unit)

    def flows(self, state: _State) -> dict[str, Array]:
        """All other variables of the program at a state, as arrays affine in P."""
        net_kw = self.base_kw[:, None] * (self._constant(np.ones(len(self.base_kw))) - state.shed)
        net_kvar = self.base_kvar[:, None] * (self._constant(np.ones(len(self.base_kw))) - state.shed)
        for m, bus in enumerate(self.station_bus):
            net_kw[bus] += self.unit[m] - state.emergency[m]
            net_kvar[bus] += self.station_tan[m] * (self.unit[m] - state.emergency[m])
        for f, bus in enumerate(self.farm_bus):
            net_kw[bus] -= state.wind[f]
            net_kvar[bus] -= self.farm_tan[f] * state.wind[f]
        downstream = self.tree.downstream
        flow_kw, flow_kvar = downstream @ net_kw, downstream @ net_kvar
        r = np.array(list(self.data.r_pu_per_kw.values()))[:, None]
        x = np.array(list(self.data.x_pu_per_kvar.values()))[:, None]
        v = self._constant(np.full(len(self.base_kw), self.data.root_v))
        v -= 2.0 * downstream.T @ (r * flow_kw + x * flow_kvar)
        return {
            "import_kw": net_kw.sum(axis=0, keepdims=True),
            "import_kvar": net_kvar.sum(axis=0, keepdims=True),
            "flow_kw": flow_kw,
            "flow_kvar": flow_kvar,
            "v": v,
        }

    def longest_step(self, direction: _State) -> float:
        """The longest step in [0, 1] from `zero flow` for which every row holds for all P in [0, capacity].

        A row's slack at step h is a(P) + h (b(P) - a(P)), a and b its slacks at steps 0 and 1, both affine
        in P; its least value over the box is concave in h, so the steps that are allowed form an interval.
        """
        whole = self.zero_flow.plus(direction, 1.0)
        at_zero, at_one = self._slacks(self.zero_flow), self._slacks(whole)

        def allowed(step: float) -> bool:
            rows = (1.0 - step) * at_zero + step * at_one
            least = rows[:, 0] + np.minimum(rows[:, 1:] * self.capacity, 0.0).sum(axis=1)
            return bool(least.min(initial=0.0) >= -ROUNDING)

        if allowed(1.0):
            return 1.0
        low, high = 0.0, 1.0
        while high - low > LEAST_STEP:
            middle = 0.5 * (low + high)
            low, high = (middle, high) if allowed(middle) else (low, middle)
        return low

    def _slacks(self, state: _State) -> Array:
        """Every inequality row of the program as an affine slack, (rows, 1 + M), >= 0 where it holds."""
        flows = self.flows(state)
        one = self._constant(np.ones(1))[0]
        rows: list[Array] = []

        def between(values: Array, low: Array, high: Array) -> None:
            for value, a, b in zip(values, low, high, strict=True):
                if np.isfinite(a):
                    rows.append(value - a * one)
                if np.isfinite(b):
                    rows.append(b * one - value)

        data, count = self.data, len(self.base_kw)
        loaded = np.flatnonzero(self.base_kw > 0.0)
        between(state.shed[loaded], np.zeros(len(loaded)), np.ones(len(loaded)))
        between(state.wind, np.zeros(len(self.available)), self.available)
        emergency = state.emergency
        between(emergency, np.zeros(len(emergency)), np.full(len(emergency), np.inf))
        s = np.array([data.substation_kva])
        between(flows["import_kw"], 0.0 * s, s)
        between(flows["import_kvar"], 0.0 * s, s)
        between(flows["import_kw"] + flows["import_kvar"], -np.inf * s, np.sqrt(2.0) * s)
        inner = np.array([b for b in range(count) if b != self.tree.root], dtype=int)
        low, high = np.array(list(data.v_min.values())), np.array(list(data.v_max.values()))
        between(flows["v"][inner], low[inner], high[inner])
        rated = {self.instance.lines[i].id: i for i in range(len(self.instance.lines))}
        for line, rating in data.line_kva.items():
            p, q = flows["flow_kw"][rated[line]], flows["flow_kvar"][rated[line]]
            for power in (p, q):
                rows += [rating * one - power, rating * one + power]
            rows += [np.sqrt(2.0) * rating * one - a * p - b * q for a, b in OBLIQUE_SIDES.values()]
        return np.array(rows)

    def point(self, name: str, state: _State, limited: bool = False) -> InteriorPoint:
        """Name the numbers as the variables of `distribution_block`."""
        instance, flows = self.instance, self.flows(state)
        buses = [bus.id for bus in instance.buses]
        stations = [m.id for m in instance.stations]
        values: dict[str, tuple[float, dict[str, float]]] = {}

        def put(variable: str, ids: list[str] | None, rows: Array) -> None:
            for i, row in enumerate(rows):
                coefficients = {m: float(c) for m, c in zip(stations, row[1:], strict=True) if c != 0.0}
                key = variable if ids is None else variable + index_repr(ids[i])
                values[key] = (float(row[0]), coefficients)

        put("import_kw", None, flows["import_kw"])
        put("import_kvar", None, flows["import_kvar"])
        put("wind_kw", [f.id for f in instance.wind_farms], state.wind)
        loaded = [b for b, kw in enumerate(self.base_kw) if kw > 0.0]
        put("shed", [buses[b] for b in loaded], state.shed[loaded])
        put("emergency_kw", stations, state.emergency)
        put("flow_kw", [line.id for line in instance.lines], flows["flow_kw"])
        put("flow_kvar", [line.id for line in instance.lines], flows["flow_kvar"])
        inner = [b for b in range(len(buses)) if b != self.tree.root]
        put("v", [buses[b] for b in inner], flows["v"][inner])
        limit = dict(zip(stations, self.capacity.tolist(), strict=True)) if limited else None
        return InteriorPoint(name, values, limit)
