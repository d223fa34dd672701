"""Routes by column generation: against the enumerated set, the judge's word on declared sets, whole solves."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from factories import make_instance, random_instance, road, station, vehicle

import instances
import mpec
from formulations.routes import Route, RouteSet, route_set
from instances.errors import InstanceError
from instances.model import Instance
from mpec import city_performance, route_rounds
from mpec.certificate import certify
from mpec.cli import main
from mpec.crowding import uncrowded
from mpec.followers.answer import follow
from mpec.followers.users import Users
from mpec.primal import Primal
from mpec.route_generation import SOURCE_KEY, generate_routes, missing_routes, with_routes
from mpec.route_samples import sample_count, sample_prices


def drivable(seed: int, **options: Any) -> tuple[Instance, RouteSet]:
    """A random instance whose pairs can all be driven, and its complete route set."""
    rng = np.random.default_rng(seed)
    while True:
        game = random_instance(rng, **options)
        try:
            routes = route_set(game)
        except InstanceError:
            continue
        if all(len(rows) for rows in routes.pair_rows):
            return game, routes


def key(route: Route) -> tuple[Any, ...]:
    return route.pair, route.roads, tuple(sorted((m, round(kwh, 6)) for m, kwh in route.plan)), route.outside


def box(game: Instance) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.array([s.price_min for s in game.stations]),
        np.array([s.price_max for s in game.stations]),
    )


def users_costs(routes: RouteSet, prices: np.ndarray) -> np.ndarray:
    """(K, N) cost of every pair's cheapest route in the equilibrium of the first period at prices (K, M)."""
    users = Users(routes)
    count, pairs = len(prices), len(routes.instance.pairs)
    flows, gap = users.solve(0, prices, np.zeros((count, pairs)))
    assert gap.max() <= 1e-10
    return np.array([users.pack(w, p, 0.0, False).cheapest for w, p in zip(flows, prices, strict=True)])


# ---- the generated set ------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("outside", [False, True])
def test_generated_routes_are_among_the_enumerated_and_answer_alike(seed: int, outside: bool):
    game, complete = drivable(seed, pairs=3, stations=3, demand=60.0, outside=outside)
    cheapest_once = generate_routes(game, samples=100, seed=seed, keep_within=1e-6)
    assert cheapest_once.converged
    known = {key(route) for route in complete.routes}
    assert {key(route) for route in cheapest_once.routes.routes} <= known
    made = generate_routes(game, samples=300, seed=seed)
    assert made.routes.declared
    assert not made.routes.complete
    low, high = box(game)
    prices = np.random.default_rng(99).uniform(low, high, (40, len(low)))
    np.testing.assert_allclose(
        users_costs(made.routes, prices), users_costs(complete, prices), rtol=1e-9, atol=1e-9
    )


def test_residual_flow_is_followed_from_hour_to_hour():
    game, complete = drivable(3, pairs=2, periods=3, xi=0.5, demand=120.0)
    made = generate_routes(game, samples=60)
    assert made.converged
    prices = sample_prices(game, 8, seed=5)
    for k in range(8):
        ours, all_of_them = (follow(game, prices[k], routes=r).point for r in (made.routes, complete))
        assert ours is not None
        assert all_of_them is not None
        np.testing.assert_allclose(ours.residual, all_of_them.residual, rtol=1e-7, atol=1e-9)


def test_a_congested_detour_that_free_flow_does_not_show_is_found():
    """Three parallel ways; the dearest is only used when the other two are full."""
    ways = [
        road("a", "b", hours=0.2, kwh=5.0, capacity_veh_per_h=20.0, bpr_alpha=0.15, bpr_beta=4.0),
        road("a", "c", hours=0.2, kwh=2.0, capacity_veh_per_h=20.0, bpr_alpha=0.15, bpr_beta=4.0),
        road("c", "b", hours=0.1, kwh=3.0),
        road("a", "d", hours=0.4, kwh=2.0),
        road("d", "b", hours=0.4, kwh=3.0),
    ]
    game = make_instance(
        ways,
        [vehicle("a", "b", initial_kwh=16.0, final_kwh=18.0)],
        [station("s", "b")],
        {("a", "b"): [120.0]},
    )
    made = generate_routes(game)
    assert {route.roads for route in made.routes.routes} == {(0,), (1, 2), (3, 4)}
    assert made.rounds > 1


