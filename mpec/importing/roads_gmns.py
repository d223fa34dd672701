"""Roads from GMNS: node.csv and link.csv (General Modeling Network Specification).

`capacity` is per lane and hour, `length` in the long_length unit of config.csv (or --length-unit), `free_speed`
in that unit per hour unless config.csv says otherwise. An undirected link becomes two roads. Links for
walking, cycling and public transport alone, and links without lanes, are left out and counted.
"""

from __future__ import annotations

from pathlib import Path

from instances.errors import InstanceError, Problem
from instances.model import Node, Road
from mpec.importing.csv_rows import CsvRow, read_rows
from mpec.importing.pieces import RoadData, RoadUnits, fingerprint, problem, tidy
from mpec.importing.units import LENGTHS_KM, SPEEDS_KM_PER_H

_NOT_FOR_CARS = {"walk", "ped", "pedestrian", "bike", "bicycle", "bus", "transit", "rail", "tram"}
_NO = {"0", "false", "f", "no", "n"}


def roads_from_gmns(place: Path, units: RoadUnits) -> RoadData:
    """The network of a folder with node.csv and link.csv (or of a link.csv with its node.csv beside it).

    Raises InstanceError with every cell that can't be used.
    """
    folder = place if place.is_dir() else place.parent
    links = folder / "link.csv" if place.is_dir() else place
    node_rows = read_rows(folder / "node.csv", [["node_id"]])
    rows = read_rows(links, [["from_node_id"], ["to_node_id"], ["length"]])
    problems: list[Problem] = []
    km, km_per_h = _units(folder, links.name, units, problems)
    nodes, zones = _nodes(node_rows, problems)
    known = {node.id for node in nodes}
    roads: list[Road] = []
    left_out = {"not for cars": 0, "without lanes": 0}
    for row in rows:
        uses = {use.strip().lower() for use in row.text("allowed_uses").replace(";", ",").split(",")}
        if uses - {""} and uses - {""} <= _NOT_FOR_CARS:
            left_out["not for cars"] += 1
            continue
        if row.text("lanes") in {"0", "0.0"}:
            left_out["without lanes"] += 1
            continue
        roads += _roads(row, known, units, km, km_per_h, problems)
    if problems:
        raise InstanceError(problems)
    notes = [f"{count} links {why} are left out" for why, count in left_out.items() if count]
    plain = sum(not row.text("vdf_alpha", "vdf_alpha1", "bpr_alpha") for row in rows)
    if plain:
        notes.append(f"assumed: BPR with alpha 0.15, beta 4 on the {plain} links that give no vdf_alpha")
    closed = sum(not node.through for node in nodes)
    if closed:
        notes.append(f"{closed} centroids are closed to through traffic")
    source = {"roads": fingerprint(links), "nodes": fingerprint(folder / "node.csv")}
    return RoadData(nodes, tuple(roads), source, tuple(notes), zones)


def _units(folder: Path, links: str, units: RoadUnits, problems: list[Problem]) -> tuple[float, float]:
    """km per unit of length, km/h per unit of speed; 1.0 and a problem where they are not known."""
    km, speed = units.km, None
    config = folder / "config.csv"
    if config.is_file():
        row = read_rows(config, [])[0]
        said = {"long_length": row.text("long_length").lower(), "speed": row.text("speed").lower()}
        km = km or LENGTHS_KM.get(said["long_length"])
        speed = SPEEDS_KM_PER_H.get(said["speed"])
        for column, table in (("long_length", LENGTHS_KM), ("speed", SPEEDS_KM_PER_H)):
            if said[column] and said[column] not in table and not (column == "long_length" and units.km):
                cure = f"Write one of: {', '.join(table)}."
                what = "is not a known unit."
                problems.append(problem("config.csv", what, cure, row=2, column=column, value=said[column]))
    if km is None and not problems:
        what = "the unit of its lengths is not known, as no config.csv says it."
        problems.append(problem(links, what, "Give --length-unit km, mi, m or ft.", column="length"))
    return km or 1.0, speed or km or 1.0


def _nodes(rows: list[CsvRow], problems: list[Problem]) -> tuple[tuple[Node, ...], dict[str, str]]:
    """The nodes, and zone -> node where exactly one node has the zone."""
    nodes: dict[str, Node] = {}
    zones: dict[str, list[str]] = {}
    for row in rows:
        name = row.text("node_id")
        if not name or name in nodes:
            what = "is there twice." if name else "is blank."
            cure = "Give every node one row and a node_id of its own."
            problems.append(
                problem(row.file, what, cure, row=row.number, column="node_id", value=name or None)
            )
            continue
        x = row.number_of(
            "x_coord", "x", problems=problems, cure="Give a coordinate.", low=-1e12, default=0.0
        )
        y = row.number_of(
            "y_coord", "y", problems=problems, cure="Give a coordinate.", low=-1e12, default=0.0
        )
        through = row.text("node_type").lower() != "centroid"
        nodes[name] = Node(name, x or 0.0, y or 0.0, through)
        if row.text("zone_id"):
            zones.setdefault(row.text("zone_id"), []).append(name)
    return tuple(nodes.values()), {zone: names[0] for zone, names in zones.items() if len(names) == 1}


def _roads(
    row: CsvRow, known: set[str], units: RoadUnits, km: float, km_per_h: float, problems: list[Problem]
) -> list[Road]:
    """The road of a link, or its two roads; [] and problems where a cell can't be used."""
    found = len(problems)
    ends = row.text("from_node_id"), row.text("to_node_id")
    for column, end in zip(("from_node_id", "to_node_id"), ends, strict=True):
        if end not in known:
            cure = "Give a node_id of node.csv."
            what = "is not a node of node.csv."
            problems.append(problem(row.file, what, cure, row=row.number, column=column, value=end))
    length = row.number_of("length", problems=problems, cure="Give the length.")
    speed = row.number_of(
        "free_speed", problems=problems, cure="Give the free-flow speed, above 0.", low=1e-6
    )
    lanes = row.number_of("lanes", problems=problems, cure="Give the lanes.", default=1.0)
    capacity = row.number_of(
        "capacity",
        problems=problems,
        cure="Give the capacity in veh/h and lane, or --lane-capacity for all links without.",
        low=1e-6,
        default=units.lane_capacity,
    )
    alpha = row.number_of(
        "vdf_alpha", "vdf_alpha1", "bpr_alpha", problems=problems, cure="Give 0 or more.", default=0.15
    )
    beta = row.number_of(
        "vdf_beta", "vdf_beta1", "bpr_beta", problems=problems, cure="Give 0, or 1 or more.", default=4.0
    )
    if beta is not None and 0.0 < beta < 1.0:
        what = "lies between 0 and 1: the road time is not convex in the flow."
        problems.append(
            problem(
                row.file, what, "Give 0, or 1 or more.", row=row.number, column="vdf_beta", value=f"{beta:g}"
            )
        )
    if len(problems) > found:
        return []
    assert None not in (length, speed, lanes, capacity, alpha, beta)
    km = tidy((length or 0.0) * km)
    name = row.text("link_id") or f"{ends[0]}-{ends[1]}"
    hours = tidy(km / ((speed or 1.0) * km_per_h))
    total = tidy((capacity or 0.0) * (lanes or 1.0) * units.scale)
    road = Road(name, *ends, km, hours, total, tidy(km * units.kwh_per_km), alpha or 0.0, beta or 0.0)
    if row.text("directed").lower() in _NO:
        back = Road(f"{name}-back", *ends[::-1], km, hours, total, road.energy_kwh, alpha or 0.0, beta or 0.0)
        return [road, back]
    return [road]
