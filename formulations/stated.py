"""What a point states, read so that nothing in it can stop its examination.

A point comes from anywhere: an algorithm, a file, a liar. Arrays of a wrong shape, missing fields and
numbers that are not finite are recorded as faults and read as NaN, which every check counts as an
infinite violation (`worst`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]

ToleranceKind = Literal["exact", "price", "energy", "flow", "capacity", "dispatch", "tariff", "profit"]

ROUNDING_SHARE = 1e-9
"""Times the judge's tolerances (1e-7) this is what sums of the largest entries round off."""

FLOOR_SHARE = 1e-3
"""Entries are compared relative to themselves or to this share of the largest of their kind, if more."""

AXES: dict[str, tuple[str, ...]] = {
    "prices": ("station", "period"),
    "electricity_price": ("station", "period"),
    "electricity_low": ("station", "period"),
    "electricity_high": ("station", "period"),
    "load_kw": ("station", "period"),
    "road_flow": ("road", "period"),
    "road_time_h": ("road", "period"),
    "demand": ("pair", "period"),
    "modified_demand": ("pair", "period"),
    "residual": ("pair", "period"),
    "voltage_pu": ("scenario", "period", "bus"),
    "price_active": ("scenario", "period", "bus"),
    "price_reactive": ("scenario", "period", "bus"),
    "shed_kw": ("scenario", "period", "bus"),
    "import_kw": ("scenario", "period"),
    "import_kvar": ("scenario", "period"),
    "line_kw": ("scenario", "period", "line"),
    "line_kvar": ("scenario", "period", "line"),
    "wind_kw": ("scenario", "period", "farm"),
    "emergency_kw": ("scenario", "period", "station"),
    "profit": (),
}
"""The numbers of a point and what their axes run over, in the instance's order."""

MAY_BE_INFINITE = {"electricity_low": -math.inf, "electricity_high": math.inf}
"""An end of the price interval that the optimal dual face leaves open."""


class StatedRoute(Protocol):
    """A used route, as `mpec.equilibrium.RouteFlow` has it."""

    @property
    def origin(self) -> str: ...
    @property
    def destination(self) -> str: ...
    @property
    def period(self) -> int: ...
    @property
    def path(self) -> tuple[str, ...]: ...
    @property
    def plan(self) -> tuple[tuple[str, float], ...]: ...
    @property
    def veh_per_h(self) -> float: ...
    @property
    def cost(self) -> float: ...
    @property
    def cheapest_cost(self) -> float: ...
    @property
    def outside(self) -> bool: ...


class StatedPoint(Protocol):
    """A point of the game, as `mpec.equilibrium.Point` has it: the arrays of `AXES` and the used routes."""

    @property
    def routes(self) -> Sequence[StatedRoute]: ...


@dataclass(frozen=True)
class Residual:
    """The largest violation of one equation at a point.

    value: relative, 0 or more, inf where something is missing or not a number; tolerance_kind: which
    tolerance of the judge applies; where: the place of the largest violation, "" if there is none.
    """

    value: float
    tolerance_kind: ToleranceKind
    where: str


def axis_labels(instance: Instance) -> dict[str, list[str]]:
    """How the entries of an axis are called in reports, e.g. "road 3-4"."""
    return {
        "station": [f"station {x.id}" for x in instance.stations],
        "period": [f"period {x.id}" for x in instance.periods],
        "road": [f"road {x.id}" for x in instance.roads],
        "pair": [f"pair {x.origin}>{x.destination}" for x in instance.pairs],
        "scenario": [f"scenario {x.id}" for x in instance.scenarios],
        "bus": [f"bus {x.id}" for x in instance.buses],
        "line": [f"line {x.id}" for x in instance.lines],
        "farm": [f"wind farm {x.id}" for x in instance.wind_farms],
        "day": ["all periods"],
    }


def stated_arrays(instance: Instance, point: StatedPoint) -> tuple[dict[str, Array], list[str]]:
    """The point's arrays by name, all of the right shape, NaN where unreadable; and the faults found."""
    labels = axis_labels(instance)
    arrays: dict[str, Array] = {}
    faults: list[str] = []
    for name, axes in AXES.items():
        shape = tuple(len(labels[axis]) for axis in axes)
        arrays[name] = np.full(shape, np.nan)
        found = getattr(point, name, None)
        try:
            values = np.asarray(found, dtype=float)
        except (TypeError, ValueError):
            faults.append(f"{name} is not an array of numbers")
            continue
        if found is None:
            faults.append(f"{name} is missing")
        elif values.shape != shape:
            faults.append(f"{name} has shape {values.shape}, expected {shape} {axes}")
        else:
            arrays[name] = values
            bad = ~np.isfinite(values)
            if name in MAY_BE_INFINITE:
                bad &= values != MAY_BE_INFINITE[name]
            if bad.any():
                faults.append(f"{name} is not finite at {place(labels, axes, np.argwhere(bad)[0])}")
    return arrays, faults


def place(labels: dict[str, list[str]], axes: Sequence[str], index: Iterable[Any]) -> str:
    """ "road 3-4, period 8" for an index along the named axes."""
    return ", ".join(labels[axis][int(i)] for axis, i in zip(axes, index, strict=True))


def scale(expected: Array, share: float = FLOOR_SHARE) -> Array:
    """What a deviation from ``expected`` is divided by: |expected|, or a share of the largest; never 0."""
    size = np.abs(expected)
    largest = float(size[np.isfinite(size)].max(initial=0.0))
    return np.asarray(np.maximum(size, share * largest if largest > 0.0 else 1.0))


def own_scale(expected: Array) -> Array:
    """|expected|, entry by entry: what limits and data are judged by, and what vehicles there are.

    A share of the largest would let a small station exceed its limit by what is nothing to a large one. The least is
    what rounding in the largest explains.
    """
    return scale(expected, ROUNDING_SHARE)


def relative_difference(stated: Array, expected: Array) -> Array:
    """|stated - expected| by `scale`, entry by entry."""
    return np.asarray(np.abs(stated - expected) / scale(expected))


def worst(
    kind: ToleranceKind, labels: dict[str, list[str]], *parts: tuple[Array, Sequence[str], str]
) -> Residual:
    """The largest entry of several arrays of violations, each with its axes and a word on what it is.

    Negative entries are slack and count as 0; NaN counts as infinite.
    """
    value, where = 0.0, ""
    for violations, axes, what in parts:
        if violations.size == 0:
            continue
        known = np.where(np.isnan(violations), np.inf, violations)
        index = np.unravel_index(int(np.argmax(known)), known.shape)
        if float(known[index]) > value:
            spot = place(labels, axes, index)
            value, where = float(known[index]), ": ".join(word for word in (spot, what) if word)
    return Residual(value, kind, where)
