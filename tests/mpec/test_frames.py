"""A result as data frames: the same numbers as in its point and its files."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import instances
import mpec
from mpec import result_folder
from mpec.equilibrium import BoundStep, Equilibrium


@pytest.fixture(scope="module")
def answered() -> Equilibrium:
    game = instances.load("ieee33-road16").select(periods=(8, 9))
    prices = np.full((len(game.stations), 2), 1.1)
    result = mpec.respond(game, prices)
    return replace(result, bounds=(BoundStep(1, 0.25, None, 10.5), BoundStep(2, 0.5, 1 / 3, 10.25)))


def test_frames_hold_the_point_to_the_last_digit(answered):
    found = mpec.frames(answered)
    point, game = answered.point, answered.instance
    prices = found["prices"]
    assert prices["load_kw"].to_numpy().reshape(point.load_kw.shape).tolist() == point.load_kw.tolist()
    assert list(prices["station"][::2]) == [s.id for s in game.stations]
    assert sorted(set(prices["period"])) == [8, 9]
    sold = (prices["charging_price"] * prices["load_kw"]).sum()
    assert sold == pytest.approx(float((point.prices * point.load_kw).sum()), rel=1e-12)
    assert len(found["routes"]) == len(point.routes)
    assert found["bounds"]["lower"].isna().tolist() == [True, False]
    assert found["bounds"]["lower"][1] == 1 / 3


def test_frames_agree_with_the_files_of_the_folder(answered, tmp_path):
    result_folder.write(answered, None, tmp_path / "run")
    for name, frame in mpec.frames(mpec.load(tmp_path / "run")).items():
        stored = (tmp_path / "run" / f"{name}.csv").read_text()
        assert list(frame.columns) == stored.splitlines()[0].split(",")
        assert len(frame) == len(stored.splitlines()) - 1


def test_identifiers_stay_text_whatever_they_look_like(answered):
    game, point = answered.instance, answered.point
    odd = replace(
        game, roads=(replace(game.roads[0], id="NA"), replace(game.roads[1], id="007"), *game.roads[2:])
    )
    roads = mpec.frames(replace(answered, instance=odd, point=replace(point, routes=())))["roads"]
    assert list(pd.unique(roads["road"]))[:2] == ["NA", "007"]


def test_without_a_point_there_are_bounds_alone(answered):
    assert list(mpec.frames(replace(answered, point=None))) == ["bounds"]
