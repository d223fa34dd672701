"""Route sets: complete with proof. Dropped routes are never cheapest, and carry nobody in equilibrium."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_instance, random_instance, road, simple_paths, station, vehicle

import instances
from formulations import path_search, route_usability
from formulations.charging_plan import all_plan_vertices, path_rules, time_price
from formulations.congestion import road_time
from formulations.routes import Route, RouteSet, hour_routes, route_set, usage_ceilings
from instances.errors import InstanceError
from instances.model import DeclaredRoute, Instance, Node
from mpec import tolerances
from mpec.followers.cheapest_route import RouteSearch
from mpec.followers.users import users_equilibrium


def every_route(instance: Instance) -> RouteSet:
    """All simple paths with all vertices of their plan polytope, and the outside options: nothing dropped."""
    routes = []
    for n, pair in enumerate(instance.pairs):
        for roads in simple_paths(instance, pair):
            rules = path_rules(instance, pair, roads)
            for plan in [] if rules is None else all_plan_vertices(rules):
                stops = zip(rules.stations, plan.tolist(), strict=True)
                routes.append(Route(n, roads, tuple((m, h) for m, h in stops if h > 1e-7)))
        if pair.outside_cost is not None:
            routes.append(Route(n, (), (), True))
    return RouteSet(instance, tuple(routes), complete=True, declared=False)


def key(route: Route):
    return route.pair, route.roads, route.outside, tuple((m, round(h, 5)) for m, h in route.plan)


def kept_mask(every: RouteSet, kept: RouteSet) -> np.ndarray:
    keys = {key(route) for route in kept.routes}
    assert len(keys) == len(kept.routes)
    mask = np.array([key(route) in keys for route in every.routes])
    assert mask.sum() == len(kept.routes)  # nothing invented
    return mask


def costs(routes: RouteSet, times: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """(15) with (25), (30), written out again."""
    instance = routes.instance
    plan_cost = routes.plan_kwh @ (prices + time_price(instance))
    return instance.users.kappa_per_h * (routes.on_road @ times) + plan_cost + routes.outside_cost


def drivable(seed: int, **options) -> Instance:
    """The next random instance whose pairs can all travel."""
    rng = np.random.default_rng(seed)
    while True:
        instance = random_instance(rng, **options)
        try:
            route_set(instance)
        except InstanceError:
            continue
        return instance


def two_roads(**options) -> Instance:
    """a -> b directly (0.5 h) or over c (0.8 h); kappa 20; 10 kWh to buy at b at 0.2 ... 1.0."""
    roads = [
        road("a", "b", hours=0.5, kwh=10.0, capacity_veh_per_h=50.0, bpr_alpha=0.15),
        road("a", "c", hours=0.4, kwh=5.0),
        road("c", "b", hours=0.4, kwh=5.0),
    ]
    pair = vehicle("a", "b", initial_kwh=15.0, final_kwh=15.0)
    demand = options.pop("demand", 50.0)
    return make_instance(roads, [pair], [station("s", "b")], {("a", "b"): [demand]}, **options)


def test_a_detour_is_dropped_until_congestion_can_make_it_worthwhile():
    """The direct road takes 0.5 (1 + 0.15 (x/50)^4): 0.575 h at x = 50, above 0.8 h from x = 70.7."""
    assert [r.roads for r in route_set(two_roads(demand=50.0)).routes] == [(0,)]
    assert [r.roads for r in route_set(two_roads(demand=70.0)).routes] == [(0,)]
    assert [r.roads for r in route_set(two_roads(demand=71.0)).routes] == [(0,), (1, 2)]


def test_residual_flow_is_counted_in():
    """xi r_in adds to the demand and the stay divides it: Wmod <= (66 + 0.5 r) / (1 + 0.5 (0.5 + 0.2))."""
    below = two_roads(demand=66.0, xi=0.5, initial_residual=50.0)
    ceilings = usage_ceilings(route_set(below))
    assert ceilings.modified[0, 0] == pytest.approx(91.0 / (1.0 + 0.5 * 0.7), rel=2e-3)
    assert len(route_set(below).routes) == 1  # 67.4 vehicles/h
    assert len(route_set(two_roads(demand=75.0, xi=0.5, initial_residual=50.0)).routes) == 2  # 74.1


def test_shared_roads_and_stations_cancel():
    """A slow shared road must not hide that the detour behind it is always dearer."""
    roads = [
        road("o", "a", hours=1.0, kwh=5.0, capacity_veh_per_h=10.0, bpr_alpha=0.15),
        road("a", "b", hours=0.5, kwh=5.0),
        road("a", "c", hours=0.3, kwh=2.5),
        road("c", "b", hours=0.3, kwh=2.5),
    ]
    pair = vehicle("o", "b", initial_kwh=15.0, final_kwh=15.0)
    instance = make_instance(
        roads, [pair], [station("s", "b", price_max=5.0)], {("o", "b"): [100.0]}, kappa_per_h=20.0
    )
    assert [r.roads for r in route_set(instance).routes] == [(0, 1)]


def test_the_tie_survives_and_the_slack_of_the_certified_game_too():
    """Equal roads stay both; 1e-6 dearer stays; 1e-4 dearer goes."""
    for longer, expected in [(0.5, 2), (0.5 * (1 + 1e-6), 2), (0.5 * (1 + 1e-4), 1)]:
        roads = [road("a", "b", hours=0.5), road("a", "b", hours=longer, id="other")]
        instance = make_instance(roads, [vehicle("a", "b")], [station("s", "b")], {("a", "b"): [10.0]})
        assert len(route_set(instance).routes) == expected
    assert route_usability.COST_SLACK == tolerances.EPSILON
    assert route_usability.DROP_MARGIN > tolerances.EPSILON
    assert route_usability.STRAY_SHARE >= 100 * tolerances.DELTA


@pytest.mark.parametrize("outside", [False, True])
def test_dropped_routes_are_dearer_at_every_price_and_congestion(outside):
    """Adversarial corners: the dropped route's own roads empty, all others at their ceiling, best prices."""
    rng = np.random.default_rng(11)
    dropped = 0
    for seed in range(25):
        instance = drivable(seed, pairs=2, extra_roads=4, periods=2, demand=60.0, xi=0.5, outside=outside)
        every = every_route(instance)
        kept = route_set(instance)
        mask = kept_mask(every, kept)
        low = road_time(instance, np.zeros(len(instance.roads)))
        high = usage_ceilings(kept).time.max(axis=1)
        box = np.array([(s.price_min, s.price_max) for s in instance.stations]).T
        for k in np.flatnonzero(~mask):
            dropped += 1
            mine = every.pair == every.pair[k]
            times = np.where(every.on_road[k] > 0, low, high)
            for _ in range(4):
                prices = np.where(rng.random(box.shape[1]) < 0.5, box[0], box[1])
                prices = np.where(every.plan_kwh[k] > 0, box[0], prices)
                cost = costs(every, times, prices)
                assert cost[k] > cost[mine].min() * (1.0 + tolerances.EPSILON)
    assert dropped > 200


