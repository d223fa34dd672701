"""A LinearModel as an .mps or .lp file whose names can be read.

MPS is written in free format with RANGES; SOS1 sets, indicators and products go into .lp only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mpec.linear_model import LinearModel, Products
from mpec.refusals import Refused


def write_model(model: LinearModel, path: str | Path) -> None:
    """Write ``model`` as .mps or .lp, by the file's ending.

    Raises Refused for another ending, and for what the format can't hold.
    """
    path = Path(path)
    if path.suffix == ".mps":
        path.write_text(mps_text(model), encoding="utf-8")
    elif path.suffix == ".lp":
        path.write_text(lp_text(model), encoding="utf-8")
    else:
        raise Refused(f"{path.name}: the ending decides the format; give a name that ends in .mps or .lp")


def unique_names(names: Iterable[str], forbidden: str = r"\s") -> list[str]:
    """Names with forbidden characters replaced by '_', made unique by a number where two would coincide."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        plain = re.sub(forbidden, "_", name) or "_"
        count = seen.get(plain, 0)
        seen[plain] = count + 1
        out.append(plain if count == 0 else f"{plain}~{count}")
    return out


def number(value: float) -> str:
    """Shortest text that reads back as the same double."""
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def mps_text(model: LinearModel, *, names: tuple[Sequence[str], Sequence[str]] | None = None) -> str:
    """Free-format MPS. ``names``: (columns, rows) if they are fixed already."""
    if model.sos1 or model.indicators or model.quadratic_rows or model.cost_products.values:
        raise Refused(
            "MPS is written for linear mixed-integer models only; this one has SOS1 sets, indicator"
            " rows or products.\n"
            "  Write .lp instead, or use mode big_m."
        )
    columns, rows = names or (unique_names(model.column_names), unique_names(model.row_names))
    low, high = model.row_lower, model.row_upper
    lines = [f"NAME {unique_names([model.name or 'model'])[0]}"]
    if model.maximise:
        lines += ["OBJSENSE", "    MAX"]
    lines += ["ROWS", " N  objective"]
    lines += [f" {_kind(a, b)}  {r}" for a, b, r in zip(low, high, rows, strict=True)]
    lines.append("COLUMNS")
    lines += _mps_columns(model, columns, rows)
    lines.append("RHS")
    if model.constant:
        lines.append(f"    rhs  objective  {number(-model.constant)}")
    for a, b, r in zip(low, high, rows, strict=True):
        side = a if math.isfinite(a) else b
        if math.isfinite(side) and side != 0.0:
            lines.append(f"    rhs  {r}  {number(side)}")
    ranges = [
        (r, b - a)
        for a, b, r in zip(low, high, rows, strict=True)
        if math.isfinite(a) and math.isfinite(b) and a != b
    ]
    if ranges:
        lines.append("RANGES")
        lines += [f"    range  {r}  {number(width)}" for r, width in ranges]
    lines.append("BOUNDS")
    for j, name in enumerate(columns):
        lines += _mps_bounds(name, model.lower[j], model.upper[j], model.integer[j])
    return "\n".join([*lines, "ENDATA", ""])


def _kind(low: float, high: float) -> str:
    if low == high:
        return "E"
    if math.isfinite(low):
        return "G"
    return "L" if math.isfinite(high) else "N"


def _mps_columns(model: LinearModel, columns: Sequence[str], rows: Sequence[str]) -> list[str]:
    matrix = model.matrix().tocsc()
    lines = []
    inside = False
    for j, name in enumerate(columns):
        if model.integer[j] != inside:
            inside = model.integer[j]
            lines.append(f"    marker  'MARKER'  '{'INTORG' if inside else 'INTEND'}'")
        entries = [f"    {name}  objective  {number(model.cost[j])}"] if model.cost[j] else []
        for k in range(matrix.indptr[j], matrix.indptr[j + 1]):
            entries.append(f"    {name}  {rows[matrix.indices[k]]}  {number(float(matrix.data[k]))}")
        lines += entries or [f"    {name}  objective  0"]
    if inside:
        lines.append("    marker  'MARKER'  'INTEND'")
    return lines


