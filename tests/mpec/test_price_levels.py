"""Levels and distances: the way to prices and back under the mean caps."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpec.price_levels import PriceLevels

LOW = np.array([[0.8, 0.8, 0.8], [0.8, 0.8, 0.8]])
HIGH = np.array([[1.8, 1.8, 1.8], [2.0, 2.0, 2.0]])
FREE = PriceLevels(LOW, HIGH, np.array([math.inf, math.inf]))
CAPPED = PriceLevels(LOW, HIGH, np.array([1.3, 1.4]))
POSITIONS = st.lists(st.floats(0.0, 1.0), min_size=9, max_size=9).map(lambda x: np.array([x]))


def test_the_middle_is_the_middle_of_the_boxes_where_these_leave_equal_room():
    """Distances 1.3 and 1.4 leave levels from -0.5 to 0.5: half of that is 0."""
    assert FREE.prices(np.full((1, 9), 0.5))[0] == pytest.approx(np.array([[1.3] * 3, [1.4] * 3]))


def test_a_level_moves_all_stations_of_its_hour_and_nothing_else():
    position = np.full((2, 9), 0.5)
    position[1, 1] = 1.0
    a, b = FREE.prices(position)
    assert b - a == pytest.approx(np.array([[0.0, 0.5, 0.0]] * 2))


def test_distances_too_great_for_the_boxes_are_clipped():
    """d = 0.8 and 2.0 need levels from -1.2 (second) ... the first needs 0 to 1: they meet at 0."""
    position = np.full((1, 9), 0.5)
    position[0, 3], position[0, 6] = 0.0, 1.0
    assert FREE.prices(position)[0, :, 0] == pytest.approx([0.8, 2.0])


def test_a_cap_is_met_by_lowering_all_stations_alike():
    """Levels at the top would be at 1.8 and 1.9 in every hour; the caps 1.3 and 1.4 ask for 0.5 less in both."""
    position = np.full((1, 9), 0.5)
    position[0, :3] = 1.0
    position[0, 3], position[0, 6] = 0.55, 0.45
    before, after = CAPPED.prices(position)[0], CAPPED.prices(CAPPED.under_caps(position))[0]
    assert after[:, 1:] == pytest.approx(before[:, 1:] - 0.5)
    assert after.mean(axis=1) == pytest.approx([1.3, 1.4 - 0.06 / 3])


def test_a_station_gives_up_its_own_distances_and_not_those_of_hours_at_the_middle_s():
    """Station 1 is dearer by 0.3 and 0.1 in two hours and cheaper by 0.1 in the third: 0.3 in sum, of 0.4 upward."""
    position = np.full((1, 9), 0.5)
    position[0, 3:6] = 0.8, 0.4, 0.6
    prices = CAPPED.prices(CAPPED.under_caps(position))[0]
    assert prices[0] - prices[1] + 0.1 == pytest.approx(np.array([0.3 / 4, -0.1, 0.1 / 4]))


@given(POSITIONS)
def test_prices_keep_boxes_and_caps_unless_the_distances_alone_exceed_them(position: np.ndarray):
    repaired = CAPPED.under_caps(position)
    assert repaired.min() >= 0.0
    assert repaired.max() <= 1.0
    before, after = CAPPED.prices(position)[0], CAPPED.prices(repaired)[0]
    for prices in (before, after):
        assert (prices >= LOW).all()
        assert (prices <= HIGH).all()
    met = before.mean(axis=1) <= CAPPED.cap
    if met.all():
        assert np.array_equal(after, before)
    elif (after.mean(axis=1) > CAPPED.cap + 1e-9).any():
        lowest = repaired.copy()
        lowest[:, :3] = 0.0
        assert after == pytest.approx(CAPPED.prices(lowest)[0], abs=1e-9)


def test_without_caps_nothing_is_changed():
    position = np.random.default_rng(0).random((20, 9))
    assert np.array_equal(FREE.under_caps(position), position)


@pytest.mark.parametrize("reach", [0.0, 0.3])
def test_hours_with_the_middle_s_distances_keep_them(reach: float):
    position = np.random.default_rng(1).random((50, 9))
    position[:, 3:] = 0.5 + reach * (position[:, 3:] - 0.5)
    position[:, [3, 6]] = 0.5
    prices = CAPPED.prices(CAPPED.under_caps(position))
    assert (prices[:, 1, 0] - prices[:, 0, 0]) == pytest.approx(np.full(50, 0.1))
    assert (prices.mean(axis=2) <= CAPPED.cap + 1e-9).all()
