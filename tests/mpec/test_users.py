"""The users' equilibrium of an hour: exact conditions, ties, capacity, residual flow, several equilibria."""

from __future__ import annotations

import numpy as np
import pytest
from factories import make_instance, random_instance, road, station, vehicle

from formulations.congestion import RoadCost
from formulations.routes import Route, RouteSet, route_set
from instances.errors import InstanceError
from instances.model import DeclaredRoute, Instance, Road
from mpec.followers.ties import load_extremes
from mpec.followers.users import Users, UsersAnswer, users_equilibrium
from mpec.followers.wardrop import equilibria


def assert_equilibrium(
    routes: RouteSet, t: int, prices: np.ndarray, incoming: np.ndarray, answer: UsersAnswer
) -> None:
    """(15), (22)-(27), (29)-(31) recomputed route by route, without the solver's arrays."""
    instance, roads = routes.instance, RoadCost.of(routes.instance)
    flow = np.zeros(len(instance.roads))
    load = np.zeros(len(instance.stations))
    for w, route in zip(answer.flows, routes.routes, strict=True):
        assert w >= 0.0
        for a in route.roads:
            flow[a] += w
        for m, kwh in route.plan:
            load[m] += w * kwh
    times = roads.time(flow)
    np.testing.assert_allclose(answer.road_time, times, rtol=1e-12)
    np.testing.assert_allclose(answer.load, load, rtol=1e-9, atol=1e-9)
    for n, pair in enumerate(instance.pairs):
        total = hours = 0.0
        used_cost, all_cost = [], []
        for w, route in zip(answer.flows, routes.routes, strict=True):
            if route.pair != n:
                continue
            spent = sum(times[a] for a in route.roads)
            spent += sum(kwh / instance.stations[m].pile_kw for m, kwh in route.plan)
            cost = instance.users.kappa_per_h * spent + sum(kwh * prices[m] for m, kwh in route.plan)
            if route.outside:
                cost += pair.outside_cost
            total, hours = total + w, hours + w * spent
            all_cost.append(cost)
            if w > 1e-9:
                used_cost.append(cost)
        residual = instance.residual_rate * hours
        right = instance.demand(pair, instance.periods[t]) + instance.users.xi * incoming[n]
        assert total + instance.users.xi * residual == pytest.approx(right, rel=1e-10, abs=1e-12)
        assert answer.modified[n] == pytest.approx(total, rel=1e-10, abs=1e-12)
        assert answer.residual[n] == pytest.approx(residual, rel=1e-10, abs=1e-12)
        if used_cost:
            assert max(used_cost) - min(all_cost) <= 1e-9 * (1.0 + abs(min(all_cost)))


def drivable(rng: np.random.Generator, **options: object) -> RouteSet:
    """The routes of a random instance whose pairs can all be driven."""
    while True:
        try:
            return route_set(random_instance(rng, **options))  # type: ignore[arg-type]
        except InstanceError:
            continue


@pytest.mark.parametrize("kappa", [0.0, 20.0, 100.0])
@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
def test_random_networks_are_answered_exactly(kappa: float, xi: float) -> None:
    rng = np.random.default_rng(int(10 * kappa + 7 * xi))
    for _ in range(8):
        routes = drivable(
            rng, pairs=3, demand=float(rng.choice([0.0, 50.0, 400.0])), xi=xi, kappa_per_h=kappa,
            outside=bool(rng.random() < 0.5),
        )  # fmt: skip
        instance = routes.instance
        prices = np.array([rng.uniform(s.price_min, s.price_max) for s in instance.stations])
        drawn = rng.uniform(0.0, 30.0, len(instance.pairs)) * (rng.random(len(instance.pairs)) < 0.7)
        incoming = np.where(np.isin(np.arange(len(drawn)), routes.pair), drawn, 0.0)
        answer = users_equilibrium(routes, 0, prices, incoming)
        assert answer.gap <= 1e-12
        assert_equilibrium(routes, 0, prices, incoming, answer)


def test_batch_rows_equal_single_answers() -> None:
    rng = np.random.default_rng(11)
    routes = drivable(rng, pairs=4, demand=300.0, nodes=8, xi=0.0)
    users, stations = Users(routes), routes.instance.stations
    prices = np.array([[rng.uniform(s.price_min, s.price_max) for s in stations] for _ in range(20)])
    incoming = np.zeros((20, 4))
    flows, gap = users.solve(0, prices, incoming)
    assert gap.max() <= 1e-12
    for k in range(20):
        single, _ = users.solve(0, prices[k : k + 1], incoming[k : k + 1])
        np.testing.assert_allclose(
            flows[k] @ routes.on_road, single[0] @ routes.on_road, rtol=1e-8, atol=1e-8
        )


