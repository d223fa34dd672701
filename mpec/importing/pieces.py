"""What the readers hand over: a road network, its trips, a feeder; and how they refuse."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from instances.errors import InstanceError, Problem
from instances.model import Bus, Line, Node, Road

PairKey = tuple[str, str]


@dataclass(frozen=True)
class RoadUnits:
    """What a file's numbers mean. hours, km: one unit of its times and lengths (None: not known).

    ``scale`` multiplies capacities; ``kwh_per_km``: what a vehicle consumes; ``lane_capacity``: veh/h, where
    a file has lanes and no capacities.
    """

    kwh_per_km: float
    hours: float | None = None
    km: float | None = None
    scale: float = 1.0
    lane_capacity: float | None = None


@dataclass(frozen=True)
class RoadData:
    """Nodes and one-way roads in the project's units; ``zones``: names of trips' ends -> node.

    ``source``: heading -> where the numbers come from; ``notes``: what was left out or read in a way that
    somebody should know.
    """

    nodes: tuple[Node, ...]
    roads: tuple[Road, ...]
    source: Mapping[str, str]
    notes: tuple[str, ...] = ()
    zones: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class FeederData:
    """A radial feeder in the project's units; impedances in ohm at ``base_kv``."""

    base_kv: float
    base_kva: float
    root_bus: str
    root_voltage_pu: float
    buses: tuple[Bus, ...]
    lines: tuple[Line, ...]
    source: Mapping[str, str]
    notes: tuple[str, ...] = ()


def problem(
    file: str,
    message: str,
    cure: str,
    *,
    row: int | None = None,
    column: str | None = None,
    value: str | None = None,
) -> Problem:
    """A :class:`Problem` with the place last: most have no row."""
    return Problem(file, row, column, value, message, cure)


def refusal(
    file: str,
    message: str,
    cure: str,
    *,
    row: int | None = None,
    column: str | None = None,
    value: str | None = None,
) -> InstanceError:
    """The error of one problem, to be raised."""
    return InstanceError([problem(file, message, cure, row=row, column=column, value=value)])


def missing_package(source: str, package: str, install: str) -> InstanceError:
    """The error that says which optional package reads ``source`` and how to get it."""
    return refusal("", f"needs the package {package}, which is not installed.", install, value=source)


def read_bytes(path: Path) -> bytes:
    """The file's bytes; raises InstanceError where it is absent, a folder or unreadable."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or "error").lower()
        raise refusal(str(path), f"can't be read ({reason}).", "Check the name of the file.") from error


def fingerprint(path: Path) -> str:
    """'NAME, SHA-256 …': what [source] says of a file."""
    return f"{path.name}, SHA-256 {hashlib.sha256(read_bytes(path)).hexdigest()}"


def tidy(value: float) -> float:
    """The number without the last digits that a change of units made up (12 significant ones stay)."""
    return value if math.isinf(value) else float(f"{float(value):.12g}")
