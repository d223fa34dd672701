"""Big-M: one binary and two rows per pair, with derived bounds only.

    0 <= s _|_ y >= 0,  s <= S,  y <= M     becomes     s + S z <= S + e_s,   y - M z <= e_y,   z in {0, 1}

with relaxations e >= 0 for games that are certified with a tolerance. Nonnegativity of s and y stands
in the model already. Raises UnboundedPair for a side without a finite bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from mpec import tolerances
from mpec.complementarity import Linear, Pair, finite
from mpec.kkt import Kkt
from mpec.linear_model import Array, LinearModel

NEGLIGIBLE = 1e-8
"""A side whose bound is at most this is only kept below it, without a binary: a relaxation that small is
nothing."""


@dataclass(frozen=True)
class BigM:
    """One big-M and what it rests on; ``leak`` = value x integrality tolerance may not reach the
    complementarity tolerance (``leaks``), else a binary that is "almost 0" lets both sides be positive."""

    name: str
    side: str
    value: float
    source: str
    proven: bool
    leak: float
    leaks: bool


@dataclass(frozen=True)
class Written:
    """What a mode added: ``binaries`` per pair (-1 where none was needed) and the report per M."""

    binaries: Array
    report: tuple[BigM, ...] = ()

    @property
    def leaking(self) -> tuple[BigM, ...]:
        return tuple(m for m in self.report if m.leaks)

    @property
    def proven(self) -> bool:
        return all(m.proven for m in self.report)


def write(
    model: LinearModel,
    pairs: Sequence[Pair],
    *,
    followers: Sequence[Kkt] = (),
    slack_relaxation: float | Array = 0.0,
    multiplier_relaxation: float | Array = 0.0,
    complementarity_tolerance: float = tolerances.EPSILON,
    integrality_tolerance: float = tolerances.MIP_FEASIBILITY,
) -> Written:
    """Write every pair; a side whose bound is 0 (or negligible) needs no binary.

    Args:
        followers: not needed here (the modes share one signature).
        slack_relaxation, multiplier_relaxation: e_s and e_y, scalar or per pair.
        complementarity_tolerance: what a leak is compared with, in the pairs' units.
    """
    count = len(pairs)
    slack_free = np.broadcast_to(np.asarray(slack_relaxation, dtype=float), count)
    multiplier_free = np.broadcast_to(np.asarray(multiplier_relaxation, dtype=float), count)
    big_s = np.array([finite(p.slack_bound, p.name, "slack") for p in pairs])
    big_y = np.array([finite(p.multiplier_bound, p.name, "multiplier") for p in pairs])
    zero_s, zero_y = big_s <= NEGLIGIBLE, big_y <= NEGLIGIBLE
    binaries = np.full(count, -1)
    need = np.flatnonzero(~zero_s & ~zero_y)
    binaries[need] = model.add_variables(
        (f"active[{pairs[i].name}]" for i in need.tolist()), 0.0, 1.0, integer=True
    )
    _rows(model, pairs, "slack", need, binaries, big_s, big_s, slack_free)
    _rows(model, pairs, "multiplier", need, binaries, -big_y, np.zeros(count), multiplier_free)
    _zero(model, pairs, "slack", np.flatnonzero(zero_s), np.maximum(big_s, slack_free))
    _zero(model, pairs, "multiplier", np.flatnonzero(zero_y & ~zero_s), np.maximum(big_y, multiplier_free))
    report = []
    for i in need.tolist():
        p = pairs[i]
        for side, bound in (("slack", p.slack_bound), ("multiplier", p.multiplier_bound)):
            assert bound is not None
            leak = bound.value * integrality_tolerance
            report.append(
                BigM(
                    p.name,
                    side,
                    bound.value,
                    bound.source,
                    bound.proven,
                    leak,
                    leak >= complementarity_tolerance,
                )
            )
    return Written(binaries, tuple(report))


def _rows(
    model: LinearModel,
    pairs: Sequence[Pair],
    side: str,
    need: Array,
    binaries: Array,
    on_z: Array,
    right: Array,
    free: Array,
) -> None:
    """expression + on_z z <= right + free for the pairs ``need``, all at once."""
    if not len(need):
        return
    parts = [_side(pairs[i], side) for i in need]
    matrix, columns, constants = stack(parts)
    matrix = sp.hstack([matrix, sp.csr_matrix(sp.diags(on_z[need]))]).tocsr()
    model.add_rows(
        (f"pair[{pairs[i].name}].{side}" for i in need),
        matrix,
        np.concatenate([columns, binaries[need]]),
        upper=right[need] + free[need] - constants,
    )


def _zero(model: LinearModel, pairs: Sequence[Pair], side: str, which: Array, free: Array) -> None:
    """expression <= free where the bound says that the side is always 0."""
    if not len(which):
        return
    matrix, columns, constants = stack([_side(pairs[i], side) for i in which])
    names = (f"pair[{pairs[i].name}].{side}" for i in which)
    model.add_rows(names, matrix, columns, upper=free[which] - constants)


def _side(pair: Pair, side: str) -> Linear:
    return pair.slack if side == "slack" else pair.multiplier


def stack(parts: Sequence[Linear]) -> tuple[sp.csr_matrix, Array, Array]:
    """Linear expressions as rows: (matrix over ``columns``, columns, constants)."""
    counts = np.array([len(p.columns) for p in parts])
    columns = np.concatenate([p.columns for p in parts]) if parts else np.zeros(0, dtype=int)
    values = np.concatenate([p.values for p in parts]) if parts else np.zeros(0)
    unique, place = np.unique(columns, return_inverse=True)
    starts = np.concatenate([[0], np.cumsum(counts)])
    matrix = sp.csr_matrix((values, place, starts), shape=(len(parts), len(unique)))
    return matrix, unique.astype(int), np.array([p.constant for p in parts])
