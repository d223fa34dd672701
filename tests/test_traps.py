"""Where tolerances pay: routes a hair apart, limits a hair missed, Ms that leak, hours with several equilibria."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from factories import make_instance, road, station, vehicle

from formulations.routes import Route, RouteSet, route_set
from instances.model import DeclaredRoute, Instance
from mpec import tolerances
from mpec.certificate import Certificate, certify
from mpec.containment import TIGHTENED, contained, truth_of, whole_states
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import Follower, follow
from mpec.followers.assemble import point as assemble
from mpec.hour_dispatch import hour_dispatch
from mpec.hour_tightening import tighten_hour
from mpec.judging import judge
from mpec.options import Method, SolveOptions
from mpec.orchestrator import solve_game
from mpec.reformulation import single_level

METHODS: tuple[Method, ...] = ("decomposed", "monolithic")


def solved(
    game: Instance, method: Method = "decomposed", gap: float = 1e-3
) -> tuple[Equilibrium, Certificate]:
    result = solve_game(game, SolveOptions(method=method, gap=gap, time_limit=30.0, workers=1))
    return result, judge(result, gap=gap, recheck=True, pessimistic_seconds=0)


# ---- routes a hair apart -------------------------------------------------------------------------
def two_routes(apart: float) -> Instance:
    """One vehicle class, two ways: by `cheap` (margin 0.05 a vehicle) or by `dear`, dearer by ``apart`` of the cost
    (margin 0.9 a vehicle). Prices have no room, so who drives where is all that the profit depends on."""
    cost = 10.0
    game = make_instance(
        roads=[
            road("a", "c", hours=0.25, kwh=5.0), road("c", "d", hours=0.2, kwh=5.0),
            road("a", "e", hours=0.25, kwh=5.0), road("e", "d", hours=0.2, kwh=5.0),
        ],
        pairs=[vehicle("a", "d", initial_kwh=14.0, final_kwh=5.0)],
        stations=[
            station("cheap", "c", pile_kw=20.0, price_min=1.0, price_max=1.0),
            station("dear", "e", pile_kw=20.0, price_min=1.0 + apart * cost, price_max=1.0 + apart * cost),
        ],
        trips={("a", "d"): [10.0]},
    )  # fmt: skip
    price = {"cheap": 0.95, "dear": 0.1 + apart * cost}
    return replace(
        game,
        tariff={(s, t): replace(row, price_per_kwh=price[s]) for (s, t), row in game.tariff.items()},
        users=replace(game.users, kappa_per_h=18.0),
    )


CHEAP, DEAR = 0.5, 9.0
"""Profit with everybody on the cheap way, and on the dear one."""


def all_on(game: Instance, name: str) -> Equilibrium:
    """The point with everybody on the way past this station, everything else recomputed."""
    ways = [Route(0, (0, 1), ((0, 1.0),)), Route(0, (2, 3), ((1, 1.0),))]
    routes = RouteSet(game, tuple(ways), False, True)
    prices = np.array([[s.price_max] for s in game.stations])
    flows = np.array([[10.0 if way.plan[0][0] == game.station_index[name] else 0.0] for way in ways])
    return Equilibrium(game, "by hand", "feasible", assemble(game, prices, flows, routes))


def test_the_game_of_two_routes_is_what_it_says() -> None:
    for apart in (0.0, 9.99e-7, 1e-3):
        game = two_routes(apart)
        cheap, dear = all_on(game, "cheap").point, all_on(game, "dear").point
        assert cheap is not None
        assert dear is not None
        assert (cheap.profit, dear.profit) == (pytest.approx(CHEAP), pytest.approx(DEAR))
        assert dear.routes[0].cost / cheap.routes[0].cost - 1.0 == pytest.approx(apart, rel=1e-6, abs=1e-15)


@pytest.mark.parametrize(
    ("apart", "method"),
    [(a, "decomposed") for a in (0.0, 1e-9, 5e-7, 9.99e-7, 1.001e-6, 1.1e-6, 1e-5, 1e-3)]
    + [(a, "monolithic") for a in (9.99e-7, 1.001e-6)],
)
def test_routes_a_hair_apart_never_make_a_false_certificate(apart: float, method: Method) -> None:
    """Within eps the dear way belongs to the game that is certified, and is then worth 9; beyond it, it doesn't."""
    game = two_routes(apart)
    result, certificate = solved(game, method)
    assert certificate.verdict != "REJECTED", certificate.failures
    allowed = certify(game, all_on(game, "dear"), pessimistic_seconds=0).lower_bound is not None
    assert allowed == (apart <= tolerances.EPSILON)
    best = DEAR if allowed else CHEAP
    assert certificate.upper_bound is not None
    assert certificate.upper_bound >= best * (1 - 1e-9)
    assert certificate.lower_bound is not None
    assert certificate.lower_bound <= best * (1 + 1e-6)
    if certificate.verdict == "CERTIFIED":
        assert certificate.lower_bound == pytest.approx(best, rel=2e-3)
    assert result.lower_bound is None or result.lower_bound <= best * (1 + 1e-6)


