"""Hours closed from what is known: the proofs of emptiness, the bounds, and records that claim too much."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import instances
from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.coupling import Multipliers, no_multipliers
from mpec.effort import Effort
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import Follower
from mpec.hour_closing import Closing
from mpec.hour_dispatch import hour_dispatch
from mpec.hour_search import hour_game, search_hour
from mpec.hour_solve import bound_hour, with_bill_cuts
from mpec.hour_state import HourState, first_states
from mpec.hour_tasks import sharpen
from mpec.linear_model import LinearModel
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import price_box, within_caps
from mpec.random_games import Size, random_game
from mpec.recheck import recheck_bound
from mpec.solvers.highs import HighsSession
from mpec.solvers.session import proven_empty


def two_rows(gap: float) -> LinearModel:
    """x + y >= 1 + gap, x + y <= 1 on [0, 2]^2: empty for gap > 0."""
    model = LinearModel(name="two rows", maximise=True)
    x, y = model.add_variable("x", 0.0, 2.0), model.add_variable("y", 0.0, 2.0)
    model.add_row("least", [x, y], [1.0, 1.0], lower=1.0 + gap)
    model.add_row("most", [x, y], [1.0, 1.0], upper=1.0)
    return model


def test_a_ray_proves_an_empty_relaxation_and_only_that() -> None:
    empty = two_rows(0.5)
    session = HighsSession(empty)
    assert session.solve(relax=True).status == "infeasible"
    ray = session.infeasibility_ray()
    assert ray is not None
    assert proven_empty(empty, ray)
    assert not proven_empty(two_rows(0.0), ray)
    assert not proven_empty(empty, np.zeros(2))
    assert not proven_empty(empty, np.array([1.0, 1.0]))
    assert not proven_empty(empty, np.array([np.nan, 1.0]))


def test_no_multipliers_prove_a_model_with_points_empty() -> None:
    rng = np.random.default_rng(3)
    feasible = two_rows(-0.2)
    assert not any(
        proven_empty(feasible, rng.normal(size=2) * 10.0**k) for k in range(-3, 4) for _ in range(50)
    )


def hour(name: str) -> tuple[Instance, RouteSet, HourState, Multipliers]:
    game = instances.load(name)
    game = game.select(periods=(game.periods[0].id, game.periods[0].id))
    routes = route_set(game)
    state = replace(first_states(routes)[0], choices=frozenset())
    if game.tariff_mode == "dlmp":
        operator = Follower(game, routes).dispatch
        most = state.box.high["load"]
        state = with_bill_cuts(state, operator, [0.0 * most, 0.5 * most, most])
    return game, routes, state, no_multipliers(game)


def best_answer(game: Instance, routes: RouteSet, count: int = 400) -> float:
    """The best profit of random allowed prices, by exact answers."""
    low, high = price_box(game)
    prices = low + np.random.default_rng(1).random((count, *low.shape)) * (high - low)
    prices = np.concatenate([prices, high[None], 0.5 * (low + high)[None]])
    profit, excess = Follower(game, routes).evaluate(within_caps(game, prices))
    return float(np.where(excess <= 0.0, profit, -np.inf).max())


@pytest.mark.parametrize("name", ["closed-form-price", "tie", "line-limit", "two-period-residual"])
def test_a_closed_hour_is_bounded_by_what_its_best_equilibrium_earns(name: str) -> None:
    game, routes, state, none = hour(name)
    dispatch = hour_dispatch(game, 0, state.box.high["load"], False)
    tariff = (
        None
        if game.tariff_mode == "dlmp"
        else np.array(
            [game.tariff[s.id, game.periods[0].id].price_per_kwh for s in game.stations], dtype=float
        )
    )
    low, high = price_box(game)
    incoming = np.full(len(game.pairs), game.users.initial_residual)
    found = search_hour(routes, 0, incoming, none, tariff, 0.5 * (low + high).T)
    assert found
    best = found[0].value(none, game.period_h)
    best_random = best_answer(game, routes)
    enough = 1e-4 * max(abs(best), 1.0)
    done = sharpen(routes, state, dispatch, none, (), best, enough, Effort(20.0), "highs", 0, 100.0)
    assert done.outcome.bound >= max(best, best_random) - 1e-6 * max(abs(best), 1.0)
    assert done.outcome.bound <= best + 10 * enough


def test_levels_above_the_truth_are_proven_and_those_below_are_not_undercut() -> None:
    """A level may be any number: the bound is never below the truth, however low the level is set."""
    game, routes, state, none = hour("closed-form-price")
    dispatch = hour_dispatch(game, 0, state.box.high["load"], False)
    truth = best_answer(game, routes)
    plain = bound_hour(routes, state, dispatch, none, relax=True).bound
    for known in (-100.0, 0.0, 0.5 * truth, truth):
        closing = Closing(routes, dispatch, none, (), known, state, plain, state)
        for _ in range(6):
            closing.shrink()
        assert closing.bound >= truth - 1e-6 * abs(truth)
        assert closing.bound <= plain


def test_an_hour_game_has_the_hours_demand_and_no_caps() -> None:
    game = instances.load("two-period-residual")
    routes = route_set(game)
    incoming = np.arange(1.0, len(game.pairs) + 1.0)
    alone = hour_game(routes, 1, incoming, None).instance
    assert [p.id for p in alone.periods] == [game.periods[1].id]
    for n, pair in enumerate(game.pairs):
        expected = game.demand(pair, game.periods[1]) + game.users.xi * incoming[n]
        assert alone.demand(pair, alone.periods[0]) == pytest.approx(expected, rel=1e-15)
    assert all(s.price_mean_max is None for s in alone.stations)
    assert alone.users.initial_residual == 0.0


def proofs(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [h["local"] for h in record["steps"][record["best"]]["hours"] if h["local"] is not None]


@pytest.fixture(scope="module")
def solved() -> Equilibrium:
    """A random hour that MILPs alone don't close."""
    for seed in (3, 8, 9):
        game = random_game(seed, Size(3, 1, 3))
        result = solve_game(game, SolveOptions(gap=1e-5, sweeps=1, time_limit=10.0, say=lambda _: None))
        if result.point is not None and result.bound_record and proofs(result.bound_record):
            return result
    raise AssertionError("no hour was closed by levels: the tests that follow would show nothing")


