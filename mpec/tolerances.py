"""Every tolerance that is passed to a solver or that decides a verdict, stated once.

The certified game is the eps-game of design: a used route (w > delta * Wmod) may be dearer than the
cheapest by a relative eps, a station may be over its capacity by a relative eps. The bounding
MILP relaxes its pair and capacity rows by the same amounts, so lower <= upper by construction.
"""

EPSILON = 1e-6
"""Relative cost slack of a used route, and relative capacity slack, in the certified eps-game."""

WIDER_EPSILON = 1.01 * EPSILON
"""The same in the bounding model. The judge's own tolerance on prices (1e-9) could make a route look cheaper by some
more; and he divides by the larger cost."""

DELTA = 1e-9
"""Share of an O-D pair's vehicles that may be, all together, on routes dearer than that. Stricter than
EPSILON on purpose: what stray vehicles could add to the profit is part of every bound."""

AIM = 1e-9
"""What polish and the followers aim at, well inside EPSILON."""

PRIMAL_FEASIBILITY = 1e-9
"""LP row and bound feasibility asked of a solver (scaled model units)."""

DUAL_FEASIBILITY = 1e-9
"""LP reduced-cost feasibility asked of a solver."""

MIP_FEASIBILITY = 1e-7
"""Integrality and row feasibility asked of a MILP solver."""

LOOSER_FEASIBILITY, LOOSER_MIP_FEASIBILITY = 1e-7, 1e-6
"""HiGHS's own defaults, for a second run of what it called unknown or infeasible (mpec.solvers.highs)."""

BOUND_MARGIN = 1e-9
"""Relative outward margin added to every bound that was read from an LP."""
