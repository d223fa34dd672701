"""KKT rows as text, and against Pyomo's own core.kkt at random points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from mpec.kkt import add_kkt
from mpec.linear_model import LinearModel
from mpec.optimiser import as_inequalities
from mpec.players import compile_optimiser


def _model() -> Any:
    model = pyo.ConcreteModel()
    model.p = pyo.Var(bounds=(0, 2))
    model.f = pyo.Block()
    model.f.x = pyo.Var([1, 2], bounds=(0, None))
    model.f.x[2].setub(5)
    x = model.f.x
    model.f.cost = pyo.Objective(expr=3 * x[1] + model.p * x[2] + x[2] ** 2)
    model.f.demand = pyo.Constraint(expr=x[1] + x[2] == 4 + model.p)
    model.f.limit = pyo.Constraint(expr=x[1] - x[2] <= 1)
    return model


def test_the_rows_of_a_small_follower(shown: Callable[[LinearModel], str]) -> None:
    source, model = _model(), LinearModel()
    p = model.add_variables(["p"], 0.0, 2.0)
    kkt = add_kkt(model, as_inequalities(compile_optimiser(source.f)), p)
    assert shown(model) == "\n".join(
        [
            "f.demand: -p + f.x[1] + f.x[2] = 4",
            "f.limit.upper: -f.x[1] + f.x[2] >= -1",
            "stationarity[f.x[1]]: multiplier[f.demand] - multiplier[f.limit.upper] + multiplier[f.x[1].lower] = 3",
            "stationarity[f.x[2]]: -p - 2 f.x[2] + multiplier[f.demand] + multiplier[f.limit.upper]"
            " + multiplier[f.x[2].lower] - multiplier[f.x[2].upper] = 0",
        ]
    )
    assert (model.lower[2], model.upper[2]) == (0.0, 5.0), "variable bounds are column bounds"
    assert [pair.name for pair in kkt.pairs] == [
        "f.limit.upper",
        "f.x[1].lower",
        "f.x[2].lower",
        "f.x[2].upper",
    ]
    assert model.lower[kkt.multiplier[0]] == -np.inf, "an equality's multiplier is free"
    assert kkt.pairs[3].slack.at(np.array([0.0, 0.0, 2.0])) == 3.0, "5 - x2"


def test_a_row_on_given_quantities_alone_has_no_multiplier(shown: Callable[[LinearModel], str]) -> None:
    source = _model()
    source.f.cap = pyo.Constraint(expr=2 * source.p <= 3)
    model = LinearModel()
    kkt = add_kkt(model, as_inequalities(compile_optimiser(source.f)), model.add_variables(["p"]))
    assert "f.cap.upper: -2 p >= -3" in shown(model)
    assert not any("cap" in name for name in model.column_names)
    assert not any("cap" in pair.name for pair in kkt.pairs)


def _random_source(seed: int) -> Any:
    """A convex quadratic follower with all kinds of rows and bounds, maximising for odd seeds."""
    random = np.random.default_rng(seed)
    n, m = 5, 6
    source = pyo.ConcreteModel()
    source.p = pyo.Var([0, 1])
    source.f = pyo.Block()
    source.f.x = pyo.Var(
        range(n), bounds=lambda _, j: [(0, 3), (None, 2), (-1, None), (None, None), (0, 1)][j]
    )
    x, p = list(source.f.x.values()), list(source.p.values())
    a, f = random.normal(size=(m, n)).round(2), random.normal(size=(m, 2)).round(2)
    root = random.normal(size=(n, n)).round(2)
    q = root @ root.T
    cost = sum(c * v for c, v in zip(random.normal(size=n).round(2), x, strict=True)) + x[0] * p[1]
    cost += 0.5 * sum(q[i, j] * x[i] * x[j] for i in range(n) for j in range(n))
    sense = pyo.maximize if seed % 2 else pyo.minimize
    source.f.cost = pyo.Objective(expr=-cost if seed % 2 else cost, sense=sense)

    def rule(_: Any, i: int) -> Any:
        body = sum(v * z for v, z in zip([*a[i], *f[i]], [*x, *p], strict=True))
        return [body >= 1.0, body <= 2.0, body == 0.5, (0.0, body, 4.0)][i % 4]

    source.f.rows = pyo.Constraint(range(m), rule=rule)
    return source


@pytest.mark.parametrize("seed", range(6))
def test_residuals_equal_those_of_pyomos_core_kkt(seed: int) -> None:
    source = _random_source(seed)
    model = LinearModel()
    given = model.add_variables(["p0", "p1"])
    kkt = add_kkt(model, as_inequalities(compile_optimiser(source.f, list(source.p.values()))), given)
    point = np.random.default_rng(100 + seed).normal(size=model.columns)
    oracle = pyo.TransformationFactory("core.kkt")
    oracle.apply_to(source.f, parameterize_wrt=list(source.p.values()))
    for v, j in zip([*source.f.x.values(), *source.p.values()], [*kkt.primal, *kkt.given], strict=True):
        v.value = point[j]
    theirs_of = {}
    for item in [*source.f.rows.values(), *source.f.x.values()]:
        multiplier = oracle.get_multiplier_from_object(source.f, item)
        if isinstance(multiplier, tuple):
            theirs_of[item.name + ".lower"], theirs_of[item.name + ".upper"] = multiplier
        else:
            theirs_of[item.name] = multiplier
    for i, name in enumerate(kkt.rows.names):
        theirs_of[name].value = point[kkt.multiplier[i]]
    mine = [
        act - low
        for name, act, low in zip(model.row_names, model.activity(point), model.row_lower, strict=True)
        if name.startswith("stationarity")
    ]
    theirs = [-pyo.value(c.body) for c in source.f.kkt.stationarity_conditions.values()]
    assert np.allclose(sorted(mine), sorted(theirs), atol=1e-9)
    assert sum(v is not None for v in theirs_of.values()) == kkt.rows.rows, "the same multipliers"
    slacks = [pair.slack.at(point) for pair in kkt.pairs]
    expressions = [
        pyo.value(c._args[1].args[1] - c._args[1].args[0]) for c in source.f.kkt.complements.values()
    ]
    assert np.allclose(sorted(slacks), sorted(expressions), atol=1e-9)
