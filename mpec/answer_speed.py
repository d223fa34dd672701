"""How fast the followers answer a whole population of prices: results/performance/answers.json and .md.

    python -m mpec.answer_speed [INSTANCE] [--tariff T] [--xi X] [--population 50] [--batches 5] [--single 10]
                                [--label now] [--out results/performance]

Populations are drawn like the heuristic's first ones: anywhere in the price box, led under the mean caps. The
first batch meets an empty store of operator's vertices (cold), the others find those of the batches before.
One by one: the same prices, each asked alone; profits and excesses must agree to 1e-8 relative. Times are
processor seconds of this process, so that other work on the machine counts little. Records with
other labels in the JSON file stay, so that before and now stand side by side.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import platform
import pstats
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import instances
from instances.model import Instance
from mpec.followers.answer import Follower
from mpec.mean_caps import price_limits, project_mean_caps
from mpec.storage import json_text

Array = np.ndarray[Any, Any]

AIM_MS = 50.0
"""Milliseconds per price vector that are aimed at, a whole day of the default instance."""

AGREE = 1e-8
USERS_GAP = 1e-8

_PARTS = {
    "users' equilibria": ("users.py", "solve"),
    "ties and prices": ("answer.py", "_splits"),
    "operator's prices": ("scenario_program.py", "prices"),
    "operator's programs solved": ("scenario_program.py", "_solve"),
}
"""Functions whose cumulative share of the time is told; the operator's are inside of the ties'."""


def population(instance: Instance, size: int, seed: int) -> Array:
    """Random prices (size, M, T) in the box and under the mean caps."""
    low, high, cap = price_limits(instance)
    random = np.random.default_rng([seed, 7]).random((size, len(low), len(instance.periods)))
    return project_mean_caps(low + random * (high - low), low, high, cap)


def measure(instance: Instance, *, size: int, batches: int, single: int) -> dict[str, Any]:
    """Milliseconds per price vector in batches and one by one, their disagreement, and where time goes."""
    follower = Follower(instance)
    worst_gap = _watch_gaps(follower)
    per_vector, answers = [], []
    for batch in range(batches):
        prices = population(instance, size, batch)
        began = time.process_time()
        answers.append(follower.evaluate(prices))
        per_vector.append(1000.0 * (time.process_time() - began) / size)
    warm = per_vector[1:] or per_vector
    alone, apart = _one_by_one(instance, population(instance, size, 0)[:single], answers[0])
    return {
        "instance": instance.name,
        "tariff": instance.tariff_mode,
        "xi": instance.users.xi,
        "periods": len(instance.periods),
        "scenarios": len(instance.scenarios),
        "population": size,
        "batches": batches,
        "cold_ms": per_vector[0],
        "median_ms": statistics.median(warm),
        "least_ms": min(warm),
        "most_ms": max(warm),
        "one_by_one_ms": statistics.median(alone),
        "one_by_one_count": len(alone),
        "largest_disagreement": apart,
        "largest_users_gap": worst_gap[0],
        "operator_programs_solved": follower.dispatch.solved,
        "operator_answers": batches * size * len(instance.periods) * len(instance.scenarios),
        "operator_rows": len(follower.dispatch.program.names),
        "shares": _shares(follower, population(instance, size, batches)),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def _watch_gaps(follower: Follower) -> list[float]:
    """A list of one number that grows to the largest gap of any equilibrium that is found."""
    worst, solve = [0.0], follower.users.solve

    def watched(*arguments: Any, **options: Any) -> tuple[Array, Array]:
        flows, gap = solve(*arguments, **options)
        worst[0] = max(worst[0], float(gap.max(initial=0.0)))
        return flows, gap

    follower.users.solve = watched  # type: ignore[method-assign]  # this object only, to look on
    return worst


def _one_by_one(
    instance: Instance, prices: Array, together: tuple[Array, Array]
) -> tuple[list[float], float]:
    """Milliseconds of each price vector asked alone, and the largest relative difference to the batch's."""
    follower, times, apart = Follower(instance), [], 0.0
    for k, one in enumerate(prices):
        began = time.process_time()
        profit, excess = follower.evaluate(one)
        times.append(1000.0 * (time.process_time() - began))
        for alone, batch in ((profit, together[0][k]), (excess, together[1][k])):
            apart = max(apart, abs(float(alone) - float(batch)) / max(abs(float(alone)), 1.0))
    return times, apart


