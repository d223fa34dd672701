"""A linear expression over the columns of a LinearModel: what rows and objectives are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from mpec.exact_sums import UNIT
from mpec.linear_model import LinearModel

Array = np.ndarray


@dataclass
class Expression:
    """sum_j terms[j] x[j] + constant."""

    terms: dict[int, float] = field(default_factory=dict)
    constant: float = 0.0

    def add(self, column: int, value: float = 1.0) -> Expression:
        self.terms[int(column)] = self.terms.get(int(column), 0.0) + float(value)
        return self

    def add_all(self, columns: Iterable[int], values: Iterable[float]) -> Expression:
        for j, v in zip(columns, values, strict=True):
            if v:
                self.add(int(j), float(v))
        return self

    def plus(self, other: Expression, factor: float = 1.0) -> Expression:
        for j, v in other.terms.items():
            self.add(j, factor * v)
        self.constant += factor * other.constant
        return self

    def shift(self, value: float) -> Expression:
        self.constant += value
        return self

    def copy(self) -> Expression:
        return Expression(dict(self.terms), self.constant)

    def value(self, x: Array) -> float:
        return sum(v * float(x[j]) for j, v in self.terms.items()) + self.constant

    def vector(self, columns: int) -> Array:
        """The coefficients as a dense vector of length ``columns``."""
        dense = np.zeros(columns)
        for j, v in self.terms.items():
            dense[j] += v
        return dense

    def interval(self, model: LinearModel) -> tuple[float, float]:
        """Smallest and largest value over the columns' bounds, rounded outwards (Higham 2002, gamma_k)."""
        low = high = self.constant
        size = abs(self.constant)
        for j, v in self.terms.items():
            a, b = v * model.lower[j], v * model.upper[j]
            low, high = low + min(a, b), high + max(a, b)
            size += max(abs(a), abs(b))
        blur = (len(self.terms) + 4) * UNIT * size if np.isfinite(size) else 0.0
        return low - blur, high + blur


def add_row(
    model: LinearModel, name: str, expression: Expression, lower: float = -np.inf, upper: float = np.inf
) -> int:
    """Append ``lower <= expression <= upper`` (the expression's constant moves to the sides)."""
    c = expression.constant
    return model.add_row(name, list(expression.terms), list(expression.terms.values()), lower - c, upper - c)
