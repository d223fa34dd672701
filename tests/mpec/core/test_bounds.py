"""Derived bounds of one follower with p in a box: nothing optimal is cut off, and they are fast enough."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import instances
from formulations.distribution import distribution_block, interior_points
from mpec import tolerances
from mpec.bilevel_checks import follower_model, optimal_value
from mpec.bounds import (
    AffinePoint,
    DualPolyhedron,
    drop_never_binding,
    exactly_feasible,
    feasible_points,
    multiplier_bounds,
    slack_bounds,
)
from mpec.elimination import eliminate_equalities
from mpec.optimiser import Inequalities, Optimiser, as_inequalities, given_price
from mpec.players import compile_optimiser
from mpec.solvers import HighsSession
from mpec.solvers.polytope import Polytope, lower_bound


@pytest.fixture(scope="module")
def feeder() -> tuple[Inequalities, list[AffinePoint], np.ndarray]:
    """The 33-bus dispatch in one hour and scenario, equalities eliminated; its points; station capacities."""
    instance = instances.load("ieee33-road16")
    block = distribution_block(instance, 8, 0)
    stations = [m.id for m in instance.stations]
    reduced, _ = eliminate_equalities(
        compile_optimiser(block, [block.load[m] for m in stations], name="dispatch")
    )
    points = []
    for point in interior_points(instance, 8, 0):
        values = [point.values[name] for name in reduced.columns]
        on_given = np.array([[v[1].get(m, 0.0) for m in stations] for v in values])
        points.append(AffinePoint(point.name, np.array([v[0] for v in values]), on_given))
    return as_inequalities(reduced), points, np.array([m.capacity_kw for m in instance.stations])


def _largest_multipliers(rows: Inequalities, p: np.ndarray, low: bool = False) -> np.ndarray:
    """Each row's largest multiplier over the optimal dual face at p, found by LPs of its own."""
    o = rows.optimiser
    solved = HighsSession(follower_model(o, p)).solve()
    assert solved.x is not None
    slack = rows.slack(solved.x, p)
    active = slack <= 1e-7 * (1.0 + np.abs(rows.right))
    face = Polytope(
        rows.matrix.T.tocsr(),
        o.cost - 1e-9,
        o.cost + 1e-9,
        np.where(rows.equality, -np.inf, 0.0),
        np.where(active | rows.equality, np.inf, 0.0),
    )
    out = np.array([face.maximum(np.eye(rows.rows)[i], exact=True) for i in range(rows.rows)])
    face.close()
    return out


def test_the_feeders_bounds_take_well_below_a_second(feeder: Any) -> None:
    rows, points, capacity = feeder
    best = np.inf
    for _ in range(3):
        began = time.process_time()
        kept, dropped = drop_never_binding(rows, 0 * capacity, capacity, points)
        slack_bounds(kept, 0 * capacity, capacity, points)
        multiplier_bounds(kept, 0 * capacity, capacity, points)
        best = min(best, time.process_time() - began)
    assert best < 1.0
    assert kept.rows + len(dropped) == rows.rows
    assert len(dropped) > 50


def test_every_bound_of_the_feeder_holds_at_random_loads(feeder: Any) -> None:
    rows, points, capacity = feeder
    low, high = 0 * capacity, capacity
    kept, dropped = drop_never_binding(rows, low, high, points)
    slacks, dual = slack_bounds(kept, low, high, points), DualPolyhedron(kept, low, high, points)
    assert all(b is not None and b.proven and b.source for b in [*slacks, *dual.bounds])
    gone = {d.name for d in dropped}
    price = given_price(kept)
    ranges = [
        dual.range(price.on_multiplier[m].toarray().ravel(), price.constant[m]) for m in range(len(capacity))
    ]
    random = np.random.default_rng(1)
    for _ in range(6):
        p = random.uniform(low, high)
        largest = _largest_multipliers(rows, p)
        for i, name in enumerate(rows.names):
            assert name not in gone or largest[i] < 1e-6, (
                f"{name} was dropped but its multiplier can be positive"
            )
        solved = HighsSession(follower_model(rows.optimiser, p)).solve()
        assert solved.x is not None
        for b, s, m in zip(dual.bounds, slacks, range(kept.rows), strict=True):
            assert b is not None
            assert s is not None
            assert largest[rows.names.index(kept.names[m])] <= b.value * (1 + 1e-7) + 1e-7
            assert kept.slack(solved.x, p)[m] <= s.value + 1e-6
        step = 1e-3
        for m in range(len(capacity)):
            ahead = optimal_value(rows.optimiser, p + step * np.eye(len(capacity))[m])
            assert ahead is not None
            assert solved.objective is not None
            slope = (ahead - solved.objective) / step
            assert ranges[m][0] - 1e-5 <= slope <= ranges[m][1] + 1e-5
    dual.close()


