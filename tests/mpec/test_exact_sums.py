"""What decides a bound, added up without rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import instances
from mpec.coupling import Multipliers, no_multipliers
from mpec.exact_sums import ExactRows, downwards, exact, exact_dual_bound, products, upwards
from mpec.linear_model import LinearModel
from mpec.replay import total_bound
from mpec.replayed_hours import Refuted
from mpec.solvers import open_session, safe_bound
from mpec.solvers.polytope import lower_bound
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


def exact_lower_bound(
    matrix: np.ndarray,
    rows: tuple[np.ndarray, ...],
    columns: tuple[np.ndarray, ...],
    c: np.ndarray,
    y: np.ndarray,
) -> Fraction:
    """The formula of ExactRows by rational numbers."""
    total = Fraction(0)
    for i, dual in enumerate(y.tolist()):
        total += Fraction(dual) * Fraction(float(rows[0][i] if dual > 0 else rows[1][i])) if dual else 0
    for j in range(matrix.shape[1]):
        d = Fraction(float(c[j])) - sum(
            Fraction(float(matrix[i, j])) * Fraction(float(y[i])) for i in range(matrix.shape[0])
        )
        total += d * Fraction(float(columns[0][j] if d > 0 else columns[1][j]))
    return total


@pytest.mark.parametrize("seed", range(6))
def test_products_split_without_error_never_lie_above_the_rational_bound(seed: int) -> None:
    """Over ten decades, rows with zeros; never above what rational numbers give, and the next few numbers to it."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(9, 12)) * 10.0 ** rng.integers(-5, 5, (9, 12)) * (rng.random((9, 12)) < 0.6)
    low, high = -rng.random(12) * 1e3, rng.random(12) * 1e4
    rows = (-rng.random(9) * 1e4, rng.random(9) * 1e5)
    c, y = rng.normal(size=12), rng.normal(size=9) * (rng.random(9) < 0.7)
    found = ExactRows(csr_matrix(matrix)).lower_bound(c, y, rows, (low, high))
    true = exact_lower_bound(matrix, rows, (low, high), c, y)
    assert Fraction(found) <= true
    assert found == pytest.approx(float(true), rel=1e-13)


def test_a_reduced_cost_that_is_not_quite_zero_proves_nothing_on_an_unbounded_column() -> None:
    """0.1 + 0.2 is 0.3 to rounding only; floating-point sums with an allowance for noise would let it pass."""
    rows, free = (np.ones(2), np.full(2, np.inf)), (np.array([-np.inf]), np.array([np.inf]))
    y = np.ones(2)
    almost = ExactRows(csr_matrix(np.array([[0.1], [0.2]])))
    assert almost.lower_bound(np.array([0.3]), y, rows, free) == -math.inf
    assert lower_bound(csr_matrix(np.array([[0.1], [0.2]])), *rows, *free, np.array([0.3]), y) > 1.9
    really = ExactRows(csr_matrix(np.array([[0.125], [0.25]])))
    assert really.lower_bound(np.array([0.375]), y, rows, free) == pytest.approx(2.0)


def test_numbers_whose_products_would_lose_digits_prove_nothing() -> None:
    box = (np.zeros(1), np.ones(1))
    for value in (1e-300, 1e200):
        model = ExactRows(csr_matrix(np.array([[value]])))
        assert model.lower_bound(np.ones(1), np.ones(1), (np.ones(1), np.full(1, np.inf)), box) == -math.inf
