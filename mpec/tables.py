"""The tables of a result folder: which columns they have, and their text to and from arrays.

Every table but routes.csv and bounds.csv has exactly one row per combination of its keys, in the
instance's order, so that a missing, doubled or strange row is found and named. Floats are written with
``repr`` and read back exactly.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from instances.model import Instance
from mpec.equilibrium import BoundStep, Point, RouteFlow
from mpec.storage import ResultError, read_text

Array = np.ndarray
OUTSIDE = "outside"
_CURE = "Restore the file, or solve again with --force."


@dataclass(frozen=True)
class Axis:
    """One index of an array: its key columns and, for an instance, the keys in order."""

    columns: tuple[str, ...]
    keys: Callable[[Instance], list[tuple[str, ...]]]


STATION = Axis(("station",), lambda i: [(s.id,) for s in i.stations])
PERIOD = Axis(("period",), lambda i: [(str(p.id),) for p in i.periods])
ROAD = Axis(("road",), lambda i: [(r.id,) for r in i.roads])
PAIR = Axis(("origin", "destination"), lambda i: [p.key for p in i.pairs])
SCENARIO = Axis(("scenario",), lambda i: [(s.id,) for s in i.scenarios])
BUS = Axis(("bus",), lambda i: [(b.id,) for b in i.buses])
LINE = Axis(("line",), lambda i: [(ln.id,) for ln in i.lines])
FARM = Axis(("farm",), lambda i: [(f.id,) for f in i.wind_farms])


@dataclass(frozen=True)
class Table:
    """A file: axes in the order of the array, value columns with the field of Point they hold.

    ``blank``: columns that may be blank, and what that means: an open end of a price interval.
    """

    file: str
    axes: tuple[Axis, ...]
    values: tuple[tuple[str, str], ...]
    blank: tuple[tuple[str, float], ...] = ()

    @property
    def header(self) -> list[str]:
        return [c for axis in self.axes for c in axis.columns] + [column for column, _ in self.values]

    def shape(self, instance: Instance) -> tuple[int, ...]:
        return tuple(len(axis.keys(instance)) for axis in self.axes)


TABLES: tuple[Table, ...] = (
    Table(
        "prices.csv",
        (STATION, PERIOD),
        (
            ("charging_price", "prices"),
            ("electricity_price", "electricity_price"),
            ("electricity_price_low", "electricity_low"),
            ("electricity_price_high", "electricity_high"),
            ("load_kw", "load_kw"),
        ),
        blank=(("electricity_price_low", -math.inf), ("electricity_price_high", math.inf)),
    ),
    Table("roads.csv", (ROAD, PERIOD), (("veh_per_h", "road_flow"), ("time_h", "road_time_h"))),
    Table(
        "residuals.csv",
        (PAIR, PERIOD),
        (("demand", "demand"), ("modified_demand", "modified_demand"), ("residual", "residual")),
    ),
    Table(
        "buses.csv",
        (SCENARIO, PERIOD, BUS),
        (
            ("v_pu", "voltage_pu"),
            ("price_active", "price_active"),
            ("price_reactive", "price_reactive"),
            ("shed_kw", "shed_kw"),
        ),
    ),
    Table("dispatch.csv", (SCENARIO, PERIOD), (("import_kw", "import_kw"), ("import_kvar", "import_kvar"))),
    Table("lines.csv", (SCENARIO, PERIOD, LINE), (("p_kw", "line_kw"), ("q_kvar", "line_kvar"))),
    Table("wind.csv", (SCENARIO, PERIOD, FARM), (("used_kw", "wind_kw"),)),
    Table("emergency.csv", (SCENARIO, PERIOD, STATION), (("kw", "emergency_kw"),)),
)
ROUTES_HEADER = ["origin", "destination", "period", "path", "plan", "veh_per_h", "cost", "cheapest_cost"]
BOUNDS_HEADER = ["iteration", "seconds", "lower", "upper"]


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _number(value: float, file: str, column: str, where: str) -> str:
    if not math.isfinite(value):
        raise ResultError(
            file,
            f"{value} for {where}",
            "Nothing was written: the run ended without a finite point.",
            column=column,
        )
    return repr(float(value))


def _keys(axes: Sequence[Axis], instance: Instance) -> list[tuple[str, ...]]:
    """All key tuples in array order."""
    combined: list[tuple[str, ...]] = [()]
    for axis in axes:
        here = axis.keys(instance)
        combined = [left + right for left in combined for right in here]
    return combined


def table_text(table: Table, instance: Instance, point: Point) -> str:
    """A table as CSV. Raises ResultError for a wrong shape or a number that is not finite."""
    keys, columns = _keys(table.axes, instance), []
    for column, name in table.values:
        array = np.asarray(getattr(point, name), dtype=float)
        if array.shape != table.shape(instance):
            raise ResultError(
                table.file,
                f"the point's {name} has shape {array.shape} instead of {table.shape(instance)}",
                "Nothing was written; this is an error of the program that made the point.",
                column=column,
            )
        flat = array.ravel()
        blank = column in dict(table.blank)
        columns.append(
            [
                "" if blank and not math.isfinite(v) else _number(v, table.file, column, ", ".join(k))
                for k, v in zip(keys, flat, strict=True)
            ]
        )
    return _csv(
        table.header, (key + values for key, values in zip(keys, zip(*columns, strict=True), strict=True))
    )


def plan_text(plan: Sequence[tuple[str, float]]) -> str:
    """``station:kWh`` joined by ``;``."""
    return ";".join(f"{station}:{float(kwh)!r}" for station, kwh in plan)


def routes_text(routes: Iterable[RouteFlow]) -> str:
    """routes.csv. Raises ResultError for numbers that are not finite."""
    rows = []
    for r in routes:
        where = f"{r.origin}>{r.destination} in period {r.period}"
        values = [
            _number(v, "routes.csv", column, where)
            for v, column in (
                (r.veh_per_h, "veh_per_h"),
                (r.cost, "cost"),
                (r.cheapest_cost, "cheapest_cost"),
            )
        ]
        path = OUTSIDE if r.outside else ">".join(r.path)
        rows.append([r.origin, r.destination, str(r.period), path, plan_text(r.plan), *values])
    return _csv(ROUTES_HEADER, rows)


def bound_row(step: BoundStep) -> str:
    """One line of bounds.csv; a bound that doesn't exist is blank."""
    ends = ["" if v is None or not math.isfinite(v) else repr(float(v)) for v in (step.lower, step.upper)]
    return f"{step.iteration},{float(step.seconds)!r},{ends[0]},{ends[1]}\n"


