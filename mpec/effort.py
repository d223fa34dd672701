"""How long a piece of work may go on: by the clock, or by counting what is done, so that a run can be repeated."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

NODES_PER_SECOND = 4.0
"""Nodes that stand for a second of a MILP where no clock is looked at; its root comes on top."""

LP_SECONDS = 0.015
"""What one of an hour's interval LPs counts for there, s."""

START_SECONDS = 0.3
"""The same for a start of an hour's price search with its polish."""


@dataclass
class Effort:
    """``seconds`` of work; ``counted``: nominal ones by what is done, and no clock has a say."""

    seconds: float
    counted: bool = False
    spent: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        """Seconds that are left, nominal ones if counted."""
        used = self.spent if self.counted else time.perf_counter() - self.began
        return self.seconds - used

    def used(self) -> float:
        return self.seconds - self.left()

    def spend(self, nominal: float) -> None:
        """Something was done that stands for so many seconds."""
        self.spent += nominal

    def limits(self, seconds: float) -> dict[str, Any]:
        """A MILP's limit for so many seconds, as an argument of :func:`mpec.solvers.careful.solve_milp`."""
        if not self.counted:
            return {"time_limit": max(seconds, 1.0)}
        return {"node_limit": max(1, int(NODES_PER_SECOND * seconds))}
