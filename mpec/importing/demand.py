"""Periods, O-D pairs, vehicles and trips of the new instance, and the other traffic on its roads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from instances.model import Pair, Period, Road
from mpec.importing.assumptions import (
    IMPORT_PRICES,
    LOAD_FACTORS,
    TRIP_SHARES,
    VEHICLE,
    VEHICLE_WHY,
    WEEKDAY,
)
from mpec.importing.given_tables import ANY, GivenTables
from mpec.importing.ledger import Ledger
from mpec.importing.pieces import PairKey, RoadData
from mpec.importing.request import Request
from mpec.importing.roads_network import with_background
from mpec.importing.trip_files import Trips


@dataclass(frozen=True)
class Usage:
    """How the trips file becomes traffic. ``factors``: veh/h of each period per trip (None: the file has periods).

    ``vehicles``: rows by O-D pair, (ANY, ANY) for the others; ``share``: vehicles that charge, per trip.
    """

    periods: tuple[Period, ...]
    factors: tuple[float, ...] | None
    share: float
    vehicles: Mapping[PairKey, Pair]


@dataclass(frozen=True)
class Demand:
    """Pairs with their vehicles, trips[(origin, destination, period)] veh/h, and roads with other traffic."""

    pairs: tuple[Pair, ...]
    trips: Mapping[tuple[str, str, int], float]
    roads: tuple[Road, ...]


def usage(request: Request, tables: GivenTables, trips: Trips | None, ledger: Ledger) -> Usage:
    """What options and tables say, whether or not the trips could be read: all that is missing is told."""
    periods, factors = _day(request, tables, ledger)
    if trips is not None and trips.by_period:
        factors = None
        ledger.given("trips by period", "the trips file's own periods")
    elif factors is None:
        cure = (
            "Give the column trips_factor in --periods FILE; or --trips-per hour (the file is the busiest hour) "
            "or day, with --assume for a weekday of 24 h."
        )
        ledger.lacking("how the trips spread over the periods", cure)
    if request.trips is None:
        ledger.lacking("the trips", "Give --trips FILE (TNTP, or CSV with origin, destination, trips).")
    share = request.trips_share
    if share is None:
        ledger.lacking("the share of trips that charge on the way", "Give --trips-share X, e.g. 0.01.")
    else:
        ledger.given("share of trips that charge", f"given: --trips-share {share:g}")
    if request.traffic_scale != 1.0:
        text = f"given: --traffic-scale {request.traffic_scale:g}, for capacities and trips alike"
        ledger.given("traffic scale", text)
    return Usage(periods, factors, share or 0.0, _vehicles(request, tables, ledger))


def _day(
    request: Request, tables: GivenTables, ledger: Ledger
) -> tuple[tuple[Period, ...], tuple[float, ...] | None]:
    """The periods, and the veh/h of each per trip of the trips file (None: not known)."""
    factors: tuple[float, ...] | None = None
    heading = "load factors and import prices"
    if "periods" in tables:
        periods, factors = tables.periods()
        ledger.given(heading, tables.source("periods"))
    elif ledger.assume:
        periods = tuple(
            Period(hour, load, price)
            for hour, (load, price) in enumerate(zip(LOAD_FACTORS, IMPORT_PRICES, strict=True), start=1)
        )
        text = f"assumed: {WEEKDAY}, load between 0.42 and 0.90 of the base load, prices 0.35 / 0.65 / 1.00"
        ledger.given(heading, text)
    else:
        cure = (
            "Give --periods FILE (period, load_factor, import_price_per_kwh); --assume would take a weekday."
        )
        ledger.lacking(f"{heading} of the periods", cure)
        periods = ()
    if factors is not None:
        ledger.given("trips by period", f"column trips_factor of {tables.source('periods')}")
    elif request.trips_per and ledger.assume and len(periods) == len(TRIP_SHARES):
        hourly = request.trips_per == "hour"
        factors = tuple(share / max(TRIP_SHARES) for share in TRIP_SHARES) if hourly else TRIP_SHARES
        taken = "the trips file is taken as the busiest hour" if hourly else "the trips file is a whole day"
        text = f"assumed: {WEEKDAY} with peaks at 8 and 18 h; given: --trips-per {request.trips_per}, {taken}"
        ledger.given("trips by period", text)
    return periods, factors


def _vehicles(request: Request, tables: GivenTables, ledger: Ledger) -> Mapping[PairKey, Pair]:
    if "vehicles" in tables:
        ledger.given("vehicles", tables.source("vehicles"))
        return tables.vehicles()
    option = "--vehicle START,LEAST,MOST,FINAL (kWh) or --vehicles FILE"
    energy = ledger.number("vehicles", option, request.vehicle, VEHICLE, VEHICLE_WHY)
    return {(ANY, ANY): Pair(ANY, ANY, energy[0], energy[1], energy[2], energy[3])}


def demand(request: Request, roads: RoadData, trips: Trips, use: Usage, ledger: Ledger) -> Demand:
    """Pairs (the largest ones), their vehicles and trips, and the roads with background traffic.

    What is missing goes to the ledger; raises InstanceError where the background's trips have no way.
    """
    ledger.given("trips", trips.source)
    totals = trips.totals()
    chosen = sorted(totals, key=lambda pair: -totals[pair])[: request.pairs or len(totals)]
    part = sum(totals[pair] for pair in chosen) / sum(totals.values())
    said = f"the {len(chosen)} largest of {len(totals)} of the trips file, {part:.1%} of its trips"
    ledger.given("O-D pairs", said if request.pairs else f"all {len(totals)} of the trips file")
    rows = use.vehicles
    without = [pair for pair in chosen if pair not in rows and (ANY, ANY) not in rows]
    if without:
        what = f"the vehicle of {len(without)} O-D pairs, such as {' to '.join(without[0])}"
        ledger.lacking(what, "Add a row to --vehicles FILE, or one with * as origin and destination.")
        chosen = [pair for pair in chosen if pair not in without]
    pairs = tuple(
        rows[o, d] if (o, d) in rows else replace(rows[ANY, ANY], origin=o, destination=d) for o, d in chosen
    )
    flows = _flows(trips, use, set(chosen), use.share * request.traffic_scale, ledger)
    return Demand(pairs, flows, _background(request, roads, totals, trips, use, ledger))


def _flows(
    trips: Trips, use: Usage, chosen: set[PairKey], share: float, ledger: Ledger
) -> dict[tuple[str, str, int], float]:
    """veh/h that charge, by pair and period, to six decimals; zeros are left out."""
    labels = [period.id for period in use.periods]
    flows: dict[tuple[str, str, int], float] = {}
    strange: set[int] = set()
    for (origin, destination, period), flow in trips.flow.items():
        if period is not None and period not in labels:
            strange.add(period)
        elif (origin, destination) in chosen:
            spread = [1.0] if period is not None else use.factors or ()
            for label, factor in zip([period] if period is not None else labels, spread, strict=False):
                flows[origin, destination, label] = round(flow * share * factor, 6)
    for period in sorted(strange):
        ledger.lacking(f"period {period}, which has trips", "Add it to --periods FILE, or drop the trips.")
    return {key: flow for key, flow in flows.items() if flow > 0}


def _background(
    request: Request,
    roads: RoadData,
    totals: Mapping[PairKey, float],
    trips: Trips,
    use: Usage,
    ledger: Ledger,
) -> tuple[Road, ...]:
    """Other traffic: a share of the users' equilibrium of all trips of the busiest hour."""
    heading = "background_veh_per_h"
    if not request.background:
        text = "assumed: none but what the roads' file gives; --background X adds everybody else's trips"
        ledger.given(heading, text)
        return roads.roads
    if use.factors is None and not trips.by_period:
        return roads.roads
    flows = trips.busiest() if trips.by_period else {p: f * max(use.factors or ()) for p, f in totals.items()}
    hourly = {pair: flow * request.traffic_scale for pair, flow in flows.items()}
    ledger.given(
        heading,
        f"given: --background {request.background:g}, times the users' equilibrium flow (relative gap 1e-10) of "
        f"all {len(hourly)} O-D pairs of the busiest hour, {sum(hourly.values()):g} veh/h; the same in every period",
    )
    name = request.trips.name if request.trips else "trips"
    return with_background(roads.nodes, roads.roads, hourly, request.background, name)
