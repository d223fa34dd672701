"""A game without allowed prices says whose limit is in the way."""

from dataclasses import replace

import pytest

import instances
from mpec.options import SolveOptions, silent
from mpec.orchestrator import solve_game


def two_periods(rated_kva: float, mean_cap: float, outside: float | None):
    """The bundled game with another station, and another way out for its users."""
    game = instances.load("two-period-residual")
    station = replace(game.stations[0], rated_kva=rated_kva, price_mean_max=mean_cap)
    pairs = tuple(replace(p, outside_cost=outside) for p in game.pairs)
    return replace(game, stations=(station,), pairs=pairs)


def reason(game, method: str) -> str:
    result = solve_game(game, SolveOptions(method=method, time_limit=None, say=silent))
    assert result.status == "infeasible"
    return result.reason


def test_hours_that_only_together_have_no_prices_name_the_mean_cap():
    # Below 1 per kWh everybody charges, and 90 vehicles are too many in either hour: both prices must be above it.
    told = reason(two_periods(700.0, 0.8, 30.0), "monolithic")
    assert told.startswith("no prices in the box are allowed in periods 1 to 2 taken together")
    assert told.endswith("has a point without the mean price cap 0.8 of station A")


def test_the_same_hours_have_prices_under_a_cap_that_lets_users_go():
    result = solve_game(
        two_periods(700.0, 1.1, 30.0), SolveOptions(method="monolithic", time_limit=None, say=silent)
    )
    assert result.status == "optimal"


@pytest.mark.parametrize("method", ["monolithic", "decomposed"])
def test_an_hour_without_prices_names_the_station_whose_capacity_it_is(method):
    told = reason(two_periods(700.0, 0.8, None), method)
    assert told == "period 1: no prices in the box keep station A within its capacity"