def test_profit_that_rests_on_the_tolerance_is_told() -> None:
    """Everybody on a way that is dearer by 9.99e-7: allowed, and the certificate says that 9 rest on it."""
    for apart, on_tolerance in ((9.99e-7, DEAR), (0.0, 0.0)):
        certificate = certify(two_routes(apart), all_on(two_routes(apart), "dear"), pessimistic_seconds=0)
        assert certificate.profit_on_tolerance == pytest.approx(on_tolerance, rel=1e-6)
        # Ten vehicles, 1e-6 of a cost of about 10 each, and hardly anything else.
        assert certificate.tolerance_allowance == pytest.approx(1e-4, rel=0.05)
        assert any("rest on routes that are dearer" in n for n in certificate.notes) == (on_tolerance > 0)


# ---- limits a hair missed -----------------------------------------------------------------------
def tight(missed: float) -> Instance:
    """Everybody must charge at the only station; its limit is below their load by this share."""
    game = make_instance(
        roads=[road("a", "d", hours=0.5, kwh=10.0)],
        pairs=[vehicle("a", "d", initial_kwh=15.0, final_kwh=15.0)],
        stations=[station("only", "d", power_factor=1.0)],
        trips={("a", "d"): [30.0]},
    )
    rated = 300.0 * (1.0 - missed)
    return replace(game, stations=(replace(game.stations[0], rated_kva=rated),))


@pytest.mark.parametrize(
    ("missed", "method"),
    [(m, "decomposed") for m in (-1e-6, 0.0, 5e-8, 3e-7, 9e-7, 2e-6, 1e-5, 1e-3)]
    + [(m, "monolithic") for m in (5e-8, 9e-7, 1e-5)],
)
def test_a_limit_missed_by_a_hair_is_neither_certified_nor_called_infeasible_wrongly(
    missed: float, method: Method
) -> None:
    """The judge allows 1e-7, the bound's game 1e-6: between them nothing is claimed either way."""
    _, certificate = solved(tight(missed), method)
    assert certificate.verdict != "REJECTED", certificate.failures
    if missed <= 0.9e-7:
        assert certificate.verdict == "CERTIFIED"
        assert certificate.lower_bound == pytest.approx(300.0 * 0.7, rel=1e-6)
    elif missed <= 1e-6:
        assert certificate.verdict in ("NO_POINT", "INFEASIBLE")
        assert certificate.verdict == "NO_POINT", "the eps-game has an allowed point"
    elif missed >= 1e-5:
        assert certificate.verdict == "INFEASIBLE"
    assert certificate.lower_bound is None or missed <= 1e-7


# ---- Ms that leak -------------------------------------------------------------------------------
@pytest.mark.parametrize("slope", [1e-2, 1e-4, 1e-6, 1e-7, 1e-8])
@pytest.mark.parametrize("solver", ["highs", "scip"])
def test_an_m_near_its_leak_is_right_or_not_certified(slope: float, solver: str) -> None:
    """max x + y, y in argmin{y : y >= 0, x - slope y <= 1}: 2 + 1/slope, with multipliers up to 1/slope."""
    model: Any = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 2))
    model.f = pyo.Block()
    model.f.y = pyo.Var(domain=pyo.NonNegativeReals)
    model.f.row = pyo.Constraint(expr=model.x - slope * model.f.y <= 1)
    model.f.cost = pyo.Objective(expr=model.f.y)
    model.profit = pyo.Objective(expr=model.x + model.f.y, sense=pyo.maximize)
    single = single_level(model, followers=[model.f], mode="big_m", solver=solver)
    solution = single.solve()
    truth = 2.0 + 1.0 / slope
    if solution.verdict == "CERTIFIED":
        assert solution.leader_objective == pytest.approx(truth, rel=1e-6)
    if slope <= 1e-6:
        assert single.written.leaking or not single.written.report


