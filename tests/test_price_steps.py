"""Prices on a grid: the whole grid tried by brute force, the judge's check, and what rounding must keep."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import instances
import mpec
from formulations.prices import grid_ends, off_grid, on_grid, price_box, price_steps
from instances import InstanceError
from instances.model import Instance
from mpec.followers.answer import Follower, follow
from mpec.gravitational_search import best_response
from mpec.judging import judge
from mpec.naive_policies import policy_prices
from mpec.price_search import best_price
from mpec.random_games import Size, random_game, with_rivals

Array = np.ndarray


def whole_grid(game: Instance) -> Array:
    """Every allowed price (K, M, T) of a small game: all multiples in the box, under the mean caps."""
    low, high = grid_ends(game)
    box, steps = price_box(game)[0], price_steps(game)
    axes = [
        np.round(np.arange(low[m], high[m] + 1) * steps[m], 12) if steps[m] > 0 else box[m, t : t + 1]
        for m in range(len(steps))
        for t in range(box.shape[1])
    ]
    prices = np.array(list(itertools.product(*axes))).reshape(-1, *box.shape)
    caps = np.array([np.inf if s.price_mean_max is None else s.price_mean_max for s in game.stations])
    return np.asarray(prices[(prices.mean(axis=2) <= caps + 1e-12).all(axis=1)])


def brute_force(game: Instance) -> float:
    """The best profit over the whole grid, every price answered exactly."""
    follower = Follower(game)
    profit, excess = follower.evaluate(whole_grid(game))
    return float(np.where(excess <= 1e-9 * follower.capacity_kw.max(), profit, -np.inf).max())


@pytest.mark.parametrize(
    ("name", "step", "method"),
    [
        ("tie", 0.03, "decomposed"),
        ("tie", 0.03, "monolithic"),
        ("closed-form-price", 0.07, "decomposed"),
        ("two-period-residual", 0.05, "decomposed"),
    ],
)
def test_the_solver_finds_the_best_of_the_whole_grid(name: str, step: float, method: str) -> None:
    game = instances.load(name).select(price_step=step)
    best = brute_force(game)
    found = mpec.solve(game, gap=1e-2, method=method, time_limit=None, sweeps=3, workers=1)
    assert judge(found, gap=1e-2).failures == ()
    assert found.profit == pytest.approx(best, rel=1e-9)
    assert found.upper_bound is not None
    assert found.upper_bound >= best - 1e-9 * abs(best)


def test_next_to_a_tie_the_grid_costs_something() -> None:
    """The tie lies at 0.40: of multiples of 0.03 the best is 0.39, 2000 (0.39 - 0.1) = 580."""
    game = instances.load("tie").select(price_step=0.03)
    found = mpec.solve(game, gap=1e-4, workers=1)
    certificate = judge(found, gap=1e-4, recheck=True)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.lower_bound == pytest.approx(580.0, rel=1e-9)
    assert found.point is not None
    assert found.point.prices[0, 0] == 0.39


@pytest.mark.parametrize("seed", [0, 2, 7, 13])
def test_random_games_against_their_whole_grid(seed: int) -> None:
    """Up to two stations in one period, rivals among them in every second game; the bound holds for the grid."""
    game = random_game(seed, Size(2, 1, 1))
    game = with_rivals(game, seed) if seed % 2 else game
    tops = [s.price_max if s.price_mean_max is None else s.price_mean_max for s in game.stations]
    stations = tuple(
        replace(s, price_step=round((top - s.price_min) / 5, 3)) if s.owner == "leader" else s
        for s, top in zip(game.stations, tops, strict=True)
    )
    game = replace(game, stations=stations)
    best = brute_force(game)
    found = mpec.solve(game, gap=1e-3, time_limit=None, sweeps=3, workers=1)
    if not np.isfinite(best):
        assert found.point is None
        return
    assert judge(found, gap=1e-3, pessimistic_seconds=2.0).failures == ()
    assert found.upper_bound is not None
    assert best <= found.upper_bound + 1e-6 * (1 + abs(found.upper_bound))
    assert found.profit == pytest.approx(best, rel=1e-7, abs=1e-6)


def test_scip_agrees_on_a_game_with_steps() -> None:
    pytest.importorskip("pyscipopt", reason="SCIP is in the extra [scip]")
    from mpec.exact_minlp import exact_minlp

    game = instances.load("tie").select(price_step=0.03, tariff="fixed")
    exact = exact_minlp(game, 20.0)
    assert exact.best == pytest.approx(580.0, rel=1e-6)
    assert exact.bound == pytest.approx(580.0, rel=1e-6)


def test_a_price_off_the_grid_is_found() -> None:
    game = instances.load("tie")
    eq = follow(game, np.array([[0.39 + 1e-9]]))
    stepped = game.select(price_step=0.03)
    failed = {c.name for c in mpec.certify(stepped, eq, pessimistic_seconds=0).failures}
    assert failed == {"price_grid"}
    on = follow(game, np.array([[0.39]]))
    assert mpec.certify(stepped, on, pessimistic_seconds=0).failures == ()


def test_rounding_keeps_box_caps_and_grid() -> None:
    game = instances.load("ieee33-road16").select(periods=(8, 12), price_step=0.07)
    low, high = price_box(game)
    rng = np.random.default_rng(1)
    wanted = low + rng.random((50, *low.shape)) * (high - low)
    rounded = on_grid(game, wanted)
    caps = np.array([s.price_mean_max for s in game.stations], float)
    assert (off_grid(game, rounded) <= 1e-9).all()
    assert (rounded >= low - 1e-12).all()
    assert (rounded <= high + 1e-12).all()
    assert (rounded.mean(axis=2) <= caps + 1e-12).all()
    assert on_grid(game, rounded) == pytest.approx(rounded, abs=1e-12)
    # where the caps leave room, nothing moves by more than half a step
    free = replace(game, stations=tuple(replace(s, price_mean_max=None) for s in game.stations))
    inside = (wanted > low + 0.07) & (wanted < high - 0.07)
    assert np.abs(on_grid(free, wanted) - wanted)[inside].max() <= 0.035 + 1e-12
    assert on_grid(instances.load("tie"), np.array([[0.123]]))[0, 0] == 0.123


def test_every_way_to_prices_ends_on_the_grid() -> None:
    game = instances.load("two-period-residual").select(price_step=0.05)
    tried = best_response(game, runs=1, population=6, iterations=8)
    assert tried.point is not None
    assert off_grid(game, tried.point.prices).max() <= 1e-9
    assert judge(tried).failures == ()
    searched = best_price(game, Follower(game), count=60).prices
    assert searched is not None
    for prices in (searched, *(policy_prices(game, p) for p in ("flat", "cost-plus", "last-hour"))):
        assert off_grid(game, prices).max() <= 1e-9
        assert (prices.mean(axis=1) <= 0.8 + 1e-12).all()


def test_a_step_without_a_price_is_refused() -> None:
    game = instances.load("two-period-residual")
    with pytest.raises(InstanceError, match="no multiple between price_min"):
        game.select(price_step=0.9)
    with pytest.raises(InstanceError, match="no multiple in the price box"):
        game.select(price_step=5.0)
    with pytest.raises(InstanceError, match="above 0"):
        game.select(price_step=0.0)
