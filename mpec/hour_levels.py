"""How an hour's closing is driven: which level next, and when a MILP helps."""

from __future__ import annotations

import numpy as np

from mpec.effort import LP_SECONDS, Effort
from mpec.hour_closing import Closing
from mpec.hour_rounds import Rounds, nominal_seconds

FEW_ROUTES = 40
"""So few routes left: a MILP is soon solved, and comes before any level but the one that is known."""

REFINED_ROUNDS = 8
"""MILPs with refinement at one level at most."""

PATIENCE = 2
"""Rounds of interval LPs that change little, one after the other, before another level is tried."""

SECOND_SHARE = 0.15
"""Where the way down to what is known can't be proved at once, this share of it is tried. In the bundled day's hour 18,
52 money open, 0.15 and 0.22 of the way took one round each, then 0.34 two."""

LEAST_SHARE = 0.05
"""A level nearer to the bound than this share of what is open isn't worth its LPs."""

SHORT_MILP = 5.0
"""Seconds of a MILP where interval LPs may do better."""


def close(closing: Closing, work: Rounds, effort: Effort) -> None:
    """Rounds of interval LPs above a level; then the next level: again a part of the way from the bound to what is
    known, or a higher one where nothing comes of it. What is known comes first: that is soon seen to work, or not."""
    milps = True
    while closing.open > work.enough and effort.left() > 0.0:
        all_the_way, idle, rounds = closing.share >= 1.0, 0, 0
        while not closing.reached and closing.open > work.enough and effort.left() > 0.0 and idle < PATIENCE:
            before, width, solved = closing.open, closing.width(), closing.solved
            going, rounds = closing.shrink(), rounds + 1
            effort.spend(LP_SECONDS * (closing.solved - solved))
            if not going:
                break
            if closing.open < 0.8 * before or (not all_the_way and closing.width() < 0.95 * width):
                idle = 0
                continue
            idle += 1
            closing.dull.clear()
        if milps and (not all_the_way or int(closing.local.box.usable.sum()) <= FEW_ROUTES):
            milps = _refine_above(closing, work, effort)
        if closing.reached and closing.level > closing.floor:
            closing.share = min(1.0, closing.share * (1.5 if rounds == 1 else 1.0))
        elif closing.share <= LEAST_SHARE:
            return
        else:
            closing.share = min(SECOND_SHARE, 0.5 * closing.share)
        closing.begin()


def _refine_above(closing: Closing, work: Rounds, effort: Effort) -> bool:
    """MILPs above the level, refined where their points are wrong: what is refined serves all levels. False once one
    takes too long."""
    last, idle = np.inf, 0
    for _ in range(REFINED_ROUNDS):
        if closing.reached or closing.open <= work.enough or effort.left() <= 0.0:
            break
        limit = min(effort.left(), SHORT_MILP)
        size_of = max(abs(closing.bound), 1.0)
        outcome, refined = work.solve(closing.local, closing.cutoffs, size_of, effort.limits(limit))
        effort.spend(nominal_seconds(outcome, limit))
        if outcome.point is not None:
            closing.take(outcome.bound)
        closing.refined(refined, work.dispatch)
        if outcome.status != "optimal":
            return False
        idle = 0 if last - outcome.bound > 0.02 * closing.open else idle + 1
        if outcome.point is None or idle > PATIENCE:
            break
        last = outcome.bound
    return True
