"""The gravitational search against the formulas of Rashedi et al. (2009), and where the optimum is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import instances
from formulations.routes import route_set
from mpec import gravitational_search as gsa
from mpec.followers.answer import Follower, follow
from mpec.mean_caps import price_limits, project_mean_caps
from mpec.price_fitness import PriceFitness


def test_gravity_falls_by_e_to_minus_alpha_from_the_authors_g0_in_their_box():
    """100 in [-100, 100]^30 over 1000 iterations is 1/2 in the unit box of 30 dimensions."""
    assert gsa.gravity(0, 1000, 30) == pytest.approx(0.5)
    assert gsa.gravity(500, 1000, 30) == pytest.approx(0.5 * math.exp(-10.0))
    assert gsa.gravity(1000, 1000, 30) == pytest.approx(0.5 * math.exp(-20.0))


@pytest.mark.parametrize("dimension", [2, 168])
def test_agents_can_travel_the_same_share_of_the_box_whatever_the_length_of_the_run(dimension: int):
    def travel(iterations: int) -> float:
        return sum(gsa.gravity(t, iterations, dimension) for t in range(iterations)) / math.sqrt(dimension)

    assert travel(400) == pytest.approx(100.0 / (200.0 * math.sqrt(30.0)) * 1000.0 / 20.0, rel=0.03)
    assert travel(4000) == pytest.approx(travel(400), rel=0.03)


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


def test_agents_stay_in_the_box_and_the_whole_population_is_used():
    seen: list[np.ndarray] = []

    def evaluate(position: np.ndarray) -> np.ndarray:
        seen.append(position.copy())
        return -np.sum((position - 0.3) ** 2, axis=1)

    rng = np.random.default_rng(1)
    gsa.search(evaluate, rng.random((9, 4)), iterations=12, rng=rng)
    assert len(seen) == 12
    for position in seen:
        assert position.shape == (9, 4)
        assert position.min() >= 0.0
        assert position.max() <= 1.0


def test_it_finds_the_top_of_a_smooth_hill_and_remembers_the_best():
    steps: list[tuple[int, float, float]] = []
    rng = np.random.default_rng(0)
    best, value = gsa.search(
        lambda x: -np.sum((x - 0.7) ** 2, axis=1),
        rng.random((30, 3)),
        iterations=100,
        rng=rng,
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
        rng = np.random.default_rng(seed)
        return gsa.search(lambda x: np.sin(9 * x).sum(axis=1), rng.random((6, 2)), iterations=5, rng=rng)

    assert np.array_equal(run(3)[0], run(3)[0])
    assert not np.array_equal(run(3)[0], run(4)[0])


def test_enough_ends_the_run_after_a_whole_iteration():
    calls = []

    def evaluate(position: np.ndarray) -> np.ndarray:
        calls.append(1)
        return position[:, 0]

    rng = np.random.default_rng(0)
    gsa.search(evaluate, rng.random((3, 1)), iterations=50, rng=rng, enough=lambda: len(calls) >= 4)
    assert len(calls) == 4


@given(
    st.lists(st.floats(-1.0, 4.0), min_size=4, max_size=4),
    st.floats(0.5, 2.0),
)
def test_the_projection_is_allowed_and_nearest(values: list[float], cap: float):
    """Against the optimality conditions: clip(rho - s) with s > 0 only where the cap is met."""
    prices = np.array([[values]])
    low, high = np.array([0.5]), np.array([2.0])
    got = project_mean_caps(prices, low, high, np.array([cap]))[0, 0]
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
    got = project_mean_caps(prices, np.array([0.0]), np.array([2.0]), np.array([np.inf]))
    assert got.tolist() == [[0.0, 2.0, 1.0]]


# ---- on the game ---------------------------------------------------------------------------------
class Known:
    """Followers with a known answer: profit is the sum of prices; too much load above a price of `limit`."""

    def __init__(self, limit: float) -> None:
        self.limit, self.seen = limit, []

    def evaluate_hours(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append(prices)
        return prices.sum(axis=(1, 2)), np.maximum(prices - self.limit, 0.0).sum(axis=1)


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
    low, high, cap = price_limits(game)
    assert np.isfinite(cap).all()
    for prices in answers.seen:
        assert (prices >= low).all()
        assert (prices <= high).all()
        assert (prices.mean(axis=2) <= cap * (1 + 1e-12)).all()
    assert max(float((prices.mean(axis=2) - cap).max()) for prices in answers.seen) > -1e-9


def test_prices_that_overload_a_station_never_win():
    game = instances.load("closed-form-price")
    low, high = (ends[:, 0] for ends in price_limits(game)[:2])
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
    assert 0.2 < result.seconds < 10.0
    assert 1 <= result.options["iterations"] <= 100
    assert len(result.options["runs"]) >= 1
    with pytest.raises(ValueError, match="needs a time limit"):
        gsa.best_response(game, runs=None)


def test_starts_are_around_the_middle_and_more_and_more_widely():
    rng = np.random.default_rng(0)
    spread = np.abs(gsa.starting_positions("spread", 5, 1000, 2000, rng) - 0.5)
    assert spread[:, :1000].max(axis=1) == pytest.approx([0.0, 0.125, 0.25, 0.375, 0.5], abs=0.002)
    assert spread[:, 1000:].max(axis=1) == pytest.approx([0.0, 0.0005, 0.005, 0.05, 0.5], rel=0.02)
    assert gsa.starting_positions("spread", 1, 1, 2, rng).tolist() == [[0.5, 0.5]]
    middle = gsa.starting_positions("middle", 5, 500, 1000, rng)
    assert (middle[0] == 0.5).all()
    assert (np.abs(middle[1:] - 0.5).max(axis=1) > 0.49).all()
    assert (np.abs(gsa.starting_positions("random", 5, 500, 1000, rng) - 0.5).max(axis=1) > 0.49).all()
    with pytest.raises(ValueError, match="choose spread, middle or random"):
        gsa.starting_positions("corner", 5, 5, 10, rng)  # type: ignore[arg-type]


class Split:
    """1 kWh too much in every hour where two stations' prices are not equal to 1e-9; profit: the sum of prices."""

    def __init__(self) -> None:
        self.allowed: list[int] = []

    def evaluate_hours(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        excess = np.where(np.abs(prices[:, 0] - prices[:, 3]) > 1e-9, 1.0, 0.0)
        self.allowed.append(int((excess.sum(axis=1) == 0.0).sum()))
        return prices.sum(axis=(1, 2)), excess


def test_distances_that_alone_keep_a_capacity_are_kept_while_the_level_rises():
    """Two stations must have equal prices in every hour: nobody draws that, but the middle does it."""
    game = instances.load("ieee33-road16").select(periods=(8, 10))
    answers = Split()
    result = gsa.best_response(game, runs=1, population=10, iterations=15, seed=3, answers=answers)
    assert answers.allowed[0] == 1
    assert answers.allowed[1:] == [10] * 14
    prices = result.point.prices if result.point else np.zeros((6, 3))
    assert np.abs(prices[0] - prices[3]).max() <= 1e-9


def test_it_earns_more_than_its_middle_agent_on_three_hours_of_the_morning():
    """From prices in the middle of their boxes, which every run begins with; equal seeds, equal answers."""
    game = instances.load("ieee33-road16").select(periods=(8, 10))
    low, high, _ = price_limits(game)
    middle = follow(game, 0.5 * (low + high)).profit
    first, again = (gsa.best_response(game, runs=1, population=12, iterations=12, seed=4) for _ in range(2))
    assert first.point is not None
    assert again.point is not None
    assert middle is not None
    assert first.profit is not None
    assert np.array_equal(first.point.prices, again.point.prices)
    assert first.options["runs"][0]["best"] == again.options["runs"][0]["best"]
    assert first.profit > 1.02 * middle
    curve = first.options["runs"][0]["best"]
    assert curve[0] >= middle * (1 - 1e-6)
    assert list(curve) == sorted(curve)


def test_an_hour_that_only_a_tie_keeps_within_capacity_is_found():
    """Hour 18 without residual flow: equal prices overload two stations, which must stay tied and both be dearer."""
    game = instances.load("ieee33-road16").select(periods=(18, 18), tariff="fixed", xi=0.0)
    judge = PriceFitness(game, Follower(game, route_set(game)))
    middle = np.full((1, judge.levels.dimension), 0.5)
    assert judge.fitness(judge.levels.under_caps(middle))[0] < 0.0
    assert not judge.known.any()
    found = gsa.best_response(game, runs=1, population=20, iterations=15)
    assert found.point is not None
    limits = np.array([station.capacity_kw for station in game.stations])
    assert (found.point.load_kw[:, 0] <= limits * (1.0 + 1e-6)).all()
