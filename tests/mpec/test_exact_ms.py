"""Ms free of rounding errors: the recheck counts them, and certifies nothing that rests on others."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from formulations.routes import route_set
from instances.model import Road
from mpec.equilibrium import Equilibrium
from mpec.expression import Expression
from mpec.hour_dispatch import HourDispatch, first_load, hour_dispatch
from mpec.hour_state import first_states
from mpec.judging import judge
from mpec.linear_model import LinearModel
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.random_games import Size
from mpec.replay import assumed_ms, exact_ms
from mpec.soundness_games import Kind, drawn_kind

GAME = Kind(Size(2, 1, 1)).game(4)
"""Nodal prices, one period; closed in a second."""


@pytest.fixture(scope="module")
def solved() -> Equilibrium:
    """As one MILP, where every pair of the operator has its Ms."""
    return solve_game(GAME, SolveOptions(method="monolithic", gap=1e-2, time_limit=20.0, say=lambda _: None))


def test_a_certificate_says_how_many_ms_were_derived_without_rounding_errors(solved: Equilibrium) -> None:
    certificate = judge(solved, gap=1e-2, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict == "CERTIFIED"
    (check,) = [c for c in certificate.checks if c.name == "upper_bound_rechecked"]
    assert "Ms of the operator's derived anew without rounding errors" in check.where


def test_a_bound_that_rests_on_an_m_with_rounding_in_it_is_not_certified(
    solved: Equilibrium, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounded(*arguments: Any, **options: Any) -> HourDispatch:
        data = hour_dispatch(*arguments, **options)
        return replace(
            data,
            scenarios=tuple(
                replace(p, slack_bounds=tuple(b and replace(b, exact=False) for b in p.slack_bounds))
                for p in data.scenarios
            ),
        )

    for module in ("mpec.replay", "mpec.recheck"):
        monkeypatch.setattr(f"{module}.hour_dispatch", rounded)
    certificate = judge(solved, gap=1e-2, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert any("not free of rounding errors" in note for note in certificate.notes)


@pytest.mark.parametrize("seed", [1, 4, 13, 28, 46, 58])
def test_all_ms_of_random_operators_are_free_of_rounding_errors(seed: int) -> None:
    game = drawn_kind(seed, Size()).game(seed)
    assert game.tariff_mode == "dlmp"
    dispatches = [hour_dispatch(game, t, first_load(game)) for t in range(len(game.periods))]
    assert exact_ms(dispatches) > 0
    assert assumed_ms(dispatches) == ()


def test_the_ends_of_an_expression_are_rounded_outwards() -> None:
    """What rational numbers give lies inside."""
    rng = np.random.default_rng(0)
    model = LinearModel("box")
    columns = model.add_variables((f"x{j}" for j in range(40)), -rng.random(40), rng.random(40))
    for _ in range(50):
        values = rng.normal(size=40) * 10.0 ** rng.integers(-6, 6, 40)
        expression = Expression().add_all(columns, values)
        low, high = expression.interval(model)
        ends = [
            sum(
                pick(Fraction(v) * Fraction(model.lower[j]), Fraction(v) * Fraction(model.upper[j]))
                for j, v in expression.terms.items()
            )
            for pick in (min, max)
        ]
        assert Fraction(low) <= ends[0]
        assert Fraction(high) >= ends[1]
        assert high == pytest.approx(float(ends[1]), rel=1e-12)


@pytest.mark.parametrize("seed", range(12))
def test_no_users_m_is_below_what_rational_numbers_give(seed: int) -> None:
    """slack <= kappa T + plan . rho + outside - cmin at the ends of the intervals, with the road times (29) exact."""
    game = drawn_kind(seed, Size()).game(seed)
    routes, kappa, counted = route_set(game), Fraction(game.users.kappa_per_h), 0
    for state in first_states(routes):
        low, high = state.box.low, state.box.high
        slowest = [_road_time(road, float(x)) for road, x in zip(game.roads, high["road_flow"], strict=True)]
        for k in np.flatnonzero(state.box.usable):
            on = [] if routes.outside[k] else np.flatnonzero(routes.on_road[k])
            stay = 0.0 if routes.outside[k] else routes.charging_h[k]
            most = kappa * (sum((slowest[a] for a in on), Fraction(0)) + Fraction(float(stay)))
            most += sum(
                Fraction(float(kwh)) * Fraction(float(price))
                for kwh, price in zip(routes.plan_kwh[k], high["price"], strict=True)
            )
            most += Fraction(float(routes.outside_cost[k]))
            most -= Fraction(float(low["cheapest"][routes.pair[k]]))
            if high["slack"][k] >= 0.999 * most:
                assert Fraction(float(high["slack"][k])) >= most
                counted += 1
    assert counted > 0


def _road_time(road: Road, x: float) -> Fraction:
    assert road.bpr_beta == int(road.bpr_beta)
    ratio = (Fraction(x) + Fraction(road.background_veh_per_h)) / Fraction(road.capacity_veh_per_h)
    return Fraction(road.free_flow_h) * (1 + Fraction(road.bpr_alpha) * ratio ** int(road.bpr_beta))
