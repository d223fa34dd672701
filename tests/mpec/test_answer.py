"""Both followers over the day: hand-made cases, ties for and against the leader, tariffs, batch answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from factories import make_instance, road, station, vehicle

import instances
from formulations.residuals import evaluate
from formulations.routes import route_set
from instances.errors import InstanceError
from instances.model import Instance, TariffRow
from mpec.followers.answer import Follower, follow
from mpec.followers.regulated import regulated_prices


def case(shared_data: Path, name: str) -> dict:  # type: ignore[type-arg]
    cases = json.loads((shared_data / "traffic_cases.json").read_text())["cases"]
    return next(c for c in cases if c["id"] == name)  # type: ignore[no-any-return]


def mid_box(instance: Instance) -> np.ndarray:
    middle = np.array([(s.price_min + s.price_max) / 2 for s in instance.stations])
    return np.tile(middle[:, None], (1, len(instance.periods)))


@pytest.fixture(scope="module")
def city() -> Instance:
    return instances.load("ieee33-road16")


@pytest.fixture(scope="module")
def morning(city: Instance) -> Follower:
    first = city.periods[0].id
    return Follower(city.select(periods=(first + 6, first + 9)))


# ---- the cases of traffic_cases.json -------------------------------------------------------------


@pytest.mark.parametrize("kappa", [0.0, 100.0])
def test_semidynamic_one_link(shared_data: Path, kappa: float) -> None:
    """One road, one path, five periods, xi = 0.5: modified demands and residuals to the printed digits."""
    data = case(shared_data, "semidynamic_one_link")
    instance = make_instance(
        roads=[road("a", "b", hours=0.5, capacity_veh_per_h=1000.0, bpr_alpha=0.15, bpr_beta=4.0)],
        pairs=[vehicle("a", "b", initial_kwh=40.0)],
        stations=[station("s", "b")],
        trips={("a", "b"): data["W"]},
        kappa_per_h=kappa,
        xi=0.5,
    )
    answer = follow(instance, np.full((1, 5), 0.5))
    point = answer.point
    assert point is not None
    np.testing.assert_allclose(point.modified_demand[0], data["expect"]["W_mod"], rtol=1e-12)
    np.testing.assert_allclose(point.residual[0], data["expect"]["r"], rtol=1e-12)
    assert point.modified_demand.sum() == pytest.approx(data["expect"]["rhs"], rel=1e-12)
    assert answer.unique


def corridor(legs: list[float], prices: list[float], **car: float) -> tuple[Instance, np.ndarray]:
    """Nodes n0 ... along one road, a station at every inner node, at effective prices (kappa/pile added)."""
    kappa, pile = 10.0, 50.0
    nodes = [f"n{i}" for i in range(len(legs) + 1)]
    stations = [
        station(f"s{i}", nodes[i + 1], pile_kw=pile, price_min=p - 0.2, price_max=p - 0.2)
        for i, p in enumerate(prices)
    ]
    instance = make_instance(
        roads=[road(a, b, kwh=kwh) for a, b, kwh in zip(nodes, nodes[1:], legs, strict=False)],
        pairs=[vehicle(nodes[0], nodes[-1], **car)],
        stations=stations,
        trips={(nodes[0], nodes[-1]): [10.0]},
        kappa_per_h=kappa,
    )
    return instance, np.array([[p - kappa / pile] for p in prices])


def test_gas_plan_is_chosen(shared_data: Path) -> None:
    data = case(shared_data, "gas_greedy_cap")["data"]
    expect = case(shared_data, "gas_greedy_cap")["expect"]
    instance, prices = corridor(
        data["D_legs"], data["eff_price"], initial_kwh=data["E0"], min_kwh=data["Emin"],
        max_kwh=data["Emax"], final_kwh=data["final_min"],
    )  # fmt: skip
    point = follow(instance, prices).point
    assert point is not None
    (used,) = point.routes
    plan = dict(used.plan)
    assert [plan.get(f"s{i}", 0.0) for i in range(4)] == pytest.approx(expect["h"])
    driving = 10.0 * 0.5 * len(data["D_legs"])
    assert used.cost - driving == pytest.approx(expect["cost"])
    np.testing.assert_allclose(point.load_kw[:, 0], np.array(expect["h"]) * 10.0, atol=1e-9)


def test_arriving_below_the_least_charge_is_no_route(shared_data: Path) -> None:
    data = case(shared_data, "paper_arrival_soc_gap")["data"]
    instance, _ = corridor(
        data["D_legs"], [0.5], initial_kwh=data["E0"], min_kwh=data["Emin"], max_kwh=data["Emax"],
        final_kwh=data["final_min"],
    )  # fmt: skip
    with pytest.raises(InstanceError):
        route_set(instance)


def tie_instance(outside_price: float, kappa: float = 0.0) -> Instance:
    """100 veh/h need 20 kWh at 0.1 money/kWh; a competitor sells it at `outside_price`, equally far away."""
    return make_instance(
        roads=[road("a", "b", hours=0.5, kwh=15.0)],
        pairs=[
            vehicle("a", "b", initial_kwh=15.0, min_kwh=0.0, final_kwh=20.0,
                    outside_cost=20.0 * outside_price + kappa * (0.5 + 20.0 / 50.0)),
        ],
        stations=[station("s", "b", power_factor=1.0)],
        trips={("a", "b"): [100.0]},
        kappa_per_h=kappa,
        electricity_price=0.1,
    )  # fmt: skip


@pytest.mark.parametrize("kappa", [0.0, 30.0])
def test_tie_with_a_competitor(shared_data: Path, kappa: float) -> None:
    expect = case(shared_data, "ev_tie_optimistic")["expect"]
    instance = tie_instance(0.4, kappa)
    price = np.array([[expect["optimistic_price"]]])
    best, worst = (follow(instance, price, pessimistic=p) for p in (False, True))
    assert best.profit == pytest.approx(expect["optimistic_profit"], rel=1e-9)
    assert worst.profit == pytest.approx(0.0, abs=1e-9)
    assert best.unique is False
    below = follow(instance, price - 1e-6, pessimistic=True)
    assert below.profit == pytest.approx(expect["pessimistic_supremum"], rel=1e-4)
    assert below.unique
    assert follow(instance, price + 1e-6).profit == pytest.approx(0.0, abs=1e-9)


# ---- tariffs -------------------------------------------------------------------------------------


def test_dlmp_at_a_kink_takes_the_leaders_dual() -> None:
    """Load exactly at the substation's limit: the price is 0.5 for the leader, VOLL against it."""
    made = make_instance(
        roads=[road("a", "b", kwh=15.0)],
        pairs=[vehicle("a", "b", initial_kwh=15.0, min_kwh=0.0, final_kwh=20.0)],
        stations=[station("s", "b", power_factor=1.0)],
        trips={("a", "b"): [100.0]},
        load_kw=0.0,
        tariff_mode="dlmp",
    )
    instance = replace(made, feeder=replace(made.feeder, substation_kva=2000.0))
    prices = np.array([[0.9]])
    best, worst = (follow(instance, prices, pessimistic=p) for p in (False, True))
    assert best.profit == pytest.approx(2000.0 * (0.9 - 0.5))
    assert worst.profit == pytest.approx(2000.0 * (0.9 - 10.0))
    assert best.point is not None
    assert best.point.electricity_low[0, 0] == pytest.approx(0.5)
    assert best.point.electricity_high[0, 0] == pytest.approx(10.0)


