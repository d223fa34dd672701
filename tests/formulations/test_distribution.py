"""The operator's program (4)-(13): its rows, its prices, its recourse."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from pyomo.repn import generate_standard_repn

from formulations.dispatch_data import INNER_SCALE, DispatchData
from formulations.distribution import distribution_block, electricity_price_weights
from instances.model import Bus, Feeder, Instance, Line, Period, Scenario, Station, Users, WindFarm


def two_buses(**feeder: Any) -> Instance:
    """Root 1 and bus 2 with load 100 + j50, a station at power factor 0.8 and a wind farm of 30 kW."""
    settings: dict[str, Any] = {
        "base_kv": 10.0, "base_kva": 1000.0, "root_bus": "1", "root_voltage_pu": 1.0, "substation_kva": 500.0,
        "polygon": "outer", "voll_per_kwh": 10.0, "curtailment_per_kwh": 0.25,
    }  # fmt: skip
    return Instance(
        name="two buses",
        currency="CNY",
        period_h=1.0,
        users=Users(10.0, 0.0),
        feeder=Feeder(**{**settings, **feeder}),
        tariff_mode="dlmp",
        buses=(Bus("1", 0.0, 0.0, 0.9, 1.1), Bus("2", 100.0, 50.0, 0.9, 1.1)),
        lines=(Line("main", "2", "1", 5.0, 10.0, 200.0),),
        wind_farms=(WindFarm("W", "2", 1.0),),
        scenarios=(Scenario("only", 0.5),),
        periods=(Period(1, 1.0, 0.4),),
        nodes=(),
        roads=(),
        pairs=(),
        stations=(Station("A", "x", "2", 200.0, 0.8, 50.0, True, 0.0, 1.0),),
        trips={},
        wind={("only", 1, "W"): 30.0},
    )


def rows(block: pyo.Block) -> str:
    """Constraints and objective as text: coefficients in declaration order, then the bounds."""
    lines = []
    order = {id(v): i for i, v in enumerate(block.component_data_objects(pyo.Var))}
    for row in block.component_data_objects(pyo.Constraint):
        repn = generate_standard_repn(row.body, compute_values=True)
        found = sorted(zip(repn.linear_vars, repn.linear_coefs, strict=True), key=lambda p: order[id(p[0])])
        text = " ".join(f"{c:+.4g} {v.name}" for v, c in found if c)
        sign = "==" if row.equality else "<="
        lines.append(f"{row.name}: {text} {sign} {pyo.value(row.upper) - repn.constant:.6g}")
    return "\n".join(lines)


def test_the_rows_of_two_buses() -> None:
    """0.75 is tan(acos 0.8); 2 R / (base ohm * base kVA) = 2 * 5 / (100 * 1000) per kW."""
    assert rows(distribution_block(two_buses(), 0, 0)) == "\n".join(
        [
            "substation_octagon: +1 import_kw +1 import_kvar <= 707.107",
            "line_octagon[main,P+Q]: +1 flow_kw[main] +1 flow_kvar[main] <= 282.843",
            "line_octagon[main,P-Q]: +1 flow_kw[main] -1 flow_kvar[main] <= 282.843",
            "line_octagon[main,-P+Q]: -1 flow_kw[main] +1 flow_kvar[main] <= 282.843",
            "line_octagon[main,-P-Q]: -1 flow_kw[main] -1 flow_kvar[main] <= 282.843",
            "active_balance['1']: +1 import_kw -1 flow_kw[main] == 0",
            "active_balance['2']: -1 load[A] +1 wind_kw[W] +100 shed['2'] +1 emergency_kw[A] "
            "+1 flow_kw[main] == 100",
            "reactive_balance['1']: +1 import_kvar -1 flow_kvar[main] == 0",
            "reactive_balance['2']: -0.75 load[A] +50 shed['2'] +0.75 emergency_kw[A] "
            "+1 flow_kvar[main] == 50",
            "voltage_drop[main]: -0.0001 flow_kw[main] -0.0002 flow_kvar[main] -1 v['2'] == -1",
        ]
    )


def test_bounds_and_cost_of_two_buses() -> None:
    block = distribution_block(two_buses(), 0, 0)
    bounds = {v.name: v.bounds for v in block.component_data_objects(pyo.Var)}
    assert bounds == {
        "load[A]": (0, None),
        "import_kw": (0.0, 500.0),
        "import_kvar": (0.0, 500.0),
        "wind_kw[W]": (0.0, 30.0),
        "shed['2']": (0.0, 1.0),
        "emergency_kw[A]": (0, None),
        "flow_kw[main]": (-200.0, 200.0),
        "flow_kvar[main]": (-200.0, 200.0),
        "v['2']": (pytest.approx(0.81), pytest.approx(1.21)),
    }
    cost = generate_standard_repn(block.operating_cost.expr)
    money = {v.name: c for v, c in zip(cost.linear_vars, cost.linear_coefs, strict=True)}
    # Everything times the scenario's probability 0.5; wind's price is the curtailment it avoids.
    assert money == pytest.approx(
        {"import_kw": 0.2, "wind_kw[W]": -0.125, "shed['2']": 500.0, "emergency_kw[A]": 5.0}
    )
    assert cost.constant == pytest.approx(0.5 * 0.25 * 30.0)


def test_the_given_load_is_all_that_is_given() -> None:
    block = distribution_block(two_buses(), 0, 0)
    assert [component.name for component in block.given] == ["load"]
    used = {
        v.name for row in block.component_data_objects(pyo.Constraint) for v in identify_variables(row.body)
    }
    assert "load[A]" in used


def test_load_factor_scales_kw_and_kvar_and_removes_shedding_of_nothing() -> None:
    instance = two_buses()
    half = replace(instance, periods=(Period(1, 0.5, 0.4),))
    data = DispatchData.of(half, 0, 0)
    assert (data.base_kw["2"], data.base_kvar["2"]) == (50.0, 25.0)
    none = replace(instance, periods=(Period(1, 0.0, 0.4),))
    assert list(distribution_block(none, 0, 0).shed) == []


def test_a_line_without_rating_has_no_octagon() -> None:
    instance = two_buses()
    block = distribution_block(
        replace(instance, lines=(replace(instance.lines[0], rating_kva=math.inf),)), 0, 0
    )
    assert list(block.line_octagon) == []
    assert block.flow_kw["main"].bounds == (None, None)


def test_inner_polygon_lies_inside_the_circle_and_outer_outside() -> None:
    """The corners of the octagon |P|, |Q| <= s, |P +- Q| <= sqrt2 s have P = s, Q = (sqrt2 - 1) s."""
    for polygon, expected in (("outer", 1.0 / math.cos(math.pi / 8.0)), ("inner", 1.0)):
        block = distribution_block(two_buses(polygon=polygon), 0, 0)
        side = block.flow_kw["main"].ub
        oblique = pyo.value(block.line_octagon["main", "P+Q"].upper)
        assert math.hypot(side, oblique - side) / 200.0 == pytest.approx(expected)
        side = block.import_kw.ub
        oblique = pyo.value(block.substation_octagon.upper)
        assert math.hypot(side, oblique - side) / 500.0 == pytest.approx(expected)
    assert pytest.approx(math.cos(math.pi / 8.0)) == INNER_SCALE


def test_without_any_kvar_the_reactive_import_is_fixed_by_its_balance_alone() -> None:
    """Else the multiplier of Q_GD >= 0 has no bound, though no price depends on it."""
    instance = two_buses()
    plain = replace(
        instance,
        buses=(instance.buses[0], replace(instance.buses[1], load_kvar=0.0)),
        stations=(replace(instance.stations[0], power_factor=1.0),),
    )
    assert distribution_block(plain, 0, 0).import_kvar.bounds == (None, 500.0)
    assert distribution_block(instance, 0, 0).import_kvar.bounds == (0.0, 500.0)


def electricity_price(solve: Any, instance: Instance, load: np.ndarray, m: int) -> float:
    """c[m] over all scenarios of period 0, from the duals."""
    bus, active, reactive = electricity_price_weights(instance, m)
    total = 0.0
    for s in range(len(instance.scenarios)):
        model = solve(instance, 0, s, load)
        total += active * model.dual[model.grid.active_balance[bus]]
        total += reactive * model.dual[model.grid.reactive_balance[bus]]
    return total


def cost(solve: Any, instance: Instance, load: np.ndarray) -> float:
    return sum(
        pyo.value(solve(instance, 0, s, load).grid.operating_cost) for s in range(len(instance.scenarios))
    )


def test_price_is_the_import_price_where_nothing_binds(solve_dispatch: Any) -> None:
    """The farm's 30 kW are used up and the line is free: one more kWh is imported, at 0.4 half the time."""
    instance = two_buses()
    assert electricity_price(solve_dispatch, instance, np.array([20.0]), 0) == pytest.approx(0.2)


