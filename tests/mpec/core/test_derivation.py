"""Bounds derived from the whole single-level model: values, sources, and what has none."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
import pytest

from mpec.complementarity import Pair, UnboundedPair
from mpec.reformulation import single_level


def _bounds(single: Any) -> dict[str, tuple[float, float]]:
    def value(pair: Pair) -> tuple[float, float]:
        assert pair.slack_bound is not None
        assert pair.multiplier_bound is not None
        return pair.slack_bound.value, pair.multiplier_bound.value

    return {pair.name: value(pair) for pair in single.pairs}


def test_the_wrong_m_trap_gets_its_right_m(pineda: Any) -> None:
    """mu_row <= 100 by stationarity 0.01 mu + nu = 1; y <= 100 only by strong duality."""
    bounds = _bounds(single_level(pineda, followers=[pineda.f]))
    assert bounds["f.row.upper"] == pytest.approx((1.0, 100.0), abs=1e-4)
    assert bounds["f.y.lower"] == pytest.approx((100.0, 1.0), abs=1e-4)


def test_every_bound_carries_its_source(pineda: Any) -> None:
    single = single_level(pineda, followers=[pineda.f])
    sources = {b.source for p in single.pairs for b in (p.slack_bound, p.multiplier_bound) if b is not None}
    assert any("strong duality" in s for s in sources)
    assert any("interval" in s for s in sources)
    assert all(m.proven and m.source for m in single.written.report)


def _pinched() -> Any:
    """At x = 0 the follower's set shrinks to y = 0: multipliers of y <= x and y >= 0 grow together."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 3))
    model.price = pyo.Var()
    model.f = pyo.Block()
    model.f.y = pyo.Var(bounds=(0, None))
    model.f.cap = pyo.Constraint(expr=model.f.y <= model.x)
    model.f.cost = pyo.Objective(expr=-2 * model.f.y)
    return model


def test_basic_multipliers_are_bounded_where_the_leader_does_not_use_them() -> None:
    model = _pinched()
    model.o = pyo.Objective(expr=model.x - 0.4 * model.f.y)
    single = single_level(model, followers=[model.f])
    assert _bounds(single)["f.cap.upper"][1] == pytest.approx(2.0, abs=1e-5)
    assert single.solve().verdict == "CERTIFIED"


def test_unbounded_multipliers_that_the_leader_uses_are_a_typed_error() -> None:
    model = _pinched()
    model.o = pyo.Objective(expr=model.x + 0.1 * model.price, sense=pyo.minimize)
    with pytest.raises(UnboundedPair) as caught:
        single_level(model, followers=[model.f], prices=[(model.price, model.f.cap)])
    assert caught.value.side == "multiplier"
    assert "f." in caught.value.pair


def test_a_price_that_the_leader_bounds_is_a_bound() -> None:
    model = _pinched()
    model.price.setlb(-5)
    model.o = pyo.Objective(expr=model.x + 0.1 * model.price, sense=pyo.minimize)
    single = single_level(model, followers=[model.f], prices=[(model.price, model.f.cap)])
    solution = single.solve()
    assert solution.leader_objective == pytest.approx(-0.5)
    assert solution.variables["price"] == pytest.approx(-5.0)


def test_a_known_point_bounds_what_only_bad_points_leave_unbounded() -> None:
    """x >= 0 without upper bound: only points as good as a known one matter."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, None))
    model.f = pyo.Block()
    model.f.y = pyo.Var()
    model.f.up = pyo.Constraint(expr=model.f.y <= 3 * model.x - 3)
    model.f.down = pyo.Constraint(expr=model.f.y <= 30 - 3 * model.x)
    model.f.cost = pyo.Objective(expr=-model.f.y)
    model.o = pyo.Objective(expr=-model.x - 2 * model.f.y)
    single = single_level(model, followers=[model.f])
    assert any(
        "at least as good as a known" in (p.slack_bound.source if p.slack_bound else "") for p in single.pairs
    )
    assert single.solve().leader_objective == pytest.approx(-32.5)


def test_a_model_without_feasible_point_is_called_so() -> None:
    model = _pinched()
    model.o = pyo.Objective(expr=model.x)
    model.never = pyo.Constraint(expr=model.f.y <= model.x - 1)
    single = single_level(model, followers=[model.f])
    solution = single.solve()
    assert (solution.status, solution.verdict) == ("infeasible", "INFEASIBLE")
    assert "no optimal answer" in solution.reason
