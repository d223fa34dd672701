"""Reader of the TNTP format (net and trips files of the TransportationNetworks collection).

Traps that are minded: metadata tags in any order and case, `~` comments anywhere, a semicolon glued to the
last number or missing, tabs and blank lines, FIRST THRU NODE (zones below it may not be driven through),
power 0 (constant time t0 (1 + b)) and powers below 1, capacity 0 where b is 0, free-flow times written as
1e-8 with a b of 1e9 (Braess), O-D entries over many lines, trips from a zone to itself. Times, lengths and
flows keep the file's units; tolls and lengths enter the cost with the two factors (0 by default).
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from mpec.road_network import RoadNetwork, TripTable, trip_table

Array = np.ndarray[Any, Any]

_TAG = re.compile(r"<\s*([^>]+?)\s*>\s*(.*)")
_COLUMNS = 7
"""tail, head, capacity, length, free-flow time, b, power; speed, toll and type may be missing."""

MOST = 1_000_000
"""Nodes or roads of the largest network that is read: more is a slip of the pen, and would fill the memory."""


def _split(path: Path) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Metadata by tag (upper case) and the other lines with their numbers, comments removed."""
    tags: dict[str, str] = {}
    rows: list[tuple[int, str]] = []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} is not a text file: {error.reason}") from error
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.split("~", 1)[0].strip() if not line.lstrip().startswith("<") else line.strip()
        if not line:
            continue
        tag = _TAG.match(line)
        if tag:
            tags[tag[1].upper()] = tag[2].split("~", 1)[0].strip()
        else:
            rows.append((number, line))
    return tags, rows


def _whole(tags: dict[str, str], name: str, path: Path) -> int:
    try:
        value = float(tags[name])
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name}: the line <{name}> with a whole number is missing") from error
    if not (0 <= value <= MOST and value == int(value)):
        raise ValueError(f"{path.name}: <{name}> is {tags[name]}, not a whole number from 0 to {MOST:,}")
    return int(value)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return value


def read_tntp_network(path: Path, *, toll_factor: float = 0.0, distance_factor: float = 0.0) -> RoadNetwork:
    """A network from a TNTP net file. Raises ValueError with file and line where it can't be read."""
    tags, lines = _split(path)
    nodes, first = _whole(tags, "NUMBER OF NODES", path), _whole(tags, "FIRST THRU NODE", path)
    rows = []
    for number, line in lines:
        fields = line.replace(";", " ").replace(",", " ").split()
        try:
            values = [float(f) for f in fields]
        except ValueError as error:
            raise ValueError(f"{path.name}, line {number}: not a row of numbers: {line!r}") from error
        if len(values) < _COLUMNS:
            raise ValueError(
                f"{path.name}, line {number}: {len(values)} numbers; a road has tail, head, capacity, "
                "length, free-flow time, b, power [, speed, toll, type]"
            )
        if not all(map(math.isfinite, values)):
            raise ValueError(f"{path.name}, line {number}: a number is not finite: {line!r}")
        rows.append([*values, *[0.0] * (10 - len(values))][:10])
        if not all(1 <= v <= nodes and v == int(v) for v in values[:2]):
            raise ValueError(f"{path.name}, line {number}: nodes must be whole numbers from 1 to {nodes}")
    declared = _whole(tags, "NUMBER OF LINKS", path)
    if len(rows) != declared:
        raise ValueError(f"{path.name}: {len(rows)} roads, but <NUMBER OF LINKS> says {declared}")
    table = np.array(rows, float).reshape(len(rows), 10)
    tail, head = table[:, 0].astype(int) - 1, table[:, 1].astype(int) - 1
    return RoadNetwork(
        nodes=tuple(str(i + 1) for i in range(nodes)),
        through=np.arange(1, nodes + 1) >= first,
        names=tuple(f"{a + 1}-{b + 1}" for a, b in zip(tail, head, strict=True)),
        tail=tail,
        head=head,
        free_flow=table[:, 4],
        alpha=table[:, 5],
        capacity=table[:, 2],
        beta=table[:, 6],
        background=np.zeros(len(rows)),
        fixed_cost=toll_factor * table[:, 8] + distance_factor * table[:, 3],
    )


def read_tntp_trips(path: Path, network: RoadNetwork) -> TripTable:
    """The trips of a TNTP trips file. Raises ValueError with file and line where it can't be read, and
    when the sum is not the file's own <TOTAL OD FLOW> (to 0.1 %)."""
    tags, lines = _split(path)
    origin = 0
    rows: list[tuple[int, int, float]] = []
    for number, line in lines:
        start = re.match(r"origin\s+(\d+)\s*(.*)$", line, re.IGNORECASE)
        if start:
            origin, line = int(start[1]), start[2]
        for entry in filter(None, (part.strip() for part in line.split(";"))):
            match = re.fullmatch(r"(\d+)\s*:\s*(\S+)", entry)
            try:
                if match is None:
                    raise ValueError(entry)
                rows.append((origin, int(match[1]), _finite(match[2])))
            except ValueError as error:
                raise ValueError(
                    f"{path.name}, line {number}: {entry!r} is not 'destination : trips'"
                ) from error
            if not (1 <= origin <= len(network.nodes) and 1 <= rows[-1][1] <= len(network.nodes)):
                raise ValueError(
                    f"{path.name}, line {number}: O-D pair {origin}-{rows[-1][1]} is outside the network"
                )
    table = np.array(rows, float).reshape(len(rows), 3)
    total = float(table[:, 2].sum())
    if "TOTAL OD FLOW" in tags:
        try:
            declared = _finite(tags["TOTAL OD FLOW"])
        except ValueError as error:
            raise ValueError(
                f"{path.name}: <TOTAL OD FLOW> is not a number: {tags['TOTAL OD FLOW']}"
            ) from error
        if abs(total - declared) > 1e-3 * max(1.0, declared):
            raise ValueError(f"{path.name}: trips add up to {total}, but <TOTAL OD FLOW> says {declared}")
    return trip_table(table[:, 0].astype(int) - 1, table[:, 1].astype(int) - 1, table[:, 2])
