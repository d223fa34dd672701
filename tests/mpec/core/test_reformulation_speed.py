"""The speed command's parts: equal optimum on a small feeder, and much faster writing on a larger one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mpec.reformulation import single_level
from mpec.reformulation_speed import compare, feeder_game, main, report


def test_the_feeder_has_the_stated_size() -> None:
    model = feeder_game(100)
    single = single_level(model, followers=[model.operator], assert_bounds=1e4, bounds="intervals")
    assert len(single.problem.followers[0].primal) == 6 * 100 - 1
    assert len(single.pairs) == 16 * 100 - 6


def test_much_faster_than_pyomos_chain_with_the_same_optimum() -> None:
    record = compare(120, 3)
    assert record["times_faster"] > 10, "20 and more at full size; short runs carry fixed costs"
    small = record["small"]
    assert small["value"] == pytest.approx(small["pyomo_value"], rel=1e-5)
    assert f"{record['pairs']} pairs" in report(record)


@pytest.mark.long
def test_the_full_size_is_written_within_three_seconds(tmp_path: Path) -> None:
    assert main(["--no-chain", "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "reformulation.json").read_text())
    assert record["variables"] > 19_000
    assert record["pairs"] > 43_000
    assert record["reformulation_seconds"] <= 3.0
