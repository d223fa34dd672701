"""Linear bilevel problems as MPS + AUX files, the pairs that MibS and the BOBILib collection use.

The MPS file holds the leader's problem without the follower's optimality; the AUX file says which columns
and rows are the follower's, and its objective. Two dialects:

    index-based                       name-based
    N 2      follower's columns       @NUMVARS / 2
    M 3      follower's rows          @NUMCONSTRS / 3
    LC 4     column index from 0      @VARSBEGIN / name cost / ... / @VARSEND
    LR 2     row index from 0         @CONSTRSBEGIN / name / ... / @CONSTRSEND
    LO -1.0  cost, in LC's order      @NAME / title,  @MPS / file
    OS 1     1 minimises, -1 maximises

Rows are counted without the objective; bounds of the follower's columns are the follower's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import highspy
import numpy as np
import scipy.sparse as sp

from mpec.bilevel import Bilevel, FollowerEntry
from mpec.bilevel_solution import BilevelSolution, solve_single_level
from mpec.complementarity import UnboundedPair
from mpec.export import mps_text, number, unique_names
from mpec.linear_model import LinearModel
from mpec.model_reader import UnreadableModel, read_lp
from mpec.optimiser import Optimiser
from mpec.reformulation import reformulate
from mpec.refusals import InfeasibleFollower, Refused
from mpec.solvers import SolverError

Dialect = Literal["names", "index"]


class BilevelFileError(ValueError):
    """A file is missing, can't be read, or contradicts the other one; the message names file and cure."""


@dataclass(frozen=True)
class LowerLevel:
    """What an AUX file says: column and row indices of the follower, costs, sense (+1 minimises)."""

    columns: tuple[int, ...]
    rows: tuple[int, ...]
    cost: tuple[float, ...]
    sense: int


def solve_bilevel(
    path: str | Path,
    aux: str | Path | None = None,
    mode: str = "big_m",
    solver: str = "highs",
    *,
    assert_bounds: Mapping[str, float] | float | None = None,
    time_limit: float | None = None,
    export: str | Path | None = None,
) -> dict[str, Any]:
    """Read, reformulate, solve and check; the summary that ``mpec solve-bilevel --json`` prints.

    Keys: status (optimal/feasible/infeasible/refused), verdict, leader_objective, follower_objective,
    variables, reason, and more. What has no exact reformulation ends as "refused" with the reason.
    ``export``: also write the single-level model (.lp or .mps). Raises BilevelFileError for bad files.
    """
    began = time.perf_counter()
    problem = read_bilevel(path, aux)
    try:
        single = reformulate(problem, mode, solver, assert_bounds=assert_bounds)
        if export is not None:
            single.export(str(export))
        solution = solve_single_level(single, time_limit=time_limit)
    except (Refused, UnboundedPair, InfeasibleFollower, SolverError) as error:
        infeasible = isinstance(error, InfeasibleFollower)
        solution = BilevelSolution(
            "infeasible" if infeasible else "refused",
            "INFEASIBLE" if infeasible else "REFUSED",
            reason=str(error),
            solver=solver,
            mode=mode,
        )
    summary = solution.summary()
    summary["seconds"] = time.perf_counter() - began
    summary["name"] = problem.name
    return summary


def read_bilevel(path: str | Path, aux: str | Path | None = None) -> Bilevel:
    """The bilevel problem of an MPS (or LP) file and its AUX file (default: same name with .aux).

    Raises BilevelFileError; Refused for integer followers and interdiction data.
    """
    path = Path(path)
    names, lp = _read_matrix(path)
    aux_path = Path(aux) if aux is not None else _beside(path)
    lower = read_aux(aux_path, *names)
    model, follower = _split(path, aux_path, names, lp, lower)
    return Bilevel(path.name.split(".")[0], model, [follower])


Names = tuple[list[str], list[str]]


