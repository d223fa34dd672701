"""Why HiGHS didn't take a model: numbers that no sensible data lead to, or else a fault of ours."""

from __future__ import annotations

import numpy as np

from mpec.linear_model import LinearModel
from mpec.refusals import Refused
from mpec.solvers.session import SolverError

LARGEST_COEFFICIENT = 1e15
"""HiGHS takes none above it."""


def refusal(model: LinearModel) -> Exception:
    """The error to raise: :class:`Refused` with the row and what to look at in the data, or a SolverError."""
    size = np.abs(np.array(model.values))
    if not len(size) or not size.max() > LARGEST_COEFFICIENT:
        return SolverError(f"HiGHS refused the model {model.name!r}")
    row = model.row_names[int(np.searchsorted(model.starts, int(np.argmax(size)), side="right")) - 1]
    return Refused(
        f"{model.name}: a coefficient of {size.max():.2g} in row {row}, more than any solver takes.\n"
        "  The data span too many orders of magnitude; roads far above their capacity are a common cause:"
        " check capacity_veh_per_h, bpr_alpha, bpr_beta and the demand."
    )
