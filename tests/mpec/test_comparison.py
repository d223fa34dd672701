"""The comparison's table: the gap to the exact way's bound, and a bound that a judged point refutes."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import pytest

import instances
from mpec import comparison
from mpec.equilibrium import Equilibrium


@dataclass(frozen=True)
class Judged:
    """What comparison.joined reads of a certificate."""

    verdict: str
    lower_bound: float | None
    upper_bound: float | None
    pessimistic: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "lower_bound": self.lower_bound,
            "upper_bound": self.upper_bound,
            "optimistic_profit": self.lower_bound,
            "pessimistic_profit": self.pessimistic,
        }


def joined(exact: Judged, heuristic: Judged) -> comparison.Comparison:
    game = instances.load("tie")
    results = {
        name: Equilibrium(game, name, "no_point", None, seconds=2.5) for name in ("exact", "heuristic")
    }
    return comparison.joined(results, {"exact": exact, "heuristic": heuristic})  # type: ignore[dict-item]


def test_the_heuristic_s_gap_is_its_distance_to_the_exact_way_s_bound():
    ties = {"bound": 80.0, "found": 85.0, "capacity_violated": 0}
    done = joined(Judged("CERTIFIED", 99.0, 100.0, ties), Judged("EQUILIBRIUM", 90.0, None))
    exact, heuristic = done.rows
    assert exact.gap == pytest.approx(0.01)
    assert heuristic.gap == pytest.approx(0.1)
    assert heuristic.upper_bound == 100.0
    assert (exact.pessimistic_bound, exact.pessimistic_found) == (80.0, 85.0)
    assert heuristic.pessimistic_bound is None
    assert done.refuted == ""


def test_a_judged_point_above_the_bound_voids_it_aloud():
    done = joined(Judged("CERTIFIED", 99.0, 100.0), Judged("EQUILIBRIUM", 101.0, None))
    assert [row.verdict for row in done.rows] == ["REJECTED", "EQUILIBRIUM"]
    assert [row.upper_bound for row in done.rows] == [None, None]
    assert [row.gap for row in done.rows] == [None, None]
    assert "the bound is false" in done.refuted


def test_a_missing_bound_or_point_leaves_blanks_not_nan():
    done = joined(Judged("EQUILIBRIUM", 99.0, None), Judged("NO_POINT", None, None))
    assert [row.gap for row in done.rows] == [None, None]
    table = list(csv.DictReader(io.StringIO(comparison.table_csv(done.rows))))
    assert list(table[0]) == [
        "method",
        "profit",
        "upper_bound",
        "gap",
        "optimistic",
        "pessimistic_bound",
        "pessimistic_found",
        "verdict",
        "seconds",
    ]
    assert table[1]["optimistic"] == ""
    assert float(table[0]["seconds"]) == 2.5
    assert "nan" not in comparison.table_csv(done.rows)
    assert "none" in comparison.table_text(done.rows, "CNY")


def test_numbers_are_written_in_full():
    done = joined(Judged("CERTIFIED", 1.0 / 3.0, 0.5), Judged("EQUILIBRIUM", 0.1, None))
    table = list(csv.DictReader(io.StringIO(comparison.table_csv(done.rows))))
    assert float(table[0]["optimistic"]) == 1.0 / 3.0