def test_a_closed_hour_is_proven_again_from_its_record(solved: Equilibrium) -> None:
    again = recheck_bound(solved)
    assert again.state == "confirmed"
    assert again.upper_bound == pytest.approx(solved.upper_bound, rel=2e-6)


@pytest.mark.parametrize("lie", ["level", "interval", "dropped"])
def test_a_falsified_proof_is_not_confirmed(solved: Equilibrium, lie: str) -> None:
    """Claims that no LP confirms are not taken over, and a level never lowers a bound by itself."""
    record = copy.deepcopy(solved.bound_record)
    step = record["steps"][record["best"]]
    local = next(h["local"] for h in step["hours"] if h["local"] is not None)
    cheat = 0.05 * abs(solved.upper_bound)
    if lie == "level":
        local["level"] -= cheat
        local["rounds"] = []
    elif lie == "interval":
        local["rounds"] = [{"intervals": [["price", 0, 0.9, 0.9000001]], "dropped": []}]
    else:
        local["rounds"] = [
            {"intervals": [], "dropped": list(range(len(solved.bound_record["references"][0][0])))}
        ]
    step["bounds"] = [b - cheat for b in step["bounds"]]
    step["total"] -= cheat
    lower = solved.lower_bound
    assert lower is not None
    liar = replace(solved, bound_record=record, upper_bound=max(solved.upper_bound - cheat, lower))
    outcome = recheck_bound(liar)
    assert outcome.state in ("undecided", "refuted")
    if outcome.upper_bound is not None:
        assert outcome.upper_bound >= lower - 1e-6 * abs(lower)
