"""A badly scaled mixed-integer model in other units, all powers of two, so that nothing is rounded.

HiGHS and SCIP scale linear programs, but their MILP presolve and feasibility tests work with the numbers as they are:
on models whose data span many orders of magnitude both stated false bounds, which they do not in units of the columns'
own ranges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mpec.linear_model import Array, LinearModel
from mpec.solvers.session import Solved


@dataclass(frozen=True)
class Scaled:
    """The model in other units; columns (n,): what one unit of a column is worth in the original's."""

    model: LinearModel
    columns: Array

    def unscaled(self, solved: Solved) -> Solved:
        """What a solver found, as an answer to the original model."""
        return replace(
            solved,
            x=None if solved.x is None else solved.x * self.columns,
            row_duals=None,
            reduced_costs=None,
        )


def scaled(model: LinearModel) -> Scaled:
    """Continuous columns in units of their larger end, rows of their largest term; the objective as it is.

    For linear models: products, SOS1 sets and indicators must be none.
    """
    far = np.maximum(np.abs(model.lower), np.abs(model.upper))
    sized = np.isfinite(far) & (far > 0.0) & ~np.array(model.integer, dtype=bool)
    columns = np.where(sized, _power(np.where(sized, far, 1.0)), 1.0)
    values = np.array(model.values) * columns[np.array(model.indices, dtype=int)]
    row_of = np.repeat(np.arange(model.rows), np.diff(model.starts))
    largest = np.zeros(model.rows)
    np.maximum.at(largest, row_of, np.abs(values))
    rows = 1.0 / _power(np.where(largest > 0.0, largest, 1.0))
    out = model.copy()
    out.values = (values * rows[row_of]).tolist()
    out.row_lower = (np.array(model.row_lower) * rows).tolist()
    out.row_upper = (np.array(model.row_upper) * rows).tolist()
    out.lower = (np.array(model.lower) / columns).tolist()
    out.upper = (np.array(model.upper) / columns).tolist()
    out.cost = (np.array(model.cost) * columns).tolist()
    return Scaled(out, columns)


def _power(sizes: Array) -> Array:
    return np.asarray(2.0 ** np.round(np.log2(sizes)))
