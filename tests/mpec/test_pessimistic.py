"""The worst answer to given prices: exact against hand and enumeration, and no answer below the bound."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from factories import make_instance, random_instance, road, station, vehicle
from judged_game import answered, point_of
from scipy.optimize import nnls

import instances
from formulations.routes import Route, RouteSet, route_set
from instances.errors import InstanceError
from instances.model import Bus, Instance, Line
from mpec import worst_bill
from mpec.checks.equations import answer_of
from mpec.followers.answer import follow
from mpec.followers.dispatch import DispatchSolver
from mpec.followers.regulated import regulated_prices
from mpec.followers.users import Users
from mpec.linear_model import LinearModel
from mpec.pessimistic import Pessimistic, least_profit
from mpec.residual_relaxation import ResidualRelaxation
from mpec.safe_minimum import minimise
from mpec.solvers import HighsSession, Solved
from mpec.worst_users import keep_residuals, reference, tie_polytope

Array = np.ndarray
TARIFFS = ("fixed", "dlmp", "regulated")


def worst(instance: Instance, prices: Any, routes: RouteSet | None = None) -> Pessimistic:
    eq = follow(instance, np.array(prices, float), routes=routes)
    return least_profit(instance, point_of(eq), answer_of(instance, point_of(eq)), routes=routes)


# ---- by hand ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("tariff", TARIFFS)
def test_a_tie_of_the_users(tariff: Any):
    """Everybody may stay away at 0.40 (README of the instance); just below nobody does."""
    game = instances.load("tie").select(tariff=tariff)
    at_tie = worst(game, [[0.40]])
    assert at_tie.found == pytest.approx(0.0, abs=1e-6)
    assert at_tie.bound == pytest.approx(0.0, abs=1e-4)
    assert at_tie.how == "exact"
    below = worst(game, [[0.39]])
    assert below.found == pytest.approx(580.0)
    assert below.bound == pytest.approx(580.0, rel=1e-6)


def test_a_kink_of_the_operator():
    """At the line's limit the electricity price may be anything in [0.5, 2] (README of the instance)."""
    game = instances.load("line-limit").select(tariff="dlmp")
    assert point_of(follow(game, np.array([[0.8125]]))).profit == pytest.approx(46.875)
    answer = worst(game, [[0.8125]])
    assert answer.found == pytest.approx(-178.125, rel=1e-6)
    assert answer.bound == pytest.approx(-178.125, rel=1e-5)
    assert answer.bound <= answer.found


@pytest.mark.parametrize("stations", [1, 2, 4, 6, 8])
def test_corners_hold_every_load_of_the_box_with_such_a_sum(stations: int):
    """Every point is a mixture of the corners; up to WIDE stations no corner lies outside the set itself."""
    rng = np.random.default_rng(stations)
    for _ in range(8):
        low = 100.0 * rng.random(stations)
        high = low + 300.0 * rng.random(stations) * (rng.random(stations) < 0.8)
        inside = low + rng.random((5, stations)) * (high - low)
        total = float(inside.sum(axis=1).min()), float(inside.sum(axis=1).max())
        points = worst_bill.corners(low, high, total)
        if stations <= worst_bill.WIDE:
            assert np.all((points >= low) & (points <= high + 1e-9))
            assert points.sum(axis=1) == pytest.approx(np.clip(points.sum(axis=1), *total), rel=1e-8)
        for load in inside:
            mixture = np.vstack([points.T, np.ones(len(points))])
            shares, miss = nnls(mixture, np.append(load, 1.0))
            assert miss <= 1e-7 * (1.0 + float(load.sum()))
            assert shares.min() >= 0.0


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_on_the_nodal_bill_holds_over_the_whole_box(seed: int):
    """Kinks inside: at random loads the dearest bill is never above what the rows allow there."""
    rng = np.random.default_rng(seed)
    game, _ = tied_game(rng, "dlmp")
    high = np.full(3, 25.0 * game.trips["o", "d", 1])
    low = 0.2 * high
    total = 0.45 * float(high.sum()), 0.55 * float(high.sum())
    value = worst_bill.OperatorValue(game, 0, high)
    try:
        for _ in range(12):
            load = low + rng.random(3) * (high - low)
            load = np.clip(load * rng.uniform(*total) / load.sum(), low, high)
            if not total[0] <= load.sum() <= total[1]:
                continue
            model = LinearModel("loads")
            columns = model.add_variables(["a", "b", "c"], load, load)
            reach = float(rng.uniform(0.01, 1.0))
            terms, weights, constant = worst_bill.add_nodal_bill(
                model, value, columns, low, high, reach, total
            )
            solved = minimise(model, terms, -weights)
            assert solved is not None
            dearest = worst_bill.dearest_bill(game, 0, load).found
            assert -(solved.bound - constant) >= dearest * (1 - 1e-7)
    finally:
        value.close()


