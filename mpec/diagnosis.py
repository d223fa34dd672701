"""Why a bilevel problem has no solution, in the words of its players."""

from __future__ import annotations

import numpy as np

from mpec.kkt import Kkt
from mpec.linear_model import LinearModel
from mpec.reformulation import SingleLevel
from mpec.solvers import open_session


def why_infeasible(single: SingleLevel) -> str:
    """The first of these that holds: a contradiction in all rows, an unbounded follower, a coupling
    conflict."""
    joint = _high_point(single)
    if _status(joint) == "infeasible":
        return "no point satisfies the leader's and the followers' constraints together"
    for kkt in single.followers:
        if _status(_dual(single, kkt)) == "infeasible":
            return (
                f"{kkt.rows.optimiser.name} is unbounded wherever it is feasible (its stationarity"
                " has no solution): bound its variables"
            )
    return "no optimal answer of the followers satisfies the leader's constraints"


def _high_point(single: SingleLevel) -> LinearModel:
    """Leader's and followers' constraints without optimality; quadratic rows are left out."""
    model = single.problem.model.copy()
    model.cost, model.quadratic_rows = [0.0] * model.columns, []
    model.cost_products = type(model.cost_products)()
    prices = {link.column for link in single.problem.prices}
    for j in prices:
        model.lower[j], model.upper[j] = -np.inf, np.inf
    for kkt in single.followers:
        rows = kkt.rows
        for i in range(rows.rows):
            columns = np.concatenate(
                [kkt.primal[rows.matrix[i].indices], kkt.given[rows.given_matrix[i].indices]]
            )
            values = np.concatenate([rows.matrix[i].data, rows.given_matrix[i].data])
            upper = float(rows.right[i]) if rows.equality[i] else np.inf
            model.add_row(rows.names[i], columns, values, float(rows.right[i]), upper)
    return model


def _dual(single: SingleLevel, kkt: Kkt) -> LinearModel:
    """Stationarity of one follower alone, everything else free."""
    rows = kkt.rows
    model = LinearModel("stationarity")
    low = np.where(rows.equality, -np.inf, 0.0)
    mu = model.add_variables(rows.names, low, np.inf)
    x = model.add_variables(rows.optimiser.columns, -np.inf, np.inf)
    o = rows.optimiser
    p = model.add_variables(
        o.givens, np.array(single.base.lower)[kkt.given], np.array(single.base.upper)[kkt.given]
    )
    for j in range(len(o.columns)):
        column = rows.matrix.tocsc()[:, j]
        columns, values = [mu[column.indices]], [column.data]
        for matrix, place in ((o.quadratic, x), (o.cross, p)):
            if matrix is not None:
                columns.append(place[matrix.tocsr()[j].indices])
                values.append(-matrix.tocsr()[j].data)
        model.add_row(
            o.columns[j], np.concatenate(columns), np.concatenate(values), float(o.cost[j]), float(o.cost[j])
        )
    return model


def _status(model: LinearModel) -> str:
    session = open_session(model, "highs")
    try:
        return session.solve().status
    finally:
        session.close()