# ---- several equilibria --------------------------------------------------------------------------
def braess(xi: float = 1.0, demand: float = 20.0, periods: int = 1) -> Instance:
    """Braess with long stops on the middle way: isolated equilibria of one hour, Wmod 2.974, 7.108, 9.807 at demand
    20 and prices 0 and 1 (page 1: with residual flow an hour's answer need not be unique)."""
    unit = 0.002

    def link(start: str, end: str, fixed: float, slope: float) -> Any:
        fixed = fixed or 1e-9
        more = {"capacity_veh_per_h": fixed / slope, "bpr_alpha": 1.0, "bpr_beta": 1.0}
        return road(start, end, hours=fixed * unit, kwh=1.0, **more)

    game = make_instance(
        roads=[
            link("1", "3", 0, 10), link("1", "4", 50, 1), link("3", "2", 50, 1), link("3", "4", 10, 1),
            link("4", "2", 0, 10),
        ],
        pairs=[vehicle("1", "2", initial_kwh=45.0, max_kwh=200.0)],
        stations=[
            station("slow", "4", pile_kw=50.0, price_min=0.0, price_max=0.0),
            station("quick", "2", pile_kw=1e9, price_min=1.0, price_max=1.0),
        ],
        kappa_per_h=1.0, xi=xi, tau_money=0.2, trips={("1", "2"): [demand] * periods}, electricity_price=0.0,
    )  # fmt: skip
    ways = [
        DeclaredRoute("1", "2", ("1-3", "3-2"), (("quick", 1.0),)),
        DeclaredRoute("1", "2", ("1-4", "4-2"), (("quick", 1.0),)),
        DeclaredRoute("1", "2", ("1-3", "3-4", "4-2"), (("slow", 50.0),)),
    ]
    return replace(game, route_set=tuple(ways))


def equilibria(game: Instance) -> list[np.ndarray]:
    """All that many starts find, by total flow."""
    users = Follower(game).users
    prices = np.array([s.price_max for s in game.stations])
    found = users.candidates(0, prices, np.zeros(1), starts=12)
    return sorted(found, key=lambda w: float(w.sum()))


@pytest.mark.parametrize("demand", [20.0, 18.5, 21.0])
def test_the_intervals_and_the_milp_cover_every_equilibrium_of_an_hour(demand: float) -> None:
    game = braess(demand=demand)
    routes, follower = route_set(game), Follower(game)
    found = equilibria(game)
    if demand == 20.0:
        assert [float(w.sum()) for w in found] == pytest.approx([2.974, 7.108, 9.807], abs=1e-3)
    state = whole_states(routes)[0]
    dispatch = hour_dispatch(game, 0, state.box.high["load"])
    tightened, _, infeasible = tighten_hour(routes, state, dispatch, TIGHTENED, (), 0.0)
    assert not infeasible
    prices = np.array([s.price_max for s in game.stations])
    for flows in found:
        truth = truth_of(follower, 0, prices, np.zeros(1), flows)
        for known in (state, tightened):
            assert contained(routes, known, dispatch, truth) is None


@pytest.mark.parametrize("method", METHODS)
def test_the_upper_bound_is_above_the_best_of_several_equilibria(method: Method) -> None:
    """Prices have no room: the bound must hold for the answer that the leader likes best."""
    game = braess()
    routes = route_set(game)
    quick = game.station_index["quick"]
    best = max(float(w @ routes.plan_kwh[:, quick]) for w in equilibria(game))
    result, certificate = solved(game, method, gap=1e-2)
    assert certificate.verdict in ("CERTIFIED", "EQUILIBRIUM"), certificate.failures
    assert result.upper_bound is not None
    assert result.upper_bound >= best * (1 - 1e-9)
    assert certificate.lower_bound is not None
    assert certificate.lower_bound <= best * (1 + 1e-6)
    assert result.unique is not True


def test_respond_does_not_claim_uniqueness_where_there_are_several() -> None:
    for demand in (20.0, 18.5, 21.0):
        game = braess(demand=demand)
        answer = follow(game, np.array([[s.price_max] for s in game.stations]))
        assert answer.unique is not True
        assert len(equilibria(game)) > 1
    alone = braess(xi=0.0)
    assert follow(alone, np.array([[s.price_max] for s in alone.stations])).unique is not None
