"""What is known of one hour, and its columns once they are in a model."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from formulations.routes import RouteSet
from mpec.electricity_cuts import BillCut
from mpec.expression import Expression
from mpec.hour_dispatch import DispatchRows
from mpec.intervals import Intervals, first_intervals, incoming_at_start
from mpec.value_cuts import Reference

Array = np.ndarray


@dataclass
class HourState:
    """What is known of one hour: intervals, partitions and the reference flows of the cuts."""

    t: int
    box: Intervals
    road_points: dict[int, tuple[float, ...]] = field(default_factory=dict)
    cheapest_points: dict[int, tuple[float, ...]] = field(default_factory=dict)
    references: list[Reference] = field(default_factory=list)
    tangents: dict[int, tuple[float, ...]] = field(default_factory=dict)
    dispatch_pairs: frozenset[str] = frozenset()
    exact_dispatch: bool = False
    bill_cuts: tuple[BillCut, ...] = ()
    idle_cost: float = 0.0
    price_points: dict[int, tuple[float, ...]] = field(default_factory=dict)
    choices: frozenset[int] | None = None
    """Routes whose pair (31) carries a binary; None: all. The others keep the pair's LP relaxation."""


@dataclass
class HourBlock:
    """Columns of one hour inside a LinearModel; -1 where a quantity is a constant or absent.

    A road's time is ``least_time`` + ``time_unit`` times its column, h; both are of shape (A,).
    """

    t: int
    price: Array
    incoming: Array
    residual: Array
    modified: Array
    cheapest: Array
    bill: Array
    hours: Array
    road_flow: Array
    road_time: Array
    least_time: Array
    time_unit: Array
    road_hours: Array
    route_flow: Array
    chosen: Array
    load: Array
    income: Array
    slack: dict[int, Expression]
    open_pairs: frozenset[int]
    revenue: Expression
    electricity: Expression
    allowance: float
    dispatch: DispatchRows | None

    def time(self, a: int) -> Expression:
        """The time on a road that has a column for it, h."""
        return Expression(constant=float(self.least_time[a])).add(
            int(self.road_time[a]), float(self.time_unit[a])
        )

    @property
    def profit(self) -> Expression:
        """The hour's profit, money, with what the eps-game could add to it."""
        return self.revenue.copy().plus(self.electricity, -1.0).shift(self.allowance)


def first_states(routes: RouteSet) -> list[HourState]:
    """The hours with their intervals by propagation alone, from the instance and nothing else."""
    low = high = incoming_at_start(routes.instance)
    states = []
    for t in range(len(routes.instance.periods)):
        box = first_intervals(routes, t, low, high)
        low, high = box.low["residual"], box.high["residual"]
        states.append(HourState(t, box))
    return states
