"""SOS1: for each pair a slack column and its multiplier column, of which at most one is nonzero.

    0 <= s _|_ y >= 0     becomes     t = s, u = y, SOS1(t, u)

No bound is needed. For solvers with SOS1 sets (Gurobi, SCIP).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpec.complementarity import Linear, Pair
from mpec.kkt import Kkt
from mpec.linear_model import LinearModel
from mpec.modes.big_m import Written


def write(model: LinearModel, pairs: Sequence[Pair], *, followers: Sequence[Kkt] = ()) -> Written:
    """Write every pair; an expression that is one column already is used as it is."""
    for pair in pairs:
        slack = as_column(model, pair.slack, f"slack[{pair.name}]")
        multiplier = as_column(model, pair.multiplier, f"side[{pair.name}]")
        model.sos1.append((f"pair[{pair.name}]", (slack, multiplier)))
    return Written(np.full(len(pairs), -1))


def as_column(model: LinearModel, side: Linear, name: str) -> int:
    """A nonnegative column equal to the expression."""
    if len(side.columns) == 1 and side.values[0] == 1.0 and side.constant == 0.0:
        column = int(side.columns[0])
        if model.lower[column] >= 0.0:
            return column
    column = model.add_variable(name, 0.0, math.inf)
    row = np.concatenate([[column], side.columns])
    model.add_row(
        f"{name}.definition", row, np.concatenate([[1.0], -side.values]), side.constant, side.constant
    )
    return column
