"""Congested roads of one hour, (29): flow x, time t(x) and vehicle-hours g(x) = x t(x) as one curve in space.

t and g are convex, so tangents hold them from below and chords from above. Each by itself is weak: a relaxed road may
have the time of one that is now full, now empty, and the vehicle-hours of an even flow. The convex hull of the curve
(x, t, g) forbids that. Its faces are planes that touch the curve at one end and are tangent to it once:

    g >= A + B x + C t    through the curve's lower end, tangent at p;
    g <= A + B x + C t    through its upper end, tangent at p.

With y = x + b (b: background flow) the curve is made of 1, y, y^beta, y^(beta+1); a combination of these has at most
three zeros in y > 0 (Descartes), which the touching points are. The code relies on less, see :class:`Road`.

Beckmann's potential is linear in these three, (beta + 1) (dB - t0 dx) = dg - t0 dx + b dt over any interval, and
needs no column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mpec.envelopes import NARROW, Pieces, breakpoints, convex_from_above, convex_from_below
from mpec.expression import Expression

if TYPE_CHECKING:
    from mpec.hour_model import HourBuilder

Array = np.ndarray

SHARES = (0.0, 0.15, 0.35, 0.6, 0.8, 1.0)
"""Where planes are tangent, as shares of a road's interval. On the bundled day's hours the LP's points violate the
rest of the hull by less than 0.1 money. Tangents at a solution's own flow add planes from below there."""

ROOM = 1e-5
"""Where the hull is thinner than this, relatively to 1 or the vehicle-hours, there are no planes: tangents and chords
are as good, and HiGHS has called ranges about its feasibility tolerance empty."""

APART = 1e-3
"""A plane's two points are that far apart at least, as a share of the interval."""

LEVEL = 1e-6
"""A plane's slope by flow below that share of the one by time is no number to put beside it in a row."""

ASIDE = 0.02
"""How far a point gives way then, as a share of its distance from the curve's end."""

LINEAR = 1e-3
"""A time that leaves the straight line between a plane's two points by less, as a share of its rise, is all but linear
in the flow, as with beta just above 1: planes would only pit huge coefficients against each other there, and HiGHS's
bounds were false."""

ROUNDING = 1e-13
"""Relative to the sum of the terms: what evaluating a plane and the curve in floating point can miss, with room."""


@dataclass(frozen=True)
class Road:
    """One road over its flow's interval [low, high], veh/h; times h.

    A plane's C and B follow from where it is to touch; any C and B are valid with the right A. With
    phi(x) = g - B x - C t we have  phi'' = t'' (x + 2 (x + b) / (beta - 1) - C):  its sign changes once, from - to +.
    So where phi'' >= 0 at p, phi is at least min(phi(low), phi(p) - |phi'(p)| (high - low)), and where phi'' <= 0 at p
    at most max(phi(high), phi(p) + |phi'(p)| (high - low)).
    """

    builder: HourBuilder
    index: int
    low: float
    high: float

    def _spread(self, points: Array) -> Array:
        flows = np.zeros((len(self.builder.instance.roads), len(points)))
        flows[self.index] = points
        return flows

    def time(self, p: Array) -> Array:
        return np.asarray(self.builder.roads.time(self._spread(p))[self.index])

    def column(self, p: Array) -> Array:
        """The value of the time's column, see HourBlock."""
        return np.asarray(
            (self.time(p) - self.builder.least_time[self.index]) / self.builder.time_unit[self.index]
        )

    def column_slope(self, p: Array) -> Array:
        return np.asarray(self.slope(p) / self.builder.time_unit[self.index])

    def slope(self, p: Array) -> Array:
        return np.asarray(self.builder.roads.derivative(self._spread(p))[self.index])

    def hours(self, p: Array) -> Array:
        return np.asarray(p * self.time(p))

    def hours_slope(self, p: Array) -> Array:
        return np.asarray(self.time(p) + p * self.slope(p))

    def thick(self) -> bool:
        """Whether the hull is thick enough for planes: what the curve's upper end is above one of them tells."""
        width, end = self.high - self.low, np.array([self.high])
        if width <= NARROW * max(1.0, self.high):
            return False
        middle = self.planes(np.array([0.5 * (self.low + self.high)]), below=True)
        hours, time = float(self.hours(end)[0]), float(self.column(end)[0])
        return any(hours - a - b * self.high - c * time > ROOM * max(1.0, hours) for a, b, c in middle)

    def planes(self, points: Array, *, below: bool) -> list[tuple[float, float, float]]:
        """(A, B, C) of the planes tangent at ``points`` that hold g from below (above); none where that fails.

        t is the time's column in all of this, C its coefficient.

        B changes its sign somewhere. A point about there gives way a little: rows with a coefficient of next to
        nothing make a solver's bound doubtful (mpec.model_health).
        """
        end = self.low if below else self.high
        points = points[np.abs(points - end) > APART * (self.high - self.low)]
        a, b, c, good = self._touching(points, end, below)
        level = np.abs(b) < LEVEL * np.maximum(1.0, np.abs(c))
        if level.any():
            a, b, c, good = self._touching(points + np.where(level, ASIDE * (end - points), 0.0), end, below)
        return [(float(a[i]), float(b[i]), float(c[i])) for i in np.flatnonzero(good)]

    def _touching(self, points: Array, end: float, below: bool) -> tuple[Array, Array, Array, Array]:
        """A, B, C of the plane tangent at each point and through the curve's end, and whether it is one."""
        ends = np.full(len(points), end)
        t, t_end, t_slope = self.column(points), self.column(ends), self.column_slope(points)
        g, g_end, g_slope = self.hours(points), self.hours(ends), self.hours_slope(points)
        bend = t_end - t - t_slope * (end - points)
        good = bend > LINEAR * np.abs(t_end - t)
        c = np.where(good, g_end - g - g_slope * (end - points), 0.0) / np.where(good, bend, 1.0)
        b = g_slope - c * t_slope
        # The turn of phi lies between the touching points; rounding may move it where they are close.
        roads, width = self.builder.roads, self.high - self.low
        beta, background = float(roads.beta[self.index]), float(roads.background[self.index])
        unit = float(self.builder.time_unit[self.index])
        start = float(self.builder.least_time[self.index])
        turn = points + 2.0 * (points + background) / max(beta - 1.0, 1e-12) - c / unit
        good &= turn >= 0.0 if below else turn <= 0.0
        missed = np.abs(g_slope - b - c * t_slope) * width
        rounding = ROUNDING * (
            np.maximum(g, g_end) + np.abs(b) * self.high + np.abs(c) * (np.maximum(t, t_end) + start / unit)
        )
        at_end, at_point = g_end - b * end - c * t_end, g - b * points - c * t
        if below:
            a = np.minimum(at_end, at_point - missed) - rounding
        else:
            a = np.maximum(at_end, at_point + missed) + rounding
        return a, b, c, good


