"""The conversions that a MATPOWER case does itself, in code below its tables.

Many radial cases give loads in kW (or kVA) and impedances in ohm, and turn them to MW and p.u. in a few
assignments at the end of the m-file. Parsers read the tables and skip that code: totals are then 1,000 times too
large, silently. This module runs the assignments; what it doesn't understand is refused, never skipped.

Understood: `name = expression`, `mpc.table(rows, columns) = expression`, with + - * / ^ (and the elementwise
.* ./ .^), parentheses, numbers, names, sin cos tan asin acos atan sqrt abs, the constants of idx_bus, idx_brch
and idx_gen, columns as a name, a number or a list [PD, QD], rows as `:` or a number.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mpec.importing.pieces import refusal

Array = np.ndarray[Any, Any]

_TYPES = {"PQ": 1, "PV": 2, "REF": 3, "NONE": 4}
_BUS = "BUS_I BUS_TYPE PD QD GS BS BUS_AREA VM VA BASE_KV ZONE VMAX VMIN"
_BRANCH = "F_BUS T_BUS BR_R BR_X BR_B RATE_A RATE_B RATE_C TAP SHIFT BR_STATUS"
_GEN = "GEN_BUS PG QG QMAX QMIN VG MBASE GEN_STATUS PMAX PMIN"


def _counted(names: str) -> dict[str, int]:
    return {name: i for i, name in enumerate(names.split(), start=1)}


_OUTPUTS: dict[str, dict[str, int]] = {
    "idx_bus": {**_TYPES, **_counted(_BUS)},
    "idx_brch": _counted(_BRANCH),
    "idx_gen": _counted(_GEN),
}
"""What MATPOWER's index functions return, in the order of their outputs (those of results are left out)."""

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
_CURE = (
    "Load the case in MATLAB or Octave and write it with savecase, which leaves plain MW, Mvar and p.u.; "
    "then give that file."
)
_TABLE = re.compile(r"mpc\.(\w+)\s*\(\s*(:|\d+|end)\s*,\s*(\[[^\]]*\]|:|\w+)\s*\)")
_INDEX_CALL = re.compile(r"\[([\w\s,]+)\]\s*=\s*(idx_\w+)")


def statements(text: str) -> list[tuple[int, str]]:
    """(line, statement) of the file's code: comments and block comments removed, continued lines joined, tables
    and other literals as one statement each."""
    joined: list[tuple[int, str]] = []
    pending, start, depth, in_block = "", 0, 0, False
    for number, raw in enumerate(text.splitlines(), start=1):
        if raw.strip() in ("%{", "%}"):
            in_block = raw.strip() == "%{"
            continue
        line = "" if in_block else _without_comment(raw)
        continued = line.rstrip().endswith("...")
        line = re.sub(r"\.\.\.\s*$", " ", line)
        if not pending.strip():
            start = number
        pending += line + ("\n" if depth else " ")
        depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
        if depth <= 0 and not continued:
            depth = 0
            joined += [(start, part.strip()) for part in _parts(pending) if part.strip()]
            pending = ""
    if pending.strip():
        joined.append((start, pending.strip()))
    return joined


def _without_comment(line: str) -> str:
    """The line up to a % that stands outside quotes."""
    quoted = False
    for i, character in enumerate(line):
        if character == "'":
            # after a name, number or bracket an apostrophe transposes
            transposes = i > 0 and (line[i - 1].isalnum() or line[i - 1] in ")]._'")
            quoted = not quoted and not transposes
        elif character in "%#" and not quoted:
            return line[:i]
    return line


def _parts(text: str) -> list[str]:
    """Statements of one line: split at semicolons outside brackets."""
    parts, depth, now = [], 0, ""
    for character in text:
        depth += (character in "[{(") - (character in "]})")
        if character == ";" and depth == 0:
            parts.append(now)
            now = ""
        else:
            now += character
    return [*parts, now]


def convert(
    file: str, text: str, tables: Mapping[str, Array], base_mva: float
) -> tuple[dict[str, Array], list[str]]:
    """The tables after the case's own code, and that code's statements as text.

    ``tables``: bus, branch, gen as the m-file lists them. Raises InstanceError at the first statement that is
    not understood and could change them.
    """
    run = _Run(file, {name: table.copy() for name, table in tables.items()}, base_mva)
    for number, statement in statements(text):
        run.execute(number, statement)
    return run.tables, run.done


