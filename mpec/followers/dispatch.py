"""The operator's answer to given station loads: dispatch, nodal prices, their parts and their interval.

Statement: for every scenario the linear program (4)-(13) at load P (kW). The price of a kWh at station m is

    c[m] = sum_s p_s (lambda_s + tan(phi_m) pi_s),   lambda, pi = d(cost per hour given s)/d(bus kW, kvar),

the same as (1/dt) times the duals of the probability-weighted programs. Where the optimal duals are not
unique (P on a kink of the cost), `low` and `high` are each station's own extremes over the optimal dual
face, and `price` is the member of the face whose bill sum_m c[m] P[m] over the leader's stations is least (favour
+1, the leader's case), largest (-1) or any (0). Scenarios are independent, so extremes add up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.model import Instance
from mpec.followers.scenario_program import ScenarioPrograms

Array = np.ndarray[Any, Any]


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


class DispatchSolver(ScenarioPrograms):
    """The operator of one instance, kept for repeated calls."""

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
        energy = [np.full(len(load), a.price_p[root]) + program.tan_phi * a.price_q[root] for a in answers]
        parts = {
            kind: [
                -program.by_load[program.group == kind].T @ a.multiplier[program.group == kind]
                for a in answers
            ]
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
