"""The one result type: a point of the game (what everybody does) and what is claimed of it.

Index order of every array is the instance's: M stations, T periods, A roads, N O-D pairs,
S scenarios, B buses, L lines, F farms. Units as in instances/model.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from instances.model import Instance

Array = np.ndarray
Status = Literal["optimal", "feasible", "infeasible", "no_point"]


@dataclass(frozen=True)
class RouteFlow:
    """One used route of one O-D pair in one period (a row of routes.csv)."""

    origin: str
    destination: str
    period: int
    path: tuple[str, ...]
    plan: tuple[tuple[str, float], ...]
    veh_per_h: float
    cost: float
    cheapest_cost: float
    outside: bool = False


@dataclass(frozen=True)
class Point:
    """What all players do over the selected periods.

    prices, electricity_price, electricity_low, electricity_high, load_kw: (M, T).
    road_flow, road_time_h: (A, T). demand, modified_demand, residual: (N, T).
    voltage_pu, price_active, price_reactive, shed_kw: (S, T, B), prices conditional on the scenario,
    lambda_s / (p_s dt). import_kw, import_kvar: (S, T). line_kw, line_kvar: (S, T, L).
    wind_kw: (S, T, F). emergency_kw: (S, T, M).
    """

    prices: Array
    electricity_price: Array
    electricity_low: Array
    electricity_high: Array
    load_kw: Array
    routes: tuple[RouteFlow, ...]
    road_flow: Array
    road_time_h: Array
    demand: Array
    modified_demand: Array
    residual: Array
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
    profit: float


@dataclass(frozen=True)
class BoundStep:
    """A row of bounds.csv; None where there is no bound yet."""

    iteration: int
    seconds: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Equilibrium:
    """A point with the claims made about it. Claims are only claims: the judge recomputes them."""

    instance: Instance
    method: str
    status: Status
    point: Point | None
    lower_bound: float | None = None
    upper_bound: float | None = None
    seconds: float = 0.0
    solver: str = ""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[BoundStep, ...] = ()
    bound_record: Mapping[str, Any] | None = None
    unique: bool | None = None
    reason: str = ""

    @property
    def profit(self) -> float | None:
        return None if self.point is None else self.point.profit

    @property
    def gap(self) -> float | None:
        """(upper - lower) / max(|upper|, 1 money unit), design of the certificate."""
        if self.lower_bound is None or self.upper_bound is None:
            return None
        return (self.upper_bound - self.lower_bound) / max(abs(self.upper_bound), 1.0)
