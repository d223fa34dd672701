"""CNY or fen, kWh or Wh, other labels, other orders: the same certificate. Badly scaled data: right or refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from restated import in_units, shuffled, with_labels

from instances.model import Instance
from mpec.certificate import Certificate
from mpec.followers.answer import Follower
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import best_price
from mpec.random_games import Size, random_game

GAMES = (3, 20, 28)
"""fixed, regulated and dlmp; residual flow in all; closed far below the target within a second."""

RESTATED: dict[str, tuple[Callable[[Instance], Instance], float]] = {
    "fen": (lambda g: in_units(g, money=100.0), 100.0),
    "Wh": (lambda g: in_units(g, energy=1000.0), 1.0),
    "MWh": (lambda g: in_units(g, energy=1e-3), 1.0),
    "a thousand times as many vehicles": (lambda g: in_units(g, flow=1000.0), 1.0),
    "a thousandth of the vehicles": (lambda g: in_units(g, flow=1e-3), 1.0),
    "labels": (lambda g: with_labels(g, 1000), 1.0),
    "order": (lambda g: shuffled(g, 1), 1.0),
    "another order": (lambda g: shuffled(g, 2), 1.0),
}


@lru_cache
def certified(seed: int, name: str = "") -> Certificate:
    game = random_game(seed, Size())
    if name:
        game = RESTATED[name][0](game)
    result = solve_game(game, SolveOptions(gap=1e-4, time_limit=60.0, workers=1))
    return judge(result, gap=1e-4, recheck=True, pessimistic_seconds=0)


@pytest.mark.parametrize("name", list(RESTATED))
@pytest.mark.parametrize("seed", GAMES)
def test_the_same_game_restated_has_the_same_certificate(seed: int, name: str) -> None:
    """Profit and bound to 1e-6."""
    factor = RESTATED[name][1]
    plain, other = certified(seed), certified(seed, name)
    assert plain.verdict == other.verdict == "CERTIFIED", (other.failures, other.notes, other.gap)
    assert plain.lower_bound is not None
    assert other.lower_bound is not None
    assert other.lower_bound / factor == pytest.approx(plain.lower_bound, rel=1e-6)
    assert plain.upper_bound is not None
    assert other.upper_bound is not None
    assert other.upper_bound / factor >= plain.lower_bound * (1 - 1e-9)
    assert other.upper_bound / factor == pytest.approx(plain.upper_bound, rel=1e-6)


@pytest.mark.parametrize("name", ["fen", "Wh", "a thousand times as many vehicles", "order"])
def test_answers_to_the_same_prices_are_the_same(name: str) -> None:
    """The followers themselves, ties included, to 1e-8."""
    for seed in range(6):
        game = random_game(seed, Size(3, 2, 3))
        restate, factor = RESTATED[name]
        other = restate(game)
        order = [[s.id for s in game.stations].index(s.id) for s in other.stations]
        low = np.array([[s.price_min] * len(game.periods) for s in game.stations])
        high = np.array([[s.price_max] * len(game.periods) for s in game.stations])
        share = np.random.default_rng(seed).random(low.shape)
        prices = low + share * (high - low)
        low2 = np.array([[s.price_min] * len(game.periods) for s in other.stations])
        high2 = np.array([[s.price_max] * len(game.periods) for s in other.stations])
        mine, _ = Follower(game).evaluate(prices)
        theirs, _ = Follower(other).evaluate(low2 + share[order] * (high2 - low2))
        assert float(theirs) / factor == pytest.approx(float(mine), rel=1e-8, abs=1e-8)


def badly_scaled(seed: int) -> Instance:
    """Impedances over five decades, flows from 0.01 to 10,000 veh/h."""
    game = random_game(seed, Size(2, 1, 2))
    tame = game.stations
    most = max(game.trips.values())
    pairs = list(game.trips)
    trips = {key: (1e4 if i == 0 else 0.01) * v / most for i, (key, v) in enumerate(game.trips.items())}
    roads = tuple(
        replace(r, capacity_veh_per_h=r.capacity_veh_per_h * 1e4 / most * (1.0 if i % 2 else 1e-2))
        for i, r in enumerate(game.roads)
    )
    lines = tuple(
        replace(line, r_ohm=1e-4 * 10.0 ** (5 * i), x_ohm=1e-4 * 10.0 ** (5 * i), rating_kva=math.inf)
        for i, line in enumerate(game.lines)
    )
    assert pairs
    return replace(
        game,
        trips=trips,
        roads=roads,
        lines=lines,
        feeder=replace(game.feeder, substation_kva=1e7),
        stations=tuple(replace(s, rated_kva=1e7) for s in tame),
    )


@pytest.mark.parametrize("seed", [3, 4, 8, 28])
def test_badly_scaled_data_are_right_or_refused(seed: int) -> None:
    game = badly_scaled(seed)
    try:
        result = solve_game(game, SolveOptions(gap=1e-2, time_limit=5.0, workers=1))
    except (ArithmeticError, ValueError) as refusal:
        assert str(refusal)  # noqa: PT017
        return
    certificate = judge(result, gap=1e-2, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict in ("CERTIFIED", "EQUILIBRIUM", "NO_POINT"), certificate.failures
    best = best_price(game, Follower(game), count=80, searches=1)
    if best.profit is not None and certificate.upper_bound is not None:
        assert best.profit <= certificate.upper_bound * (1 + 1e-9) + 1e-6
