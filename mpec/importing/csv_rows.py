"""Rows of other people's CSV files: any columns, in any order; cells are checked where they are used."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from instances.errors import InstanceError, Problem, listing
from instances.tables import decode
from mpec.importing.pieces import problem, read_bytes, refusal

BLANK = ("", "nan", "none", "null")


@dataclass(frozen=True)
class CsvRow:
    """One row; names of columns in lower case."""

    file: str
    number: int
    cells: dict[str, str]

    def text(self, *columns: str) -> str:
        """The first of the columns that has something in it; '' if none has."""
        for column in columns:
            value = self.cells.get(column, "").strip()
            if value.lower() not in BLANK:
                return value
        return ""

    def number_of(
        self,
        *columns: str,
        problems: list[Problem],
        cure: str,
        low: float = 0.0,
        default: float | None = None,
    ) -> float | None:
        """The cell as a finite number >= low; where it is blank the default; else a problem and None."""
        text = self.text(*columns)
        if not text and default is not None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and value >= low:
            return value
        column = next((c for c in columns if c in self.cells), columns[0])
        what = f"is not a number >= {low:g}." if text else "is blank."
        problems.append(problem(self.file, what, cure, row=self.number, column=column, value=text or None))
        return None


def read_rows(path: Path, required: Sequence[Sequence[str]]) -> list[CsvRow]:
    """The rows of a CSV file. ``required``: for each thing that is needed, the columns that may hold it.

    Raises InstanceError where the file is no CSV, or a column is missing.
    """
    problems: list[Problem] = []
    text = decode(path.name, read_bytes(path), problems)
    if text is None:
        raise InstanceError(problems)
    reader = csv.DictReader(io.StringIO(text, newline=""))
    header = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = header
    for names in required:
        if not set(names) & set(header):
            what = f"the column {' or '.join(names)} is missing; it has {listing(header, 12)}."
            problems.append(problem(path.name, what, "Add the column, separated by commas.", row=1))
    if problems:
        raise InstanceError(problems)
    rows = [
        CsvRow(path.name, reader.line_num, {k: v or "" for k, v in row.items() if k is not None})
        for row in reader
    ]
    if not rows:
        raise refusal(path.name, "there is no row below the header.", "Add at least one row.")
    return rows
