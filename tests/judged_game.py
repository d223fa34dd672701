"""One small game in which everything is alive, and its answers, for the judge's and the folder's tests.

Two O-D pairs, five congested roads, two routes of a pair, an outside option, residual flow; three stations
on a feeder of four buses with a line limit that binds (shedding), curtailed wind, two scenarios, two
periods, mean price caps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from factories import make_instance, road, station, vehicle

from formulations.routes import RouteSet, route_set
from instances.model import Bus, Feeder, Instance, Line, Scenario, TariffMode, TariffRow, WindFarm
from mpec.equilibrium import Equilibrium, Point
from mpec.followers.answer import follow

PRICES = ((0.62, 0.66), (0.60, 0.63), (0.58, 0.61))


def game(tariff: TariffMode = "dlmp", xi: float = 0.5) -> Instance:
    """The game; its mean price caps hold at PRICES with room to spare."""
    congested = {"bpr_alpha": 0.3, "bpr_beta": 4.0, "capacity_veh_per_h": 60.0}
    base = make_instance(
        roads=[
            road("a", "b", hours=0.3, kwh=6.0, **congested),
            road("b", "d", hours=0.3, kwh=6.0, **congested),
            road("a", "c", hours=0.32, kwh=6.0, **congested),
            road("c", "d", hours=0.3, kwh=6.0, **congested),
            road("b", "c", hours=0.1, kwh=2.0, **congested),
        ],
        pairs=[
            vehicle("a", "d", initial_kwh=14.0, final_kwh=15.0, outside_cost=45.0),
            vehicle("b", "d", initial_kwh=14.0, final_kwh=15.0),
        ],
        stations=[
            station("B", "b", bus="3", rated_kva=2000.0, price_mean_max=0.8),
            station("C", "c", bus="3", rated_kva=2000.0, price_mean_max=0.8),
            station("D", "d", bus="4", rated_kva=2000.0),
        ],
        trips={("a", "d"): [90.0, 110.0], ("b", "d"): [40.0, 30.0]},
        xi=xi,
        initial_residual=4.0,
        tariff_mode=tariff,
    )
    names = [s.id for s in base.stations]
    return replace(
        base,
        name="judged",
        feeder=Feeder(12.66, 1000.0, "1", 1.0, 3000.0, "outer", 0.9, 0.1),
        buses=(
            Bus("1", 0.0, 0.0, 0.9, 1.1),
            Bus("2", 200.0, 80.0, 0.9, 1.1),
            Bus("3", 150.0, 60.0, 0.9, 1.1),
            Bus("4", 120.0, 40.0, 0.9, 1.1),
        ),
        lines=(
            Line("1-2", "1", "2", 0.1, 0.1, 3000.0),
            Line("2-3", "2", "3", 0.3, 0.2, 700.0),
            Line("4-2", "4", "2", 0.2, 0.2, 1150.0),
        ),
        wind_farms=(WindFarm("W", "4", 0.98),),
        scenarios=(Scenario("calm", 0.6), Scenario("windy", 0.4)),
        wind={
            ("calm", 1, "W"): 40.0,
            ("calm", 2, "W"): 20.0,
            ("windy", 1, "W"): 1600.0,
            ("windy", 2, "W"): 300.0,
        },
        tariff={(name, t): TariffRow(0.3 + 0.05 * t, 0.2, 0.6, 0.42) for name in names for t in (1, 2)},
    )


@lru_cache
def answered(tariff: TariffMode = "dlmp", xi: float = 0.5) -> Equilibrium:
    """The followers' answer to PRICES, as a result with an honest upper bound and its record."""
    eq = follow(game(tariff, xi), np.array(PRICES))
    assert eq.point is not None
    return claimed(eq, eq.point.profit * 1.005)


@lru_cache
def routes_of(tariff: TariffMode = "dlmp", xi: float = 0.5) -> RouteSet:
    """The route set of the game."""
    return route_set(game(tariff, xi))


def claimed(eq: Equilibrium, upper: float) -> Equilibrium:
    """The result with an upper bound and a record that the point does not contradict."""
    assert eq.point is not None
    record = {
        "kind": "made for a test",
        "upper_bound": upper,
        "big_m": [
            {
                "name": "load of B", "side": "slack", "value": 1900.0, "source": "capacity", "proven": True,
                "scale": 1900.0, "quantity": "load", "ids": "B", "period": 1,
            }
        ],
        "intervals": [
            {"quantity": "price", "ids": "C", "period": 2, "lower": 0.2, "upper": 1.0, "cutoff": None},
            {"quantity": "residual", "ids": ["a", "d"], "period": 2, "lower": 0.0, "upper": 200.0},
        ],
    }  # fmt: skip
    return replace(
        eq,
        status="optimal",
        lower_bound=eq.point.profit,
        upper_bound=upper,
        bound_record=record,
        solver="highs",
    )


def with_point(eq: Equilibrium, **changes: Any) -> Equilibrium:
    """The result with some fields of its point replaced."""
    assert eq.point is not None
    return replace(eq, point=replace(eq.point, **changes))


def point_of(eq: Equilibrium) -> Point:
    """Its point, which is there."""
    assert eq.point is not None
    return eq.point