def two_parallel_roads(**options: object) -> Instance:
    """a -> b by a short and a long road through stations x, y; both need the same 10 kWh."""
    return make_instance(
        roads=[
            road("a", "x", hours=0.2, kwh=7.5, bpr_alpha=0.15, bpr_beta=4.0),
            road("x", "b", hours=0.2, kwh=7.5),
            road("a", "y", hours=0.21, kwh=7.5),
            road("y", "b", hours=0.2, kwh=7.5),
        ],
        pairs=[vehicle("a", "b")],
        stations=[station("sx", "x"), station("sy", "y")],
        trips={("a", "b"): [120.0]},
        **options,  # type: ignore[arg-type]
    )


def test_two_roads_against_the_closed_form() -> None:
    """kappa 0.2 (1 + 0.15 (x/100)^4) + 5 * 0.42 = kappa 0.21 + 5 * 0.40."""
    instance = two_parallel_roads()
    routes = route_set(instance)
    assert {route.plan[0][1] for route in routes.routes} == {5.0}
    answer = users_equilibrium(routes, 0, np.array([0.42, 0.40]), np.zeros(1))
    slack = (20.0 * 0.01 - 5.0 * 0.02) / (20.0 * 0.2 * 0.15)
    x = 100.0 * slack**0.25
    assert answer.road_flow[0] == pytest.approx(x, rel=1e-12)
    assert answer.road_flow[2] == pytest.approx(120.0 - x, rel=1e-10)
    assert answer.unique


def test_no_vehicles_is_an_answer() -> None:
    instance = two_parallel_roads()
    empty = users_equilibrium(route_set(instance), 0, np.full(2, 0.5), np.full(1, 0.0))
    assert empty.modified[0] == pytest.approx(120.0)
    quiet = make_instance(
        roads=[road("a", "b")], pairs=[vehicle("a", "b", initial_kwh=40.0)], stations=[station("s", "b")],
        trips={("a", "b"): [0.0]}, xi=0.5,
    )  # fmt: skip
    answer = users_equilibrium(route_set(quiet), 0, np.array([0.5]), np.zeros(1))
    assert (answer.flows == 0).all()
    assert answer.gap == 0.0
    assert answer.cheapest[0] == pytest.approx(20.0 * 0.5)
    late = users_equilibrium(route_set(quiet), 0, np.array([0.5]), np.array([10.0]))
    assert late.modified[0] == pytest.approx(5.0 / (1 + 0.5 * 0.5))


def two_pairs_two_stations(rated_kva: float = 1e5) -> Instance:
    """Pairs with needs 5 and 15 kWh, both served at x or y on equally long, congested ways.

    At equal prices only the totals of the two roads are fixed: swapping a vehicle of one pair against one
    of the other changes the stations' loads.
    """
    instance = make_instance(
        roads=[
            road("a", "x", hours=0.2, kwh=4.0, bpr_alpha=0.15, bpr_beta=4.0),
            road("a", "y", hours=0.2, kwh=4.0, bpr_alpha=0.15, bpr_beta=4.0),
            road("x", "b", hours=0.1, kwh=1.0),
            road("y", "b", hours=0.1, kwh=1.0),
            road("b", "c", hours=0.1, kwh=10.0),
        ],
        pairs=[vehicle("a", "b", initial_kwh=10.0), vehicle("a", "c", initial_kwh=10.0)],
        stations=[
            station("sx", "x", rated_kva=rated_kva, power_factor=1.0),
            station("sy", "y", rated_kva=1e5, power_factor=1.0),
        ],
        trips={("a", "b"): [60.0], ("a", "c"): [60.0]},
    )
    return instance