def test_a_pair_without_any_route_is_refused():
    game = make_instance(
        [road("a", "b", kwh=30.0)], [vehicle("a", "b")], [station("s", "b")], {("a", "b"): [5.0]}
    )
    with pytest.raises(InstanceError, match="has trips but no route"):
        generate_routes(game)
    with pytest.raises(InstanceError, match="no route can be declared"):
        generate_routes(replace(game, trips={}))


def test_samples_lie_in_the_box_and_repeat_with_the_seed():
    game, _ = drivable(1, stations=4, periods=2)
    low, high = box(game)
    prices = sample_prices(game, 30, seed=4)
    assert prices.shape == (30, 4, 2)
    assert (prices >= low[:, None] - 1e-12).all()
    assert (prices <= high[:, None] + 1e-12).all()
    np.testing.assert_array_equal(prices[0], np.tile(low[:, None], 2))
    np.testing.assert_allclose(prices[2], np.tile(high[:, None], 2))
    np.testing.assert_array_equal(prices, sample_prices(game, 30, seed=4))
    assert (prices != sample_prices(game, 30, seed=5)).any()
    share = (prices[3::4, :, :] - low[:, None]) / (high - low)[:, None]
    assert np.isclose(np.minimum(share.sum(axis=1), (1 - share).sum(axis=1)), 1.0).all()
    assert sample_count(game) == 48
    with pytest.raises(ValueError, match="0 samples"):
        sample_prices(game, 0)


# ---- the judge on declared sets ---------------------------------------------------------------------------
def bypass() -> Instance:
    """A quick and a slow way, both with a station; nothing is congested."""
    ways = [road("a", "b", hours=0.3), road("a", "c", hours=0.5), road("c", "b", hours=0.5)]
    return make_instance(
        ways, [vehicle("a", "b", initial_kwh=16.0, final_kwh=18.0)], [station("s", "b")], {("a", "b"): [10.0]}
    )


def test_a_declared_set_without_the_cheapest_route_is_told_so_but_not_rejected():
    game = bypass()
    slow = Route(0, (1, 2), ((0, 12.0),))
    declared = with_routes(game, [slow], "made for a test")
    answer = follow(declared, np.full((1, 1), 0.5))
    certificate = certify(declared, answer, pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert certificate.route_set == "declared"
    said = certificate.to_json()
    assert said["no_cheaper_route"] is False
    assert said["cheaper_route_cases"] == 1
    worst = said["largest_saving"]
    assert (worst["origin"], worst["destination"], worst["path"]) == ("a", "b", ["a-b"])
    # 0.7 h less on the road and 5 kWh less to buy, at 20 money/h and 0.5 + 20/50 money/kWh.
    assert worst["saving"] == pytest.approx(0.7 * 20.0 + 5.0 * 0.9, rel=1e-9)
    notes = " ".join(certificate.notes)
    assert "bound is stated for the declared route set" in notes
    assert "a cheaper route exists at this equilibrium for pair a>b in period 1 (18.5" in notes
    json.dumps(said, allow_nan=False)
    assert [r.roads for r in missing_routes(declared, route_set(declared), answer.point)] == [(0,)]  # type: ignore[arg-type]


def test_a_declared_set_with_the_cheapest_route_is_told_so():
    game = bypass()
    declared = with_routes(game, generate_routes(game).routes.routes, "made for a test")
    assert declared.source[SOURCE_KEY] == "made for a test"
    certificate = certify(declared, follow(declared, np.full((1, 1), 0.5)), pessimistic_seconds=0)
    assert certificate.to_json()["no_cheaper_route"] is True
    assert certificate.to_json()["largest_saving"]["saving"] == pytest.approx(0.0, abs=1e-9)
    assert any("; no cheaper route exists at this equilibrium." in note for note in certificate.notes)


def test_leaving_the_game_counts_as_a_route_and_a_broken_point_is_not_searched():
    game = bypass()
    declared = with_routes(game, [Route(0, (0,), ((0, 7.0),))], "made for a test")
    answer = follow(declared, np.full((1, 1), 0.5))
    assert answer.point is not None
    quitting = replace(declared, pairs=(replace(declared.pairs[0], outside_cost=1.0),))
    certificate = certify(quitting, replace(answer, instance=quitting), pessimistic_seconds=0)
    # With an outside option the point is no equilibrium of the declared game itself.
    assert certificate.verdict == "REJECTED"
    assert certificate.to_json()["no_cheaper_route"] is None
    complete = certify(game, follow(game, np.full((1, 1), 0.5)), pessimistic_seconds=0)
    assert complete.route_set == "complete"
    assert complete.to_json()["no_cheaper_route"] is True
    assert not any("route set" in note for note in complete.notes)


# ---- an explosion -----------------------------------------------------------------------------------------
def grid(size: int) -> Instance:
    """size x size streets without congestion to speak of; a time that costs nearly nothing excludes no path."""
    nodes = [(x, y) for y in range(size) for x in range(size)]
    ways = [
        road(f"{x}.{y}", f"{x + dx}.{y + dy}", hours=0.05 + 0.001 * ((3 * x + 5 * y) % 7), kwh=0.1)
        for x, y in nodes
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1))
        if 0 <= x + dx < size and 0 <= y + dy < size
    ]
    far = f"{size - 1}.{size - 1}"
    pairs = [vehicle("0.0", far, initial_kwh=8.0), vehicle(far, "0.0", initial_kwh=8.0)]
    places = [station(f"s{i}", f"{i}.{size - 1 - i}") for i in range(size)]
    trips = {("0.0", far): [20.0], (far, "0.0"): [20.0]}
    return make_instance(ways, pairs, places, trips, kappa_per_h=0.5)


