"""The operator's program of one period and scenario at given loads: optimum, duals, prices, regions.

An optimum is a vertex given by its tight limits; as long as the load stays inside the region where those
limits are the tight ones, decisions are affine in the load and the duals are constant. Such vertices are kept
and tried before any program is solved, for a whole batch of loads at once. Where more limits are tight than
needed (a kink of the cost) the duals are not unique and `dual_face` gives the extremes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from formulations.prices import owned
from instances.model import Instance
from mpec.followers.dual_face import extreme_prices
from mpec.followers.feeder_program import (
    FeederProgram,
    ScenarioData,
    feeder_program,
    scenario_data,
    station_prices,
)
from mpec.linear_model import LinearModel
from mpec.solvers import Session, SolverError, open_session

Array = np.ndarray[Any, Any]

TIGHT = 1e-7
"""A row counts as tight within this much of its limit (kW, relative above 1 kW)."""


@dataclass(frozen=True)
class ScenarioAnswer:
    """One scenario, conditional and per hour: decision (Z,), multiplier of the rows (I,), lambda and pi (B,),
    the stations' price with its extremes (M,), money/kWh, and cost, money/h."""

    decision: Array
    multiplier: Array
    price_p: Array
    price_q: Array
    price: Array
    low: Array
    high: Array
    cost: float


@dataclass(frozen=True)
class Vertex:
    """An optimal basis: tight limits `at` (indices into rows then decisions) and on which side.

    decision = inverse @ limits(P); multipliers (rows then decisions) are d cost / d limit.
    """

    at: Array
    upper_side: Array
    inverse: Array
    multiplier: Array
    price_p: Array
    price_q: Array
    price: Array
    constant: Array
    slope: Array
    slack_constant: Array
    slack_slope: Array
    reach: Array
    cost_constant: float
    cost_slope: Array


