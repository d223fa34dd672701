"""One judged fact, and what the recheck of the bound hands to the judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

RecheckState = Literal["none", "confirmed", "refuted", "undecided"]


@dataclass(frozen=True)
class Check:
    """``value`` is the largest violation found (None: it could not be computed), passed iff <= tolerance.

    ``where`` names the worst place, or why there is no value.
    """

    name: str
    value: float | None
    tolerance: float
    passed: bool
    where: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "tolerance": self.tolerance,
            "passed": self.passed,
            "where": self.where,
        }


def judged(name: str, value: float, tolerance: float, where: str = "") -> Check:
    """A check from a violation; NaN and infinity never pass."""
    finite = math.isfinite(value)
    return Check(
        name, float(value) if finite else None, tolerance, bool(finite and value <= tolerance), where
    )


def failed(name: str, tolerance: float, why: str) -> Check:
    """A check that has no value because the point makes no sense there."""
    return Check(name, None, tolerance, False, why)


def worst(name: str, tolerance: float, violations: Iterable[tuple[float, str]]) -> Check:
    """The largest of some violations with its place; a NaN among them decides. None at all passes with 0."""
    value, where = 0.0, ""
    for violation, place in violations:
        if math.isnan(violation) or violation > value:
            value, where = violation, place
        if math.isnan(value):
            break
    return judged(name, value, tolerance, where)


def guarded(name: str, tolerance: float, evaluate: Callable[[], Iterable[Check]]) -> list[Check]:
    """The checks of ``evaluate``; whatever nonsense makes it fail is a failed check, never a crash."""
    try:
        return list(evaluate())
    except Exception as error:  # the point is untrusted: any error means it can't be confirmed
        return [failed(name, tolerance, f"could not be evaluated: {type(error).__name__}: {error}")]


@dataclass(frozen=True)
class RecheckOutcome:
    """What the recheck found when it re-proved the stated upper bound from the instance.

    state         confirmed: every part re-proved; refuted: a part is false (``details`` says which);
                  undecided: time ran out; none: not done
    upper_bound   the bound as recomputed; only this one is ever certified
    infeasible    confirmed that no prices in the box are allowed (then ``details`` names hour and station)
    assumed       names of the Ms that rest on somebody's word, or that only floating-point sums stand behind; any of
                  them excludes CERTIFIED
    on_word       hours whose bounds rest on a solver's word, and whose; empty: everything is proven
    exact_ms      how many of the operator's Ms were derived anew without rounding errors
    solver        who re-proved it
    """

    state: RecheckState
    upper_bound: float | None = None
    details: str = ""
    infeasible: bool = False
    assumed: tuple[str, ...] = ()
    on_word: tuple[str, ...] = ()
    solver: str = ""
    seconds: float = 0.0
    exact_ms: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
