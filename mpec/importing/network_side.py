"""Stations and feeder of the new instance: what files leave open, given or assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from instances.model import Bus, Feeder, Line, Station
from mpec.importing.assumptions import PRICE_BOX, PRICE_WHY
from mpec.importing.given_tables import GivenTables
from mpec.importing.ledger import Ledger
from mpec.importing.pieces import FeederData
from mpec.importing.request import Rating, Request


def stations(request: Request, tables: GivenTables, ledger: Ledger) -> tuple[Station, ...]:
    """From --stations, or at the places of --stations-at with the numbers that all share."""
    if "stations" in tables:
        ledger.given("stations", tables.source("stations"))
        return tables.stations()
    if not request.stations_at:
        cure = "Give --stations FILE (mpec new DIR --template writes its header), or --stations-at NODE:BUS,…"
        ledger.lacking("the stations", cure)
        return ()
    ledger.given("stations", f"given: --stations-at, {len(request.stations_at)} places")
    kva = ledger.number(
        "stations' rated_kva", "--station-kva", request.station_kva, 600.0, "ten piles of 60 kW"
    )
    factor = ledger.number("stations' power factor", "--power-factor", request.power_factor, 0.95, "usual")
    pile = ledger.number("pile_kw", "--pile-kw", request.pile_kw, 60.0, "a common fast charger")
    box = ledger.number(
        "charging prices", "--price-box MIN,MAX[,MEAN]", request.price_box, PRICE_BOX, PRICE_WHY
    )
    mean = box[2] if len(box) > 2 else None
    return tuple(
        Station(f"S{i}", node, bus, kva, factor, pile, True, box[0], box[1], mean)
        for i, (node, bus) in enumerate(request.stations_at, start=1)
    )


def buses_and_lines(
    request: Request, data: FeederData, places: Sequence[Station], ledger: Ledger
) -> tuple[tuple[Bus, ...], tuple[Line, ...]]:
    """The feeder's buses and lines with voltage limits and ratings as asked for."""
    buses, lines = data.buses, data.lines
    ledger.given("voltage limits", "as in the feeder's file")
    if request.voltage_limits:
        low, high = request.voltage_limits[:2]
        ledger.given("voltage limits", f"given: --voltage-limits {low:g},{high:g} at every bus but the root")
        buses = tuple(replace(b, vmin_pu=low, vmax_pu=high) if b.id != data.root_bus else b for b in buses)
    root_voltage = request.root_voltage or data.root_voltage_pu
    # Generators fix the slack bus's voltage; limits of the file at that one bus would only repeat an older one.
    buses = tuple(
        replace(b, vmin_pu=min(b.vmin_pu, root_voltage), vmax_pu=max(b.vmax_pu, root_voltage))
        if b.id == data.root_bus
        else b
        for b in buses
    )
    unlimited = [line.id for line in lines if math.isinf(line.rating_kva)]
    if request.line_rating is not None:
        lines = _rated(lines, buses, data.root_bus, places, request.line_rating)
        ledger.given("line ratings", _rating_text(request.line_rating))
    elif unlimited:
        ledger.number(
            f"ratings of {len(unlimited)} of {len(lines)} lines (0 or absent in the feeder's file)",
            "--line-rating KVA, FACTORx or unlimited",
            None,
            "unlimited",
            "no rating is known; lines then never limit the stations",
        )
    else:
        ledger.given("line ratings", "as in the feeder's file")
    return buses, lines


def _rating_text(rating: Rating) -> str:
    if isinstance(rating, tuple):
        return (
            f"given: --line-rating {rating[0]:g}x the base load (kVA) and stations' ratings below each line"
        )
    return f"given: --line-rating {rating if isinstance(rating, str) else f'{rating:g}'}, where the file has none"


def _rated(
    lines: tuple[Line, ...], buses: Sequence[Bus], root: str, places: Sequence[Station], rating: Rating
) -> tuple[Line, ...]:
    """Ratings for the lines that have none."""
    if rating == "unlimited":
        return lines
    if not isinstance(rating, tuple):
        return tuple(replace(x, rating_kva=float(rating)) if math.isinf(x.rating_kva) else x for x in lines)
    below = kva_below(lines, buses, root, places)
    return tuple(
        replace(x, rating_kva=max(1.0, round(rating[0] * below[x.id], 1))) if math.isinf(x.rating_kva) else x
        for x in lines
    )


def kva_below(
    lines: Sequence[Line], buses: Sequence[Bus], root: str, places: Sequence[Station]
) -> dict[str, float]:
    """Line -> kVA of the base load and of the stations' ratings that it feeds (losses left out)."""
    own = {bus.id: [bus.load_kw, bus.load_kvar, 0.0] for bus in buses}
    for station in places:
        if station.bus in own:
            own[station.bus][2] += station.rated_kva
    neighbours: dict[str, list[tuple[str, str]]] = {bus.id: [] for bus in buses}
    for line in lines:
        neighbours[line.from_bus].append((line.to_bus, line.id))
        neighbours[line.to_bus].append((line.from_bus, line.id))
    order, parent = [root], {root: ("", "")}
    for here in order:
        for there, name in neighbours[here]:
            if there not in parent:
                parent[there] = (here, name)
                order.append(there)
    below = {}
    for bus in reversed(order[1:]):
        above, name = parent[bus]
        kw, kvar, kva = own[bus]
        below[name] = math.hypot(kw, kvar) + kva
        own[above] = [own[above][0] + kw, own[above][1] + kvar, own[above][2] + kva]
    return below


def feeder(request: Request, data: FeederData, places: Sequence[Station], ledger: Ledger) -> Feeder:
    """The settings of the whole feeder."""
    base = math.hypot(sum(b.load_kw for b in data.buses), sum(b.load_kvar for b in data.buses))
    room = math.ceil((base + sum(s.rated_kva for s in places)) / 100.0) * 100.0
    substation = ledger.number(
        "substation_kva", "--substation-kva", request.substation_kva, room, "all loads and stations together"
    )
    if request.root_voltage is not None:
        ledger.given("root voltage", f"given: --root-voltage {request.root_voltage:g}")
    else:
        ledger.given("root voltage", "as in the feeder's file")
    voll = ledger.number(
        "voll_per_kwh", "--voll", request.voll, 10.0, "many times the energy price", ask=False
    )
    curtailment = ledger.number(
        "curtailment_per_kwh", "--curtailment", request.curtailment, 0.2, "half a feed-in price", ask=False
    )
    return Feeder(
        base_kv=data.base_kv,
        base_kva=data.base_kva,
        root_bus=data.root_bus,
        root_voltage_pu=request.root_voltage or data.root_voltage_pu,
        substation_kva=substation,
        polygon="outer",
        voll_per_kwh=voll,
        curtailment_per_kwh=curtailment,
    )