def test_dropping_rows_changes_no_optimum(feeder: Any) -> None:
    rows, points, capacity = feeder
    kept, dropped = drop_never_binding(rows, 0 * capacity, capacity, points)
    assert {d.source for d in dropped} <= {"intervals", "LP"}
    assert all(d.slack > 0 for d in dropped)
    random = np.random.default_rng(2)
    o = rows.optimiser
    for p in (random.uniform(0, 1, len(capacity)) * capacity for _ in range(5)):
        place = Polytope(
            kept.matrix,
            kept.right - kept.given_matrix @ p,
            np.where(kept.equality, kept.right - kept.given_matrix @ p, np.inf),
            np.full(len(o.columns), -np.inf),
            np.full(len(o.columns), np.inf),
        )
        fewer = place.minimum(o.cost, exact=True) + o.value(np.zeros(len(o.columns)), p)
        assert fewer == pytest.approx(optimal_value(o, p), rel=1e-9)
        place.close()


def _small(
    cost: list[float], rows: list[list[float]], given: list[list[float]], right: list[float]
) -> Inequalities:
    n = len(cost)
    o = Optimiser(
        "f", tuple("xyz"[:n]), ("p",), tuple(f"r{i}" for i in range(len(rows))), np.array(cost), np.zeros(1), 0.0,
        None, None, None, sp.csr_matrix(rows), sp.csr_matrix(given), np.array(right), np.full(len(rows), np.inf),
        np.zeros(n), np.full(n, np.inf),
    )  # fmt: skip
    return as_inequalities(o)


def test_a_slater_point_bounds_a_multiplier_and_says_so() -> None:
    """min 2x + 3y, x + y >= p, 0 <= x, y <= ... with p in [0, 4]: the price is at most 2 by stationarity."""
    rows = _small([2.0, 3.0], [[1.0, 1.0]], [[-1.0]], [0.0])
    bounds = multiplier_bounds(rows, np.zeros(1), np.array([4.0]))
    assert bounds[0] is not None
    assert bounds[0].value == pytest.approx(2.0, abs=1e-6)
    assert "single rows" in bounds[0].source
    unbounded = _small(
        [1.0, -1.0], [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], [[-1.0], [1.0], [0.0]], [0.0, 0.0, -5.0]
    )
    without = multiplier_bounds(unbounded, np.zeros(1), np.ones(1))
    assert without[0] is None, "x >= p and x <= p: the multipliers grow together"
    roomy = _small(
        [1.0, -1.0], [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], [[-1.0], [1.0], [0.0]], [0.0, -2.0, -5.0]
    )
    point = AffinePoint("middle", np.array([1.0, 2.0]), np.array([[1.0], [0.0]]))
    with_point = multiplier_bounds(roomy, np.zeros(1), np.ones(1), [point])
    assert with_point[0] is not None
    assert with_point[0].value == pytest.approx(1.0, abs=1e-6)


def test_a_point_that_is_not_feasible_everywhere_is_not_used() -> None:
    rows = _small([2.0, 3.0], [[1.0, 1.0]], [[-1.0]], [0.0])
    good = AffinePoint("follows p", np.zeros(2), np.array([[1.0], [0.0]]))
    bad = AffinePoint("constant 2", np.array([2.0, 0.0]), np.zeros((2, 1)))
    assert [p.name for p in feasible_points(rows, np.zeros(1), np.array([4.0]), [good, bad])] == ["follows p"]
    assert len(feasible_points(rows, np.zeros(1), np.array([2.0]), [good, bad])) == 2


def test_a_bound_from_duals_is_below_the_exact_number_whatever_rounding_does() -> None:
    """The same sum in rational numbers, on columns that cancel to nothing and sides of 1e8: never below the float."""
    rng = np.random.default_rng(5)
    tight = 0
    for _ in range(200):
        rows, columns = 6, 5
        matrix = sp.csr_matrix(rng.integers(-9, 10, (rows, columns)) / 7.0)
        duals = rng.standard_normal(rows) * 10.0 ** rng.integers(-3, 4, rows)
        # A cost that the duals reproduce but for rounding: d is noise, and its sides are far away.
        cost = matrix.T @ duals
        low, high = -(10.0 ** rng.integers(0, 9, columns)), 10.0 ** rng.integers(0, 9, columns)
        sides = rng.standard_normal(rows), rng.standard_normal(rows) + 3.0
        given = lower_bound(matrix, np.minimum(*sides), np.maximum(*sides), low, high, cost, duals)
        dense = [[Fraction(v) for v in row] for row in matrix.toarray()]
        exact = Fraction(0)
        for i, y in enumerate(duals):
            exact += Fraction(y) * Fraction(float(np.minimum(*sides)[i] if y > 0 else np.maximum(*sides)[i]))
        for j in range(columns):
            d = Fraction(cost[j]) - sum(Fraction(y) * dense[i][j] for i, y in enumerate(duals))
            exact += d * Fraction(float(low[j] if d > 0 else high[j]))
        assert Fraction(given) <= exact
        tight += float(exact) - given <= 1e-6 * (1.0 + abs(float(exact)))
    assert tight > 150