def test_ties_are_found_and_settled_for_and_against() -> None:
    instance = two_pairs_two_stations()
    routes = route_set(instance)
    prices = np.full(2, 0.5)
    gain = routes.plan_kwh @ np.array([1.0, 0.0])  # all that matters: load at sx
    best = users_equilibrium(routes, 0, prices, np.zeros(2), favour=gain)
    worst = users_equilibrium(routes, 0, prices, np.zeros(2), favour=-gain)
    need = sorted({round(float(kwh), 9) for route in routes.routes for _, kwh in route.plan})
    assert need == [5.0, 15.0]
    assert best.load[0] == pytest.approx(60.0 * 15.0)
    assert worst.load[0] == pytest.approx(60.0 * 5.0)
    assert not best.unique
    for answer in (best, worst):
        assert answer.gap <= 1e-12
        assert_equilibrium(routes, 0, prices, np.zeros(2), answer)
        np.testing.assert_allclose(answer.road_flow[:2], 60.0, rtol=1e-9)
    low, high = load_extremes(Users(routes).model, best.flows, Users(routes).fixed_cost(prices[None])[0])
    np.testing.assert_allclose([low[0], high[0]], [300.0, 900.0], rtol=1e-9)


def test_station_limits_are_respected_where_a_tie_does() -> None:
    instance = two_pairs_two_stations()
    routes = route_set(instance)
    prices = np.full(2, 0.5)
    gain = routes.plan_kwh @ np.array([1.0, 0.0])
    limited = users_equilibrium(
        routes, 0, prices, np.zeros(2), favour=gain, capacity_kw=np.array([700.0, 1e5])
    )
    assert limited.load[0] == pytest.approx(700.0)
    # Below 300 kW no equilibrium respects the limit: the excess is least.
    hopeless = users_equilibrium(
        routes, 0, prices, np.zeros(2), favour=gain, capacity_kw=np.array([200.0, 1e5])
    )
    assert hopeless.load[0] == pytest.approx(300.0)


def test_unequal_prices_make_the_answer_unique() -> None:
    routes = route_set(two_pairs_two_stations())
    answer = users_equilibrium(routes, 0, np.array([0.5, 0.47]), np.zeros(2))
    assert answer.unique


