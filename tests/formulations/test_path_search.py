"""Paths come out completely, cheapest bound first, and the bound is one."""

from __future__ import annotations

import numpy as np
import pytest
from factories import make_instance, random_instance, road, simple_paths, station, vehicle

from formulations.charging_plan import all_plan_vertices, path_rules, time_price
from formulations.congestion import road_time
from formulations.path_search import RoadGraph, paths_by_cost


def graph_of(instance):
    return RoadGraph.of(instance, road_time(instance, np.zeros(len(instance.roads))))


def test_every_drivable_simple_path_comes_in_the_order_of_its_bound():
    """Against plain recursion; the bound never exceeds the cost at least prices on empty roads."""
    rng = np.random.default_rng(0)
    tight = several = 0
    for _ in range(60):
        instance = random_instance(rng, nodes=6, extra_roads=8)
        pair = instance.pairs[0]
        found = list(paths_by_cost(graph_of(instance), pair))
        bounds = [path.least_cost for path in found]
        assert bounds == sorted(bounds)
        rules = {roads: path_rules(instance, pair, roads) for roads in simple_paths(instance, pair)}
        assert {path.roads for path in found} == {roads for roads, r in rules.items() if r is not None}
        several += len(found) > 3
        times = road_time(instance, np.zeros(len(instance.roads)))
        price = time_price(instance) + np.array([s.price_min for s in instance.stations])
        for path in found:
            r = rules[path.roads]
            bill = (all_plan_vertices(r) @ price[list(r.stations)]).min()
            cost = instance.users.kappa_per_h * times[list(path.roads)].sum() + bill
            assert path.least_bill <= bill + 1e-9
            assert path.least_cost <= cost + 1e-9
            tight += path.least_cost > cost - 1e-9
    assert several > 10
    assert tight > 50


def test_energy_that_no_station_can_give_in_an_hour_bars_a_path():
    """20 kWh to start, 30 wanted at the end of 10: 20 to buy; a pile of 19 kW is too small, 20 is enough."""
    for pile, paths in [(19.0, 0), (20.0, 1)]:
        instance = make_instance(
            [road("a", "b", kwh=10.0)], [vehicle("a", "b", final_kwh=30.0)],
            [station("s", "b", pile_kw=pile)], {("a", "b"): [1.0]},
        )  # fmt: skip
        assert len(list(paths_by_cost(graph_of(instance), instance.pairs[0]))) == paths


def test_bound_of_a_single_road():
    """20 money/h * 0.5 h + (10 - 20 + 15) kWh * (0.2 + 20/50) = 13."""
    instance = make_instance(
        [road("a", "b", hours=0.5, kwh=15.0)], [vehicle("a", "b")], [station("s", "b")], {("a", "b"): [1.0]}
    )
    (path,) = paths_by_cost(graph_of(instance), instance.pairs[0])
    assert path.least_cost == pytest.approx(13.0)
    assert path.least_bill == pytest.approx(3.0)
