"""Tables of long measurements: rows kept in a CSV file as they come, so that a bench goes on where it stopped."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mpec.equilibrium import Equilibrium

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The whole rows that are there, none without the file; one that a kill cut off is left out."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values() and None not in row]


def add_row(path: Path, rows: list[Row], fields: Sequence[str], row: Mapping[str, Any]) -> None:
    """Append ``row`` to ``rows`` (None is blank) and write them all."""
    rows.append({name: "" if row[name] is None else str(row[name]) for name in fields})
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        writer.writerows(rows)


def markdown(rows: Sequence[Row], fields: Sequence[str]) -> str:
    """A table of these columns; gaps in per cent, bounds in money."""
    return text_table(fields, [[_cell(name, row[name]) for name in fields] for row in rows])


def _cell(name: str, value: str) -> str:
    if value and name == "gap":
        return f"{100 * float(value):.2f} %"
    return f"{float(value):,.1f}" if value and name in ("lower", "upper") else value


def text_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table of cells that are text already."""
    top, *body = ("| " + " | ".join(line) + " |" for line in (head, *lines))
    return "\n".join([top, "|" + "---|" * len(head), *body]) + "\n"


def number(value: str) -> float | None:
    """A row's number; blank is None."""
    return float(value) if value else None


def seconds_text(value: str) -> str:
    """A row's seconds; blank: what they were to be of never happened."""
    return f"{float(value):.0f} s" if value else "never"


def reached(result: Equilibrium, gap: float) -> float | None:
    """Seconds until an interval with at most this gap stood; None: never."""
    for step in result.bounds:
        if step.lower is not None and step.upper is not None:
            if (step.upper - step.lower) / max(abs(step.upper), 1.0) <= gap:
                return round(step.seconds, 1)
    return None
