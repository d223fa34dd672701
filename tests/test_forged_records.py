"""Records that were written by hand to be believed: each was CERTIFIED once, with a bound that other prices beat."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import instances
from formulations.routes import route_set
from instances.model import Instance, Node
from mpec.bound_reading import RecordError, read_derivation
from mpec.certificate import certify
from mpec.electricity_cuts import BillCut, bill_cut, idle_cost
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import follow
from mpec.followers.dispatch import DispatchSolver
from mpec.linear_model import LinearModel
from mpec.options import Method, SolveOptions
from mpec.orchestrator import solve_game
from mpec.random_games import Size
from mpec.recheck import recheck_bound
from mpec.solvers import SolverError, open_session
from mpec.solvers.dust import without_dust
from mpec.soundness_games import drawn_kind

TARGET = 0.01


def verdict_of(forged: Equilibrium) -> tuple[str, float | None]:
    """The verdict on a forged result, and what its recheck shows."""
    outcome = recheck_bound(forged, seconds=60.0)
    judged = certify(forged.instance, forged, target_gap=TARGET, recheck=outcome, pessimistic_seconds=0)
    return judged.verdict, outcome.upper_bound


def with_record(honest: Equilibrium, bound: float, record: dict[str, Any]) -> Equilibrium:
    """A judged point that claims this bound by this record."""
    assert honest.point is not None
    worth = honest.point.profit
    return replace(
        honest, bound_record=record, upper_bound=bound, lower_bound=worth, status="feasible", bounds=()
    )


def partition(road: list[float], price: list[float]) -> dict[str, Any]:
    return {
        "road_points": {"0": road}, "cheapest_points": {}, "price_points": {"0": price}, "dispatch_pairs": [],
        "exact_dispatch": False, "choices": None, "local": None,
    }  # fmt: skip


def one_step(
    instance: Instance,
    bound: float,
    part: dict[str, Any],
    shares: list[dict[str, float]],
    loads: list[list[float]],
) -> dict[str, Any]:
    """A record whose only step bounds the one hour of a game by itself, without multipliers."""
    none = {"cap": [0.0], "link": [[0.0]], "tariff": None}
    step = {"kind": "bounds", "multipliers": none, "bounds": [bound], "relaxed": False, "hours": [part]}
    return {
        "kind": "decomposed", "upper_bound": bound, "route_count": len(route_set(instance).routes),
        "references": [shares], "tangents": [{}], "bill_loads": [loads], "best": 0, "big_m": [], "intervals": [],
        "steps": [step],
    }  # fmt: skip


# ---- claims that go a hair beyond what is shown ----------------------------------------------------
@pytest.mark.parametrize("claims", [1, 30])
def test_no_claim_takes_a_hair_more_than_is_shown(claims: int) -> None:
    """A ceiling of 0.75 lowered by 1.7e-8 takes the best price off the grid: 50 with it, 48 without."""
    game = instances.load("closed-form-price")
    game = replace(game, stations=tuple(replace(s, price_max=0.75, price_step=0.05) for s in game.stations))
    honest, worse = (
        solve_game(game, SolveOptions(gap=1e-3, time_limit=60.0, workers=1)),
        follow(game, np.array([[0.70]])),
    )
    assert honest.point is not None
    assert worse.point is not None
    assert honest.point.profit == pytest.approx(50.0)
    assert worse.point.profit == pytest.approx(48.0)
    record = json.loads(json.dumps(honest.bound_record))
    steps, high, bound = [], 0.75, 48.01
    for _ in range(claims):
        high -= 0.95e-8 * (1 + high)
        steps.append({"kind": "claims", "hour": 0, "intervals": [["price", 0, 0.25, high]], "dropped": []})
    multipliers = record["steps"][record["best"]]["multipliers"]
    part = partition(np.arange(0.5, 40, 0.5).tolist(), np.arange(0.3, 0.7, 0.05).tolist())
    steps.append({"kind": "bounds", "multipliers": multipliers, "bounds": [bound], "total": bound, "relaxed": False,
                  "hours": [part]})  # fmt: skip
    record |= {"steps": steps, "best": len(steps) - 1, "upper_bound": bound, "intervals": [], "big_m": []}
    forged = replace(
        honest, point=worse.point, lower_bound=worse.point.profit, upper_bound=bound, status="feasible",
        bounds=(), bound_record=record,
    )  # fmt: skip
    verdict, shown = verdict_of(forged)
    assert verdict != "CERTIFIED"
    assert shown is None or shown >= 50.0 * (1 - 1e-9)


# ---- loads that nobody has ---------------------------------------------------------------------------
def weak_line() -> Instance:
    """`line-limit` with a line that loses much voltage and none of its limits but the voltage's."""
    game = instances.load("line-limit").select(tariff="dlmp")
    lines = tuple(replace(line, rating_kva=float("inf"), r_ohm=60.0, x_ohm=0.001) for line in game.lines)
    buses = tuple(
        replace(b, load_kw=0.0 if i else 5000.0, load_kvar=0.0 if i else 2000.0, vmax_pu=1.0 if i else 1.1)
        for i, b in enumerate(game.buses)
    )
    return replace(game, lines=lines, buses=buses)


