"""A population's answers are those of its members alone; the command that measures them writes its record."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import instances
from mpec.answer_speed import AGREE, USERS_GAP, main, measure, population
from mpec.mean_caps import price_limits


@pytest.mark.parametrize(("tariff", "xi"), [("dlmp", 0.5), ("dlmp", 0.0), ("fixed", 0.5)])
def test_a_batch_agrees_with_its_members_alone(tariff: str, xi: float):
    game = instances.load("ieee33-road16").select(periods=(8, 11), tariff=tariff, xi=xi)
    record = measure(game, size=16, batches=2, single=16)
    assert record["largest_disagreement"] <= AGREE
    assert record["largest_users_gap"] <= USERS_GAP
    assert record["operator_programs_solved"] < 0.3 * record["operator_answers"]


def test_populations_lie_in_the_box_and_under_the_caps():
    game = instances.load("ieee33-road16").select(periods=(1, 5))
    low, high, cap = price_limits(game)
    prices = population(game, 20, 3)
    assert (prices >= low).all()
    assert (prices <= high).all()
    assert (prices.mean(axis=2) <= cap + 1e-12).all()
    assert np.ptp(prices) > 0.5


def test_the_command_keeps_records_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for label in ("before", "now"):
        arguments = ["two-period-residual", "--population", "6", "--batches", "2", "--label", label]
        assert main([*arguments, "--out", str(tmp_path)]) == 0
    assert list(json.loads((tmp_path / "answers.json").read_text())) == ["before", "now"]
    text = (tmp_path / "answers.md").read_text()
    assert "| | before | now |" in text
    assert "ms per price vector" in capsys.readouterr().out