def _read_matrix(path: Path) -> tuple[Names, Any]:
    """((column names, row names), HiGHS LP) of a file."""
    if not path.is_file():
        raise BilevelFileError(f"{path}: there is no such file. Give the path of an MPS file.")
    try:
        lp = read_lp(path)
    except UnreadableModel as error:
        raise BilevelFileError(
            f"{path}: can't be read as a model: {error}. It must be MPS (fixed or free) or LP, possibly .gz."
        ) from error
    columns, rows = list(lp.col_names_), list(lp.row_names_)
    if len(columns) != lp.num_col_:
        columns = [f"C{j}" for j in range(lp.num_col_)]
    if len(rows) != lp.num_row_:
        rows = [f"R{i}" for i in range(lp.num_row_)]
    return (columns, rows), lp


def _beside(path: Path) -> Path:
    stem = path.name
    for ending in (".gz", ".mps", ".lp"):
        stem = stem.removesuffix(ending)
    for candidate in (
        path.with_name(stem + ".aux"),
        path.with_name(path.name + ".aux"),
        path.with_name(stem + ".txt"),
    ):
        if candidate.is_file():
            return candidate
    raise BilevelFileError(
        f"{path}: no AUX file beside it ({stem}.aux). Name it with --aux; without it nobody knows"
        " what the follower decides."
    )