@pytest.mark.parametrize("xi", [0.0, 0.6])
def test_equilibria_over_all_routes_use_kept_routes_only(xi):
    """Users free to take any path and any plan never leave the set, nor the ceilings, period after period."""
    rng = np.random.default_rng(5)
    for seed in range(12):
        instance = drivable(
            100 + seed, pairs=2, extra_roads=3, periods=3, demand=150.0, xi=xi, kappa_per_h=30.0
        )
        every, kept = every_route(instance), route_set(instance)
        mask, ceilings = kept_mask(every, kept), usage_ceilings(kept)
        incoming = np.zeros(2)
        for t in range(3):
            prices = np.array([rng.uniform(s.price_min, s.price_max) for s in instance.stations])
            answer = users_equilibrium(every, t, prices, incoming)
            assert answer.gap < 1e-9
            assert answer.flows[~mask].sum() < 1e-6 * answer.flows.sum()
            assert np.all(answer.road_flow <= ceilings.flow[:, t] + 1e-9)
            assert np.all(answer.road_time <= ceilings.time[:, t] * (1 + 1e-9))
            assert np.all(answer.modified <= ceilings.modified[:, t] * (1 + 1e-9))
            assert np.all(answer.residual <= ceilings.residual[:, t] * (1 + 1e-9))
            assert np.all(answer.cheapest <= ceilings.cheapest[:, t] * (1 + 1e-9))
            incoming = answer.residual