def braess(xi: float, **options: object) -> Instance:
    """Braess's network, costs 10x, 50 + x, 50 + x, 10 + x, 10x in units of 1/500 h, kappa 1."""
    unit = 0.002

    def link(start: str, end: str, fixed: float, slope: float) -> Road:
        fixed = fixed or 1e-9
        return road(
            start, end, hours=fixed * unit, kwh=1.0, capacity_veh_per_h=fixed / slope, bpr_alpha=1.0,
            bpr_beta=1.0,
        )  # fmt: skip

    return make_instance(
        roads=[link("1", "3", 0, 10), link("1", "4", 50, 1), link("3", "2", 50, 1), link("3", "4", 10, 1),
               link("4", "2", 0, 10)],
        pairs=[vehicle("1", "2", initial_kwh=45.0)],
        stations=[station("slow", "4", pile_kw=50.0), station("quick", "2", pile_kw=1e9)],
        kappa_per_h=1.0,
        xi=xi,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_braess_flows() -> None:
    """Without residual flow: 4, 2, 2, 2, 4 and cost 92."""
    routes = route_set(braess(0.0, trips={("1", "2"): [6.0]}))
    answer = users_equilibrium(routes, 0, np.full(2, 0.2), np.zeros(1))
    np.testing.assert_allclose(answer.road_flow, [4.0, 2.0, 2.0, 2.0, 4.0], rtol=1e-7)
    assert answer.cheapest[0] == pytest.approx(0.002 * 92, rel=1e-7)
    assert answer.unique


def test_several_equilibria_of_one_hour_are_met_and_not_called_unique() -> None:
    """Braess, a stop of 1 h on the middle way, an equally dear bill on the outer ones, xi kappa/tau = 5/h.

    More vehicles on the roads mean fewer on the middle way (the paradox), hence fewer vehicle-hours: demand
    20 is met by the three Wmod 2.974, 7.108 and 9.807, all exact.
    """
    instance = braess(1.0, trips={("1", "2"): [20.0]}, tau_money=0.2)
    ways = [(0, 2), (1, 4), (0, 3, 4)]
    plans = [((1, 1.0),), ((1, 1.0),), ((0, 50.0),)]
    routes = RouteSet(instance, tuple(Route(0, w, p) for w, p in zip(ways, plans, strict=True)), False, True)
    prices = np.array([0.0, 1.0])
    users = Users(routes)
    found = users.candidates(0, prices, np.zeros(1), starts=12)
    totals = sorted(float(w.sum()) for w in found)
    assert totals == pytest.approx([2.974, 7.108, 9.807], abs=1e-3)
    for flows in found:
        answer = users.pack(flows, prices, users.gap(0, flows, prices, np.zeros(1)), False)
        assert answer.gap <= 1e-12
        assert_equilibrium(routes, 0, prices, np.zeros(1), answer)
    for favour in (1.0, -1.0):
        answer = users_equilibrium(routes, 0, prices, np.zeros(1), favour=favour * np.ones(3))
        assert not answer.unique
    most, least = (
        users_equilibrium(routes, 0, prices, np.zeros(1), favour=f * np.ones(3)).modified[0] for f in (1, -1)
    )
    assert most > least + 1.0


@pytest.mark.parametrize("xi", [0.0, 0.5, 1.0])
def test_answers_called_unique_are_met_from_every_start(xi: float) -> None:
    """Where `unique` is claimed, twelve starts and the ties for and against end at the same loads."""
    rng = np.random.default_rng(int(100 + 10 * xi))
    claimed = 0
    for _ in range(25):
        routes = drivable(rng, pairs=2, demand=150.0, xi=xi, nodes=6)
        users, pairs = Users(routes), len(routes.instance.pairs)
        prices = np.array([rng.uniform(s.price_min, s.price_max) for s in routes.instance.stations])
        answer = users_equilibrium(routes, 0, prices, np.zeros(pairs))
        if not answer.unique:
            continue
        claimed += 1
        flows, gap = users.solve(0, np.tile(prices, (12, 1)), np.zeros((12, pairs)), users.starts(12))
        loads = flows[gap <= 1e-10] @ routes.plan_kwh
        np.testing.assert_allclose(loads, np.tile(answer.load, (len(loads), 1)), rtol=1e-6, atol=1e-6)
        for sign in (1.0, -1.0):
            favour = sign * routes.plan_kwh.sum(axis=1)
            other = users_equilibrium(routes, 0, prices, np.zeros(pairs), favour=favour)
            np.testing.assert_allclose(other.load, answer.load, rtol=1e-6, atol=1e-6)
    assert claimed >= (20 if xi == 0.0 else 3)


def test_an_unserved_pair_with_vehicles_is_refused() -> None:
    instance = make_instance(
        roads=[road("a", "b"), road("b", "a")],
        pairs=[vehicle("a", "b"), vehicle("b", "a")],
        stations=[station("s", "b")],
        trips={("a", "b"): [10.0], ("b", "a"): [10.0]},
        route_set=[DeclaredRoute("a", "b", ("a-b",), ())],
    )
    routes = RouteSet(instance, (Route(0, (0,), ()),), complete=False, declared=True)
    with pytest.raises(ValueError, match="b to a have no feasible route"):
        users_equilibrium(routes, 0, np.array([0.5]), np.zeros(2))


def test_the_gap_is_not_blind() -> None:
    """A moved vehicle shows in the gap."""
    routes = route_set(two_parallel_roads())
    users = Users(routes)
    answer = users_equilibrium(routes, 0, np.array([0.42, 0.40]), np.zeros(1))
    moved = answer.flows.copy()
    used = np.flatnonzero(moved > 0)
    moved[used[0]] -= 1.0
    moved[used[1]] += 1.0
    gap = users.gap(0, moved, np.array([0.42, 0.40]), np.zeros(1))
    assert 1e-5 < gap < 1.0
    lost = answer.flows * 0.99
    assert users.gap(0, lost, np.array([0.42, 0.40]), np.zeros(1)) == pytest.approx(0.01)


def test_the_best_start_does_not_matter_without_residual_flow() -> None:
    rng = np.random.default_rng(3)
    routes = drivable(rng, pairs=3, demand=500.0, nodes=7)
    users = Users(routes)
    prices = np.full(len(routes.instance.stations), 0.5)
    starts = users.starts(6)
    fixed = np.tile(users.fixed_cost(prices[None]), (6, 1))
    demand = np.tile(users.right_side(0, np.zeros((1, 3))), (6, 1))
    flows, gap = equilibria(users.model, fixed, demand, starts)
    assert gap.max() <= 1e-12
    grows = np.array([r.bpr_alpha > 0 and r.bpr_beta > 0 for r in routes.instance.roads])
    roads = (flows @ routes.on_road)[:, grows]
    np.testing.assert_allclose(roads, np.broadcast_to(roads[0], roads.shape), rtol=1e-6, atol=1e-6)