def regulated_instance(loads: list[float]) -> Instance:
    """Loads in kW by period (20 kWh a vehicle), tariff box 0.2 ... 1.0 with a mean of 0.5."""
    instance = make_instance(
        roads=[road("a", "b", kwh=15.0)],
        pairs=[vehicle("a", "b", initial_kwh=15.0, min_kwh=0.0, final_kwh=20.0)],
        stations=[station("s", "b")],
        trips={("a", "b"): [kw / 20.0 for kw in loads]},
        tariff_mode="regulated",
    )
    rows = {("s", t + 1): TariffRow(None, 0.2, 1.0, 0.5) for t in range(len(loads))}
    return replace(instance, tariff=rows)


def test_regulated_tariff_is_the_operators_best() -> None:
    """Allowance 4 * 0.5 - 4 * 0.2 = 1.2: 0.8 for the largest load, the rest for the two that tie."""
    instance = regulated_instance([100.0, 400.0, 200.0, 200.0])
    answer = follow(instance, np.full((1, 4), 1.5))
    point = answer.point
    assert point is not None
    bill = 400.0 * 1.0 + 200.0 * (0.2 + 0.2 + 0.4) + 100.0 * 0.2
    assert answer.profit == pytest.approx(1.5 * 900.0 - bill)
    np.testing.assert_allclose(point.electricity_low[0], [0.2, 1.0, 0.2, 0.2])
    np.testing.assert_allclose(point.electricity_high[0], [0.2, 1.0, 0.6, 0.6])


def test_regulated_interval_without_load() -> None:
    """Whatever is left of the mean cap may lie in hours without load."""
    instance = regulated_instance([0.0, 400.0, 0.0, 0.0])
    tariff = regulated_prices(instance, np.array([[0.0, 400.0, 0.0, 0.0]]))
    np.testing.assert_allclose(tariff.low[0], [0.2, 1.0, 0.2, 0.2])
    np.testing.assert_allclose(tariff.high[0], [0.6, 1.0, 0.6, 0.6])


# ---- the bundled city ------------------------------------------------------------------------------