def add_road_rows(builder: HourBuilder) -> None:
    """(29) of every road whose time can vary: tangents and chords of t and g, planes of both together."""
    model, block, box = builder.model, builder.block, builder.box
    for a in builder.varying:
        road = Road(builder, int(a), float(box.low["road_flow"][a]), float(box.high["road_flow"][a]))
        low, high, width = road.low, road.high, road.high - road.low
        identifier = builder.instance.roads[a].id
        x, t, g = int(block.road_flow[a]), int(block.road_time[a]), int(block.road_hours[a])
        ends = np.array(breakpoints(low, high, builder.state.road_points.get(int(a), ())))
        pieces = Pieces(model, builder.name("x", identifier), x, ends.tolist())
        extra = [p for p in builder.state.tangents.get(int(a), ()) if low < p < high]
        middle = 0.5 * (ends[:-1] + ends[1:]) if len(ends) > 2 else []
        points = np.unique(np.concatenate([low + np.array(SHARES) * width, ends, middle, extra]))
        points = np.unique(np.clip(points, low, high))
        if width <= NARROW * max(1.0, high):
            points = ends
        name = builder.name("road", identifier)
        below = road.planes(points, below=True) if road.thick() else []
        above = road.planes(low + np.array(SHARES) * width, below=False) if below else []
        # A plane and the tangent of t at its point imply the tangent of g there; the first has no plane.
        tangents = points[:1] if len(below) == len(points) - 1 else points
        convex_from_below(model, f"{name}.time", x, t, points, road.column, road.column_slope)
        convex_from_below(model, f"{name}.hours", x, g, tangents, road.hours, road.hours_slope)
        convex_from_above(model, f"{name}.time", pieces, t, road.column)
        convex_from_above(model, f"{name}.hours", pieces, g, road.hours)
        for i, (constant, by_flow, by_time) in enumerate(below):
            model.add_row(f"{name}.below{i}", [g, x, t], [1.0, -by_flow, -by_time], lower=constant)
        for i, (constant, by_flow, by_time) in enumerate(above):
            model.add_row(f"{name}.above{i}", [g, x, t], [1.0, -by_flow, -by_time], upper=constant)


def potential(builder: HourBuilder, a: int) -> Expression:
    """B_a(x) = int_0^x t_a as an expression in the road's columns, veh/h h; exact on the curve."""
    block, roads = builder.block, builder.roads
    low = np.zeros(len(roads.beta))
    low[a] = builder.box.low["road_flow"][a]
    start, time = float(low[a]), float(roads.time(low)[a])
    beta, free, background = float(roads.beta[a]), float(roads.free_flow_h[a]), float(roads.background[a])
    share = 1.0 / (beta + 1.0)
    found = Expression(constant=float(roads.integral(low)[a]))
    found.add(int(block.road_hours[a]), share).shift(-share * start * time)
    found.plus(block.time(a), share * background).shift(-share * background * time)
    return found.add(int(block.road_flow[a]), (1.0 - share) * free).shift(-(1.0 - share) * free * start)
