"""Roads from a networkx graph: GraphML, node-link JSON, or a graph made in Python.

An edge needs a length, a free-flow time (or speed) and a capacity (or lanes, with --lane-capacity), under the
project's own names or those of OSMnx:

    length_km                  | length [m]
    free_flow_h                | travel_time [s] | speed_kph [km/h]
    capacity_veh_per_h         | lanes x lane capacity
    bpr_alpha, bpr_beta, background_veh_per_h, energy_kwh      optional

Nodes may have x, y and through (0: no through traffic). An undirected edge becomes two roads.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from instances.errors import InstanceError, Problem
from instances.model import Node, Road
from mpec.importing.pieces import RoadData, RoadUnits, fingerprint, missing_package, problem, refusal, tidy

_INSTALL = "pip install 'evcs-mpec[import]'"


def roads_from_graph_file(path: Path, units: RoadUnits) -> RoadData:
    """The network of a .graphml or node-link .json file. Raises InstanceError where it can't be used."""
    try:
        import networkx
    except ImportError as error:
        raise missing_package(str(path), "networkx", _INSTALL) from error
    if not path.is_file():
        raise refusal(str(path), "is not a file.", "Check the name of the file.")
    try:
        if path.suffix.lower() == ".graphml":
            graph = networkx.read_graphml(path)
        else:
            data = json.loads(path.read_text(encoding="utf-8-sig"))
            graph = networkx.node_link_graph(data, edges="links" if "links" in data else "edges")
    except Exception as error:
        # networkx and its XML parser raise whatever they meet; the file is at fault in every case
        what = f"is not a graph that networkx reads ({type(error).__name__}: {error})."
        cure = "Write it with networkx: write_graphml, or json.dump(node_link_data(graph))."
        raise refusal(path.name, what, cure) from error
    return roads_from_graph(graph, units, name=path.name, source={"roads": fingerprint(path)})


def roads_from_graph(
    graph: Any, units: RoadUnits, *, name: str = "graph", source: Mapping[str, str] | None = None
) -> RoadData:
    """The network of a networkx graph (any of its four classes). Raises InstanceError with all problems."""
    problems: list[Problem] = []
    nodes = []
    for node, data in graph.nodes(data=True):
        reader = _Reader(name, f"node {node}", data, problems)
        x, y = reader.number("x", low=-1e12, default=0.0), reader.number("y", low=-1e12, default=0.0)
        nodes.append(Node(str(node), x, y, reader.number("through", default=1.0) != 0.0))
    roads: list[Road] = []
    taken: set[str] = set()
    for start, end, data in graph.edges(data=True):
        road = _road(_Reader(name, f"edge {start}-{end}", data, problems), str(start), str(end), units)
        both = [road] if graph.is_directed() else [road, _turned(road)]
        for one in both:
            roads.append(_named(one, taken))
    if not roads:
        problems.append(problem(name, "has no edge.", "Give a graph with roads."))
    if problems:
        raise InstanceError(problems)
    notes = []
    plain = sum("bpr_alpha" not in data for _, _, data in graph.edges(data=True))
    if plain:
        notes.append(f"assumed: BPR with alpha 0.15, beta 4 on the {plain} edges that give no bpr_alpha")
    said = dict(source or {"roads": "a networkx graph made in Python"})
    return RoadData(tuple(nodes), tuple(roads), said, tuple(notes))


class _Reader:
    """The attributes of one node or edge; what can't be used becomes a problem."""

    def __init__(self, file: str, where: str, data: Mapping[str, Any], problems: list[Problem]) -> None:
        self.file, self.where, self.data, self.problems = file, where, data, problems

    def has(self, name: str) -> bool:
        return self.data.get(name) not in (None, "")

    def number(self, name: str, *, low: float = 0.0, default: float | None = None) -> float:
        """The attribute as a finite number >= low; OSMnx's lists ('[2, 3]') mean their least."""
        if not self.has(name) and default is not None:
            return default
        value: Any = self.data.get(name)
        if isinstance(value, str) and value.startswith("["):
            try:
                value = ast.literal_eval(value)
            except (ValueError, SyntaxError):
                value = math.nan
        try:
            found = min(map(float, value)) if isinstance(value, (list, tuple)) else float(value)
        except (TypeError, ValueError):
            found = math.nan
        if math.isfinite(found) and found >= low:
            return found
        what = (
            f"{self.where}: is not a number >= {low:g}." if self.has(name) else f"{self.where}: is missing."
        )
        shown = str(value) if self.has(name) else None
        self.problems.append(problem(self.file, what, "Give the attribute.", column=name, value=shown))
        return 1.0


def _road(edge: _Reader, start: str, end: str, units: RoadUnits) -> Road:
    km = edge.number("length_km") if edge.has("length_km") else edge.number("length") / 1000.0
    if edge.has("free_flow_h"):
        hours = edge.number("free_flow_h")
    elif edge.has("travel_time"):
        hours = edge.number("travel_time") / 3600.0
    elif edge.has("speed_kph"):
        hours = km / edge.number("speed_kph", low=1e-6)
    else:
        hours = edge.number("free_flow_h")
    if edge.has("capacity_veh_per_h"):
        capacity = edge.number("capacity_veh_per_h", low=1e-9)
    elif units.lane_capacity is not None:
        capacity = units.lane_capacity * edge.number("lanes", low=1.0, default=1.0)
    else:
        what = f"{edge.where}: has no capacity_veh_per_h."
        cure = "Give the attribute, or --lane-capacity (veh/h) to multiply the edges' lanes by."
        edge.problems.append(problem(edge.file, what, cure))
        capacity = 1.0
    beta = edge.number("bpr_beta", default=4.0)
    if 0.0 < beta < 1.0:
        what = f"{edge.where}: lies between 0 and 1: the road time is not convex in the flow."
        cure = "Give 0, or 1 or more."
        edge.problems.append(problem(edge.file, what, cure, column="bpr_beta", value=f"{beta:g}"))
    return Road(
        id=str(edge.data.get("road") or f"{start}-{end}"),
        from_node=start,
        to_node=end,
        length_km=tidy(km),
        free_flow_h=tidy(hours),
        capacity_veh_per_h=tidy(capacity * units.scale),
        energy_kwh=edge.number("energy_kwh", default=tidy(km * units.kwh_per_km)),
        bpr_alpha=edge.number("bpr_alpha", default=0.15),
        bpr_beta=beta,
        background_veh_per_h=edge.number("background_veh_per_h", default=0.0) * units.scale,
    )


def _turned(road: Road) -> Road:
    name = f"{road.to_node}-{road.from_node}"
    back = name if road.id == f"{road.from_node}-{road.to_node}" else f"{road.id}-back"
    return replace(road, id=back, from_node=road.to_node, to_node=road.from_node)


def _named(road: Road, taken: set[str]) -> Road:
    """The road under a name that no other has: parallel roads are numbered."""
    name, count = road.id, 1
    while name in taken:
        count += 1
        name = f"{road.id}.{count}"
    taken.add(name)
    return road if name == road.id else replace(road, id=name)
