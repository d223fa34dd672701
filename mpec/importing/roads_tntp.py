"""Roads from TNTP net files; the traps of the format are minded by `mpec.tntp`, which `mpec assign` uses too.

A TNTP file says nothing of its units. Power 0 means the constant time t0 (1 + b), written so; a power
between 0 and 1 is refused, since the road time is then not convex.
"""

from __future__ import annotations

from pathlib import Path

from instances.errors import InstanceError, Problem
from instances.model import Node, Road
from mpec.importing.pieces import RoadData, RoadUnits, fingerprint, problem, read_bytes, refusal, tidy
from mpec.tntp import read_tntp_network

_MEND = "Mend the file; the format is described in the TransportationNetworks collection."


def roads_from_tntp(path: Path, units: RoadUnits, coordinates: Path | None = None) -> RoadData:
    """The network of a TNTP net file in km, h and veh/h; ``coordinates``: a TNTP node file.

    Raises InstanceError with everything that is wrong: unreadable, units not known, powers below 1.
    """
    read_bytes(path)
    try:
        # With a factor of 1 on lengths, the fixed cost of a road is its length.
        network = read_tntp_network(path, distance_factor=1.0)
    except ValueError as error:
        raise refusal("", f"{error}.", _MEND) from error
    problems = _unit_problems(path, units)
    for name, beta in zip(network.names, network.beta, strict=True):
        if 0.0 < beta < 1.0:
            what = f"road {name} has a power between 0 and 1: its time is not convex in the flow."
            cure = "Give the road the power 0 (a constant time), or 1 or more."
            problems.append(problem(path.name, what, cure, column="power", value=f"{beta:g}"))
    if problems or units.hours is None or units.km is None:
        raise InstanceError(problems)
    places = _places(coordinates, network.nodes) if coordinates else {}
    seen: dict[str, int] = {}
    roads = []
    constant = []
    for a, name in enumerate(network.names):
        seen[name] = seen.get(name, 0) + 1
        road = name if seen[name] == 1 else f"{name}.{seen[name]}"
        time, alpha, beta = network.free_flow[a] * units.hours, network.alpha[a], network.beta[a]
        if beta == 0.0:
            time, alpha = time * (1.0 + alpha), 0.0
            constant.append(road)
        km = tidy(network.fixed_cost[a] * units.km)
        start, end = network.nodes[network.tail[a]], network.nodes[network.head[a]]
        capacity = tidy(network.capacity[a] * units.scale)
        kwh = tidy(km * units.kwh_per_km)
        roads.append(Road(road, start, end, km, tidy(time), capacity, kwh, float(alpha), float(beta)))
    nodes = tuple(
        Node(name, *places.get(name, (0.0, 0.0)), through=bool(open_))
        for name, open_ in zip(network.nodes, network.through, strict=True)
    )
    notes = []
    if not all(network.through):
        notes.append(f"{sum(~network.through)} zones below FIRST THRU NODE are closed to through traffic")
    if constant:
        notes.append(f"{len(constant)} roads with power 0 have the constant time t0 (1 + b)")
    source = {"roads": fingerprint(path)}
    if coordinates:
        source["coordinates"] = fingerprint(coordinates)
    return RoadData(nodes, tuple(roads), source, tuple(notes))


def _unit_problems(path: Path, units: RoadUnits) -> list[Problem]:
    problems = []
    if units.hours is None:
        cure = "Give --time-unit h, min, s or 0.01h; the data set's own description says which."
        problems.append(problem(path.name, "the unit of its free-flow times is not known.", cure))
    if units.km is None:
        cure = "Give --length-unit km, mi, ft or m; the data set's own description says which."
        problems.append(problem(path.name, "the unit of its lengths is not known.", cure))
    return problems


def _places(path: Path, known: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Node -> (x, y) of a TNTP node file: 'node x y ;' below a header."""
    places: dict[str, tuple[float, float]] = {}
    text = read_bytes(path).decode("utf-8-sig", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("~", 1)[0].replace(";", " ").replace(",", " ").split()
        if not fields or not fields[0].lstrip("-").isdecimal():
            continue
        try:
            x, y = float(fields[1]), float(fields[2])
        except (IndexError, ValueError) as error:
            raise refusal(
                path.name, "is not 'node x y'.", "Mend the line.", row=number, value=line
            ) from error
        if fields[0] not in known:
            what = "is not a node of the net file."
            raise refusal(path.name, what, "Give the node file of this network.", row=number, value=fields[0])
        places[fields[0]] = (x, y)
    return places
