"""Points that earn more than the certified bound, and that the judge accepted: every yardstick was somebody else's.

A hostile reading found them. Each comes with a bound that the same game's honest run certifies.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import instances
from instances.model import Bus, Instance, Line, TariffMode, WindFarm
from mpec.certificate import certify, judge_point
from mpec.equilibrium import Point
from mpec.followers.answer import follow
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game


def refused(game: Instance, point: Point, *names: str) -> None:
    """The judge refuses the point, by these checks at least, and it does earn more than the honest run's bound."""
    result = solve_game(game, SolveOptions(gap=1e-3, time_limit=20.0, workers=1))
    certificate = judge(result, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.upper_bound is not None
    assert point.profit > certificate.upper_bound * (1 + 1e-6)
    found = judge_point(game, point, intervals=True)
    failures = {check.name for check in found.checks if not check.passed}
    assert set(names) <= failures
    told = replace(
        result, point=point, lower_bound=point.profit, upper_bound=None, bound_record=None, bounds=()
    )
    assert certify(game, told, pessimistic_seconds=0).verdict == "REJECTED"


def answered(game: Instance, *prices: float) -> Point:
    point = follow(game, np.array(prices)[:, None]).point
    assert point is not None
    return point


def two_stations(mode: TariffMode = "fixed", **second: Any) -> Instance:
    """`closed-form-price` with a second station B, different as given."""
    game = instances.load("closed-form-price").select(tariff=mode)
    other = replace(game.stations[0], id="B", **second)
    rates = {("B", t): row for (_, t), row in game.tariff.items()}
    return replace(game, stations=(*game.stations, other), tariff={**game.tariff, **rates})


# ---- prices of electricity ----------------------------------------------------------------------------
@pytest.mark.parametrize("reactive", [-1e5, -1e9])
def test_one_absurd_reactive_price_is_no_measure_of_the_others(reactive: float) -> None:
    """Where nobody draws kvar their price may be anything below 0; electricity was sold at -49.5 CNY/kWh beside it."""
    game = instances.load("line-limit").select(tariff="dlmp")
    point = answered(game, 0.85)
    cheap = 0.5 - 0.5e-7 * abs(reactive)
    active = point.price_active.copy()
    active[0, 0, :] = [0.5, cheap]
    lie = replace(
        point,
        electricity_price=np.array([[cheap]]),
        electricity_low=np.array([[-np.inf]]),
        electricity_high=np.array([[np.inf]]),
        price_active=active,
        price_reactive=np.full_like(point.price_reactive, reactive),
        profit=float((0.85 - cheap) * point.load_kw[0, 0]),
    )
    found = judge_point(game, lie, intervals=True)
    assert "nodal_prices_on_dual_face" in {check.name for check in found.checks if not check.passed}


def behind_a_line(over_kw: float, wind_kw: float, base_kw: float) -> Instance:
    """A fixed load that is beyond its line's 150 kVA by a hair; wind behind a line of 1 kVA."""
    game = instances.load("line-limit").select(tariff="dlmp")
    root, *others = game.buses
    return replace(
        game,
        pairs=tuple(replace(pair, outside_cost=None) for pair in game.pairs),
        trips=dict.fromkeys(game.trips, (150.0 + over_kw) / 20.0),
        buses=(
            replace(root, load_kw=base_kw, load_kvar=0.4 * base_kw),
            *(replace(bus, load_kw=0.0, load_kvar=0.0) for bus in others),
            Bus("3", 0.0, 0.0, 0.9, 1.1),
        ),
        lines=(*game.lines, Line("1-3", "1", "3", 1e-3, 1e-3, 1.0)),
        wind_farms=(WindFarm("W", "3", 1.0),),
        wind={(s.id, p.id, "W"): wind_kw for s in game.scenarios for p in game.periods},
    )


@pytest.mark.parametrize(("over_kw", "wind_kw", "base_kw"), [(0.5, 1e7, 5e3), (0.015, 0.0, 1e5)])
def test_a_load_beyond_its_lines_limit_does_not_pay_the_price_before_it(
    over_kw: float, wind_kw: float, base_kw: float
) -> None:
    """Binding was what is less than 2e-7 of all power there is, wind that nobody can use included."""
    game = behind_a_line(over_kw, wind_kw, base_kw)
    game = replace(game, feeder=replace(game.feeder, substation_kva=max(game.feeder.substation_kva, 1e6)))
    point = answered(game, 1.5)
    active = point.price_active.copy()
    active[0, 0, :2] = 0.5
    lie = replace(
        point,
        electricity_price=np.array([[0.5]]),
        electricity_low=np.array([[0.5]]),
        electricity_high=np.array([[2.0]]),
        price_active=active,
        price_reactive=0.0 * point.price_reactive,
        profit=float((1.5 - 0.5) * point.load_kw[0, 0]),
    )
    found = judge_point(game, lie, intervals=True)
    assert "nodal_prices_on_dual_face" in {check.name for check in found.checks if not check.passed}
    result = solve_game(game, SolveOptions(gap=1e-3, time_limit=20.0, workers=1))
    honest = judge_point(game, point, intervals=True)
    if honest.passed:
        assert result.upper_bound is not None
        assert result.upper_bound >= point.profit - 1e-6 * abs(point.profit)


# ---- a large station beside a small one ---------------------------------------------------------------
def test_a_small_stations_limit_is_not_measured_by_a_large_ones() -> None:
    """100 kW beside a closed station of 1e9 kVA: 100.08 kW passed, by what is nothing to the other."""
    game = two_stations(available=False, rated_kva=1e9)
    small = replace(game.stations[0], rated_kva=125.0)
    game = replace(game, stations=(small, game.stations[1]))
    refused(game, answered(game, 0.875 - 1e-4, 1.0), "capacity")


def test_a_low_tariff_is_not_measured_by_a_high_one() -> None:
    game = two_stations(available=False)
    game = replace(game, tariff={**game.tariff, ("B", 1): replace(game.tariff["B", 1], price_per_kwh=1e6)})
    point = answered(game, 0.75, 1.0)
    price = point.electricity_price.copy()
    price[0, 0] -= 0.9e-4
    lie = replace(
        point,
        electricity_price=price,
        electricity_low=price,
        electricity_high=price,
        profit=point.profit + 0.9e-4 * float(point.load_kw[0, 0]),
    )
    found = judge_point(game, lie, intervals=True)
    assert {check.name for check in found.checks if not check.passed} == {"electricity_price"}


def test_a_price_box_is_not_measured_by_what_a_rival_posts_at_another_time() -> None:
    game = two_stations(owner="rival", price_min=0.0, price_max=1e9)
    first = game.periods[0]
    game = replace(
        game,
        stations=(replace(game.stations[0], price_max=0.7), game.stations[1]),
        periods=(first, replace(first, id=2)),
        trips={**game.trips, **{(o, d, 2): 0.0 for o, d, _ in game.trips}},
        rival_prices={("B", 1): 5.0, ("B", 2): 1e9},
        tariff={**game.tariff, **{(s, 2): row for (s, _), row in game.tariff.items()}},
    )
    wider = replace(game, stations=(replace(game.stations[0], price_max=0.701), game.stations[1]))
    point = follow(wider, np.array([[0.7009, 0.5], [5.0, 1e9]])).point
    assert point is not None
    refused(game, point, "price_box")


# ---- routes -------------------------------------------------------------------------------------------
def test_a_plan_is_measured_by_what_it_charges() -> None:
    """A battery of 1e5 kWh made 19.991 kWh pass for 20."""
    game = instances.load("closed-form-price").select(tariff="fixed")
    game = replace(game, pairs=tuple(replace(pair, max_kwh=1e5) for pair in game.pairs))
    less = replace(game, pairs=tuple(replace(pair, final_kwh=pair.final_kwh - 9e-3) for pair in game.pairs))
    best = max((answered(less, x) for x in np.linspace(0.745, 0.755, 11)), key=lambda point: point.profit)
    refused(game, best, "charging_plan")


def test_flows_below_nothing_are_refused_however_small() -> None:
    """Thousands of slices, each within the tolerance, added up to more vehicles at the leader's station."""
    game = instances.load("closed-form-price").select(tariff="fixed")
    point = answered(game, 0.75)
    route = next(r for r in point.routes if r.plan)
    slices = (replace(route, veh_per_h=route.veh_per_h + 1e-9), replace(route, veh_per_h=-1e-9))
    routes = tuple(s for r in point.routes for s in (slices if r is route else (r,)))
    found = judge_point(game, replace(point, routes=routes))
    assert "flow_sign" in {check.name for check in found.checks if not check.passed}