@pytest.mark.parametrize("failures", [1, 2])
def test_an_optimum_without_a_point_is_asked_for_once_more(failures: int, monkeypatch: pytest.MonkeyPatch):
    """HiGHS may end "optimal" at a point that breaks rows. The second time from no basis; then it is said plainly."""
    left = [0]

    class Forgetful(HighsSession):
        def solve(self, **options: Any) -> Solved:
            solved = super().solve(**options)
            if not left[0]:
                return solved
            left[0] -= 1
            return replace(solved, objective=None, x=None)

    monkeypatch.setattr(worst_bill, "HighsSession", Forgetful)
    game, _ = tied_game(np.random.default_rng(0), "dlmp")
    load = np.full(3, 5.0 * game.trips["o", "d", 1])
    value = worst_bill.OperatorValue(game, 0, 5.0 * load)
    try:
        cost, slope = value.at(load)
        value.at(2.0 * load)
        left[0] = failures
        if failures == 1:
            again, same = value.at(load)
            assert again == pytest.approx(cost, rel=1e-9)
            assert same == pytest.approx(slope, rel=1e-6, abs=1e-9)
        else:
            with pytest.raises(ArithmeticError, match="optimal without a point that keeps its rows"):
                value.at(load)
    finally:
        value.close()


@pytest.mark.parametrize("lie", [1.0, 0.9, 1.1, 0.0])
def test_the_dearest_bill_is_bounded_whatever_duals_the_solver_states(
    lie: float, monkeypatch: pytest.MonkeyPatch
):
    """300 kW at the kink, 2 per kWh at most: 600. Wrong duals make the bound looser, never false."""

    class Liar(HighsSession):
        def solve(self, **options: Any) -> Solved:
            solved = super().solve(**options)
            assert solved.row_duals is not None
            return replace(
                solved, row_duals=lie * solved.row_duals, objective=0.5 * (solved.objective or 0.0)
            )

    game = instances.load("line-limit").select(tariff="dlmp")
    loads = point_of(follow(game, np.array([[0.8125]]))).load_kw[:, 0]
    true = worst_bill.dearest_bill(game, 0, loads)
    assert true.found == pytest.approx(2.0 * loads[0], rel=1e-9)
    assert true.found <= true.bound <= true.found * (1 + 1e-9)
    monkeypatch.setattr(worst_bill, "HighsSession", Liar)
    lied = worst_bill.dearest_bill(game, 0, loads)
    assert lied.bound >= true.found * (1 - 1e-12)
    if lie != 1.0:
        assert lied.bound > true.bound


@pytest.mark.parametrize("tariff", TARIFFS)
@pytest.mark.parametrize("xi", [0.0, 0.5])
def test_without_ties_all_three_agree(tariff: Any, xi: float):
    game = instances.load("two-period-residual").select(tariff=tariff, xi=xi)
    prices = np.array([[0.45, 1.1]])
    profit = point_of(follow(game, prices)).profit
    answer = worst(game, prices)
    assert answer.found == pytest.approx(profit, rel=1e-9)
    assert profit * (1 - 1e-5) <= answer.bound <= profit


def test_answers_that_break_a_capacity_are_left_out_and_counted():
    """At the tie anything from 0 to 2000 kW may come; with 1000 kW allowed the rest is no answer."""
    tie = instances.load("tie").select(tariff="fixed")
    small = replace(tie, stations=(replace(tie.stations[0], rated_kva=1000.0),))
    loss = {key: replace(row, price_per_kwh=0.5) for key, row in small.tariff.items()}
    dear = replace(small, tariff=loss)
    answer = worst(dear, [[0.40]])
    assert answer.capacity_violated == 1
    assert answer.found == pytest.approx(1000.0 * (0.4 - 0.5), rel=1e-6)
    assert answer.bound == pytest.approx(answer.found, rel=1e-6)
    assert worst(tie, [[0.40]]).capacity_violated == 0


