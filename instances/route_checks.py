"""A declared route set must hold routes of this network that a vehicle can drive: checks on route_set.csv."""

from __future__ import annotations

from collections.abc import Mapping

from instances.cells import read_number
from instances.errors import Problem
from instances.schema import SMALLEST_POSITIVE
from instances.tables import Row, Table

OUTSIDE = "outside"
"""The path of the route that leaves the game, in result files and declared route sets."""

ENERGY_SLACK_KWH = 1e-6
"""Plans are written with finitely many digits; beyond this, a limit counts as broken."""


def split_path(text: str) -> tuple[str, ...]:
    """Road ids of a path cell, ``a>b>c``."""
    return tuple(part.strip() for part in text.split(">"))


def split_plan(text: str) -> list[tuple[str, str]] | None:
    """(station, kWh as text) of a plan cell, ``A:10;B:2.5``; None if it has another form."""
    if not text.strip():
        return []
    plan = []
    for part in text.split(";"):
        station, mark, amount = part.partition(":")
        if not mark or not station.strip() or not amount.strip():
            return None
        plan.append((station.strip(), amount.strip()))
    return plan


class _Checker:
    """What the checks of a row look up."""

    def __init__(self, tables: Mapping[str, Table], problems: list[Problem]) -> None:
        self.table = tables["route_set.csv"]
        self.roads = tables["roads.csv"].ids("road")
        self.stations = tables["stations.csv"].ids("station")
        self.nodes = tables["nodes.csv"].ids("node")
        self.vehicles = {(r.text("origin"), r.text("destination")): r for r in tables["vehicles.csv"].rows}
        self.problems = problems

    def refuse(self, row: Row, column: str, message: str, cure: str) -> None:
        self.problems.append(Problem(self.table.file, row.number, column, row.raw.get(column), message, cure))


def check_route_set(
    tables: Mapping[str, Table], nodes: Mapping[str, Row] | None, problems: list[Problem]
) -> None:
    """Append what is wrong with the declared routes; nothing if there is no such file."""
    table = tables["route_set.csv"]
    needed = (tables[name] for name in ("roads.csv", "stations.csv", "vehicles.csv"))
    if not table.present or nodes is None or not all(t.usable for t in needed):
        return
    checker = _Checker(tables, problems)
    declared = set()
    for row in table.rows:
        pair = row.text("origin"), row.text("destination")
        if None in pair:
            continue
        vehicle = checker.vehicles.get(pair)
        if vehicle is None:
            checker.refuse(
                row,
                "origin",
                f"and destination '{pair[1]}' are not a pair of vehicles.csv.",
                "Add or remove it.",
            )
            continue
        declared.add(pair)
        _check_route(checker, row, vehicle)
    for pair, vehicle in checker.vehicles.items():
        if (
            table.usable
            and pair not in declared
            and vehicle.value("outside_cost") is None
            and None not in pair
        ):
            problems.append(
                Problem(
                    table.file,
                    None,
                    None,
                    None,
                    f"no route is declared from '{pair[0]}' to '{pair[1]}'.",
                    "Declare at least one, or remove the file to have all routes.",
                )
            )


def _check_route(checker: _Checker, row: Row, vehicle: Row) -> None:
    text = row.text("path")
    if text is None:
        return
    plan = split_plan(row.text("plan") or "")
    if plan is None:
        checker.refuse(
            row, "plan", "is not of the form station:kWh;station:kWh.", "Correct it, or leave it blank."
        )
        return
    if text == OUTSIDE:
        if vehicle.value("outside_cost") is None:
            checker.refuse(
                row,
                "path",
                "needs an outside_cost in vehicles.csv.",
                "Give the pair an outside_cost, or a path.",
            )
        elif plan:
            checker.refuse(row, "plan", "charges outside the game.", "Leave the plan of 'outside' blank.")
        return
    path = split_path(text)
    unknown = [road for road in path if road not in checker.roads]
    if unknown:
        checker.refuse(row, "path", f"holds '{unknown[0]}', which is not a road of roads.csv.", "Correct it.")
        return
    nodes = _path_nodes(checker, row, path)
    if nodes is None:
        return
    amounts = _plan_amounts(checker, row, plan, nodes)
    if amounts is not None:
        _check_energy(checker, row, vehicle, path, nodes, amounts)


