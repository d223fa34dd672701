"""What the judge hands over: the verdict with everything it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mpec.checks.all_routes import AllRoutes
from mpec.checks.record import Check, RecheckState
from mpec.pessimistic import Pessimistic
from mpec.storage import plain

Verdict = Literal["CERTIFIED", "EQUILIBRIUM", "REJECTED", "INFEASIBLE", "NO_POINT"]


@dataclass(frozen=True)
class Certificate:
    """What the judge found. lower_bound is the recomputed profit (None unless the point passed every check).

    upper_bound: re-proved where recheck is "confirmed", else as stated (a number in a file); never below
    lower_bound; None when there is none or it was found void. gap: (upper - lower) / max(|upper|, 1).
    electricity_low, _high: (M, T), on the optimal dual face. profit_on_tolerance: the part of the profit
    earned on routes dearer than the cheapest by more than the aim (1e-9), money; 0 means that the point is
    an equilibrium of the exact game up to rounding. tolerance_allowance: what all tolerances together could move
    the profit by, to first order, money. all_routes: whether the point is an equilibrium over all routes of the road
    network too; with a declared route set that decides no verdict, but is said.
    """

    verdict: Verdict
    lower_bound: float | None
    upper_bound: float | None
    gap: float | None
    target_gap: float
    epsilon: float
    delta: float
    optimistic_profit: float | None
    pessimistic_profit: Pessimistic | None
    recheck: RecheckState
    checks: tuple[Check, ...]
    big_m: tuple[dict[str, Any], ...]
    route_set: Literal["complete", "declared"]
    all_routes: AllRoutes
    notes: tuple[str, ...]
    profit_on_tolerance: float | None
    tolerance_allowance: float | None
    ac_voltage_error: float | None
    bpr_gap: float | None
    electricity_low: np.ndarray | None
    electricity_high: np.ndarray | None
    solver: str
    seed: int
    versions: Mapping[str, str]
    solve_seconds: float
    seconds: float

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    def to_json(self) -> dict[str, Any]:
        """certificate.json; a number that doesn't exist is None."""
        pessimistic = None if self.pessimistic_profit is None else self.pessimistic_profit.to_json()
        content: dict[str, Any] = plain(
            {
                "verdict": self.verdict,
                "lower_bound": self.lower_bound,
                "upper_bound": self.upper_bound,
                "gap": self.gap,
                "target_gap": self.target_gap,
                "epsilon": self.epsilon,
                "delta": self.delta,
                "optimistic_profit": self.optimistic_profit,
                "pessimistic_profit": pessimistic,
                "recheck": self.recheck,
                "checks": [check.to_json() for check in self.checks],
                "big_m": list(self.big_m),
                "route_set": self.route_set,
                **self.all_routes.to_json(),
                "notes": list(self.notes),
                "profit_on_tolerance": self.profit_on_tolerance,
                "tolerance_allowance": self.tolerance_allowance,
                "ac_voltage_error_pu": self.ac_voltage_error,
                "bpr_gap_h": self.bpr_gap,
                "electricity_price_interval": None
                if self.electricity_low is None or self.electricity_high is None
                else {"low": self.electricity_low.tolist(), "high": self.electricity_high.tolist()},
                "solver": self.solver,
                "seed": self.seed,
                "versions": dict(self.versions),
                "solve_seconds": self.solve_seconds,
                "seconds": self.seconds,
            }
        )
        return content
