"""The leader's block (1)-(3)."""

from __future__ import annotations

from dataclasses import replace

import pyomo.environ as pyo
import pytest

from formulations.evcs import evcs_block
from instances.model import Instance


def test_price_box_and_mean_cap(game: Instance) -> None:
    block = evcs_block(game)
    assert block.charging_price["A", 7].bounds == (0.5, 2.0)
    assert block.charging_price["D", 8].bounds == (0.4, 1.8)
    assert list(block.mean_price_cap) == ["A", "D"], "station B has no cap"
    block.charging_price["A", 7].set_value(1.9)
    block.charging_price["A", 8].set_value(0.8)
    assert pyo.value(block.mean_price_cap["A"].body) == pytest.approx(1.35)
    assert pyo.value(block.mean_price_cap["A"].upper) == 1.4


def test_capacity_is_the_rating_times_the_power_factor(game: Instance) -> None:
    """(2) with (3): at P = S cos(phi) the apparent power P / cos(phi) is the rating."""
    block = evcs_block(game)
    limit = pyo.value(block.capacity["B", 7].upper)
    block.load["B", 7].set_value(limit)
    assert limit == pytest.approx(810.0)
    assert limit**2 + pyo.value(block.load_kvar["B", 7]) ** 2 == pytest.approx(900.0**2)


def test_profit_counts_hours(game: Instance) -> None:
    block = evcs_block(replace(game, period_h=0.5))
    block.load.set_values(dict.fromkeys(block.load, 10.0))
    block.charging_price.set_values(dict.fromkeys(block.load, 1.0))
    block.electricity_price.set_values(dict.fromkeys(block.load, 0.75))
    assert pyo.value(block.profit) == pytest.approx(0.5 * 6 * 10.0 * 0.25)
    assert block.profit.sense == pyo.maximize
