"""Prices of operators who don't foresee the followers' answers: what anticipation is measured against.

    flat        the same price all day, at the mean cap (without a cap: at the top of the box)
    cost-plus   yesterday's electricity price plus the largest margin that the mean cap allows, day after day
    last-hour   of a menu of prices the one that would have earned most in the hour before

All prices keep the box and the mean caps. Nothing here uses a bound, a cut or the exact solver's results.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from formulations.prices import on_grid, owned, price_box
from instances.model import Instance
from mpec.followers.answer import Follower
from mpec.mean_caps import price_limits, project_mean_caps

Array = np.ndarray[Any, Any]

DAYS = 10
"""After so many days cost-plus takes the prices of the last one, settled or not."""

MENU = 200
"""Prices on the menu of last-hour, the flat ones among them."""

MENU_STEPS = (0.003, 0.3)
"""Least and largest step of the menu away from flat prices, shares of the box."""

_STILL = 1e-9
"""Money/kWh: cost-plus has settled when no price moves by more."""


def policy_prices(instance: Instance, policy: str, *, seed: int = 0) -> Array:
    """The prices (M, T), money/kWh, of one of the policies. Raises ValueError for another name."""
    if policy == "flat":
        return on_grid(instance, flat_prices(instance))
    if policy == "cost-plus":
        return on_grid(instance, cost_plus_prices(instance))
    if policy == "last-hour":
        return on_grid(instance, last_hour_prices(instance, seed=seed))
    raise ValueError(f"{policy!r} is no policy; choose flat, cost-plus or last-hour")


def flat_prices(instance: Instance) -> Array:
    """rho[m, t] = mean cap of station m, or its dearest price where it has none, (M, T)."""
    _, high, cap = price_limits(instance)
    return np.asarray(np.where(np.isfinite(cap)[:, None], cap[:, None], high))


def with_margin(instance: Instance, cost: Array) -> Array:
    """clip(cost + margin_m) with the largest margins that keep the mean caps, (M, T) from costs (M, T)."""
    prices = price_box(instance)[0]
    for m, station in enumerate(instance.stations):
        if station.owner == "rival":
            continue
        cap = math.inf if station.price_mean_max is None else station.price_mean_max
        low, high = station.price_min - float(cost[m].max()), station.price_max - float(cost[m].min())
        if np.clip(cost[m] + high, station.price_min, station.price_max).mean() > cap:
            for _ in range(100):
                margin = 0.5 * (low + high)
                above = np.clip(cost[m] + margin, station.price_min, station.price_max).mean() > cap
                low, high = (low, margin) if above else (margin, high)
            high = low
        prices[m] = np.clip(cost[m] + high, station.price_min, station.price_max)
    return prices


def cost_plus_prices(instance: Instance, *, days: int = DAYS) -> Array:
    """Electricity price of the day before plus a margin; the day before the first had flat prices."""
    follower, prices = Follower(instance), flat_prices(instance)
    for _ in range(days):
        point = follower.answer(prices, starts=1).point
        assert point is not None
        new = with_margin(instance, point.electricity_price)
        still = float(np.abs(new - prices).max()) <= _STILL
        prices = new
        if still:
            break
    return prices


def last_hour_prices(instance: Instance, *, seed: int = 0, menu: int = MENU) -> Array:
    """Hour t has the prices that would have earned most in hour t - 1; the first hour is flat.

    The menu is drawn once; all of it asks on average over the stations as much as flat prices (as a share of
    the box), so that the rule moves prices between stations, not up. At last the day is shifted under the
    mean caps. Prices whose answer overloads a station are taken only when all of the menu's do.
    """
    flat = flat_prices(instance)
    choices = price_menu(instance, flat[:, 0], menu, np.random.default_rng([seed, 1]))
    rivals = owned(instance) == 0.0
    follower = Follower(instance)
    arriving = np.full(len(instance.pairs), instance.users.initial_residual)
    chosen, prices = 0, np.zeros(flat.shape)
    for t in range(len(instance.periods)):
        choices[:, rivals] = flat[rivals, t]
        prices[:, t] = choices[chosen]
        load, leaving, bill = follower.hour(t, choices, np.tile(arriving, (len(choices), 1)))
        arriving = leaving[chosen]
        chosen = best_hour(choices, load, bill, follower.capacity_kw)
    low, high, cap = price_limits(instance)
    return project_mean_caps(prices, low, high, cap)


def price_menu(instance: Instance, flat: Array, count: int, rng: np.random.Generator) -> Array:
    """``count`` price vectors (K, M) with the mean share of the box that ``flat`` (M,) has, itself first."""
    low, high = (ends[:, 0] for ends in price_box(instance))
    width = np.where(high > low, high - low, 1.0)
    shares = (flat - low) / width
    steps = rng.uniform(-1.0, 1.0, (count - 1, len(flat)))
    moves = high > low
    steps[:, ~moves] = 0.0
    steps[:, moves] -= steps[:, moves].mean(axis=1, keepdims=True)
    # Small steps and large ones: users react to a tenth of a price, and to a thousandth.
    steps *= np.geomspace(MENU_STEPS[0], MENU_STEPS[1], count - 1)[:, None]
    room = np.where(steps > 0.0, (1.0 - shares) / np.maximum(steps, 1e-300), np.inf)
    room = np.minimum(room, np.where(steps < 0.0, shares / np.maximum(-steps, 1e-300), np.inf)).min(axis=1)
    shares = shares + steps * np.minimum(room, 1.0)[:, None]
    return np.vstack([flat, low + shares * (high - low)])


def best_hour(prices: Array, load: Array, bill: Array, capacity_kw: Array) -> int:
    """Which of the prices (K, M) earns most in an hour among those with the least excess, kW."""
    over = np.maximum(load - capacity_kw * (1.0 + 1e-9), 0.0).sum(axis=1)
    profit = (prices * load).sum(axis=1) - bill
    return int(np.argmax(np.where(over <= over.min(), profit, -np.inf)))
