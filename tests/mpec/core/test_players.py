"""Compiling follower blocks: what they own, what they are given, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from mpec.players import InfeasibleFollower, Refused, compile_optimiser, component_names


def _block() -> Any:
    model = pyo.ConcreteModel()
    model.p = pyo.Var(bounds=(0, 2))
    model.f = pyo.Block()
    model.f.x = pyo.Var(["a", "b", 3], bounds=(0, None))
    model.f.z = pyo.Var(bounds=(-1, 4))
    x, z = model.f.x, model.f.z
    model.f.cost = pyo.Objective(expr=2 * x["a"] + model.p * x["b"] + x[3] ** 2 - z + 5 * model.p + 7)
    model.f.link = pyo.Constraint(expr=z == x["a"] - 3 * model.p + 1)
    model.f.range = pyo.Constraint(expr=(1, x["a"] + x["b"], 4))
    return model


def test_a_block_becomes_matrices_in_one_go() -> None:
    model = _block()
    o = compile_optimiser(model.f)
    assert o.columns == ("f.x[a]", "f.x[b]", "f.x[3]", "f.z")
    assert o.givens == ("p",)
    assert o.rows == ("f.link", "f.range")
    assert o.cost.tolist() == [2.0, 0.0, 0.0, -1.0]
    assert (o.given_cost.tolist(), o.constant) == ([5.0], 7.0)
    assert o.quadratic is not None
    assert o.quadratic.toarray()[2, 2] == 2.0, "x'Qx/2 = x^2"
    assert o.cross is not None
    assert o.cross.toarray()[1, 0] == 1.0
    assert o.matrix.toarray().tolist() == [[-1, 0, 0, 1], [1, 1, 0, 0]]
    assert o.given_matrix.toarray().tolist() == [[3], [0]]
    assert (o.row_lower.tolist(), o.row_upper.tolist()) == ([1.0, 1.0], [1.0, 4.0])


def test_the_value_is_the_objective_of_the_block() -> None:
    model = _block()
    o = compile_optimiser(model.f)
    x, p = np.array([1.0, 2.0, 3.0, 0.5]), np.array([1.5])
    model.p.value = 1.5
    for v, value in zip([*model.f.x.values(), model.f.z], x, strict=True):
        v.value = value
    assert o.own_value(x, p) == pytest.approx(pyo.value(model.f.cost), abs=1e-12)


def test_a_maximiser_is_negated_and_remembers_it() -> None:
    model = _block()
    model.f.del_component("cost")
    model.f.cost = pyo.Objective(expr=model.f.x["a"] - model.f.x[3] ** 2, sense=pyo.maximize)
    o = compile_optimiser(model.f)
    assert o.sense == -1
    assert o.cost[0] == -1.0
    assert o.own_value(np.array([2.0, 0, 1.0, 0]), np.zeros(1)) == 1.0


def test_given_variables_are_free_even_if_fixed_and_keep_their_order() -> None:
    model = _block()
    model.p.fix(1.0)
    o = compile_optimiser(model.f, [model.p])
    assert o.givens == ("p",)
    assert model.p.fixed, "the model is left as it was"
    folded = compile_optimiser(model.f)
    assert folded.givens == (), "a fixed variable that nobody is said to give is a constant"
    assert folded.row_lower[0] == -2.0


def test_names_are_those_of_pyomo() -> None:
    model = pyo.ConcreteModel()
    model.b = pyo.Block(["n 1", 2])
    for block in model.b.values():
        block.v = pyo.Var([("x", 1), ("y'z", 2)])
        block.s = pyo.Var()
    items = list(model.component_data_objects(pyo.Var))
    assert component_names(items) == [v.name for v in items]


def _integer(model: Any) -> None:
    model.f.x["a"].domain = pyo.Integers


def _nonconvex(model: Any) -> None:
    model.f.extra = pyo.Objective(expr=-(model.f.x[3] ** 2))
    model.f.cost.deactivate()


def _coupled_nonconvex(model: Any) -> None:
    model.f.extra = pyo.Objective(
        expr=model.f.x["a"] ** 2 + 3 * model.f.x["a"] * model.f.x["b"] + model.f.x["b"] ** 2
    )
    model.f.cost.deactivate()


def _product_row(model: Any) -> None:
    model.f.extra = pyo.Constraint(expr=model.p * model.f.z <= 1)


def _two_objectives(model: Any) -> None:
    model.f.extra = pyo.Objective(expr=model.f.z)


def _no_objective(model: Any) -> None:
    model.f.cost.deactivate()


def _cubic(model: Any) -> None:
    model.f.extra = pyo.Objective(expr=model.f.z**3)
    model.f.cost.deactivate()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_integer, "integer variables (f.x[a])"),
        (_nonconvex, "not convex in f.x[3]"),
        (_coupled_nonconvex, "not convex in f.x[a], f.x[b]"),
        (_product_row, "f.extra"),
        (_two_objectives, "has 2"),
        (_no_objective, "has 0"),
        (_cubic, "neither linear nor quadratic"),
    ],
)
def test_what_has_no_kkt_form_is_refused_by_name(change: Any, words: str) -> None:
    model = _block()
    change(model)
    with pytest.raises(Refused) as caught:
        compile_optimiser(model.f)
    assert words in str(caught.value)
    assert "\n  " in str(caught.value), "a second line says what to do"


def test_an_unknown_variable_is_refused() -> None:
    model = _block()
    model.q = pyo.Var()
    model.f.extra = pyo.Constraint(expr=model.f.z <= model.q)
    with pytest.raises(Refused, match="uses q"):
        compile_optimiser(model.f, [model.p])


def test_a_row_without_variables_that_is_false_is_named() -> None:
    model = _block()
    model.p.fix(3.0)
    model.f.extra = pyo.Constraint(expr=model.p <= 2)
    with pytest.raises(InfeasibleFollower, match=r"f\.extra"):
        compile_optimiser(model.f)


def test_a_reference_to_the_leaders_variable_is_not_the_followers() -> None:
    model = _block()
    model.f.seen = pyo.Reference(model.p)
    o = compile_optimiser(model.f)
    assert o.givens == ("p",)
    assert "p" not in o.columns
