"""bound.json read with suspicion: every index, number and length is looked at before anything is built on it.

Whoever wrote the file may have wanted a false bound confirmed: an hour left out of a sum, a route number that
names none, a step that is believed because its number is "3" and not 3. What is not exactly of the written form
is refused (RecordError); what is of the form is still only a claim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from formulations.routes import RouteSet
from mpec.claims import Claims, Interval, Local
from mpec.coupling import Multipliers
from mpec.hour_state import HourState
from mpec.intervals import QUANTITIES
from mpec.value_cuts import Reference

Array = np.ndarray
Read = TypeVar("Read")

MOST_POINTS = 2000
"""Breakpoints, tangents, references or loads of one list: more than any run writes is refused."""


LARGEST = 1e15
"""No money, flow or price of a record is larger."""

MOST_LOAD = 1.001
"""No load is larger than this many times its station's capacity (and 1 kW): relaxed points keep the capacities."""


class RecordError(ValueError):
    """The record of a bound is not of the form that it must have; the message says where."""


@dataclass(frozen=True)
class Partition:
    """How finely an hour is cut up: breakpoints by road, pair and station, the operator's pairs that carry binaries,
    the routes that do (None: all)."""

    road_points: dict[int, tuple[float, ...]]
    cheapest_points: dict[int, tuple[float, ...]]
    dispatch_pairs: frozenset[str]
    exact_dispatch: bool
    price_points: dict[int, tuple[float, ...]] = field(default_factory=dict)
    choices: frozenset[int] | None = None
    local: Local | None = None

    def of(self, state: HourState) -> HourState:
        """The state cut up like this."""
        return replace(
            state,
            road_points=self.road_points,
            cheapest_points=self.cheapest_points,
            dispatch_pairs=self.dispatch_pairs,
            exact_dispatch=self.exact_dispatch,
            price_points=self.price_points,
            choices=self.choices,
        )


@dataclass(frozen=True)
class InheritStep:
    """Incoming residuals of ``hour`` >= 1 lie in the hour before's intervals."""

    hour: int


@dataclass(frozen=True)
class ClaimsStep:
    """Claims about an hour, under the cutoff in force."""

    hour: int
    claims: Claims


@dataclass(frozen=True)
class BoundsStep:
    """One bound per hour at these multipliers; ``relaxed``: of the hours' LPs."""

    multipliers: Multipliers
    bounds: tuple[float, ...]
    relaxed: bool
    hours: tuple[Partition, ...]


@dataclass(frozen=True)
class CutoffStep:
    """From here on only days worth at least ``lower`` count; rests on the bounds of step ``bounds_step``."""

    bounds_step: int
    lower: float


Step = InheritStep | ClaimsStep | BoundsStep | CutoffStep


@dataclass(frozen=True)
class Derivation:
    """A decomposed run's record: steps in order, the step that gives the bound, each hour's cuts."""

    steps: tuple[Step, ...]
    best: int
    references: tuple[tuple[Reference, ...], ...]
    tangents: tuple[dict[int, tuple[float, ...]], ...]
    bill_loads: tuple[tuple[Array, ...], ...]

    @property
    def result(self) -> BoundsStep:
        """The step that gives the bound."""
        step = self.steps[self.best]
        assert isinstance(step, BoundsStep)
        return step


@dataclass(frozen=True)
class OneModel:
    """A monolithic run's record."""

    hours: tuple[Partition, ...]
    bill_loads: tuple[tuple[Array, ...], ...]
    upper_bound: float | None
    infeasible: bool


# ---- plain values ------------------------------------------------------------------------------
def _get(record: Any, key: str, where: str) -> Any:
    if not isinstance(record, Mapping) or key not in record:
        raise RecordError(f"{where} has no {key}")
    return record[key]


def _list(value: Any, where: str, length: int | None = None) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise RecordError(f"{where} is no list")
    if length is not None and len(value) != length:
        raise RecordError(f"{where} has {len(value)} entries, there must be {length}")
    return value


