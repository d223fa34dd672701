"""Every way to falsify a result that we could think of ends in REJECTED, by the check it belongs to."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from judged_game import PRICES, answered, claimed, game, point_of, routes_of, with_point

from instances.model import Instance
from mpec import result_folder
from mpec.certificate import Certificate, RecheckOutcome, certify, certify_folder
from mpec.equilibrium import BoundStep, Equilibrium, RouteFlow
from mpec.followers.assemble import point as assemble
from mpec.tables import TABLES


def failures(eq: Equilibrium, instance: Instance | None = None, **more: Any) -> set[str]:
    """Names of the failed checks; the verdict is REJECTED exactly when there are any."""
    certificate = certify(instance or eq.instance, eq, pessimistic_seconds=0, **more)
    assert (certificate.verdict == "REJECTED") == bool(certificate.failures)
    return {check.name for check in certificate.failures}


def test_the_honest_result_passes_every_check():
    for tariff in ("dlmp", "fixed", "regulated"):
        assert failures(answered(tariff)) == set()


# ---- the tables, column by column ----------------------------------------------------------------
CAUGHT_BY = {
    ("prices.csv", "charging_price"): {"profit", "route_cost", "wardrop", "cheapest_cost_stated"},
    ("prices.csv", "electricity_price"): {"electricity_price"},
    ("prices.csv", "electricity_price_low"): {"price_interval", "price_interval_on_dual_face"},
    ("prices.csv", "electricity_price_high"): {"price_interval", "price_interval_on_dual_face"},
    ("prices.csv", "load_kw"): {"station_load"},
    ("roads.csv", "veh_per_h"): {"road_flow"},
    ("roads.csv", "time_h"): {"road_time"},
    ("residuals.csv", "demand"): {"demand_data"},
    ("residuals.csv", "modified_demand"): {"demand_served"},
    ("residuals.csv", "residual"): {"residual_flow"},
    ("buses.csv", "v_pu"): {"voltage_drop"},
    ("buses.csv", "price_active"): {"electricity_price", "nodal_prices_on_dual_face"},
    ("buses.csv", "price_reactive"): {"electricity_price", "nodal_prices_on_dual_face"},
    ("buses.csv", "shed_kw"): {"active_balance", "recourse"},
    ("dispatch.csv", "import_kw"): {"active_balance"},
    ("dispatch.csv", "import_kvar"): {"reactive_balance"},
    ("lines.csv", "p_kw"): {"active_balance"},
    ("lines.csv", "q_kvar"): {"reactive_balance"},
    ("wind.csv", "used_kw"): {"active_balance"},
    ("emergency.csv", "kw"): {"active_balance"},
    ("routes.csv", "veh_per_h"): {"demand_conservation", "road_flow"},
    ("routes.csv", "cost"): {"route_cost"},
    ("routes.csv", "cheapest_cost"): {"cheapest_cost_stated"},
}
SMALL = {"electricity_price_low": 1e-4, "electricity_price_high": 1e-4, "shed_kw": 1e-5}
"""Ten times the tolerance: 1e-6, but for the interval (1e-5), and shedding is small in its balance."""


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("honest") / "result"
    eq = answered()
    result_folder.write(eq, certify(eq.instance, eq, pessimistic_seconds=0), folder)
    return folder


@pytest.fixture
def copy(honest: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(honest, tmp_path / "lie"))


def judged(folder: Path, **more: Any) -> Certificate:
    return certify_folder(folder, pessimistic_seconds=0, **more)[1]


def edit(path: Path, column: str, change: Callable[[float], float]) -> None:
    """Change the entry of a column that is largest in absolute value."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    row = max(rows, key=lambda r: abs(float(r[column])))
    row[column] = repr(change(float(row[column])))
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_every_column_of_every_table_has_its_lies():
    columns = {(table.file, column) for table in TABLES for column, _ in table.values}
    columns |= {("routes.csv", c) for c in ("veh_per_h", "cost", "cheapest_cost")}
    assert set(CAUGHT_BY) == columns


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize(("file", "column"), list(CAUGHT_BY))
def test_a_falsified_number_is_found(copy: Path, file: str, column: str, size: str):
    share = SMALL.get(column, 1e-6)

    def change(value: float) -> float:
        if value == 0.0:
            return {"small": 1e-2, "large": -50.0}[size]
        return {"small": value * (1.0 - share), "large": -0.5 * value}[size]

    edit(copy / file, column, change)
    certificate = judged(copy)
    assert certificate.verdict == "REJECTED"
    assert certificate.lower_bound is None
    assert {check.name for check in certificate.failures} & CAUGHT_BY[file, column]


