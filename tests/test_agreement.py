"""The exact way against independent truth: hand derivations, exact answers to many prices, true equilibria.

Short form; the long one is `python -m mpec.soundness`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import instances
from formulations.routes import route_set
from instances.model import TariffMode
from mpec import containment
from mpec.followers.answer import Follower
from mpec.hour_dispatch import hour_dispatch
from mpec.hour_solve import build_hour
from mpec.judging import judge
from mpec.options import Method, SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import best_price
from mpec.random_games import Size, random_game
from mpec.soundness import Effort, Kind, check_game, drawn_kind
from mpec.value_cuts import Reference

DERIVED = [
    ("closed-form-price", "fixed", None, 50.0),
    ("closed-form-price", "dlmp", None, 50.0),
    ("closed-form-price", "regulated", None, 50.0),
    ("tie", "fixed", None, 600.0),
    ("tie", "dlmp", None, 600.0),
    ("tie", "regulated", None, 600.0),
    ("two-period-residual", "fixed", None, 1240.0),
    ("two-period-residual", "dlmp", None, 1240.0),
    ("two-period-residual", "regulated", None, 1200.0),
    ("two-period-residual", "dlmp", 0.0, 1440.0),
    ("two-period-residual", "regulated", 0.0, 1440.0),
    ("line-limit", "fixed", None, 50.0),
    ("line-limit", "dlmp", None, 46.875),
    ("line-limit", "regulated", None, 50.0),
]

QUICK = Effort(gap=2e-3, seconds=3.0, prices=150, contained=0)


@pytest.mark.parametrize("method", ["decomposed", "monolithic"])
@pytest.mark.parametrize(("name", "tariff", "xi", "profit"), DERIVED)
def test_derived_answers_are_certified(
    name: str, tariff: TariffMode, xi: float | None, profit: float, method: Method
) -> None:
    """lower equals the derivation to 1e-6; upper is above it by little more than the eps-game's allowance."""
    game = instances.load(name).select(tariff=tariff, xi=xi)
    result = solve_game(game, SolveOptions(method=method, gap=1e-4, time_limit=20.0, workers=1))
    certificate = judge(result, gap=1e-4, recheck=True)
    # The monolithic MILP has four pieces a road, whatever the game needs.
    reached = 0.07 if (name, tariff, method) == ("line-limit", "dlmp", "monolithic") else 1e-4
    assert certificate.verdict == ("CERTIFIED" if reached <= 1e-4 else "EQUILIBRIUM"), certificate.notes
    assert certificate.lower_bound == pytest.approx(profit, rel=1e-6)
    assert certificate.upper_bound is not None
    assert profit * (1 - 1e-9) <= certificate.upper_bound <= profit * (1 + reached)


@pytest.mark.parametrize("seed", [*range(4), *range(5, 12), 14, 16])
def test_no_exact_answer_beats_the_bound(seed: int) -> None:
    """Grid and pattern search never exceed an upper bound, bounds never cross, INFEASIBLE is true, verdicts follow."""
    assert check_game(seed, effort=QUICK).violations == []


def test_rivals_and_price_steps_are_drawn_and_pass() -> None:
    kinds = [drawn_kind(seed, Size(3, 3, 3)) for seed in range(385)]
    assert {str(kind) for kind in kinds} == {
        size + rivals + steps
        for size in ("3-3-3", "2-2-2")
        for rivals in ("", "+rivals")
        for steps in ("", "+steps")
    }
    effort = replace(QUICK, seconds=1.0, prices=60, exact=2.0)
    row = check_game(4, Kind(Size(2, 1, 1), rivals=True, steps=True), effort)
    assert {"rivals", "steps"} <= set(row.mechanisms.split())
    assert row.violations == []


@pytest.mark.parametrize("method", ["decomposed", "monolithic"])
def test_an_empty_hour_whose_plain_relaxation_has_points_is_shown_empty_again(method: Method) -> None:
    """Even the dearest price keeps everybody at the small station; only a time closer to the curve shows it."""
    result = solve_game(random_game(73, Size()), SolveOptions(method=method, time_limit=20.0, workers=1))
    assert result.status == "infeasible"
    certificate = judge(result, recheck=True)
    assert certificate.verdict == "INFEASIBLE", certificate.notes


