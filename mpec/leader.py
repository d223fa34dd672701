"""From a Pyomo model with follower blocks to a :class:`mpec.bilevel.Bilevel`.

The leader's are all active constraints and the objective outside the follower blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.mpec import Complementarity
from pyomo.repn import generate_standard_repn

from mpec.bilevel import Bilevel, Conditions, FollowerEntry, PriceLink, Side
from mpec.linear_model import LinearModel, Products, QuadraticRow
from mpec.optimiser import Optimiser
from mpec.players import compile_with_variables, declared_variables
from mpec.refusals import Refused

_HARMLESS = {
    "Block",
    "BooleanVar",
    "BuildAction",
    "BuildCheck",
    "Constraint",
    "ConstraintList",
    "Expression",
    "ExternalFunction",
    "Objective",
    "Param",
    "RangeSet",
    "Set",
    "SetOf",
    "Suffix",
    "Var",
    "VarList",
}
"""Kinds of components that are read, or that say nothing about the feasible set."""


def compile_bilevel(
    model: Any,
    *,
    leader: Any = None,
    followers: Any,
    prices: Sequence[tuple[Any, Any]] = (),
) -> Bilevel:
    """Compile a Pyomo model whose follower blocks state the followers' problems.

    Args:
        model: a ConcreteModel with one active objective outside the followers.
        leader: the leader's variables (a Var, a block, or a list of these); None: every variable
            that no follower owns.
        followers: a block, an indexed block or a list of these, each with one objective (an optimiser) or
            with Complementarity components (an equilibrium). A follower owns the variables declared in
            its block.
        prices: pairs (variable of the leader, constraint of a follower): the variable is the
            derivative of the follower's optimal value, as a minimiser, by that right-hand side.

    Raises Refused for anything without an exact single-level form; the message names it.
    """
    blocks = _blocks(followers)
    if not blocks:
        raise Refused("no followers were given: there is nothing to reformulate; solve the model as it is")
    columns = _Columns(LinearModel(name=model.name))
    owned = [_owned(block) for block in blocks]
    declared = _leader_variables(leader)
    own_ids = {id(v) for variables in owned for v in variables}
    _refuse_components(model, blocks)
    leader_rows, objective = _leader_parts(model, blocks)
    compiled = [
        None if _has_complementarity(block) else compile_with_variables(block, None, decides=variables)
        for block, variables in zip(blocks, owned, strict=True)
    ]
    result = Bilevel(str(model.name), columns.model, handles=columns.objects)
    _add_leader(columns, objective, leader_rows, own_ids, declared, result)
    for block, parts in zip(blocks, compiled, strict=True):
        if parts is None:
            _add_conditions(result, columns, block)
        else:
            _add_optimiser(result, columns, *parts, declared, own_ids)
    _add_prices(result, columns, blocks, prices)
    return result


def _blocks(followers: Any) -> list[Any]:
    """Follower blocks one by one; indexed blocks are taken apart."""
    items = followers if isinstance(followers, list | tuple) else [followers]
    out: list[Any] = []
    for item in items:
        if not hasattr(item, "is_indexed"):
            raise Refused(f"{item!r} is no Pyomo block; give the blocks themselves as followers")
        out += list(item.values()) if item.is_indexed() else [item]
    return out


class _Columns:
    """Pyomo variables as columns of the model, added when first seen."""

    def __init__(self, model: LinearModel) -> None:
        self.model = model
        self.of: dict[int, int] = {}
        self.objects: dict[int, Any] = {}

    def __call__(self, variable: Any, name: str | None = None) -> int:
        key = id(variable)
        if key not in self.of:
            low, high = variable.bounds
            self.of[key] = self.model.add_variable(
                name or variable.name,
                -math.inf if low is None else low,
                math.inf if high is None else high,
                integer=not variable.is_continuous(),
            )
            self.objects[self.of[key]] = variable
        return self.of[key]


def _owned(block: Any) -> list[Any]:
    return [v for v in declared_variables(block) if not v.fixed]


def _leader_variables(leader: Any) -> set[int] | None:
    """Ids of the leader's declared variables; None where everything outside the followers is the leader's."""
    if leader is None:
        return None
    items = leader if isinstance(leader, list | tuple) else [leader]
    out: set[int] = set()
    for item in items:
        if hasattr(item, "component_data_objects"):
            out |= {id(v) for v in item.component_data_objects(pyo.Var, descend_into=True)}
        elif hasattr(item, "is_indexed") and item.is_indexed():
            out |= {id(v) for v in item.values()}
        else:
            out.add(id(item))
    return out


def _has_complementarity(block: Any) -> bool:
    return any(True for _ in block.component_objects(Complementarity, active=True, descend_into=True))


def _refuse_components(model: Any, followers: Sequence[Any]) -> None:
    """Untransformed components would be ignored silently: name them instead."""
    inside = {id(b) for block in followers for b in block.block_data_objects(active=True, descend_into=True)}
    for block in model.block_data_objects(active=True, descend_into=True):
        for kind in block.collect_ctypes(active=True, descend_into=False):
            allowed = kind.__name__ in _HARMLESS or (kind is Complementarity and id(block) in inside)
            if not allowed:
                found = next(iter(block.component_objects(kind, active=True, descend_into=False)))
                raise Refused(
                    f"{found.name} is a {kind.__name__}, which can't be read here and would be ignored.\n"
                    "  Transform it to constraints first (or put a Complementarity into a follower's block)."
                )


def _leader_parts(model: Any, followers: Sequence[Any]) -> tuple[list[Any], Any]:
    """(active constraints, the objective) outside the follower blocks."""
    was_active = [block for block in followers if block.active]
    for block in was_active:
        block.deactivate()
    try:
        rows = list(model.component_data_objects(pyo.Constraint, active=True, descend_into=True))
        objectives = list(model.component_data_objects(pyo.Objective, active=True, descend_into=True))
    finally:
        for block in was_active:
            block.activate()
    if len(objectives) != 1:
        raise Refused(
            f"the leader has {len(objectives)} active objectives outside the follower blocks; it"
            " needs exactly one"
        )
    return rows, objectives[0]


def _add_leader(
    columns: _Columns,
    objective: Any,
    rows: Iterable[Any],
    own: set[int],
    declared: set[int] | None,
    out: Bilevel,
) -> None:
    model = columns.model

    def check(variable: Any, where: str) -> int:
        if declared is not None and id(variable) not in declared and id(variable) not in own:
            raise Refused(
                f"{where} uses {variable.name}, which neither the leader nor a follower decides.\n"
                "  Name it among the leader's variables, or fix it."
            )
        return columns(variable)

    linear, products, constant = _expression(objective.expr, objective.name, check)
    model.maximise = objective.sense == pyo.maximize
    model.constant = constant
    model.cost_products = products
    pending = linear
    for row in rows:
        low, body, high = row.to_bounded_expression(evaluate_bounds=True)
        terms, quadratic, shift = _expression(body, row.name, check)
        lower = -math.inf if low is None else low - shift
        upper = math.inf if high is None else high - shift
        if quadratic.values:
            model.quadratic_rows.append(
                QuadraticRow(row.name, tuple(terms), tuple(terms.values()), quadratic, lower, upper)
            )
        else:
            model.add_row(row.name, list(terms), list(terms.values()), lower, upper)
    for j, value in pending.items():
        model.cost[j] += value


def _expression(expr: Any, name: str, column: Any) -> tuple[dict[int, float], Products, float]:
    """(linear terms, products, constant) of a linear or quadratic expression."""
    repn = generate_standard_repn(expr, quadratic=True, compute_values=True)
    if repn.nonlinear_expr is not None:
        raise Refused(
            f"{name} is neither linear nor quadratic; only such expressions can stand in the leader's problem"
        )
    linear: dict[int, float] = {}
    for value, variable in zip(repn.linear_coefs, repn.linear_vars, strict=True):
        j = column(variable, name)
        linear[j] = linear.get(j, 0.0) + float(value)
    first, second, values = [], [], []
    for value, (u, v) in zip(repn.quadratic_coefs, repn.quadratic_vars, strict=True):
        if value != 0.0:
            first.append(column(u, name))
            second.append(column(v, name))
            values.append(float(value))
    return linear, Products(tuple(first), tuple(second), tuple(values)), float(repn.constant)


def _add_optimiser(
    out: Bilevel,
    columns: _Columns,
    optimiser: Optimiser,
    decided: list[Any],
    given: list[Any],
    declared: set[int] | None,
    own: set[int],
) -> None:
    for variable in given:
        if declared is not None and id(variable) not in declared and id(variable) not in own:
            raise Refused(
                f"{optimiser.name} uses {variable.name}, which neither the leader nor another"
                " follower decides.\n"
                "  Name it among the leader's variables, or fix it."
            )
    named = zip(decided, optimiser.columns, strict=True)
    primal = np.array([columns(v, name) for v, name in named], dtype=int)
    out.followers.append(FollowerEntry(optimiser, primal, np.array([columns(v) for v in given], dtype=int)))


def _add_prices(
    out: Bilevel, columns: _Columns, blocks: Sequence[Any], prices: Sequence[tuple[Any, Any]]
) -> None:
    for variable, constraint in prices:
        for f, follower in enumerate(out.followers):
            if constraint.name in follower.optimiser.rows:
                row = follower.optimiser.rows.index(constraint.name)
                out.prices.append(PriceLink(columns(variable), f, row))
                break
        else:
            raise Refused(
                f"the price {variable.name} refers to {constraint.name}, which is no constraint of an"
                " optimising follower"
            )


def _add_conditions(out: Bilevel, columns: _Columns, block: Any) -> None:
    """An equilibrium block: its constraints become rows, its Complementarity components pairs."""
    integers = [v.name for v in _owned(block) if not v.is_continuous()]
    if integers:
        raise Refused(
            f"{block.name}: an equilibrium over integer variables ({integers[0]}) has no complementarity form"
        )

    def column(variable: Any, where: str) -> int:
        return columns(variable)

    for row in block.component_data_objects(pyo.Constraint, active=True, descend_into=True):
        low, body, high = row.to_bounded_expression(evaluate_bounds=True)
        terms, quadratic, shift = _expression(body, row.name, column)
        if quadratic.values:
            raise Refused(f"{row.name}: rows of an equilibrium follower must be linear")
        columns.model.add_row(
            row.name,
            list(terms),
            list(terms.values()),
            -math.inf if low is None else low - shift,
            math.inf if high is None else high - shift,
        )
    pairs: list[tuple[str, Side, Side]] = []
    for component in block.component_objects(Complementarity, active=True, descend_into=True):
        for data in component.values():
            if data.active:
                pairs.append(_pair(columns, data, column))
    out.conditions.append(Conditions(str(block.name), tuple(pairs)))


def _pair(columns: _Columns, data: Any, column: Any) -> tuple[str, Side, Side]:
    """0 <= a _|_ b >= 0 from complements(a >= l, b >= m), each side one inequality."""
    sides = []
    for argument in data._args:
        if argument is None or not hasattr(argument, "args"):
            raise Refused(f"{data.name}: a complementarity condition needs two inequalities")
        sides.append(_one_side(argument, data.name, column))
    if len(sides) != 2:
        raise Refused(f"{data.name}: a complementarity condition needs two inequalities")
    return str(data.name), sides[0], sides[1]


def _one_side(argument: Any, name: str, column: Any) -> Side:
    """The inequality as an expression >= 0."""
    from pyomo.core.expr.relational_expr import InequalityExpression

    if not isinstance(argument, InequalityExpression):
        raise Refused(
            f"{name}: only 'expression >= expression' (or <=) is read in a complementarity condition,"
            " one bound a side.\n"
            "  Write a variable with two bounds as two conditions."
        )
    smaller, larger = argument.args
    terms, quadratic, constant = _expression(larger - smaller, name, column)
    if quadratic.values:
        raise Refused(f"{name}: both sides of a complementarity condition must be linear")
    return Side(np.array(list(terms), dtype=int), np.array(list(terms.values())), constant)