# ---- consistent lies: every table agrees with every other --------------------------------------------
def moved(share: float) -> Equilibrium:
    """Vehicles moved from one route to the other, everything else recomputed from that."""
    eq, routes = answered("dlmp", 0.0), routes_of("dlmp", 0.0)
    flows = flows_of(eq)
    one, other = np.flatnonzero(flows[:, 0] > 1.0)[:2]
    flows[other, 0] += share * flows[one, 0]
    flows[one, 0] *= 1.0 - share
    return replace(eq, point=assemble(eq.instance, np.array(PRICES), flows, routes))


def flows_of(eq: Equilibrium) -> np.ndarray:
    """(R, T) of the result over its route set."""
    routes = routes_of("dlmp", 0.0)
    flows = np.zeros((len(routes.routes), 2))
    for used in point_of(eq).routes:
        for k, route in enumerate(routes.routes):
            same = tuple(eq.instance.roads[a].id for a in route.roads) == used.path
            plan = tuple((eq.instance.stations[m].id, kwh) for m, kwh in route.plan) == used.plan
            if same and plan and eq.instance.pairs[route.pair].key == (used.origin, used.destination):
                flows[k, used.period - 1] = used.veh_per_h
    return flows


@pytest.mark.parametrize("share", [1e-4, 0.5])
def test_vehicles_moved_to_a_dearer_route_are_found(share: float):
    found = failures(replace(moved(share), upper_bound=None, bound_record=None, lower_bound=None))
    assert found == {"wardrop", "dearer_routes_in_total"}


def test_a_stated_cheapest_cost_that_fits_the_listed_routes_does_not_help():
    eq = moved(0.5)
    routes = tuple(replace(r, cheapest_cost=r.cost) for r in point_of(eq).routes)
    assert "wardrop" in failures(with_point(eq, routes=routes))


def test_a_flow_cut_into_slices_below_delta_is_found():
    """Each slice charges a little differently, so that none counts as used by itself."""
    eq = answered("fixed", 0.0)
    point = point_of(eq)
    dear = next(r for r in point.routes if (r.origin, r.period) == ("b", 1))
    slices = [
        replace(
            dear, plan=(("D", more),), cost=dear.cost + (more - 7.0) * (0.58 + 20.0 / 50.0), veh_per_h=3.6e-8
        )
        for more in (7.5, 8.0, 9.0, 9.5)
    ]
    rest = replace(dear, veh_per_h=dear.veh_per_h - sum(s.veh_per_h for s in slices))
    others = [r for r in point.routes if r is not dear]
    found = failures(with_point(eq, routes=(*others, rest, *slices)))
    assert found == {"dearer_routes_in_total"}


def test_a_dearer_dispatch_is_found():
    """Shedding a little more at bus 2 and importing less: every balance holds, only the cost is not least."""
    eq = answered()
    point = point_of(eq)
    shed, imported, kvar = point.shed_kw.copy(), point.import_kw.copy(), point.import_kvar.copy()
    line, line_q, v = point.line_kw.copy(), point.line_kvar.copy(), point.voltage_pu.copy()
    shed[0, 0, 1] += 0.1
    imported[0, 0] -= 0.1
    kvar[0, 0] -= 0.04
    line[0, 0, 0] -= 0.1
    line_q[0, 0, 0] -= 0.04
    base = eq.instance.feeder.base_ohm * eq.instance.feeder.base_kva
    rise = 2.0 * (0.1 * 0.1 + 0.1 * 0.04) / base
    v[0, 0, 1:] = np.sqrt(v[0, 0, 1:] ** 2 + rise)
    lie = with_point(
        eq, shed_kw=shed, import_kw=imported, import_kvar=kvar, line_kw=line, line_kvar=line_q, voltage_pu=v
    )
    assert failures(lie) == {"dispatch_optimal"}


