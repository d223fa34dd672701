"""Random bounded linear bilevel problems: modes agree with each other and with enumeration."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpec import random_bilevel
from mpec.random_bilevel import Run, run_problem, summary

SHORT = [
    ("big_m", "highs"),
    ("sos1", "gurobi"),
    ("sos1", "scip"),
    ("indicator", "scip"),
    ("strong_duality", "gurobi"),
]


@pytest.mark.parametrize("block", range(8))
def test_all_modes_agree_with_enumeration(block: int) -> None:
    for seed in range(5 * block, 5 * block + 5):
        for found in run_problem(seed, SHORT):
            assert found.outcome == "right", found
            # A bilinear row is met to a solver's tolerance only, which loosens its bound a little.
            allowed = {"CERTIFIED", "INFEASIBLE"} | (
                {"EQUILIBRIUM"} if found.mode == "strong_duality" else set()
            )
            assert found.verdict in allowed, found


@pytest.mark.long
def test_five_hundred_random_problems(tmp_path: Path) -> None:
    assert random_bilevel.run(500, 1000, tmp_path) == 0


def test_the_command_goes_on_after_a_kill_and_tells_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cut-off problem is run again, a whole one is not; a wrong value is named and fails the command."""
    asked: list[int] = []

    def problem(seed: int) -> list[Run]:
        asked.append(seed)
        values = [2.0] * 12
        if seed == 7:
            values[0] = 2.1
        combinations = [(m, s) for m in random_bilevel.MODES for s in random_bilevel.SOLVERS]
        return [
            Run(seed, 1, 1, False, m, s, "right" if v == 2.0 else "WRONG", v, 2.0, "CERTIFIED", 0.1, "")
            for (m, s), v in zip(combinations, values, strict=True)
        ]

    monkeypatch.setattr(random_bilevel, "run_problem", problem)
    assert random_bilevel.run(2, 5, tmp_path) == 0
    path = tmp_path / "random.csv"
    path.write_text(path.read_text()[:-40])
    assert random_bilevel.run(3, 5, tmp_path) == 1
    assert asked == [5, 6, 6, 7]
    assert len(path.read_text().splitlines()) == 1 + 3 * 12
    text = (tmp_path / "random.md").read_text()
    assert "3 problems" in text
    assert "problem 7, big_m on highs: WRONG, 2.1 for 2.0" in text
    assert summary([]).startswith("# Random")
