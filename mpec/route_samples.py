"""At which prices a generated route set is tried: common levels, one station apart, corners, random."""

from __future__ import annotations

from typing import Any

import numpy as np

from formulations.prices import price_box
from instances.model import Instance

Array = np.ndarray[Any, Any]

SAMPLES, SAMPLES_IN_ALL = 24, 96
"""Price vectors per period, and at least so many over the periods; 24 hours of 30 O-D pairs are 17,280
searches, 10 to 40 s."""

NEAR_LEVEL = 0.05
"""Prices near a common level are within this share of their box from it."""


def sample_count(instance: Instance) -> int:
    """Price vectors per period: `SAMPLES`, and more where there are few periods."""
    return max(SAMPLES, SAMPLES_IN_ALL // max(len(instance.periods), 1))


def sample_prices(instance: Instance, count: int, seed: int = 0) -> Array:
    """Prices (count, M, T) of the box: common levels, one station apart from the others, corners, random.

    The first three are all low, all middle, all high. The others come in turn: one station low among high ones
    or high among low ones (over samples and periods every station gets its turn), all near a common level
    (where the routes of many stations nearly tie), a random corner of the box, uniform.
    Raises ValueError for count < 1.
    """
    if count < 1:
        raise ValueError(f"{count} samples; at least one price vector per period is needed")
    low, high = price_box(instance)
    stations, periods = low.shape
    rng = np.random.default_rng(seed)
    share = rng.random((count, stations, periods))
    share[: min(3, count)] = 0.5 * np.arange(min(3, count))[:, None, None]
    apart = range(3, count, 4)
    for number, k in enumerate(apart):
        for t in range(periods):
            place = number + t * len(apart)
            dear = float(place // max(stations, 1) % 2)
            share[k, :, t] = 1.0 - dear
            share[k, place % stations, t] = dear
    near = slice(4, count, 4)
    level = rng.random((len(share[near]), 1, periods))
    share[near] = np.clip(level + NEAR_LEVEL * (2.0 * share[near] - 1.0), 0.0, 1.0)
    corners = slice(5, count, 4)
    share[corners] = np.round(share[corners])
    return np.asarray(low + share * (high - low))