def _whole(value: Any, where: str, end: int, start: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not start <= value < end:
        raise RecordError(f"{where} is {value!r}, not a whole number from {start} to {end - 1}")
    return value


def _number(value: Any, where: str, *, least: float = -math.inf) -> float:
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number may be too large for a float, which isfinite would make of it.
    if not sound or not (isinstance(value, int) or math.isfinite(value)):
        raise RecordError(f"{where} is {value!r}, not a finite number")
    if abs(value) > LARGEST:
        raise RecordError(f"{where} is {value!r}, larger than anything in a game")
    if value < least:
        raise RecordError(f"{where} is {value!r}, below {least!r}")
    return float(value)


def _end(value: Any, where: str, missing: float) -> float:
    """An interval's end; null and the infinity of its own side are open ends."""
    return missing if value is None or value == missing else _number(value, where)


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        raise RecordError(f"{where} is {value!r}, neither true nor false")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise RecordError(f"{where} is {value!r}, not a text")
    return value


def _points(value: Any, where: str, count: int) -> dict[int, tuple[float, ...]]:
    """{"index": [numbers]} with indices below ``count``."""
    if not isinstance(value, Mapping):
        raise RecordError(f"{where} is no object")
    out: dict[int, tuple[float, ...]] = {}
    for key, points in value.items():
        numbers = _list(points, f"{where}[{key!r}]")
        if len(numbers) > MOST_POINTS:
            raise RecordError(f"{where}[{key!r}] has {len(numbers)} points; at most {MOST_POINTS} are read")
        out[_index(key, where, count)] = tuple(_number(p, f"{where}[{key!r}]") for p in numbers)
    return out


def _index(key: Any, where: str, count: int) -> int:
    if not isinstance(key, str) or not key.isascii() or not key.isdigit():
        raise RecordError(f"{where} names {key!r}, which is no index")
    return _whole(int(key), f"an index of {where}", count)


def _each(
    value: Any, where: str, read: Callable[[Any, str], Read], most: int = MOST_POINTS
) -> tuple[Read, ...]:
    entries = _list(value, where)
    if len(entries) > most:
        raise RecordError(f"{where} has {len(entries)} entries; at most {most} are read")
    return tuple(read(entry, f"{where}[{i}]") for i, entry in enumerate(entries))


# ---- parts -------------------------------------------------------------------------------------
class _Reader:
    """Reads the parts of a record against a route set."""

    def __init__(self, routes: RouteSet) -> None:
        instance = routes.instance
        self.routes = routes
        self.hours, self.pairs = len(instance.periods), len(instance.pairs)
        self.stations, self.roads = len(instance.stations), len(instance.roads)
        sizes = {"price": self.stations, "load": self.stations, "road_flow": self.roads}
        sizes |= dict.fromkeys(("route_flow", "slack"), len(routes.routes))
        self.sizes = {q: sizes.get(q, self.pairs) for q in QUANTITIES}

    def partition(self, value: Any, where: str) -> Partition:
        names = _list(_get(value, "dispatch_pairs", where), f"{where}.dispatch_pairs")
        chosen = _get(value, "choices", where)
        if chosen is not None:
            each = _list(chosen, f"{where}.choices")
            chosen = frozenset(_whole(k, f"{where}.choices", len(self.routes.routes)) for k in each)
        return Partition(
            _points(_get(value, "road_points", where), f"{where}.road_points", self.roads),
            _points(_get(value, "cheapest_points", where), f"{where}.cheapest_points", self.pairs),
            frozenset(_text(name, f"{where}.dispatch_pairs") for name in names),
            _flag(_get(value, "exact_dispatch", where), f"{where}.exact_dispatch"),
            _points(_get(value, "price_points", where), f"{where}.price_points", self.stations),
            chosen,
            self.local(value.get("local"), f"{where}.local"),
        )

    def local(self, value: Any, where: str) -> Local | None:
        if value is None:
            return None
        return Local(
            _number(_get(value, "level", where), f"{where}.level"),
            _each(_get(value, "rounds", where), f"{where}.rounds", self.claims),
        )

    def claims(self, value: Any, where: str) -> Claims:
        every = sum(self.sizes.values())
        dropped = _list(_get(value, "dropped", where), f"{where}.dropped")
        return Claims(
            _each(_get(value, "intervals", where), f"{where}.intervals", self.interval, every),
            tuple(_whole(k, f"{where}.dropped", len(self.routes.routes)) for k in dropped),
        )

    def multipliers(self, value: Any, where: str) -> Multipliers:
        """Signs and feasibility are the arithmetic's business (Multipliers.valid); here the shapes."""

        def table(entry: Any, at: str, rows: int) -> Array:
            lines = [[_number(v, at) for v in _list(line, at, self.hours)] for line in _list(entry, at, rows)]
            return np.array(lines, dtype=float).reshape(rows, self.hours)

        cap = _list(_get(value, "cap", where), f"{where}.cap", self.stations)
        tariff = _get(value, "tariff", where)
        return Multipliers(
            np.array([_number(v, f"{where}.cap") for v in cap], dtype=float),
            table(_get(value, "link", where), f"{where}.link", self.pairs),
            None if tariff is None else table(tariff, f"{where}.tariff", self.stations),
        )

    def reference(self, value: Any, where: str) -> Reference:
        if not isinstance(value, Mapping):
            raise RecordError(f"{where} is no object")
        shares = np.zeros(len(self.routes.routes))
        for key, share in value.items():
            shares[_index(key, where, len(shares))] = _number(share, f"{where}[{key!r}]", least=0.0)
        return Reference(shares)

    def load(self, value: Any, where: str) -> Array:
        numbers = _list(value, where, self.stations)
        loads = np.array([_number(v, where, least=0.0) for v in numbers], dtype=float)
        capacity = np.array([station.capacity_kw for station in self.routes.instance.stations])
        if (loads > MOST_LOAD * capacity + 1.0).any():
            raise RecordError(f"{where}: a load is beyond its station's capacity")
        return loads

    def loads(self, value: Any, where: str) -> tuple[tuple[Array, ...], ...]:
        each = _list(value, where, self.hours)
        return tuple(_each(entry, f"{where}[{t}]", self.load) for t, entry in enumerate(each))

    def interval(self, value: Any, where: str) -> Interval:
        quantity, index, low, high = _list(value, where, 4)
        if quantity not in QUANTITIES:
            raise RecordError(f"{where} speaks of {quantity!r}, which no interval is kept of")
        return (
            quantity,
            _whole(index, f"{where}, index", self.sizes[quantity]),
            _end(low, f"{where}, low", -math.inf),
            _end(high, f"{where}, high", math.inf),
        )

    def step(self, value: Any, number: int) -> Step:
        where = f"steps[{number}]"
        kind = _get(value, "kind", where)
        if kind == "inherit":
            return InheritStep(_whole(_get(value, "hour", where), f"{where}.hour", self.hours, 1))
        if kind == "claims":
            hour = _whole(_get(value, "hour", where), f"{where}.hour", self.hours)
            return ClaimsStep(hour, self.claims(value, where))
        if kind == "cutoff":
            return CutoffStep(
                _whole(_get(value, "bounds_step", where), f"{where}.bounds_step", number),
                _number(_get(value, "lower", where), f"{where}.lower"),
            )
        if kind == "bounds":
            bounds = _list(_get(value, "bounds", where), f"{where}.bounds", self.hours)
            parts = _list(_get(value, "hours", where), f"{where}.hours", self.hours)
            return BoundsStep(
                self.multipliers(_get(value, "multipliers", where), f"{where}.multipliers"),
                tuple(_number(b, f"{where}.bounds") for b in bounds),
                _flag(_get(value, "relaxed", where), f"{where}.relaxed"),
                tuple(self.partition(p, f"{where}.hours[{t}]") for t, p in enumerate(parts)),
            )
        raise RecordError(f"{where} is of no known kind: {kind!r}")


def read_derivation(record: Mapping[str, Any], routes: RouteSet) -> Derivation:
    """A record of kind "decomposed". Raises RecordError."""
    reader = _Reader(routes)
    count = _get(record, "route_count", "the record")
    if count != len(routes.routes):
        raise RecordError(f"the record speaks of {count!r} routes, there are {len(routes.routes)}")
    stated = _list(_get(record, "steps", "the record"), "steps")
    steps = tuple(reader.step(value, number) for number, value in enumerate(stated))
    best = _whole(_get(record, "best", "the record"), "best", len(steps))
    if not isinstance(steps[best], BoundsStep):
        raise RecordError(f"best names step {best}, which gives no bound")
    for number, step in enumerate(steps):
        if isinstance(step, CutoffStep) and not isinstance(steps[step.bounds_step], BoundsStep):
            raise RecordError(f"the cutoff of steps[{number}] rests on a step that gives no bound")
    references = _list(_get(record, "references", "the record"), "references", reader.hours)
    tangents = _list(_get(record, "tangents", "the record"), "tangents", reader.hours)
    return Derivation(
        steps,
        best,
        tuple(_each(entry, f"references[{t}]", reader.reference) for t, entry in enumerate(references)),
        tuple(_points(entry, f"tangents[{t}]", reader.roads) for t, entry in enumerate(tangents)),
        reader.loads(_get(record, "bill_loads", "the record"), "bill_loads"),
    )


def read_one_model(record: Mapping[str, Any], routes: RouteSet) -> OneModel:
    """A record of kind "monolithic". Raises RecordError."""
    reader = _Reader(routes)
    hours = _list(_get(record, "hours", "the record"), "hours", reader.hours)
    bound = _get(record, "upper_bound", "the record")
    return OneModel(
        tuple(reader.partition(hour, f"hours[{t}]") for t, hour in enumerate(hours)),
        reader.loads([_get(hour, "bill_loads", "an hour") for hour in hours], "bill_loads"),
        None if bound is None else _number(bound, "upper_bound"),
        _flag(_get(record, "infeasible", "the record"), "infeasible"),
    )