# ---- by enumeration --------------------------------------------------------------------------------
def tied_game(rng: np.random.Generator, tariff: str, periods: int = 1) -> tuple[Instance, Array]:
    """Three stations on three parallel ways, priced so that all are equally dear; a weak feeder."""
    hours, piles = rng.uniform(0.1, 0.5, 3), rng.choice([20.0, 40.0, 80.0], 3)
    base = make_instance(
        roads=[road("o", f"m{i}", hours=float(hours[i])) for i in range(3)]
        + [road(f"m{i}", "d", hours=0.1) for i in range(3)],
        pairs=[vehicle("o", "d", initial_kwh=15.0, final_kwh=20.0)],
        stations=[
            station(f"s{i}", f"m{i}", bus=str(2 + i), pile_kw=float(piles[i]), price_min=0.0, price_max=3.0)
            for i in range(3)
        ],
        trips={("o", "d"): [float(f) for f in rng.uniform(20.0, 60.0, periods)]},
        tariff_mode=tariff,  # type: ignore[arg-type]
    )
    limits = rng.uniform(150.0, 700.0, 3)
    game = replace(
        base,
        feeder=replace(base.feeder, voll_per_kwh=2.0),
        buses=(Bus("1", 0.0, 0.0, 0.9, 1.1), *(Bus(str(2 + i), 50.0, 10.0, 0.9, 1.1) for i in range(3))),
        lines=tuple(Line(f"l{i}", "1", str(2 + i), 0.1, 0.1, float(limits[i])) for i in range(3)),
        tariff={
            key: replace(row, price_per_kwh=0.2 + 0.1 * n, price_min=0.1, price_max=0.9, price_mean_max=0.4)
            for n, (key, row) in enumerate(base.tariff.items())
        },
    )
    # 15 kWh at every way: 15 rho + 20 (hours + 15 / pile) is the same for all.
    time = 20.0 * (hours + 15.0 / piles)
    prices = 0.6 + (time.mean() - time) / 15.0
    return game, np.repeat(prices[:, None], periods, axis=1)


def profit_at(game: Instance, solver: DispatchSolver, prices: Array, loads: Array) -> float:
    """With the dearest electricity; loads (M, T)."""
    revenue = float((prices * loads).sum())
    if game.tariff_mode == "regulated":
        return revenue - float((regulated_prices(game, loads).price * loads).sum())
    if game.tariff_mode == "fixed":
        return revenue - sum(
            float(game.tariff[m.id, t.id].price_per_kwh or 0.0) * loads[i, j]
            for i, m in enumerate(game.stations)
            for j, t in enumerate(game.periods)
        )
    return revenue - sum(
        float(solver.period(t, loads[:, t], favour=-1).price @ loads[:, t]) for t in range(loads.shape[1])
    )


@pytest.mark.parametrize("tariff", TARIFFS)
def test_the_worst_split_of_tied_vehicles_is_that_of_a_fine_grid(tariff: str):
    """Three tied ways, kinks of the operator inside: bound and worst found are not above the grid's least."""
    rng = np.random.default_rng(11)
    for _ in range(4):
        game, prices = tied_game(rng, tariff)
        answer = worst(game, prices)
        assert answer.how == "exact"
        assert answer.found is not None
        assert answer.bound is not None
        assert answer.bound <= answer.found
        total, solver = game.trips["o", "d", 1] * 15.0, DispatchSolver(game)
        steps = 40
        shares = (
            np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
        )
        grid = [profit_at(game, solver, prices, (total * share)[:, None]) for share in shares]
        size = float(np.abs(prices).max()) * total
        assert answer.bound <= min(grid) + 1e-6 * size
        assert answer.found <= min(grid) + 1e-6 * size
        # and no grid of this width misses the worst by more than its cells and one kink's jump allow
        assert answer.found >= min(grid) - 0.2 * size


@pytest.mark.parametrize("tariff", TARIFFS)
def test_two_periods_are_bounded_together(tariff: str):
    """The regulated tariff couples the periods; the others add up."""
    game, prices = tied_game(np.random.default_rng(5), tariff, periods=2)
    answer = worst(game, prices)
    assert answer.bound is not None
    assert answer.found is not None
    assert answer.found - answer.bound <= 1e-5 * abs(answer.found) + 1e-3
    solver, rng = DispatchSolver(game), np.random.default_rng(0)
    for _ in range(200):
        loads = np.column_stack(
            [rng.dirichlet(np.full(3, 0.3)) * game.trips["o", "d", t] * 15.0 for t in (1, 2)]
        )
        assert profit_at(game, solver, prices, loads) >= answer.bound - 1e-6


