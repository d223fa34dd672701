"""The bundled instances are what their READMEs say: sizes, living mechanisms, answers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from formulations.routes import route_set
from instances import Instance, bundled_names, load, suspicions
from mpec.equilibrium import Point
from mpec.followers.answer import Follower, follow
from mpec.followers.ties import load_extremes
from mpec.overview import mechanisms, middle_prices


def answered(instance: Instance, prices: list[list[float]], *, pessimistic: bool = False) -> Point:
    """The followers' answer to prices, station by station, period by period."""
    point = follow(instance, np.array(prices), pessimistic=pessimistic).point
    assert point is not None
    return point


def profit(instance: Instance, prices: list[list[float]], *, pessimistic: bool = False) -> float:
    return answered(instance, prices, pessimistic=pessimistic).profit


def test_the_names() -> None:
    assert bundled_names() == [
        "closed-form-price",
        "ieee33-road16",
        "line-limit",
        "tie",
        "two-period-residual",
    ]


@pytest.mark.parametrize("name", bundled_names())
def test_nothing_about_them_is_suspicious_or_without_source(name: str) -> None:
    instance = load(name)
    assert suspicions(instance) == []
    assert instance.source


# ---- ieee33-road16 ---------------------------------------------------------------------------------
def test_the_city_has_the_sizes_that_were_asked_for() -> None:
    city = load("ieee33-road16")
    assert (len(city.buses), len(city.lines), len(city.nodes)) == (33, 32, 16)
    assert len(city.roads) >= 40
    assert len(city.stations) >= 5
    assert len({station.bus for station in city.stations}) == len(city.stations)
    assert len(city.pairs) >= 8
    assert (len(city.periods), len(city.scenarios), len(city.wind_farms)) == (24, 3, 2)
    assert (city.users.kappa_per_h, city.users.xi) == (100.0, 0.5)
    demand = np.array([sum(city.demand(pair, period) for pair in city.pairs) for period in city.periods])
    assert demand[7] > 1.3 * demand[12]
    assert demand[17] > 1.3 * demand[12]
    for mode in ("fixed", "dlmp", "regulated"):
        assert city.select(tariff=mode).tariff_mode == mode  # type: ignore[arg-type]
    for station in city.stations:
        assert station.price_mean_max is not None
        assert station.price_min < station.price_mean_max < station.price_max - 0.3


def capacities(city: Instance) -> np.ndarray:
    return np.array([station.capacity_kw for station in city.stations])


def largest_loads(follower: Follower, prices: np.ndarray) -> np.ndarray:
    """Each station's largest load (M,) of any period and any split of the users' ties, kW."""
    flows, _, _ = follower.flows(prices)
    users = follower.users
    most = [
        load_extremes(users.model, flows[:, t], users.fixed_cost(prices[None, :, t])[0])[1]
        for t in range(prices.shape[1])
    ]
    return np.asarray(np.max(most, axis=0))


def test_every_mechanism_of_the_city_is_alive() -> None:
    """At mid-box prices, which is what `mpec show` prints; EV energy 20 to 30 MWh."""
    city = load("ieee33-road16")
    point = answered(city, middle_prices(city).tolist())
    found = {mechanism.name.split(":")[0]: 0 for mechanism in mechanisms(city, point)}
    for mechanism in mechanisms(city, point):
        found[mechanism.name.split(":")[0]] += mechanism.cases
        assert bool(mechanism.periods) == (mechanism.cases > 0), mechanism
    for name in ("congestion", "feeder limits", "voltage", "curtailment", "choice"):
        assert found[name] > 0, name
    # How a tie that earns the leader the same is split is nobody's choice: some split of it overfills a station.
    assert "station limits" in found
    assert (largest_loads(Follower(city), middle_prices(city)) > 1.2 * capacities(city)).any()
    free = np.array([road.free_flow_h for road in city.roads])
    used = point.road_flow[:, 17] > 1.0
    assert (point.road_time_h[:, 17] / free)[used].max() >= 1.2
    assert 20_000.0 <= point.load_kw.sum() <= 30_000.0
    by_pair: dict[tuple[str, str, int], set[object]] = {}
    for route in point.routes:
        by_pair.setdefault((route.origin, route.destination, route.period), set()).add(
            (route.path, route.plan)
        )
    assert max(len(routes) for routes in by_pair.values()) >= 3


def test_the_city_keeps_few_routes_and_all_of_them() -> None:
    routes = route_set(load("ieee33-road16"))
    counts = np.bincount(routes.pair)
    assert routes.complete
    assert counts.min() >= 5
    assert counts.max() <= 30


@pytest.mark.parametrize("kappa", [100.0, 150.0])
@pytest.mark.parametrize("xi", [0.0, 0.5, 0.6])
def test_allowed_prices_exist_in_every_hour_of_the_city(xi: float, kappa: float) -> None:
    """Constant prices within box and mean cap to which some answer keeps every station's capacity.

    Only the hours from 6 to 19 come near a capacity; without residual flow the peak hours say it all.
    """
    hours = (17, 18) if xi == 0.0 else (6, 19)
    city = load("ieee33-road16").select(periods=hours, xi=xi, kappa_per_h=kappa)
    prices = middle_prices(city)
    if xi == 0.0:
        prices = np.repeat(np.array([1.25, 1.3, 1.3, 1.2, 1.3, 1.3])[:, None], len(city.periods), axis=1)
    for station, price in zip(city.stations, prices[:, 0], strict=True):
        assert station.price_mean_max is not None
        assert station.price_min <= price <= station.price_mean_max
    follower = Follower(city)
    point = follower.answer(prices, starts=4).point
    assert point is not None
    assert (point.load_kw <= capacities(city)[:, None] * (1 + 1e-6)).all()
    assert (largest_loads(follower, prices) > 0.99 * capacities(city)).any(), "and some capacity is reached"


