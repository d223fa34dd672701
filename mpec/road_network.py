"""A plain road network with its trips, as arrays: what `mpec assign` works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RoadNetwork:
    """A roads, V nodes. tail, head (A,): node indices; through (V,) bool: may traffic pass through the node.

    Cost of a road: free_flow (1 + alpha ((x + background)/capacity)^beta) + fixed_cost, in the files' units.
    """

    nodes: tuple[str, ...]
    through: Array
    names: tuple[str, ...]
    tail: Array
    head: Array
    free_flow: Array
    alpha: Array
    capacity: Array
    beta: Array
    background: Array
    fixed_cost: Array
    quartic: bool = field(init=False)

    def __post_init__(self) -> None:
        bad = ~((self.capacity > 0.0) | (self.alpha == 0.0))
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"road {self.names[i]} has capacity {self.capacity[i]} and a congestion factor of "
                f"{self.alpha[i]}; give it a positive capacity, or the factor 0"
            )
        for name in ("free_flow", "alpha", "beta", "background", "fixed_cost"):
            values = getattr(self, name)
            wrong = ~(values >= 0.0) | ~np.isfinite(values)
            if wrong.any():
                i = int(np.flatnonzero(wrong)[0])
                raise ValueError(f"road {self.names[i]} has {name} {values[i]}; it must be a number >= 0")
        # Roads without congestion may have any capacity; 1 keeps the formulas defined.
        object.__setattr__(self, "capacity", np.where(self.capacity > 0.0, self.capacity, 1.0))
        object.__setattr__(self, "quartic", bool(np.all(self.beta == 4.0)))

    @property
    def roads(self) -> int:
        return len(self.tail)

    def cost(self, flow: Array) -> Array:
        """Cost of every road at flows (A,)."""
        return self.cost_and_slope(flow)[0]

    def cost_and_slope(self, flow: Array) -> tuple[Array, Array]:
        """Cost of every road at flows (A,) and its derivative (that at a tiny flow where it is infinite)."""
        ratio = (np.maximum(flow, 0.0) + self.background) / self.capacity
        base = self.free_flow * self.alpha
        if self.quartic:
            cubed = ratio * ratio * ratio
            return self.free_flow + self.fixed_cost + base * cubed * ratio, 4.0 * base * cubed / self.capacity
        steep = np.where(self.beta < 1.0, np.maximum(ratio, 1e-9), ratio)
        slope = self.beta * steep ** np.where(self.beta > 0.0, self.beta - 1.0, 0.0)
        return self.free_flow + self.fixed_cost + base * ratio**self.beta, base * slope / self.capacity

    def potential(self, flow: Array) -> float:
        """Beckmann's potential: the sum of the integrals of the costs from 0 to the flow."""
        up = (np.maximum(flow, 0.0) + self.background) / self.capacity
        down = self.background / self.capacity
        power = self.beta + 1.0
        part = self.alpha * self.capacity / power * (up**power - down**power)
        return float((self.free_flow * (flow + part) + self.fixed_cost * flow).sum())


@dataclass(frozen=True)
class TripTable:
    """O-D pairs with trips: origin, destination (D,) node indices, flow (D,) > 0, sorted by origin.

    ``inside``: trips from a zone to itself, which use no road.
    """

    origin: Array
    destination: Array
    flow: Array
    inside: float = 0.0


def trip_table(origin: Array, destination: Array, flow: Array) -> TripTable:
    """A table from rows in any order; zero rows are dropped, trips within a zone set aside.

    Raises ValueError for negative or non-finite flows and for an O-D pair that is listed twice.
    """
    origin, destination, flow = np.asarray(origin, int), np.asarray(destination, int), np.asarray(flow, float)
    if not np.all(np.isfinite(flow) & (flow >= 0.0)):
        raise ValueError("trips must be finite numbers >= 0")
    pairs = np.stack([origin, destination], axis=1)
    if len(np.unique(pairs, axis=0)) < len(pairs):
        raise ValueError("an O-D pair is listed twice in the trips; add its rows up")
    here = origin == destination
    keep = np.flatnonzero((flow > 0.0) & ~here)
    keep = keep[np.lexsort((destination[keep], origin[keep]))]
    return TripTable(origin[keep], destination[keep], flow[keep], float(flow[here].sum()))
