"""Trips from files: TNTP trips files, CSV tables of O-D pairs, GMNS demand tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from instances.errors import InstanceError, Problem, listing
from mpec.importing.csv_rows import read_rows
from mpec.importing.pieces import PairKey, RoadData, fingerprint, problem, read_bytes, refusal
from mpec.importing.roads_network import road_network
from mpec.tntp import read_tntp_trips

_ORIGIN = ("origin", "o_zone_id", "from", "o")
_DESTINATION = ("destination", "d_zone_id", "to", "d")
_FLOW = ("veh_per_h", "trips", "volume", "flow")


@dataclass(frozen=True)
class Trips:
    """Vehicles of every O-D pair, in the file's unit, by period where the file has periods (else None)."""

    flow: Mapping[tuple[str, str, int | None], float]
    source: str
    notes: tuple[str, ...] = ()

    @property
    def by_period(self) -> bool:
        return any(period is not None for _, _, period in self.flow)

    def totals(self) -> dict[PairKey, float]:
        """Vehicles of every O-D pair over all its rows."""
        total: dict[PairKey, float] = {}
        for (origin, destination, _), flow in self.flow.items():
            total[origin, destination] = total.get((origin, destination), 0.0) + flow
        return total

    def busiest(self) -> dict[PairKey, float]:
        """Vehicles of every O-D pair in the period that has most of them."""
        by_period: dict[int | None, dict[PairKey, float]] = {}
        for (origin, destination, period), flow in self.flow.items():
            by_period.setdefault(period, {})[origin, destination] = flow
        return max(by_period.values(), key=lambda flows: sum(flows.values()))


def read_trip_file(path: Path, roads: RoadData) -> Trips:
    """The trips of a file, for the nodes (or zones) of the roads.

    Raises InstanceError with every row that can't be used. Trips within a zone are left out and counted.
    """
    if path.suffix.lower() == ".csv":
        return _csv(path, roads)
    read_bytes(path)
    network = road_network(roads.nodes, roads.roads)
    try:
        table = read_tntp_trips(path, network)
    except ValueError as error:
        raise refusal("", f"{error}.", "Mend the file, or give the trips of this network.") from error
    nodes = network.nodes
    flow: dict[tuple[str, str, int | None], float] = {
        (nodes[o], nodes[d], None): float(f)
        for o, d, f in zip(table.origin, table.destination, table.flow, strict=True)
    }
    return _trips(path, flow, table.inside)


def _csv(path: Path, roads: RoadData) -> Trips:
    problems: list[Problem] = []
    known = {node.id for node in roads.nodes}
    flow: dict[tuple[str, str, int | None], float] = {}
    inside = 0.0
    for row in read_rows(path, [_ORIGIN, _DESTINATION, _FLOW]):
        ends = []
        for columns in (_ORIGIN, _DESTINATION):
            name = row.text(*columns)
            node = roads.zones.get(name, name)
            if node not in known:
                column = next(c for c in columns if c in row.cells)
                what = f"is neither a node nor a zone with one node ({listing(sorted(known))})."
                cure = "Give a node of the road network."
                problems.append(problem(path.name, what, cure, row=row.number, column=column, value=name))
            ends.append(node)
        value = row.number_of(*_FLOW, problems=problems, cure="Give the vehicles, 0 or more.")
        period: int | None = None
        if row.text("period"):
            number = row.number_of("period", problems=problems, cure="Give the number of a period.", low=-1e9)
            period = int(number) if number is not None else None
        key = (ends[0], ends[1], period)
        if key in flow:
            what = f"has the O-D pair {ends[0]} to {ends[1]} a second time."
            problems.append(problem(path.name, what, "Add its rows up.", row=row.number))
        elif ends[0] == ends[1]:
            inside += value or 0.0
        elif value:
            flow[key] = value
    if problems:
        raise InstanceError(problems)
    return _trips(path, flow, inside)


def _trips(path: Path, flow: Mapping[tuple[str, str, int | None], float], inside: float) -> Trips:
    if not flow:
        raise refusal(path.name, "has no trips between different nodes.", "Give a file with trips.")
    notes = (f"{inside:g} trips within a zone are left out: they use no road",) if inside else ()
    return Trips(flow, fingerprint(path), notes)
