"""Plain networks from files: TNTP, or the roads.csv and trips.csv of an instance folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from mpec.road_network import RoadNetwork, TripTable, trip_table
from mpec.tntp import read_tntp_network, read_tntp_trips

Array = np.ndarray[Any, Any]

_ROAD_COLUMNS = ("road", "from_node", "to_node", "free_flow_h", "capacity_veh_per_h")
_TRIP_COLUMNS = ("origin", "destination", "veh_per_h")


def read_network(path: Path, *, toll_factor: float = 0.0, distance_factor: float = 0.0) -> RoadNetwork:
    """A network from a TNTP net file or a roads.csv (with the nodes.csv beside it, if there is one).

    Raises ValueError with file and row where it can't be read, FileNotFoundError where it isn't there.
    """
    if path.suffix.lower() == ".csv":
        return _roads_csv(path)
    return read_tntp_network(path, toll_factor=toll_factor, distance_factor=distance_factor)


def read_trips(path: Path, network: RoadNetwork, *, period: int | None = None) -> TripTable:
    """Trips from a TNTP trips file or a trips.csv; of the latter one period (needed if it has several).

    Raises ValueError with file and row where it can't be read.
    """
    if path.suffix.lower() == ".csv":
        return _trips_csv(path, network, period)
    return read_tntp_trips(path, network)


def _rows(path: Path, required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        names = [name.strip() for name in reader.fieldnames or ()]
        missing = [name for name in required if name not in names]
        if missing:
            raise ValueError(
                f"{path.name}: column {missing[0]} is missing; it has {', '.join(names) or 'none'}"
            )
        reader.fieldnames = names
        return [
            (i, {k: (v or "").strip() for k, v in row.items() if k is not None})
            for i, row in enumerate(reader, start=2)
        ]


def _number(path: Path, row: int, values: dict[str, str], column: str, default: float | None = None) -> float:
    text = values.get(column, "")
    if text == "" and default is not None:
        return default
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{path.name}, row {row}, column {column}: {text!r} is not a number") from error


def _roads_csv(path: Path) -> RoadNetwork:
    rows = _rows(path, _ROAD_COLUMNS)
    nodes = tuple(dict.fromkeys(values[c] for _, values in rows for c in ("from_node", "to_node")))
    index = {node: i for i, node in enumerate(nodes)}

    def column(name: str, default: float | None = None) -> Array:
        return np.array([_number(path, i, values, name, default) for i, values in rows], float)

    through = np.ones(len(nodes), bool)
    beside = path.with_name("nodes.csv")
    if beside.is_file():
        for i, values in _rows(beside, ("node",)):
            if values["node"] in index:
                through[index[values["node"]]] = _number(beside, i, values, "through", 1.0) != 0.0
    return RoadNetwork(
        nodes=nodes,
        through=through,
        names=tuple(values["road"] for _, values in rows),
        tail=np.array([index[values["from_node"]] for _, values in rows], int),
        head=np.array([index[values["to_node"]] for _, values in rows], int),
        free_flow=column("free_flow_h"),
        alpha=column("bpr_alpha", 0.15),
        capacity=column("capacity_veh_per_h"),
        beta=column("bpr_beta", 4.0),
        background=column("background_veh_per_h", 0.0),
        fixed_cost=np.zeros(len(rows)),
    )


def _trips_csv(path: Path, network: RoadNetwork, period: int | None) -> TripTable:
    rows = _rows(path, _TRIP_COLUMNS)
    periods = sorted({values["period"] for _, values in rows if values.get("period")}, key=float)
    if period is None and len(periods) > 1:
        raise ValueError(
            f"{path.name} has the periods {periods[0]} ... {periods[-1]}; say which one is meant"
        )
    index = {node: i for i, node in enumerate(network.nodes)}
    ends, flows = [], []
    for i, values in rows:
        if period is not None and values.get("period") and float(values["period"]) != period:
            continue
        for column in ("origin", "destination"):
            if values[column] not in index:
                raise ValueError(
                    f"{path.name}, row {i}, column {column}: {values[column]!r} is not a node of the roads"
                )
        ends.append((index[values["origin"]], index[values["destination"]]))
        flows.append(_number(path, i, values, "veh_per_h"))
    table = np.array(ends, int).reshape(len(ends), 2)
    return trip_table(table[:, 0], table[:, 1], np.array(flows, float))