def test_the_bundled_day_is_complete_and_its_set_holds_every_cheapest_route():
    """A search that knows nothing of the set finds nothing cheaper, at random prices and congestion."""
    instance = instances.load("ieee33-road16")
    routes = route_set(instance)
    assert routes.complete
    assert not routes.declared
    assert 8 <= len(routes.routes) <= 400
    assert list(routes.pair) == sorted(routes.pair)
    assert routes.charging_h == pytest.approx(
        routes.plan_kwh @ np.array([1.0 / s.pile_kw for s in instance.stations])
    )
    rng, search = np.random.default_rng(0), RouteSearch(instance)
    ceilings = usage_ceilings(routes)
    low = road_time(instance, np.zeros(len(instance.roads)))
    for _ in range(40):
        period = int(rng.integers(len(instance.periods)))
        times = low + rng.random(len(low)) * (ceilings.time[:, period] - low)
        prices = np.array([rng.uniform(s.price_min, s.price_max) for s in instance.stations])
        cost = costs(routes, times, prices)
        for n, rows in enumerate(routes.pair_rows):
            assert search.cheapest(n, times, prices).cost == pytest.approx(cost[rows].min(), rel=1e-12)


def test_hour_routes_drops_exactly_what_some_rival_beats():
    """The vectorised proof against the formula, pair of routes by pair of routes."""
    rng = np.random.default_rng(3)
    for seed in range(8):
        instance = drivable(200 + seed, pairs=2, demand=200.0, outside=seed % 2 == 0)
        routes = every_route(instance)
        upper = rng.uniform(0.0, 150.0, len(instance.roads))
        lower = upper * rng.uniform(0.0, 1.0, len(upper))
        low_price = np.array([s.price_min for s in instance.stations])
        high_price = low_price + rng.uniform(0.0, 0.3, len(low_price))
        mask = hour_routes(routes, upper, flow_lower=lower, price_low=low_price, price_high=high_price)
        fast, slow = road_time(instance, lower), road_time(instance, upper)
        value = time_price(instance)
        for k, mine in enumerate(routes.routes):
            beaten = False
            for j in np.flatnonzero(routes.pair == mine.pair):
                only_k = np.maximum(routes.on_road[k] - routes.on_road[j], 0.0)
                only_j = np.maximum(routes.on_road[j] - routes.on_road[k], 0.0)
                gap = instance.users.kappa_per_h * (only_k @ fast - only_j @ slow)
                more = routes.plan_kwh[k] - routes.plan_kwh[j]
                gap += np.minimum(more * low_price, more * high_price).sum() + more @ value
                gap += routes.outside_cost[k] - routes.outside_cost[j]
                beaten = beaten or gap > 1e-3
                if 0.0 < gap < 1e-3:
                    break  # near the margin the formula alone doesn't decide
            else:
                assert mask[k] == (not beaten)


def test_hour_routes_narrows_with_the_intervals():
    """The detour goes once the direct road's flow is bounded, and comes back when it is surely slow."""
    routes = route_set(two_roads(demand=90.0))
    assert list(hour_routes(routes, np.full(3, 90.0))) == [True, True]
    assert list(hour_routes(routes, np.array([60.0, 90.0, 90.0]))) == [True, False]
    surely_slow = {"flow_lower": np.array([80.0, 0.0, 0.0])}
    assert list(hour_routes(routes, np.full(3, 90.0), **surely_slow)) == [False, True]


def test_outside_is_a_route_without_anything_and_is_always_kept():
    """Even where leaving costs far more than driving."""
    instance = two_roads()
    instance = replace(instance, pairs=(replace(instance.pairs[0], outside_cost=1000.0),))
    routes = route_set(instance)
    assert list(routes.outside) == [False, True]
    assert routes.routes[1] == Route(0, (), (), True)
    assert list(routes.outside_cost) == [0.0, 1000.0]
    assert routes.on_road[1].sum() == routes.plan_kwh[1].sum() == routes.charging_h[1] == 0.0
    assert list(hour_routes(routes, np.full(3, 50.0))) == [True, False]


def test_cheap_outside_drops_what_always_costs_more():
    """Driving costs at least 10 + 2 + 4 = 16 (kappa * 0.5 h, 10 kWh at 0.2, 0.2 h of charging at 20)."""
    instance = two_roads()
    for cost, kept in [(16.1, 2), (15.9, 1)]:
        priced = replace(instance, pairs=(replace(instance.pairs[0], outside_cost=cost),))
        assert len(route_set(priced).routes) == kept


def test_closed_nodes_and_parallel_roads():
    roads = [
        road("a", "c", hours=0.1), road("c", "b", hours=0.1), road("a", "b", hours=0.5),
        road("a", "b", hours=0.5, id="twin"),
    ]  # fmt: skip
    trips = {("a", "b"): [10.0]}
    pairs, stations = [vehicle("a", "b")], [station("s", "b")]
    open_set = route_set(make_instance(roads, pairs, stations, trips))
    assert [r.roads for r in open_set.routes] == [(0, 1)]
    nodes = [Node("a"), Node("b"), Node("c", through=False)]
    closed_set = route_set(make_instance(roads, pairs, stations, trips, nodes=nodes))
    assert sorted(r.roads for r in closed_set.routes) == [(2,), (3,)]


