"""The shortest-path-with-charging search against brute force: all simple paths, all plan vertices."""

from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from factories import make_instance, random_instance, road, simple_paths, station, vehicle

import instances
from formulations.charging_plan import all_plan_vertices, path_rules, time_price
from formulations.congestion import road_time
from mpec.followers.cheapest_route import RouteSearch, cheapest_route


def by_brute_force(instance, pair, times, prices):
    """Least cost over simple paths and plan vertices, inf if none can be driven."""
    best = np.inf
    effective = prices + time_price(instance)
    for roads in simple_paths(instance, instance.pairs[pair]):
        rules = path_rules(instance, instance.pairs[pair], roads)
        if rules is not None:
            bill = all_plan_vertices(rules) @ effective[list(rules.stations)]
            best = min(best, instance.users.kappa_per_h * times[list(roads)].sum() + bill.min())
    return best


def random_case(seed):
    """3-7 nodes, 0-5 stations (several may share a node), prices with ties and zeros among them."""
    rng = np.random.default_rng(seed)
    instance = random_instance(
        rng, nodes=int(rng.integers(3, 8)), extra_roads=int(rng.integers(0, 14)),
        stations=int(rng.integers(0, 6)), outside=bool(rng.random() < 0.2),
        kappa_per_h=float(rng.choice([0.0, 2.0, 20.0])),
    )  # fmt: skip
    times = road_time(instance, rng.uniform(0.0, 300.0, len(instance.roads)))
    prices = rng.uniform(0.0, 2.0, len(instance.stations))
    style = rng.random()
    return instance, times, prices if style < 0.6 else np.round(prices) if style < 0.8 else 0.0 * prices


def test_equal_to_brute_force_on_random_networks():
    """200 cases: the same cost, by a plan that is allowed; or both say that nobody can drive."""
    outside = stranded = charging = 0
    for seed in range(200):
        instance, times, prices = random_case(seed)
        expected = by_brute_force(instance, 0, times, prices)
        found = cheapest_route(instance, 0, times, prices)
        if found is None:
            assert expected == np.inf
            stranded += 1
            continue
        if found.outside:
            assert found.cost == instance.pairs[0].outside_cost <= expected
            assert (found.roads, found.plan) == ((), ())
            outside += 1
            continue
        assert found.cost == pytest.approx(expected, rel=1e-12, abs=1e-12)
        rules = path_rules(instance, instance.pairs[0], found.roads)
        plan = dict(found.plan)
        assert set(plan) <= set(rules.stations)
        assert rules.violation([plan.get(m, 0.0) for m in rules.stations]) < 1e-9
        bill = sum(kwh * (prices + time_price(instance))[m] for m, kwh in found.plan)
        driving = instance.users.kappa_per_h * times[list(found.roads)].sum()
        assert driving + bill == pytest.approx(found.cost, rel=1e-12, abs=1e-12)
        charging += len(plan) > 1
    assert min(outside, stranded, charging) > 5


def test_a_cheaper_walk_is_not_an_answer():
    """The only cheap station is in a dead end: going there and back would visit b twice."""
    roads = [
        road("a", "b", hours=0.1, kwh=5.0), road("b", "c", hours=0.1, kwh=5.0),
        road("b", "d", hours=0.1, kwh=1.0), road("d", "b", hours=0.1, kwh=1.0),
    ]  # fmt: skip
    stations = [station("cheap", "d", price_min=0.0), station("dear", "c")]
    pair = vehicle("a", "c", initial_kwh=15.0, final_kwh=25.0)
    instance = make_instance(roads, [pair], stations, {("a", "c"): [1.0]}, kappa_per_h=0.0)
    found = cheapest_route(instance, 0, np.full(4, 0.1), np.array([0.0, 1.0]))
    assert found.roads == (0, 1)
    assert dict(found.plan) == pytest.approx({1: 20.0})
    assert found.cost == pytest.approx(20.0)


def test_a_quick_label_does_not_bar_the_nodes_that_a_slow_one_still_needs():
    """Energy is only at b, and x leads on: a-x-b is quicker, but only a-b-x-z is a simple path."""
    roads = [
        road("a", "x", kwh=4.0), road("x", "b", kwh=4.0), road("a", "b", kwh=4.0),
        road("b", "x", kwh=4.0), road("x", "z", kwh=4.0),
    ]  # fmt: skip
    pair = vehicle("a", "z", initial_kwh=15.0, final_kwh=20.0)
    instance = make_instance(roads, [pair], [station("s", "b")], {("a", "z"): [1.0]})
    found = cheapest_route(instance, 0, np.array([0.1, 0.1, 1.0, 0.1, 0.1]), np.array([0.5]))
    assert found.roads == (2, 3, 4)


