"""The exact nonconvex game by SCIP as a second truth: derived answers, and random games against the exact way."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

import instances
from formulations.prices import price_box
from formulations.residuals import evaluate
from formulations.routes import route_set
from instances.model import Instance
from mpec.equilibrium import Equilibrium
from mpec.exact_minlp import Exact, best_answer, exact_minlp
from mpec.exact_operator import operator_program
from mpec.followers.answer import Follower, follow
from mpec.followers.dispatch import DispatchSolver
from mpec.linear_model import LinearModel
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import Found
from mpec.random_games import Size, random_game
from mpec.solvers import open_session
from mpec.soundness import Effort, Kind, Row, _against_exact, _settled, check_game, drawn_kind
from mpec.soundness_table import summary

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


def charged(upper: float, status: str = "timelimit") -> tuple[Row, dict[str, Equilibrium], Exact]:
    """The tie at prices that all drivers are indifferent between (worth 600), charged with a point of SCIP's that
    lies above the bound stated for it."""
    game = instances.load("tie")
    stated = Equilibrium(game, "decomposed", "feasible", None, upper_bound=upper)
    row = Row(0, "tie", "fixed", 0.0, 1, 1, 1, exact_status=status)
    answered = exact_minlp(game, 30.0)
    assert answered.prices is not None
    return row, {"decomposed": stated}, Exact(upper + 1.0, upper + 2.0, answered.prices, status, 0.0)


def settled(row: Row, results: dict[str, Equilibrium], exact: Exact) -> Exact:
    game = results["decomposed"].instance
    routes = route_set(game)
    end = _settled(Follower(game, routes), routes, exact, results, row, Effort(exact=1.0))
    _against_exact(end, results, Found(None, None, 0), row)
    return end


def test_a_charge_is_dropped_by_a_proof_at_its_own_prices() -> None:
    row, results, exact = charged(600.1)
    end = settled(row, results, exact)
    assert row.violations == []
    assert end.best == row.exact_best == pytest.approx(600.0)
    assert row.exact_status == "timelimit, no counterexample at its prices"


def test_a_false_bound_stays_charged() -> None:
    row, results, exact = charged(599.9)
    end = settled(row, results, exact)
    assert end.best == pytest.approx(600.0)
    assert [v.split(":")[0] for v in row.violations] == ["exact"]
    assert row.exact_status == "timelimit"


PROVES_NOTHING = [
    ("timelimit", None, None),
    # As a second search that finds less by accident: nothing says that there is no more.
    ("timelimit", 500.0, 700.0),
    # Claims that the followers' exact answer, worth 600, contradicts.
    ("optimal", 500.0, 500.0),
    ("infeasible", None, None),
]


@pytest.mark.parametrize(("status", "best", "bound"), PROVES_NOTHING)
def test_a_charge_that_nothing_clears_is_a_violation(
    status: str, best: float | None, bound: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, results, exact = charged(600.1)
    monkeypatch.setattr(
        "mpec.soundness.best_answer", lambda *_, **__: Exact(best, bound, exact.prices, status, 0.0)
    )
    end = settled(row, results, exact)
    assert end.best is None
    assert [v.split(":")[0] for v in row.violations] == ["unsettled"]
    assert row.exact_status == "timelimit, unsettled"
    written = {**dict.fromkeys((f.name for f in fields(Row)), ""), "seed": "0"}
    page = summary([{**written, "exact_status": row.exact_status, "violations": row.violations[0]}])
    assert "neither proven nor cleared (a violation) | 1 |" in page
    assert "**games with a violation** | **1** |" in page


def test_the_point_that_once_looked_worth_more_than_a_bound() -> None:
    """Game 976 of the long run: 190.2548 by SCIP at 1e-7 in every row, the bound was 190.24748. At its prices all
    drivers are indifferent, and the nodal price jumps at the best split."""
    game = Kind(Size(2, 2, 2)).game(976)
    prices = np.array([[0.782], [0.782]])
    best = best_answer(game, prices, 60.0)
    assert best.status == "gaplimit"
    assert best.bound == pytest.approx(190.24537, rel=2e-6)
    assert follow(game, prices).profit == pytest.approx(best.best, rel=1e-8)
    # A tie that rounding breaks is still one.
    near = best_answer(game, prices + np.array([[3e-8], [-3e-8]]), 60.0)
    assert near.best == pytest.approx(best.best, rel=1e-6)


@pytest.mark.parametrize("seed", [*range(6), 11, 12, 19, 27, 58])
def test_answers_at_given_prices_are_covered_and_the_only_one_is_met(seed: int) -> None:
    """Games of all tariffs, some with rivals, at random prices: SCIP's end covers the exact answer, and is it where
    the answer is proven to be the only one. At 1e-9 SCIP breaks off on game 4 and finds game 11 infeasible."""
    game = drawn_kind(seed, Size()).game(seed)
    low, high = price_box(game)
    prices = low + np.random.default_rng(seed).random(low.shape) * (high - low)
    answer, best = follow(game, prices), best_answer(game, prices, 10.0)
    assert answer.point is not None
    capacity = np.array([s.capacity_kw for s in game.stations])[:, None]
    if (answer.point.load_kw > capacity * (1.0 + 1e-6)).any():
        assert not answer.unique or best.status == "infeasible"
        return
    assert best.bound is not None
    assert answer.profit is not None
    assert best.bound >= answer.profit - 1e-6 * max(1.0, abs(answer.profit))
    if answer.unique:
        assert best.bound == pytest.approx(answer.profit, rel=2e-5, abs=2e-5)
