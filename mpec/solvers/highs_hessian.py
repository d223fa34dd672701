"""The quadratic objective as HiGHS takes it: the Hessian's lower triangle by columns."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import scipy.sparse as sp

from mpec.linear_model import LinearModel
from mpec.solvers.session import SolverMissing


def hessian_of(model: LinearModel) -> Any:
    """The Hessian of a convex quadratic objective. Raises SolverMissing for one that is not convex."""
    products = model.cost_products
    n = model.columns
    square = sp.csc_matrix((np.array(products.values), (products.first, products.second)), shape=(n, n))
    hessian = (square + square.T).tocsc()
    used = np.unique(np.concatenate([products.first, products.second]))
    sign = -1.0 if model.maximise else 1.0
    eigenvalues = np.linalg.eigvalsh(sign * hessian[used][:, used].toarray())
    if eigenvalues.min() < -1e-9 * max(1.0, float(np.abs(eigenvalues).max())):
        raise SolverMissing(
            f"HiGHS solves convex quadratic objectives only (eigenvalue {eigenvalues.min():.6g});"
            " use solver gurobi or scip"
        )
    lower = sp.tril(hessian, format="csc")
    passed = highspy.HighsHessian()
    passed.dim_ = n
    passed.format_ = highspy.HessianFormat.kTriangular
    passed.start_ = lower.indptr.astype(np.int32)
    passed.index_ = lower.indices.astype(np.int32)
    passed.value_ = lower.data
    return passed
