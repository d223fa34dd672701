"""Small instances for tests, made in Python: any roads and stations on a feeder of two buses.

    make_instance(
        roads=[road("a", "b", hours=0.5, kwh=10.0)],
        pairs=[vehicle("a", "b", initial_kwh=15.0)],
        stations=[station("s", "b")],
        trips={("a", "b"): [100.0]},
    )

Everything not given has a harmless value; `random_instance` draws a connected network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from instances.model import (
    Bus,
    DeclaredRoute,
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
)


def road(start: str, end: str, *, hours: float = 0.5, kwh: float = 5.0, **other: Any) -> Road:
    """A one-way road named ``start-end``; without congestion unless ``bpr_alpha`` is given."""
    values: dict[str, Any] = {
        "length_km": 10.0, "capacity_veh_per_h": 100.0, "bpr_alpha": 0.0, "id": f"{start}-{end}", **other,
    }  # fmt: skip
    return Road(from_node=start, to_node=end, free_flow_h=hours, energy_kwh=kwh, **values)


def vehicle(start: str, end: str, **other: Any) -> Pair:
    """An O-D pair; battery 5 ... 50 kWh, 20 at the start, 10 wanted at the end."""
    values: dict[str, Any] = {"initial_kwh": 20.0, "min_kwh": 5.0, "max_kwh": 50.0, "final_kwh": 10.0}
    values.update(other)
    return Pair(origin=start, destination=end, **values)


def station(name: str, node: str, **other: Any) -> Station:
    """A station at bus 2, piles of 50 kW, price 0.2 ... 1.0 money/kWh, practically unlimited."""
    values: dict[str, Any] = {
        "bus": "2", "rated_kva": 1e5, "power_factor": 0.95, "pile_kw": 50.0, "available": True,
        "price_min": 0.2, "price_max": 1.0, "price_mean_max": None, **other,
    }  # fmt: skip
    return Station(id=name, node=node, **values)


def make_instance(
    roads: Sequence[Road],
    pairs: Sequence[Pair],
    stations: Sequence[Station],
    trips: Mapping[tuple[str, str], Sequence[float]],
    *,
    nodes: Sequence[Node] | None = None,
    kappa_per_h: float = 20.0,
    xi: float = 0.0,
    tau_money: float | None = None,
    initial_residual: float = 0.0,
    period_h: float = 1.0,
    tariff_mode: TariffMode = "fixed",
    electricity_price: float = 0.3,
    load_kw: float = 100.0,
    import_price: float = 0.5,
    route_set: Sequence[DeclaredRoute] | None = None,
) -> Instance:
    """An instance; ``trips`` gives each pair's demand by period (veh/h), the longest list the day's length.

    The feeder is a root bus "1" and bus "2" with ``load_kw``, wide limits, no wind, one scenario.
    """
    count = max((len(flows) for flows in trips.values()), default=1)
    names = dict.fromkeys(name for r in roads for name in (r.from_node, r.to_node))
    return Instance(
        name="made-for-a-test",
        currency="CNY",
        period_h=period_h,
        users=Users(kappa_per_h, xi, tau_money, initial_residual),
        feeder=Feeder(12.66, 1000.0, "1", 1.0, 1e5, "outer", 10.0, 0.1),
        tariff_mode=tariff_mode,
        buses=(Bus("1", 0.0, 0.0, 0.9, 1.1), Bus("2", load_kw, 0.5 * load_kw, 0.9, 1.1)),
        lines=(Line("1-2", "1", "2", 0.05, 0.05),),
        wind_farms=(),
        scenarios=(Scenario("only", 1.0),),
        periods=tuple(Period(t + 1, 1.0, import_price) for t in range(count)),
        nodes=tuple(nodes) if nodes is not None else tuple(Node(name) for name in names),
        roads=tuple(roads),
        pairs=tuple(pairs),
        stations=tuple(stations),
        trips={(o, d, t + 1): flow for (o, d), flows in trips.items() for t, flow in enumerate(flows)},
        wind={},
        tariff={(s.id, t + 1): TariffRow(electricity_price) for s in stations for t in range(count)},
        route_set=tuple(route_set) if route_set is not None else None,
    )


def random_instance(
    rng: np.random.Generator,
    *,
    nodes: int = 6,
    extra_roads: int = 6,
    stations: int = 3,
    pairs: int = 1,
    periods: int = 1,
    demand: float = 100.0,
    outside: bool = False,
    **other: Any,
) -> Instance:
    """A random network: a two-way ring so that everything is connected, chords, congestion, random stations.

    Batteries are tight enough that most ways need charging; some node may be closed to through traffic. Not
    every O-D pair need be drivable.
    """
    names = [f"n{i}" for i in range(nodes)]
    ring = [(i, (i + 1) % nodes) for i in range(nodes)]
    ends = {*ring, *((j, i) for i, j in ring)}
    while len(ends) < 2 * nodes + extra_roads:
        i, j = (int(v) for v in rng.choice(nodes, 2, replace=False))
        ends.add((i, j))
        if len(ends) == nodes * (nodes - 1):
            break
    roads = [
        road(
            names[i], names[j], hours=float(rng.uniform(0.1, 0.6)), kwh=float(rng.uniform(2.0, 9.0)),
            capacity_veh_per_h=float(rng.uniform(80.0, 200.0)), bpr_alpha=0.15,
            bpr_beta=float(rng.choice([1.0, 4.0])), background_veh_per_h=float(rng.choice([0.0, 20.0])),
        )
        for i, j in sorted(ends)
    ]  # fmt: skip
    somewhere = rng.integers(0, nodes, stations)
    placed = [
        station(
            f"s{m}", names[int(somewhere[m])], pile_kw=float(rng.choice([8.0, 30.0, 60.0])),
            available=bool(rng.random() < 0.9), price_min=float(rng.uniform(0.2, 0.5)),
            price_max=float(rng.uniform(0.6, 1.2)),
        )
        for m in range(stations)
    ]  # fmt: skip
    chosen: dict[tuple[str, str], Pair] = {}
    while len(chosen) < pairs:
        i, j = (int(v) for v in rng.choice(nodes, 2, replace=False))
        cost = float(rng.uniform(15.0, 40.0)) if outside else None
        chosen[names[i], names[j]] = vehicle(
            names[i], names[j], initial_kwh=float(rng.uniform(8.0, 22.0)), max_kwh=30.0,
            final_kwh=float(rng.uniform(5.0, 20.0)), outside_cost=cost,
        )  # fmt: skip
    closed = int(rng.integers(0, nodes)) if rng.random() < 0.3 else -1
    return make_instance(
        roads,
        list(chosen.values()),
        placed,
        {key: [float(f) for f in rng.uniform(0.2, 1.0, periods) * demand] for key in chosen},
        nodes=[Node(name, through=i != closed) for i, name in enumerate(names)],
        **other,
    )


def simple_paths(instance: Instance, pair: Pair) -> list[tuple[int, ...]]:
    """Every path of a pair that visits no node twice and passes no closed node, by plain recursion."""
    closed = {node.id for node in instance.nodes if not node.through}
    found: list[tuple[int, ...]] = []

    def walk(node: str, visited: frozenset[str], roads: tuple[int, ...]) -> None:
        if node == pair.destination:
            found.append(roads)
        elif node == pair.origin or node not in closed:
            for index, one in enumerate(instance.roads):
                if one.from_node == node and one.to_node not in visited:
                    walk(one.to_node, visited | {one.to_node}, (*roads, index))

    walk(pair.origin, frozenset({pair.origin}), ())
    return found