def test_an_explosion_is_refused_in_time_and_generation_does_without():
    game = grid(5)
    began = time.perf_counter()
    with pytest.raises(InstanceError, match="too many to enumerate") as refused:
        route_set(game)
    assert time.perf_counter() - began < 60.0
    assert "--generate-routes" in refused.value.problems[0].cure
    made = generate_routes(game, samples=6)
    assert made.converged
    assert all(len(rows) for rows in made.routes.pair_rows)


# ---- whole solves -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["two-period-residual", "tie"])
def test_generated_routes_give_the_enumerated_interval(name: str):
    game = instances.load(name)
    ours, theirs = (mpec.solve(game, gap=1e-4, workers=1, generate_routes=g) for g in (True, False))
    assert ours.lower_bound is not None
    assert theirs.lower_bound is not None
    assert ours.upper_bound is not None
    assert theirs.upper_bound is not None
    size = 1e-4 * max(abs(theirs.upper_bound), 1.0)
    assert abs(ours.lower_bound - theirs.lower_bound) <= 2 * size
    assert abs(ours.upper_bound - theirs.upper_bound) <= 2 * size
    assert ours.instance.route_set is not None
    certificate = certify(ours.instance, ours, pessimistic_seconds=0)
    assert certificate.route_set == "declared"
    assert certificate.to_json()["no_cheaper_route"] is True
    assert ours.options["route_rounds"] == 1


def test_the_command_stores_the_routes_it_used_and_goes_on_with_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "result"
    line = [
        "solve",
        "two-period-residual",
        "--generate-routes",
        "--workers",
        "1",
        "--out",
        str(out),
        "--json",
    ]
    assert main(line) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["route_set"], said["no_cheaper_route"], said["verdict"]) == ("declared", True, "CERTIFIED")
    stored = instances.load(out / "instance")
    assert stored.route_set is not None
    assert stored.source[SOURCE_KEY].startswith("generated by mpec routes")
    assert main([*line, "--resume"]) == 0
    capsys.readouterr()
    assert instances.load(out / "instance").route_set == stored.route_set
    assert main(["certify", str(out)]) == 3
    assert "no cheaper route exists at this equilibrium" in capsys.readouterr().out


