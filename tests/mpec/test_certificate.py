"""The judge's verdicts, its own linear programs, and that nothing a point holds can make it crash."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged_game import answered, claimed, game, point_of, routes_of, with_point

import instances
from mpec.certificate import RecheckOutcome, certify, judge_point
from mpec.checks.feeder import FeederProgram
from mpec.equilibrium import Equilibrium, Point
from mpec.followers.answer import follow
from mpec.followers.dispatch import dispatch_period

CONFIRMED = "confirmed"


def verdict(eq: Equilibrium, outcome: RecheckOutcome | None = None, **more: Any) -> str:
    return certify(eq.instance, eq, recheck=outcome, pessimistic_seconds=0, **more).verdict


# ---- verdicts --------------------------------------------------------------------------------------
def test_certified_needs_a_confirmed_bound_within_the_target():
    eq = answered()
    outcome = RecheckOutcome(CONFIRMED, eq.upper_bound)
    assert verdict(eq) == "EQUILIBRIUM"
    assert verdict(eq, outcome) == "CERTIFIED"
    assert verdict(eq, outcome, target_gap=0.004) == "EQUILIBRIUM"
    assert verdict(eq, replace(outcome, state="undecided")) == "EQUILIBRIUM"
    assert verdict(eq, replace(outcome, assumed=("price of hour 2",))) == "EQUILIBRIUM"
    assert verdict(eq, replace(outcome, state="refuted")) == "REJECTED"


def test_the_certificate_states_interval_gap_and_what_is_not_rechecked():
    eq = answered()
    certificate = certify(eq.instance, eq, pessimistic_seconds=0)
    profit = point_of(eq).profit
    assert certificate.lower_bound == certificate.optimistic_profit == pytest.approx(profit, rel=1e-12)
    assert certificate.upper_bound == eq.upper_bound
    assert certificate.gap == pytest.approx(0.005 / 1.005, rel=1e-9)
    assert "bound not rechecked" in certificate.notes
    assert certificate.route_set == "complete"
    assert certificate.profit_on_tolerance == 0.0
    assert 0.0 < certificate.ac_voltage_error < 0.05


def test_only_the_rechecked_bound_is_told():
    """The recheck's own value counts, and the stated one may only be weaker."""
    eq = answered()
    better = RecheckOutcome(CONFIRMED, point_of(eq).profit * 1.001)
    certificate = certify(eq.instance, eq, recheck=better, pessimistic_seconds=0)
    assert certificate.upper_bound == better.upper_bound
    assert certificate.gap == pytest.approx(0.001, rel=2e-3)