def _shares(follower: Follower, prices: Array) -> dict[str, float]:
    """Share of the time spent inside each of the parts (a profiled batch)."""
    profile = cProfile.Profile()
    profile.enable()
    follower.evaluate(prices)
    profile.disable()
    stats: Any = pstats.Stats(profile)
    found = dict.fromkeys(_PARTS, 0.0)
    for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items():
        for part, (home, name) in _PARTS.items():
            if file.endswith(f"followers/{home}") and function == name:
                found[part] += cumulative / stats.total_tt
    return found


def report(records: dict[str, dict[str, Any]]) -> str:
    """The records side by side, in words."""
    first = next(iter(records.values()))
    lines = [
        "# Followers' answers per price vector",
        "",
        "Made by `python -m mpec.answer_speed`; processor time of one process on one machine.",
        "",
        f"{first['instance']}, {first['periods']} periods, {first['scenarios']} scenarios, tariff {first['tariff']},"
        f" ξ = {first['xi']:g}; populations of {first['population']}. Aim: {AIM_MS:g} ms.",
        "",
        "| | " + " | ".join(records) + " |",
        "|---|" + "---:|" * len(records),
    ]
    wanted = (
        ("ms per price vector, median of the batches after the first", "median_ms", ".1f"),
        ("least", "least_ms", ".1f"),
        ("most", "most_ms", ".1f"),
        ("first batch (nothing kept yet)", "cold_ms", ".1f"),
        ("asked one by one, median", "one_by_one_ms", ".0f"),
        ("largest relative difference, batch against one by one", "largest_disagreement", ".1e"),
        ("largest relative gap of a users' equilibrium", "largest_users_gap", ".1e"),
        ("operator's programs solved", "operator_programs_solved", "d"),
        ("of answers needed", "operator_answers", "d"),
    )
    for label, key, form in wanted:
        lines.append(f"| {label} | " + " | ".join(f"{r[key]:{form}}" for r in records.values()) + " |")
    for part in _PARTS:
        shares = (f"{100.0 * r['shares'][part]:.0f} %" for r in records.values())
        lines.append(f"| share of the time: {part} | " + " | ".join(shares) + " |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 if batch and single answers differ or an equilibrium is not one."""
    parser = argparse.ArgumentParser(prog="python -m mpec.answer_speed", description=__doc__.splitlines()[0])
    parser.add_argument("instance", nargs="?", default="ieee33-road16")
    parser.add_argument("--tariff", choices=("fixed", "dlmp", "regulated"))
    parser.add_argument("--xi", type=float)
    parser.add_argument("--population", type=int, default=50)
    parser.add_argument("--batches", type=int, default=5)
    parser.add_argument("--single", type=int, default=10)
    parser.add_argument("--label", default="now")
    parser.add_argument("--out", type=Path, default=Path("results/performance"))
    options = parser.parse_args(arguments)
    game = instances.load(options.instance).select(tariff=options.tariff, xi=options.xi)
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "answers.json"
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    record = measure(
        game, size=options.population, batches=options.batches, single=min(options.single, options.population)
    )
    records[options.label] = record
    path.write_text(json_text(records), encoding="utf-8")
    (options.out / "answers.md").write_text(report(records), encoding="utf-8")
    print(report(records))
    sound = record["largest_disagreement"] <= AGREE and record["largest_users_gap"] <= USERS_GAP
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
