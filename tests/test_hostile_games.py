"""Games and records that a hostile reading got CERTIFIED or called INFEASIBLE, falsely: honest data, odd numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from factories import make_instance, road, station, vehicle

from formulations.prices import price_box
from formulations.routes import route_set
from instances.model import DeclaredRoute, Instance, TariffRow
from mpec.certificate import certify
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import Follower, follow
from mpec.judging import judge
from mpec.odd_games import with_other_units
from mpec.options import Method, SolveOptions
from mpec.orchestrator import solve_game
from mpec.primal import Primal
from mpec.random_games import Size, random_game
from mpec.recheck import recheck_bound
from mpec.soundness import check_game
from mpec.soundness_games import Effort, Kind

METHODS: tuple[Method, ...] = ("decomposed", "monolithic")


def solved(game: Instance, method: Method, gap: float = 1e-3) -> Equilibrium:
    return solve_game(game, SolveOptions(method=method, gap=gap, time_limit=20.0, workers=1))


def without_any_prices(game: Instance) -> Equilibrium:
    """A forged result: no prices are allowed in period 1."""
    honest = solved(game, "monolithic")
    record = {"kind": "infeasible", "period": 1, "station": "A"}
    return replace(
        honest, status="infeasible", point=None, lower_bound=None, upper_bound=None, bounds=(), bound_record=record
    )  # fmt: skip


# ---- hours without binaries, and a road whose time hardly rises ---------------------------------------
def rare_prices() -> Instance:
    """One wide road at a fixed price in period 1; in period 2 few prices keep both stations within their limits."""
    wide = {"capacity_veh_per_h": 50000.0, "bpr_alpha": 0.15, "bpr_beta": 4.0}
    bent = {"capacity_veh_per_h": 100.0, "bpr_alpha": 0.15, "bpr_beta": 1.0}
    return make_instance(
        roads=[
            road("p", "q", hours=0.1, kwh=5.0, **wide),
            road("u", "b", hours=0.10, kwh=5.0, **bent), road("b", "v", hours=0.1, kwh=5.0),
            road("u", "c", hours=0.20, kwh=5.0, **bent), road("c", "v", hours=0.1, kwh=5.0),
        ],
        pairs=[
            vehicle("p", "q", initial_kwh=10.0, final_kwh=25.0),
            vehicle("u", "v", initial_kwh=20.0, final_kwh=30.0),
        ],
        stations=[
            station("A", "q", rated_kva=2e5, price_min=1.0, price_max=1.0),
            station("B", "b", rated_kva=60 * 20 / 0.95), station("C", "c", rated_kva=60 * 20 / 0.95),
        ],
        trips={("p", "q"): [5000.0, 0.0], ("u", "v"): [0.0, 100.0]},
        kappa_per_h=10.0,
    )  # fmt: skip


def test_an_hour_without_binaries_is_not_called_empty_for_a_deleted_coefficient() -> None:
    """Both solvers said so: SCIP hands linear programs to HiGHS. Prices are allowed, and the game is solved."""
    game = rare_prices()
    for method in METHODS:
        result = solved(game, method)
        certificate = judge(result, recheck=True, pessimistic_seconds=0)
        assert certificate.verdict == "CERTIFIED"
        assert certificate.lower_bound == pytest.approx(71358.8, rel=1e-6)
    outcome = recheck_bound(without_any_prices(game), seconds=60.0)
    assert not outcome.infeasible


# ---- times that rise in almost a straight line --------------------------------------------------------
def almost_straight() -> Instance:
    """Six roads with beta from 1.0000007 on: HiGHS bounded the day's MILP by 300,658 with and without presolve, and it
    was CERTIFIED at that; 412,603 can be earned."""
    roads = (
        ("p", "a", 0.1, 1914818.2576701, 8.288857630490351e-05, 1.9760816550143139, 43802.7311294928),
        ("a", "q", 0.1, 940163.2818332148, 8.983591827171104e-05, 1.0658724216214563, 0.0),
        ("p", "b", 0.1, 162178.57620156615, 0.0007644048316881049, 1.1612054290826717, 43802.7311294928),
        ("b", "q", 0.1, 83088.06149031084, 0.03427819623355629, 1.0000076300981746, 43802.7311294928),
        ("a", "b", 0.05, 774931.2114736253, 1.7148053167286464e-06, 1.0000006751088528, 43802.7311294928),
        ("b", "a", 0.05, 2434900.491838042, 0.0001084431003920487, 1.0000986519217974, 0.0),
    )
    game = make_instance(
        roads=[
            road(u, v, hours=h, kwh=5.0, capacity_veh_per_h=c, bpr_alpha=alpha, bpr_beta=beta, background_veh_per_h=b)
            for u, v, h, c, alpha, beta, b in roads
        ],
        pairs=[vehicle("p", "q", initial_kwh=20.0, final_kwh=30.0)],
        stations=[
            station(name, node, rated_kva=3381263.4556099707, price_min=0.1, price_max=0.11)
            for name, node in (("A", "a"), ("B", "b"))
        ],
        trips={("p", "q"): [146009.103764976, 146009.103764976]},
        kappa_per_h=0.015036387635719153,
        xi=0.5,
    )  # fmt: skip
    rates = {("A", 1): 0.05, ("A", 2): 0.05, ("B", 1): 0.0, ("B", 2): 0.3}
    return replace(game, tariff={key: TariffRow(rate) for key, rate in rates.items()})


@pytest.mark.parametrize("method", METHODS)
def test_roads_that_are_almost_straight_are_bounded(method: Method) -> None:
    game = almost_straight()
    low, high = price_box(game)
    prices = low + np.random.default_rng(1).random((600, *low.shape)) * (high - low)
    profits, excess = Follower(game).evaluate(prices)
    truth = float(profits[excess <= 0.0].max())
    assert truth > 380_000.0
    result = solved(game, method)
    outcome = recheck_bound(result, seconds=60.0)
    assert result.upper_bound is None or result.upper_bound >= truth * (1 - 1e-9)
    assert outcome.upper_bound is None or outcome.upper_bound >= truth * (1 - 1e-9)


# ---- strays -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("far_h", [1e6, 1e9])
def test_few_vehicles_on_an_endless_road_are_no_equilibrium(far_h: float) -> None:
    """0.99e-9 of a pair carry half of it into the next hour, where it earns more than the certified bound."""
    game = make_instance(
        roads=[
            road("p", "q", hours=0.5, kwh=5.0),
            road("p", "x", hours=far_h, kwh=2.0),
            road("x", "q", hours=0.5, kwh=3.0),
        ],
        pairs=[vehicle("p", "q", initial_kwh=20.0, final_kwh=35.0)],
        stations=[station("A", "q", price_min=1.0, price_max=1.001)],
        trips={("p", "q"): [100.0, 100.0]},
        kappa_per_h=0.01,
        xi=1.0,
        route_set=[
            DeclaredRoute("p", "q", ("p-q",), (("A", 20.0),)),
            DeclaredRoute("p", "q", ("p-x", "x-q"), (("A", 20.0),)),
        ],
    )
    game = replace(game, tariff={("A", 1): TariffRow(0.9), ("A", 2): TariffRow(0.1)})
    honest = solved(game, "decomposed")
    assert honest.point is not None
    assert honest.upper_bound is not None
    routes = route_set(game)
    primal = Primal(routes)
    candidate = primal.at(honest.point.prices)
    short, far = sorted(range(2), key=lambda k: len(routes.routes[k].roads))
    times = np.zeros(2)
    times[short], times[far] = 0.5 + 20.0 / 50.0, far_h + 0.5 + 20.0 / 50.0
    flows, incoming = np.zeros((2, 2)), 0.0
    for t, share in enumerate((0.99e-9, 0.0)):
        vehicles = (100.0 + incoming) / ((1 - share) * (1 + times[short]) + share * (1 + times[far]))
        flows[short, t], flows[far, t] = vehicles * (1 - share), vehicles * share
        incoming = float(flows[:, t] @ times)
    point = primal.point(replace(candidate, flows=flows))
    assert point.profit > honest.upper_bound
    stray = replace(
        honest, point=point, lower_bound=point.profit, upper_bound=None, bound_record=None, bounds=()
    )
    certificate = certify(game, stray, pessimistic_seconds=0)
    assert certificate.verdict == "REJECTED"
    assert {c.name for c in certificate.failures} == {"dearer_routes_in_total"}


# ---- price steps --------------------------------------------------------------------------------------
@pytest.mark.parametrize("step", [0.1, 1e4])
def test_the_top_step_a_hair_above_the_box_is_not_cut_off(step: float) -> None:
    """Reader, followers and judge take three steps as within the box; so must the bound."""
    most = 3 * step * (1 - 3e-10)
    game = make_instance(
        roads=[
            road("p", "q", hours=0.5, kwh=5.0, bpr_alpha=0.15, bpr_beta=4.0),
            road("p", "b", hours=0.6, kwh=5.0), road("b", "q", hours=0.1, kwh=5.0),
        ],
        pairs=[vehicle("p", "q", initial_kwh=20.0, final_kwh=35.0, outside_cost=90 * step + 100.0)],
        stations=[
            station(name, node, price_min=step, price_max=most, price_step=step)
            for name, node in (("A", "q"), ("B", "b"))
        ],
        trips={("p", "q"): [100.0]},
        kappa_per_h=10.0,
    )  # fmt: skip
    top = follow(game, np.full((2, 1), 3 * step))
    assert top.point is not None
    judged = certify(game, top, pessimistic_seconds=0)
    assert judged.lower_bound is not None
    for method in METHODS:
        result = solved(game, method)
        assert result.upper_bound is not None
        assert result.upper_bound >= judged.lower_bound * (1 - 1e-9)
        assert judge(result, recheck=True, pessimistic_seconds=0).verdict == "CERTIFIED"


# ---- units --------------------------------------------------------------------------------------------
def test_a_game_in_small_money_is_bounded_like_in_any_other() -> None:
    """Prices of 1e-4: HiGHS bounded the MILP by 10.757 with and without presolve, 14.65 can be earned."""
    game = with_other_units(random_game(18, Size()), 16)
    prices = max(s.price_max for s in game.stations)
    assert prices < 1e-3
    results = {method: solved(game, method) for method in METHODS}
    lowers = [r.lower_bound for r in results.values() if r.lower_bound is not None]
    for result in results.values():
        assert result.upper_bound is not None
        assert result.upper_bound >= max(lowers) * (1 - 1e-9)


@pytest.mark.parametrize("seed", [5, 18, 39, 46])
def test_truth_tests_hold_on_odd_data(seed: int) -> None:
    """Wide and almost straight roads, other units: 39 was an hour falsely empty, 18 left its relaxation."""
    kind = Kind(Size(2, 2, 2), wide=True, units=seed % 2 == 0)
    assert check_game(seed, kind, Effort(seconds=3.0, prices=100, contained=1, exact=0.0)).violations == []
