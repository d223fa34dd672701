"""The three tariffs; the regulated one in three ways: closed form, program, dual program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest

from formulations.tariff import (
    fixed_prices,
    regulated_dual_block,
    regulated_tariff,
    regulated_tariff_block,
    tariff_block,
    tariff_box,
)
from instances.model import Instance, Period, TariffRow


def test_fixed_prices_are_the_files(with_tariff: Callable[[str], Instance]) -> None:
    instance = with_tariff("fixed")
    assert fixed_prices(instance) == pytest.approx(np.array([[1.3, 1.4]] * 3))
    block = tariff_block(instance)
    assert pyo.value(block.fixed_price["A", 8].upper) == pytest.approx(1.4)


def test_a_missing_tariff_is_named(with_tariff: Callable[[str], Instance]) -> None:
    instance = replace(with_tariff("fixed"), tariff={("A", 7): TariffRow(price_per_kwh=1.0)})
    with pytest.raises(ValueError, match=r"station A, period 8 has no price_per_kwh; give it in tariff.csv"):
        fixed_prices(instance)


def test_the_dearest_hours_are_filled_first(with_tariff: Callable[[str], Instance]) -> None:
    """Box [0.4, 1.0], mean 0.75 over two hours: 1.0 in the hour with more load, 0.5 in the other."""
    load = np.array([[10.0, 20.0], [30.0, 20.0], [5.0, 5.0]])
    assert regulated_tariff(with_tariff("regulated"), load) == pytest.approx(
        np.array([[0.5, 1.0], [1.0, 0.5], [1.0, 0.5]])
    )


def random_regulated(game: Instance, seed: int) -> Instance:
    """Four periods, random boxes; the first station without a mean cap."""
    rng = np.random.default_rng(seed)
    periods = tuple(Period(t, 1.0, 0.5) for t in range(1, 5))
    tariff = {}
    for m, station in enumerate(game.stations):
        low, high = rng.uniform(0.2, 0.5, 4), rng.uniform(0.5, 1.2, 4)
        mean = None if m == 0 else float(rng.uniform(low.mean(), high.mean()))
        for t in range(4):
            tariff[station.id, t + 1] = TariffRow(None, float(low[t]), float(high[t]), mean)
    return replace(game, periods=periods, tariff=tariff, tariff_mode="regulated", period_h=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_closed_form_program_and_dual_give_the_same_bill(game: Instance, seed: int) -> None:
    instance = random_regulated(game, seed)
    load = np.random.default_rng(100 + seed).uniform(0.0, 300.0, (3, 4))
    price = regulated_tariff(instance, load)
    bill = float((price * load).sum()) * instance.period_h
    box = tariff_box(instance)
    assert (price >= box.low).all()
    assert (price <= box.high).all()
    assert (price.mean(axis=1) <= box.mean + 1e-12).all()
    for build in (regulated_tariff_block, regulated_dual_block):
        model = pyo.ConcreteModel()
        model.tariff = build(instance)
        for m, station in enumerate(instance.stations):
            for t, period in enumerate(instance.periods):
                model.tariff.load[station.id, period.id].fix(load[m, t])
        pyo.SolverFactory("appsi_highs").solve(model)
        assert pyo.value(model.tariff.bill) == pytest.approx(bill, rel=1e-9)


def test_a_mean_cap_below_the_box_is_refused(with_tariff: Callable[[str], Instance]) -> None:
    instance = with_tariff("regulated")
    tariff = {key: replace(row, price_mean_max=0.3) for key, row in instance.tariff.items()}
    with pytest.raises(ValueError, match=r"raise price_mean_max or lower price_min"):
        regulated_tariff(replace(instance, tariff=tariff), np.zeros((3, 2)))


def test_nodal_price_weighs_active_and_reactive_duals(with_tariff: Callable[[str], Instance]) -> None:
    block = tariff_block(with_tariff("dlmp"))
    block.price_active.set_values(dict.fromkeys(block.price_active, 0.3))
    block.price_reactive.set_values(dict.fromkeys(block.price_reactive, 0.1))
    row = block.nodal_price["B", 7]
    block.electricity_price["B", 7].set_value(2 * (0.3 + 0.1 * np.tan(np.arccos(0.9))))
    assert pyo.value(row.body) == pytest.approx(pyo.value(row.upper))