def test_every_bound_of_the_feeder_is_free_of_rounding_errors(
    feeder: tuple[Inequalities, list[AffinePoint], np.ndarray],
) -> None:
    rows, points, capacity = feeder
    kept, _ = drop_never_binding(rows, 0 * capacity, capacity, points)
    slacks = slack_bounds(kept, 0 * capacity, capacity, points)
    multipliers = multiplier_bounds(kept, 0 * capacity, capacity, points)
    assert all(b is not None and b.exact for b in (*slacks, *multipliers))


def follower_with(point: list[float]) -> tuple[Inequalities, AffinePoint]:
    """min 1e6 x + y, x >= p, 0 <= y <= 5, p in [0, 1]: the multiplier of y >= 0 is 1; a point that follows p."""
    return _small([1e6, 1.0], [[1.0, 0.0], [0.0, -1.0]], [[-1.0], [0.0]], [0.0, -5.0]), AffinePoint(
        "follows p", np.array(point), np.array([[1.0], [0.0]])
    )


def test_a_multiplier_bound_that_rests_on_a_point_feasible_only_to_a_tolerance_is_not_exact() -> None:
    """x = p - 1e-14 breaks x >= p by less than any solver sees, and f is 1e-8 too low for it: at y = 1e-8 the point
    costs what the optimum does, and 1e-8 mu <= f - V = 0 would say mu = 0, where mu = 1."""
    low, high = np.zeros(1), np.ones(1)
    for below in (1e-14, 1e-10):
        rows, point = follower_with([-below, 1e-8])
        assert feasible_points(rows, low, high, [point])
        assert exactly_feasible(rows, low, high, [point]) is False
        bounds = multiplier_bounds(rows, low, high, [point])
        assert not any(b is not None and b.exact for b in (*bounds, *slack_bounds(rows, low, high, [point])))
        of_y = bounds[rows.names.index("y.lower")]
        assert of_y is None or of_y.value >= 1.0
    rows, point = follower_with([0.0, 1e-8])
    sound = multiplier_bounds(rows, low, high, [point])[rows.names.index("y.lower")]
    assert sound is not None
    assert sound.exact
    assert sound.value >= 1.0


def test_rounding_of_a_point_is_mended_by_a_share_of_another_one_only() -> None:
    """1e-17 below x >= p is mended by a millionth of a millionth of a point with slack there; 1e-10 is not."""
    low, high = np.zeros(1), np.ones(1)
    for below, mended in ((1e-17, True), (1e-10, False)):
        rows, point = follower_with([-below, 1e-5])
        other = AffinePoint("above p", np.array([1.0, 1.0]), np.array([[1.0], [0.0]]))
        assert exactly_feasible(rows, low, high, [point, other]) is mended
        assert exactly_feasible(rows, low, high, [point]) is False


def test_duals_that_are_too_good_by_a_billionth_move_no_bound_below_the_truth(
    feeder: tuple[Inequalities, list[AffinePoint], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A solver whose row duals are off by 1e-9 of themselves, without the margin that hides it: still above."""
    rows, points, capacity = feeder
    kept, _ = drop_never_binding(rows, 0 * capacity, capacity, points)
    true = slack_bounds(kept, 0 * capacity, capacity, points)
    monkeypatch.setattr(tolerances, "BOUND_MARGIN", 0.0)
    honest = HighsSession.solve

    def lying(self: HighsSession, **options: Any) -> Any:
        solved = honest(self, **options)
        if solved.row_duals is None:
            return solved
        return replace(solved, row_duals=solved.row_duals * (1.0 - 1e-9), objective=None)

    exact = slack_bounds(kept, 0 * capacity, capacity, points)
    monkeypatch.setattr(HighsSession, "solve", lying)
    found = slack_bounds(kept, 0 * capacity, capacity, points)
    moved = 0
    for a, b, c in zip(true, found, exact, strict=True):
        assert a is not None
        assert b is not None
        assert c is not None
        assert b.value >= c.value * (1.0 - 1e-12)
        moved += b.value > c.value
        assert b.exact
    assert moved
