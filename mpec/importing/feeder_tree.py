"""A feeder's closed branches must be one tree below the slack bus: checked before anything is written.

The reader of an instance folder checks this too; here the messages name the file that people gave.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from instances.errors import InstanceError, Problem, listing
from instances.model import Bus, Line
from mpec.importing.pieces import problem


@dataclass(frozen=True)
class Branch:
    """A closed branch and the place it comes from (``row`` of ``file``)."""

    line: Line
    file: str
    row: int | None


def radial(
    buses: Mapping[str, Bus], branches: Sequence[Branch], root: str, found: Sequence[Problem] = ()
) -> tuple[tuple[Bus, ...], tuple[Line, ...], list[str]]:
    """Buses and lines of the tree below the root, and notes on what hangs loose without load.

    Raises InstanceError with the problems ``found`` before and its own: a branch to an unknown bus, every branch that
    closes a loop, loads that no closed branch connects to the root.
    """
    problems: list[Problem] = []
    neighbours: dict[str, list[tuple[str, str]]] = {bus: [] for bus in buses}
    leader = {bus: bus for bus in buses}

    def find(bus: str) -> str:
        while leader[bus] != bus:
            leader[bus] = leader[leader[bus]]
            bus = leader[bus]
        return bus

    for branch in branches:
        line = branch.line
        unknown = [end for end in (line.from_bus, line.to_bus) if end not in buses]
        if unknown:
            what, cure = (
                f"is an end of branch {line.id} and no bus of the case.",
                "Correct the branch's ends.",
            )
            problems.append(problem(branch.file, what, cure, row=branch.row, value=unknown[0]))
        elif find(line.from_bus) == find(line.to_bus):
            way = _between(neighbours, line.from_bus, line.to_bus)
            what = f"branch {line.id} closes a loop with {listing(way)}; the feeder must be radial."
            cure = "Open one branch of the loop (status 0, or a switch), the one that is normally open."
            problems.append(problem(branch.file, what, cure, row=branch.row))
        else:
            leader[find(line.from_bus)] = find(line.to_bus)
            neighbours[line.from_bus].append((line.to_bus, line.id))
            neighbours[line.to_bus].append((line.from_bus, line.id))
    apart = [bus for bus in buses if find(bus) != find(root)]
    loaded = [bus for bus in apart if buses[bus].load_kw or buses[bus].load_kvar]
    if loaded and not problems:
        file = branches[0].file if branches else ""
        what = f"no closed branch leads from the slack bus {root} to the loads at {listing(loaded)}."
        problems.append(problem(file, what, "Close the branches that feed them, or remove the loads."))
    if found or problems:
        raise InstanceError([*found, *problems])
    kept = {bus for bus in buses if bus not in apart}
    notes = [f"buses without load and connection left out: {listing(apart)}"] if apart else []
    lines = tuple(branch.line for branch in branches if branch.line.from_bus in kept)
    return tuple(bus for name, bus in buses.items() if name in kept), lines, notes


def _between(neighbours: Mapping[str, list[tuple[str, str]]], start: str, end: str) -> list[str]:
    """The branches on the way between two connected buses."""
    came: dict[str, tuple[str, str]] = {start: ("", "")}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        for there, line in neighbours[here]:
            if there not in came:
                came[there] = (here, line)
                queue.append(there)
    way = []
    while end != start:
        end, line = came[end]
        way.append(line)
    return way[::-1]


def load_problems(file: str, buses: Mapping[str, Bus], rows: Mapping[str, int | None]) -> list[Problem]:
    """What the game can't have: a bus that feeds in, and a bus with kvar alone."""
    problems = []
    for bus in buses.values():
        row = rows.get(bus.id)
        if bus.load_kw < 0:
            what = (
                f"is the load in kW of bus {bus.id}: the game has no generator but wind farms and the root."
            )
            cure = "Remove the generation there, or give it as a wind farm (wind_farms.csv, wind.csv)."
            problems.append(problem(file, what, cure, row=row, value=f"{bus.load_kw:g}"))
        elif bus.load_kw == 0 and bus.load_kvar != 0:
            what = f"is the load in kvar of bus {bus.id}, which has no kW: load is shed kW and kvar together."
            cure = "Give the bus some kW, move the kvar to a neighbour with kW, or remove it."
            problems.append(problem(file, what, cure, row=row, value=f"{bus.load_kvar:g}"))
    return problems
