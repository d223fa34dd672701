"""The exact nonconvex game by SCIP as a second truth: derived answers, and random games against the exact way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import instances
from formulations.residuals import evaluate
from formulations.routes import route_set
from instances.model import Instance
from mpec.exact_minlp import Exact, exact_minlp
from mpec.exact_operator import operator_program
from mpec.followers.answer import follow
from mpec.followers.dispatch import DispatchSolver
from mpec.linear_model import LinearModel
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import Found
from mpec.random_games import Size, random_game
from mpec.solvers import open_session
from mpec.soundness import Effort, Kind, Row, _against_exact, _closer, _inflated, check_game

pytest.importorskip("pyscipopt", reason="SCIP is in the extra [scip]")


@pytest.mark.parametrize(
    ("name", "tariff", "xi", "profit"),
    [
        ("tie", "fixed", None, 600.0),
        ("tie", "dlmp", None, 600.0),
        ("tie", "regulated", None, 600.0),
        ("two-period-residual", "dlmp", None, 1240.0),
        ("two-period-residual", "dlmp", 0.0, 1440.0),
        ("two-period-residual", "regulated", None, 1200.0),
        ("two-period-residual", "regulated", 0.0, 1440.0),
    ],
)
def test_derived_answers(name: str, tariff: str, xi: float | None, profit: float) -> None:
    game = instances.load(name).select(tariff=tariff, xi=xi)  # type: ignore[arg-type]
    exact = exact_minlp(game, 30.0)
    assert exact.best == pytest.approx(profit, rel=1e-6)
    assert exact.bound == pytest.approx(profit, rel=1e-6)


def solved_operator(game: Instance, t: int, s: int, load: np.ndarray) -> float:
    """The optimal value of the operator's program as this module writes it, money/h."""
    lp = operator_program(game, game.periods[t], game.scenarios[s])
    model = LinearModel("operator")
    column = {
        name: model.add_variable(name, -np.inf if name in lp.free else 0.0, cost=cost)
        for name, cost in lp.cost.items()
    }
    for name, terms, on_load, lower, upper in lp.rows:
        shift = sum(v * float(load[m]) for m, v in on_load.items())
        model.add_row(name, [column[c] for c in terms], list(terms.values()), lower - shift, upper - shift)
    solved = open_session(model).solve()
    assert solved.objective is not None
    available = sum(game.wind[game.scenarios[s].id, game.periods[t].id, f.id] for f in game.wind_farms)
    return solved.objective + game.feeder.curtailment_per_kwh * available


@pytest.mark.parametrize("seed", range(8))
def test_the_operator_written_twice_costs_the_same(seed: int) -> None:
    """Against the followers' own dispatch, at random loads (the cost is the mean over the scenarios)."""
    game = random_game(seed, Size(3, 2, 3))
    rng = np.random.default_rng(seed)
    for t in range(len(game.periods)):
        load = rng.uniform(0.0, 900.0, len(game.stations))
        mine = sum(s.probability * solved_operator(game, t, i, load) for i, s in enumerate(game.scenarios))
        _, cost = DispatchSolver(game).prices(t, load[None])
        assert mine == pytest.approx(float(cost[0]), rel=1e-7, abs=1e-6)


def test_the_best_prices_answered_exactly_earn_the_best_value() -> None:
    game = random_game(2, Size())
    exact = exact_minlp(game, 30.0)
    assert exact.prices is not None
    answer = follow(game, exact.prices)
    assert answer.point is not None
    assert all(r.value <= 1e-6 for r in evaluate(game, answer.point).values())
    assert answer.profit == pytest.approx(exact.best, rel=1e-5)


def test_a_game_without_allowed_prices_is_infeasible_for_scip_too() -> None:
    assert exact_minlp(random_game(16, Size()), 20.0).status == "infeasible"


QUICK = Effort(gap=1e-3, seconds=1.5, prices=0, contained=0, methods=("decomposed",), exact=1.5)


@pytest.mark.parametrize("seed", range(100, 117))
def test_intervals_and_scip_never_exclude_each_other(seed: int) -> None:
    """Up to three stations, periods and O-D pairs; with tests/test_agreement.py 30 games in all."""
    row = check_game(seed, Kind(Size(3, 3, 3)), QUICK)
    assert row.violations == []
    assert row.exact_status


def test_a_bound_of_scip_below_an_exact_answer_is_refuted_and_nobody_is_measured_by_it() -> None:
    """Game 296 of the long run: SCIP "closed" at 427.05 where prices earn 428.89 by the followers' exact answers."""
    kind = Kind(Size(2, 1, 1))
    result = solve_game(kind.game(4), SolveOptions(time_limit=20.0, say=lambda _: None))
    assert result.lower_bound is not None
    assert result.upper_bound is not None
    worth = result.lower_bound
    for earned, status, faults in ((worth, "refuted", 0), (worth - 2.0, "optimal", 1)):
        row = Row(4, str(kind), "dlmp", 0.0, 1, 1, 1, exact_status="optimal")
        exact = Exact(worth - 1.0, worth - 1.0, None, "optimal", 0.0)
        _against_exact(exact, {"decomposed": result}, Found(earned, None, 1), row)
        assert (row.exact_status, len(row.violations)) == (status, faults)
    # What SCIP has a point for counts against an upper bound in any case.
    row = Row(4, str(kind), "dlmp", 0.0, 1, 1, 1, exact_status="optimal")
    exact = Exact(result.upper_bound + 1.0, worth - 1.0, None, "optimal", 0.0)
    _against_exact(exact, {"decomposed": result}, Found(worth, None, 1), row)
    assert len(row.violations) == 1


def test_a_point_of_scip_above_a_bound_is_looked_for_again_and_a_false_bound_stays_charged() -> None:
    """Game 976 of the long run: 190.2548 by SCIP at 1e-7 in every row, 190.2462 at 1e-9, 190.2454 by its prices'
    exact answer; the bound was 190.2475."""
    kind, effort = Kind(Size(2, 1, 1)), Effort(exact=5.0)
    game = kind.game(4)
    result = solve_game(game, SolveOptions(time_limit=20.0, say=lambda _: None))
    assert result.lower_bound is not None
    assert result.upper_bound is not None
    worth = result.lower_bound
    for upper, faults in ((result.upper_bound, 0), (worth - 1.0, 1)):
        stated = {"decomposed": replace(result, lower_bound=None, upper_bound=upper)}
        row = Row(4, str(kind), "dlmp", 0.0, 1, 1, 1)
        exact = Exact(result.upper_bound + 1.0, result.upper_bound + 2.0, None, "timelimit", 0.0)
        assert _inflated(exact, stated)
        closer = _closer(game, route_set(game), exact, row, effort)
        assert closer.best == pytest.approx(worth, rel=1e-4)
        _against_exact(closer, stated, Found(worth, None, 1), row)
        assert len(row.violations) == faults
