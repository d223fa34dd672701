"""Price times quantity by strong duality: the linear expression equals the product at every optimal point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from mpec.kkt import Kkt, add_kkt
from mpec.linear_model import LinearModel
from mpec.optimiser import as_inequalities
from mpec.players import compile_optimiser
from mpec.products import bill, identities, linearise
from mpec.reformulation import single_level
from mpec.solvers import open_session


def _market() -> Any:
    """Two units and shedding serve load + p; unit 1 is limited by the leader's investment q."""
    model = pyo.ConcreteModel()
    model.p, model.q = pyo.Var(bounds=(0, 5)), pyo.Var(bounds=(0, 4))
    model.f = pyo.Block()
    model.f.g = pyo.Var([1, 2], bounds=(0, 3))
    model.f.shed = pyo.Var(bounds=(0, None))
    model.f.balance = pyo.Constraint(expr=model.f.g[1] + model.f.g[2] + model.f.shed == 2 + model.p)
    model.f.limit = pyo.Constraint(expr=model.f.g[1] <= model.q)
    model.f.cost = pyo.Objective(expr=1.0 * model.f.g[1] + 2 * model.f.g[2] + 10 * model.f.shed)
    return model


def _optimal_points() -> tuple[LinearModel, Kkt, list[np.ndarray]]:
    source = _market()
    model = LinearModel()
    given = model.add_variables(["p", "q"])
    kkt = add_kkt(model, as_inequalities(compile_optimiser(source.f, [source.p, source.q])), given)
    points = []
    random = np.random.default_rng(0)
    for p, q in random.uniform(0, 4, size=(8, 2)):
        fixed = model.copy()
        fixed.lower[0] = fixed.upper[0] = p
        fixed.lower[1] = fixed.upper[1] = q
        from mpec.modes import sos1

        sos1.write(fixed, kkt.pairs)
        solved = open_session(fixed, "scip").solve(gap=1e-9)
        assert solved.x is not None
        points.append(solved.x[: model.columns])
    return model, kkt, points


def test_products_that_the_conditions_determine_become_linear() -> None:
    model, kkt, points = _optimal_points()
    at = model.column_names.index
    price, q, g1, p = at("multiplier[f.balance]"), at("q"), at("f.g[1]"), at("p")
    limit = at("multiplier[f.limit.upper]")
    known = identities([kkt])
    for wanted in (
        {(price, p): 1.0, (limit, q): -1.0},
        {(price, g1): 1.0, (limit, g1): -1.0},
        {(price, g1): 1.0, (price, p): -1.0},
    ):
        found = linearise(known, wanted)
        assert found is not None, wanted
        for x in points:
            exact = sum(v * x[i] * x[j] for (i, j), v in wanted.items())
            assert found.at(x) == pytest.approx(exact, abs=1e-5)
    assert linearise(known, {(price, q): 1.0}) is None, "price times investment stands in no identity"
    assert linearise(known, {(p, q): 1.0}) is None


def test_the_bill_under_nodal_prices_is_linear() -> None:
    """sum_k p_k dV/dp_k: here price * p - limit multiplier * q."""
    model, kkt, points = _optimal_points()
    at = model.column_names.index
    expression = bill(kkt)
    for x in points:
        exact = x[at("multiplier[f.balance]")] * x[at("p")] - x[at("multiplier[f.limit.upper]")] * x[at("q")]
        assert expression.at(x) == pytest.approx(exact, abs=1e-5)


def test_a_leader_may_sell_at_the_followers_price_on_a_linear_solver() -> None:
    """max (price - 3) q with the leader's offer q at cost 0 in the follower's merit order: withhold to price 10."""
    model = pyo.ConcreteModel()
    model.q, model.price = pyo.Var(bounds=(0, 8)), pyo.Var()
    model.f = pyo.Block()
    model.f.own, model.f.g = pyo.Var(bounds=(0, None)), pyo.Var(bounds=(0, 3))
    model.f.shed = pyo.Var(bounds=(0, None))
    model.f.balance = pyo.Constraint(expr=model.f.own + model.f.g + model.f.shed == 7)
    model.f.limit = pyo.Constraint(expr=model.f.own <= model.q)
    model.f.cost = pyo.Objective(expr=2 * model.f.g + 10 * model.f.shed)
    model.o = pyo.Objective(expr=(model.price - 1) * model.f.own, sense=pyo.maximize)
    values = []
    for mode, solver in (("big_m", "highs"), ("sos1", "scip"), ("strong_duality", "gurobi")):
        single = single_level(
            model, followers=[model.f], mode=mode, solver=solver, prices=[(model.price, model.f.balance)]
        )
        assert not single.model.cost_products.values, "no product is left"
        solution = single.solve()
        values.append(solution.leader_objective)
        assert solution.variables["price"] == pytest.approx(10.0)
    assert values == pytest.approx([36.0] * 3), "4 units at price 10, one cost each"
