"""A growable mixed-integer linear model in matrix form, with names: the form every solver takes.

    maximise or minimise   c . x + constant
    subject to             row_lower <= A x <= row_upper,  lower <= x <= upper,  x[j] integer for some j

plus SOS1 sets, indicator rows, quadratic objective terms and quadratic rows for the solvers that have
them. Rows and columns are named after what they came from, so that an exported file can be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp

Array = np.ndarray


@dataclass(frozen=True)
class Indicator:
    """``binary == value`` implies ``lower <= values . x[columns] <= upper``."""

    name: str
    binary: int
    value: int
    columns: tuple[int, ...]
    values: tuple[float, ...]
    lower: float
    upper: float


@dataclass(frozen=True)
class Products:
    """sum of values . x[first] x[second]; a square has first == second, nothing is halved."""

    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()
    values: tuple[float, ...] = ()

    def at(self, x: Array) -> float:
        return float(np.dot(self.values, x[list(self.first)] * x[list(self.second)])) if self.values else 0.0


@dataclass(frozen=True)
class QuadraticRow:
    """lower <= values . x[columns] + products <= upper."""

    name: str
    columns: tuple[int, ...]
    values: tuple[float, ...]
    products: Products
    lower: float
    upper: float

    def at(self, x: Array) -> float:
        linear = float(np.dot(self.values, x[list(self.columns)])) if self.values else 0.0
        return linear + self.products.at(x)


@dataclass
class LinearModel:
    """A model under construction; solvers read :meth:`matrix` and the vectors."""

    name: str = "model"
    maximise: bool = False
    constant: float = 0.0
    column_names: list[str] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    integer: list[bool] = field(default_factory=list)
    row_names: list[str] = field(default_factory=list)
    row_lower: list[float] = field(default_factory=list)
    row_upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    indices: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    sos1: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    indicators: list[Indicator] = field(default_factory=list)
    cost_products: Products = field(default_factory=Products)
    quadratic_rows: list[QuadraticRow] = field(default_factory=list)

    def copy(self) -> LinearModel:
        """An independent copy: lists are copied, the records in them are frozen."""
        out = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list):
                setattr(out, name, list(value))
        return out

    @property
    def columns(self) -> int:
        return len(self.column_names)

    @property
    def rows(self) -> int:
        return len(self.row_names)

    def add_variable(
        self,
        name: str,
        lower: float = 0.0,
        upper: float = math.inf,
        *,
        cost: float = 0.0,
        integer: bool = False,
    ) -> int:
        """Append a column and return its index."""
        self.column_names.append(name)
        self.lower.append(float(lower))
        self.upper.append(float(upper))
        self.cost.append(float(cost))
        self.integer.append(integer)
        return len(self.column_names) - 1

    def add_variables(
        self,
        names: Iterable[str],
        lower: float | Sequence[float] | Array = 0.0,
        upper: float | Sequence[float] | Array = math.inf,
        *,
        integer: bool = False,
    ) -> Array:
        """Append columns and return their indices."""
        names = list(names)
        first, count = len(self.column_names), len(names)
        self.column_names += names
        self.lower += np.broadcast_to(np.asarray(lower, float), count).tolist()
        self.upper += np.broadcast_to(np.asarray(upper, float), count).tolist()
        self.cost += [0.0] * count
        self.integer += [integer] * count
        return np.arange(first, first + count)

    def add_row(
        self,
        name: str,
        columns: Sequence[int] | Array,
        values: Sequence[float] | Array,
        lower: float = -math.inf,
        upper: float = math.inf,
    ) -> int:
        """Append ``lower <= values . x[columns] <= upper``; equal columns are summed."""
        merged: dict[int, float] = {}
        for j, v in zip(columns, values, strict=True):
            merged[int(j)] = merged.get(int(j), 0.0) + float(v)
        for j, v in merged.items():
            if v != 0.0:
                self.indices.append(j)
                self.values.append(v)
        self.starts.append(len(self.indices))
        self.row_names.append(name)
        self.row_lower.append(float(lower))
        self.row_upper.append(float(upper))
        return len(self.row_names) - 1

    def add_rows(
        self,
        names: Iterable[str],
        matrix: sp.csr_matrix,
        columns: Array,
        lower: float | Array = -math.inf,
        upper: float | Array = math.inf,
    ) -> Array:
        """Append the rows lower <= matrix x[columns] <= upper at once and return their indices.

        ``matrix`` (rows, len(columns)); ``columns`` maps its columns to the model's, equal ones are summed.
        """
        coo = matrix.tocoo()
        wide = sp.csr_matrix(
            (coo.data, (coo.row, np.asarray(columns, dtype=int)[coo.col])),
            shape=(matrix.shape[0], self.columns),
        )
        wide.eliminate_zeros()
        first, count = len(self.row_names), wide.shape[0]
        self.row_names += list(names)
        if len(self.row_names) != first + count:
            raise ValueError(f"{len(self.row_names) - first} names for {count} rows")
        self.starts += (wide.indptr[1:] + len(self.indices)).tolist()
        self.indices += wide.indices.tolist()
        self.values += wide.data.tolist()
        self.row_lower += np.broadcast_to(np.asarray(lower, float), count).tolist()
        self.row_upper += np.broadcast_to(np.asarray(upper, float), count).tolist()
        return np.arange(first, first + count)

    def matrix(self) -> sp.csr_matrix:
        """A as CSR, shape (rows, columns)."""
        return sp.csr_matrix(
            (np.array(self.values), np.array(self.indices, dtype=int), np.array(self.starts)),
            shape=(self.rows, self.columns),
        )

    def activity(self, x: Array) -> Array:
        """A x, shape (rows,)."""
        return np.asarray(self.matrix() @ x)

    def objective(self, x: Array) -> float:
        """c . x + products + constant."""
        return float(np.dot(np.array(self.cost), x) + self.cost_products.at(x) + self.constant)

    def violation(self, x: Array) -> float:
        """Largest violation of a row, quadratic row, bound or integrality at x (absolute)."""
        act = self.activity(x)
        worst = 0.0
        for low, value, high in (
            (np.array(self.row_lower), act, np.array(self.row_upper)),
            (np.array(self.lower), x, np.array(self.upper)),
        ):
            if len(value):
                worst = max(worst, float(np.max(low - value)), float(np.max(value - high)))
        for row in self.quadratic_rows:
            worst = max(worst, row.lower - row.at(x), row.at(x) - row.upper)
        whole = np.array(self.integer, dtype=bool)
        if whole.any():
            worst = max(worst, float(np.max(np.abs(x[whole] - np.round(x[whole])))))
        return worst
