"""Indicator rows: one binary and two implications per pair, for solvers that have them (Gurobi, SCIP).

    0 <= s _|_ y >= 0     becomes     z = 1  =>  s <= 0,     z = 0  =>  y <= 0

z = 1: the row is active. No bound is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mpec.complementarity import Linear, Pair
from mpec.kkt import Kkt
from mpec.linear_model import Indicator, LinearModel
from mpec.modes.big_m import Written


def write(model: LinearModel, pairs: Sequence[Pair], *, followers: Sequence[Kkt] = ()) -> Written:
    """Write every pair with one binary."""
    binaries = model.add_variables((f"active[{p.name}]" for p in pairs), 0.0, 1.0, integer=True)
    for pair, z in zip(pairs, binaries.tolist(), strict=True):
        model.indicators.append(_row(f"pair[{pair.name}].slack", z, 1, pair.slack))
        model.indicators.append(_row(f"pair[{pair.name}].multiplier", z, 0, pair.multiplier))
    return Written(np.asarray(binaries))


def _row(name: str, binary: int, value: int, side: Linear) -> Indicator:
    columns, values = tuple(side.columns.tolist()), tuple(side.values.tolist())
    return Indicator(name, binary, value, columns, values, -math.inf, 0.0 - side.constant)