def test_a_label_with_a_dearer_tank_does_not_replace_a_slower_one():
    """Both ways reach b with a full battery; the detour over q has filled it for nothing."""
    roads = [
        road("a", "b", kwh=4.0), road("a", "q", kwh=2.0), road("q", "b", kwh=2.0), road("b", "z", kwh=40.0),
    ]  # fmt: skip
    stations = [station("dear", "b"), station("free", "q")]
    instance = make_instance(
        roads, [vehicle("a", "z", initial_kwh=15.0)], stations, {("a", "z"): [1.0]}, kappa_per_h=10.0
    )
    found = cheapest_route(instance, 0, np.array([0.1, 0.3, 0.3, 0.5]), np.array([1.0, 0.0]))
    assert found.roads == (1, 2, 3)
    assert dict(found.plan) == pytest.approx({0: 2.0, 1: 37.0})


def test_gas_greedy_cap_as_a_road():
    """The published plan 7, 45, 0, 1 kWh for 17.4 on a chain of four stations."""
    names = ["a", "p", "q", "r", "s", "z"]
    legs = zip(names[:-1], names[1:], [12.0, 15.0, 14.0, 11.0, 16.0], strict=True)
    roads = [road(start, end, kwh=kwh, hours=0.0) for start, end, kwh in legs]
    stations = [station(name, name) for name in names[1:-1]]
    instance = make_instance(
        roads, [vehicle("a", "z", initial_kwh=25.0)], stations, {("a", "z"): [1.0]}, kappa_per_h=5.0
    )
    found = cheapest_route(instance, 0, np.zeros(5), np.array([0.5, 0.3, 0.6, 0.4]) - 5.0 / 50.0)
    assert dict(found.plan) == pytest.approx({0: 7.0, 1: 45.0, 3: 1.0})
    assert found.cost == pytest.approx(17.4)


def test_outside_only_when_it_is_cheaper():
    roads = [road("a", "b", hours=0.5, kwh=10.0)]
    for cost, outside in [(13.9, True), (14.1, False)]:  # 20 * 0.5 h + 5 kWh at 0.4 + 0.1 h of charging
        pair = vehicle("a", "b", initial_kwh=15.0, final_kwh=10.0, outside_cost=cost)
        instance = make_instance(roads, [pair], [station("s", "b")], {("a", "b"): [1.0]})
        found = cheapest_route(instance, 0, np.array([0.5]), np.array([0.4]))
        assert found.outside is outside
        assert found.cost == pytest.approx(min(cost, 14.0))


def test_outside_is_the_answer_where_nobody_can_drive():
    roads = [road("a", "b", kwh=40.0)]
    for cost in (None, 7.0):
        pair = vehicle("a", "b", outside_cost=cost)
        instance = make_instance(roads, [pair], [station("s", "b")], {("a", "b"): [1.0]})
        found = cheapest_route(instance, 0, np.array([0.5]), np.array([0.4]))
        assert (found is None) if cost is None else (found.cost == 7.0 and found.outside)


def test_negative_prices_are_refused():
    instance = make_instance([road("a", "b")], [vehicle("a", "b")], [station("s", "b")], {("a", "b"): [1.0]})
    with pytest.raises(ValueError, match="rho \\+ kappa/pile_kw >= 0"):
        cheapest_route(instance, 0, np.array([0.5]), np.array([-1.0]))


def test_fast_enough_for_the_judge():
    """Median of a call on the bundled 16-node network below 20 ms, network preparation included."""
    instance = instances.load("ieee33-road16")
    rng = np.random.default_rng(0)
    free = road_time(instance, np.zeros(len(instance.roads)))
    seconds = []
    for _ in range(10):
        times = free * rng.uniform(1.0, 3.0, len(free))
        prices = np.array([rng.uniform(s.price_min, s.price_max) for s in instance.stations])
        for pair in range(len(instance.pairs)):
            start = perf_counter()
            found = cheapest_route(instance, pair, times, prices)
            seconds.append(perf_counter() - start)
            assert found == RouteSearch(instance).cheapest(pair, times, prices)
    assert np.median(seconds) < 0.02
