"""Is a MILP of a kind whose bound a solver may get wrong? A look at coefficients and ranges before it is believed.

HiGHS 1.15.1 ended at a false dual bound, reproducibly, on an hour whose rows mixed coefficients from 1e-9 to 1e3; on
hours with ordinary rows none was seen. A finding says that no solver's word is taken for the model's bound
(mpec.second_opinions.second_bound), not that it is false. What bounds flows, times and costs first (interval LPs)
makes findings go away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from mpec import tolerances
from mpec.linear_model import Array, LinearModel
from mpec.solvers import SolverError

ROW_RATIO = 1.0 / tolerances.MIP_FEASIBILITY
"""Largest to smallest coefficient of a row: beyond it the row's tolerance on one term hides another."""

MATRIX_RATIO = 1e4
"""The same over the whole matrix once rows and columns are scaled by powers of two, as solvers do. Ordinary hours stay
below 1e3; the model that HiGHS got wrong reaches 4e4."""

NARROW = 5 * tolerances.MIP_FEASIBILITY
"""A column or row that is narrower than this, but no equation: solvers were seen to call such models infeasible."""

LEAK = 1e-2
"""A big-M whose leak (M x integrality tolerance, in its row's units) is more than this opens both sides at once."""


@dataclass(frozen=True)
class Finding:
    """kind: row_range, matrix_range, narrow or leak. value beyond limit at ``where``."""

    kind: str
    where: str
    value: float
    limit: float

    def __str__(self) -> str:
        words = {
            "row_range": "coefficients of one row differ by a factor of",
            "matrix_range": "coefficients of the matrix differ by a factor of",
            "narrow": "a range is about as narrow as the solver's tolerance:",
            "leak": "a big-M times the integrality tolerance is",
        }
        return f"{words[self.kind]} {self.value:.2g} ({self.where})"


def findings(model: LinearModel) -> list[Finding]:
    """What makes the bound of this MILP doubtful, worst of each kind; [] for a model without integer columns."""
    if not any(model.integer) or not model.values:
        return []
    looks: tuple[Callable[[LinearModel, sp.csr_matrix], Finding | None], ...] = (
        _row_range,
        _matrix_range,
        _narrow,
        _leak,
    )
    matrix = model.matrix()
    matrix.eliminate_zeros()
    found = (look(model, matrix) for look in looks)
    return [f for f in found if f is not None]


def _ends(matrix: sp.csr_matrix) -> tuple[Array, Array, Array]:
    """Rows with entries, and the least and largest size of their coefficients."""
    rows = np.flatnonzero(np.diff(matrix.indptr))
    size = np.abs(matrix.data)
    starts = matrix.indptr[rows]
    return rows, np.minimum.reduceat(size, starts), np.maximum.reduceat(size, starts)


def _row_range(model: LinearModel, matrix: sp.csr_matrix) -> Finding | None:
    rows, least, most = _ends(matrix)
    ratio = most / least
    worst = int(np.argmax(ratio))
    if ratio[worst] <= ROW_RATIO:
        return None
    return Finding("row_range", model.row_names[rows[worst]], float(ratio[worst]), ROW_RATIO)


def _matrix_range(model: LinearModel, matrix: sp.csr_matrix) -> Finding | None:
    scaled = np.log2(np.abs(matrix.data))
    row_of = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for _ in range(3):
        for place, count in ((row_of, matrix.shape[0]), (matrix.indices, matrix.shape[1])):
            most, least = np.full(count, -np.inf), np.full(count, np.inf)
            np.maximum.at(most, place, scaled)
            np.minimum.at(least, place, scaled)
            with np.errstate(invalid="ignore"):
                middle = np.round(0.5 * (most + least))
            scaled = scaled - middle[place]
    spread = float(2.0 ** (scaled.max() - scaled.min()))
    if spread <= MATRIX_RATIO:
        return None
    return Finding("matrix_range", model.row_names[row_of[int(np.argmin(scaled))]], spread, MATRIX_RATIO)


def _narrow(model: LinearModel, matrix: sp.csr_matrix) -> Finding | None:
    """Rows and columns whose two ends are this close to each other, without being equal."""
    worst: Finding | None = None
    for names, lower, upper in (
        (model.column_names, model.lower, model.upper),
        (model.row_names, model.row_lower, model.row_upper),
    ):
        low, high = np.array(lower), np.array(upper)
        with np.errstate(invalid="ignore"):
            width = np.where(low == high, np.inf, high - low)
        i = int(np.argmin(width)) if len(width) else 0
        if len(width) and width[i] < NARROW and (worst is None or width[i] < worst.value):
            worst = Finding("narrow", names[i], float(width[i]), NARROW)
    return worst


def _leak(model: LinearModel, matrix: sp.csr_matrix) -> Finding | None:
    """Binaries beside continuous columns of coefficient 1 or so: M x tolerance in units of those columns."""
    whole = np.array(model.integer, dtype=bool)
    rows, _, _ = _ends(matrix)
    size = np.abs(matrix.data)
    starts = matrix.indptr[rows]
    is_whole = whole[matrix.indices]
    big = np.maximum.reduceat(np.where(is_whole, size, 0.0), starts)
    other = np.maximum.reduceat(np.where(is_whole, 0.0, size), starts)
    leak = (
        np.where((other > 0) & (big > 0), big / np.maximum(other, 1e-300), 0.0) * tolerances.MIP_FEASIBILITY
    )
    worst = int(np.argmax(leak))
    if leak[worst] <= LEAK:
        return None
    return Finding("leak", model.row_names[rows[worst]], float(leak[worst]), LEAK)


def read_mps(path: Path | str) -> LinearModel:
    """A model from an .mps (or .mps.gz) file, through HiGHS. Raises SolverError when it can't be read."""
    import highspy

    from mpec.solvers.quiet_highs import quiet_highs

    reader = quiet_highs()
    if reader.readModel(str(path)) == highspy.HighsStatus.kError:
        raise SolverError(f"{path} can't be read as a model; give an .mps, .mps.gz or .lp file")
    lp = reader.getLp()
    maximise = lp.sense_ == highspy.ObjSense.kMaximize
    model = LinearModel(Path(path).name, maximise=maximise, constant=float(lp.offset_))
    kinds = list(lp.integrality_) or [highspy.HighsVarType.kContinuous] * lp.num_col_
    for j in range(lp.num_col_):
        model.add_variable(
            reader.getColName(j)[1],
            lp.col_lower_[j],
            lp.col_upper_[j],
            cost=lp.col_cost_[j],
            integer=kinds[j] == highspy.HighsVarType.kInteger,
        )
    parts = lp.a_matrix_
    made = sp.csc_matrix if parts.format_ == highspy.MatrixFormat.kColwise else sp.csr_matrix
    matrix = made((parts.value_, parts.index_, parts.start_), shape=(lp.num_row_, lp.num_col_)).tocsr()
    names = [reader.getRowName(i)[1] for i in range(lp.num_row_)]
    columns = np.arange(lp.num_col_)
    model.add_rows(names, matrix, columns, np.array(lp.row_lower_), np.array(lp.row_upper_))
    return model
