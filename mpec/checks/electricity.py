"""The operator's side of the judge: dispatch feasible and cheapest, prices on the optimal dual face."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.ac_sweep import ac_sweep
from instances.model import Instance
from mpec.checks.feeder import FeederProgram
from mpec.checks.record import Check, worst
from mpec.equilibrium import Point
from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession

Array = np.ndarray

DISPATCH = 1e-7
PRICES = 1e-7
INTERVAL = 1e-5
"""The ends of a price interval jump where a row is about to bind, so they are compared less strictly."""


@dataclass(frozen=True)
class Electricity:
    """checks; low, high (M, T): the nodal price interval on the optimal dual face, money/kWh."""

    checks: list[Check]
    low: Array
    high: Array


def check_electricity(
    instance: Instance, point: Point, load: Array, *, intervals: bool = True
) -> Electricity:
    """Re-solve the operator's program of every period and scenario at the loads (M, T) of the routes.

    Dispatch: stated columns within the program's rows (1e-7 of the row's size), cost equal to the optimum
    (1e-7). Prices: distance of the stated lambda, pi (all buses) and of what they make of the stations' prices, all
    conditional on the scenario, from the optimal dual face, each relative to itself or the import price (1e-7): beside
    one absurd number, which a face without limits holds, all others would pass. ``intervals``: also
    find each station's price interval. Raises ArithmeticError when a program can't be solved.
    """
    stations, periods = len(instance.stations), len(instance.periods)
    low, high = np.zeros((stations, periods)), np.zeros((stations, periods))
    infeasible, dearer, off = [], [], []
    for t in range(periods):
        for s, scenario in enumerate(instance.scenarios):
            program = FeederProgram(instance, t, s, load[:, t])
            stated = program.stated(point)
            infeasible.append(program.violation(stated))
            optimum = program.optimum.cost
            size = max(abs(optimum), program.cost_size)
            difference = abs(program.cost(stated) - optimum) / size
            dearer.append(
                (difference, f"{program.where}: stated {program.cost(stated):.9g}, optimal {optimum:.9g}")
            )
            face = _Face(program)
            try:
                off.append(face.distance(point.price_active[s, t], point.price_reactive[s, t]))
                for m in range(stations if intervals else 0):
                    ends = face.interval(m)
                    low[m, t] += scenario.probability * ends[0]
                    high[m, t] += scenario.probability * ends[1]
            finally:
                face.close()
    checks = [
        worst("dispatch_feasible", DISPATCH, infeasible),
        worst("dispatch_optimal", DISPATCH, dearer),
        worst("nodal_prices_on_dual_face", PRICES, off),
    ]
    return Electricity(checks, low, high)


class _Face:
    """Questions to one optimal dual face. All answers in money/kWh, conditional on the scenario."""

    def __init__(self, program: FeederProgram) -> None:
        self.program = program
        self.model, self.active, self.reactive = program.dual_face()
        self.plain_columns = self.model.columns
        self.session: HighsSession | None = None

    def close(self) -> None:
        if self.session is not None:
            self.session.close()

    def distance(self, active: Array, reactive: Array) -> tuple[float, str]:
        """min d: some point of the face is within d * max(|price|, import price) of every stated price."""
        program, price, instance = self.program, self.program.price, self.program.instance
        entries: list[tuple[str, list[int], list[float], float]] = []
        for b, bus in enumerate(instance.buses):
            entries.append((f"lambda {bus.id}", [self.active[b]], [1.0], float(active[b] / price)))
            entries.append((f"pi {bus.id}", [self.reactive[b]], [1.0], float(reactive[b] / price)))
        for station in instance.stations:
            b, tan = instance.bus_index[station.bus], station.tan_phi
            value = float((active[b] + tan * reactive[b]) / price)
            entries.append((f"station {station.id}", [self.active[b], self.reactive[b]], [1.0, tan], value))
        if not all(math.isfinite(value) for *_, value in entries):
            return math.nan, f"a stated price is not finite, {program.where}"
        model = _copy(self.model)
        d = model.add_variable("distance", 0.0, math.inf, cost=1.0)
        for name, columns, factors, value in entries:
            size = max(abs(value), 1.0)
            model.add_row(name + " from above", [*columns, d], [*factors, -size], -math.inf, value)
            model.add_row(name + " from below", [*columns, d], [*factors, size], value, math.inf)
        session = HighsSession(model)
        try:
            solved = session.solve()
        finally:
            session.close()
        if solved.status != "optimal" or solved.x is None:
            return math.nan, f"the optimal dual face could not be searched ({solved.status}), {program.where}"
        x = solved.x
        off = [abs(float(np.dot(f, x[c])) - v) / max(abs(v), 1.0) for _, c, f, v in entries]
        return float(x[d]), f"{entries[int(np.argmax(off))][0]}, {program.where}"

    def interval(self, m: int) -> tuple[float, float]:
        """[least, largest] lambda + tan(phi) pi at station m over the face; infinite where unlimited."""
        if self.session is None:
            self.session = HighsSession(self.model)
        station = self.program.instance.stations[m]
        bus = self.program.instance.bus_index[station.bus]
        cost = np.zeros(self.model.columns)
        cost[self.active[bus]] += 1.0
        cost[self.reactive[bus]] += station.tan_phi
        ends = []
        for maximise in (False, True):
            self.session.set_objective(cost, maximise=maximise)
            solved = self.session.solve()
            if solved.status == "unbounded":
                ends.append(math.inf if maximise else -math.inf)
            elif solved.status == "optimal" and solved.objective is not None:
                ends.append(solved.objective * self.program.price)
            else:
                raise ArithmeticError(
                    f"the price interval of station {station.id} was not found ({solved.status})"
                )
        return ends[0], ends[1]


def _copy(model: LinearModel) -> LinearModel:
    twin = LinearModel(model.name)
    for j, name in enumerate(model.column_names):
        twin.add_variable(name, model.lower[j], model.upper[j], cost=0.0)
    for i, name in enumerate(model.row_names):
        entries = slice(model.starts[i], model.starts[i + 1])
        twin.add_row(
            name, model.indices[entries], model.values[entries], model.row_lower[i], model.row_upper[i]
        )
    return twin


def check_interval(instance: Instance, point: Point, low: Array, high: Array) -> Check:
    """electricity_price_low, _high of tariff `dlmp`: the ends of the price interval on the optimal dual
    face (1e-5).

    An end that is left open (infinite) claims nothing.
    """
    found = []
    for t, period in enumerate(instance.periods):
        ends = np.concatenate([low[:, t], high[:, t]])
        size = max(float(np.abs(ends[np.isfinite(ends)]).max(initial=0.0)), 1e-12)
        for m, station in enumerate(instance.stations):
            place = f"station {station.id}, period {period.id}"
            for stated, end in (
                (point.electricity_low[m, t], low[m, t]),
                (point.electricity_high[m, t], high[m, t]),
            ):
                if math.isfinite(stated):
                    found.append((abs(float(stated) - float(end)) / size, place))
    return worst("price_interval_on_dual_face", INTERVAL, found)


def ac_voltage_error(instance: Instance, point: Point, load: Array) -> float:
    """Largest |stated - AC voltage| at the stated dispatch, p.u. ArithmeticError without AC solution."""
    index, worst_error = instance.bus_index, 0.0
    for t, period in enumerate(instance.periods):
        base_kw = np.array([b.load_kw for b in instance.buses]) * period.load_factor
        base_kvar = np.array([b.load_kvar for b in instance.buses]) * period.load_factor
        for s in range(len(instance.scenarios)):
            served = 1.0 - np.divide(
                point.shed_kw[s, t], base_kw, out=np.zeros(len(base_kw)), where=base_kw > 0
            )
            kw, kvar = base_kw * served, base_kvar * served
            for m, station in enumerate(instance.stations):
                drawn = load[m, t] - point.emergency_kw[s, t, m]
                kw[index[station.bus]] += drawn
                kvar[index[station.bus]] += station.tan_phi * drawn
            for f, farm in enumerate(instance.wind_farms):
                kw[index[farm.bus]] -= point.wind_kw[s, t, f]
                kvar[index[farm.bus]] -= farm.tan_phi * point.wind_kw[s, t, f]
            true = ac_sweep(instance, kw, kvar).voltage_pu
            worst_error = max(worst_error, float(np.abs(true - point.voltage_pu[s, t]).max()))
    return worst_error