class _Run:
    """The variables of a case file while its statements are executed."""

    def __init__(self, file: str, tables: dict[str, Array], base_mva: float) -> None:
        self.file, self.tables, self.done = file, tables, []  # type: tuple[str, dict[str, Array], list[str]]
        self.names: dict[str, Any] = {"pi": math.pi, "mpc.baseMVA": base_mva}

    def refuse(self, number: int, statement: str, why: str) -> Exception:
        what = f"is code of the case that is not understood ({why}); it may convert units."
        return refusal(self.file, what, _CURE, row=number, value=statement)

    def execute(self, number: int, statement: str) -> None:
        if statement.startswith("function ") or statement in ("end", "return", "endfunction"):
            return
        call = _INDEX_CALL.fullmatch(statement)
        if call:
            self._indices(number, statement, call[1], call[2])
            return
        target, equals, expression = statement.partition("=")
        target, expression = target.strip(), expression.strip()
        if re.match(r"(if|for|while|switch|else|elseif)\b", statement) or not equals or not expression:
            raise self.refuse(number, statement, "only assignments are")
        if expression[0] in "[{'\"" and re.fullmatch(r"mpc\.\w+", target):
            return  # a table or text, which the parser has read
        try:
            if re.fullmatch(r"mpc\.\w+", target):
                name = target.removeprefix("mpc.")
                if name in self.tables:
                    raise self.refuse(number, statement, "a whole table is replaced")
                self.names[target] = self._value(expression)
            elif re.fullmatch(r"[A-Za-z]\w*", target):
                self.names[target] = self._value(expression)
            else:
                self._assign(number, statement, target, expression)
                self.done.append(" ".join(statement.split()))
        except (SyntaxError, TypeError, NameError, ZeroDivisionError, IndexError) as error:
            raise self.refuse(number, statement, str(error)) from error
        except ValueError as error:
            raise (
                error if hasattr(error, "problems") else self.refuse(number, statement, str(error))
            ) from error

    def _indices(self, number: int, statement: str, listed: str, function: str) -> None:
        """[PQ, …] = idx_bus: the column numbers, by MATPOWER's own names."""
        known = _OUTPUTS.get(function)
        if known is None:
            if function == "idx_cost":
                return
            raise self.refuse(number, statement, f"{function} is not known")
        # Outputs are told by their place: under other names they would be other columns.
        for name, standard in zip(listed.replace(",", " ").split(), known, strict=False):
            if name != standard:
                raise self.refuse(number, statement, f"{function} returns {standard} where {name} stands")
        self.names.update(known)

    def _assign(self, number: int, statement: str, target: str, expression: str) -> None:
        match = _TABLE.fullmatch(target)
        if match is None:
            raise self.refuse(number, statement, "only mpc.table(rows, columns) can be assigned to")
        if match[1] not in self.tables:
            return  # costs and other tables that the game has no use for
        rows, columns = self._place(match)
        self.tables[match[1]][rows, columns] = self._value(expression)

    def _place(self, match: re.Match[str]) -> tuple[Any, Any]:
        """Zero-based rows and columns of mpc.table(rows, columns)."""
        table = self.tables[match[1]]
        if match[2] == ":":
            rows: Any = slice(None)
        else:
            rows = len(table) - 1 if match[2] == "end" else int(match[2]) - 1
        if match[3] == ":":
            return rows, slice(None)
        listed = match[3].startswith("[")
        columns = [self._column(name) for name in re.findall(r"\w+", match[3])]
        return rows, columns if listed else columns[0]

    def _column(self, name: str) -> int:
        number = int(name) if name.isdecimal() else self.names.get(name)
        if not isinstance(number, int) or number < 1:
            raise NameError(f"{name} is no column")
        return number - 1

    def _value(self, expression: str) -> Any:
        """A number, a column or a block of columns."""
        held: dict[str, Any] = {}

        def hold(match: re.Match[str]) -> str:
            if match[1] not in self.tables:
                raise NameError(f"mpc.{match[1]} is not a table that is read")
            name = f"_table{len(held)}"
            held[name] = self.tables[match[1]][self._place(match)].copy()
            return name

        text = _TABLE.sub(hold, expression)
        text = re.sub(r"mpc\.(\w+)", r"mpc_\1", text)
        text = re.sub(r"\.?\^", "**", text)
        text = re.sub(r"\.([*/])", r"\1", text)
        names = {k.replace(".", "_"): v for k, v in self.names.items()}
        return _evaluate(ast.parse(text.strip(), mode="eval").body, {**names, **held})


_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.Pow: lambda a, b: a**b,
}


def _evaluate(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """Arithmetic on numbers and columns, nothing else: no attribute, no call but the listed functions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name):
        if node.id not in names:
            raise NameError(f"{node.id} is not known")
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _evaluate(node.operand, names)
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_evaluate(node.left, names), _evaluate(node.right, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        function = _FUNCTIONS.get(node.func.id)
        if function is None or node.keywords:
            raise NameError(f"{node.func.id} is not known")
        return function(_evaluate(node.args[0], names))
    raise SyntaxError("the expression is not plain arithmetic")