def read_aux(path: str | Path, columns: list[str], rows: list[str]) -> LowerLevel:
    """Read an AUX file in either dialect against the MPS file's names."""
    path = Path(path)
    if not path.is_file():
        raise BilevelFileError(f"{path}: there is no such AUX file")
    lines = [
        line.split("#")[0].strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    lines = [line for line in lines if line and not line.startswith("*")]
    if any(line.startswith("@") for line in lines):
        return _by_name(path, lines, columns, rows)
    return _by_index(path, lines, columns, rows)


def _by_name(path: Path, lines: list[str], columns: list[str], rows: list[str]) -> LowerLevel:
    column_at = {name: j for j, name in enumerate(columns)}
    row_at = {name: i for i, name in enumerate(rows)}
    chosen: list[int] = []
    cost: list[float] = []
    picked: list[int] = []
    counts: dict[str, int] = {}
    sense, section = 1, ""
    for line in lines:
        if line.startswith("@"):
            parts = line.split()
            section = parts[0].upper()
            if len(parts) == 1:
                continue
            line = " ".join(parts[1:])
        if section in ("@NUMVARS", "@NUMCONSTRS", "@NUMCONSTR"):
            counts[section[:8]] = int(_value(path, line))
        elif section == "@VARSBEGIN":
            name, value = _name_and_value(line, column_at)
            chosen.append(_place(path, name, column_at, "column"))
            cost.append(_value(path, value) if value else 0.0)
        elif section in ("@CONSTRSBEGIN", "@CONSTRBEGIN"):
            picked.append(_place(path, line, row_at, "row"))
        elif section in ("@OBJSENSE", "@SENSE"):
            sense = _sense(path, line)
        elif section not in ("@NAME", "@MPS", "@LP", "@VARSEND", "@CONSTRSEND", "@CONSTREND"):
            raise BilevelFileError(
                f"{path}: {line!r} stands in section {section or 'none'}, which is not known"
            )
    for key, found, what in (
        ("@NUMVARS", len(chosen), "variables"),
        ("@NUMCONS", len(picked), "constraints"),
    ):
        if key in counts and counts[key] != found:
            raise BilevelFileError(f"{path}: {key}... says {counts[key]} {what}, but {found} are listed")
    return _checked(path, LowerLevel(tuple(chosen), tuple(picked), tuple(cost), sense))


def _name_and_value(line: str, known: Mapping[str, int]) -> tuple[str, str]:
    """(name, cost text); a name may hold blanks if the MPS file has it so."""
    if line in known:
        return line, ""
    parts = line.rsplit(maxsplit=1)
    return (parts[0], parts[1]) if len(parts) == 2 else (line, "")


def _by_index(path: Path, lines: list[str], columns: list[str], rows: list[str]) -> LowerLevel:
    chosen: list[int] = []
    cost: list[float] = []
    picked: list[int] = []
    counts: dict[str, int] = {}
    sense = 1
    tokens = " ".join(lines).split()
    if len(tokens) % 2:
        raise BilevelFileError(
            f"{path}: a key without a value; each line is one of N, M, LC, LR, LO, OS and a value"
        )
    for key, value in zip(tokens[::2], tokens[1::2], strict=True):
        match key:
            case "N" | "M":
                counts[key] = int(_value(path, value))
            case "LC":
                chosen.append(_index(path, value, columns, "column"))
            case "LR":
                picked.append(_index(path, value, rows, "row"))
            case "LO":
                cost.append(_value(path, value))
            case "OS":
                sense = _sense(path, value)
            case "IC" | "IB":
                raise Refused(
                    f"{path.name} holds interdiction data ({key}).\n  State the interdiction as"
                    " constraints of a bilevel problem."
                )
            case _:
                raise BilevelFileError(f"{path}: {key!r} is not a key; known are N, M, LC, LR, LO, OS")
    for key, found, what in (("N", len(chosen), "LC"), ("M", len(picked), "LR"), ("N", len(cost), "LO")):
        if key in counts and counts[key] != found:
            raise BilevelFileError(f"{path}: {key} says {counts[key]}, but there are {found} entries {what}")
    if len(cost) != len(chosen):
        raise BilevelFileError(
            f"{path}: {len(chosen)} columns (LC) but {len(cost)} costs (LO); give one LO per LC, in order"
        )
    return _checked(path, LowerLevel(tuple(chosen), tuple(picked), tuple(cost), sense))


def _checked(path: Path, lower: LowerLevel) -> LowerLevel:
    for what, items in (("column", lower.columns), ("row", lower.rows)):
        if len(set(items)) != len(items):
            raise BilevelFileError(f"{path}: a {what} is listed twice")
    if not lower.columns:
        raise BilevelFileError(
            f"{path}: the follower has no columns; without a follower it is an ordinary model"
        )
    return lower


def _value(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BilevelFileError(f"{path}: {text!r} is not a number") from None


def _sense(path: Path, text: str) -> int:
    plain = text.strip().upper()
    if plain in ("MIN", "MINIMIZE", "MINIMISE"):
        return 1
    if plain in ("MAX", "MAXIMIZE", "MAXIMISE"):
        return -1
    value = _value(path, text)
    if value not in (1.0, -1.0):
        raise BilevelFileError(
            f"{path}: the follower's sense is {text}; it must be 1 (minimises) or -1 (maximises)"
        )
    return int(value)


def _place(path: Path, name: str, known: Mapping[str, int], what: str) -> int:
    if name not in known:
        shown = ", ".join(list(known)[:6])
        raise BilevelFileError(f"{path}: {name!r} is no {what} of the MPS file (which has {shown} ...)")
    return known[name]


def _index(path: Path, text: str, names: list[str], what: str) -> int:
    value = _value(path, text)
    if value != int(value) or not 0 <= value < len(names):
        raise BilevelFileError(
            f"{path}: {what} {text} is outside 0 ... {len(names) - 1} (counted from 0, without the objective)"
        )
    return int(value)


def _split(
    path: Path, aux: Path, names: Names, lp: Any, lower: LowerLevel
) -> tuple[LinearModel, FollowerEntry]:
    """The leader's model over all columns and the follower's record."""
    columns, rows = names
    n, m = int(lp.num_col_), int(lp.num_row_)
    matrix = _matrix(lp, m, n)
    integer = [k != highspy.HighsVarType.kContinuous for k in lp.integrality_] or [False] * n
    whole = [columns[j] for j in lower.columns if integer[j]]
    if whole:
        raise Refused(
            f"{aux.name}: the follower decides integer variables"
            f" ({', '.join(whole[:5])}{' ...' if len(whole) > 5 else ''}).\n"
            "  Its optimality can't be written by KKT conditions; relaxing them would solve another problem."
        )
    low, high = _limits(lp.col_lower_), _limits(lp.col_upper_)
    row_low, row_high = _limits(lp.row_lower_), _limits(lp.row_upper_)
    model = LinearModel(
        path.name.split(".")[0], maximise=lp.sense_ == highspy.ObjSense.kMaximize, constant=float(lp.offset_)
    )
    every = model.add_variables(columns, low, high)
    model.cost = [float(c) for c in lp.col_cost_]
    mine, own = np.array(lower.rows, dtype=int), np.array(lower.columns, dtype=int)
    theirs = np.setdiff1d(np.arange(m), mine)
    others = np.setdiff1d(np.arange(n), own)
    for j in others:
        model.integer[j] = integer[j]
    model.add_rows([rows[i] for i in theirs], matrix[theirs], every, row_low[theirs], row_high[theirs])
    part = matrix[mine]
    given = others[np.diff(part[:, others].tocsc().indptr) > 0]
    optimiser = Optimiser(
        name="follower",
        columns=tuple(columns[j] for j in own),
        givens=tuple(columns[j] for j in given),
        rows=tuple(rows[i] for i in mine),
        cost=lower.sense * np.array(lower.cost),
        given_cost=np.zeros(len(given)),
        constant=0.0,
        quadratic=None,
        cross=None,
        given_quadratic=None,
        matrix=part[:, own].tocsr(),
        given_matrix=part[:, given].tocsr(),
        row_lower=row_low[mine],
        row_upper=row_high[mine],
        lower=low[own],
        upper=high[own],
        sense=lower.sense,
    )
    return model, FollowerEntry(optimiser, own, given)


def _matrix(lp: Any, m: int, n: int) -> sp.csr_matrix:
    a = lp.a_matrix_
    parts = (np.array(a.value_), np.array(a.index_, dtype=int), np.array(a.start_, dtype=int))
    if a.format_ == highspy.MatrixFormat.kColwise:
        return sp.csc_matrix(parts, shape=(m, n)).tocsr()
    return sp.csr_matrix(parts, shape=(m, n))


def _limits(values: Any) -> np.ndarray:
    """HiGHS's and other codes' 1e20 and beyond as infinity."""
    out = np.array(values, dtype=float)
    return np.where(out >= 1e20, np.inf, np.where(out <= -1e20, -np.inf, out))


def write_bilevel(problem: Bilevel, path: str | Path, *, dialect: Dialect = "names") -> tuple[Path, Path]:
    """Write a linear bilevel problem with one optimising follower as ``path`` (.mps) and the .aux beside it.

    MibS reads every MPS objective as minimised, so a maximising leader's objective is written negated.
    Constants and leader-only terms of the follower's objective have no place in the format.

    Raises Refused for what the format can't hold. Returns both paths.
    """
    path = Path(path)
    if len(problem.followers) != 1 or problem.conditions or problem.prices:
        raise Refused("MPS + AUX hold exactly one optimising follower and no prices")
    follower, source = problem.followers[0], problem.model
    o = follower.optimiser
    if o.quadratic is not None or o.cross is not None or source.cost_products.values or source.quadratic_rows:
        raise Refused("MPS + AUX hold linear problems only; this one has products of variables")
    model = source.copy()
    if model.maximise:
        model.cost, model.constant, model.maximise = [-c for c in model.cost], -model.constant, False
    first = model.rows
    wide = sp.hstack([o.matrix, o.given_matrix]).tocsr()
    model.add_rows(o.rows, wide, np.concatenate([follower.primal, follower.given]), o.row_lower, o.row_upper)
    for j, low, high in zip(follower.primal.tolist(), o.lower.tolist(), o.upper.tolist(), strict=True):
        model.lower[j], model.upper[j] = max(model.lower[j], low), min(model.upper[j], high)
    columns, rows = unique_names(model.column_names), unique_names(model.row_names)
    path.write_text(mps_text(model, names=(columns, rows)), encoding="utf-8")
    aux = path.with_suffix(".aux")
    lower_rows = list(range(first, model.rows))
    if dialect == "index":
        lines = [f"N {len(follower.primal)}", f"M {len(lower_rows)}"]
        lines += [f"LC {j}" for j in follower.primal] + [f"LR {i}" for i in lower_rows]
        lines += [f"LO {number(o.sense * c)}" for c in o.cost.tolist()] + [f"OS {o.sense}"]
    else:
        lines = ["@NUMVARS", str(len(follower.primal)), "@NUMCONSTRS", str(len(lower_rows)), "@VARSBEGIN"]
        lines += [f"{columns[j]} {number(c)}" for j, c in zip(follower.primal, o.cost.tolist(), strict=True)]
        lines += ["@VARSEND", "@CONSTRSBEGIN", *(rows[i] for i in lower_rows), "@CONSTRSEND"]
        lines += ["@NAME", unique_names([problem.name or "problem"])[0], "@MPS", path.name]
    aux.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path, aux