# ---- with residual flow ----------------------------------------------------------------------------
@pytest.mark.parametrize("tariff", ["fixed", "dlmp"])
def test_every_split_of_tied_vehicles_with_residual_flow_is_enclosed(tariff: str):
    """One period, three tied ways of different lengths: every split is an answer, its vehicles by (23)-(26). The worst
    one found is the worst of those that leave the residual as it is, and the bound is below all."""
    rng = np.random.default_rng(3)
    for _ in range(2):
        game, prices = tied_game(rng, tariff)
        game = replace(game, users=replace(game.users, xi=0.5))
        routes = route_set(game)
        eq = follow(game, prices, routes=routes)
        answer = least_profit(game, point_of(eq), answer_of(game, point_of(eq)), routes=routes)
        assert answer.bound is not None
        assert answer.found is not None
        hours = routes.on_road @ np.array([r.free_flow_h for r in game.roads]) + routes.charging_h
        demand, rate = game.trips["o", "d", 1], game.users.xi * game.residual_rate
        solver, steps = DispatchSolver(game), 30
        shares = (
            np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps
        )
        flows = demand * shares / (1.0 + rate * (shares @ hours))[:, None]
        profits = np.array([profit_at(game, solver, prices, (w @ routes.plan_kwh)[:, None]) for w in flows])
        size = float(np.abs(prices).max()) * demand * 15.0
        assert answer.bound <= profits.min() + 1e-6 * size
        assert answer.bound <= answer.found + 1e-9 * size
        # no worse than what the enumeration has, and at most its cells and a kink's jump better
        assert answer.found >= profits.min() - 0.2 * size
        own = point_of(eq).load_kw
        assert answer.found <= profit_at(game, solver, prices, own) + 1e-6 * size


def test_a_split_that_keeps_the_residual_is_an_answer():
    """Vertices of the polytope with the hours kept: equilibria with the same residual, by the users' own test."""
    game, prices = tied_game(np.random.default_rng(3), "fixed")
    game = replace(game, users=replace(game.users, xi=0.5))
    routes, nothing = route_set(game), np.zeros(1)
    users = Users(routes)
    flows = np.full((1, len(routes.routes)), 5.0)
    flows, gap = users.solve(0, prices[None, :, 0], nothing[None], flows)
    assert gap[0] <= 1e-9
    at = reference(routes, prices[:, 0], flows[0])
    part = tie_polytope(routes, prices[:, 0], at, np.array([flows[0].sum()]))
    keep_residuals(part, routes, at)
    residual = users.residual(flows)[0][0]
    met = []
    for direction in np.random.default_rng(0).normal(size=(12, len(part.flow))):
        solved = minimise(part.model, part.flow, direction)
        assert solved is not None
        assert solved.x is not None
        other = np.zeros(len(routes.routes))
        other[part.routes] = np.maximum(solved.x[part.flow], 0.0)
        assert users.gap(0, other, prices[:, 0], nothing) <= 1e-8
        assert users.residual(other[None])[0][0] == pytest.approx(residual, rel=1e-8)
        met.append(other)
    assert np.ptp(np.array(met), axis=0).max() > 1.0


def test_the_judged_game_is_enclosed_tightly():
    eq = answered("dlmp")
    point = point_of(eq)
    answer = least_profit(eq.instance, point, answer_of(eq.instance, point))
    assert answer.bound == pytest.approx(point.profit, rel=1e-4)
    assert answer.bound <= answer.found <= point.profit * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_no_answer_met_from_many_starts_is_below_the_bound(seed: int):
    """Random networks with residual flow: forward answers from random starts, ties broken at random."""
    rng = np.random.default_rng(seed)
    while True:
        try:
            game = random_instance(
                rng, nodes=5, extra_roads=4, pairs=2, periods=2, demand=120.0, xi=0.5, tariff_mode="fixed",
                outside=True,
            )  # fmt: skip
            routes = route_set(game)
            break
        except InstanceError:
            continue
    prices = np.array([[rng.uniform(s.price_min, s.price_max) for _ in game.periods] for s in game.stations])
    answer = worst(game, prices, routes)
    assert answer.bound is not None
    assert answer.found is not None
    assert answer.bound <= answer.found
    users = Users(routes)
    for _ in range(15):
        incoming, profit = np.full(len(game.pairs), game.users.initial_residual), 0.0
        for t in range(2):
            start = rng.dirichlet(np.full(len(routes.routes), 0.2))[None]
            flows, gap = users.solve(t, prices[None, :, t], incoming[None], start)
            assert gap[0] < 1e-8
            residual, _, load = users.residual(flows)
            profit += float(((prices[:, t] - 0.3) * load[0]).sum())
            incoming = residual[0]
        assert profit >= answer.bound - 1e-6 * abs(answer.bound)


