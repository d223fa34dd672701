"""The leader's prices as arrays: whose station is whose, the box of every price, its grid. Without Pyomo.

Arrays are (M, T), stations by periods, or (M,). A rival's price is posted: its box is that one number, so that
whatever moves prices within their boxes leaves it where it is; what it earns is not the leader's (:func:`owned`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]

GRID = 1e-9
"""A price lies on its grid if it is within this share of the nearest multiple of the step (the judge's tolerance)."""


def owned(instance: Instance) -> Array:
    """(M,) 1.0 for the leader's stations, 0.0 for rivals': the weights of what the leader earns and pays."""
    return np.array([1.0 if s.owner == "leader" else 0.0 for s in instance.stations])


def has_rivals(instance: Instance) -> bool:
    """Whether some station is a rival's."""
    return any(s.owner == "rival" for s in instance.stations)


def price_box(instance: Instance) -> tuple[Array, Array]:
    """Least and greatest charging prices (M, T), money/kWh; equal where a rival posts its price.

    Of a station with a step its least and greatest multiples: rounding may put them a hair beyond the box's ends.
    """
    periods = len(instance.periods)
    low = np.array([[s.price_min] * periods for s in instance.stations], float)
    high = np.array([[s.price_max] * periods for s in instance.stations], float)
    steps, (fewest, most) = price_steps(instance), grid_ends(instance)
    for m, station in enumerate(instance.stations):
        if steps[m] > 0.0:
            low[m], high[m] = fewest[m] * steps[m], most[m] * steps[m]
        if station.owner == "rival":
            low[m] = high[m] = [instance.rival_prices[station.id, p.id] for p in instance.periods]
    shape = len(instance.stations), periods
    return low.reshape(shape), high.reshape(shape)


def posted_payments(instance: Instance) -> Array:
    """(M, T) what a kWh pays to rivals: their posted prices; 0 at the leader's stations."""
    return np.asarray((1.0 - owned(instance))[:, None] * price_box(instance)[0])


def searched(instance: Instance) -> Array:
    """(M,) whether a station's price is worth searching: the leader's, open, and with room in its box."""
    return np.array(
        [s.owner == "leader" and s.available and s.price_max > s.price_min for s in instance.stations], bool
    )


def price_steps(instance: Instance) -> Array:
    """(M,) the step whose multiples a station's prices are, 0 where any price in the box is allowed."""
    return np.array([s.price_step or 0.0 for s in instance.stations])


def has_steps(instance: Instance) -> bool:
    """Whether some station's prices are multiples of a step."""
    return bool(price_steps(instance).any())


def grid_ends(instance: Instance) -> tuple[Array, Array]:
    """(M,) least and greatest number of steps whose price lies in the box (but for rounding); 0 without a step."""
    step = price_steps(instance)
    size = np.where(step > 0.0, step, 1.0)
    low = np.array([s.price_min for s in instance.stations]) / size
    high = np.array([s.price_max for s in instance.stations]) / size
    on = step > 0.0
    return np.where(on, np.ceil(low - GRID), 0.0), np.where(on, np.floor(high + GRID), 0.0)


def on_grid(instance: Instance, prices: Array) -> Array:
    """Prices (..., M, T) rounded to the multiples of their steps in the box, and lowered under the mean caps.

    Where rounding breaks a cap, the prices that were rounded up most come down a step. Stations without a step
    keep their prices.
    """
    steps = price_steps(instance)
    if not steps.any():
        return prices
    out = np.array(prices, float)
    lowest, highest = grid_ends(instance)
    for m in np.flatnonzero(steps > 0.0):
        step, wanted = steps[m], out[..., m, :]
        count = np.clip(np.round(wanted / step), lowest[m], highest[m])
        cap = instance.stations[m].price_mean_max
        if cap is not None:
            most = np.floor(count.shape[-1] * cap / step + GRID)
            count = _lowered(count, count - wanted / step, lowest[m], most)
        # 7 steps of 0.05 are 0.35, not 0.35000000000000003
        out[..., m, :] = np.round(step * count, 12)
    return out


def _lowered(count: Array, raised: Array, lowest: float, most: float) -> Array:
    """Counts (..., T) with a sum of at most ``most``: those ``raised`` most come down first, step by step."""
    over = count.sum(axis=-1) - most
    while (over > 0.0).any():
        room = count > lowest
        rank = np.argsort(np.argsort(-np.where(room, raised, -np.inf), axis=-1, kind="stable"), axis=-1)
        down = room & (rank < over[..., None])
        if not down.any():
            break
        count, raised = count - down, raised - down
        over = count.sum(axis=-1) - most
    return count


def off_grid(instance: Instance, prices: Array) -> Array:
    """(M, T) distance of prices (M, T) to the nearest multiple of their steps, in steps; 0 without a step."""
    step = price_steps(instance)[:, None]
    count = prices / np.where(step > 0.0, step, 1.0)
    return np.asarray(np.where(step > 0.0, np.abs(count - np.round(count)), 0.0))
