"""Multipliers from equilibria: those at which the best hours that were met bound the day's profit best.

The day's LP gives multipliers that are best for a relaxation; where that errs by much, they are not the best for the
game. Every equilibrium of an hour is a point of the hour's Lagrangian, so over a pool of them

    min over multipliers of   sum_t max {l_t(equilibrium) : pool of hour t} + constant

is the day's dual seen from inside, a linear program. Few points tell little about far multipliers, so the step stays
in a box. Any multipliers give a valid bound; what is found here is only where to compute it.
"""

from __future__ import annotations

import numpy as np

from instances.model import Instance
from mpec.coupling import Multipliers, mean_caps
from mpec.hour_pool import HourPool
from mpec.linear_model import LinearModel
from mpec.solvers import open_session

Array = np.ndarray


def pooled_multipliers(
    instance: Instance, pool: HourPool, center: Multipliers, reach: float
) -> Multipliers | None:
    """The best multipliers for the pool within ``reach`` of ``center``; None where an hour has no equilibrium.

    ``reach`` is a share of the largest cap multiplier (money per price unit) and of the largest link multiplier
    (money per vehicle). A regulated tariff stays the center's.
    """
    periods, pairs, dt = len(instance.periods), len(instance.pairs), instance.period_h
    if any(not pool.hours.get(t) for t in range(periods)):
        return None
    model = LinearModel(name="pooled multipliers", maximise=False)
    caps = mean_caps(instance)
    bounded = np.isfinite(caps)
    cap_room = reach * max(float(center.cap.max(initial=0.0)), 1.0)
    cap = np.full(len(caps), -1)
    for m in np.flatnonzero(bounded):
        low = max(0.0, float(center.cap[m]) - cap_room)
        high = float(center.cap[m]) + cap_room
        cap[m] = model.add_variable(f"cap[{m}]", low, high, cost=periods * float(caps[m]))
    link_room = reach * float(np.abs(center.link).max(initial=0.0))
    link = np.full((pairs, periods), -1)
    if instance.users.xi > 0.0:
        for n in range(pairs):
            for t in range(1, periods):
                at = float(center.link[n, t])
                link[n, t] = model.add_variable(f"link[{n},{t}]", at - link_room, at + link_room)
    worth = [model.add_variable(f"hour[{t}]", -np.inf, np.inf, cost=1.0) for t in range(periods)]
    for t in range(periods):
        for i, hour in enumerate(pool.hours[t]):
            columns, values = [worth[t], *cap[bounded]], [1.0, *hour.prices[bounded]]
            if link[:, t].min() >= 0:
                columns, values = [*columns, *link[:, t]], [*values, *hour.incoming]
            if t + 1 < periods and link[:, t + 1].min() >= 0:
                columns, values = [*columns, *link[:, t + 1]], [*values, *(-hour.residual)]
            bill = 0.0 if center.tariff is None else dt * float(center.tariff[:, t] @ hour.load)
            model.add_row(f"pooled[{t},{i}]", columns, np.array(values), lower=hour.profit - bill)
    solved = open_session(model).solve(time_limit=30.0)
    if solved.x is None:
        return None
    x = solved.x
    new_cap = np.where(cap >= 0, np.maximum(x[cap], 0.0), 0.0)
    new_link = np.where(link >= 0, x[link], 0.0)
    return Multipliers(new_cap, new_link, center.tariff)