def test_a_load_beyond_its_station_is_refused() -> None:
    """At 4e10 kW the operator's rows all count as tight: the "tangent" there was twice the operator's cost."""
    game, load = weak_line(), 3.75e10
    judged, better = follow(game, np.array([[0.875001]])), follow(game, np.array([[0.8126]]))
    assert judged.point is not None
    assert better.point is not None
    assert better.point.profit > judged.point.profit + 5.0
    routes, bound = route_set(game), judged.point.profit * 1.008
    shares = [
        {str(i): 1.0 - x if r.outside else x for i, r in enumerate(routes.routes)}
        for x in np.linspace(0, 1, 21).tolist()
    ]
    part = partition(np.arange(0.5, 40, 0.5).tolist(), np.arange(0.3, 1.5, 0.02).tolist())
    record = one_step(game, bound, part, shares, [[0.0], [load]])
    with pytest.raises(RecordError, match="beyond its station's capacity"):
        read_derivation(record, routes)
    forged = with_record(judged, bound, record)
    verdict, shown = verdict_of(forged)
    assert verdict != "CERTIFIED"
    assert shown is None or shown >= better.point.profit


def tangent(game: Instance, t: int, load: np.ndarray) -> BillCut | None:
    """None where the operator's program at such a load has no multipliers to be found: that proves nothing, either."""
    try:
        return bill_cut(DispatchSolver(game), t, load)
    except SolverError:
        return None


def test_a_tangent_at_any_load_whatever_holds_at_every_load() -> None:
    """Also where the operator's vertex is the wrong one: multipliers prove what they prove."""
    game = weak_line()
    for load in (0.0, 100.0, 400.0, 1e6, 3e9, 3.75e10, 1e12):
        cut = tangent(game, 0, np.array([load]))
        assert cut is not None or load > 1e4
        if cut is None:
            continue
        for other in np.linspace(0.0, 500.0, 26):
            true = bill_cut(DispatchSolver(game), 0, np.array([other]))
            touched = true.level + float(true.slope[0]) * other
            assert cut.level + float(cut.slope[0]) * other <= touched + 1e-6 * (1 + abs(touched))