def bounds_text(steps: Iterable[BoundStep]) -> str:
    """bounds.csv."""
    return ",".join(BOUNDS_HEADER) + "\n" + "".join(bound_row(step) for step in steps)


# ---- reading -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Row:
    """One data row: its file, number (the header is row 1) and cells by column."""

    file: Path
    number: int
    cells: dict[str, str]

    def error(self, column: str | None, problem: str) -> ResultError:
        return ResultError(self.file, problem, _CURE, row=self.number, column=column)

    def real(self, column: str, *, blank: bool = False) -> float:
        """A finite number; NaN where ``blank`` is allowed and the cell is empty."""
        text = self.cells[column].strip()
        if blank and not text:
            return math.nan
        try:
            value = float(text)
        except ValueError:
            raise self.error(column, f"{text!r} is not a number") from None
        if not math.isfinite(value):
            raise self.error(column, f"{text!r} is not a finite number")
        return value

    def whole(self, column: str) -> int:
        try:
            return int(self.cells[column])
        except ValueError:
            raise self.error(column, f"{self.cells[column]!r} is not a whole number") from None


def read_rows(path: Path, header: Sequence[str]) -> list[Row]:
    """The rows of a CSV file whose columns are ``header`` in any order. Raises ResultError."""
    text = read_text(path, cure=_CURE)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise ResultError(path, f"is not CSV ({error})", _CURE) from error
    if not lines:
        raise ResultError(path, "is empty", _CURE)
    names = [name.strip() for name in lines[0]]
    for column in header:
        if names.count(column) != 1:
            problem = "is missing" if column not in names else "is there twice"
            raise ResultError(path, f"the column {problem}", _CURE, row=1, column=column)
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(names):
            raise ResultError(path, f"has {len(cells)} cells, the header has {len(names)}", _CURE, row=number)
        rows.append(Row(path, number, dict(zip(names, cells, strict=True))))
    return rows


