"""The search for good days: polish with a regulated bill, multipliers from equilibria, hours searched on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import instances
from formulations.prices import price_box
from formulations.routes import RouteSet, route_set
from formulations.tariff import regulated_tariff
from instances.model import TariffMode
from mpec.certificate import judge_point
from mpec.cost_pieces import CAREFUL_MARGINS, KINK_MARGIN
from mpec.coupling import Multipliers, mean_caps, no_multipliers
from mpec.day_relaxation import DayAnswer, relaxed_day
from mpec.day_search import DaySearch
from mpec.decomposition import Decomposition, Limits
from mpec.effort import Effort
from mpec.executors import Tasks
from mpec.hour_pool import HourPool
from mpec.hour_search import search_hour, search_on
from mpec.options import silent
from mpec.pool_multipliers import pooled_multipliers
from mpec.primal import Candidate, Primal


def morning(tariff: TariffMode, xi: float) -> RouteSet:
    return route_set(instances.load("ieee33-road16").select(periods=(7, 9), tariff=tariff, xi=xi))


@pytest.fixture(scope="module")
def pooled() -> tuple[RouteSet, HourPool, list[tuple[float, np.ndarray]]]:
    """Days with prices over the mean caps as well, their hours in a pool; and the days within the caps."""
    routes = morning("fixed", 0.5)
    primal = Primal(routes)
    primal.price_hours(no_multipliers(routes.instance))
    low, high = price_box(routes.instance)
    allowed = []
    for share in (0.1, 0.3, 0.5, 0.7, 1.0):
        prices = low + share * (high - low)
        start = primal.at(prices)
        day = primal.improve(start, start.flows > 0, rounds=2, steps=6)
        primal.remember(start)
        primal.remember(day)
        if day.excess <= 0.0 and (day.prices.mean(axis=1) <= mean_caps(routes.instance) + 1e-9).all():
            allowed.append((day.profit, day.prices))
    assert primal.pool is not None
    return routes, primal.pool, allowed


def dual(routes: RouteSet, pool: HourPool, multipliers: Multipliers) -> float:
    dt = routes.instance.period_h
    best = [max(hour.value(multipliers, dt) for hour in hours) for hours in pool.hours.values()]
    return float(sum(best)) + multipliers.constant(routes.instance)


def test_multipliers_of_a_pool_are_the_best_within_reach(
    pooled: tuple[RouteSet, HourPool, list[tuple[float, np.ndarray]]],
) -> None:
    routes, pool, allowed = pooled
    shape = len(routes.instance.pairs), len(routes.instance.periods)
    center = Multipliers(np.full(len(routes.instance.stations), 200.0), np.full(shape, 2.0))
    center.link[:, 0] = 0.0
    moved = pooled_multipliers(routes.instance, pool, center, 0.3)
    assert moved is not None
    assert moved.valid(routes.instance)
    assert np.abs(moved.cap - center.cap).max() <= 60.0 * (1 + 1e-9)
    assert np.abs(moved.link - center.link).max() <= 0.6 * (1 + 1e-9)
    least = dual(routes, pool, moved)
    rng = np.random.default_rng(1)
    for _ in range(300):
        cap = np.maximum(center.cap + rng.uniform(-60.0, 60.0, center.cap.shape), 0.0)
        link = center.link + rng.uniform(-0.6, 0.6, shape)
        link[:, 0] = 0.0
        assert dual(routes, pool, Multipliers(cap, link)) >= least - 1e-6
    # Weak duality: every day within the caps lies below.
    assert allowed
    assert max(profit for profit, _ in allowed) <= least + 1e-6


def test_no_multipliers_from_a_pool_with_an_empty_hour(
    pooled: tuple[RouteSet, HourPool, list[tuple[float, np.ndarray]]],
) -> None:
    routes, pool, _ = pooled
    part = HourPool(pool.period_h, pool.multipliers, {t: h for t, h in pool.hours.items() if t})
    assert pooled_multipliers(routes.instance, part, pool.multipliers, 0.3) is None


def test_polish_counts_a_regulated_bill_that_follows_the_loads() -> None:
    game = instances.load("ieee33-road16").select(periods=(13, 15), tariff="regulated", xi=0.0)
    routes = route_set(game)
    low, high = price_box(game)
    gained = {}
    for whole_bill in (True, False):
        primal = Primal(routes)
        primal.program.regulated = whole_bill
        start = primal.answer(0.5 * (low + high))
        done = primal.improve(start, start.flows > 0, rounds=3, steps=15)
        load = routes.plan_kwh.T @ done.flows
        bill = routes.instance.period_h * float((regulated_tariff(routes.instance, load) * load).sum())
        income = routes.instance.period_h * float((done.prices * load).sum())
        assert done.profit == pytest.approx(income - bill, rel=1e-9)
        assert done.violation <= 1e-6
        gained[whole_bill] = done.profit - start.profit
    # With prices of electricity held still, as the bill was reckoned with before, nothing is found here (a search
    # near an optimum: elsewhere the two may come equally far, to rounding).
    assert gained[True] > gained[False] + 0.01 * abs(done.profit)


def test_an_hour_is_searched_on_for_as_long_as_it_gains() -> None:
    routes = morning("fixed", 0.0)
    instance = routes.instance
    nothing = no_multipliers(instance)
    tariff = np.array(
        [instance.tariff[s.id, instance.periods[1].id].price_per_kwh for s in instance.stations]
    )
    incoming = np.zeros(len(instance.pairs))
    low, high = (ends[:, 1] for ends in price_box(instance))
    game = search_hour(routes, 1, incoming, nothing, tariff, (0.5 * (low + high))[None])
    worst = game[-1]
    value = worst.value(nothing, instance.period_h)
    found = search_on(routes, 1, nothing, tariff, worst, 1e-3, Effort(20.0), 5.0)
    values = [hour.value(nothing, instance.period_h) for hour in found]
    assert values == sorted(values, reverse=True)
    assert all(v > value + 1e-3 for v in values)
    # Nothing to gain: nothing is found.
    assert search_on(routes, 1, nothing, tariff, worst, 1e9, Effort(20.0), 5.0) == []


def stuck_day() -> tuple[Decomposition, DayAnswer]:
    """Hours whose search has found poor prices only, and an LP that prices one cap a hundred times above the others."""
    game = instances.load("ieee33-road16").select(periods=(7, 9), tariff="fixed", xi=0.5)
    run = Decomposition(game, Limits(0.01, None), Tasks(1, None), say=silent)
    run._prepare()
    low, high = price_box(game)
    poor = run.primal.answer(low + 0.05 * (high - low))
    run.search.best = replace(poor, excess=0.0)
    caps = np.full(len(game.stations), 50.0)
    caps[0] = 5000.0
    shape = len(game.pairs), len(game.periods)
    base = relaxed_day(run.routes, run.states, list(run.dispatches))
    assert base is not None
    return run, replace(base, multipliers=Multipliers(caps, np.zeros(shape)))


def test_a_search_far_below_the_relaxation_is_repeated_with_caps_alike() -> None:
    run, day = stuck_day()
    before = run.lower
    assert before is not None
    assert before < 0.9 * day.bound
    run._polish_alike(day)
    assert run.lower is not None
    assert run.lower > before + 0.5 * (day.bound - before)
    assert run.multipliers is day.multipliers


def test_a_search_near_the_relaxation_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run, day = stuck_day()
    near = replace(day, bound=run.lower * 1.05 if run.lower else 0.0)
    monkeypatch.setattr(run.search, "near", lambda *_, **__: pytest.fail("searched"))
    run._polish_alike(near)
    assert run.multipliers is near.multipliers


def test_a_refused_point_is_tried_further_and_further_off_the_jumps() -> None:
    routes = route_set(instances.load("ieee33-road16").select(periods=(8, 8), tariff="dlmp"))
    margins: list[float] = []

    def accept(primal: Primal, _: Candidate) -> bool:
        margins.append(primal.pieces.margin)
        return primal.pieces.margin >= CAREFUL_MARGINS[1]

    search = DaySearch(routes, Tasks(1, None), accept)
    search.first_points([])
    assert search.best is not None
    assert search.best.excess <= 1e-4
    assert margins == [KINK_MARGIN, *CAREFUL_MARGINS[:2]]
    assert search.refused == 2


def test_a_point_refused_at_any_distance_is_given_up() -> None:
    routes = route_set(instances.load("ieee33-road16").select(periods=(8, 8), tariff="dlmp"))
    search = DaySearch(routes, Tasks(1, None), lambda *_: False)
    search.first_points([])
    assert search.best is None
    # Each distance once, and the two tries from prices that overload no station.
    assert search.refused == 1 + len(CAREFUL_MARGINS) + 2


def test_nothing_of_a_days_profit_rests_on_a_tolerance() -> None:
    """The best day's used routes cost the same but for rounding; so do those of a day that was moved a little off."""
    routes = morning("dlmp", 0.5)
    search = DaySearch(routes, Tasks(1))
    low, high = price_box(routes.instance)
    search.near(low + 0.8 * (high - low), no_multipliers(routes.instance), sample=False)
    best = search.best
    assert best is not None
    assert best.violation <= 1e-10
    point = search.primal.point(best)
    assert judge_point(routes.instance, point, routes).on_tolerance == 0.0
    rng = np.random.default_rng(0)
    moved = best.flows * (1.0 + 1e-6 * rng.standard_normal(best.flows.shape))
    off = replace(search.primal.at(best.prices), flows=moved)
    guess = search.primal._guess(off.prices, moved, moved > 0, False)
    off = replace(off, violation=search.primal.program.violation(guess), profit=best.profit)
    assert off.violation > 1e-8
    mended = search.primal.finished(off)
    assert mended.violation <= 1e-10
    assert mended.profit == pytest.approx(best.profit, rel=1e-6)


def test_a_point_that_finishing_would_make_worse_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = morning("dlmp", 0.5)
    primal = Primal(routes)
    low, high = price_box(routes.instance)
    start = replace(primal.answer(0.5 * (low + high)), violation=1e-8)
    dearer = replace(start, profit=start.profit - 1.0, violation=0.0)
    monkeypatch.setattr(primal, "_settle", lambda _: dearer)
    assert primal.finished(start) is start
    monkeypatch.setattr(
        primal, "_settle", lambda _: replace(dearer, profit=start.profit, excess=start.excess + 1.0)
    )
    assert primal.finished(start) is start
    monkeypatch.setattr(primal, "_settle", lambda _: replace(dearer, profit=start.profit))
    assert primal.finished(start).violation == 0.0
