"""The operator's answer: equal to the Pyomo block, strongly dual, priced by its own derivative."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from factories import make_instance, road, station, vehicle

import instances
from formulations.distribution import distribution_block, electricity_price_weights
from instances.model import Bus, Feeder, Instance, Line, Scenario, WindFarm
from mpec.followers.dispatch import DispatchSolver, dispatch_period

VOLL = 10.0


@pytest.fixture(scope="module")
def city() -> Instance:
    return instances.load("ieee33-road16")


@pytest.fixture(scope="module")
def solver(city: Instance) -> DispatchSolver:
    return DispatchSolver(city)


def random_loads(city: Instance, seed: int, count: int) -> list[tuple[int, np.ndarray]]:
    """Periods and loads from quiet to far beyond what the feeder can carry."""
    rng = np.random.default_rng(seed)
    stations = len(city.stations)
    size = 10.0 ** rng.uniform(1.0, 4.0, count)
    return [
        (int(rng.integers(len(city.periods))), rng.random(stations) * s * (rng.random(stations) < 0.8))
        for s in size
    ]


def pyomo_answer(city: Instance, t: int, load: np.ndarray) -> tuple[float, np.ndarray]:
    """Probability-weighted cost and electricity prices from the Pyomo blocks and their duals."""
    total, price = 0.0, np.zeros(len(city.stations))
    for s in range(len(city.scenarios)):
        model = pyo.ConcreteModel()
        model.block = distribution_block(city, t, s)
        model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
        for one, kw in zip(city.stations, load, strict=True):
            model.block.load[one.id].fix(float(kw))
        pyo.SolverFactory("appsi_highs").solve(model)
        total += pyo.value(model.block.operating_cost)
        for m in range(len(city.stations)):
            bus, active, reactive = electricity_price_weights(city, m)
            price[m] += active * model.dual[model.block.active_balance[bus]]
            price[m] += reactive * model.dual[model.block.reactive_balance[bus]]
    return total, price


def test_cost_and_prices_are_those_of_the_formulation(city: Instance, solver: DispatchSolver) -> None:
    for t, load in random_loads(city, 1, 12):
        cost, price = pyomo_answer(city, t, load)
        mine = solver.period(t, load)
        assert mine.cost == pytest.approx(cost, rel=1e-8)
        assert np.all(price >= mine.low - 1e-6)
        assert np.all(price <= mine.high + 1e-6)


def test_price_parts_add_up_and_prices_stay_below_voll(city: Instance, solver: DispatchSolver) -> None:
    parts_seen = {"congestion": False, "voltage": False}
    for t, load in random_loads(city, 2, 1000):
        answer = solver.period(t, load)
        np.testing.assert_allclose(
            answer.energy + answer.congestion + answer.voltage, answer.price, rtol=1e-9, atol=1e-9
        )
        assert np.all(answer.price <= VOLL * (1 + 1e-9))
        assert np.all(answer.low <= answer.price + 1e-12)
        assert np.all(answer.price <= answer.high + 1e-12)
        for part in parts_seen:
            parts_seen[part] |= bool(np.abs(getattr(answer, part)).max() > 1e-3)
    assert all(parts_seen.values())


def test_strong_duality_to_1e_9(city: Instance, solver: DispatchSolver) -> None:
    """Cost = sum c P + the dual terms without P (limits of rows and decisions, base loads)."""
    for t, load in random_loads(city, 3, 60):
        for s in range(len(city.scenarios)):
            answer, data = solver.scenario(t, s, load), solver.data(t, s)
            y = answer.multiplier
            with np.errstate(invalid="ignore"):
                rows = np.where(y > 0, y * data.lower, np.where(y < 0, y * data.upper, 0.0)).sum()
                reduced = data.cost - solver.program.rows.T @ y
                used = np.where(reduced < -1e-12, reduced * data.upper_decision, 0.0).sum()
            dual = data.fixed_cost + rows + used + float(answer.price @ load)
            assert dual == pytest.approx(answer.cost, rel=1e-9, abs=1e-9)


def test_dispatch_is_feasible_and_adds_up(city: Instance, solver: DispatchSolver) -> None:
    for t, load in random_loads(city, 4, 40):
        answer = solver.period(t, load)
        period = city.periods[t]
        base = sum(b.load_kw for b in city.buses) * period.load_factor
        supply = (
            answer.import_kw + answer.wind_kw.sum(axis=1) + answer.shed_kw.sum(axis=1)
            + answer.emergency_kw.sum(axis=1)
        )  # fmt: skip
        np.testing.assert_allclose(supply, base + load.sum(), rtol=1e-9)
        for i, bus in enumerate(city.buses):
            assert answer.voltage_pu[:, i].min() >= bus.vmin_pu - 1e-8
            assert answer.voltage_pu[:, i].max() <= bus.vmax_pu + 1e-8
        apparent = np.hypot(answer.line_kw, answer.line_kvar)
        rating = np.array([line.rating_kva for line in city.lines])
        assert np.all(apparent <= rating / np.cos(np.pi / 8) * (1 + 1e-8))
        cost = (
            period.import_price_per_kwh * answer.import_kw
            + VOLL * (answer.shed_kw.sum(axis=1) + answer.emergency_kw.sum(axis=1))
            + [
                city.feeder.curtailment_per_kwh
                * sum(
                    city.wind[s.id, period.id, f.id] - answer.wind_kw[i, j]
                    for j, f in enumerate(city.wind_farms)
                )
                for i, s in enumerate(city.scenarios)
            ]
        )
        expected = sum(s.probability * c for s, c in zip(city.scenarios, cost, strict=True)) * city.period_h
        assert answer.cost == pytest.approx(expected, rel=1e-9)


def test_price_is_the_derivative_of_the_cost(city: Instance, solver: DispatchSolver) -> None:
    checked = 0
    for t, load in random_loads(city, 5, 30):
        load = load + 1.0
        answer = solver.period(t, load)
        for m in range(len(load)):
            if answer.high[m] - answer.low[m] > 1e-9:
                continue
            step = np.zeros(len(load))
            step[m] = 1e-3
            up, down = solver.period(t, load + step).cost, solver.period(t, load - step).cost
            slope = (up - down) / (2e-3 * city.period_h)
            assert slope == pytest.approx(answer.price[m], abs=1e-5)
            checked += 1
    assert checked > 100


def test_batch_prices_equal_single_ones(city: Instance) -> None:
    fresh = DispatchSolver(city)
    loads = np.array([load for _, load in random_loads(city, 6, 40)])
    price, cost = fresh.prices(9, loads)
    again, _ = fresh.prices(9, loads)
    for k, load in enumerate(loads):
        single = dispatch_period(city, 9, load)
        np.testing.assert_allclose(price[k], single.price, rtol=1e-9, atol=1e-9)
        assert cost[k] * city.period_h == pytest.approx(single.cost, rel=1e-9)
    np.testing.assert_allclose(again, price, rtol=1e-12)


def two_buses(rating_kva: float) -> Instance:
    """Root 1 feeds a station at bus 2 through one line; no base load there, power factor 1."""
    made = make_instance(
        roads=[road("a", "b")],
        pairs=[vehicle("a", "b")],
        stations=[station("s", "b", power_factor=1.0)],
        trips={("a", "b"): [10.0]},
        load_kw=0.0,
        import_price=0.5,
        tariff_mode="dlmp",
    )
    return replace(made, lines=(Line("1-2", "1", "2", 0.0, 0.0, rating_kva),))


def test_price_interval_at_a_kink_and_the_leaders_choice() -> None:
    """At P = rating the price may be anything from the import price to VOLL."""
    instance = two_buses(100.0)
    at_kink = np.array([100.0])
    leader, against = (dispatch_period(instance, 0, at_kink, favour=f) for f in (1, -1))
    for answer in (leader, against):
        assert answer.low[0] == pytest.approx(0.5)
        assert answer.high[0] == pytest.approx(VOLL)
        assert answer.cost == pytest.approx(50.0)
    assert leader.price[0] == pytest.approx(0.5)
    assert against.price[0] == pytest.approx(VOLL)
    below, above = (dispatch_period(instance, 0, np.array([p])) for p in (99.9, 100.1))
    assert (below.price[0], below.high[0] - below.low[0]) == pytest.approx((0.5, 0.0))
    assert (above.price[0], above.high[0] - above.low[0]) == pytest.approx((VOLL, 0.0))
    assert above.emergency_kw[0, 0] == pytest.approx(0.1)
    assert above.congestion[0] == pytest.approx(VOLL - 0.5)


def test_surplus_wind_makes_the_price_negative() -> None:
    """More wind than load: a kWh more is a kWh less of curtailment, worth minus its penalty."""
    made = two_buses(1e4)
    instance = replace(
        made,
        wind_farms=(WindFarm("w", "2", 1.0),),
        wind={("only", 1, "w"): 300.0},
    )
    answer = dispatch_period(instance, 0, np.array([200.0]))
    assert answer.price[0] == pytest.approx(-0.1)
    assert answer.wind_kw[0, 0] == pytest.approx(200.0)
    assert answer.cost == pytest.approx(0.1 * 100.0)


def test_scenarios_are_weighted_and_reported_conditionally() -> None:
    made = two_buses(1e4)
    instance = replace(
        made,
        scenarios=(Scenario("still", 0.25), Scenario("windy", 0.75)),
        wind_farms=(WindFarm("w", "2", 1.0),),
        wind={("still", 1, "w"): 0.0, ("windy", 1, "w"): 300.0},
    )
    answer = dispatch_period(instance, 0, np.array([200.0]))
    np.testing.assert_allclose(answer.price_active[:, 1], [0.5, -0.1])
    assert answer.price[0] == pytest.approx(0.25 * 0.5 + 0.75 * -0.1)


def test_inner_polygon_scales_the_ratings() -> None:
    made = two_buses(100.0)
    inner = replace(made, feeder=replace(made.feeder, polygon="inner"))
    limit = 100.0 * np.cos(np.pi / 8)
    answer = dispatch_period(inner, 0, np.array([limit + 1.0]))
    assert answer.emergency_kw[0, 0] == pytest.approx(1.0)


def test_the_way_a_line_is_written_does_not_matter() -> None:
    made = two_buses(100.0)
    turned = replace(made, lines=(Line("1-2", "2", "1", 0.0, 0.0, 100.0),))
    load = np.array([60.0])
    assert dispatch_period(turned, 0, load).line_kw[0, 0] == pytest.approx(60.0)
    assert dispatch_period(turned, 0, load).cost == pytest.approx(dispatch_period(made, 0, load).cost)


def test_shedding_takes_kvar_along() -> None:
    """Base load 100 kW + 50 kvar behind a 60 kVA line: what passes keeps the power factor."""
    made = make_instance(
        roads=[road("a", "b")], pairs=[vehicle("a", "b")], stations=[station("s", "b")],
        trips={("a", "b"): [10.0]},
    )  # fmt: skip
    instance = replace(
        made,
        feeder=Feeder(12.66, 1000.0, "1", 1.0, 1e5, "outer", VOLL, 0.1),
        buses=(Bus("1", 0.0, 0.0, 0.9, 1.1), Bus("2", 100.0, 50.0, 0.9, 1.1)),
        lines=(Line("1-2", "1", "2", 0.01, 0.01, 60.0),),
    )
    answer = dispatch_period(instance, 0, np.zeros(1))
    served = 100.0 - answer.shed_kw[0, 1]
    assert served == pytest.approx(np.sqrt(2) * 60.0 / 1.5)
    assert answer.line_kvar[0, 0] == pytest.approx(0.5 * served)


def test_negative_load_is_refused(city: Instance, solver: DispatchSolver) -> None:
    with pytest.raises(ValueError, match="not negative"):
        solver.period(0, np.full(len(city.stations), -1.0))
