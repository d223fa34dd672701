"""Every equation of the game at the point (formulations.residuals), each under the judge's tolerance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.residuals import evaluate
from formulations.route_reading import ReadRoute, read_routes
from formulations.traffic import Traffic, traffic_of
from instances.model import Instance
from mpec.checks.record import Check
from mpec.equilibrium import Point

TOLERANCES: dict[str, float] = {
    "exact": 0.0,
    "price": 1e-9,
    "energy": 1e-9,
    "flow": 1e-7,
    "capacity": 1e-7,
    "dispatch": 1e-7,
    "tariff": 1e-7,
    "profit": 1e-9,
}
"""Relative, by the kind of the residual; "exact" things are there and right, or not."""

FATAL = ("numbers", "route_validity")
"""With one of these broken the point says nothing that could be evaluated further."""


@dataclass(frozen=True)
class Answer:
    """What the stated routes amount to: the judge takes the vehicles per route as what happened."""

    routes: tuple[ReadRoute, ...]
    traffic: Traffic

    def profit(self, instance: Instance, point: Point) -> float:
        """(1) sum over the leader's stations and periods of (rho - c) P dt with the loads of the routes, money."""
        margin = np.asarray(point.prices, float) - np.asarray(point.electricity_price, float)
        mine = np.array([station.owner == "leader" for station in instance.stations])
        return instance.period_h * float(np.sum((margin * self.traffic.load_kw)[mine]))


def check_equations(instance: Instance, point: Point) -> list[Check]:
    """One check per equation, named as in formulations.residuals.EQUATIONS."""
    checks = []
    for name, residual in evaluate(instance, point).items():
        tolerance = TOLERANCES[residual.tolerance_kind]
        value = float(residual.value) if math.isfinite(residual.value) else None
        passed = value is not None and value <= tolerance
        checks.append(Check(name, value, tolerance, passed, residual.where if not passed else ""))
    return checks


def answer_of(instance: Instance, point: Point) -> Answer:
    """Flows, times, loads, residuals and costs of the stated routes; the point has passed FATAL checks."""
    routes, _ = read_routes(instance, point.routes)
    with np.errstate(all="ignore"):  # absurd flows overflow; the checks find that
        return Answer(tuple(routes), traffic_of(instance, routes, np.asarray(point.prices, float)))