def test_a_route_that_the_first_set_lacks_is_added_and_the_game_solved_again(monkeypatch: pytest.MonkeyPatch):
    game = bypass()

    def only_the_slow_way(instance: Instance, **_: Any) -> Any:
        made = generate_routes(instance)
        slow = RouteSet(instance, (Route(0, (1, 2), ((0, 12.0),)),), complete=False, declared=True)
        return replace(made, routes=slow)

    monkeypatch.setattr(route_rounds, "generate_routes", only_the_slow_way)
    result = mpec.solve(game, gap=1e-3, workers=1, generate_routes=True)
    assert (result.options["route_rounds"], result.options["routes_added"]) == (2, 1)
    assert len(result.instance.route_set or ()) == 2
    assert "1 added at equilibria" in result.instance.source[SOURCE_KEY]
    certificate = certify(result.instance, result, pessimistic_seconds=0)
    assert certificate.to_json()["no_cheaper_route"] is True
    # 10 vehicles buy the 7 kWh of the quick way at the dearest price, electricity costs 0.3.
    assert certificate.lower_bound == pytest.approx(10.0 * 7.0 * 0.7, rel=1e-3)


def test_mpec_routes_writes_a_file_that_an_instance_can_declare(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "city"
    game = instances.load("tie")
    instances.save(game, folder)
    file = folder / "route_set.csv"
    assert main(["routes", str(folder), "--samples", "5", "--out", str(file), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["converged"] is True
    assert said["proved_complete"] is False
    declared = instances.load(folder)
    assert declared.route_set is not None
    assert len(declared.route_set) == said["routes"] == sum(said["routes_per_pair"].values())
    assert {key(r) for r in route_set(declared).routes} == {key(r) for r in route_set(game).routes}
    assert main(["routes", str(folder), "--out", str(file)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert main(["routes", str(folder), "--out", str(file), "--force"]) == 0
    assert "Not proved complete" in capsys.readouterr().out


# ---- the bench --------------------------------------------------------------------------------------------
def test_cities_are_cut_to_size_and_a_row_says_what_was_reached(tmp_path: Path):
    game = instances.load("ieee33-road16").select(periods=(8, 8))
    small = city_performance.fewer_pairs(city_performance.fewer_stations(game, 5), 3)
    assert (len(small.pairs), len(small.stations)) == (3, 5)
    assert {k[:2] for k in small.trips} <= {p.key for p in small.pairs}
    rated = sum(s.rated_kva for s in game.stations)
    assert sum(s.rated_kva for s in small.stations) == pytest.approx(rated)
    with pytest.raises(ValueError, match="the city has 8"):
        city_performance.fewer_pairs(game, 9)
    tiny = city_performance.on_feeder(game, instances.load("tie"))
    assert len(tiny.buses) == len(instances.load("tie").buses)
    city_performance.main(["two-period-residual", "--out", str(tmp_path), "--seconds", "60", "--no-recheck"])
    text = (tmp_path / "cities.csv").read_text()
    city_performance.main(["two-period-residual", "--out", str(tmp_path)])
    assert (tmp_path / "cities.csv").read_text() == text
    assert "two-period-residual,1-2,1,1,2,1,complete" in text
    assert "EQUILIBRIUM" in (tmp_path / "cities.md").read_text()


# ---- a first point where stations are full ----------------------------------------------------------------
def test_prices_are_pulled_apart_until_no_station_is_overloaded():
    """Two ways with a station each; the quick one's is too small for everybody at equal prices."""
    ways = [
        road("a", "s", hours=0.2, kwh=2.0), road("s", "b", hours=0.2, kwh=2.0),
        road("a", "t", hours=0.202, kwh=2.0), road("t", "b", hours=0.202, kwh=2.0),
    ]  # fmt: skip
    places = [station("near", "s", rated_kva=60.0), station("far", "t")]
    game = make_instance(ways, [vehicle("a", "b", final_kwh=26.0)], places, {("a", "b"): [10.0]})
    primal = Primal(route_set(game))
    crowded = primal.answer(np.full((2, 1), 0.6))
    assert crowded.excess == pytest.approx(100.0 - 57.0)
    apart = uncrowded(primal, crowded)
    assert apart is not None
    assert apart.excess <= 1e-5
    assert apart.prices[0, 0] > apart.prices[1, 0]
    alone = replace(game, roads=game.roads[:2], stations=tuple(places[:1]))
    assert uncrowded(Primal(route_set(alone)), Primal(route_set(alone)).answer(np.full((1, 1), 0.6))) is None
