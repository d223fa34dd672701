"""A result's tables as pandas data frames: the columns and units of the files in a result folder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence

import pandas as pd

from mpec.equilibrium import Equilibrium
from mpec.tables import TABLES, bounds_text, routes_text, table_text

KEYS = ("station", "road", "origin", "destination", "scenario", "bus", "line", "farm", "path", "plan")
"""Columns of identifiers: text, even where every identifier looks like a number."""

WHOLE = ("period", "iteration")


def frames(equilibrium: Equilibrium) -> dict[str, pd.DataFrame]:
    """The tables by name: "prices", "roads", "routes", ..., and "bounds"; without a point "bounds" alone.

    One row per combination of the identifiers, which are columns, not an index; numbers are those of the files, to the
    last digit. Open ends of an electricity price's interval are missing values. The route "outside" is that of users
    who take the outside option.
    """
    texts = {"bounds": bounds_text(equilibrium.bounds)}
    if equilibrium.point is not None:
        for table in TABLES:
            name = table.file.removesuffix(".csv")
            texts[name] = table_text(table, equilibrium.instance, equilibrium.point)
        texts["routes"] = routes_text(equilibrium.point.routes)
    return {name: _frame(text) for name, text in texts.items()}


def _frame(text: str) -> pd.DataFrame:
    header, *rows = csv.reader(io.StringIO(text))
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    return pd.DataFrame({name: _values(name, cells) for name, cells in zip(header, columns, strict=True)})


def _values(name: str, cells: Sequence[str]) -> list[str] | list[int] | list[float]:
    """Identifiers as they are, whole numbers, or numbers with nan where the cell is blank."""
    if name in KEYS:
        return list(cells)
    if name in WHOLE:
        return [int(cell) for cell in cells]
    return [float(cell) if cell else math.nan for cell in cells]