def test_out_of_time_before_any_bound_nothing_is_claimed_and_nothing_refuted() -> None:
    result = solve_game(random_game(100, Size()), SolveOptions(time_limit=0.01, workers=1))
    assert (result.status, result.upper_bound) == ("no_point", None)
    certificate = judge(result, recheck=True)
    assert certificate.verdict == "NO_POINT"
    assert certificate.failures == ()
    # A bound that is stated without a step that gives it is refuted all the same.
    assert judge(replace(result, upper_bound=1e6), recheck=True).verdict == "REJECTED"


@pytest.mark.parametrize("seed", [3, 4, 6, 8, 79])
def test_true_equilibria_lie_inside_the_hours_relaxations(seed: int) -> None:
    """All forms: propagated, with cuts, partitions, binaries, tightened; exact and eps-equilibria."""
    size = Size(3, 2, 3)
    outcome = containment.check_containment(route_set(random_game(seed, size)), prices=2, seed=seed)
    assert outcome.checks > 0
    assert outcome.violations == []


def test_containment_sees_what_is_wrong() -> None:
    """The check has teeth: a moved vehicle, a wrong price, a false cut and a false interval are all seen."""
    game = random_game(3)
    routes = route_set(game)
    follower = Follower(game, routes)
    state = containment.whole_states(routes)[0]
    dispatch = hour_dispatch(game, 0, state.box.high["load"])
    middle = np.array([[0.5 * (s.price_min + s.price_max)] * len(game.periods) for s in game.stations])
    truth = containment.answers(follower, middle)[0][0]
    assert containment.contained(routes, state, dispatch, truth) is None

    dearer = replace(truth, price=truth.price * 1.01)
    assert containment.contained(routes, state, dispatch, dearer) is not None
    k = int(np.argmax(truth.route_flow))
    flows = truth.route_flow.copy()
    flows[k] *= 0.99
    moved = replace(truth, route_flow=flows)
    assert containment.contained(routes, state, dispatch, moved) is not None
    richer = replace(truth, profit=truth.profit + 0.01 * truth.turnover)
    assert containment.contained(routes, state, dispatch, richer) is not None
    box = state.box.copy()
    box.high["cheapest"][:] = truth.cheapest - 1e-3
    assert containment.contained(routes, replace(state, box=box), dispatch, truth) is not None


def test_a_cut_that_does_not_serve_the_demand_is_refused() -> None:
    """A value-function cut is valid only for flows that serve everybody."""
    routes = route_set(random_game(3))
    state = containment.whole_states(routes)[0]
    shares = np.zeros(len(routes.routes))
    with pytest.raises(ValueError, match="doesn't serve its demand"):
        build_hour(routes, replace(state, references=[Reference(shares)]), None)


@pytest.mark.parametrize("seed", [1, 5, 9, 10, 23])
def test_no_row_or_column_of_an_hour_is_about_as_narrow_as_the_solver_tolerance(seed: int) -> None:
    """HiGHS is wrong where they are: ranges are equations or at least 9e-7 wide."""
    game = random_game(seed)
    routes = route_set(game)
    follower = Follower(game, routes)
    rng = np.random.default_rng(seed)
    middle = np.array([[0.5 * (s.price_min + s.price_max)] * len(game.periods) for s in game.stations])
    met = containment.answers(follower, middle)
    for state, truths in zip(containment.whole_states(routes), met, strict=True):
        dispatch = hour_dispatch(game, state.t, state.box.high["load"])
        state = containment.with_cuts(routes, state, truths[:2], follower, rng)
        state = containment.with_pieces(state, truths[0], rng)
        pairs = containment.all_pairs(routes, state.t, dispatch)
        exact = game.tariff_mode == "dlmp"
        model, _ = build_hour(routes, replace(state, exact_dispatch=exact, dispatch_pairs=pairs), dispatch)
        for names, lower, upper in (
            (model.column_names, model.lower, model.upper),
            (model.row_names, model.row_lower, model.row_upper),
        ):
            narrow = [n for n, a, b in zip(names, lower, upper, strict=True) if 0.0 < b - a < 9e-7]
            assert narrow == []


def test_the_price_search_finds_the_derived_optimum() -> None:
    """The truth's own check: the parabola's top of `closed-form-price`, 50 at 0.75."""
    game = instances.load("closed-form-price")
    found = best_price(game, Follower(game), count=50)
    assert found.profit == pytest.approx(50.0, rel=1e-9)
    assert found.prices is not None
    assert found.prices[0, 0] == pytest.approx(0.75, abs=1e-4)
