"""Checks on roads, vehicles, trips and stations across rows and files."""

from __future__ import annotations

from instances.errors import Problem
from instances.references import check_period, check_reference, known_ids, refuse
from instances.rival_checks import check_owner, check_step
from instances.tables import Row, Table

Nodes = dict[str, Row] | None


def check_roads(roads: Table, nodes: Table, problems: list[Problem]) -> Nodes:
    """Check the road network and return its nodes, None if they can't be relied on."""
    listed = known_ids(nodes, "node") if nodes.present else None
    for row in roads.rows:
        for column in ("from_node", "to_node"):
            cure = f"Give the node at this end of road '{row.text('road')}', or add it to nodes.csv."
            check_reference(roads, row, column, listed, "node of nodes.csv", cure, problems)
        start, end = row.text("from_node"), row.text("to_node")
        if start is not None and start == end:
            refuse(
                problems, roads, row, "to_node", "is the node where the road starts.", "Give the other end."
            )
        beta = row.value("bpr_beta")
        if beta is not None and 0.0 < beta < 1.0:
            message = "lies between 0 and 1, so that the road time is not convex in the flow."
            refuse(problems, roads, row, "bpr_beta", message, "Give 0, or 1 or more; blank means 4.")
    if nodes.present:
        return listed
    if not roads.usable:
        return None
    ends = [(row.text(column), row) for row in roads.rows for column in ("from_node", "to_node")]
    return {name: row for name, row in ends if name is not None}


def check_vehicles(table: Table, nodes: Nodes, problems: list[Problem]) -> None:
    """Check every O-D pair's nodes and the order of its energy levels."""
    for row in table.rows:
        _check_ends(table, row, nodes, problems)
        start, low = row.value("initial_kwh"), row.value("min_kwh")
        high, final = row.value("max_kwh"), row.value("final_kwh")
        if low is not None and high is not None and low > high:
            refuse(
                problems, table, row, "min_kwh", f"is above max_kwh ({high:g}).", "Give the lower limit here."
            )
        elif start is not None and low is not None and start < low:
            refuse(
                problems,
                table,
                row,
                "initial_kwh",
                f"is below min_kwh ({low:g}).",
                "Start with min_kwh or more.",
            )
        if start is not None and high is not None and start > high:
            message = f"is above max_kwh ({high:g})."
            refuse(problems, table, row, "initial_kwh", message, "Start with max_kwh or less.")
        if final is not None and high is not None and final > high:
            refuse(
                problems, table, row, "final_kwh", f"is above max_kwh ({high:g}).", "Ask for max_kwh or less."
            )


def _check_ends(table: Table, row: Row, nodes: Nodes, problems: list[Problem]) -> None:
    for column in ("origin", "destination"):
        cure = "Give a node that a road touches."
        check_reference(table, row, column, nodes, "node of the road network", cure, problems)
    if row.text("origin") is not None and row.text("origin") == row.text("destination"):
        refuse(problems, table, row, "destination", "is the origin too.", "Leave such trips out.")


def check_trips(
    table: Table, vehicles: Table, periods: list[int] | None, nodes: Nodes, problems: list[Problem]
) -> None:
    """Check that every trip's pair has a vehicle (told once per pair) and its period exists."""
    pairs = {(row.text("origin"), row.text("destination")) for row in vehicles.rows}
    for row in table.rows:
        check_period(table, row, periods, problems)
        origin, destination = row.text("origin"), row.text("destination")
        if origin is None or destination is None or (origin, destination) in pairs or not vehicles.usable:
            continue
        pairs.add((origin, destination))
        if nodes is not None and (origin not in nodes or destination not in nodes):
            _check_ends(table, row, nodes, problems)
            continue
        message = f"starts trips to '{destination}', a pair without a row in vehicles.csv."
        cure = "Add the pair's vehicle to vehicles.csv, or remove the trips."
        refuse(problems, table, row, "origin", message, cure)


def check_stations(table: Table, buses: Table, nodes: Nodes, problems: list[Problem]) -> None:
    """Check where stations are and that some price is allowed at each."""
    known = known_ids(buses, "bus")
    for row in table.rows:
        name = row.text("station")
        cure = f"Give the bus that station '{name}' is connected to."
        check_reference(table, row, "bus", known, "bus of buses.csv", cure, problems)
        cure = f"Give the road node where station '{name}' is."
        check_reference(table, row, "node", nodes, "node of the road network", cure, problems)
        check_owner(table, row, problems)
        low, high, mean = row.value("price_min"), row.value("price_max"), row.value("price_mean_max")
        if low is not None and high is not None and low > high:
            message = f"is above price_max ({high:g})."
            refuse(problems, table, row, "price_min", message, "Give the lower price here.")
        if low is not None and mean is not None and mean < low:
            message = f"is below price_min ({low:g}), so no price is allowed."
            cure = "Give a cap of price_min or more, or leave it blank."
            refuse(problems, table, row, "price_mean_max", message, cure)
        check_step(table, row, problems)