def test_a_bound_below_the_profit_by_rounding_becomes_the_profit():
    eq = claimed(answered(), point_of(answered()).profit * (1.0 - 1e-9))
    certificate = certify(eq.instance, eq, pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert certificate.upper_bound == certificate.lower_bound
    assert certificate.gap == 0.0


def test_without_a_point_there_is_nothing_to_certify():
    nothing = Equilibrium(game(), "decomposed", "no_point", None, upper_bound=300.0)
    assert verdict(nothing) == "NO_POINT"
    infeasible = replace(nothing, status="infeasible", upper_bound=None)
    certificate = certify(game(), infeasible, pessimistic_seconds=0)
    assert certificate.verdict == "NO_POINT"
    assert certificate.notes == ("Infeasibility is claimed, but was not re-proved.",)
    proof = RecheckOutcome(CONFIRMED, infeasible=True, details="period 2, station D")
    certificate = certify(game(), infeasible, recheck=proof, pessimistic_seconds=0)
    assert certificate.verdict == "INFEASIBLE"
    assert "period 2, station D" in certificate.notes[0]
    assert certificate.lower_bound is None


def test_json_holds_no_nan_and_every_promised_field():
    eq = answered()
    eq = replace(eq, upper_bound=math.inf, bound_record={"upper_bound": math.nan, "bpr_gap": math.inf})
    data = certify(eq.instance, eq, pessimistic_seconds=0).to_json()
    text = json.dumps(data, allow_nan=False)
    assert {
        "verdict", "lower_bound", "upper_bound", "gap", "epsilon", "optimistic_profit", "pessimistic_profit",
        "recheck", "checks", "big_m", "route_set",
    } <= set(json.loads(text))  # fmt: skip
    assert set(data["checks"][0]) == {"name", "value", "tolerance", "passed", "where"}
    assert data["verdict"] == "REJECTED"  # infinity is no upper bound


def test_profit_on_tolerances_is_told():
    """Two routes 1e-6 apart: everybody on the dearer one is an answer of the eps-game only."""
    from factories import make_instance, road, station, vehicle

    def near(extra: float):
        return make_instance(
            roads=[road("a", "b", id="one"), road("a", "b", id="two", hours=0.5 * (1.0 + extra))],
            pairs=[vehicle("a", "b", initial_kwh=15.0, final_kwh=20.0)],
            stations=[station("s", "b")],
            trips={("a", "b"): [100.0]},
        )

    for extra, expected in ((1e-6, "EQUILIBRIUM"), (1e-5, "REJECTED")):
        base = near(extra)
        honest = follow(base, np.array([[0.5]]))
        (route,) = point_of(honest).routes
        flow, time = point_of(honest).road_flow[::-1].copy(), point_of(honest).road_time_h
        residual = point_of(honest).residual * (1.0 + 0.5 * extra / 0.7)
        moved = replace(
            route, path=("two",), cost=route.cost + 20.0 * 0.5 * extra, cheapest_cost=route.cheapest_cost
        )
        eq = with_point(honest, routes=(moved,), road_flow=flow, road_time_h=time, residual=residual)
        certificate = certify(base, eq, pessimistic_seconds=0)
        assert certificate.verdict == expected, certificate.failures
        if expected == "EQUILIBRIUM":
            assert certificate.profit_on_tolerance == pytest.approx(100.0 * 10.0 * 0.2)
            assert any("rest on routes" in note for note in certificate.notes)


# ---- the judge's own programs ----------------------------------------------------------------------
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_judge_s_program_agrees_with_the_followers_at_any_size(scale: float):
    """Written twice, solved twice: cost and prices of the operator, energies scaled by 1000 either way."""
    base = game("dlmp")
    feeder = base.feeder
    scaled = replace(
        base,
        feeder=replace(
            feeder, base_kva=feeder.base_kva * scale, substation_kva=feeder.substation_kva * scale
        ),
        buses=tuple(replace(b, load_kw=b.load_kw * scale, load_kvar=b.load_kvar * scale) for b in base.buses),
        lines=tuple(
            replace(ln, rating_kva=ln.rating_kva * scale, r_ohm=ln.r_ohm / scale, x_ohm=ln.x_ohm / scale)
            for ln in base.lines
        ),
        wind={key: kw * scale for key, kw in base.wind.items()},
    )
    rng = np.random.default_rng(1)
    for _ in range(10):
        load = rng.uniform(0.0, 900.0, 3) * scale
        answer = dispatch_period(scaled, 1, load)
        cost = sum(
            s.probability * FeederProgram(scaled, 1, i, load).optimum.cost
            for i, s in enumerate(base.scenarios)
        )
        assert cost == pytest.approx(answer.cost, rel=1e-9)


def test_the_dual_face_holds_the_prices_and_nothing_beside():
    from mpec.checks.electricity import _Face

    program = FeederProgram(game("dlmp"), 1, 0, np.array([100.0, 100.0, 1100.0]))
    answer = dispatch_period(game("dlmp"), 1, np.array([100.0, 100.0, 1100.0]))
    face = _Face(program)
    assert face.distance(answer.price_active[0], answer.price_reactive[0])[0] < 1e-9
    off = answer.price_active[0].copy()
    off[3] *= 1.01
    assert face.distance(off, answer.price_reactive[0])[0] > 1e-3
    low, high = face.interval(2)
    assert low == pytest.approx(high) == pytest.approx(0.9)  # beyond the line's limit: shedding at VOLL
    face.close()


@pytest.mark.parametrize("name", [n for n in instances.bundled_names() if n != "ieee33-road16"])
@pytest.mark.parametrize("tariff", ["fixed", "dlmp", "regulated"])
def test_honest_answers_on_the_small_instances_pass(name: str, tariff: Any):
    base = instances.load(name).select(tariff=tariff)
    rng = np.random.default_rng(3)
    for _ in range(3):
        share = rng.uniform(0.0, 0.6, (len(base.stations), len(base.periods)))
        low = np.array([[s.price_min] for s in base.stations])
        high = np.array([[s.price_max] for s in base.stations])
        prices = low + share * (high - low)
        for m, station in enumerate(base.stations):
            if station.price_mean_max is not None:
                prices[m] *= min(1.0, station.price_mean_max / prices[m].mean())
                prices[m] = np.maximum(prices[m], station.price_min)
        found = judge_point(base, point_of(follow(base, prices)), intervals=True)
        failed = {check.name for check in found.checks if not check.passed}
        assert failed <= {"mean_price_cap", "capacity"}, [c for c in found.checks if not c.passed]


def test_permuted_stations_buses_and_roads_give_the_same_certificate():
    base = game("dlmp")
    eq = answered()
    turned = replace(
        base,
        stations=base.stations[::-1],
        buses=base.buses[::-1],
        roads=base.roads[::-1],
        lines=base.lines[::-1],
        scenarios=base.scenarios[::-1],
        pairs=base.pairs[::-1],
    )
    other = follow(turned, point_of(eq).prices[::-1])
    first, second = (certify(e.instance, e, pessimistic_seconds=0) for e in (eq, other))
    assert second.verdict == "EQUILIBRIUM"
    assert second.lower_bound == pytest.approx(first.lower_bound, rel=1e-6)


def test_the_same_game_in_smaller_money_has_the_same_verdict():
    base, eq = game("dlmp"), answered()
    k = 100.0
    cents = replace(
        base,
        users=replace(base.users, kappa_per_h=base.users.kappa_per_h * k),
        feeder=replace(
            base.feeder,
            voll_per_kwh=base.feeder.voll_per_kwh * k,
            curtailment_per_kwh=base.feeder.curtailment_per_kwh * k,
        ),
        periods=tuple(replace(p, import_price_per_kwh=p.import_price_per_kwh * k) for p in base.periods),
        pairs=tuple(
            replace(p, outside_cost=p.outside_cost * k if p.outside_cost else None) for p in base.pairs
        ),
        stations=tuple(
            replace(
                s, price_min=s.price_min * k, price_max=s.price_max * k,
                price_mean_max=None if s.price_mean_max is None else s.price_mean_max * k,
            )
            for s in base.stations
        ),
    )  # fmt: skip
    other = follow(cents, point_of(eq).prices * k)
    certificate = certify(cents, other, pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert certificate.lower_bound == pytest.approx(k * point_of(eq).profit, rel=1e-6)


# ---- nonsense --------------------------------------------------------------------------------------
ARRAYS = [f.name for f in fields(Point) if f.name not in ("routes",)]
ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.floats(),
    st.integers(),
    st.lists(st.floats(), max_size=3),
    st.booleans(),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(ARRAYS), value=ANYTHING, at=st.integers(0, 5))
def test_no_nonsense_in_an_array_crashes_the_judge(name: str, value: Any, at: int):
    eq = answered()
    array = np.array(getattr(point_of(eq), name), dtype=object)
    if at and array.ndim:
        flat = array.ravel().copy()
        flat[at % flat.size] = value
        value = flat.reshape(array.shape)
    found = judge_point(eq.instance, point_of(with_point(eq, **{name: value})), routes_of())
    assert isinstance(found.passed, bool)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    field=st.sampled_from(
        ["origin", "destination", "period", "path", "plan", "veh_per_h", "cost", "outside"]
    ),
    value=st.one_of(ANYTHING, st.just((("B", 1e300),)), st.just(("a-b", "b-d", "a-b")), st.just({"a": 1})),
)
def test_no_nonsense_in_a_route_crashes_the_judge(field: str, value: Any):
    eq = answered()
    routes = point_of(eq).routes
    lie = with_point(eq, routes=(replace(routes[0], **{field: value}), *routes[1:]))
    assert certify(eq.instance, lie, pessimistic_seconds=0).verdict in ("REJECTED", "EQUILIBRIUM")


JSON = st.recursive(
    ANYTHING,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    record=st.dictionaries(
        st.sampled_from(["big_m", "intervals", "upper_bound", "bpr_gap"]), JSON, max_size=4
    ),
    entry=st.dictionaries(
        st.sampled_from(["name", "value", "source", "proven", "scale", "quantity", "ids", "period", "lower"]),
        JSON,
    ),
)
def test_no_nonsense_in_the_bound_s_record_crashes_the_judge(record: dict[str, Any], entry: dict[str, Any]):
    eq = answered()
    for lie in (record, {"big_m": [entry], "intervals": [entry]}):
        certificate = certify(eq.instance, replace(eq, bound_record=lie), pessimistic_seconds=0)
        assert certificate.verdict in ("REJECTED", "EQUILIBRIUM")
        json.dumps(certificate.to_json(), allow_nan=False)
