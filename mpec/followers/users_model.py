"""The users of a route set as arrays, and the exact functions of eqs. (15), (22), (27), (29) on them.

Every function takes a leading batch axis K (many price vectors at once).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from formulations.congestion import RoadCost

if TYPE_CHECKING:
    from formulations.routes import RouteSet

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class UsersModel:
    """The numbers of a route set, restricted to O-D pairs that have routes ("slots").

    on_road (R, A), pair (R,) sorted, plan_kwh (R, M), charging_h (R,), outside_cost (R,),
    free_flow_h, alpha, capacity, beta, background (A,); kappa money/h; residual_share = xi kappa/tau 1/h.
    """

    on_road: Array
    pair: Array
    plan_kwh: Array
    charging_h: Array
    outside_cost: Array
    free_flow_h: Array
    alpha: Array
    capacity: Array
    beta: Array
    background: Array
    kappa: float
    residual_share: float
    pairs: int
    slot: Array = field(init=False)
    slot_pair: Array = field(init=False)
    starts: Array = field(init=False)
    on_road_t: Array = field(init=False)
    quartic: bool = field(init=False)
    slices: tuple[slice, ...] = field(init=False)

    def __post_init__(self) -> None:
        if len(self.pair) and np.any(np.diff(self.pair) < 0):
            raise ValueError("routes must be sorted by O-D pair")
        slot_pair, starts, slot = np.unique(self.pair, return_index=True, return_inverse=True)
        for name, value in (
            ("slot", slot),
            ("slot_pair", slot_pair),
            ("starts", starts),
            ("on_road_t", np.ascontiguousarray(self.on_road.T)),
            (
                "slices",
                tuple(slice(a, b) for a, b in zip(starts, np.append(starts, len(slot))[1:], strict=True)),
            ),
            ("quartic", bool(np.all(self.beta == 4.0))),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, routes: RouteSet) -> UsersModel:
        """The model of an instance's route set."""
        instance = routes.instance
        roads = RoadCost.of(instance)
        return cls(
            on_road=np.asarray(routes.on_road, float),
            pair=np.asarray(routes.pair, int),
            plan_kwh=np.asarray(routes.plan_kwh, float),
            charging_h=np.asarray(routes.charging_h, float),
            outside_cost=np.asarray(routes.outside_cost, float),
            free_flow_h=roads.free_flow_h,
            alpha=roads.alpha,
            capacity=roads.capacity,
            beta=roads.beta,
            background=roads.background,
            kappa=instance.users.kappa_per_h,
            residual_share=instance.users.xi * instance.residual_rate,
            pairs=len(instance.pairs),
        )

    # ---- exact functions, batch axis first ------------------------------------------------------
    def road_time(self, flow: Array) -> tuple[Array, Array]:
        """(29) and its derivative, h and h/(veh/h), for flows (K, A)."""
        ratio = (np.maximum(flow, 0.0) + self.background) / self.capacity
        if self.quartic:
            cubed = ratio * ratio * ratio
            slope, power = 4.0 * cubed, cubed * ratio
        else:
            # beta = 0 has slope 0; the exponent is kept at 0 so that 0 * 0**(-1) never appears.
            slope = self.beta * ratio ** np.maximum(self.beta - 1.0, 0.0)
            power = ratio**self.beta
        base = self.free_flow_h * self.alpha
        return self.free_flow_h + base * power, base * slope / self.capacity

    def flow_integral(self, flow: Array) -> Array:
        """Sum over roads of the integral of (29) from 0 to the flow, (K,), veh."""
        up = (np.maximum(flow, 0.0) + self.background) / self.capacity
        down = self.background / self.capacity
        power = self.beta + 1.0
        part = self.alpha * self.capacity / power * (up**power - down**power)
        return np.asarray(((np.maximum(flow, 0.0) + part) * self.free_flow_h).sum(axis=-1))

    def route_time(self, road_time: Array) -> Array:
        """T_k, h (K, R)."""
        return np.asarray(road_time @ self.on_road_t + self.charging_h)

    def slot_sum(self, values: Array) -> Array:
        """Sum over the routes of every O-D pair that has routes, (K, R) -> (K, slots)."""
        return np.asarray(np.add.reduceat(values, self.starts, axis=-1))

    def slot_min(self, values: Array) -> Array:
        """Minimum over the routes of every O-D pair that has routes, (K, R) -> (K, slots)."""
        return np.asarray(np.minimum.reduceat(values, self.starts, axis=-1))
