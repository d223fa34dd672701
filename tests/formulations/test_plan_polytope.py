"""Plans on a path (16)-(21): the block against the vertices and against the judge's arithmetic."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest

from formulations.charging_plan import all_plan_vertices, path_rules
from formulations.plan_polytope import plan_block
from formulations.route_reading import ReadRoute, plan_violation
from instances.model import Instance

PATHS = (("oa", "ab", "bd"), ("ob", "bd"), ("oa", "ad"))


def cheapest(instance: Instance, roads: list[int], price: np.ndarray) -> float:
    """The least bill on the path, by the block; inf where no plan exists."""
    model = pyo.ConcreteModel()
    model.plans = plan_block(instance, instance.pairs[0], roads)
    model.bill = pyo.Objective(
        expr=sum(
            price[instance.station_index[m]] * model.plans.charged_kwh[m] for m in model.plans.charged_kwh
        )
    )
    solver = pyo.SolverFactory("appsi_highs")
    solver.config.load_solution = False
    status = solver.solve(model, load_solutions=False).solver.termination_condition
    if status != pyo.TerminationCondition.optimal:
        return math.inf
    solver.load_vars()
    return float(pyo.value(model.bill))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("battery", [(12.0, 2.0, 40.0, 20.0), (8.0, 2.0, 14.0, 12.0), (4.0, 3.5, 10.0, 9.0)])
def test_the_least_bill_is_at_a_vertex(
    game: Instance, path: tuple[str, ...], battery: tuple[float, ...]
) -> None:
    initial, least, most, final = battery
    pair = replace(game.pairs[0], initial_kwh=initial, min_kwh=least, max_kwh=most, final_kwh=final)
    instance = replace(game, pairs=(pair, game.pairs[1]))
    roads = [instance.road_index[road] for road in path]
    rules = path_rules(instance, pair, roads)
    vertices = np.zeros((0, 0)) if rules is None else all_plan_vertices(rules)
    for seed in range(3):
        price = np.random.default_rng(seed).uniform(0.5, 2.0, 3)
        expected = math.inf
        if rules is not None and len(vertices):
            expected = float((vertices @ price[list(rules.stations)]).min())
        assert cheapest(instance, roads, price) == pytest.approx(expected)


def test_every_vertex_passes_the_judge_and_a_little_less_energy_does_not(game: Instance) -> None:
    roads = tuple(game.road_index[road] for road in PATHS[0])
    rules = path_rules(game, game.pairs[0], roads)
    assert rules is not None
    for vertex in all_plan_vertices(rules):
        plan = tuple(zip(rules.stations, (float(x) for x in vertex), strict=True))
        route = ReadRoute(0, 0, roads, plan, 1.0, 0.0, 0.0, False, "", "")
        assert plan_violation(game, route)[0] < 1e-12
        short = tuple((m, kwh - 0.5 if kwh > 1.0 else kwh) for m, kwh in plan)
        value, where = plan_violation(game, replace(route, plan=short))
        if sum(kwh for _, kwh in plan) == pytest.approx(16.0):
            assert value >= 0.4 / 40.0
            assert where


def test_an_unavailable_station_gives_nothing(game: Instance) -> None:
    """(21)"""
    closed = replace(game, stations=tuple(replace(m, available=False) for m in game.stations))
    roads = [closed.road_index[road] for road in PATHS[1]]
    block = plan_block(closed, closed.pairs[0], roads)
    assert {m: v.bounds for m, v in block.charged_kwh.items()} == {"B": (0.0, 0.0), "D": (0.0, 0.0)}
    assert cheapest(closed, roads, np.ones(3)) == math.inf


def test_charging_time_is_energy_over_power(game: Instance) -> None:
    """(30) 15 kWh at a 30 kW pile take half an hour."""
    block = plan_block(game, game.pairs[0], [game.road_index["ob"], game.road_index["bd"]])
    block.charged_kwh["B"].set_value(15.0)
    assert pyo.value(block.charging_h["B"]) == 0.5
