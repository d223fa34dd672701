"""The one inequality form and its signs, against finite differences of the optimal value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from mpec.bilevel_checks import follower_model, optimal_value
from mpec.elimination import eliminate_equalities
from mpec.optimiser import Optimiser, as_inequalities, given_price
from mpec.refusals import InfeasibleFollower
from mpec.solvers import HighsSession


def _random(seed: int, *, quadratic: bool = False) -> Optimiser:
    """A feasible, bounded follower with equality, range and one-sided rows, given quantities and boxes."""
    random = np.random.default_rng(seed)
    n, k, m = 6, 2, 5
    a, f = random.normal(size=(m, n)).round(2), random.normal(size=(m, k)).round(2)
    middle = a @ np.full(n, 1.0)
    low = middle - np.array([0.0, 1.0, np.inf, 2.0, 0.0])
    high = middle + np.array([0.0, 1.0, 1.0, np.inf, 0.0])
    q = None
    if quadratic:
        root = random.normal(size=(n, n)).round(2)
        q = sp.csr_matrix(root @ root.T)
    upper = np.array([3.0, np.inf, 3.0, 3.0, np.inf, 3.0])
    cost = np.abs(random.normal(size=n)).round(2) + 0.1
    return Optimiser(
        "follower",
        tuple(f"x{j}" for j in range(n)),
        ("p0", "p1"),
        tuple(f"row{i}" for i in range(m)),
        cost,
        random.normal(size=k).round(2),
        1.5,
        q,
        sp.csr_matrix(random.normal(size=(n, k)).round(2) * 0.1),
        None,
        sp.csr_matrix(a),
        sp.csr_matrix(f * 0.1),
        low,
        high,
        np.array([0.0, -1.0, 0.0, 0.0, -1.0, 0.0]),
        upper,
    )


def test_rows_and_bounds_become_one_list_named_after_their_origin() -> None:
    o = Optimiser(
        "f", ("x", "y"), ("p",), ("eq", "range"), np.array([1.0, 2.0]), np.zeros(1), 0.0, None, None, None,
        sp.csr_matrix([[1.0, 1.0], [0.0, 1.0]]), sp.csr_matrix([[1.0], [0.0]]),
        np.array([4.0, 1.0]), np.array([4.0, 3.0]), np.array([0.0, -np.inf]), np.array([np.inf, 9.0]),
    )  # fmt: skip
    rows = as_inequalities(o)
    assert rows.names == ("eq", "range.lower", "range.upper", "x.lower", "y.upper")
    assert rows.matrix.toarray().tolist() == [[1, 1], [0, 1], [0, -1], [1, 0], [0, -1]]
    assert rows.given_matrix.toarray().ravel().tolist() == [1, 0, 0, 0, 0]
    assert rows.right.tolist() == [4.0, 1.0, -3.0, 0.0, -9.0]
    assert rows.equality.tolist() == [True, False, False, False, False]
    assert rows.select(np.array([1, 4])).names == ("range.lower", "y.upper")


@pytest.mark.parametrize("seed", range(6))
def test_the_price_of_a_given_quantity_is_the_derivative_of_the_value(seed: int) -> None:
    o, p = _random(seed), np.array([0.3, -0.2])
    rows = as_inequalities(o)
    solved = HighsSession(follower_model(o, p)).solve()
    assert solved.row_duals is not None
    assert solved.x is not None
    assert solved.reduced_costs is not None
    y, d = solved.row_duals, solved.reduced_costs
    mu = np.where(
        rows.origin_is_row,
        y[np.where(rows.origin_is_row, rows.index, 0)],
        d[np.where(rows.origin_is_row, 0, rows.index)],
    )
    sign = np.array([-1.0 if s == "upper" else 1.0 for s in rows.side])
    mu = np.where(rows.equality, mu, np.maximum(sign * mu, 0.0))
    price = given_price(rows)
    stated = price.constant + price.on_x @ solved.x + price.on_given @ p + price.on_multiplier @ mu
    step = 1e-5
    for k in range(2):
        values = [optimal_value(o, p + s * step * np.eye(2)[k]) for s in (-1, 1)]
        assert values[0] is not None
        assert values[1] is not None
        assert stated[k] == pytest.approx((values[1] - values[0]) / (2 * step), abs=1e-6)
    stationarity = o.gradient(solved.x, p) - rows.matrix.T @ mu
    assert np.abs(stationarity).max() < 1e-8, "c + Gp = A'mu with these signs"


@pytest.mark.parametrize("quadratic", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_elimination_keeps_the_value_and_recovers_primal_and_dual(seed: int, quadratic: bool) -> None:
    o = _random(seed, quadratic=quadratic)
    if seed % 2:
        o = replace(
            o,
            lower=np.where(np.arange(6) == 2, 1.0, o.lower),
            upper=np.where(np.arange(6) == 2, 1.0, o.upper),
        )
    p = np.array([0.25, 0.1])
    reduced, recovery = eliminate_equalities(o)
    assert len(reduced.columns) == len(o.columns) - 2 - (seed % 2)
    assert not np.any(reduced.row_lower == reduced.row_upper)
    solved = HighsSession(follower_model(reduced, p)).solve()
    assert solved.objective == pytest.approx(optimal_value(o, p), rel=1e-8)
    assert solved.x is not None
    assert solved.row_duals is not None
    assert solved.reduced_costs is not None
    x = recovery.primal(solved.x, p)
    act = o.matrix @ x + o.given_matrix @ p
    assert np.all(act >= o.row_lower - 1e-7)
    assert np.all(act <= o.row_upper + 1e-7)
    y, d = recovery.dual(solved.x, p, solved.row_duals, solved.reduced_costs)
    assert np.abs(o.gradient(x, p) - o.matrix.T @ y - d).max() < 1e-6
    slack = np.minimum(np.abs(act - o.row_lower), np.abs(act - o.row_upper))
    assert np.all(np.abs(y) * np.where(np.isfinite(slack), slack, 0.0) < 1e-5), (
        "complementary in the original"
    )


def test_elimination_drops_redundant_rows_and_names_contradictory_ones() -> None:
    o = Optimiser(
        "f", ("x", "y"), ("p",), ("a", "twice"), np.ones(2), np.zeros(1), 0.0, None, None, None,
        sp.csr_matrix([[1.0, 1.0], [2.0, 2.0]]), sp.csr_matrix([[1.0], [2.0]]),
        np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.zeros(2), np.full(2, np.inf),
    )  # fmt: skip
    reduced, _ = eliminate_equalities(o)
    assert (len(reduced.columns), len(reduced.rows)) == (1, 1), "one bound of the eliminated column is left"
    with pytest.raises(InfeasibleFollower, match=r"row (a|twice)"):
        eliminate_equalities(replace(o, row_lower=np.array([1.0, 3.0]), row_upper=np.array([1.0, 3.0])))


def test_a_condition_on_the_given_quantities_alone_stays_a_row() -> None:
    o = Optimiser(
        "f", ("x",), ("p",), ("a", "b"), np.ones(1), np.zeros(1), 0.0, None, None, None,
        sp.csr_matrix([[1.0], [1.0]]), sp.csr_matrix([[1.0], [2.0]]),
        np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.zeros(1), np.full(1, np.inf),
    )  # fmt: skip
    reduced, _ = eliminate_equalities(o)
    rows = as_inequalities(reduced)
    assert rows.given_only.all()
    assert rows.equality.any()
