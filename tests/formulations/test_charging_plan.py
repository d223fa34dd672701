"""Charging plans on a fixed path: the rules, all vertices, and exactly those that prices can support."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from factories import make_instance, road, station, vehicle
from scipy.optimize import linprog

from formulations.charging_plan import (
    PlanRules,
    all_plan_vertices,
    path_rules,
    plan_rules,
    plan_vertices,
    time_price,
)


def chain_rules(legs, *, cap=50.0, final=10.0, initial=25.0, stops=None):
    """A path with one station of energy `cap` after each leg but the last, battery 5 ... 50 kWh."""
    if stops is None:
        stops = [[(i, cap)] for i in range(len(legs) - 1)] + [[]]
    return plan_rules(legs, stops, initial_kwh=initial, min_kwh=5.0, max_kwh=50.0, final_kwh=final)


def random_rules(rng) -> PlanRules:
    """A drivable path with up to 5 stops, several of them possibly at one node, one perhaps at the end."""
    while True:
        legs = rng.uniform(4.0, 22.0, rng.integers(2, 6))
        stops, count = [], 0
        for _ in legs:
            here = int(rng.choice([0, 1, 1, 2])) if count < 4 else 0
            stops.append([(count + i, float(rng.choice([6.0, 15.0, 50.0]))) for i in range(here)])
            count += here
        rules = chain_rules(list(legs), stops=stops, final=float(rng.uniform(5.0, 30.0)))
        if rules is not None and rules.stations:
            return rules


def rows_of(rules):
    """The polytope as A h <= b, written from the rules on cumulated energy."""
    n = len(rules.stations)
    sums = [[1.0 if group <= g else 0.0 for group in rules.group] for g in range(len(rules.lower))]
    a = np.vstack([np.eye(n), -np.eye(n), sums, -np.array(sums)])
    return a, np.concatenate([rules.cap, np.zeros(n), rules.upper, -np.array(rules.lower)])


def vertices_by_active_rows(rules):
    """Every vertex the slow way: n independent rows that hold with equality, and the point is allowed."""
    a, b = rows_of(rules)
    found = set()
    for chosen in combinations(range(len(b)), a.shape[1]):
        active = a[list(chosen)]
        if abs(np.linalg.det(active)) > 1e-9:
            point = np.linalg.solve(active, b[list(chosen)])
            if np.all(a @ point <= b + 1e-7):
                found.add(tuple(np.round(point, 5) + 0.0))
    return found


def as_set(plans):
    return {tuple(np.round(plan, 5) + 0.0) for plan in plans}


def supported_by_lp(vertices, index, low, high):
    """Is there a price vector in the box at which this vertex is cheapest? The definition, as an LP."""
    differences = vertices[index] - vertices
    box = np.column_stack([low, high])
    answer = linprog(np.zeros(len(low)), differences, np.full(len(vertices), 1e-9), bounds=box)
    return answer.status == 0


def test_gas_greedy_cap():
    """Four stations at effective prices 0.5, 0.3, 0.6, 0.4: 7, 45, 0, 1 kWh for 17.4."""
    rules = chain_rules([12.0, 15.0, 14.0, 11.0, 16.0])
    price = np.array([0.5, 0.3, 0.6, 0.4])
    every = all_plan_vertices(rules)
    assert (every @ price).min() == pytest.approx(17.4, abs=1e-12)
    assert plan_vertices(rules, price, price) == pytest.approx(np.array([[7.0, 45.0, 0.0, 1.0]]), abs=1e-12)


def test_arrival_below_the_least_energy_is_refused():
    """25 kWh minus 22 leaves 3 < 5 on arrival at the station; with 20 the path can be driven."""
    assert chain_rules([22.0, 10.0], final=5.0) is None
    assert chain_rules([20.0, 10.0], final=5.0) is not None


def test_vertex_counts_of_random_paths():
    """Measured counts for 1 ... 5 stations: all vertices, and those that some prices support."""
    rng = np.random.default_rng(7)
    for stops, total, supported in [(1, 2, 1), (2, 5, 2), (3, 12, 5), (4, 29, 12), (5, 70, 29)]:
        totals, kept = [], []
        while len(totals) < (40 if stops < 5 else 12):
            rules = chain_rules(list(rng.uniform(5.0, 20.0, stops + 1)))
            if rules is not None:
                totals.append(len(all_plan_vertices(rules)))
                box = np.full(stops, 0.1), np.full(stops, 1.0)
                kept.append(len(plan_vertices(rules, *box)))
        assert max(totals) == total
        assert np.median(totals) >= total - 2
        assert max(kept) == supported


def test_all_vertices_are_found_and_nothing_else():
    rng = np.random.default_rng(1)
    for _ in range(25):
        rules = random_rules(rng)
        if len(rules.stations) <= 4:
            assert as_set(all_plan_vertices(rules)) == vertices_by_active_rows(rules)


def test_kept_plans_are_exactly_the_supported_ones():
    """The cycle condition and one LP per vertex say the same, on boxes from narrow to wide."""
    rng = np.random.default_rng(2)
    seen = {True: 0, False: 0}
    for _ in range(25):
        rules = random_rules(rng)
        low = rng.uniform(0.0, 1.0, len(rules.stations))
        high = low + rng.choice([0.0, 0.1, 0.5]) * rng.uniform(size=len(low))
        every = all_plan_vertices(rules)
        kept = as_set(plan_vertices(rules, low, high))
        for index, vertex in enumerate(every):
            says_lp = supported_by_lp(every, index, low, high)
            assert (tuple(np.round(vertex, 5) + 0.0) in kept) == says_lp
            seen[says_lp] += 1
    assert min(seen.values()) > 30


def test_cheapest_plan_at_any_price_is_kept():
    rng = np.random.default_rng(3)
    for _ in range(30):
        rules = random_rules(rng)
        low = rng.uniform(0.0, 0.5, len(rules.stations))
        high = low + rng.uniform(0.0, 0.6, len(low))
        kept = plan_vertices(rules, low, high)
        a, b = rows_of(rules)
        for _ in range(5):
            price = rng.uniform(low, high)
            assert (kept @ price).min() == pytest.approx(linprog(price, a, b).fun, abs=1e-7)


def test_ties_at_the_edge_of_the_closed_box_are_kept():
    """Two stations at one node: either alone suffices, and both stay while the boxes touch."""
    rules = chain_rules([10.0, 15.0], stops=[[(0, 50.0), (1, 50.0)], []])
    touching = plan_vertices(rules, np.array([0.2, 0.4]), np.array([0.4, 0.9]))
    assert as_set(touching) == {(10.0, 0.0), (0.0, 10.0)}
    apart = plan_vertices(rules, np.array([0.2, 0.401]), np.array([0.4, 0.9]))
    assert as_set(apart) == {(10.0, 0.0)}


def test_slack_keeps_what_is_nearly_best():
    """10 kWh at a price 0.001 apart cost 0.01 more: kept with slack 0.02, dropped with 0.005."""
    rules = chain_rules([10.0, 15.0], stops=[[(0, 50.0), (1, 50.0)], []])
    low, high = np.array([0.2, 0.401]), np.array([0.4, 0.9])
    assert len(plan_vertices(rules, low, high, slack=0.02)) == 2
    assert len(plan_vertices(rules, low, high, slack=0.005)) == 1
    rng = np.random.default_rng(4)
    for _ in range(30):
        rules = random_rules(rng)
        low = rng.uniform(0.1, 1.0, len(rules.stations))
        every, kept = all_plan_vertices(rules), as_set(plan_vertices(rules, low, low, slack=0.5))
        near = every[every @ low <= (every @ low).min() + 0.5]
        assert as_set(near) <= kept


def two_legs(**changes):
    """a -> b -> c, 10 kWh each, stations at all three nodes."""
    stations = [station("origin", "a"), station("middle", "b"), station("end", "c", **changes)]
    roads = [road("a", "b", kwh=10.0), road("b", "c", kwh=10.0)]
    return make_instance(roads, [vehicle("a", "c", final_kwh=30.0)], stations, {("a", "c"): [1.0]})


def test_destination_counts_origin_does_not_and_unavailable_gives_nothing():
    """From 20 kWh, 30 wanted after 20 burnt: 30 to buy, 5 of it in the middle at least."""
    instance = two_legs()
    rules = path_rules(instance, instance.pairs[0], [0, 1])
    assert rules.stations == (1, 2)
    assert rules.lower == pytest.approx((5.0, 30.0))
    assert rules.upper == pytest.approx((40.0, 50.0))
    closed = two_legs(available=False)
    assert path_rules(closed, closed.pairs[0], [0, 1]).stations == (1,)


def test_a_stop_gives_at_most_an_hour_at_the_pile():
    instance = two_legs(pile_kw=4.0)
    rules = path_rules(instance, instance.pairs[0], [0, 1])
    assert rules.cap == (50.0, 4.0)
    assert all_plan_vertices(rules)[:, 1].max() == pytest.approx(4.0)
    assert time_price(instance) == pytest.approx([0.4, 0.4, 5.0])


def test_violation_measures_the_worst_broken_rule():
    rules = chain_rules([12.0, 15.0, 14.0, 11.0, 16.0])
    assert rules.violation([7.0, 45.0, 0.0, 1.0]) == pytest.approx(0.0, abs=1e-12)
    assert rules.violation([6.5, 45.0, 0.0, 1.0]) == pytest.approx(0.5)  # arrives at the second with 4.5
    assert rules.violation([7.0, 45.0, -0.25, 1.25]) == pytest.approx(0.25)


def test_a_path_without_stops_has_the_empty_plan():
    rules = chain_rules([10.0], final=10.0)
    assert all_plan_vertices(rules).shape == (1, 0)
    assert plan_vertices(rules, np.zeros(0), np.zeros(0)).shape == (1, 0)
    assert chain_rules([10.0], final=15.1) is None


def test_energies_in_other_units_give_the_same_plans():
    """The same path with energies times 1000 and divided by 1000."""
    legs = [12.0, 15.0, 14.0, 11.0, 16.0]
    expected = as_set(all_plan_vertices(chain_rules(legs)))
    for unit in (1e3, 1e-3):
        rules = plan_rules(
            [unit * leg for leg in legs],
            [[(i, 50.0 * unit)] for i in range(4)] + [[]],
            initial_kwh=25.0 * unit, min_kwh=5.0 * unit, max_kwh=50.0 * unit, final_kwh=10.0 * unit,
        )  # fmt: skip
        assert as_set(all_plan_vertices(rules) / unit) == expected
