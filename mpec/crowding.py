"""Prices that take vehicles away from overloaded stations: a start for polish where the first answer is not allowed.

Drivers compare stations, so what helps is a difference in price: an overloaded station becomes dearer and the
others of the hour cheaper, step by step, until nobody's limit is exceeded. Polish can't do this by itself: it
moves vehicles among the routes in use, and a full station may be on all of them.
"""

from __future__ import annotations

import numpy as np

from formulations.prices import price_box, searched
from mpec.primal import Candidate, Primal

STEP = 0.02
"""Share of the price box by which an overloaded station moves in a step; the others half as much, downwards."""

MOST_STEPS = 12
"""So many answers of the followers at most; a station that is on all ways stays overloaded at any price."""


def uncrowded(primal: Primal, start: Candidate) -> Candidate | None:
    """The followers' answer to prices near those of ``start`` that overloads no station; None if not found."""
    instance = primal.routes.instance
    low, high = price_box(instance)
    step = STEP * (high - low) * searched(instance)[:, None]
    limit = 1e-7 * float(primal.capacity.max())
    found, prices = start, start.prices
    for _ in range(MOST_STEPS):
        over = primal.routes.plan_kwh.T @ found.flows - primal.capacity > limit
        if not over.any():
            return found
        others = over.any(axis=0)[None, :] & ~over
        prices = np.clip(
            np.where(over, prices + step, np.where(others, prices - 0.5 * step, prices)), low, high
        )
        found = primal.answer(prices)
    return found if found.excess <= limit else None
