"""What a replay of a bound's derivation has proven so far, and what of it an hour's next proof may use."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from formulations.routes import RouteSet
from mpec.claims import Claims, Local
from mpec.coupling import Multipliers
from mpec.executors import Tasks
from mpec.hour_dispatch import HourDispatch
from mpec.hour_solve import Cutoff
from mpec.hour_state import HourState
from mpec.judged_hours import JudgedHour, excluded
from mpec.replayed_hours import Premises, Refuted


@dataclass
class Replay:
    """The state of a replay: hours as proven so far, and the cutoff that this run has proven.

    waiting  numbers of cutoff steps that nothing has needed yet (mpec.replay.idle_cutoffs)
    shown    local rounds confirmed by hour: at which multipliers and level, which, and what was found for them
    """

    routes: RouteSet
    states: list[HourState]
    dispatches: list[HourDispatch]
    solver: str
    deadline: float
    judged: list[JudgedHour]
    lower: float
    tasks: Tasks
    thorough: bool
    say: Callable[[str], None]
    cutoff: tuple[Multipliers, list[float]] | None = None
    totals: dict[int, tuple[Multipliers, list[float], float]] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    shown: dict[int, list[tuple[Multipliers, Local, tuple[Claims, ...]]]] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    words: dict[int, str] = field(default_factory=dict)

    def premises(self, t: int) -> Premises:
        cutoffs = () if self.cutoff is None else (Cutoff(self.cutoff[0], self.cutoff[1][t]),)
        return Premises(
            self.routes,
            self.states[t],
            self.dispatches[t],
            cutoffs,
            self.solver,
            self.deadline,
            self.thorough,
        )

    def look(self, t: int) -> None:
        """The judged hour lies in the intervals as they stand now. Raises Refuted."""
        if not self.judged:
            return
        box = self.states[t].box
        fault = excluded(self.judged[t], box.low, box.high, box.usable)
        if fault:
            raise Refuted(f"period {self.label(t)}: an interval excludes the judged point: {fault}")

    def label(self, t: int) -> int:
        return self.routes.instance.periods[t].id

    def known_rounds(self, t: int, multipliers: Multipliers, local: Local | None) -> tuple[Claims, ...]:
        """What was found for the first rounds of ``local`` that were confirmed at the same multipliers and no higher
        level."""
        most: tuple[Claims, ...] = ()
        if local is None:
            return most
        for known, before, found in self.shown.get(t, ()):
            if before.level <= local.level and same_multipliers(known, multipliers):
                same = itertools.takewhile(
                    lambda pair: pair[0] == pair[1], zip(before.rounds, local.rounds, strict=False)
                )
                most = max(most, found[: sum(1 for _ in same)], key=len)
        return most


def same_multipliers(one: Multipliers, other: Multipliers) -> bool:
    """Whether both are the same numbers."""
    if (one.tariff is None) != (other.tariff is None):
        return False
    same = np.array_equal(one.cap, other.cap) and np.array_equal(one.link, other.link)
    return same and (one.tariff is None or other.tariff is None or np.array_equal(one.tariff, other.tariff))
