"""Coefficients that solvers delete, taken out before they see them, and what they can amount to allowed for.

HiGHS drops entries up to 1e-9 of a matrix without a word (small_matrix_value), SCIP treats them as 0. In a row that is
tight that cuts off points: a chord of a road's time of 9e-10 h per vehicle was dropped, a tangent a little steeper
stayed, and all flows between them were gone: MILP bounds too low by a factor of 9, alike with two solvers. Dual bounds
of linear programs are added up from the true matrix and need none of this.
"""

from __future__ import annotations

import numpy as np

from mpec.linear_model import LinearModel

DUST = 1e-8
"""Smaller coefficients are taken out; ten times what HiGHS drops."""

ROOM = 1e-6
"""A row that loses some is widened by that much more on either side: equations must not become ranges about as narrow
as a solver's tolerance."""


def without_dust(model: LinearModel) -> LinearModel:
    """A relaxation of a mixed-integer model without such entries; the model itself where there are none.

    Rows are widened by the least and the largest that the entries can add up to over the columns' bounds; a column
    without a bound opens the side.
    """
    values = np.array(model.values, dtype=float)
    dust = (values != 0.0) & (np.abs(values) < DUST)
    if not any(model.integer) or not dust.any():
        return model
    indices = np.array(model.indices, dtype=int)
    rows = np.repeat(np.arange(model.rows), np.diff(model.starts))
    low, high = np.array(model.lower, dtype=float), np.array(model.upper, dtype=float)
    ends = values[dust] * low[indices[dust]], values[dust] * high[indices[dust]]
    touched = np.bincount(rows[dust], minlength=model.rows) > 0
    least = np.bincount(rows[dust], np.minimum(*ends), minlength=model.rows)
    most = np.bincount(rows[dust], np.maximum(*ends), minlength=model.rows)
    out = model.copy()
    wide_low = np.array(model.row_lower, dtype=float) - most - ROOM
    wide_high = np.array(model.row_upper, dtype=float) - least + ROOM
    out.row_lower = np.where(touched, wide_low, model.row_lower).tolist()
    out.row_upper = np.where(touched, wide_high, model.row_upper).tolist()
    out.values, out.indices = values[~dust].tolist(), indices[~dust].tolist()
    kept = np.bincount(rows[~dust], minlength=model.rows)
    out.starts = [0, *np.cumsum(kept).tolist()]
    return out
