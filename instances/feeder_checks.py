"""The feeder must be one radial tree that the root can supply: checks on buses.csv and lines.csv."""

from __future__ import annotations

from collections import deque

from instances.errors import Problem, listing
from instances.references import check_reference, refuse
from instances.schema import SETTINGS_FILE
from instances.settings import Settings
from instances.tables import Row, Table

_MOST_LOOPS = 20


def check_feeder(buses: Table, lines: Table, settings: Settings | None, problems: list[Problem]) -> None:
    """Append what is wrong with the feeder's buses and lines."""
    known = buses.ids("bus")
    _check_buses(buses, settings, problems)
    if not buses.usable:
        return
    root = settings.root_bus if settings else None
    if root is not None and root not in known:
        message = f"is not a bus of buses.csv ({listing(known)})."
        cure = "Give the one bus that the substation feeds."
        problems.append(Problem(SETTINGS_FILE, None, "feeder.root_bus", root, message, cure))
        root = None
    edges: list[tuple[str, str, str]] = []
    for row in lines.rows:
        start, end = row.text("from_bus"), row.text("to_bus")
        for column in ("from_bus", "to_bus"):
            cure = f"Give the bus at this end of line '{row.text('line')}'."
            check_reference(lines, row, column, known, "bus of buses.csv", cure, problems)
        if start is not None and start == end:
            message = "is the bus where the line starts."
            refuse(problems, lines, row, "to_bus", message, "Give the bus at the other end.")
        elif start in known and end in known and start is not None and end is not None:
            edges.append((row.text("line") or f"row {row.number}", start, end))
    _check_loops(edges, problems)
    if lines.usable and len(edges) == len(lines.rows) and root is not None:
        _check_connected(buses, known, edges, root, problems)


def _check_buses(buses: Table, settings: Settings | None, problems: list[Problem]) -> None:
    root_voltage = settings.root_voltage_pu if settings else None
    for row in buses.rows:
        low, high = row.value("vmin_pu"), row.value("vmax_pu")
        if low is not None and high is not None and low > high:
            message = f"is above vmax_pu ({high:g})."
            refuse(problems, buses, row, "vmin_pu", message, "Give the lower voltage limit here.")
        elif root_voltage is not None:
            message = (
                f"leaves out the root voltage {root_voltage:g} p.u.: even an unloaded feeder is refused."
            )
            cure = "Keep vmin_pu <= feeder.root_voltage_pu <= vmax_pu at every bus."
            if low is not None and low > root_voltage:
                refuse(problems, buses, row, "vmin_pu", message, cure)
            if high is not None and high < root_voltage:
                refuse(problems, buses, row, "vmax_pu", message, cure)
        if row.value("load_kw") == 0.0 and row.value("load_kvar") not in (None, 0.0):
            cure = "Load is shed as a fraction of kW and kvar together: give the bus some kW, or no kvar."
            refuse(problems, buses, row, "load_kvar", "stands at a bus without kW.", cure)


def _check_loops(edges: list[tuple[str, str, str]], problems: list[Problem]) -> None:
    """Every line that closes a loop, with the lines of the loop."""
    neighbours: dict[str, list[tuple[str, str]]] = {}
    closing: list[tuple[str, list[str]]] = []
    for line, start, end in edges:
        way = _lines_between(neighbours, start, end)
        if way is None:
            neighbours.setdefault(start, []).append((end, line))
            neighbours.setdefault(end, []).append((start, line))
        else:
            closing.append((line, way))
    for line, way in closing[:_MOST_LOOPS]:
        message = f"the lines {', '.join([*way, line])} close a loop; the feeder must be radial."
        cure = f"Remove the line that is normally open (a tie line), e.g. line {line}."
        problems.append(Problem("lines.csv", None, None, None, message, cure))
    if len(closing) > _MOST_LOOPS:
        rest = ", ".join(line for line, _ in closing[_MOST_LOOPS:][:50])
        message = f"{len(closing) - _MOST_LOOPS} more lines close loops: {rest}."
        problems.append(Problem("lines.csv", None, None, None, message, "Remove the tie lines."))


def _lines_between(neighbours: dict[str, list[tuple[str, str]]], start: str, end: str) -> list[str] | None:
    """The lines on the way from start to end, None if there is no way."""
    if start not in neighbours or end not in neighbours:
        return None
    came: dict[str, tuple[str, str]] = {start: ("", "")}
    queue = deque([start])
    while queue:
        here = queue.popleft()
        if here == end:
            way = []
            while here != start:
                here, line = came[here]
                way.append(line)
            return way[::-1]
        for there, line in neighbours.get(here, []):
            if there not in came:
                came[there] = (here, line)
                queue.append(there)
    return None


def _check_connected(
    buses: Table,
    known: dict[str, Row],
    edges: list[tuple[str, str, str]],
    root: str,
    problems: list[Problem],
) -> None:
    neighbours: dict[str, list[str]] = {}
    for _, start, end in edges:
        neighbours.setdefault(start, []).append(end)
        neighbours.setdefault(end, []).append(start)
    reached, stack = {root}, [root]
    while stack:
        for there in neighbours.get(stack.pop(), []):
            if there not in reached:
                reached.add(there)
                stack.append(there)
    apart = [bus for bus in known if bus not in reached]
    if apart:
        message = f"is not connected to the root bus '{root}'."
        cure = "Add the lines that connect it, or remove the bus; a second root is not possible."
        row = known[apart[0]].number
        problems.append(Problem(buses.file, row, "bus", listing(apart, 12), message, cure))
