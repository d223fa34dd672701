"""The operator's answer to given station loads: dispatch, nodal prices, their parts and their interval.

Statement: for every scenario the linear program (4)-(13) at load P (kW). The price of a kWh at station m is

    c[m] = sum_s p_s (lambda_s + tan(phi_m) pi_s),   lambda, pi = d(conditional cost per hour)/d(bus kW, kvar),

the same as (1/dt) times the duals of the probability-weighted programs. Where the optimal duals are not
unique (P on a kink of the cost), `low` and `high` are each station's own extremes over the optimal dual
face, and `price` is the member of the face whose bill sum_m c[m] P[m] is least (favour +1, the leader's
case), largest (-1) or any (0). Scenarios are independent, so extremes add up.

Speed: an optimum is a vertex given by its tight rows; as long as the load stays inside the region where
those rows are the tight ones, x is affine in P and the duals are constant. Such regions are kept and tried
before any program is solved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from instances.model import Instance
from mpec.followers.feeder_program import FeederProgram, ScenarioData, feeder_program, scenario_data
from mpec.linear_model import LinearModel
from mpec.solvers import Session, SolverError, open_session

Array = np.ndarray

TIGHT = 1e-7
"""A row counts as tight within this much of its limit (kW, relative above 1 kW)."""


@dataclass(frozen=True)
class PeriodDispatch:
    """The operator's answer in one period; S scenarios, B buses, L lines, F farms, M stations.

    cost: probability-weighted, money per period. price, low, high and the parts energy, congestion,
    voltage (M,), money/kWh. price_active, price_reactive (S, B): conditional lambda_s/(p_s dt), money/kWh.
    """

    cost: float
    price: Array
    low: Array
    high: Array
    energy: Array
    congestion: Array
    voltage: Array
    voltage_pu: Array
    price_active: Array
    price_reactive: Array
    shed_kw: Array
    import_kw: Array
    import_kvar: Array
    line_kw: Array
    line_kvar: Array
    wind_kw: Array
    emergency_kw: Array


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


@dataclass
class DispatchSolver:
    """The operator of one instance, with its program and the optimal vertices met so far kept."""

    instance: Instance
    solver: str = "highs"
    program: FeederProgram = field(init=False)
    _data: dict[tuple[int, int], ScenarioData] = field(init=False, default_factory=dict)
    _vertices: dict[tuple[int, int], list[Vertex]] = field(init=False, default_factory=dict)
    _session: Session | None = field(init=False, default=None)
    _limits: Array = field(init=False)
    solved: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.program = feeder_program(self.instance)
        z = self.program.decisions
        self._limits = np.vstack([self.program.rows, np.eye(z)])

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
                f"the operator's program of period {self.instance.periods[t].id}, scenario "
                f"{self.instance.scenarios[s].id} ended {answer.status}; it always has an optimum when every "
                "bus allows the root voltage, so check voltage limits and numbers of buses.csv and lines.csv"
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
        price_p, price_q, price = _prices(program, data, multiplier[:rows])
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
        """At a kink: the optimal duals are a polytope; linear programs over it give the extremes."""
        data, program = self.data(t, s), self.program
        rows = len(program.names)
        low_side, high_side = self._tight(data, z, load)
        at = np.flatnonzero(low_side | high_side)
        model = LinearModel(name="dual_face")
        for i in at:
            name = program.names[i] if i < rows else f"decision[{i - rows}]"
            model.add_variable(name, -math.inf if high_side[i] else 0.0, math.inf if low_side[i] else 0.0)
        columns = np.arange(len(at))
        for j in range(program.decisions):
            value = float(data.cost[j])
            model.add_row(f"decision[{j}]", columns, self._limits[at, j], value, value)
        session = open_session(model, self.solver)
        effect = np.zeros((program.by_load.shape[1], len(at)))
        effect[:, at < rows] = -program.by_load[at[at < rows]].T

        def extreme(weights: Array, maximise: bool) -> Array:
            session.set_objective(weights @ effect, maximise=maximise)
            solved = session.solve()
            self.solved += 1
            if solved.status != "optimal" or solved.x is None:
                raise SolverError(
                    f"the optimal duals of period {self.instance.periods[t].id}, scenario "
                    f"{self.instance.scenarios[s].id} could not be found ({solved.status}); "
                    "the data of feeder and loads span too many orders of magnitude"
                )
            return solved.x

        # A bill of nothing leaves the choice open; then the sum of the prices decides.
        weights = load if load.any() else np.ones(len(load))
        chosen = np.zeros(rows + program.decisions)
        chosen[at] = extreme(weights if favour else np.zeros(len(load)), favour < 0)
        price_p, price_q, price = _prices(program, data, chosen[:rows])
        low, high = price, price
        if interval:
            each = np.eye(len(load))
            low = np.array([data.load_cost + float(effect[m] @ extreme(each[m], False)) for m in range(len(load))])
            high = np.array([data.load_cost + float(effect[m] @ extreme(each[m], True)) for m in range(len(load))])
        session.close()
        return ScenarioAnswer(
            decision=z,
            multiplier=chosen[:rows],
            price_p=price_p,
            price_q=price_q,
            price=price,
            low=np.minimum(low, price),
            high=np.maximum(high, price),
            cost=float(data.fixed_cost + data.load_cost * load.sum() + data.cost @ z),
        )

    # ---- a period --------------------------------------------------------------------------------
    def period(self, t: int, load: Array, *, favour: int = 1) -> PeriodDispatch:
        """All scenarios of period index t at loads (M,), kW; see :func:`dispatch_period`."""
        load = np.asarray(load, float)
        if (load < 0).any() or not np.isfinite(load).all():
            raise ValueError("station loads must be finite and not negative, kW")
        answers = [self.scenario(t, s, load, favour=favour) for s in range(len(self.instance.scenarios))]
        share = np.array([s.probability for s in self.instance.scenarios])

        def expected(values: list[Array]) -> Array:
            return np.asarray(share @ np.array(values))

        program = self.program
        root = program.root
        energy = [
            np.full(len(load), a.price_p[root]) + program.tan_phi * a.price_q[root] for a in answers
        ]
        parts = {
            kind: [-program.by_load[program.group == kind].T @ a.multiplier[program.group == kind] for a in answers]
            for kind in ("line", "voltage")
        }
        flows = [self._flows(t, s, a.decision, load) for s, a in enumerate(answers)]
        farms, sheds = len(self.instance.wind_farms), len(program.shed_bus)
        shed = np.zeros((len(answers), len(self.instance.buses)))
        shed[:, program.shed_bus] = [a.decision[farms : farms + sheds] for a in answers]
        return PeriodDispatch(
            cost=float(share @ [a.cost for a in answers]) * self.instance.period_h,
            price=expected([a.price for a in answers]),
            low=expected([a.low for a in answers]),
            high=expected([a.high for a in answers]),
            energy=expected(energy),
            congestion=expected(parts["line"]),
            voltage=expected(parts["voltage"]),
            voltage_pu=np.array([np.sqrt(f[2]) for f in flows]),
            price_active=np.array([a.price_p for a in answers]),
            price_reactive=np.array([a.price_q for a in answers]),
            shed_kw=shed,
            import_kw=np.array([f[3] for f in flows]),
            import_kvar=np.array([f[4] for f in flows]),
            line_kw=np.array([f[0] for f in flows]),
            line_kvar=np.array([f[1] for f in flows]),
            wind_kw=np.array([a.decision[:farms] for a in answers]),
            emergency_kw=np.array([a.decision[farms + sheds :] for a in answers]),
        )

    def _flows(self, t: int, s: int, z: Array, load: Array) -> tuple[Array, Array, Array, float, float]:
        """Line kW, line kvar (L,), squared voltage (B,), import kW and kvar at decisions z."""
        program, data = self.program, self.data(t, s)
        p = data.base_p + program.station_p @ load + program.decision_p @ z
        q = data.base_q + program.station_q @ load + program.decision_q @ z
        v = self.instance.feeder.root_voltage_pu**2 + program.voltage_p @ p + program.voltage_q @ q
        return program.downstream @ p, program.downstream @ q, v, float(p.sum()), float(q.sum())


def dispatch_period(
    instance: Instance, t: int, load: Array, *, favour: int = 1, solver: DispatchSolver | None = None
) -> PeriodDispatch:
    """The operator's answer in period index t at station loads (M,), kW; eqs. (4)-(13).

    favour +1: among optimal duals the one with the least bill (the leader's case), -1 the largest, 0 any.
    Keep a DispatchSolver and pass it for repeated calls. Raises ValueError for negative loads,
    SolverError where a linear program fails.
    """
    return (solver or DispatchSolver(instance)).period(t, load, favour=favour)




def _model(program: FeederProgram) -> LinearModel:
    """The program with the limits still open (they are set before every solve)."""
    model = LinearModel(name="dispatch")
    model.add_variables([f"decision[{j}]" for j in range(program.decisions)], 0.0, math.inf)
    for name, row in zip(program.names, program.rows, strict=True):
        where = np.flatnonzero(row)
        model.add_row(name, where, row[where], -math.inf, math.inf)
    return model


def _prices(program: FeederProgram, data: ScenarioData, row_multiplier: Array) -> tuple[Array, Array, Array]:
    """lambda (B,), pi (B,) and the stations' price (M,), conditional, from the duals of the rows (I,).

    V(P) depends on a bus's demand through the import it costs and through every row's limit:
    lambda_b = import price - sum_i H_p[i, b] y_i, and the same with H_q for pi.
    """
    active = data.load_cost - program.row_p.T @ row_multiplier
    reactive = -program.row_q.T @ row_multiplier
    return active, reactive, active[program.station_bus] + program.tan_phi * reactive[program.station_bus]
