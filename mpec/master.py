"""The master of the decomposition: the multipliers that make the sum of the hours' bounds smallest.

Each stored point of hour t gives a cut  phi_t >= base - cap.rho - link_t.r_in + link_{t+1}.r - dt c~_t.P,
so the master is a linear program with one cut set per hour, inside a box around the best multipliers so
far (a trust region). Cuts come from points of relaxations; they steer, they don't prove anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from formulations.prices import owned
from instances.model import Instance
from mpec.coupling import Multipliers, feasible_tariff, mean_caps, regulated_limits
from mpec.expression import Expression, add_row
from mpec.hour_solve import HourPoint
from mpec.linear_model import LinearModel
from mpec.solvers import open_session

Array = np.ndarray


@dataclass
class Master:
    """Cuts per hour, and the trust region's half width as a share of each multiplier's scale."""

    instance: Instance
    points: list[list[HourPoint]] = field(default_factory=list)
    radius: float = 0.3
    keep: int = 25

    def __post_init__(self) -> None:
        self.points = self.points or [[] for _ in self.instance.periods]

    def add(self, points: list[HourPoint]) -> None:
        for point in points:
            mine = self.points[point.t]
            mine.append(point)
            del mine[: -self.keep]

    def forget(self) -> None:
        """Keep only the newest points, after the relaxations changed."""
        for mine in self.points:
            del mine[:-6]

    def propose(self, center: Multipliers, scale: Multipliers) -> tuple[Multipliers, float]:
        """The master's multipliers in the trust region around ``center``, and the value it expects."""
        instance = self.instance
        model = LinearModel(name="master", maximise=False)
        cap_high = center.cap + self.radius * scale.cap
        cap_low = np.maximum(center.cap - self.radius * scale.cap, 0.0)
        known = np.isfinite(mean_caps(instance))
        cap = model.add_variables(
            (f"cap[{s.id}]" for s in instance.stations),
            np.where(known, cap_low, 0.0),
            np.where(known, cap_high, 0.0),
        )
        periods = len(instance.periods)
        link = np.full(center.link.shape, -1)
        for n in range(len(instance.pairs)):
            for t in range(1, periods):
                half = self.radius * scale.link[n, t]
                value = center.link[n, t]
                link[n, t] = model.add_variable(f"link[{n},{t}]", value - half, value + half)
        tariff = self._tariff_columns(model, center, scale)
        total = Expression().add_all(cap[known], periods * mean_caps(instance)[known])
        for t in range(periods):
            phi = model.add_variable(f"phi[{t}]", -np.inf, np.inf)
            total.add(phi)
            for i, point in enumerate(self.points[t]):
                add_row(model, f"cut[{t},{i}]", self._cut(point, phi, cap, link, tariff), lower=point.base)
        model.cost = total.vector(model.columns).tolist()
        solved = open_session(model).solve(time_limit=60.0)
        if solved.x is None or solved.objective is None:
            return center, np.inf
        x = solved.x
        new_tariff = None if tariff is None else feasible_tariff(instance, x[tariff])
        new_cap = np.where(known, np.maximum(x[cap], 0.0), 0.0)
        return Multipliers(new_cap, np.where(link >= 0, x[link], 0.0), new_tariff), solved.objective

    def _tariff_columns(self, model: LinearModel, center: Multipliers, scale: Multipliers) -> Array | None:
        if center.tariff is None or scale.tariff is None:
            return None
        low, high, mean = regulated_limits(self.instance)
        half = self.radius * scale.tariff
        low, high = np.maximum(low, center.tariff - half), np.minimum(high, center.tariff + half)
        columns = np.empty(low.shape, dtype=int)
        for m in range(low.shape[0]):
            columns[m] = model.add_variables(
                (f"tariff[{m},{t}]" for t in range(low.shape[1])), low[m], high[m]
            )
            if np.isfinite(mean[m]):
                limit = max(low.shape[1] * float(mean[m]), float(low[m].sum()))
                row = Expression().add_all(columns[m], np.ones(low.shape[1]))
                add_row(model, f"tariff_mean[{m}]", row, upper=limit)
        return columns

    def _cut(self, point: HourPoint, phi: int, cap: Array, link: Array, tariff: Array | None) -> Expression:
        """phi + cap.rho + link_t.r_in - link_{t+1}.r + dt c~.P >= base."""
        t = point.t
        row = Expression().add(phi).add_all(cap, point.price)
        for n in range(link.shape[0]):
            if link[n, t] >= 0:
                row.add(int(link[n, t]), float(point.incoming[n]))
            if t + 1 < link.shape[1]:
                row.add(int(link[n, t + 1]), -float(point.residual[n]))
        if tariff is not None:
            row.add_all(tariff[:, t], self.instance.period_h * owned(self.instance) * point.load)
        return row


def multiplier_scale(instance: Instance, center: Multipliers) -> Multipliers:
    """A scale for the trust region: the size of the multipliers themselves, with a floor."""
    cap = np.maximum(np.abs(center.cap), 0.2 * max(float(np.abs(center.cap).max(initial=0.0)), 1.0))
    most = float(np.abs(center.link).max(initial=0.0))
    link = np.maximum(np.abs(center.link), 0.2 * max(most, 1.0))
    tariff = None if center.tariff is None else np.maximum(np.abs(center.tariff), 0.1)
    return Multipliers(cap, link, tariff)
