"""The record that everything downstream of a follower sees: complementary pairs with bounds.

    0 <= slack  _|_  multiplier >= 0,     slack <= slack_bound,  multiplier <= multiplier_bound

A bound always says where it comes from; there is no default. See design "never invented".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Bound:
    """An upper bound on a nonnegative quantity, with its derivation.

    ``proven`` is False only where a user asserted the value: then no verdict may be CERTIFIED. ``exact``: every step
    of the derivation from the rows as they stand, equations eliminated, was computed without rounding errors or
    rounded outwards.
    """

    value: float
    source: str
    proven: bool = True
    exact: bool = False

    def __post_init__(self) -> None:
        if math.isnan(self.value):
            raise ValueError(f"a bound can't be NaN (source: {self.source})")


@dataclass(frozen=True, slots=True)
class Linear:
    """values . x[columns] + constant over the columns of a LinearModel."""

    columns: Array
    values: Array
    constant: float = 0.0

    def at(self, x: Array) -> float:
        return float(np.dot(self.values, x[self.columns]) + self.constant)


def column(index: int) -> Linear:
    """The expression that is one column."""
    return Linear(np.array([index]), np.array([1.0]))


@dataclass(frozen=True, slots=True)
class Pair:
    """0 <= slack _|_ multiplier >= 0, both linear over the model's columns."""

    name: str
    slack: Linear
    multiplier: Linear
    slack_bound: Bound | None = None
    multiplier_bound: Bound | None = None

    def bounded(self, slack_bound: Bound | None, multiplier_bound: Bound | None) -> Pair:
        """The same pair with these bounds."""
        return Pair(self.name, self.slack, self.multiplier, slack_bound, multiplier_bound)


class UnboundedPair(ValueError):
    """A side of a pair has no finite derived bound, so big-M can't be written; names row and cure."""

    def __init__(self, pair: str, side: str, why: str = "") -> None:
        self.pair, self.side = pair, side
        reason = f" ({why})" if why else ""
        super().__init__(
            f"{pair}: no finite bound can be derived for its {side}{reason}.\n"
            "  Give finite bounds to the leader's and the follower's variables in this row, state a"
            " Slater point,"
            " use mode sos1 or indicator with solver scip or gurobi, or assert a value"
            " (assert_bounds=...): it is then marked ASSUMED and the result can't be CERTIFIED."
        )


def finite(bound: Bound | None, pair: str, side: str) -> float:
    """The bound's value. Raises UnboundedPair where there is none."""
    if bound is None or not math.isfinite(bound.value):
        raise UnboundedPair(pair, side, "" if bound is None else bound.source)
    return bound.value