# ---- closed-form-price -----------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["fixed", "dlmp", "regulated"])
def test_closed_form_price(mode: str) -> None:
    instance = load("closed-form-price").select(tariff=mode)  # type: ignore[arg-type]
    best = answered(instance, [[0.75]])
    assert best.profit == pytest.approx(50.0, rel=1e-9)
    assert best.load_kw == pytest.approx(np.array([[200.0]]), rel=1e-9)
    assert best.road_time_h == pytest.approx(np.array([[1.0]]), rel=1e-9)
    for price in np.linspace(0.3, 1.0, 15):
        assert profit(instance, [[price]]) == pytest.approx(800 * (price - 0.5) * (1 - price), abs=1e-6)
    assert profit(instance, [[1.2]]) == 0.0
    assert profit(instance, [[0.75]], pessimistic=True) == pytest.approx(50.0, rel=1e-9)


# ---- tie -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["fixed", "dlmp", "regulated"])
def test_tie(mode: str) -> None:
    instance = load("tie").select(tariff=mode)  # type: ignore[arg-type]
    assert profit(instance, [[0.4]]) == pytest.approx(600.0, rel=1e-9)
    assert profit(instance, [[0.4]], pessimistic=True) == pytest.approx(0.0, abs=1e-6)
    assert profit(instance, [[0.399]], pessimistic=True) == pytest.approx(2000 * 0.299, rel=1e-9)
    assert profit(instance, [[0.401]]) == pytest.approx(0.0, abs=1e-6)


# ---- two-period-residual ---------------------------------------------------------------------------
def test_two_period_residual_flow() -> None:
    instance = load("two-period-residual")
    point = answered(instance, [[0.4, 1.2]])
    assert point.modified_demand == pytest.approx(np.array([[60.0, 80.0]]), rel=1e-9)
    assert point.residual == pytest.approx(np.array([[60.0, 80.0]]), rel=1e-9)
    assert point.load_kw == pytest.approx(np.array([[1200.0, 1600.0]]), rel=1e-9)
    assert point.profit == pytest.approx(1240.0, rel=1e-9)


@pytest.mark.parametrize(("mode", "best"), [("fixed", 1240.0), ("dlmp", 1240.0), ("regulated", 1200.0)])
def test_two_period_residual_prices(mode: str, best: float) -> None:
    """(0.4, 1.2) is the best of all price pairs that use the mean cap of 0.8 up."""
    instance = load("two-period-residual").select(tariff=mode)  # type: ignore[arg-type]
    earned = {
        first: profit(instance, [[first, 1.6 - first]]) for first in np.round(np.linspace(0.4, 1.2, 9), 3)
    }
    assert earned[0.4] == pytest.approx(best, rel=1e-9)
    assert max(earned, key=lambda first: earned[first]) == 0.4


def test_two_periods_without_residual_flow() -> None:
    instance = load("two-period-residual").select(xi=0.0)
    for first in (0.4, 0.8, 1.2):
        assert profit(instance, [[first, 1.6 - first]]) == pytest.approx(1440.0, rel=1e-9)


# ---- line-limit ------------------------------------------------------------------------------------
def test_line_limit() -> None:
    instance = load("line-limit")
    best = answered(instance, [[0.8125]])
    assert best.profit == pytest.approx(46.875, rel=1e-7)
    assert best.load_kw == pytest.approx(np.array([[150.0]]), rel=1e-9)
    assert best.electricity_low == pytest.approx(np.array([[0.5]]), abs=1e-6)
    assert best.electricity_high == pytest.approx(np.array([[2.0]]), abs=1e-6)
    assert profit(instance, [[0.8125]], pessimistic=True) == pytest.approx(-178.125, rel=1e-7)
    for price in (0.82, 0.85, 0.9):
        assert profit(instance, [[price]]) == pytest.approx(800 * (price - 0.5) * (1 - price), rel=1e-6)
    for price in (0.75, 0.80):
        assert profit(instance, [[price]]) == pytest.approx(800 * (price - 2.0) * (1 - price), rel=1e-6)
    for mode in ("fixed", "regulated"):
        other = instance.select(tariff=mode)  # type: ignore[arg-type]
        assert profit(other, [[0.75]]) == pytest.approx(50.0, rel=1e-9)


# ---- warnings --------------------------------------------------------------------------------------
def test_suspicious_data_are_warnings_only() -> None:
    city = load("ieee33-road16")
    odd = replace(
        city,
        feeder=replace(city.feeder, voll_per_kwh=0.5),
        roads=(replace(city.roads[0], length_km=7200.0), *city.roads[1:]),
        stations=(replace(city.stations[0], available=False, pile_kw=60_000.0), *city.stations[1:]),
        nodes=(*city.nodes, replace(city.nodes[0], id="island")),
        pairs=(*city.pairs, replace(city.pairs[0], origin="2")),
    )
    said = {(problem.file, problem.column): problem.message for problem in suspicions(odd)}
    assert set(said) == {
        ("instance.toml", "feeder.voll_per_kwh"),
        ("roads.csv", "free_flow_h"),
        ("roads.csv", "energy_kwh"),
        ("stations.csv", "pile_kw"),
        ("stations.csv", "rated_kva"),
        ("stations.csv", "available"),
        ("nodes.csv", "node"),
        ("vehicles.csv", "origin"),
    }
    assert "no way from an origin" in said["nodes.csv", "node"]