def _mps_bounds(name: str, low: float, high: float, integer: bool) -> list[str]:
    """Bounds that differ from [0, infinity); integer columns always get theirs, since defaults differ."""
    if low == high:
        return [f" FX bound  {name}  {number(low)}"]
    if math.isinf(low) and math.isinf(high):
        return [f" FR bound  {name}"]
    out = []
    if math.isinf(low):
        out.append(f" MI bound  {name}")
    elif low != 0.0 or integer or high < 0.0:
        out.append(f" LO bound  {name}  {number(low)}")
    if math.isfinite(high):
        out.append(f" UP bound  {name}  {number(high)}")
    elif integer:
        out.append(f" PL bound  {name}")
    return out


def lp_text(model: LinearModel) -> str:
    """CPLEX LP format, with SOS1 sets, indicators and products."""
    forbidden = r"[^A-Za-z0-9_.()!#$%&,;?@{}~]"
    columns = [
        n if not re.match(r"[0-9.eE]", n) else f"_{n}" for n in unique_names(model.column_names, forbidden)
    ]
    rows = [n if not re.match(r"[0-9.eE]", n) else f"_{n}" for n in unique_names(model.row_names, forbidden)]
    cost = _terms(np.flatnonzero(model.cost).tolist(), [c for c in model.cost if c], columns)
    square = _squares(model.cost_products, columns, halved=True)
    constant = f" {model.constant:+.17g}" if model.constant else ""
    lines = [
        "Maximize" if model.maximise else "Minimize",
        f" objective: {cost}{square}{constant}"
        if cost or square or constant
        else " objective: 0 " + (columns[0] if columns else ""),
    ]
    lines.append("Subject To")
    for i, name in enumerate(rows):
        span = slice(model.starts[i], model.starts[i + 1])
        body = _terms(model.indices[span], model.values[span], columns) or (
            f"0 {columns[0]}" if columns else ""
        )
        lines += _lp_row(name, body, model.row_lower[i], model.row_upper[i])
    for row in model.quadratic_rows:
        body = _terms(row.columns, row.values, columns) + _squares(row.products, columns, halved=False)
        lines += _lp_row(unique_names([row.name], forbidden)[0], body, row.lower, row.upper)
    for indicator in model.indicators:
        body = _terms(indicator.columns, indicator.values, columns)
        for sense, side in ((">=", indicator.lower), ("<=", indicator.upper)):
            if math.isfinite(side):
                name = unique_names([indicator.name], forbidden)[0]
                lines.append(
                    f" {name}: {columns[indicator.binary]} = {indicator.value} -> {body} {sense} {side:.17g}"
                )
    lines.append("Bounds")
    for j, name in enumerate(columns):
        low = "-inf" if math.isinf(model.lower[j]) else f"{model.lower[j]:.17g}"
        high = "+inf" if math.isinf(model.upper[j]) else f"{model.upper[j]:.17g}"
        lines.append(f" {low} <= {name} <= {high}")
    whole = [columns[j] for j in np.flatnonzero(model.integer)]
    if whole:
        lines += ["General", *(f" {name}" for name in whole)]
    if model.sos1:
        lines.append("SOS")
        for name, members in model.sos1:
            weights = " ".join(f"{columns[j]}:{k + 1}" for k, j in enumerate(members))
            lines.append(f" {unique_names([name], forbidden)[0]}: S1:: {weights}")
    return "\n".join([*lines, "End", ""])


def _lp_row(name: str, body: str, low: float, high: float) -> list[str]:
    if low == high:
        return [f" {name}: {body} = {low:.17g}"]
    out = []
    both = math.isfinite(low) and math.isfinite(high)
    if math.isfinite(low):
        out.append(f" {name}{'.low' if both else ''}: {body} >= {low:.17g}")
    if math.isfinite(high):
        out.append(f" {name}{'.high' if both else ''}: {body} <= {high:.17g}")
    return out


def _terms(columns: Sequence[int], values: Sequence[float], names: Sequence[str]) -> str:
    return " ".join(f"{v:+.17g} {names[j]}" for j, v in zip(columns, values, strict=True))


def _squares(products: Products, names: Sequence[str], *, halved: bool) -> str:
    if not products.values:
        return ""
    factor = 2.0 if halved else 1.0
    parts = [
        f"{factor * v:+.17g} {names[i]} ^ 2" if i == j else f"{factor * v:+.17g} {names[i]} * {names[j]}"
        for i, j, v in zip(products.first, products.second, products.values, strict=True)
    ]
    return " + [ " + " ".join(parts) + (" ] / 2" if halved else " ]")