@pytest.mark.parametrize("factor", [1.0 - 1e-5, 0.5])
def test_cheap_nodal_prices_that_fit_every_table_are_found(factor: float):
    eq = answered()
    point = point_of(eq)
    cheap = point.electricity_price * factor
    profit = eq.instance.period_h * float(((point.prices - cheap) * point.load_kw).sum())
    lie = with_point(
        eq,
        price_active=point.price_active * factor,
        price_reactive=point.price_reactive * factor,
        electricity_price=cheap,
        electricity_low=np.full_like(cheap, -np.inf),
        electricity_high=np.full_like(cheap, np.inf),
        profit=profit,
    )
    assert failures(replace(lie, upper_bound=None, bound_record=None, lower_bound=None)) == {
        "nodal_prices_on_dual_face"
    }


def test_a_member_of_the_dual_face_is_no_lie():
    """At the line's limit a whole interval of prices is right: the judge must not insist on one of them."""
    import instances
    from mpec.followers.answer import follow

    edge = instances.load("line-limit").select(tariff="dlmp")
    eq = follow(edge, np.array([[0.8125]]))
    point = point_of(eq)
    low, high = float(point.electricity_low[0, 0]), float(point.electricity_high[0, 0])
    assert (low, high) == (pytest.approx(0.5), pytest.approx(2.0))
    for price, expected in ((1.2, set()), (2.1, {"nodal_prices_on_dual_face", "price_interval"})):
        shift = price - float(point.electricity_price[0, 0])
        active = point.price_active.copy()
        active[0, 0, edge.bus_index[edge.stations[0].bus]] += shift
        profit = point.profit - shift * float(point.load_kw[0, 0])
        lie = with_point(
            eq, price_active=active, electricity_price=point.electricity_price + shift, profit=profit
        )
        assert failures(lie) == expected


def test_a_tariff_that_is_not_the_given_one_is_found():
    eq = answered("fixed")
    cheap = point_of(eq).electricity_price * (1.0 - 1e-6)
    assert "electricity_price" in failures(with_point(eq, electricity_price=cheap))


@pytest.mark.parametrize("cut", [1e-6, 0.1])
def test_a_regulated_tariff_that_earns_the_operator_less_is_found(cut: float):
    eq = answered("regulated")
    point = point_of(eq)
    cheap = point.electricity_price.copy()
    cheap[2, 1] *= 1.0 - cut
    lie = with_point(
        eq, electricity_price=cheap, electricity_low=np.full_like(cheap, -np.inf),
        profit=point.profit + float((point.electricity_price - cheap)[2, 1] * point.load_kw[2, 1]),
    )  # fmt: skip
    assert "electricity_price" in failures(replace(lie, upper_bound=None, bound_record=None))


def test_prices_outside_box_or_cap_are_found():
    eq, base = answered(), game()
    station = base.stations[2]
    narrow = replace(base, stations=(*base.stations[:2], replace(station, price_max=0.61 * (1 - 1e-8))))
    assert failures(eq, narrow) == {"price_box"}
    capped = replace(base, stations=(*base.stations[:2], replace(station, price_mean_max=0.595 * (1 - 1e-8))))
    assert failures(eq, capped) == {"mean_price_cap"}


def test_a_station_over_its_capacity_is_found():
    eq, base = answered(), game()
    most = float(point_of(eq).load_kw[2].max())
    small = replace(base.stations[2], rated_kva=most / 0.95 * (1.0 - 1e-6))
    assert failures(eq, replace(base, stations=(*base.stations[:2], small))) == {"capacity"}


def test_an_unavailable_station_is_found():
    eq, base = answered(), game()
    closed = replace(base.stations[1], available=False)
    found = failures(eq, replace(base, stations=(base.stations[0], closed, base.stations[2])))
    assert "charging_plan" in found


