"""What decides a bound, added up without rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import instances
from mpec.coupling import Multipliers, no_multipliers
from mpec.exact_sums import downwards, exact, exact_dual_bound, products, upwards
from mpec.linear_model import LinearModel
from mpec.replay import total_bound
from mpec.replayed_hours import Refuted
from mpec.solvers import open_session, safe_bound
from mpec.tolerances import BOUND_MARGIN


def test_nothing_is_lost_between_large_and_small() -> None:
    assert exact([1e16, 1.0, -1e16]) == 1
    assert float(sum([1e16, 1.0, -1e16])) == 0.0
    assert products([(0.1, 3.0), (-0.3, 1.0)]) == 3 * Fraction(0.1) - Fraction(0.3)
    for nonsense in (math.nan, math.inf):
        with pytest.raises(ValueError):
            exact([nonsense])
        with pytest.raises(ValueError):
            products([(1.0, nonsense)])


def test_rounding_goes_outwards() -> None:
    third = Fraction(1, 3)
    assert Fraction(upwards(third)) >= third >= Fraction(downwards(third))
    assert math.nextafter(downwards(third), math.inf) == upwards(third)
    assert upwards(Fraction(2)) == downwards(Fraction(2)) == 2.0
    assert upwards(-third) == -downwards(third)


def random_model(seed: int, *, maximise: bool) -> LinearModel:
    rng = np.random.default_rng(seed)
    model = LinearModel("random", maximise=maximise, constant=float(rng.normal()))
    for j in range(8):
        model.add_variable(
            f"x{j}", float(rng.uniform(-2, 0)), float(rng.uniform(0, 3)), cost=float(rng.normal())
        )
    for i in range(5):
        low, high = sorted(rng.normal(size=2) * 3)
        kind = i % 3
        model.add_row(
            f"r{i}", np.arange(8), rng.normal(size=8),
            -math.inf if kind == 0 else float(low), math.inf if kind == 1 else float(high) + 1.0,
        )  # fmt: skip
    return model


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_the_exact_dual_bound_holds_and_is_inside_the_safe_one(seed: int, maximise: bool) -> None:
    """For the solver's duals it is the optimum to rounding; for any duals it bounds it."""
    model = random_model(seed, maximise=maximise)
    solved = open_session(model).solve()
    assert solved.row_duals is not None
    assert solved.objective is not None
    bound = exact_dual_bound(model, solved.row_duals.tolist())
    assert bound == pytest.approx(solved.objective, rel=1e-9, abs=1e-9)
    floating = safe_bound(model, solved.row_duals)
    assert bound <= floating if maximise else bound >= floating
    rng = np.random.default_rng(seed)
    for _ in range(5):
        any_duals = solved.row_duals + rng.normal(size=model.rows)
        other = exact_dual_bound(model, any_duals.tolist())
        assert other >= solved.objective - 1e-9 if maximise else other <= solved.objective + 1e-9


def test_a_reduced_cost_at_an_open_end_proves_nothing() -> None:
    model = LinearModel("open", maximise=True)
    model.add_variable("x", 0.0, math.inf, cost=1.0)
    model.add_row("row", [0], [1.0], upper=1.0)
    assert exact_dual_bound(model, [0.0]) == math.inf
    assert exact_dual_bound(model, [1.0]) == 1.0


def test_the_days_bound_is_the_exact_sum_and_its_margin() -> None:
    """Caps at 2400 money units a kWh and hours that nearly cancel them: the sum is exact before its margin."""
    game = instances.load("two-period-residual")
    caps = Multipliers(np.array([1200.1]), no_multipliers(game).link)
    bounds = [-1319.9979, 0.1]
    mean = game.stations[0].price_mean_max
    assert mean is not None
    constant = Fraction(1200.1) * Fraction(mean) * 2
    size = constant + Fraction(1319.9979) + Fraction(0.1)
    wanted = exact(bounds) + constant + Fraction(BOUND_MARGIN) * size
    found = total_bound(game, caps, bounds)
    assert Fraction(found) >= wanted
    assert Fraction(math.nextafter(found, -math.inf)) < wanted
    for bad in (Multipliers(np.array([-1e-9]), caps.link), Multipliers(np.array([math.nan]), caps.link)):
        with pytest.raises(Refuted):
            total_bound(game, bad, bounds)
