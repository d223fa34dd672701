"""A bilevel problem as data: the leader's own problem in matrix form, and the followers in it.

Everything the reformulation needs, whether it came from a Pyomo model or from files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mpec.linear_model import LinearModel
from mpec.optimiser import Array, Optimiser


@dataclass(frozen=True)
class Side:
    """values . x[columns] + constant, required to be >= 0 (or free where the other side is an equality)."""

    columns: Array
    values: Array
    constant: float


@dataclass(frozen=True)
class Conditions:
    """An equilibrium follower: complementary pairs stated directly, as (31).

    Over the model's columns: pairs of linear expressions (columns, values, constant); the follower's
    plain rows stand in the model already.
    """

    name: str
    pairs: tuple[tuple[str, Side, Side], ...]


@dataclass(frozen=True)
class FollowerEntry:
    """An optimising follower and where its variables stand: ``primal`` (n,) and ``given`` (k,) columns."""

    optimiser: Optimiser
    primal: Array
    given: Array


@dataclass(frozen=True)
class PriceLink:
    """Column ``column`` is the price of row ``row`` of follower ``follower``: dV/d right-hand side (min
    form)."""

    column: int
    follower: int
    row: int


@dataclass
class Bilevel:
    """The leader's problem over all columns (its rows and objective), and the followers.

    ``model`` holds the leader's, the followers' and the price columns, the leader's rows and objective,
    but none of the followers' rows. ``variables`` maps names to columns; ``handles`` maps the id of a
    modelling object to its column, for loading values back.
    """

    name: str
    model: LinearModel
    followers: list[FollowerEntry] = field(default_factory=list)
    conditions: list[Conditions] = field(default_factory=list)
    prices: list[PriceLink] = field(default_factory=list)
    handles: Mapping[int, Any] = field(default_factory=dict)

    @property
    def leader_columns(self) -> Array:
        """Columns that no follower decides and that are no prices."""
        taken = np.zeros(self.model.columns, dtype=bool)
        for follower in self.followers:
            taken[follower.primal] = True
        for link in self.prices:
            taken[link.column] = True
        return np.flatnonzero(~taken)