def _path_nodes(checker: _Checker, row: Row, path: tuple[str, ...]) -> list[str] | None:
    """The nodes of the path, None if it isn't one from the origin to the destination."""
    nodes = [checker.roads[path[0]].text("from_node") or ""]
    for road in path:
        start, end = checker.roads[road].text("from_node"), checker.roads[road].text("to_node")
        if start != nodes[-1]:
            checker.refuse(
                row,
                "path",
                f"breaks at road '{road}', which starts at '{start}', not at '{nodes[-1]}'.",
                "Give consecutive roads.",
            )
            return None
        nodes.append(end or "")
    if nodes[0] != row.text("origin") or nodes[-1] != row.text("destination"):
        checker.refuse(
            row, "path", f"goes from '{nodes[0]}' to '{nodes[-1]}'.", "Connect origin and destination."
        )
        return None
    if len(set(nodes)) < len(nodes):
        twice = next(n for n in nodes if nodes.count(n) > 1)
        checker.refuse(row, "path", f"visits node '{twice}' twice.", "Routes visit no node twice.")
        return None
    for node in nodes[1:-1]:
        if node in checker.nodes and checker.nodes[node].flag("through") is False:
            checker.refuse(row, "path", f"passes through node '{node}', where through is 0.", "Go around it.")
            return None
    return nodes


def _plan_amounts(
    checker: _Checker, row: Row, plan: list[tuple[str, str]], nodes: list[str]
) -> dict[str, float] | None:
    """Node -> kWh charged there, None if a stop isn't possible."""
    amounts: dict[str, float] = {}
    seen = set()
    for name, text in plan:
        station = checker.stations.get(name)
        kwh, message = read_number(text, SMALLEST_POSITIVE, 1e6)
        cure = "Correct the plan."
        if station is None:
            message = f"holds '{name}', which is not a station of stations.csv."
        elif kwh is None:
            message = f"gives '{text}' kWh at station '{name}', which {message}"
        elif name in seen:
            message = f"stops at station '{name}' twice."
        elif station.text("node") not in nodes[1:]:
            message = (
                f"charges at station '{name}', which the path does not pass (the origin does not count)."
            )
        elif station.flag("available") is False:
            message = f"charges at station '{name}', which is not available."
        elif kwh > (station.value("pile_kw") or 1e9) + ENERGY_SLACK_KWH:
            message = f"charges {kwh:g} kWh at station '{name}', more than its pile gives in one hour."
        else:
            seen.add(name)
            node = station.text("node") or ""
            amounts[node] = amounts.get(node, 0.0) + kwh
            continue
        checker.refuse(row, "plan", message or "", cure)
        return None
    return amounts


def _check_energy(
    checker: _Checker,
    row: Row,
    vehicle: Row,
    path: tuple[str, ...],
    nodes: list[str],
    amounts: dict[str, float],
) -> None:
    """(16)-(19): between min_kwh and max_kwh on arriving and leaving, final_kwh at the end."""
    values = [vehicle.value(c) for c in ("initial_kwh", "min_kwh", "max_kwh", "final_kwh")]
    used = [checker.roads[road].value("energy_kwh") for road in path]
    if None in values or None in used:
        return
    energy, low, high, final = (v if v is not None else 0.0 for v in values)
    cure = "Charge earlier, or another amount, or remove the route."
    for node, consumed in zip(nodes[1:], used, strict=True):
        energy -= consumed or 0.0
        if energy < low - ENERGY_SLACK_KWH:
            checker.refuse(
                row, "plan", f"arrives at node '{node}' with {energy:.6g} kWh, below min_kwh.", cure
            )
            return
        energy += amounts.get(node, 0.0)
        if energy > high + ENERGY_SLACK_KWH:
            checker.refuse(row, "plan", f"leaves node '{node}' with {energy:.6g} kWh, above max_kwh.", cure)
            return
    if energy < final - ENERGY_SLACK_KWH:
        checker.refuse(row, "plan", f"ends with {energy:.6g} kWh, below final_kwh ({final:g}).", cure)
