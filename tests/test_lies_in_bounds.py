"""bound.json falsified entry by entry: the recheck must not confirm a bound below what somebody can earn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from planted import Lie, lies, told

import instances
from formulations.routes import route_set
from mpec.certificate import Certificate, certify
from mpec.equilibrium import Equilibrium
from mpec.followers.answer import follow
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.random_games import Size, random_game
from mpec.recheck import recheck_bound

TARGET = 0.1


@lru_cache
def solved(name: str) -> tuple[Equilibrium, float]:
    """A result with a rich record, and a profit that somebody is known to attain."""
    game = (
        random_game(int(name), Size())
        if name.isdigit()
        else instances.load(name.split()[0]).select(tariff="dlmp")
    )
    result = solve_game(game, SolveOptions(gap=1e-3, time_limit=60.0, workers=1))
    assert result.point is not None
    truth = result.point.profit
    if name.endswith("worse"):
        # Worse prices with the same record: a bound shaved down to their profit would look well closed.
        least = np.array([[s.price_min] for s in game.stations])
        prices = result.point.prices - 0.03 * (result.point.prices - least)
        worse = follow(game, prices)
        assert worse.point is not None
        result = replace(
            result, point=worse.point, lower_bound=worse.point.profit, status="feasible", bounds=()
        )
    record = json.loads(json.dumps(result.bound_record))
    return replace(result, bound_record=record), truth


def judged(result: Equilibrium) -> Certificate:
    outcome = recheck_bound(result, seconds=60.0)
    return certify(result.instance, result, target_gap=TARGET, recheck=outcome, pessimistic_seconds=0)


def believed(name: str, lie: Lie) -> str:
    """Why the lie is a scandal: CERTIFIED with a number that is wrong. "" if it is none."""
    result, truth = solved(name)
    certificate = judged(replace(result, bound_record=told(result.bound_record, lie)))
    if certificate.verdict != "CERTIFIED":
        return ""
    if certificate.upper_bound is None or certificate.upper_bound < truth * (1 - 1e-9):
        return f"{lie}: CERTIFIED with {certificate.upper_bound}, but {truth} can be earned"
    if certificate.lower_bound is None or result.point is None:
        return f"{lie}: CERTIFIED without a point"
    return "" if abs(certificate.lower_bound - result.point.profit) <= 1e-9 * abs(truth) else f"{lie}: lower"


NAMES = ["27", "22", "two-period-residual worse"]


@pytest.mark.parametrize("name", NAMES)
def test_the_honest_record_is_certified(name: str) -> None:
    result, truth = solved(name)
    certificate = judged(result)
    assert certificate.verdict == "CERTIFIED", (certificate.failures, certificate.notes)
    assert certificate.upper_bound is not None
    assert certificate.upper_bound >= truth * (1 - 1e-9)


def carries_the_bound(lie: Lie) -> bool:
    """big_m and intervals are for the judge to look at (test_planted_lies), the rest is what the bound rests on."""
    return not lie[0] or lie[0][0] not in ("big_m", "intervals")


def every(name: str) -> list[Lie]:
    return [lie for lie in lies(solved(name)[0].bound_record) if carries_the_bound(lie)]


@pytest.mark.parametrize(("name", "count"), [("27", 45), ("22", 20), ("two-period-residual worse", 60)])
def test_no_sampled_lie_is_believed(name: str, count: int) -> None:
    found = every(name)
    rng = np.random.default_rng(6)
    chosen = rng.choice(len(found), min(count, len(found)), replace=False)
    assert [scandal for i in chosen if (scandal := believed(name, found[int(i)]))] == []


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", NAMES)
def test_no_lie_at_all_is_believed(name: str) -> None:
    assert [scandal for lie in every(name) if (scandal := believed(name, lie))] == []


# ---- lies that were believed once ------------------------------------------------------------------
def steps(name: str, kind: str) -> Iterator[tuple[int, dict[str, Any]]]:
    record = solved(name)[0].bound_record
    assert record is not None
    return ((i, s) for i, s in enumerate(record["steps"]) if s["kind"] == kind)


def inserted(record: Any, step: dict[str, Any], place: int = 0) -> dict[str, Any]:
    """The record with one more step, and what points behind it moved on."""
    every_step = [dict(s) for s in record["steps"]]
    for s in every_step:
        if s["kind"] == "cutoff" and s["bounds_step"] >= place:
            s["bounds_step"] += 1
    best = record["best"] + (record["best"] >= place)
    return {**record, "steps": [*every_step[:place], step, *every_step[place:]], "best": best}


def verdict_of(name: str, record: Any) -> Certificate:
    return judged(replace(solved(name)[0], bound_record=record))


def test_an_hour_left_out_of_the_sum_is_refused() -> None:
    """Both hours of `two-period-residual` have negative Lagrangian bounds: without one the sum would be higher, with
    a positive one left out it would be lower."""
    name = "two-period-residual worse"
    record = solved(name)[0].bound_record
    assert record is not None
    best = record["best"]
    for keep in (1, 0):
        lie = json.loads(json.dumps(record))
        lie["steps"][best]["bounds"] = lie["steps"][best]["bounds"][:keep]
        assert verdict_of(name, lie).verdict == "REJECTED"


def test_a_route_dropped_without_proof_is_kept() -> None:
    """Index -1 named no slack row, which was taken for a proof; a real index must be proven too dear."""
    for name in NAMES:
        result, truth = solved(name)
        for index, verdict in ((-1, {"REJECTED"}), (0, {"CERTIFIED", "REJECTED", "EQUILIBRIUM"})):
            step = {"kind": "claims", "hour": 0, "intervals": [], "dropped": [index]}
            certificate = verdict_of(name, inserted(result.bound_record, step))
            assert certificate.verdict in verdict
            if certificate.verdict == "CERTIFIED":
                assert certificate.upper_bound is not None
                assert certificate.upper_bound >= truth * (1 - 1e-9)


def test_the_first_hour_inherits_from_nobody() -> None:
    """Hour 0 would have taken its incoming residuals from the last hour."""
    name = "two-period-residual worse"
    for hour in (0, -1, 0.0, True):
        lie = inserted(solved(name)[0].bound_record, {"kind": "inherit", "hour": hour})
        assert verdict_of(name, lie).verdict == "REJECTED"


def test_a_cutoff_on_bounds_that_nobody_proved_is_refused() -> None:
    """bounds_step "1" instead of 1 let the stated bounds carry a cutoff without being proven again."""
    name = "27"
    record = json.loads(json.dumps(solved(name)[0].bound_record))
    number, cutoff = next(steps(name, "cutoff"))
    carrier = cutoff["bounds_step"]
    for wrong in (str(carrier), carrier + 0.25, float(carrier), [carrier]):
        lie = json.loads(json.dumps(record))
        lie["steps"][number]["bounds_step"] = wrong
        shaved = [b - 0.01 * abs(b) for b in lie["steps"][carrier]["bounds"]]
        lie["steps"][carrier]["bounds"] = shaved
        assert verdict_of(name, lie).verdict == "REJECTED"


@pytest.mark.parametrize("share", [1e-5, 0.02])
def test_shaved_bounds_are_not_confirmed(share: float) -> None:
    """Everything in the folder agrees on a bound a little too low: the hours, their sum, equilibrium.json."""
    name = "two-period-residual worse"
    result, truth = solved(name)
    record = json.loads(json.dumps(result.bound_record))
    assert result.upper_bound is not None
    cut = share * truth + (result.upper_bound - truth)
    step = record["steps"][record["best"]]
    step["bounds"][0] -= cut
    step["total"] -= cut
    record["upper_bound"] = result.upper_bound - cut
    lie = replace(result, upper_bound=result.upper_bound - cut, bound_record=record)
    certificate = judged(lie)
    assert certificate.verdict != "CERTIFIED"
    outcome = recheck_bound(lie)
    assert outcome.state == "undecided"
    assert outcome.upper_bound is not None
    assert outcome.upper_bound >= truth


def test_a_cutoff_above_what_the_point_earns_is_refuted() -> None:
    name = "27"
    result, truth = solved(name)
    record = json.loads(json.dumps(result.bound_record))
    number, _ = next(steps(name, "cutoff"))
    record["steps"][number]["lower"] = truth * (1 + 1e-6)
    outcome = recheck_bound(replace(result, bound_record=record))
    assert outcome.state == "refuted"
    assert "above the judged profit" in outcome.details


def test_an_interval_that_excludes_the_judged_point_is_refuted_without_any_solver() -> None:
    name = "27"
    result, _ = solved(name)
    record = inserted(
        json.loads(json.dumps(result.bound_record)),
        {"kind": "claims", "hour": 0, "intervals": [["price", 0, 0.0, 0.01]], "dropped": []},
    )
    outcome = recheck_bound(replace(result, bound_record=record), thorough=False)
    assert outcome.state == "refuted"
    assert "excludes the judged point" in outcome.details


def test_an_hour_bounded_by_conditions_of_nobody_is_refused() -> None:
    """A step before the best one asks for the operator's conditions in an hour where the best step doesn't: read
    without his programs, they said that electricity is free of charge and of load, and let a cutoff remove all days
    but the judged one. It earns 8; others earn 48.5."""
    plain = instances.load("line-limit")
    first = plain.periods[0]
    second = replace(first, id=2)
    game = replace(
        plain,
        periods=(first, second),
        lines=tuple(replace(line, rating_kva=5000.0) for line in plain.lines),
        stations=tuple(replace(s, price_mean_max=0.6) for s in plain.stations),
        tariff={
            (s.id, p.id): replace(plain.tariff[s.id, first.id])
            for s in plain.stations
            for p in (first, second)
        },
        trips={("1", "2", 1): 40.0, ("1", "2", 2): 2.0},
    )
    judged_day, better = follow(game, np.array([[0.5, 0.7]])), follow(game, np.array([[0.725, 0.475]]))
    assert judged_day.point is not None
    assert better.point is not None
    assert judged_day.point.profit == pytest.approx(8.0)
    assert better.point.profit == pytest.approx(48.5)
    routes = route_set(game)
    shares = [
        {str(i): 1.0 - x if route.outside else x for i, route in enumerate(routes.routes)}
        for x in np.linspace(0.0, 1.0, 21).tolist()
    ]

    def part(exact: bool, road: list[float], price: list[float]) -> dict[str, Any]:
        return {
            "road_points": {"0": road}, "cheapest_points": {}, "price_points": {"0": price}, "dispatch_pairs": [],
            "exact_dispatch": exact, "choices": None, "local": None,
        }  # fmt: skip

    def record(exact: bool, bounds: list[float]) -> dict[str, Any]:
        none = {"cap": [0.0], "link": [[0.0, 0.0]], "tariff": None}
        at_cap = {**none, "cap": [400.0]}
        fine = [part(False, np.arange(0.5, 40.0, 0.5).tolist(), [0.4, 0.45, 0.5, 0.55, 0.6, 0.7])]
        steps = [
            {"kind": "bounds", "multipliers": none, "bounds": [0.01, 18.1], "relaxed": True,
             "hours": [part(exact, [], []), part(False, [], [])]},
            {"kind": "cutoff", "bounds_step": 0, "lower": 8.0 * (1 - 1e-9)},
            {"kind": "claims", "hour": 1, "intervals": [["price", 0, 0.69999, 1.5]], "dropped": []},
            {"kind": "bounds", "multipliers": at_cap, "bounds": bounds, "relaxed": False,
             "hours": [*fine, part(False, [1.0, 1.5], [0.75, 0.8, 0.9])]},
        ]  # fmt: skip
        loads = [[[x * most] for x in np.linspace(0.0, 1.0, 9).tolist()] for most in (800.0, 40.0)]
        return {
            "kind": "decomposed", "upper_bound": 8.02, "route_count": len(routes.routes), "references": [shares] * 2,
            "tangents": [{}, {}], "bill_loads": loads, "best": 3, "big_m": [], "intervals": [], "steps": steps,
        }  # fmt: skip

    for bounds in ([-191.9, -280.0], [-200.0, -272.0]):
        forged = replace(
            judged_day,
            bound_record=record(True, bounds),
            upper_bound=8.02,
            lower_bound=8.0,
            status="feasible",
        )
        outcome = recheck_bound(forged, seconds=60.0)
        assert outcome.upper_bound is None or outcome.upper_bound >= better.point.profit
        certificate = certify(game, forged, target_gap=TARGET, recheck=outcome, pessimistic_seconds=0)
        assert certificate.verdict != "CERTIFIED"