def test_price_is_the_slope_of_the_cost(solve_dispatch: Any, game: Instance) -> None:
    """Finite differences of the cost in each station's load, kvar included, away from kinks."""
    rng, checked = np.random.default_rng(3), 0
    for _ in range(3):
        load = rng.uniform(20.0, 800.0, 3)
        for m in range(3):
            step = np.zeros(3)
            step[m] = 1e-3
            left = cost(solve_dispatch, game, load) - cost(solve_dispatch, game, load - step)
            right = cost(solve_dispatch, game, load + step) - cost(solve_dispatch, game, load)
            if abs(left - right) < 1e-6:
                price = electricity_price(solve_dispatch, game, load, m)
                assert price == pytest.approx(right / 1e-3, abs=1e-4)
                checked += 1
    assert checked >= 6


def test_any_load_is_feasible_and_no_price_exceeds_voll(solve_dispatch: Any, game: Instance) -> None:
    rng = np.random.default_rng(5)
    for scale in (10.0, 1e3, 1e5):
        load = rng.uniform(0.0, scale, 3)
        assert math.isfinite(cost(solve_dispatch, game, load))
        for m in range(3):
            assert electricity_price(solve_dispatch, game, load, m) <= game.feeder.voll_per_kwh * (1.0 + 1e-9)


