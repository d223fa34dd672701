"""The small CSV tables that people write themselves, checked as the reader of an instance folder checks them.

They are the instance folder's own files (instances.schema), with two comforts: vehicles.csv may have a row with *
as origin and destination for all pairs that have no row, and periods.csv a column trips_factor, the veh/h of the
period per trip of the trips file. The other tables go into the new folder as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from instances import schema
from instances.errors import Problem
from instances.model import Pair, Period, Station
from instances.schema import Column, TableSchema
from instances.tables import Row, Table, read_table
from mpec.importing.pieces import fingerprint, read_bytes

TRIPS_FACTOR = Column(
    "trips_factor",
    "number",
    "Give the veh/h of this period per trip of the trips file, 0 or more.",
    required=False,
    filled=False,
    low=0.0,
)
_MADE = ("buses.csv", "lines.csv", "nodes.csv", "roads.csv", "trips.csv")
SCHEMAS: dict[str, TableSchema] = {
    table.file.removesuffix(".csv"): table for table in schema.TABLES if table.file not in _MADE
}
"""Name -> table that people may give; the others are made from roads, trips and feeder."""

SCHEMAS["periods"] = replace(schema.PERIODS, columns=(*schema.PERIODS.columns, TRIPS_FACTOR))
ANY = "*"


class GivenTables:
    """The tables that were given, by name. Problems with rows go to ``problems``, under the files' own names."""

    def __init__(self, files: Mapping[str, Path], problems: list[Problem]) -> None:
        self.files = dict(files)
        self.tables: dict[str, Table] = {}
        self.data: dict[str, bytes] = {}
        for name, path in self.files.items():
            found: list[Problem] = []
            self.data[name] = read_bytes(path)
            self.tables[name] = read_table(SCHEMAS[name], self.data[name], found)
            problems += self.named(found)

    def __contains__(self, name: str) -> bool:
        return name in self.tables

    def named(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems with the names of the files that people gave instead of the folder's."""
        own = {SCHEMAS[name].file: path.name for name, path in self.files.items()}
        return [replace(p, file=own.get(p.file, p.file)) for p in problems]

    def as_given(self) -> dict[str, bytes]:
        """File of the instance folder -> bytes, for the tables that go there as they are."""
        changed = ("vehicles", "periods")
        return {SCHEMAS[name].file: data for name, data in self.data.items() if name not in changed}

    def source(self, name: str) -> str:
        return fingerprint(self.files[name])

    def _rows(self, name: str) -> list[Row]:
        return [row for row in self.tables[name].rows if not row.bad] if name in self.tables else []

    def stations(self) -> tuple[Station, ...]:
        """What the other data depend on: places and ratings (the table itself goes into the folder as given)."""
        return tuple(
            Station(
                id=row.text("station") or "",
                node=row.text("node") or "",
                bus=row.text("bus") or "",
                rated_kva=row.value("rated_kva") or 0.0,
                power_factor=row.value("power_factor") or 1.0,
                pile_kw=row.value("pile_kw") or 1.0,
                available=row.flag("available") is True,
                price_min=row.value("price_min") or 0.0,
                price_max=row.value("price_max") or 0.0,
            )
            for row in self._rows("stations")
        )

    def vehicles(self) -> dict[tuple[str, str], Pair]:
        """Pairs by key; (ANY, ANY) is the row for the others."""
        pairs = [
            Pair(
                origin=row.text("origin") or "",
                destination=row.text("destination") or "",
                initial_kwh=row.value("initial_kwh") or 0.0,
                min_kwh=row.value("min_kwh") or 0.0,
                max_kwh=row.value("max_kwh") or 0.0,
                final_kwh=row.value("final_kwh") or 0.0,
                outside_cost=row.value("outside_cost"),
            )
            for row in self._rows("vehicles")
        ]
        return {pair.key: pair for pair in pairs}

    def periods(self) -> tuple[tuple[Period, ...], tuple[float, ...] | None]:
        """The periods in order, and their trips factors (None unless every row has one)."""
        rows = sorted(self._rows("periods"), key=lambda row: row.period() or 0)
        periods = tuple(
            Period(
                row.period() or 0, row.value("load_factor") or 0.0, row.value("import_price_per_kwh") or 0.0
            )
            for row in rows
        )
        factors = [row.value("trips_factor") for row in rows]
        known = tuple(factor for factor in factors if factor is not None)
        return periods, known if len(known) == len(rows) else None
