"""Limits of the leader's prices as arrays, and the projection onto the mean caps."""

from __future__ import annotations

import math

import numpy as np

from formulations.prices import price_box
from instances.model import Instance

Array = np.ndarray


def price_limits(instance: Instance) -> tuple[Array, Array, Array]:
    """Lowest and highest prices (M, T), a rival's as posted, and mean caps (M,) (inf: none), money/kWh."""
    low, high = price_box(instance)
    cap = [math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations]
    return low, high, np.array(cap)


def project_mean_caps(prices: Array, low: Array, high: Array, cap: Array) -> Array:
    """The nearest prices (…, M, T) in the box with mean over T <= cap (M,); inf for no cap.

    The projection is clip(rho - s) with one shift s >= 0 a station, found by bisection from the
    allowed side, so that the result never exceeds the cap. low, high (M,) or (M, T); needs low <= cap.
    """
    if low.ndim == 1:
        low, high = low[:, None], high[:, None]
    prices = np.clip(prices, low, high)
    over = prices.mean(axis=-1) > cap
    if not over.any():
        return prices
    shortest, longest = np.zeros(over.shape), np.broadcast_to((high - low).max(axis=1), over.shape).copy()
    for _ in range(60):
        middle = 0.5 * (shortest + longest)
        above = np.clip(prices - middle[..., None], low, high).mean(axis=-1) > cap
        shortest, longest = np.where(above, middle, shortest), np.where(above, longest, middle)
    return np.where(over[..., None], np.clip(prices - longest[..., None], low, high), prices)
