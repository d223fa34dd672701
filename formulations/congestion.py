"""Road times under congestion, eq. (29), with their integral and derivative, over all roads at once.

    t_a(x) = t0_a (1 + alpha_a ((x + b_a) / u_a)^beta_a)

x is the flow of the game's own vehicles [veh/h], b the background flow, u the capacity [veh/h], t [h].
alpha >= 0 and beta = 0 or beta >= 1 (an instance with anything else is refused), so t and x t are convex
and increasing. A flow below -b counts as an empty road, which keeps t defined at rounding errors.

Hot paths build one :class:`RoadCost` and keep it; the module functions are the same for occasional use.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RoadCost:
    """The parameters of (29) as arrays over the roads, shape (A,) each; units h, -, -, veh/h, veh/h."""

    free_flow_h: Array
    alpha: Array
    beta: Array
    capacity: Array
    background: Array

    @classmethod
    def of(cls, instance: Instance) -> RoadCost:
        """Read the parameters of an instance's roads, in the instance's order."""
        roads = instance.roads
        return cls(
            free_flow_h=np.array([road.free_flow_h for road in roads], float),
            alpha=np.array([road.bpr_alpha for road in roads], float),
            beta=np.array([road.bpr_beta for road in roads], float),
            capacity=np.array([road.capacity_veh_per_h for road in roads], float),
            background=np.array([road.background_veh_per_h for road in roads], float),
        )

    def time(self, flow: Array) -> Array:
        """(29) t_a(x_a), h. ``flow`` is (A,) or (A, K), veh/h; the answer has its shape."""
        t0, alpha, beta, ratio = self._spread(flow)
        return np.asarray(t0 * (1.0 + alpha * ratio**beta))

    def integral(self, flow: Array) -> Array:
        """Beckmann's part of each road: the integral of t_a from 0 to x_a, veh/h * h. Shapes as in `time`."""
        x = np.asarray(flow, float)
        t0, alpha, beta, ratio = self._spread(x)
        empty = self._ratio(np.zeros_like(x))
        capacity = self._column(self.capacity, x)
        grown = capacity * (ratio ** (beta + 1.0) - empty ** (beta + 1.0)) / (beta + 1.0)
        # With beta = 0 the time is constant, also where the flow is clipped.
        growing = np.where(beta == 0.0, x, grown)
        return np.asarray(t0 * (x + alpha * growing))

    def derivative(self, flow: Array) -> Array:
        """dt_a/dx_a, h per veh/h. Shapes as in `time`."""
        t0, alpha, beta, ratio = self._spread(flow)
        capacity = self._column(self.capacity, np.asarray(flow))
        slope = t0 * alpha * beta * ratio ** np.maximum(beta - 1.0, 0.0) / capacity
        return np.asarray(slope)

    def _spread(self, flow: Array) -> tuple[Array, Array, Array, Array]:
        x = np.asarray(flow, float)
        columns = (self._column(p, x) for p in (self.free_flow_h, self.alpha, self.beta))
        t0, alpha, beta = columns
        return t0, alpha, beta, self._ratio(x)

    def _ratio(self, flow: Array) -> Array:
        background = self._column(self.background, flow)
        return np.asarray(np.maximum(flow + background, 0.0) / self._column(self.capacity, flow))

    @staticmethod
    def _column(parameter: Array, flow: Array) -> Array:
        """The parameter with trailing axes of length 1, to go with a flow of shape (A, ...)."""
        return parameter.reshape(parameter.shape + (1,) * (flow.ndim - 1))


def road_time(instance: Instance, flow: Array) -> Array:
    """(29) road times, h; ``flow`` (A,) or (A, K), veh/h."""
    return RoadCost.of(instance).time(flow)


def road_time_integral(instance: Instance, flow: Array) -> Array:
    """The integral of (29) from 0 to the flow, veh/h * h; shapes as in `road_time`."""
    return RoadCost.of(instance).integral(flow)


def road_time_derivative(instance: Instance, flow: Array) -> Array:
    """The derivative of (29), h per veh/h; shapes as in `road_time`."""
    return RoadCost.of(instance).derivative(flow)
