"""Points that are feasible for every load: the multiplier bounds rest on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from formulations.distribution import InteriorPoint, distribution_block, interior_points
from instances.model import Instance

TOLERANCE = 1e-9


def place(block: pyo.Block, point: InteriorPoint, load: dict[str, float]) -> None:
    """Set every variable of the block to x(P)."""
    for station, kw in load.items():
        block.load[station].set_value(kw)
    for variable in block.component_data_objects(pyo.Var):
        if variable.parent_component() is not block.load:
            constant, coefficients = point.values[variable.local_name]
            variable.set_value(constant + sum(c * load[m] for m, c in coefficients.items()))


def slacks(block: pyo.Block) -> dict[str, float]:
    """The least slack of every family of inequality rows and bounds; equalities must hold."""
    found: dict[str, float] = {}
    for row in block.component_data_objects(pyo.Constraint):
        if row.equality:
            assert pyo.value(row.body) == pytest.approx(pyo.value(row.upper), abs=1e-9)
        else:
            name = row.parent_component().local_name
            found[name] = min(found.get(name, np.inf), row.slack())
    for variable in block.component_data_objects(pyo.Var):
        if variable.parent_component() is block.load:
            continue
        for side, bound in (("lower", variable.lb), ("upper", variable.ub)):
            if bound is not None:
                key = f"{variable.parent_component().local_name}.{side}"
                found[key] = min(found.get(key, np.inf), abs(bound - variable.value) * _sign(variable, side))
    return found


def _sign(variable: Any, side: str) -> float:
    inside = variable.value >= variable.lb if side == "lower" else variable.value <= variable.ub
    return 1.0 if inside else -1.0


@pytest.mark.parametrize("polygon", ["outer", "inner"])
@pytest.mark.parametrize("root", [0.9, 1.0, 1.1])
def test_every_point_is_feasible_for_every_load_it_is_meant_for(
    game: Instance, polygon: Any, root: float
) -> None:
    instance = replace(game, feeder=replace(game.feeder, polygon=polygon, root_voltage_pu=root))
    rng = np.random.default_rng(0)
    for t, s in ((0, 0), (1, 1)):
        block = distribution_block(instance, t, s)
        for point in interior_points(instance, t, s):
            for high in (0.0, 1.0):
                limit = point.load_limit_kw or {m.id: 1e5 for m in instance.stations}
                load = {m: high * kw * float(rng.uniform(0.5, 1.0)) for m, kw in limit.items()}
                place(block, point, load)
                worst = min(slacks(block).items(), key=lambda item: item[1])
                assert worst[1] >= -TOLERANCE, (point.name, worst)


def test_zero_flow_leaves_room_in_lines_and_voltages_and_small_draw_in_the_boxes(game: Instance) -> None:
    block = distribution_block(game, 1, 1)
    points = {point.name: point for point in interior_points(game, 1, 1)}
    assert list(points) == ["zero flow", "base draw", "small draw", "proportional draw"]
    none = {m.id: 0.0 for m in game.stations}
    place(block, points["zero flow"], none)
    flat = slacks(block)
    assert all(flat[row] > 0.01 for row in ("v.lower", "v.upper", "line_octagon", "flow_kw.lower"))
    place(block, points["small draw"], none)
    assert min(slacks(block).values()) > 0.0, "small draw is strictly inside every row, at no load at all"


def test_an_edge_voltage_leaves_only_the_zero_flow(game: Instance) -> None:
    """With the root at vmin nothing can be drawn."""
    low = replace(game, feeder=replace(game.feeder, root_voltage_pu=0.9))
    assert [point.name for point in interior_points(low, 1, 1)] == ["zero flow"]


def test_the_multiplier_bound_holds(game: Instance, solve_dispatch: Any) -> None:
    """sum of slack * multiplier over the inequality rows <= f(x(P)) - V(P), at each point, random loads."""
    rng = np.random.default_rng(1)
    for t, s in ((0, 1), (1, 0)):
        load = {m.id: float(rng.uniform(0.0, m.capacity_kw)) for m in game.stations}
        model = solve_dispatch(game, t, s, np.array(list(load.values())))
        optimum = pyo.value(model.grid.operating_cost)
        duals = {row.local_name: model.dual[row] for row in model.grid.component_data_objects(pyo.Constraint)}
        for point in interior_points(game, t, s):
            block = distribution_block(game, t, s)
            place(block, point, load)
            total = sum(
                abs(duals[row.local_name]) * row.slack()
                for row in block.component_data_objects(pyo.Constraint)
                if not row.equality
            )
            room = pyo.value(block.operating_cost) - optimum
            assert 0.0 <= total <= room * (1.0 + 1e-9) + 1e-6