# ---- routes that are none --------------------------------------------------------------------------
def first_route_as(**changes: Any) -> Equilibrium:
    eq = answered()
    routes = point_of(eq).routes
    return with_point(eq, routes=(replace(routes[0], **changes), *routes[1:]))


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"path": ("a-b",)}, "route_validity"),
        ({"path": ("a-b", "c-d")}, "route_validity"),
        ({"path": ("a-b", "nowhere")}, "route_validity"),
        ({"path": ()}, "route_validity"),
        ({"origin": "d"}, "route_validity"),
        ({"period": 7}, "route_validity"),
        ({"plan": (("Z", 3.0),)}, "route_validity"),
        ({"plan": (("C", 3.0), ("D", 10.0))}, "route_validity"),
        ({"plan": (("B", 3.0), ("D", 10.0 - 1e-5))}, "charging_plan"),
        ({"plan": (("B", 3.0), ("D", 400.0))}, "charging_plan"),
        ({"plan": (("D", 13.0),)}, "charging_plan"),
        ({"outside": True}, "route_validity"),
        ({"veh_per_h": float("nan")}, "route_validity"),
        ({"veh_per_h": -5.0}, "flow_sign"),
        ({"veh_per_h": "many"}, "route_validity"),
    ],
)
def test_a_route_that_is_none_is_found(changes: dict[str, Any], check: str):
    assert check in failures(first_route_as(**changes))


def test_a_route_listed_twice_is_found():
    eq = answered()
    routes = point_of(eq).routes
    half = replace(routes[0], veh_per_h=0.5 * routes[0].veh_per_h)
    assert "route_validity" in failures(with_point(eq, routes=(half, half, *routes[1:])))


def test_a_lost_route_is_found():
    eq = answered()
    assert "demand_conservation" in failures(with_point(eq, routes=point_of(eq).routes[1:]))


def test_a_route_outside_the_set_of_the_bound_is_found():
    """A plan between two listed ones costs the same where they tie, but the bound does not cover it."""
    eq = answered()
    routes = point_of(eq).routes
    shifted = replace(routes[0], plan=(("B", 3.0 + 1e-5), ("D", 10.0 - 1e-5)))
    lie = with_point(eq, routes=(shifted, *routes[1:]))
    assert "routes_covered_by_the_bound" in failures(lie, routes=routes_of())
    assert failures(eq, routes=routes_of()) == set()


