"""Tables as Markdown and as LaTeX (booktabs): the same cells, typeset twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "money", "percent", "number", "count"]
NONE = "–"
"""Stands where a number doesn't exist."""


@dataclass(frozen=True)
class Column:
    """A column: its header, what its cells are, and after how many digits they are rounded."""

    header: str
    kind: Kind = "text"
    digits: int = 2


@dataclass(frozen=True)
class Table:
    """A table: ``name`` is its file's, ``title`` its caption; cells are raw values, None where there is none."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


def shown(value: Any, kind: Kind = "number", digits: int = 2) -> str:
    """A value as it is printed: '19 655.13', '0.95 %', '–'. Shares become percent, texts stay."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NONE
    if kind == "text":
        return str(value)
    if kind == "count":
        return f"{round(value):,}".replace(",", " ")
    if kind == "percent":
        return f"{_rounded(100.0 * value, digits):.{digits}f} %"
    if kind == "number":
        return f"{_rounded(value, digits):.{digits}f}".rstrip("0").rstrip(".") if digits else f"{value:g}"
    return f"{_rounded(value, digits):,.{digits}f}".replace(",", " ")


def _rounded(value: float, digits: int) -> float:
    """Without the sign of a number that rounds to nothing."""
    return round(value, digits) + 0.0


def _cells(table: Table) -> list[list[str]]:
    for row in table.rows:
        if len(row) != len(table.columns):
            raise ValueError(f"table {table.name}: {len(row)} cells under {len(table.columns)} columns")
    return [
        [shown(value, c.kind, c.digits) for value, c in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]


def markdown(table: Table) -> str:
    """The table as Markdown, numbers to the right, its title above."""
    lines = [f"**{table.title}**", ""]
    lines.append("| " + " | ".join(_bar(c.header) for c in table.columns) + " |")
    lines.append("|" + "|".join("---" if c.kind == "text" else "---:" for c in table.columns) + "|")
    lines += ["| " + " | ".join(_bar(cell) for cell in cells) + " |" for cells in _cells(table)]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _bar(text: str) -> str:
    return text.replace("|", "\\|")


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "κ": r"$\kappa$", "ξ": r"$\xi$",
    "≤": r"$\le$", "≥": r"$\ge$", "×": r"$\times$", "–": "--", "±": r"$\pm$", "ε": r"$\varepsilon$",
}  # fmt: skip


def latex_text(text: str) -> str:
    """Text with everything escaped that LaTeX would take for a command."""
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_cell(text: str, kind: Kind) -> str:
    if kind == "text" or text == NONE:
        return latex_text(text)
    number = text.replace(" %", "").replace(" ", r"\,").replace("-", "-")
    number = f"${number}$" if number.startswith("-") else number
    return number + (r"\,\%" if text.endswith("%") else "")


def latex(table: Table) -> str:
    """The table as a LaTeX float; needs \\usepackage{booktabs}."""
    align = "".join("l" if c.kind == "text" else "r" for c in table.columns)
    body = [
        " & ".join(_latex_cell(cell, c.kind) for cell, c in zip(cells, table.columns, strict=True)) + r" \\"
        for cells in _cells(table)
    ]
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\label{{tab:{table.name}}}",
        rf"\begin{{tabular}}{{{align}}}",
        r"\toprule",
        " & ".join(latex_text(c.header) for c in table.columns) + r" \\",
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.note:
        lines.append(rf"\par\smallskip\footnotesize {latex_text(table.note)}")
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def columns(*given: tuple[str, Kind] | tuple[str, Kind, int] | str) -> tuple[Column, ...]:
    """Columns from (header, kind[, digits]) or a header alone."""
    return tuple(Column(one) if isinstance(one, str) else Column(*one) for one in given)


def rows_of(rows: Sequence[Sequence[Any]]) -> tuple[tuple[Any, ...], ...]:
    """Rows as a Table holds them."""
    return tuple(tuple(row) for row in rows)