def test_strong_duality_prices_the_loads(solve_dispatch: Any, game: Instance) -> None:
    """cost = sum of dual * right-hand side over rows and bounds; the loads' part is c P."""
    load = np.array([500.0, 300.0, 200.0])
    model = solve_dispatch(game, 1, 1, load)
    grid, dual = model.grid, model.dual
    value = sum(
        dual[row] * pyo.value(row.upper) for row in grid.component_data_objects(pyo.Constraint) if row.upper
    )
    for m in game.stations:
        price = dual[grid.active_balance[m.bus]] + m.tan_phi * dual[grid.reactive_balance[m.bus]]
        value += price * grid.load[m.id].value
    cost_parts = generate_standard_repn(grid.operating_cost.expr)
    value += cost_parts.constant + _bound_terms(grid, dual, cost_parts)
    assert value + _root_term(grid, dual, game) == pytest.approx(pyo.value(grid.operating_cost), rel=1e-9)


def _bound_terms(grid: Any, dual: Any, cost_parts: Any) -> float:
    """Reduced cost times value, which at an optimum is reduced cost times the bound it sits on."""
    reduced = {id(v): c for v, c in zip(cost_parts.linear_vars, cost_parts.linear_coefs, strict=True)}
    given = {id(v) for v in grid.load.values()}
    variables = {id(v): v for v in grid.component_data_objects(pyo.Var) if id(v) not in given}
    for row in grid.component_data_objects(pyo.Constraint):
        repn = generate_standard_repn(row.body, compute_values=False)
        for v, c in zip(repn.linear_vars, repn.linear_coefs, strict=True):
            reduced[id(v)] = reduced.get(id(v), 0.0) - dual[row] * pyo.value(c)
    total = 0.0
    for key, v in variables.items():
        rate = reduced.get(key, 0.0)
        assert rate >= -1e-7 or v.value == pytest.approx(v.ub, abs=1e-6)
        assert rate <= 1e-7 or v.value == pytest.approx(v.lb, abs=1e-6)
        total += rate * v.value
    return total


def _root_term(grid: Any, dual: Any, game: Instance) -> float:
    """The root's voltage is a constant inside the rows of the lines that leave it."""
    return -dual[grid.voltage_drop["1-2"]] * game.feeder.root_voltage_pu**2
