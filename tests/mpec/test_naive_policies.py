"""Naive prices and robust ones: they keep the box and the caps, and do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

import instances
from mpec.certificate import certify
from mpec.followers.answer import Follower, follow
from mpec.naive_policies import best_hour, flat_prices, policy_prices, price_menu, with_margin
from mpec.robust_prices import neighbours, raisable, robust_prices

GAME = instances.load("ieee33-road16").select(periods=(2, 4))


def keeps_box_and_caps(game: instances.Instance, prices: np.ndarray) -> bool:
    return all(
        station.price_min <= prices[m].min()
        and prices[m].max() <= station.price_max
        and (station.price_mean_max is None or prices[m].mean() <= station.price_mean_max * (1 + 1e-12))
        for m, station in enumerate(game.stations)
    )


@pytest.mark.parametrize("policy", ["flat", "cost-plus", "last-hour"])
def test_policies_keep_box_and_caps_and_repeat(policy: str):
    prices = policy_prices(GAME, policy)
    assert prices.shape == (6, 3)
    assert keeps_box_and_caps(GAME, prices)
    assert np.array_equal(prices, policy_prices(GAME, policy))


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="choose flat, cost-plus or last-hour"):
        policy_prices(GAME, "clever")


def test_flat_prices_stand_at_the_cap():
    assert np.allclose(flat_prices(GAME), np.array([[s.price_mean_max] * 3 for s in GAME.stations]))


def test_the_margin_is_the_largest_that_the_cap_allows():
    cost = np.tile([0.2, 0.5, 1.0], (6, 1))
    prices = with_margin(GAME, cost)
    assert np.allclose(prices.mean(axis=1), [s.price_mean_max for s in GAME.stations], atol=1e-9)
    inside = prices - cost
    for m, station in enumerate(GAME.stations):
        free = (prices[m] > station.price_min + 1e-9) & (prices[m] < station.price_max - 1e-9)
        assert np.ptp(inside[m][free]) < 1e-9 if free.any() else True
    assert keeps_box_and_caps(GAME, with_margin(GAME, cost + 5.0))


def test_the_menu_asks_as_much_as_flat_prices_on_average():
    flat = flat_prices(GAME)[:, 0]
    menu = price_menu(GAME, flat, 50, np.random.default_rng(0))
    low = np.array([s.price_min for s in GAME.stations])
    high = np.array([s.price_max for s in GAME.stations])
    shares = (menu - low) / (high - low)
    assert np.array_equal(menu[0], flat)
    assert shares.min() >= -1e-12
    assert shares.max() <= 1.0 + 1e-12
    assert np.allclose(shares.mean(axis=1), shares[0].mean())
    assert len(np.unique(menu, axis=0)) == 50


def test_an_overload_is_worse_than_any_loss():
    prices, load = np.array([[1.0], [2.0], [3.0]]), np.array([[10.0], [5.0], [12.0]])
    assert best_hour(prices, load, np.zeros(3), np.array([10.0])) == 0
    assert best_hour(prices, load, np.array([100.0, 0.0, 0.0]), np.array([10.0])) == 1
    assert best_hour(prices, load, np.zeros(3), np.array([4.0])) == 1


def test_neighbours_stay_within_the_radius_and_start_with_the_prices_themselves():
    prices = np.array([s.price_max for s in GAME.stations]) - 0.004
    rises = np.array([True, False] * 3)
    near = neighbours(GAME, prices, 0.01, 400, rises, np.random.default_rng(0))
    assert len(near) == 400
    assert np.array_equal(near[0], prices)
    assert np.abs(near - prices).max() <= 0.01 + 1e-15
    assert (near[:, ~rises] <= prices[~rises]).all()
    assert (near[:, rises] > prices[rises]).any()
    assert (near <= [s.price_max for s in GAME.stations]).all()


def test_prices_may_only_rise_where_the_cap_leaves_room():
    prices = flat_prices(GAME)
    assert not raisable(GAME, prices, 0.01).any()
    assert raisable(GAME, prices - 0.02, 0.01).all()


def test_robust_prices_settle_the_tie_of_the_bundled_game():
    """tie: at the optimum drivers are indifferent between station and outside; a hair below they are not."""
    game = instances.load("tie")
    best = np.full((len(game.stations), len(game.periods)), 0.4)
    assert Follower(game).evaluate(best)[0] == pytest.approx(600.0)
    assert Follower(game, pessimistic=True).evaluate(best)[0] == pytest.approx(0.0)
    prices = robust_prices(game, best, radius=0.01)
    assert np.abs(prices - best).max() <= 0.01 + 1e-12
    certificate = certify(game, follow(game, prices))
    assert certificate.verdict != "REJECTED"
    assert certificate.pessimistic_profit is not None
    assert certificate.pessimistic_profit.found == pytest.approx(certificate.optimistic_profit, rel=1e-6)
    assert 580.0 < certificate.pessimistic_profit.found < 600.0
    with pytest.raises(ValueError, match="radius"):
        robust_prices(game, best, radius=-1.0)