def test_a_route_outside_a_declared_set_is_found():
    from instances.model import DeclaredRoute

    eq = answered()
    base = eq.instance
    declared = tuple(
        DeclaredRoute(r.origin, r.destination, r.path, r.plan) for r in point_of(eq).routes if r.period == 1
    )
    complete = replace(base, route_set=declared)
    certificate = certify(complete, replace(eq, instance=complete), pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert certificate.route_set == "declared"
    assert "route_validity" in failures(eq, replace(base, route_set=declared[1:]))


# ---- nonsense --------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["prices", "load_kw", "road_flow", "price_active", "wind_kw", "profit"])
def test_nonsense_is_rejected_and_never_a_crash(name: str):
    eq = answered()
    array = np.asarray(getattr(point_of(eq), name), dtype=float)
    for nonsense in (
        None,
        "text",
        np.full(array.shape, np.nan),
        np.full(array.shape, np.inf),
        np.zeros((7, 7, 7)),
    ):
        assert "numbers" in failures(with_point(eq, **{name: nonsense}))


def test_routes_that_are_no_routes_are_rejected():
    eq = answered()
    for nonsense in (None, "text", (None,), (1, 2), ({"origin": "a"},), ((),)):
        assert failures(with_point(eq, routes=nonsense))


def test_an_empty_point_is_rejected():
    assert failures(with_point(answered(), routes=())) >= {"demand_conservation", "road_flow"}


# ---- bounds and Ms ---------------------------------------------------------------------------------
def recorded(**changes: Any) -> Equilibrium:
    eq = answered()
    assert eq.bound_record is not None
    return replace(eq, bound_record={**eq.bound_record, **changes})


M = {
    "name": "load of B",
    "side": "slack",
    "value": 1900.0,
    "source": "capacity",
    "proven": True,
    "scale": 1900.0,
}
AT = {"quantity": "load", "ids": "D", "period": 2}


@pytest.mark.parametrize(
    ("entry", "check"),
    [
        ({**M, "value": None}, "big_m_sources"),
        ({**M, "value": -1.0}, "big_m_sources"),
        ({**M, "value": "large"}, "big_m_sources"),
        ({**M, "source": ""}, "big_m_sources"),
        ({key: v for key, v in M.items() if key != "source"}, "big_m_sources"),
        ("M", "big_m_sources"),
        ({**M, "quantity": ["load"], "ids": "B", "period": 1}, "big_m_sources"),
        ({**M, **AT, "value": 1000.0}, "big_m_admit_the_point"),
        ({**M, **AT, "value": 1131.0}, "big_m_admit_the_point"),
    ],
)
def test_an_m_without_ground_or_too_small_is_found(entry: Any, check: str):
    assert check in failures(recorded(big_m=[entry]))


def test_an_assumed_m_is_no_lie_but_excludes_certified():
    outcome = RecheckOutcome("confirmed", answered().upper_bound)
    eq = recorded(big_m=[{**M, "proven": False}])
    certificate = certify(eq.instance, eq, recheck=outcome, pessimistic_seconds=0)
    assert certificate.verdict == "EQUILIBRIUM"
    assert any("assumed" in note for note in certificate.notes)


def interval(**changes: Any) -> dict[str, Any]:
    entry = {
        "quantity": "residual",
        "ids": ["a", "d"],
        "period": 1,
        "lower": 0.0,
        "upper": 500.0,
        "cutoff": None,
    }
    return {**entry, **changes}


@pytest.mark.parametrize(
    "entry",
    [
        interval(upper=20.0),
        interval(lower=100.0),
        interval(quantity="price", ids="B", upper=0.62 * (1 - 1e-6)),
        interval(quantity="cheapest_cost", upper=26.0),
        interval(quantity="road_flow", ids="b-d", lower=60.0),
        interval(quantity="modified_demand", upper=60.0, cutoff=1.0),
        "interval",
    ],
)
def test_an_interval_that_excludes_the_point_is_found(entry: Any):
    eq = recorded(intervals=[entry])
    certificate = certify(eq.instance, eq, pessimistic_seconds=0)
    assert [check.name for check in certificate.failures] == ["intervals_contain_the_point"]
    assert certificate.upper_bound is None


def test_an_interval_under_a_cutoff_above_the_point_is_no_lie():
    assert (
        failures(recorded(intervals=[interval(upper=20.0, cutoff=point_of(answered()).profit + 1.0)]))
        == set()
    )


@pytest.mark.parametrize("below", [1e-6, 0.1])
def test_an_upper_bound_below_the_judged_profit_is_void(below: float):
    eq = claimed(answered(), point_of(answered()).profit * (1.0 - below))
    outcome = RecheckOutcome("confirmed", eq.upper_bound)
    certificate = certify(eq.instance, eq, recheck=outcome, pessimistic_seconds=0)
    assert certificate.verdict == "REJECTED"
    assert [c.name for c in certificate.failures] == ["upper_bound_holds", "upper_bound_rechecked"]
    assert "VOID" in certificate.failures[0].where
    assert certificate.upper_bound is None
    assert certificate.lower_bound == pytest.approx(point_of(eq).profit, rel=1e-9)


def test_a_loosened_or_tightened_bound_is_found():
    eq = answered()
    assert eq.upper_bound is not None
    for factor in (1.0 - 1e-4, 1.0 + 1e-4):
        assert failures(replace(eq, upper_bound=eq.upper_bound * factor)) == {"upper_bound_recorded"}
    outcome = RecheckOutcome("confirmed", eq.upper_bound * 1.01)
    assert failures(eq, recheck=outcome) == {"upper_bound_rechecked"}
    assert failures(eq, recheck=RecheckOutcome("refuted", details="hour 2")) == {"upper_bound_rechecked"}


def test_a_stated_lower_bound_above_the_profit_is_found():
    assert failures(replace(answered(), lower_bound=point_of(answered()).profit * (1 + 1e-8))) == {
        "lower_bound_stated"
    }


@pytest.mark.parametrize("step", [(0.0, 200.0), (300.0, 1e9), (None, 235.0)])
def test_a_falsified_history_of_bounds_is_found(step: tuple[float | None, float | None]):
    assert failures(replace(answered(), bounds=(BoundStep(1, 1.0, *step),))) == {"bounds_table"}


def test_a_status_that_denies_the_point_is_found():
    for status in ("infeasible", "no_point"):
        assert failures(replace(answered(), status=status)) == {"status"}  # type: ignore[arg-type]


# ---- equilibrium.json, bound.json and certificate.json ---------------------------------------------
def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


NUMBERS = (
    "profit", "lower_bound", "upper_bound", "gap", "users_cost", "vehicle_hours", "dso_cost",
    "energy_sold_kwh", "curtailment_kwh", "shedding_kwh", "emergency_kwh",
)  # fmt: skip


@pytest.mark.parametrize("factor", [1.0 + 1e-5, 2.0])
@pytest.mark.parametrize("field", NUMBERS)
def test_a_falsified_figure_is_found(copy: Path, field: str, factor: float):
    value = json.loads((copy / "equilibrium.json").read_text())[field]
    rewrite(copy / "equilibrium.json", **{field: value * factor if value else factor})
    assert judged(copy).verdict == "REJECTED"


def test_other_fields_of_equilibrium_json(copy: Path):
    rewrite(copy / "equilibrium.json", instance="another game")
    assert [c.name for c in judged(copy).failures] == ["instance_name"]
    rewrite(copy / "equilibrium.json", instance="judged", status="infeasible")
    assert [c.name for c in judged(copy).failures] == ["status"]


def test_what_only_describes_the_run_does_not_change_the_verdict(copy: Path):
    before = judged(copy)
    rewrite(
        copy / "equilibrium.json", seconds=1e9, solver="oracle", seed=7, unique=True, reason="believe me",
        method="magic", versions={}, options={},
    )  # fmt: skip
    after = judged(copy)
    assert (after.verdict, after.lower_bound, after.gap) == (before.verdict, before.lower_bound, before.gap)


def test_a_stored_verdict_is_never_believed(copy: Path):
    rewrite(copy / "certificate.json", verdict="CERTIFIED", gap=0.0, recheck="confirmed", lower_bound=1e9)
    assert judged(copy).verdict == "EQUILIBRIUM"
    assert judged(copy).lower_bound == pytest.approx(point_of(answered()).profit)
    (copy / "certificate.json").write_text("CERTIFIED")
    assert judged(copy).verdict == "EQUILIBRIUM"
    (copy / "certificate.json").unlink()
    assert judged(copy).verdict == "EQUILIBRIUM"


def test_a_folder_is_certified_only_by_a_recheck(copy: Path):
    upper = answered().upper_bound
    states = {
        state: judged(copy, recheck=lambda eq, s=state: RecheckOutcome(s, upper)).verdict
        for state in ("none", "undecided", "refuted", "confirmed")
    }
    assert states == {
        "none": "EQUILIBRIUM", "undecided": "EQUILIBRIUM", "refuted": "REJECTED", "confirmed": "CERTIFIED",
    }  # fmt: skip


def test_a_falsified_bound_record_is_found(copy: Path):
    upper = json.loads((copy / "bound.json").read_text())["upper_bound"]
    rewrite(copy / "bound.json", upper_bound=upper * 0.99)
    assert [c.name for c in judged(copy).failures] == ["upper_bound_recorded"]
    rewrite(copy / "bound.json", upper_bound=upper, big_m="none needed")
    assert [c.name for c in judged(copy).failures] == ["big_m_sources"]


def test_a_changed_copy_of_the_game_is_refused(copy: Path):
    path = copy / "instance" / "stations.csv"
    path.write_text(path.read_text().replace("2000", "3000"))
    with pytest.raises(result_folder.ResultError, match=r"not the game that was solved"):
        judged(copy)


def test_a_used_route_moved_to_another_pair_is_found():
    eq = answered()
    routes = point_of(eq).routes
    swapped: tuple[RouteFlow, ...] = (replace(routes[0], veh_per_h=routes[1].veh_per_h),)
    swapped += (replace(routes[1], veh_per_h=routes[0].veh_per_h), *routes[2:])
    assert "road_flow" in failures(with_point(eq, routes=swapped))
