"""The numbers of tariff.csv as arrays, and the regulated tariff in closed form; without Pyomo.

Arrays are (M, T): stations by periods, money/kWh.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class TariffBox:
    """The regulated tariff's data: low, high (M, T) money/kWh; mean (M,), inf where there is no mean cap."""

    low: Array
    high: Array
    mean: Array


def fixed_prices(instance: Instance) -> Array:
    """The fixed tariff, (M, T) money/kWh. Raises ValueError where tariff.csv has no price."""
    return np.array(
        [
            [_number(instance, m.id, t.id, "price_per_kwh") for t in instance.periods]
            for m in instance.stations
        ]
    ).reshape(len(instance.stations), len(instance.periods))


def tariff_box(instance: Instance) -> TariffBox:
    """The regulated tariff's box and mean caps. Raises ValueError where tariff.csv lacks a limit."""
    shape = (len(instance.stations), len(instance.periods))
    low, high = np.zeros(shape), np.zeros(shape)
    mean = np.full(shape[0], np.inf)
    for i, station in enumerate(instance.stations):
        for j, period in enumerate(instance.periods):
            low[i, j] = _number(instance, station.id, period.id, "price_min")
            high[i, j] = _number(instance, station.id, period.id, "price_max")
            cap = instance.tariff[station.id, period.id].price_mean_max
            mean[i] = min(mean[i], np.inf if cap is None else cap)
    return TariffBox(low, high, mean)


def regulated_tariff(instance: Instance, load_kw: Array) -> Array:
    """A tariff that earns the grid's operator most at loads (M, T) kW; (M, T) money/kWh.

    Every station by itself: start at the least price and spend the mean cap's allowance on the hours with
    the largest load first, the earlier one first at equal loads. Raises ValueError where the mean cap is
    below the least prices.
    """
    box = tariff_box(instance)
    price = box.low.copy()
    for m, station in enumerate(instance.stations):
        allowance = len(instance.periods) * box.mean[m] - float(box.low[m].sum())
        if allowance < -1e-9 * max(1.0, float(np.abs(box.low[m]).sum())):
            raise ValueError(
                f"station {station.id}: the regulated tariff's mean cap {box.mean[m]:g} is below the mean of "
                "its least prices; raise price_mean_max or lower price_min in tariff.csv"
            )
        for t in np.argsort(-np.asarray(load_kw[m]), kind="stable"):
            raised = min(float(box.high[m, t] - box.low[m, t]), max(allowance, 0.0))
            price[m, t] = min(price[m, t] + raised, box.high[m, t])
            allowance -= raised
    return price


def _number(instance: Instance, station: str, period: int, column: str) -> float:
    row = instance.tariff.get((station, period))
    value: float | None = None if row is None else getattr(row, column)
    if value is None:
        raise ValueError(
            f"tariff {instance.tariff_mode}: station {station}, period {period} has no {column}; "
            "give it in tariff.csv or choose another tariff"
        )
    return value
