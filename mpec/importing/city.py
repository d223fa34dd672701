"""Joining roads, feeder and tables to one instance, or to a list of all that is wrong or still missing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from instances import files_of, parse, suspicions
from instances.errors import InstanceError, Problem, listing
from instances.model import Instance, Scenario, Users
from mpec.importing.demand import Demand, demand, usage
from mpec.importing.given_tables import GivenTables
from mpec.importing.ledger import Ledger
from mpec.importing.network_side import buses_and_lines, feeder, stations
from mpec.importing.pieces import FeederData, RoadData, RoadUnits, problem
from mpec.importing.request import Request
from mpec.importing.sources import read_feeder, read_roads
from mpec.importing.trip_files import Trips, read_trip_file

T = TypeVar("T")


@dataclass(frozen=True)
class City:
    """A new instance that has passed every check; ``assumptions`` and ``notes`` are to be shown."""

    instance: Instance
    files: dict[str, str]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]


def new_city(request: Request) -> City:
    """The instance that the request describes.

    Raises InstanceError with all problems at once: what can't be read, what is still missing, what the
    checks of an instance folder refuse, O-D pairs whose vehicle has no route.
    """
    ledger = Ledger(assume=request.assume)
    problems: list[Problem] = []
    kwh_per_km = ledger.number(
        "energy per km", "--energy-per-km", request.kwh_per_km, 0.2, "kWh/km, a mid-size car"
    )
    units = RoadUnits(kwh_per_km, request.hours, request.km, request.traffic_scale, request.lane_capacity)
    roads = _attempt(problems, lambda: _roads(request, units))
    grid = _attempt(problems, lambda: _feeder(request))
    tables = _attempt(problems, lambda: GivenTables(request.tables, problems))
    if tables is None:
        tables = GivenTables({}, problems)
    places = stations(request, tables, ledger)
    network, file = roads, request.trips
    trips: Trips | None = None
    if network is not None and file is not None:
        trips = _attempt(problems, lambda: read_trip_file(file, network))
    use = usage(request, tables, trips, ledger)
    wanted: Demand | None = None
    if network is not None and trips is not None:
        wanted = _attempt(problems, lambda: demand(request, network, trips, use, ledger))
        ledger.notes += trips.notes
    if roads is not None:
        ledger.source |= dict(roads.source)
        ledger.notes += roads.notes
    users = _users(request, ledger)
    if grid is not None:
        ledger.source |= dict(grid.source)
        ledger.notes += grid.notes
        buses, lines = buses_and_lines(request, grid, places, ledger)
        settings = feeder(request, grid, places, ledger)
    problems += ledger.problems
    if problems or roads is None or grid is None or wanted is None:
        raise InstanceError(problems)
    for name in tables.tables:
        ledger.source.setdefault(name, tables.source(name))
    if "scenarios" not in tables:
        ledger.given("scenarios", "assumed: one, certain")
    currency = ledger.number("currency", "--currency", request.currency, "CNY", "the default", ask=False)
    game = Instance(
        name=request.name,
        currency=currency,
        period_h=1.0,
        users=users,
        feeder=settings,
        tariff_mode=request.tariff or "dlmp",
        buses=buses,
        lines=lines,
        wind_farms=(),
        scenarios=(Scenario("base", 1.0),),
        periods=use.periods,
        nodes=roads.nodes,
        roads=wanted.roads,
        pairs=wanted.pairs,
        stations=places,
        trips=wanted.trips,
        wind={},
        source={**ledger.source, **_noted(ledger.notes)},
    )
    return _checked(game, tables, ledger)


def _roads(request: Request, units: RoadUnits) -> RoadData:
    given = request.roads
    return given if isinstance(given, RoadData) else read_roads(given, units, request.coordinates)


def _feeder(request: Request) -> FeederData:
    return request.feeder if isinstance(request.feeder, FeederData) else read_feeder(request.feeder)


def _attempt(problems: list[Problem], read: Callable[[], T]) -> T | None:
    """What ``read`` returns; None where it refuses, its problems kept: the others are to be heard too."""
    try:
        return read()
    except InstanceError as error:
        problems += error.problems
        return None


def _users(request: Request, ledger: Ledger) -> Users:
    kappa = ledger.number(
        "kappa_per_h", "--kappa", request.kappa, 100.0, "money/h, the paper's value of time", ask=False
    )
    xi = ledger.number("xi", "--xi", request.xi, 0.5, "the paper's residual-flow share", ask=False)
    return Users(kappa, xi)


def _noted(notes: list[str]) -> dict[str, str]:
    return {f"note {i}": text for i, text in enumerate(notes, start=1)}


def _checked(made: Instance, tables: GivenTables, ledger: Ledger) -> City:
    """The city, if the folder's files pass the reader's checks and every pair has a route."""
    files = {name: text.encode() for name, text in files_of(made).items()} | tables.as_given()
    try:
        game = parse(files, made.name)
    except InstanceError as error:
        raise InstanceError(tables.named(error.problems)) from error
    lost = _without_route(game)
    if lost:
        raise InstanceError(lost)
    notes = [*ledger.notes, *_base_case(game)]
    notes += [f"unusual: {warning.text()}".replace("\n ", "") for warning in suspicions(game)]
    return City(game, files_of(game), tuple(ledger.assumptions), tuple(notes))


def _without_route(game: Instance) -> list[Problem]:
    """O-D pairs with trips whose vehicle can't reach the destination on empty roads with any plan."""
    from mpec.followers.cheapest_route import RouteSearch

    search = RouteSearch(game)
    times = np.array([road.free_flow_h for road in game.roads])
    prices = np.array([station.price_max for station in game.stations])
    lost = [
        f"{pair.origin} to {pair.destination}"
        for i, pair in enumerate(game.pairs)
        if search.cheapest(i, times, prices) is None
    ]
    if not lost:
        return []
    what = (
        f"{len(lost)} of {len(game.pairs)} pairs have no route that their vehicle can drive: {listing(lost)}."
    )
    cure = (
        "Start with more energy or ask for less at the end (--vehicle, --vehicles), lower --energy-per-km, or "
        "add stations on their ways (origins don't count)."
    )
    return [problem("vehicles.csv", what, cure)]


def _base_case(game: Instance) -> list[str]:
    """Whether the feeder serves its own load without the stations, in the hour of the most load."""
    from mpec.followers.dispatch import DispatchSolver

    peak = max(range(len(game.periods)), key=lambda t: game.periods[t].load_factor)
    found = DispatchSolver(game).period(peak, np.zeros(len(game.stations)))
    shed = float(np.max(np.sum(found.shed_kw, axis=-1), initial=0.0))
    low = float(np.min(found.voltage_pu))
    label = game.periods[peak].id
    if shed > 1e-6:
        return [
            f"unusual: without any station the feeder sheds {shed:.1f} kW in period {label}; check "
            "--line-rating, --voltage-limits, --root-voltage and the load factors"
        ]
    base = math.fsum(bus.load_kw for bus in game.buses)
    return [
        f"base load {base:,.1f} kW; without stations nothing is shed in period {label}, lowest voltage {low:.4f} p.u."
    ]
