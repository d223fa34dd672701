"""Warnings: what an instance may hold, but rarely means. Nothing here stops a run or changes a number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from instances.errors import Problem, listing
from instances.model import Instance

_UNIT = "Check the unit; if it is meant, nothing needs to be done."


def suspicions(instance: Instance) -> list[Problem]:
    """Suspicious magnitudes and data that nothing uses, as problems that are only warnings.

    One warning per file and column, naming the ids concerned; [] for an ordinary instance.
    """
    return [
        *_settings(instance),
        *_feeder(instance),
        *_roads(instance),
        *_vehicles(instance),
        *_stations(instance),
        *_unused(instance),
    ]


def _outside(
    file: str, column: str, values: Iterable[tuple[str, float]], low: float, high: float, unit: str
) -> Iterator[Problem]:
    """A warning when some (id, value) lies outside what is usual."""
    odd = [(name, value) for name, value in values if not low <= value <= high]
    if odd:
        _, value = odd[0]
        message = f"is unusual ({low:g} to {high:g} {unit}) at {listing(n for n, _ in odd)}."
        yield Problem(file, None, column, f"{value:g}", message, _UNIT)


def _settings(i: Instance) -> Iterator[Problem]:
    file, feeder = "instance.toml", i.feeder
    hours = len(i.periods) * i.period_h
    for column, value, low, high, unit in (
        ("period_h", i.period_h, 1 / 60, 24.0, "h"),
        ("users.kappa_per_h", i.users.kappa_per_h, 0.0, 1e4, "money/h"),
        ("users.xi", i.users.xi, 0.0, 1.0, "as a share"),
        ("feeder.base_kv", feeder.base_kv, 0.2, 500.0, "kV"),
        ("feeder.base_kva", feeder.base_kva, 1.0, 1e6, "kVA"),
        ("feeder.root_voltage_pu", feeder.root_voltage_pu, 0.8, 1.2, "p.u."),
        ("feeder.voll_per_kwh", feeder.voll_per_kwh, 0.0, 1e3, "money/kWh"),
        ("periods", hours, 0.0, 24.0 * 31, "h in all"),
    ):
        yield from _outside(file, column, [("this instance", value)], low, high, unit)
    dearest = max(period.import_price_per_kwh for period in i.periods)
    if dearest >= feeder.voll_per_kwh:
        yield Problem(
            file=file,
            row=None,
            column="feeder.voll_per_kwh",
            value=f"{feeder.voll_per_kwh:g}",
            message=f"does not exceed the import price ({dearest:g}): shedding is cheaper than serving.",
            cure="The value of lost load is usually many times the energy price.",
        )


def _feeder(i: Instance) -> Iterator[Problem]:
    yield from _outside("buses.csv", "vmin_pu", ((b.id, b.vmin_pu) for b in i.buses), 0.8, 1.2, "p.u.")
    yield from _outside("buses.csv", "vmax_pu", ((b.id, b.vmax_pu) for b in i.buses), 0.8, 1.2, "p.u.")
    yield from _outside("buses.csv", "load_kw", ((b.id, b.load_kw) for b in i.buses), 0.0, 1e5, "kW")
    impedance = ((x.id, math.hypot(x.r_ohm, x.x_ohm)) for x in i.lines)
    yield from _outside("lines.csv", "r_ohm", impedance, 0.0, 50.0, "ohm")
    prices = [(str(p.id), p.import_price_per_kwh) for p in i.periods]
    yield from _outside("periods.csv", "import_price_per_kwh", prices, 0.0, 100.0, "money/kWh")
    factors = ((str(p.id), p.load_factor) for p in i.periods)
    yield from _outside("periods.csv", "load_factor", factors, 0.0, 5.0, "as a factor")
    wind = ((f"farm {farm}, period {t}", kw) for (_, t, farm), kw in i.wind.items())
    yield from _outside("wind.csv", "available_kw", wind, 0.0, 1e5, "kW")


def _roads(i: Instance) -> Iterator[Problem]:
    file = "roads.csv"
    moving = [road for road in i.roads if road.free_flow_h > 0 and road.length_km > 0]
    speeds = ((road.id, road.length_km / road.free_flow_h) for road in moving)
    yield from _outside(file, "free_flow_h", speeds, 3.0, 200.0, "km/h")
    use = ((road.id, road.energy_kwh / road.length_km) for road in moving if road.energy_kwh > 0)
    yield from _outside(file, "energy_kwh", use, 0.03, 3.0, "kWh/km")
    alphas = ((road.id, road.bpr_alpha) for road in i.roads)
    yield from _outside(file, "bpr_alpha", alphas, 0.0, 5.0, "as a factor")
    betas = ((road.id, road.bpr_beta) for road in i.roads)
    yield from _outside(file, "bpr_beta", betas, 0.0, 12.0, "as a power")
    full = ((road.id, road.background_veh_per_h / road.capacity_veh_per_h) for road in i.roads)
    yield from _outside(file, "background_veh_per_h", full, 0.0, 1.5, "times the capacity")


def _vehicles(i: Instance) -> Iterator[Problem]:
    file = "vehicles.csv"
    batteries = ((f"{p.origin} to {p.destination}", p.max_kwh) for p in i.pairs)
    yield from _outside(file, "max_kwh", batteries, 1.0, 2000.0, "kWh")
    driving = {(origin, destination) for origin, destination, _ in i.trips}
    idle = [f"{p.origin} to {p.destination}" for p in i.pairs if p.key not in driving]
    if idle:
        message = "has a vehicle, but no trips in trips.csv."
        yield Problem(file, None, "origin", listing(idle), message, "Add trips, or leave the pair out.")


def _stations(i: Instance) -> Iterator[Problem]:
    file = "stations.csv"
    yield from _outside(file, "pile_kw", ((s.id, s.pile_kw) for s in i.stations), 1.0, 2000.0, "kW")
    prices = ((s.id, s.price_max) for s in i.stations)
    yield from _outside(file, "price_max", prices, 1e-3, 1e3, "money/kWh")
    weak = [s.id for s in i.stations if s.rated_kva < s.pile_kw]
    if weak:
        message = "is rated below one of its own piles."
        yield Problem(file, None, "rated_kva", listing(weak), message, _UNIT)
    slack = [s.id for s in i.stations if s.price_mean_max is not None and s.price_mean_max >= s.price_max]
    if slack:
        message = "has a mean cap that its box keeps anyway."
        yield Problem(file, None, "price_mean_max", listing(slack), message, "Leave it blank, or lower it.")


def _unused(i: Instance) -> Iterator[Problem]:
    """Nodes, roads and stations that no O-D pair can reach on the way to its destination."""
    useful = _useful_nodes(i)
    nodes = [node.id for node in i.nodes if node.id not in useful]
    if nodes:
        message = "lies on no way from an origin to a destination."
        yield Problem("nodes.csv", None, "node", listing(nodes), message, "Leave it out, or connect it.")
    stations = [s.id for s in i.stations if s.node not in useful]
    if stations:
        message = "stands where no O-D pair passes."
        yield Problem("stations.csv", None, "node", listing(stations), message, "Move it, or leave it out.")
    closed = [s.id for s in i.stations if not s.available]
    if closed:
        message = "is not available."
        yield Problem("stations.csv", None, "available", listing(closed), message, "Write 1 to open it.")


def _useful_nodes(i: Instance) -> set[str]:
    onward: dict[str, set[str]] = {}
    backward: dict[str, set[str]] = {}
    for road in i.roads:
        onward.setdefault(road.from_node, set()).add(road.to_node)
        backward.setdefault(road.to_node, set()).add(road.from_node)
    from_origin = {pair.origin: _reached(onward, pair.origin) for pair in i.pairs}
    to_destination = {pair.destination: _reached(backward, pair.destination) for pair in i.pairs}
    return {node for pair in i.pairs for node in from_origin[pair.origin] & to_destination[pair.destination]}


def _reached(neighbours: dict[str, set[str]], start: str) -> set[str]:
    reached, stack = {start}, [start]
    while stack:
        for there in neighbours.get(stack.pop(), ()):
            if there not in reached:
                reached.add(there)
                stack.append(there)
    return reached