def braess_with_stops() -> tuple[RouteSet, Array]:
    """Three isolated equilibria of one hour: Wmod 2.974, 7.108, 9.807 (tests of the users' followers)."""
    unit = 0.002

    def link(start: str, end: str, fixed: float, slope: float) -> Any:
        fixed = fixed or 1e-9
        return road(
            start,
            end,
            hours=fixed * unit,
            kwh=1.0,
            capacity_veh_per_h=fixed / slope,
            bpr_alpha=1.0,
            bpr_beta=1.0,
        )

    game = make_instance(
        roads=[link("1", "3", 0, 10), link("1", "4", 50, 1), link("3", "2", 50, 1), link("3", "4", 10, 1),
               link("4", "2", 0, 10)],
        pairs=[vehicle("1", "2", initial_kwh=45.0)],
        stations=[station("slow", "4", pile_kw=50.0, price_min=0.0),
                  station("quick", "2", pile_kw=1e9, price_min=0.0)],
        kappa_per_h=1.0, xi=1.0, tau_money=0.2, trips={("1", "2"): [20.0]}, electricity_price=0.0,
    )  # fmt: skip
    ways = [(0, 2), (1, 4), (0, 3, 4)]
    plans = [((1, 1.0),), ((1, 1.0),), ((0, 50.0),)]
    routes = RouteSet(game, tuple(Route(0, w, p) for w, p in zip(ways, plans, strict=True)), False, True)
    return routes, np.array([0.0, 1.0])


def test_isolated_equilibria_of_an_hour_are_all_inside():
    routes, prices = braess_with_stops()
    users = Users(routes)
    found = users.candidates(0, prices, np.zeros(1), starts=12)
    totals = sorted(float(w.sum()) for w in found)
    assert totals == pytest.approx([2.974, 7.108, 9.807], abs=1e-3)
    for flows in found:
        relaxation = ResidualRelaxation(
            routes, 0, prices, (np.zeros(1), np.zeros(1)), reference(routes, prices, flows)
        )
        relaxation.tighten()
        assert relaxation.box.vehicles_low[0] <= totals[0] + 1e-9
        assert relaxation.box.vehicles_high[0] >= totals[-1] - 1e-9


def test_the_worst_of_isolated_equilibria_is_above_the_bound():
    routes, prices = braess_with_stops()
    game = routes.instance
    eq = follow(game, prices[:, None], routes=routes)
    answer = least_profit(game, point_of(eq), answer_of(game, point_of(eq)), routes=routes)
    users = Users(routes)
    profits = [
        float(((prices - 0.0) * (w @ routes.plan_kwh)).sum())
        for w in users.candidates(0, prices, np.zeros(1), starts=12)
    ]
    assert len(profits) == 3
    assert answer.bound is not None
    assert answer.bound <= min(profits) + 1e-9


def test_out_of_time_the_bound_is_loose_but_valid_and_says_so():
    eq = answered("dlmp")
    point = point_of(eq)
    hurried = least_profit(eq.instance, point, answer_of(eq.instance, point), seconds=1e-9)
    patient = least_profit(eq.instance, point, answer_of(eq.instance, point))
    assert hurried.bound is not None
    assert patient.bound is not None
    assert hurried.bound <= patient.bound + 1e-6
    assert any("time ran out" in note for note in hurried.notes)


def test_how_far_it_gets_depends_on_the_work_and_not_on_the_machine(monkeypatch: pytest.MonkeyPatch):
    eq = answered("dlmp")
    point = point_of(eq)
    first = least_profit(eq.instance, point, answer_of(eq.instance, point), seconds=0.05)
    for clock in ("process_time", "perf_counter", "monotonic", "time"):
        running = getattr(time, clock)
        monkeypatch.setattr(time, clock, lambda running=running: 1000.0 * running())
    second = least_profit(eq.instance, point, answer_of(eq.instance, point), seconds=0.05)
    assert first == second
    assert any("time ran out" in note for note in first.notes)
