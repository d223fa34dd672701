"""What the core's tests share: models as text, small games, and an independent solver of bilevel problems."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.optimize import linprog

from mpec.linear_model import LinearModel


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


class RandomLinear:
    """A random bounded bilevel problem, linear on both levels, as data; follower rows A y + F x >= b."""

    def __init__(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        self.nx, self.ny = int(random.integers(1, 4)), int(random.integers(1, 4))
        rows = int(random.integers(1, 5))
        self.a = random.integers(-5, 6, (rows, self.ny)).astype(float)
        self.f = random.integers(-5, 6, (rows, self.nx)).astype(float)
        self.b = self.a.sum(axis=1) + self.f.sum(axis=1) - random.integers(0, 6, rows)
        self.d = random.integers(-5, 6, self.ny).astype(float)
        self.cx = random.integers(-5, 6, self.nx).astype(float)
        self.cy = random.integers(-5, 6, self.ny).astype(float)
        self.y_high: list[float | None] = [10.0] * self.ny
        if random.integers(0, 2):
            self.y_high = [float(v) if v < 9 else None for v in random.integers(3, 10, self.ny)]
        if any(u is None for u in self.y_high):
            self.a = np.vstack([self.a, -np.ones(self.ny)])
            self.f = np.vstack([self.f, np.zeros(self.nx)])
            self.b = np.append(self.b, -float(random.integers(3, 12)))
        self.leader = [
            (row, float(row.sum() - random.integers(0, 5)))
            for row in random.integers(-4, 5, (int(random.integers(0, 3)), self.nx + self.ny)).astype(float)
        ]
        self.maximise = bool(random.integers(0, 2))
        self.equality = bool(random.integers(0, 4) == 0) and self.ny > 1
        self.integer = bool(random.integers(0, 3) == 0) and self.nx == 1
        self.x_high = float(random.integers(2, 8))

    def model(self) -> Any:
        """As a Pyomo model with follower block ``f``."""
        model = pyo.ConcreteModel()
        kind = pyo.Integers if self.integer else pyo.Reals
        model.x = pyo.Var(range(self.nx), bounds=(0, self.x_high), domain=kind)
        model.f = pyo.Block()
        model.f.y = pyo.Var(range(self.ny), bounds=lambda _, j: (0, self.y_high[j]))
        x, y = list(model.x.values()), list(model.f.y.values())

        def body(on_x: np.ndarray, on_y: np.ndarray) -> Any:
            return sum(c * v for c, v in zip([*on_x, *on_y], [*x, *y], strict=True) if c)

        model.f.cost = pyo.Objective(expr=body(np.zeros(self.nx), self.d))
        model.f.rows = pyo.ConstraintList()
        for i in range(len(self.b)):
            left = body(self.f[i], self.a[i])
            if not isinstance(left, int):
                model.f.rows.add(left == self.b[i] if self.equality and i == 0 else left >= self.b[i])
        model.rows = pyo.ConstraintList()
        for row, right in self.leader:
            left = body(row[: self.nx], row[self.nx :])
            if not isinstance(left, int):
                model.rows.add(left >= right)
        sense = pyo.maximize if self.maximise else pyo.minimize
        model.objective = pyo.Objective(expr=body(self.cx, self.cy), sense=sense)
        return model

    def enumerated(self) -> float | None:
        """The optimum by enumerating complementary choices with another LP code; None if infeasible."""
        return _Enumeration(self).value()


class _Enumeration:
    """Depth first over 'row active' or 'multiplier zero', scipy's LP at each node, integers by a grid."""

    def __init__(self, p: RandomLinear) -> None:
        self.p = p
        first = 1 if p.equality else 0
        r, x, b = list(p.a[first:]), list(p.f[first:]), list(p.b[first:])
        for j in range(p.ny):
            unit = np.eye(p.ny)[j]
            r.append(unit)
            x.append(np.zeros(p.nx))
            b.append(0.0)
            if p.y_high[j] is not None:
                r.append(-unit)
                x.append(np.zeros(p.nx))
                b.append(-float(p.y_high[j]))  # type: ignore[arg-type]
        self.r, self.x, self.b = np.array(r), np.array(x), np.array(b)
        self.m, self.n = len(b), p.nx + p.ny
        self.sign = -1.0 if p.maximise else 1.0
        self.cost = np.concatenate([self.sign * p.cx, self.sign * p.cy, np.zeros(self.m + first)])
        equal = np.zeros((p.ny + first, self.n + self.m + first))
        equal[: p.ny, self.n : self.n + self.m] = self.r.T
        equal[: p.ny, self.n + self.m :] = p.a[:first].T
        equal[p.ny :, : p.nx], equal[p.ny :, p.nx : self.n] = p.f[:first], p.a[:first]
        self.equal, self.right = equal, np.concatenate([p.d, p.b[:first]])
        above = np.zeros((self.m + len(p.leader), equal.shape[1]))
        above[: self.m, : p.nx], above[: self.m, p.nx : self.n] = -self.x, -self.r
        for q, (row, _) in enumerate(p.leader):
            above[self.m + q, : self.n] = -row
        self.above, self.most = above, np.concatenate([-self.b, [-right for _, right in p.leader]])
        self.best = np.inf

    def value(self) -> float | None:
        grid: list[tuple[int, ...] | None] = [None]
        if self.p.integer:
            grid = list(itertools.product(range(int(self.p.x_high) + 1), repeat=self.p.nx))
        for x in grid:
            self._search(x, [])
        return None if np.isinf(self.best) else self.sign * self.best

    def _search(self, x: tuple[int, ...] | None, active: list[bool]) -> None:
        p = self.p
        box = [(0.0, p.x_high)] * p.nx if x is None else [(v, v) for v in x]
        bounds: list[Any] = [*box, *[(None, None)] * p.ny, *[(0, None)] * self.m]
        bounds += [(None, None)] * (self.equal.shape[1] - len(bounds))
        rows, right = [self.equal], [self.right]
        for q, is_active in enumerate(active):
            if is_active:
                row = np.zeros(self.equal.shape[1])
                row[: p.nx], row[p.nx : self.n] = self.x[q], self.r[q]
                rows.append(row[None, :])
                right.append(self.b[q : q + 1])
            else:
                bounds[self.n + q] = (0, 0)
        solved = linprog(
            self.cost, self.above, self.most, np.vstack(rows), np.concatenate(right), bounds=bounds
        )
        if solved.status == 2 or (solved.status == 0 and solved.fun >= self.best - 1e-9):
            return
        assert solved.status == 0, solved.message
        z = solved.x
        slack = self.r @ z[p.nx : self.n] + self.x @ z[: p.nx] - self.b
        violated = np.minimum(slack, z[self.n : self.n + self.m])[len(active) :]
        if len(active) == self.m or violated.max(initial=0.0) <= 1e-9:
            self.best = min(self.best, solved.fun)
            return
        self._search(x, [*active, True])
        self._search(x, [*active, False])


@pytest.fixture(scope="session")
def random_linear() -> type[RandomLinear]:
    return RandomLinear
