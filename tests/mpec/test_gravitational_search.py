"""The gravitational search against the formulas of Rashedi et al. (2009), and where the optimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instances
from mpec import gravitational_search as gsa
from mpec.followers.answer import follow


def test_gravity_falls_from_g0_by_e_to_minus_alpha():
    assert gsa.gravity(0, 100) == 100.0
    assert gsa.gravity(50, 100) == pytest.approx(100.0 * math.exp(-10.0))
    assert gsa.gravity(100, 100) == pytest.approx(100.0 * math.exp(-20.0))


def test_masses_are_shares_of_the_distance_to_the_worst():
    """fit 1, 3, 5: m = 0, 1/2, 1 and M = m / 1.5."""
    assert gsa.masses(np.array([1.0, 3.0, 5.0])) == pytest.approx([0.0, 1 / 3, 2 / 3])
    assert gsa.masses(np.array([2.0, 2.0])) == pytest.approx([0.5, 0.5])


def test_attractors_fall_linearly_from_all_to_two_per_cent():
    counts = [gsa.attractors(t, 100, 50) for t in (0, 50, 100)]
    assert counts == [50, round(50 * 0.51), 1]
    assert gsa.attractors(100, 100, 200) == 4


def test_acceleration_is_the_sum_over_the_heaviest_of_weight_mass_and_unit_direction():
    """Three agents in the plane, kbest = 2, summed by hand with the same random weights."""
    position = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    mass = np.array([0.1, 0.3, 0.6])
    got = gsa.acceleration(position, mass, 2, 7.0, np.random.default_rng(5))
    weights = np.random.default_rng(5).random((3, 2, 2))
    expected = np.zeros((3, 2))
    for i in range(3):
        for place, j in enumerate((2, 1)):
            if i != j:
                step = position[j] - position[i]
                expected[i] += 7.0 * weights[i, place] * mass[j] * step / np.linalg.norm(step)
    assert got == pytest.approx(expected)
    assert np.all(np.isfinite(got))


def test_a_coinciding_agent_pulls_with_nothing():
    position = np.array([[0.5, 0.5], [0.5, 0.5]])
    got = gsa.acceleration(position, np.array([0.5, 0.5]), 2, 100.0, np.random.default_rng(0))
    assert got == pytest.approx(np.zeros((2, 2)))


def test_the_velocity_update_and_redrawing_stay_in_the_box_and_use_the_whole_population():
    seen: list[np.ndarray] = []

    def evaluate(position: np.ndarray) -> np.ndarray:
        seen.append(position.copy())
        return -np.sum((position - 0.3) ** 2, axis=1)

    gsa.search(evaluate, 4, population=9, iterations=12, rng=np.random.default_rng(1))
    assert len(seen) == 12
    for position in seen:
        assert position.shape == (9, 4)
        assert position.min() >= 0.0
        assert position.max() <= 1.0


def test_it_finds_the_top_of_a_smooth_hill_and_remembers_the_best():
    steps: list[tuple[int, float, float]] = []
    best, value = gsa.search(
        lambda x: -np.sum((x - 0.7) ** 2, axis=1),
        3,
        population=30,
        iterations=100,
        rng=np.random.default_rng(0),
        observe=lambda t, best, mean: steps.append((t, best, mean)),
    )
    assert value > -1e-6
    assert best == pytest.approx([0.7] * 3, abs=1e-3)
    bests = [best for _, best, _ in steps]
    assert bests == sorted(bests)
    assert [t for t, _, _ in steps] == list(range(1, 101))
    assert all(mean <= best + 1e-15 for _, best, mean in steps)


def test_the_same_seed_gives_the_same_answer_and_another_seed_another():
    def run(seed: int) -> tuple[np.ndarray, float]:
        return gsa.search(
            lambda x: np.sin(9 * x).sum(axis=1),
            2,
            population=6,
            iterations=5,
            rng=np.random.default_rng(seed),
        )

    assert np.array_equal(run(3)[0], run(3)[0])
    assert not np.array_equal(run(3)[0], run(4)[0])


def test_enough_ends_the_run_after_a_whole_iteration():
    calls = []

    def evaluate(position: np.ndarray) -> np.ndarray:
        calls.append(1)
        return position[:, 0]

    gsa.search(
        evaluate, 1, population=3, iterations=50, rng=np.random.default_rng(0), enough=lambda: len(calls) >= 4
    )
    assert len(calls) == 4


@given(
    st.lists(st.floats(-1.0, 4.0), min_size=4, max_size=4),
    st.floats(0.5, 2.0),
)
def test_the_projection_is_allowed_and_nearest(values: list[float], cap: float):
    """Against the optimality conditions: clip(rho - s) with s > 0 only where the cap is met."""
    prices = np.array([[values]])
    low, high = np.array([0.5]), np.array([2.0])
    got = gsa.project_mean_caps(prices, low, high, np.array([cap]))[0, 0]
    assert got.min() >= 0.5
    assert got.max() <= 2.0
    assert got.mean() <= cap + 1e-15
    plain = np.clip(values, 0.5, 2.0)
    if plain.mean() <= cap:
        assert got == pytest.approx(plain)
    else:
        assert got.mean() == pytest.approx(cap, abs=1e-9)
        inner = (got > 0.5 + 1e-9) & (got < 2.0 - 1e-9)
        if inner.any():
            shift = (plain - got)[inner]
            assert shift == pytest.approx(np.full(inner.sum(), shift[0]), abs=1e-8)


def test_without_a_cap_the_projection_is_the_box():
    prices = np.array([[-1.0, 5.0, 1.0]])
    got = gsa.project_mean_caps(prices, np.array([0.0]), np.array([2.0]), np.array([np.inf]))
    assert got.tolist() == [[0.0, 2.0, 1.0]]


# ---- on the game ---------------------------------------------------------------------------------
class Known:
    """Followers with a known answer: profit is the sum of prices; too much load above a price of `limit`."""

    def __init__(self, limit: float) -> None:
        self.limit, self.seen = limit, []

    def evaluate(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(prices)
        return prices.sum(axis=(1, 2)), np.maximum(prices - self.limit, 0.0).sum(axis=(1, 2))


def test_the_closed_form_price_is_found_and_answered_exactly():
    game = instances.load("closed-form-price")
    result = gsa.best_response(game, runs=2, population=20, iterations=40, seed=1)
    assert result.method == "heuristic"
    assert result.status == "feasible"
    assert result.point is not None
    answer = follow(game, result.point.prices)
    assert result.profit == answer.profit == result.lower_bound
    records = result.options["runs"]
    assert [len(record["best"]) for record in records] == [40, 40]
    assert result.options["evaluations"] == 2 * 20 * 40
    best = max(record["profit"] for record in records)
    assert result.profit == pytest.approx(best, rel=1e-6)
    assert [step.lower for step in result.bounds] == sorted(step.lower for step in result.bounds)


def test_every_price_that_is_asked_for_keeps_box_and_mean_cap():
    game = instances.load("ieee33-road16").select(periods=(1, 3))
    answers = Known(limit=1e9)
    gsa.best_response(game, runs=1, population=6, iterations=8, answers=answers)
    low, high, cap = gsa.price_limits(game)
    assert np.isfinite(cap).all()
    for prices in answers.seen:
        assert (prices >= low).all()
        assert (prices <= high).all()
        assert (prices.mean(axis=2) <= cap * (1 + 1e-12)).all()
    assert max(float((prices.mean(axis=2) - cap).max()) for prices in answers.seen) > -1e-9


def test_prices_that_overload_a_station_never_win():
    game = instances.load("closed-form-price")
    low, high = (ends[:, 0] for ends in gsa.price_limits(game)[:2])
    limit = float(low[0] + 0.75 * (high[0] - low[0]))
    result = gsa.best_response(game, runs=1, population=10, iterations=20, answers=Known(limit))
    assert result.point is not None
    assert low[0] <= result.point.prices[0, 0] <= limit
    assert result.options["runs"][0]["profit"] == pytest.approx(limit, rel=0.05)


def test_without_any_allowed_price_the_least_excess_is_said():
    game = instances.load("closed-form-price")
    result = gsa.best_response(game, runs=1, population=4, iterations=3, answers=Known(-1.0))
    assert (result.status, result.point, result.profit) == ("no_point", None, None)
    assert "least excess" in result.reason
    assert result.options["runs"][0]["profit"] is None


def test_a_time_limit_alone_fills_the_time_with_whole_iterations():
    game = instances.load("closed-form-price")
    result = gsa.best_response(game, runs=None, population=5, iterations=None, time_limit=0.3)
    assert 0.2 < result.seconds < 3.0
    assert 1 <= result.options["iterations"] <= 100
    assert len(result.options["runs"]) >= 1
    with pytest.raises(ValueError, match="needs a time limit"):
        gsa.best_response(game, runs=None)