def test_without_value_of_time_only_the_bill_counts():
    """kappa = 0: the slow way with the cheaper station is the only one used, whatever the congestion."""
    roads = [road("a", "b", hours=0.1, kwh=10.0), road("a", "c", hours=9.0), road("c", "b", hours=9.0)]
    stations = [station("dear", "b", price_min=0.6), station("cheap", "c", price_max=0.5)]
    pair = vehicle("a", "b", initial_kwh=15.0, final_kwh=15.0)
    instance = make_instance(roads, [pair], stations, {("a", "b"): [10.0]}, kappa_per_h=0.0)
    assert [(r.roads, r.plan) for r in route_set(instance).routes] == [((1, 2), ((1, 10.0),))]


def test_units_and_order_do_not_matter():
    """Energies in Wh-like units (prices to match), and roads and stations permuted: the same routes."""
    instance = drivable(7, pairs=2, demand=120.0)
    size, unit = len(route_set(instance).routes), 1000.0
    scaled = replace(
        instance,
        roads=tuple(replace(r, energy_kwh=r.energy_kwh * unit) for r in instance.roads),
        pairs=tuple(
            replace(
                p, initial_kwh=p.initial_kwh * unit, min_kwh=p.min_kwh * unit, max_kwh=p.max_kwh * unit,
                final_kwh=p.final_kwh * unit,
            )
            for p in instance.pairs
        ),
        stations=tuple(
            replace(
                s, pile_kw=s.pile_kw * unit, price_min=s.price_min / unit, price_max=s.price_max / unit
            )
            for s in instance.stations
        ),
    )  # fmt: skip
    assert len(route_set(scaled).routes) == size
    turned = replace(instance, roads=instance.roads[::-1], stations=instance.stations[::-1])
    assert len(route_set(turned).routes) == size


def test_a_trip_nobody_can_drive_is_refused():
    instance = two_roads()
    stranded = replace(instance, pairs=(replace(instance.pairs[0], initial_kwh=6.0),))
    with pytest.raises(InstanceError, match=r"a, b' has trips but no route") as caught:
        route_set(stranded)
    assert "outside_cost" in caught.value.problems[0].cure
    quiet = replace(stranded, trips={})
    assert route_set(quiet).routes == ()


def test_too_many_paths_ask_for_a_declared_set(monkeypatch):
    monkeypatch.setattr(path_search, "MOST_PATHS", 3)
    with pytest.raises(InstanceError, match=r"too many to enumerate: more than 3 from 'a' to 'b'") as caught:
        route_set(two_roads(demand=90.0))
    assert "route_set.csv" in caught.value.problems[0].cure


def declared(path: str, plan: str = "s:10", instance: Instance | None = None) -> RouteSet:
    stops = tuple((m, float(h)) for m, h in (part.split(":") for part in plan.split(";") if part))
    row = DeclaredRoute("a", "b", tuple(path.split(">")), stops)
    return route_set(replace(instance or two_roads(), route_set=(row,)))


def test_a_declared_set_is_taken_as_it_is():
    """Also a detour that would be dropped and a plan that is no vertex; and it isn't called complete."""
    routes = declared("a-c>c-b", "s:12.5")
    assert routes.routes == (Route(0, (1, 2), ((0, 12.5),)),)
    assert routes.declared
    assert not routes.complete


@pytest.mark.parametrize(
    ("path", "plan", "said"),
    [
        ("a-b>c-b", "s:10", "not a chain of roads"),
        ("a-c", "s:10", "not a chain of roads"),
        ("a-x", "s:10", "'a-x', which is not a road"),
        ("a-b", "s:9", "breaks a limit"),
        ("a-b", "s:46", "breaks a limit"),
        ("a-b", "x:10", "not available on the path"),
        ("a-b", "", "breaks a limit"),
    ],
)
def test_a_declared_route_that_cannot_be_driven_is_refused(path, plan, said):
    with pytest.raises(InstanceError, match=said) as caught:
        declared(path, plan)
    assert caught.value.problems[0].row == 2


def test_a_declared_outside_needs_no_row_and_a_row_does_no_harm():
    instance = two_roads()
    instance = replace(instance, pairs=(replace(instance.pairs[0], outside_cost=30.0),))
    assert declared("outside", "", instance).routes == (Route(0, (), (), True),)
    assert [r.outside for r in declared("a-b", instance=instance).routes] == [False, True]
