"""The keys of a study file: what each may hold, its default, and which method knows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """What a key may hold, in words and as a check that returns the value or raises ValueError, TypeError.

    default None: the key may be left out and then says nothing (the instance or the solver decides).
    """

    what: str
    read: Callable[[Any], Any]
    default: Any = None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _number(least: float, most: float = math.inf) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not (math.isfinite(value) and least <= value <= most):
            raise ValueError
        return float(value)

    return read


def _positive(value: Any) -> float:
    number = _number(0.0)(value)
    if number == 0.0:
        raise ValueError
    return number


def _whole(least: int, most: float = math.inf) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    return read


def _choice(*names: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in names:
            raise ValueError
        return str(value)

    return read


def _periods(value: Any) -> tuple[int, int]:
    """'8-10', '8' or 8."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError
    first, _, last = str(value).strip().partition("-")
    chosen = int(first), int(last or first)
    if chosen[0] > chosen[1]:
        raise ValueError
    return chosen


ANALYSES = ("tariff-and-residual", "kappa-xi", "optimality-gaps", "value-of-anticipation")
POLICIES = ("flat", "cost-plus", "last-hour")

TOP: Mapping[str, Setting] = {
    "question": Setting("a sentence in quotes", _text),
    "analysis": Setting(f"one of {', '.join(ANALYSES)}", _choice(*ANALYSES)),
    "reuse": Setting("the folder of another study, counted from this file, in quotes", _text),
}

GAME: Mapping[str, Setting] = {
    "instance": Setting("a bundled instance's name or a folder, in quotes", _text),
    "tariff": Setting("one of fixed, dlmp, regulated, in quotes", _choice("fixed", "dlmp", "regulated")),
    "xi": Setting("a number >= 0", _number(0.0)),
    "kappa": Setting("a number >= 0 (money per hour)", _number(0.0)),
    "price_step": Setting("a number > 0 (money per kWh)", _positive),
    "periods": Setting("a span such as '8-10', in quotes, first label first", _periods),
}

_SEED = Setting("a whole number >= 0", _whole(0), 0)
_SEEDS = Setting("how many seeds (0, 1, ...), a whole number from 1 to 10000", _whole(1, 10_000))
_TIES = "true or false: whether the followers' worst answer is bounded too"

SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "exact": {
        "gap": Setting("a target gap from 0 to 1, such as 0.005", _number(0.0, 1.0), 0.01),
        "sweeps": Setting("the largest number of sweeps, a whole number >= 1", _whole(1), 4),
        "solver": Setting(
            "one of highs, gurobi, scip, in quotes", _choice("highs", "gurobi", "scip"), "highs"
        ),
        "recheck": Setting("true or false: whether the bound is re-proved", _flag, True),
        "pessimistic": Setting(_TIES, _flag, True),
        "seed": _SEED,
    },
    "heuristic": {
        "population": Setting("a whole number >= 2", _whole(2), 50),
        "iterations": Setting("a whole number >= 1", _whole(1), 100),
        "start": Setting(
            "one of spread, middle, random, in quotes", _choice("spread", "middle", "random"), "spread"
        ),
        "pessimistic": Setting(_TIES, _flag, False),
        "seed": _SEED,
        "seeds": _SEEDS,
    },
    "policy": {
        "policy": Setting(f"one of {', '.join(POLICIES)}, in quotes", _choice(*POLICIES), "flat"),
        "pessimistic": Setting(_TIES, _flag, False),
        "seed": _SEED,
        "seeds": _SEEDS,
    },
    "robust": {
        "of": Setting("the name of an earlier block with method exact, in quotes", _text, "exact"),
        "radius": Setting("the largest change of a price, a number >= 0 (money/kWh)", _number(0.0), 0.01),
        "tries": Setting("price vectors tried an hour, a whole number >= 1", _whole(1), 200),
        "pessimistic": Setting(_TIES, _flag, True),
        "seed": _SEED,
    },
}
