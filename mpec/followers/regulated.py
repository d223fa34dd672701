"""Tariff `regulated`: how far each entry of an optimal tariff can move while it stays optimal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from formulations.tariff import regulated_tariff, tariff_box
from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RegulatedPrices:
    """price, low, high (M, T), money/kWh: one optimal tariff and each entry's range over all of them."""

    price: Array
    low: Array
    high: Array


def regulated_prices(instance: Instance, load: Array) -> RegulatedPrices:
    """The operator's best tariff for loads (M, T), kW, with each price's range over the optimal tariffs.

    Station by station: max sum_t c[t] P[t] over c_lo <= c <= c_hi, mean(c) <= cap. Hours with a larger load
    are filled first; hours of equal load share what is left of the mean cap's allowance in any way, and
    without load the price may be anything that the cap leaves room for.
    Raises ValueError where tariff.csv lacks the box or the cap is below the least prices.
    """
    box = tariff_box(instance)
    price = regulated_tariff(instance, load)
    low, high = price.copy(), price.copy()
    for m in range(len(load)):
        allowance = load.shape[1] * float(box.mean[m]) - float(box.low[m].sum())
        for kw in np.unique(load[m])[::-1]:
            hours = np.flatnonzero(load[m] == kw)
            room = box.high[m, hours] - box.low[m, hours]
            spend = min(float(room.sum()), max(allowance, 0.0))
            others = 0.0 if kw == 0.0 else np.maximum(spend - (room.sum() - room), 0.0)
            low[m, hours] = box.low[m, hours] + others
            high[m, hours] = box.low[m, hours] + np.minimum(room, spend)
            allowance -= spend
    return RegulatedPrices(price, np.minimum(low, price), np.maximum(high, price))
