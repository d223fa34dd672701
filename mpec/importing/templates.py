"""Templates of the tables that roads and feeder don't hold: headers to fill in, and what each column means."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from instances.schema import TableSchema
from mpec.importing.folder import write_folder
from mpec.importing.given_tables import SCHEMAS

_INTRODUCTION = """Tables for `mpec new`, to be filled in (CSV, UTF-8, commas, decimals with a point).
Needed: stations.csv, vehicles.csv, periods.csv. Delete what you don't need of the others.

  mpec new CITY --data THIS_FOLDER --roads ... --trips ... --feeder ...

vehicles.csv: a row with * as origin and destination holds for every pair without a row.
periods.csv: trips_factor is optional; without it, give --trips-per hour or day and --assume.
"""


def write_templates(folder: Path) -> list[str]:
    """Write the templates into a new folder and return the files' names. Raises InstanceError if it exists."""
    files = {f"{name}.csv": _table(name, schema) for name, schema in SCHEMAS.items()}
    files["README.txt"] = _INTRODUCTION + "".join(_described(schema) for schema in SCHEMAS.values())
    write_folder(folder, files)
    return sorted(files)


def _table(name: str, schema: TableSchema) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([column.name for column in schema.columns])
    if name == "periods":
        # Hours are no guess; what they hold is left blank and refused until it is filled in.
        writer.writerows([[hour, *[""] * (len(schema.columns) - 1)] for hour in range(1, 25)])
    return stream.getvalue()


def _described(schema: TableSchema) -> str:
    lines = [f"\n{schema.file}"]
    for column in schema.columns:
        optional = "" if column.required and column.filled else " (optional)"
        lines.append(f"  {column.name}{optional}: {column.cure}")
    return "\n".join(lines) + "\n"