def read_table(table: Table, path: Path, instance: Instance) -> dict[str, Array]:
    """Point fields of one table, in the instance's order. Raises ResultError naming row and column."""
    position = {key: n for n, key in enumerate(_keys(table.axes, instance))}
    shape = table.shape(instance)
    arrays = {name: np.full(len(position), math.nan) for _, name in table.values}
    seen: dict[tuple[str, ...], int] = {}
    key_columns = [c for axis in table.axes for c in axis.columns]
    open_ends = dict(table.blank)
    for row in read_rows(path, table.header):
        key = tuple(row.cells[c].strip() for c in key_columns)
        if key not in position:
            raise row.error(
                key_columns[-1], f"({', '.join(key)}) is not in the instance's {', '.join(key_columns)}"
            )
        if key in seen:
            raise row.error(None, f"({', '.join(key)}) was already in row {seen[key]}")
        seen[key] = row.number
        for column, name in table.values:
            value = row.real(column, blank=column in open_ends)
            arrays[name][position[key]] = open_ends[column] if math.isnan(value) else value
    if len(seen) != len(position):
        missing = next(key for key in position if key not in seen)
        raise ResultError(
            path,
            f"has {len(seen)} of {len(position)} rows; the first missing one is ({', '.join(missing)})",
            _CURE,
        )
    return {name: array.reshape(shape) for name, array in arrays.items()}


def _plan(row: Row) -> tuple[tuple[str, float], ...]:
    plan = []
    for part in filter(None, row.cells["plan"].strip().split(";")):
        station, colon, amount = part.rpartition(":")
        try:
            kwh = float(amount)
        except ValueError:
            kwh = math.nan
        if not colon or not math.isfinite(kwh):
            raise row.error("plan", f"{part!r} is not station:kWh")
        plan.append((station.strip(), kwh))
    return tuple(plan)


def read_routes(path: Path, instance: Instance) -> tuple[RouteFlow, ...]:
    """The used routes. Raises ResultError for ids that the instance doesn't have."""
    labels = {period.id for period in instance.periods}
    routes = []
    for row in read_rows(path, ROUTES_HEADER):
        key = row.cells["origin"].strip(), row.cells["destination"].strip()
        if key not in instance.pair_index:
            raise row.error("origin", f"({', '.join(key)}) is not an O-D pair of the instance")
        period = row.whole("period")
        if period not in labels:
            raise row.error("period", f"{period} is not a period of the result")
        text = row.cells["path"].strip()
        outside = text == OUTSIDE
        roads = () if outside or not text else tuple(part.strip() for part in text.split(">"))
        for road in roads:
            if road not in instance.road_index:
                raise row.error("path", f"{road!r} is not a road of the instance")
        plan = _plan(row)
        for station, _ in plan:
            if station not in instance.station_index:
                raise row.error("plan", f"{station!r} is not a station of the instance")
        routes.append(
            RouteFlow(
                *key,
                period,
                roads,
                plan,
                row.real("veh_per_h"),
                row.real("cost"),
                row.real("cheapest_cost"),
                outside,
            )
        )
    return tuple(routes)


def read_bounds(path: Path) -> tuple[BoundStep, ...]:
    """bounds.csv. A last line without its line end was cut off by a kill and is left out."""
    text = read_text(path, cure=_CURE)
    lines = text[: text.rfind("\n") + 1].splitlines()
    if not lines or [c.strip() for c in lines[0].split(",")] != BOUNDS_HEADER:
        raise ResultError(path, f"the header is not {','.join(BOUNDS_HEADER)}", _CURE, row=1)
    steps = []
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split(",")
        if len(cells) != len(BOUNDS_HEADER):
            raise ResultError(path, f"has {len(cells)} cells, the header has 4", _CURE, row=number)
        row = Row(path, number, dict(zip(BOUNDS_HEADER, cells, strict=True)))
        lower, upper = row.real("lower", blank=True), row.real("upper", blank=True)
        steps.append(
            BoundStep(
                row.whole("iteration"),
                row.real("seconds"),
                None if math.isnan(lower) else lower,
                None if math.isnan(upper) else upper,
            )
        )
    return tuple(steps)
