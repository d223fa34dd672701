"""The exact evaluation of a point: clean points are clean, a lie shows in its equation, nothing raises."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from formulations.residuals import EQUATIONS, evaluate
from formulations.route_reading import read_routes
from formulations.routes import RouteSet
from formulations.stated import AXES
from formulations.traffic import traffic_of
from instances.model import DeclaredRoute, Instance
from mpec.equilibrium import Point, RouteFlow

LIMITS = {"exact": 0.0, "price": 1e-9, "profit": 1e-9}


def broken(instance: Instance, point: Any) -> dict[str, str]:
    """The residuals above their tolerance (1e-7 unless `LIMITS` says otherwise), with the place."""
    found = evaluate(instance, point)
    assert set(found) == set(EQUATIONS)
    return {name: r.where for name, r in found.items() if not r.value <= LIMITS.get(r.tolerance_kind, 1e-7)}


def shifted(point: Point, name: str, index: tuple[int, ...], by: float) -> Point:
    values = np.array(getattr(point, name), float)
    values[index] += by
    return replace(point, **{name: values})


def rerouted(point: Point, k: int, **changes: Any) -> Point:
    routes = list(point.routes)
    routes[k] = replace(routes[k], **changes)
    return replace(point, routes=tuple(routes))


@pytest.mark.parametrize("mode", ["dlmp", "fixed", "regulated"])
def test_a_point_that_keeps_everything_has_no_residuals(
    with_tariff: Callable[[str], Instance], game_routes: RouteSet, point_of: Callable[..., Point], mode: str
) -> None:
    instance = with_tariff(mode)
    found = evaluate(instance, point_of(instance, game_routes))
    assert max(residual.value for residual in found.values()) < 1e-12


@pytest.mark.parametrize(
    ("name", "index", "by", "expected", "where"),
    [
        ("prices", (0, 1), 0.8, "price_box", "station A, period 8: above the greatest price"),
        ("prices", (1, 0), -0.8, "price_box", "station B, period 7: below the least price"),
        ("prices", (0, 0), 0.5, "mean_price_cap", "station A"),
        ("electricity_price", (2, 0), 1e-4, "electricity_price", "station D, period 7"),
        ("electricity_low", (0, 0), 1e-3, "price_interval", "station A, period 7: below its interval"),
        ("electricity_high", (0, 1), -1e-3, "price_interval", "station A, period 8: above its interval"),
        ("price_active", (0, 0, 1), 1e-3, "electricity_price", "station A, period 7"),
        ("load_kw", (1, 1), 1e-3, "station_load", "station B, period 8"),
        ("road_flow", (3, 0), 1e-4, "road_flow", "road ad, period 7"),
        ("road_time_h", (2, 1), 1e-6, "road_time", "road ab, period 8"),
        ("demand", (0, 1), 1e-3, "demand_data", "pair o>d, period 8"),
        ("modified_demand", (0, 1), 1e-3, "demand_served", "pair o>d, period 8"),
        ("modified_demand", (0, 1), 1e-3, "demand_conservation", "pair o>d, period 8: by the stated table"),
        ("residual", (1, 1), 1e-3, "residual_flow", "pair a>d, period 8"),
        ("voltage_pu", (1, 0, 3), 1e-6, "voltage_drop", "scenario windy, period 7, line 2-4"),
        ("voltage_pu", (1, 0, 0), 1e-6, "voltage_drop", "scenario windy, period 7: voltage of the root bus"),
        ("voltage_pu", (0, 1, 2), -0.2, "voltage_limits", "scenario calm, period 8, bus 3"),
        ("shed_kw", (0, 0, 1), 1e-2, "active_balance", "scenario calm, period 7, bus 2"),
        ("shed_kw", (0, 0, 1), -1e-2, "recourse", "scenario calm, period 7, bus 2: negative shedding"),
        ("shed_kw", (0, 1, 0), 1e-2, "recourse", "scenario calm, period 8, bus 1: more shed than"),
        ("import_kw", (0, 1), 1e-2, "active_balance", "scenario calm, period 8, bus 1"),
        ("import_kvar", (1, 0), 1e-2, "reactive_balance", "scenario windy, period 7, bus 1"),
        ("line_kw", (1, 1, 1), 1e-2, "active_balance", "scenario windy, period 8, bus 3"),
        ("line_kvar", (1, 1, 2), 1e-2, "voltage_drop", "scenario windy, period 8, line 2-4"),
        ("line_kw", (0, 0, 1), 900.0, "line_limits", "scenario calm, period 7, line 3-2: P_line"),
        ("import_kw", (0, 0), 4000.0, "substation", "scenario calm, period 7: P_GD"),
        ("import_kvar", (0, 0), -4000.0, "substation", "scenario calm, period 7: Q_GD < 0"),
        ("wind_kw", (0, 0, 0), 1e-2, "wind", "scenario calm, period 7, wind farm W: above what is available"),
        ("wind_kw", (1, 1, 0), -500.0, "wind", "scenario windy, period 8, wind farm W: negative"),
        (
            "emergency_kw",
            (0, 0, 2),
            -1e-2,
            "recourse",
            "scenario calm, period 7, station D: negative emergency",
        ),
        ("profit", (), 1e-6, "profit", "recomputed"),
    ],
)
def test_a_lie_in_a_table_shows_in_its_equation(
    game: Instance, good_point: Point, name: str, index: Any, by: float, expected: str, where: str
) -> None:
    found = broken(game, shifted(good_point, name, index, by))
    assert expected in found
    assert found[expected].startswith(where)


def test_a_lie_in_one_table_leaves_the_others_alone(game: Instance, good_point: Point) -> None:
    assert list(broken(game, shifted(good_point, "road_time_h", (2, 1), 1e-6))) == ["road_time"]
    assert list(broken(game, shifted(good_point, "wind_kw", (1, 1, 0), 1e-3))) == [
        "active_balance", "reactive_balance", "wind",
    ]  # fmt: skip


def test_a_moved_vehicle_shows_everywhere_it_matters(game: Instance, good_point: Point) -> None:
    """One vehicle more in a hundred on a route: flows, times, loads, costs, demand and residual disagree."""
    flow = good_point.routes[0].veh_per_h
    found = broken(game, rerouted(good_point, 0, veh_per_h=flow * 1.01))
    assert {"road_flow", "road_time", "station_load", "demand_served", "residual_flow", "route_cost"} <= set(
        found
    )
    assert found["demand_conservation"].endswith("by the listed routes")


def test_a_vehicle_moved_consistently_still_breaks_what_depends_on_time(
    game: Instance, good_point: Point
) -> None:
    """Swap 0.01 veh/h between two routes of a pair: their sum is right, loads and times are not."""
    first, second = [k for k, r in enumerate(good_point.routes) if r.period == 8 and r.origin == "o"][:2]
    point = rerouted(good_point, first, veh_per_h=good_point.routes[first].veh_per_h + 0.01)
    point = rerouted(point, second, veh_per_h=good_point.routes[second].veh_per_h - 0.01)
    found = broken(game, point)
    assert "demand_served" not in found
    assert {"station_load", "profit", "active_balance"} <= set(found)


ROUTE_LIES = {
    "unknown origin-destination pair": {"origin": "d"},
    "unknown period": {"period": 9},
    "unknown road xy": {"path": ("ob", "xy")},
    "its path is empty": {"path": ()},
    "its path is not a list of road ids": {"path": None},
    "it ends at node b": {"path": ("ob",)},
    "it starts at node b": {"path": ("bd",)},
    "road bd does not follow road oa": {"path": ("oa", "bd")},
    "it does not pass station A": {"plan": (("A", 14.0),)},
    "unknown station X": {"plan": (("X", 14.0),)},
    "station D is twice in its plan": {"plan": (("D", 7.0), ("D", 7.0))},
    "its plan is not a list of (station, kWh)": {"plan": (("D",),)},
    "the energy taken at station D is not a finite number": {"plan": (("D", math.nan),)},
    "its flow is not a finite number": {"veh_per_h": math.inf},
    "the pair has no outside option": {"outside": True, "path": (), "plan": ()},
    "outside is neither true nor false": {"outside": "yes"},
    "an outside route uses no road": {"outside": True},
}


@pytest.mark.parametrize("fault", ROUTE_LIES)
def test_what_is_no_route_is_refused_with_the_reason(game: Instance, good_point: Point, fault: str) -> None:
    """Route 1 is o > b > d, charging 14 kWh at D."""
    assert good_point.routes[0].path == ("ob", "bd")
    found = broken(game, rerouted(good_point, 0, **ROUTE_LIES[fault]))
    assert found["route_validity"].endswith(fault)
    assert found["route_validity"].startswith("route 1 (")


def test_a_node_twice_and_a_closed_node_are_refused(game: Instance, good_point: Point) -> None:
    from instances.model import Road

    back = (Road("ba", "b", "a", 1.0, 0.1, 50.0, 1.0), Road("da", "d", "a", 1.0, 0.1, 50.0, 1.0))
    wider = replace(game, roads=(*game.roads, *back))
    loop = rerouted(good_point, 0, path=("oa", "ab", "ba", "ad"))
    assert broken(wider, loop)["route_validity"].endswith("it visits a node twice")
    pair = replace(game.pairs[0], destination="a")
    through = replace(wider, pairs=(pair, game.pairs[1]))
    passing = rerouted(good_point, 0, destination="a", path=("ob", "bd", "da"))
    assert "node d, which is closed to through traffic" in broken(through, passing)["route_validity"]


def test_a_route_listed_twice_is_refused(game: Instance, good_point: Point) -> None:
    """Many copies of a dear route could each stay below the share that counts as used."""
    half = replace(good_point.routes[0], veh_per_h=0.5 * good_point.routes[0].veh_per_h)
    point = replace(good_point, routes=(half, half, *good_point.routes[1:]))
    found = broken(game, point)
    assert list(found) == ["route_validity"]
    assert found["route_validity"].endswith("listed twice in the period")


@pytest.mark.parametrize(
    ("plan", "where"),
    [
        ((("D", 13.0),), "final energy"),
        ((("B", 30.5),), "energy taken at station B"),
        ((("D", 40.0),), "leaving node d"),
        ((("B", -1.0), ("D", 15.0)), "energy taken at station B"),
    ],
)
def test_a_plan_that_breaks_the_battery_shows_where(
    game: Instance, good_point: Point, plan: Any, where: str
) -> None:
    assert where in broken(game, rerouted(good_point, 0, plan=plan))["charging_plan"]


def test_arriving_below_the_least_energy_shows(game: Instance, good_point: Point) -> None:
    """12 kWh on board, 3 used to b, 3 to d: at a least energy of 7 the arrival at d is too low."""
    pair = replace(game.pairs[0], min_kwh=7.0)
    found = broken(replace(game, pairs=(pair, game.pairs[1])), good_point)
    assert found["charging_plan"].endswith("arriving at node d")


def test_stated_costs_are_compared(game: Instance, good_point: Point) -> None:
    cost = good_point.routes[2].cost
    assert "route_cost" in broken(game, rerouted(good_point, 2, cost=cost * (1.0 + 1e-6)))
    assert "cheapest_cost" in broken(game, rerouted(good_point, 2, cheapest_cost=cost * 2.0))
    assert "cheapest_cost" not in broken(game, rerouted(good_point, 2, cheapest_cost=0.0)), (
        "the judge's question"
    )


def test_a_negative_flow_shows(game: Instance, good_point: Point) -> None:
    assert "flow_sign" in broken(game, rerouted(good_point, 0, veh_per_h=-1e-3))


def test_capacity_counts_the_recomputed_load(game: Instance, good_point: Point) -> None:
    """The stated load is under the limit, what the routes charge is not."""
    station = replace(game.stations[1], rated_kva=160.0)
    small = replace(game, stations=(game.stations[0], station, game.stations[2]))
    stated = shifted(good_point, "load_kw", (1, 1), -100.0)
    assert broken(small, stated)["capacity"] == "station B, period 8"


def test_a_dearer_regulated_tariff_shows(
    with_tariff: Callable[[str], Instance], game_routes: RouteSet, point_of: Callable[..., Point]
) -> None:
    instance = with_tariff("regulated")
    point = point_of(instance, game_routes)
    swapped = point.electricity_price[:, ::-1].copy()
    kept = replace(point, electricity_price=swapped)
    assert broken(instance, kept)["electricity_price"] == "all periods: the grid's operator could earn more"
    above = replace(point, electricity_price=point.electricity_price + 0.1)
    assert "regulated" in broken(instance, above)["electricity_price"]


def test_a_fixed_tariff_is_what_the_file_says(
    with_tariff: Callable[[str], Instance], game_routes: RouteSet, point_of: Callable[..., Point]
) -> None:
    instance = with_tariff("fixed")
    point = shifted(point_of(instance, game_routes), "electricity_price", (0, 0), 1e-5)
    assert broken(instance, point)["electricity_price"] == "station A, period 7: not the given tariff"


def test_only_declared_routes_count_where_a_set_is_declared(game: Instance, good_point: Point) -> None:
    declared = tuple({(r.origin, r.destination, r.path, r.plan) for r in good_point.routes if not r.outside})
    whole = replace(game, route_set=tuple(DeclaredRoute(*row) for row in declared))
    assert broken(whole, good_point) == {}
    fewer = replace(whole, route_set=tuple(r for r in whole.route_set or () if r.origin == "o"))
    assert broken(fewer, good_point)["route_validity"].endswith("not in the declared route set")
    rounded = rerouted(good_point, 0, plan=((good_point.routes[0].plan[0][0], 14.001),))
    assert broken(whole, rounded)["route_validity"].endswith("not in the declared route set")


NUMBERS = [f.name for f in fields(Point) if f.name != "routes"]


def test_every_number_of_a_point_is_examined() -> None:
    assert set(AXES) == set(NUMBERS)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("junk", ["missing", "shape", "nan", "text"])
def test_broken_numbers_are_violations_never_exceptions(
    game: Instance, good_point: Point, name: str, junk: str
) -> None:
    value: Any = np.array(getattr(good_point, name), float)
    spoiled: Any = {"missing": None, "text": "many", "shape": np.zeros((1, 2, 3, 4))}.get(junk)
    if junk == "nan":
        spoiled = value.copy()
        spoiled[...] = np.nan
    found = broken(game, replace(good_point, **{name: spoiled}))
    assert found["numbers"].startswith(name)
    assert len(found) >= 2, "an equation that uses it is broken too"


@pytest.mark.parametrize("routes", [None, 5, (None,), ("outside",), (5.0, {}), ()])
def test_broken_route_lists_are_violations_never_exceptions(
    game: Instance, good_point: Point, routes: Any
) -> None:
    found = broken(game, replace(good_point, routes=routes))
    assert {"demand_served", "demand_conservation", "station_load"} <= set(found)


def test_junk_in_every_field_of_a_route_never_raises(game: Instance, good_point: Point) -> None:
    for field in fields(RouteFlow):
        for junk in (
            None,
            math.nan,
            -1,
            "x",
            ("x",),
            [],
            {},
            (1, 2),
            [["D", 1.0]],
            (("D", "much"),),
            {"a": 1}.keys(),
        ):
            changed = rerouted(good_point, 0, **{field.name: junk})
            assert evaluate(game, changed)["numbers"].value == 0.0


def test_an_open_end_of_the_price_interval_is_allowed(game: Instance, good_point: Point) -> None:
    low, high = good_point.electricity_low.copy(), good_point.electricity_high.copy()
    low[0, 0], high[1, 1] = -np.inf, np.inf
    assert broken(game, replace(good_point, electricity_low=low, electricity_high=high)) == {}
    low[0, 0] = np.inf
    assert "numbers" in broken(game, replace(good_point, electricity_low=low))


def test_recomputed_traffic_matches_the_route_set(
    game: Instance, game_routes: RouteSet, good_point: Point
) -> None:
    """The list of routes and the route set's matrices give the same flows; two ways to the same numbers."""
    routes, fault = read_routes(game, good_point.routes)
    assert not fault
    traffic = traffic_of(game, routes, good_point.prices)
    assert traffic.road_flow == pytest.approx(good_point.road_flow, rel=1e-14)
    assert traffic.load_kw == pytest.approx(good_point.load_kw, rel=1e-14)
    assert traffic.residual == pytest.approx(good_point.residual, rel=1e-12)
    # Over all periods, what starts has left or is still on the way (with xi).
    xi, first = game.users.xi, game.users.initial_residual
    balance = good_point.demand.sum(axis=1) + xi * (first - traffic.residual[:, -1])
    assert traffic.vehicles.sum(axis=1) == pytest.approx(balance, rel=1e-12)


def test_the_evaluation_needs_neither_pyomo_nor_a_solver() -> None:
    """The judge's arithmetic stands on its own."""
    command = (
        "import sys, formulations.residuals; "
        "print([m for m in ('pyomo', 'highspy', 'gurobipy', 'pyscipopt') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
