"""Random small games in which every mechanism of the model turns up now and then, for the soundness checks.

A seed gives one game, always the same. Roads form a diamond a-b-d, a-c-d with a link b-c or without; O-D pairs
start at a or b and end at d or c. Drawn besides: congestion, residual flow, tariffs, outside options, mean price
caps, station limits that bind (or can't be kept at all), wind, voltage and line limits, two scenarios. Rivals'
stations and prices on a grid are put into a drawn game by functions of their own; odd data by mpec.odd_games.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from instances.model import (
    Bus,
    Feeder,
    Instance,
    Line,
    Node,
    Pair,
    Period,
    Road,
    Scenario,
    Station,
    TariffMode,
    TariffRow,
    Users,
    WindFarm,
)

TARIFFS: tuple[TariffMode, ...] = ("fixed", "dlmp", "regulated")
PAIRS = (("a", "d"), ("b", "d"), ("a", "c"))


@dataclass(frozen=True)
class Size:
    """Most stations, periods and O-D pairs of a game (at least one of each)."""

    stations: int = 2
    periods: int = 2
    pairs: int = 2


def random_game(seed: int, size: Size = Size()) -> Instance:
    """The game of a seed. Tariff and xi go round with the seed, so that few seeds see them all."""
    rng = np.random.default_rng([2024, seed, size.stations, size.periods, size.pairs])
    periods = int(rng.integers(1, size.periods + 1))
    labels = range(1, periods + 1)
    pairs = _pairs(rng, int(rng.integers(1, size.pairs + 1)))
    trips = {
        (p.origin, p.destination, t): float(np.round(rng.uniform(10.0, 90.0), 3))
        for p in pairs
        for t in labels
    }
    if rng.random() < 0.1:
        trips[next(iter(trips))] = 0.0
    stations = _stations(
        rng, pairs, trips, min(1 + int(rng.random() < 0.8) + int(rng.random() < 0.5), size.stations), periods
    )
    buses, lines, feeder = _feeder(rng, stations)
    farms = (WindFarm("W", buses[-1].id, float(rng.choice([1.0, 0.95]))),) if rng.random() < 0.5 else ()
    scenarios = _scenarios(rng)
    xi = (0.0, 0.5, 0.5, 1.0)[seed // 3 % 4]
    kappa = 0.0 if rng.random() < 0.05 else float(np.round(rng.uniform(8.0, 40.0), 2))
    period_h = float(rng.choice([1.0, 1.0, 0.5]))
    tau = (
        float(np.round(kappa * period_h * rng.uniform(0.8, 2.0), 3))
        if kappa > 0 and rng.random() < 0.15
        else None
    )
    return Instance(
        name=f"random-{seed}",
        currency="CNY",
        period_h=period_h,
        users=Users(kappa, xi, tau, float(rng.choice([0.0, 0.0, 6.0]))),
        feeder=feeder,
        tariff_mode=TARIFFS[seed % 3],
        buses=buses,
        lines=lines,
        wind_farms=farms,
        scenarios=scenarios,
        periods=tuple(
            Period(t, float(np.round(rng.uniform(0.5, 1.0), 3)), float(np.round(rng.uniform(0.2, 0.7), 3)))
            for t in labels
        ),
        nodes=tuple(Node(name) for name in "abcd"),
        roads=_roads(rng, trips),
        pairs=pairs,
        stations=stations,
        trips=trips,
        wind={
            (s.id, t, f.id): float(np.round(rng.uniform(0.0, 900.0), 1))
            for s in scenarios
            for t in labels
            for f in farms
        },
        tariff=_tariff(rng, stations, periods),
    )


def with_rivals(game: Instance, seed: int) -> Instance:
    """A game with some of its stations, never all, in a rival's hands, at posted prices drawn from their boxes.

    A game with one station only gets a rival beside it, at the same node and bus.
    """
    rng = np.random.default_rng([2025, seed])
    stations = list(game.stations)
    tariff = dict(game.tariff)
    if len(stations) == 1:
        stations.append(replace(stations[0], id="R"))
        tariff |= {("R", t): row for (_, t), row in game.tariff.items()}
    chosen = set(rng.permutation(len(stations))[: int(rng.integers(1, len(stations)))].tolist())
    posted = {}
    for m in chosen:
        station = stations[m] = replace(stations[m], owner="rival", price_mean_max=None)
        for period in game.periods:
            share = float(rng.choice([rng.random(), 0.5 + 0.5 * rng.random()]))
            price = station.price_min + share * (station.price_max - station.price_min)
            posted[station.id, period.id] = float(np.round(price, 3))
    return replace(
        game, name=f"{game.name}-rivals", stations=tuple(stations), tariff=tariff, rival_prices=posted
    )


def with_steps(game: Instance, seed: int) -> Instance:
    """A game whose leader sets prices on a grid: four to twelve steps a station, below its mean cap."""
    rng = np.random.default_rng([2026, seed])
    stations = []
    for station in game.stations:
        top = station.price_max if station.price_mean_max is None else station.price_mean_max
        step = float(np.round((top - station.price_min) / rng.integers(4, 13), 3))
        stations.append(replace(station, price_step=step) if station.owner == "leader" else station)
    return replace(game, name=f"{game.name}-steps", stations=tuple(stations))


def _pairs(rng: np.random.Generator, count: int) -> tuple[Pair, ...]:
    """Vehicles that must charge; a third of them may stay outside at a price near what charging costs."""
    chosen = [PAIRS[int(i)] for i in rng.permutation(len(PAIRS))[:count]]
    out = []
    for origin, destination in chosen:
        outside = float(np.round(rng.uniform(16.0, 40.0), 2)) if rng.random() < 0.4 else None
        final = float(np.round(rng.uniform(12.0, 28.0), 2))
        start = float(np.round(rng.uniform(15.5, 19.0), 2))
        out.append(Pair(origin, destination, start, 5.0, float(rng.choice([30.0, 50.0])), final, outside))
    return tuple(out)


def _roads(rng: np.random.Generator, trips: dict[tuple[str, str, int], float]) -> tuple[Road, ...]:
    """The diamond; capacities of the order of the largest demand, so that congestion matters where it is
    drawn."""
    ends = [("a", "b"), ("b", "d"), ("a", "c"), ("c", "d")]
    if rng.random() < 0.6:
        ends.append(("b", "c"))
    congested = rng.random() < 0.75
    most = max(1.0, max(trips.values()))
    # Equal times on both sides now and then: ties that hold at every price.
    even = rng.random() < 0.2
    hours = float(np.round(rng.uniform(0.15, 0.5), 3))
    roads = []
    for start, end in ends:
        alpha = float(rng.choice([0.15, 0.5, 1.0])) if congested and rng.random() < 0.8 else 0.0
        roads.append(
            Road(
                id=f"{start}{end}",
                from_node=start,
                to_node=end,
                length_km=10.0,
                free_flow_h=hours if even else float(np.round(rng.uniform(0.15, 0.4), 3)),
                capacity_veh_per_h=float(np.round(most * rng.uniform(0.4, 1.2), 2)),
                energy_kwh=float(np.round(rng.uniform(1.0, 4.5), 2)),
                bpr_alpha=alpha,
                bpr_beta=float(rng.choice([1.0, 2.0, 4.0])),
                background_veh_per_h=float(rng.choice([0.0, 0.0, 8.0])),
            )
        )
    return tuple(roads)


def _stations(
    rng: np.random.Generator,
    pairs: tuple[Pair, ...],
    trips: dict[tuple[str, str, int], float],
    count: int,
    periods: int,
) -> tuple[Station, ...]:
    """One station where each destination is served at least by one; limits loose, binding, or too small."""
    ends = list(dict.fromkeys(p.destination for p in pairs))
    nodes = [ends[0]] + [str(n) for n in rng.choice(["b", "c", "d"], max(count - 1, 0))]
    if len(ends) > 1 and not any(n == ends[1] for n in nodes):
        nodes = [*ends, *nodes[2:]]
    total = max(1.0, sum(trips.values()) / periods)
    out = []
    for m, node in enumerate(nodes):
        factor = float(rng.choice([1e3, 1e3, rng.uniform(8.0, 25.0), rng.uniform(2.0, 8.0)]))
        low = float(np.round(rng.uniform(0.1, 0.5), 3))
        high = float(np.round(rng.uniform(0.8, 1.6), 3))
        cap = float(np.round(rng.uniform(0.4 * low + 0.6 * high, high), 3)) if rng.random() < 0.4 else None
        out.append(
            Station(
                id=f"S{m}",
                node=node,
                bus=str(int(rng.integers(2, 4))),
                rated_kva=float(np.round(min(factor * total, 1e5), 1)),
                power_factor=float(rng.choice([1.0, 0.95, 0.8])),
                pile_kw=float(rng.choice([30.0, 40.0, 60.0])),
                available=True,
                price_min=low,
                price_max=high,
                price_mean_max=cap,
            )
        )
    return tuple(out)


def _feeder(
    rng: np.random.Generator, stations: tuple[Station, ...]
) -> tuple[tuple[Bus, ...], tuple[Line, ...], Feeder]:
    """Three buses in a row, or two branches; limits that bind near the stations' loads now and then."""
    idle = rng.random() < 0.15
    buses = [Bus("1", 0.0, 0.0, 0.9, 1.1)]
    for name in ("2", "3"):
        kw = 0.0 if idle else float(np.round(rng.uniform(50.0, 400.0), 1))
        buses.append(Bus(name, kw, 0.4 * kw, float(rng.choice([0.9, 0.9, 0.97])), 1.05))
    branch = rng.random() < 0.5
    lines = []
    for start, end in (("1", "2"), ("1", "3") if branch else ("2", "3")):
        rating = math.inf if rng.random() < 0.5 else float(np.round(rng.uniform(300.0, 2500.0), 0))
        lines.append(
            Line(
                f"{start}-{end}",
                start,
                end,
                float(np.round(rng.uniform(0.05, 4.0), 3)),
                float(np.round(rng.uniform(0.05, 3.0), 3)),
                rating,
            )
        )
    substation = float(rng.choice([2e4, rng.uniform(800.0, 3000.0)]))
    voll = float(np.round(rng.uniform(1.2, 6.0), 2))
    polygon = "outer" if rng.random() < 0.7 else "inner"
    feeder = Feeder(12.66, 1000.0, "1", 1.0, substation, polygon, voll, float(rng.choice([0.0, 0.1])))  # type: ignore[arg-type]
    return tuple(buses), tuple(lines), feeder


def _scenarios(rng: np.random.Generator) -> tuple[Scenario, ...]:
    if rng.random() < 0.6:
        return (Scenario("only", 1.0),)
    share = float(np.round(rng.uniform(0.2, 0.8), 2))
    return Scenario("calm", share), Scenario("windy", 1.0 - share)


def _tariff(
    rng: np.random.Generator, stations: tuple[Station, ...], periods: int
) -> dict[tuple[str, int], TariffRow]:
    rows = {}
    for station in stations:
        low = [float(np.round(rng.uniform(0.1, 0.4), 3)) for _ in range(periods)]
        high = [float(np.round(v + rng.uniform(0.1, 0.6), 3)) for v in low]
        share = float(rng.uniform(0.1, 1.0))
        mean = float(np.mean(low) + share * (np.mean(high) - np.mean(low)))
        for t in range(periods):
            price = float(np.round(rng.uniform(0.2, 0.7), 3))
            rows[station.id, t + 1] = TariffRow(price, low[t], high[t], mean)
    return rows