def test_the_answer_obeys_every_equation(morning: Follower) -> None:
    """All residuals of formulations.residuals, with no solver in between."""
    rng = np.random.default_rng(5)
    for tariff in ("dlmp", "fixed", "regulated"):
        instance = morning.instance.select(tariff=tariff)
        follower = Follower(instance, morning.routes)
        prices = mid_box(instance) * rng.uniform(0.9, 1.1, mid_box(instance).shape)
        answer = follower.answer(prices)
        assert answer.point is not None
        assert answer.options["users_gap"] <= 1e-10
        residuals = evaluate(instance, answer.point)
        leader = {"price_box", "mean_price_cap", "capacity"}  # no follower's business
        assert len(residuals) > 15
        assert {n: r for n, r in residuals.items() if r.value > 1e-7 and n not in leader} == {}


def test_profit_adds_up(morning: Follower) -> None:
    """Revenue = cmin Wmod - tau r - outside, eq. (15) summed: no product of price and load."""
    instance = morning.instance
    prices = mid_box(instance)
    point = morning.answer(prices).point
    assert point is not None
    kappa, rate = instance.users.kappa_per_h, instance.residual_rate
    for t in range(len(instance.periods)):
        money = sum(r.cheapest_cost * r.veh_per_h for r in point.routes if r.period == instance.periods[t].id)
        outside = sum(
            (instance.pairs[instance.pair_index[r.origin, r.destination]].outside_cost or 0.0) * r.veh_per_h
            for r in point.routes
            if r.outside and r.period == instance.periods[t].id
        )
        time_cost = kappa / rate * point.residual[:, t].sum()
        assert money - time_cost - outside == pytest.approx(
            float(prices[:, t] @ point.load_kw[:, t]), rel=1e-9
        )
    bill = (point.electricity_price * point.load_kw).sum()
    assert point.profit == pytest.approx(
        instance.period_h * ((prices * point.load_kw).sum() - bill), rel=1e-12
    )


def test_batch_equals_one_by_one(morning: Follower) -> None:
    rng = np.random.default_rng(8)
    low, high = (
        np.array([getattr(s, f"price_{w}") for s in morning.instance.stations]) for w in ("min", "max")
    )
    shape = (6, len(low), len(morning.instance.periods))
    prices = low[None, :, None] + (high - low)[None, :, None] * rng.random(shape)
    prices[0] = high[:, None]  # ties everywhere
    profit, excess = morning.evaluate(prices)
    for k in range(len(prices)):
        answer = Follower(morning.instance, morning.routes).answer(prices[k], starts=1)
        assert answer.point is not None
        assert profit[k] == pytest.approx(answer.profit, rel=1e-8, abs=1e-6)
        over = np.maximum(answer.point.load_kw - morning.capacity_kw[:, None], 0.0).sum()
        assert excess[k] == pytest.approx(over * morning.instance.period_h, rel=1e-8, abs=1e-6)


def test_pessimistic_is_not_better(morning: Follower) -> None:
    prices = mid_box(morning.instance)
    against = Follower(morning.instance, morning.routes, pessimistic=True).answer(prices)
    assert morning.answer(prices).profit >= against.profit - 1e-6


def test_residual_of_the_first_period(city: Instance) -> None:
    """initial_residual enters the first selected period of every O-D pair."""
    one = city.select(periods=(city.periods[3].id, city.periods[3].id))
    later = replace(one, users=replace(one.users, initial_residual=8.0))
    points = [follow(i, mid_box(one)).point for i in (one, later)]
    assert points[0] is not None
    assert points[1] is not None
    balance = [p.modified_demand + one.users.xi * p.residual for p in points]  # type: ignore[union-attr]
    np.testing.assert_allclose(balance[0], points[0].demand, rtol=1e-10)
    np.testing.assert_allclose(balance[1], points[0].demand + one.users.xi * 8.0, rtol=1e-10)


def test_nobody_on_the_road_is_an_answer() -> None:
    """A pair that can't be driven and has no trips: no routes at all."""
    instance = make_instance(
        roads=[road("a", "b", kwh=100.0)], pairs=[vehicle("a", "b")], stations=[station("s", "b")],
        trips={("a", "b"): [0.0, 0.0]}, xi=0.5, tariff_mode="dlmp",
    )  # fmt: skip
    answer = follow(instance, np.full((1, 2), 0.5))
    assert answer.profit == 0.0
    assert answer.unique
    assert answer.point is not None
    assert answer.point.routes == ()
    profit, excess = Follower(instance).evaluate(np.full((3, 1, 2), 0.5))
    assert profit.tolist() == excess.tolist() == [0.0, 0.0, 0.0]


def test_wrong_prices_are_refused(morning: Follower) -> None:
    with pytest.raises(ValueError, match="stations by periods"):
        morning.answer(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="finite"):
        morning.answer(mid_box(morning.instance) * np.nan)