@pytest.mark.parametrize("off", [1e-9, 1e-7, 1e-4])
def test_multipliers_that_are_a_little_too_dear_still_prove_something(
    off: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At an emergency the marginal source has no upper end: a hair too much, and its reduced cost proved nothing."""
    game = instances.load("line-limit").select(tariff="dlmp")
    solver, load = DispatchSolver(game), np.array([s.capacity_kw for s in game.stations])
    honest = bill_cut(solver, 0, load)
    scenario = solver.scenario

    def dearer(*arguments: Any, **options: Any) -> Any:
        found = scenario(*arguments, **options)
        return replace(found, multiplier=found.multiplier * (1.0 + off))

    monkeypatch.setattr(solver, "scenario", dearer)
    cut = bill_cut(solver, 0, load)
    at = honest.level + float(honest.slope @ load)
    assert cut.level + float(cut.slope @ load) == pytest.approx(at, rel=10 * off, abs=10 * off)
    for share in np.linspace(0.0, 1.0, 11):
        true = bill_cut(DispatchSolver(game), 0, share * load)
        cost = true.level + float(true.slope @ (share * load))
        assert cut.level + float(cut.slope @ (share * load)) <= cost + 1e-6 * (1.0 + abs(cost))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_where_not_to_serve_is_cheaper_than_to_import_tangents_touch(share: float) -> None:
    """Emergency supplies, which have no end, cost less than nothing beside the import that they replace."""
    game = instances.load("ieee33-road16")
    game = replace(game, feeder=replace(game.feeder, voll_per_kwh=0.1))
    solver, load = DispatchSolver(game), share * np.array([s.capacity_kw for s in game.stations])
    for t in (6, 7, 8):
        cut, cost = bill_cut(solver, t, load), float(solver.prices(t, load[None])[1][0])
        assert cut.level + float(cut.slope @ load) == pytest.approx(cost, rel=1e-6)
        for other in (0.1 * load, 0.5 * load, 1.04 * load):
            true = float(solver.prices(t, other[None])[1][0])
            assert cut.level + float(cut.slope @ other) <= true + 1e-7 * (1.0 + abs(true))


@pytest.mark.parametrize("seed", [1, 4, 13, 28, 31, 34, 43])
def test_tangents_of_random_operators_touch_their_cost_and_never_exceed_it(seed: int) -> None:
    game = drawn_kind(seed, Size()).game(seed)
    assert game.tariff_mode == "dlmp"
    rng, capacity = np.random.default_rng(seed), np.array([s.capacity_kw for s in game.stations])
    for t in range(len(game.periods)):
        solver = DispatchSolver(game)
        loads = [rng.random(len(capacity)) * capacity for _ in range(6)]
        costs = [game.period_h * float(solver.prices(t, load[None])[1][0]) for load in loads]
        assert idle_cost(solver, t) >= game.period_h * float(solver.prices(t, 0.0 * capacity[None])[1][0])
        wild = [capacity * 10.0**power for power in (3, 6, 9, 12)]
        for k, at in enumerate([*loads, *wild]):
            cut = tangent(game, t, at)
            assert cut is not None or k >= len(loads)
            if cut is None:
                continue
            for load, cost in zip(loads, costs, strict=True):
                assert cut.level + float(cut.slope @ load) <= cost + 1e-7 * (1.0 + abs(cost))
            if k < len(loads):
                assert cut.level + float(cut.slope @ at) == pytest.approx(costs[k], rel=1e-6, abs=1e-6)


# ---- numbers that no float holds ---------------------------------------------------------------------
def test_a_whole_number_that_no_float_holds_is_refused_like_any_other() -> None:
    game = instances.load("closed-form-price")
    honest = solve_game(game, SolveOptions(gap=1e-3, time_limit=60.0, workers=1))
    record = json.loads(json.dumps(honest.bound_record))
    record["bpr_gap"] = 10**400
    step = next(s for s in record["steps"] if s["kind"] == "bounds")
    step["bounds"] = [10**400]
    with pytest.raises(RecordError, match="larger than anything"):
        read_derivation(record, route_set(game))
    verdict, _ = verdict_of(replace(honest, bound_record=record))
    assert verdict != "CERTIFIED"


# ---- coefficients that solvers delete ----------------------------------------------------------------
def wide_road(demand: float = 5000.0) -> Instance:
    """A road whose time hardly bends: its chord rises by 3e-10 h per vehicle, which HiGHS and SCIP take for 0."""
    game = instances.load("closed-form-price").select(tariff="fixed")
    roads = tuple(
        replace(r, free_flow_h=0.1, capacity_veh_per_h=50000.0, bpr_alpha=0.15, bpr_beta=4.0)
        for r in game.roads
    )
    stations = tuple(replace(s, rated_kva=1e7, price_max=3.0) for s in game.stations)
    return replace(game, roads=roads, stations=stations, trips=dict.fromkeys(game.trips, demand))


def best_of(game: Instance) -> tuple[Equilibrium, float]:
    """The best answer that earns no more than 52,500, and what a price next to it earns."""
    answers = [follow(game, np.array([[1.2 - off]])) for off in np.geomspace(1e-8, 1e-6, 300).tolist()]
    profits = [a.point.profit for a in answers if a.point is not None]
    poor = [a for a in answers if a.point is not None and a.point.profit <= 52500.0]
    return max(poor, key=lambda a: a.point.profit if a.point is not None else 0.0), max(profits)


@pytest.mark.parametrize("choices", [None, []])
@pytest.mark.parametrize("kind", ["decomposed", "monolithic"])
def test_no_bound_rests_on_coefficients_that_solvers_delete(kind: str, choices: list[int] | None) -> None:
    """Without any partition the hour's MILP was bounded by 52,500; prices earn 69,800 and more. Without binaries
    (``choices``: none) it is a linear program, whose bound was the solver's word all the same."""
    game = wide_road()
    poor, truth = best_of(game)
    assert poor.point is not None
    bound = 52501.0
    assert poor.point.profit > 0.99 * bound
    assert truth > 1.3 * bound
    part = partition([], []) | {"road_points": {}, "price_points": {}, "choices": choices}
    record = one_step(game, bound, part, [], [])
    if kind == "monolithic":
        hours = [part | {"bill_loads": []}]
        record = {"kind": kind, "upper_bound": bound, "infeasible": False, "hours": hours}
    forged = with_record(poor, bound, record)
    verdict, shown = verdict_of(forged)
    assert verdict != "CERTIFIED"
    assert shown is None or shown >= truth * (1 - 1e-9)


@pytest.mark.parametrize("method", ["decomposed", "monolithic"])
def test_an_honest_run_bounds_a_road_that_hardly_bends(method: Method) -> None:
    game = wide_road()
    _, truth = best_of(game)
    result = solve_game(game, SolveOptions(method=method, gap=1e-3, time_limit=20.0, workers=1))
    assert result.status != "infeasible"
    assert result.upper_bound is None or result.upper_bound >= truth * (1 - 1e-9)


@pytest.mark.parametrize("solver", ["highs", "scip"])
def test_dust_is_swept_out_and_allowed_for(solver: str) -> None:
    """max t, t <= 9e-10 x, x <= 1e4: 9e-6, not 0; an equation becomes a range, an open column opens its side."""
    model = LinearModel("dust", maximise=True)
    t = model.add_variable("t", 0.0, 1.0, cost=1.0)
    x = model.add_variable("x", 0.0, 1e4)
    z = model.add_variable("z", 0.0, 1.0, integer=True)
    model.add_row("chord", [t, x], [1.0, -9e-10], upper=0.0)
    model.add_row("whole", [x, z], [1.0, 1.0], upper=1e4)
    swept = without_dust(model)
    assert swept.starts == [0, 1, 3]
    assert (swept.row_upper[0], swept.row_upper[1]) == (pytest.approx(9e-6 + 1e-6), 1e4)
    assert model.values[1] == -9e-10
    if solver == "highs" or find_spec("pyscipopt") is not None:
        assert 9e-6 <= open_session(model, solver).solve(gap=1e-9).bound <= 2e-5
    model.upper[x] = np.inf
    assert without_dust(model).row_upper[0] == np.inf
    model.integer = [False] * 3
    assert without_dust(model) is model


@pytest.mark.parametrize("method", ["decomposed", "monolithic"])
def test_no_game_is_called_infeasible_for_a_road_that_hardly_bends(method: Method) -> None:
    """Two stations, only the first one's road congested: HiGHS and SCIP both found the hour empty."""
    demand, game = 5000.0, instances.load("closed-form-price").select(tariff="fixed")
    road, place, rate = game.roads[0], game.stations[0], game.tariff["A", 1]
    road = replace(road, free_flow_h=0.1, capacity_veh_per_h=50000.0, bpr_alpha=0.15, bpr_beta=4.0)
    game = replace(
        game,
        nodes=(*game.nodes, Node("3", 1.0, 1.0, True)),
        roads=(
            road,
            replace(road, id="1-3", to_node="3", free_flow_h=0.07, energy_kwh=3.0),
            replace(road, id="3-2", from_node="3", free_flow_h=0.07, energy_kwh=2.0),
        ),
        stations=(
            replace(place, rated_kva=0.95 * demand * 20 / 0.8),
            replace(place, id="B", node="3", rated_kva=0.1 * demand * 20 / 0.8),
        ),
        pairs=(replace(game.pairs[0], outside_cost=None),),
        tariff={("A", 1): rate, ("B", 1): rate},
        trips=dict.fromkeys(game.trips, demand),
    )
    allowed = follow(game, np.array([[1.0], [0.98 + 1e-7]]))
    assert allowed.point is not None
    result = solve_game(game, SolveOptions(method=method, gap=1e-3, time_limit=20.0, workers=1))
    outcome = recheck_bound(result, seconds=60.0)
    certificate = certify(game, result, target_gap=TARGET, recheck=outcome, pessimistic_seconds=0)
    assert certificate.verdict != "INFEASIBLE"
    assert result.upper_bound is None or result.upper_bound >= allowed.point.profit
