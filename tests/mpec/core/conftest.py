"""What the core's tests share: models as text and small games."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from mpec.linear_model import LinearModel
from mpec.random_bilevel import RandomLinear


def _term(value: float, name: str, first: bool) -> str:
    sign = "-" if value < 0 else ("" if first else "+")
    size = "" if abs(value) == 1.0 else f"{abs(value):g} "
    return f"{sign}{'' if first else ' '}{size}{name}".strip() if first else f"{sign} {size}{name}"


@pytest.fixture
def shown() -> Callable[[LinearModel], str]:
    """A model's rows, integer columns, SOS1 sets, indicators and quadratic rows, one a line."""

    def show(model: LinearModel) -> str:
        lines = []
        for i, name in enumerate(model.row_names):
            span = slice(model.starts[i], model.starts[i + 1])
            terms = sorted(zip(model.indices[span], model.values[span], strict=True))
            names = [(v, model.column_names[j]) for j, v in terms]
            body = " ".join(_term(v, n, k == 0) for k, (v, n) in enumerate(names)) or "0"
            low, high = model.row_lower[i], model.row_upper[i]
            if low == high:
                lines.append(f"{name}: {body} = {low:g}")
            elif np.isinf(high):
                lines.append(f"{name}: {body} >= {low:g}")
            elif np.isinf(low):
                lines.append(f"{name}: {body} <= {high:g}")
            else:
                lines.append(f"{name}: {low:g} <= {body} <= {high:g}")
        for row in model.quadratic_rows:
            names = [(v, model.column_names[j]) for j, v in zip(row.columns, row.values, strict=True)]
            squares = zip(row.products.first, row.products.second, row.products.values, strict=True)
            names += [(v, f"{model.column_names[i]}*{model.column_names[j]}") for i, j, v in squares]
            body = " ".join(_term(v, n, k == 0) for k, (v, n) in enumerate(names))
            lines.append(f"{row.name}: {body} <= {row.upper:g}")
        for name, members in model.sos1:
            lines.append(f"{name}: at most one of {', '.join(model.column_names[j] for j in members)}")
        for rule in model.indicators:
            names = [(v, model.column_names[j]) for j, v in zip(rule.columns, rule.values, strict=True)]
            body = " ".join(_term(v, n, k == 0) for k, (v, n) in enumerate(names))
            lines.append(f"{model.column_names[rule.binary]} = {rule.value} -> {body} <= {rule.upper:g}")
        whole = [n for n, w in zip(model.column_names, model.integer, strict=True) if w]
        return "\n".join([*lines, *(f"{n} integer" for n in whole)])

    return show


@pytest.fixture
def pineda() -> Any:
    """max x + y, 0 <= x <= 2, y in argmin{y : y >= 0, x - 0.01 y <= 1}: 102; with a dual M of 50 it is 1."""
    model = pyo.ConcreteModel(name="pineda")
    model.x = pyo.Var(bounds=(0, 2))
    model.f = pyo.Block()
    model.f.y = pyo.Var(domain=pyo.NonNegativeReals)
    model.f.row = pyo.Constraint(expr=model.x - 0.01 * model.f.y <= 1)
    model.f.cost = pyo.Objective(expr=model.f.y)
    model.profit = pyo.Objective(expr=model.x + model.f.y, sense=pyo.maximize)
    return model


@pytest.fixture(scope="session")
def random_linear() -> type[RandomLinear]:
    return RandomLinear