@dataclass
class ScenarioPrograms:
    """The operator's programs of one instance; optimal vertices met so far are kept. Not to be pickled."""

    instance: Instance
    solver: str = "highs"
    program: FeederProgram = field(init=False)
    solved: int = field(init=False, default=0)
    _data: dict[tuple[int, int], ScenarioData] = field(init=False, default_factory=dict)
    _vertices: dict[tuple[int, int], list[Vertex]] = field(init=False, default_factory=dict)
    _session: Session | None = field(init=False, default=None)
    _limits: Array = field(init=False)
    _own: Array = field(init=False)

    def __post_init__(self) -> None:
        self.program = feeder_program(self.instance)
        self._own = owned(self.instance)
        self._limits = np.vstack([self.program.rows, np.eye(self.program.decisions)])

    # ---- data ------------------------------------------------------------------------------------
    def data(self, t: int, s: int) -> ScenarioData:
        """The right sides of period index t and scenario index s."""
        if (t, s) not in self._data:
            self._data[t, s] = scenario_data(self.program, t, s)
        return self._data[t, s]

    def _bounds(self, data: ScenarioData, load: Array) -> tuple[Array, Array]:
        """Limits of rows.z and z at a load, (I + Z,) each."""
        shift = self.program.by_load @ load
        zeros = np.zeros(self.program.decisions)
        return (
            np.concatenate([data.lower - shift, zeros]),
            np.concatenate([data.upper - shift, data.upper_decision]),
        )

    # ---- one scenario ------------------------------------------------------------------------------
    def _solve(self, t: int, s: int, load: Array) -> Array:
        """An optimal vertex z of one program, (Z,). Raises SolverError when the solver fails."""
        program, data = self.program, self.data(t, s)
        lower, upper = self._bounds(data, load)
        rows = len(program.names)
        if self._session is None:
            self._session = open_session(_model(program), self.solver)
        session = self._session
        session.set_objective(data.cost, maximise=False)
        columns = np.arange(program.decisions)
        session.set_bounds(columns, lower[rows:], upper[rows:])
        for i in range(rows):
            session.set_row_bounds(i, float(lower[i]), float(upper[i]))
        answer = session.solve()
        self.solved += 1
        if answer.status != "optimal" or answer.x is None:
            raise SolverError(
                f"the operator's program of {self._label(t, s)} ended {answer.status}; it always has an "
                "optimum when every bus allows the root voltage: check buses.csv and lines.csv"
            )
        return answer.x

    def _tight(self, data: ScenarioData, z: Array, load: Array) -> tuple[Array, Array]:
        """Which limits hold with equality at z: lower and upper side, (I + Z,) bool each."""
        lower, upper = self._bounds(data, load)
        value = self._limits @ z
        with np.errstate(invalid="ignore"):
            room = TIGHT * np.maximum(1.0, np.abs(value))
            return value - lower <= room, upper - value <= room

    def _vertex(self, t: int, s: int, z: Array, load: Array) -> Vertex | None:
        """The vertex at z where its tight limits are just enough to fix it, else None (a kink)."""
        data, program = self.data(t, s), self.program
        low, high = self._tight(data, z, load)
        at = np.flatnonzero(low | high)
        if len(at) != program.decisions:
            return None
        basis = self._limits[at]
        if not len(at):
            inverse = np.zeros((0, 0))
        elif np.linalg.cond(basis) > 1e10:
            return None
        else:
            inverse = np.linalg.inv(basis)
        tight_multiplier = inverse.T @ data.cost
        free = low[at] & high[at]
        wrong = np.where(high[at], tight_multiplier > 1e-9, tight_multiplier < -1e-9) & ~free
        if wrong.any():
            return None
        return self._finish(data, at, high[at], inverse, tight_multiplier)

    def _finish(
        self, data: ScenarioData, at: Array, upper_side: Array, inverse: Array, tight_multiplier: Array
    ) -> Vertex:
        program = self.program
        rows = len(program.names)
        multiplier = np.zeros(rows + program.decisions)
        multiplier[at] = tight_multiplier
        zero = np.zeros(program.by_load.shape[1])
        lower, upper = self._bounds(data, zero)
        fixed = np.where(upper_side, upper[at], lower[at])
        by_load = np.zeros((len(at), len(zero)))
        on_rows = at < rows
        by_load[on_rows] = -program.by_load[at[on_rows]]
        constant, slope = inverse @ fixed, inverse @ by_load
        value, change = self._limits @ constant, self._limits @ slope
        change[:rows] += program.by_load
        price_p, price_q, price = station_prices(program, data, multiplier[:rows])
        return Vertex(
            at=at,
            upper_side=upper_side,
            inverse=inverse,
            multiplier=multiplier,
            price_p=price_p,
            price_q=price_q,
            price=price,
            constant=constant,
            slope=slope,
            slack_constant=np.concatenate([value - lower, upper - value]),
            slack_slope=np.concatenate([change, -change]),
            reach=np.abs(np.concatenate([value, value])),
            cost_constant=data.fixed_cost + float(data.cost @ constant),
            cost_slope=data.load_cost + data.cost @ slope,
        )

    # ---- prices over a batch ---------------------------------------------------------------------
    def prices(self, t: int, load: Array, *, favour: int = 1) -> tuple[Array, Array]:
        """Expected prices (K, M), money/kWh, and expected cost (K,), money/h, at loads (K, M)."""
        total, cost = np.zeros(load.shape), np.zeros(len(load))
        for s, scenario in enumerate(self.instance.scenarios):
            todo = np.ones(len(load), bool)
            for vertex in self._vertices.get((t, s), ()):
                rows = np.flatnonzero(todo)
                if not len(rows):
                    break
                rows = rows[self._inside(vertex, load[rows])]
                total[rows] += scenario.probability * vertex.price
                cost[rows] += scenario.probability * (vertex.cost_constant + load[rows] @ vertex.cost_slope)
                todo[rows] = False
            for k in np.flatnonzero(todo):
                answer = self.scenario(t, s, load[k], favour=favour, interval=False)
                total[k] += scenario.probability * answer.price
                cost[k] += scenario.probability * answer.cost
        return total, cost

    def _inside(self, vertex: Vertex, load: Array) -> Array:
        """Whether loads (K, M) are inside a vertex's region, away from every other limit, (K,) bool."""
        slack = vertex.slack_constant + load @ vertex.slack_slope.T
        count = len(slack.T) // 2
        free = np.ones(2 * count, bool)
        free[vertex.at] = free[vertex.at + count] = False
        return np.asarray((slack[:, free] > 2.0 * TIGHT * np.maximum(1.0, vertex.reach[free])).all(axis=1))

    def scenario(
        self, t: int, s: int, load: Array, *, favour: int = 1, interval: bool = True
    ) -> ScenarioAnswer:
        """One program at one load (M,)."""
        kept = self._vertices.setdefault((t, s), [])
        for vertex in kept:
            if self._inside(vertex, load[None])[0]:
                return self._from_vertex(vertex, load)
        z = self._solve(t, s, load)
        found = self._vertex(t, s, z, load)
        if found is not None:
            kept.append(found)
            return self._from_vertex(found, load)
        return self._from_face(t, s, z, load, favour, interval)

    def _from_vertex(self, vertex: Vertex, load: Array) -> ScenarioAnswer:
        rows = len(self.program.names)
        return ScenarioAnswer(
            decision=np.maximum(vertex.constant + vertex.slope @ load, 0.0),
            multiplier=vertex.multiplier[:rows],
            price_p=vertex.price_p,
            price_q=vertex.price_q,
            price=vertex.price,
            low=vertex.price,
            high=vertex.price,
            cost=vertex.cost_constant + float(vertex.cost_slope @ load),
        )

    def _from_face(
        self, t: int, s: int, z: Array, load: Array, favour: int, interval: bool
    ) -> ScenarioAnswer:
        """At a kink: the duals chosen from the optimal face, and the extremes of the prices over it."""
        data, program = self.data(t, s), self.program
        rows = len(program.names)
        low_side, high_side = self._tight(data, z, load)
        at = np.flatnonzero(low_side | high_side)
        effect = np.zeros((program.by_load.shape[1], len(at)))
        effect[:, at < rows] = -program.by_load[at[at < rows]].T
        duals, low, high = extreme_prices(
            [program.names[i] if i < rows else f"decision[{i - rows}]" for i in at],
            self._limits[at],
            low_side[at],
            high_side[at],
            data.cost,
            effect,
            self._own * load,
            favour=favour,
            interval=interval,
            solver=self.solver,
            label=self._label(t, s),
        )
        chosen = np.zeros(rows + program.decisions)
        chosen[at] = duals
        price_p, price_q, price = station_prices(program, data, chosen[:rows])
        return ScenarioAnswer(
            decision=z,
            multiplier=chosen[:rows],
            price_p=price_p,
            price_q=price_q,
            price=price,
            low=np.minimum(data.load_cost + low, price),
            high=np.maximum(data.load_cost + high, price),
            cost=float(data.fixed_cost + data.load_cost * load.sum() + data.cost @ z),
        )

    def _label(self, t: int, s: int) -> str:
        return f"period {self.instance.periods[t].id}, scenario {self.instance.scenarios[s].id}"


def _model(program: FeederProgram) -> LinearModel:
    """The program with the limits still open (they are set before every solve)."""
    model = LinearModel(name="dispatch")
    model.add_variables([f"decision[{j}]" for j in range(program.decisions)], 0.0, math.inf)
    for name, row in zip(program.names, program.rows, strict=True):
        where = np.flatnonzero(row)
        model.add_row(name, where, row[where], -math.inf, math.inf)
    return model
