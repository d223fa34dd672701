"""The three sessions give the same answers on the same models, and name what they lack."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mpec.linear_model import Indicator, LinearModel, Products, QuadraticRow
from mpec.refusals import Refused
from mpec.solvers import SOLVERS, HighsSession, SolverMissing, open_session, safe_bound
from mpec.solvers.polytope import Polytope, lower_bound, propagate


def _knapsack(maximise: bool) -> LinearModel:
    random = np.random.default_rng(0)
    sign = 1.0 if maximise else -1.0
    model = LinearModel("knapsack", maximise=maximise, constant=3.0)
    x = model.add_variables((f"x{j}" for j in range(12)), 0.0, 1.0, integer=True)
    y = model.add_variable("y", 0.0, 5.0, cost=0.5 * sign)
    for j in x:
        model.cost[j] = sign * float(random.integers(5, 50))
    for r in range(4):
        weight = random.integers(1, 30, 12).astype(float)
        model.add_row(f"r{r}", [*x, y], [*weight, 1.0], upper=float(weight.sum() // 3))
    return model


@pytest.mark.parametrize("maximise", [True, False])
def test_all_solvers_agree_on_a_mixed_integer_model(maximise: bool) -> None:
    values = []
    for solver in SOLVERS:
        model = _knapsack(maximise)
        session = open_session(model, solver)
        solved = session.solve(gap=1e-9)
        assert solved.x is not None
        assert solved.objective is not None
        assert solved.status == "optimal"
        assert model.violation(solved.x) < 1e-6
        assert solved.objective == pytest.approx(model.objective(solved.x), abs=1e-6)
        assert solved.bound == pytest.approx(solved.objective, abs=1e-5)
        relaxed = session.solve(relax=True)
        assert relaxed.row_duals is not None
        assert relaxed.objective is not None
        proven = safe_bound(model, relaxed.row_duals)
        assert proven == pytest.approx(relaxed.objective, abs=1e-6)
        assert (proven >= solved.objective - 1e-6) if maximise else (proven <= solved.objective + 1e-6)
        again = session.solve(gap=1e-9, start=solved.x)
        assert again.objective == pytest.approx(solved.objective)
        values.append(solved.objective)
        session.close()
    assert max(values) - min(values) < 1e-6


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_cutoff_never_makes_a_feasible_model_infeasible(solver: str) -> None:
    session = open_session(_knapsack(True), solver)
    best = session.solve(gap=1e-9).objective
    assert best is not None
    stopped = session.solve(gap=1e-9, cutoff=best + 50.0)
    assert stopped.status in ("no_point", "feasible", "optimal")
    assert stopped.bound >= best - 1e-6, "still an upper bound"


@pytest.mark.parametrize("solver", SOLVERS)
def test_changes_reach_the_solver(solver: str) -> None:
    model = LinearModel("change", maximise=True)
    x, y = model.add_variables(["x", "y"], 0.0, 4.0)
    row = model.add_row("sum", [x, y], [1.0, 1.0], upper=5.0)
    session = open_session(model, solver)
    session.set_objective(np.array([1.0, 2.0]), maximise=True, constant=1.0)
    assert session.solve().objective == pytest.approx(10.0)
    session.set_costs(np.array([x]), np.array([3.0]))
    session.set_bounds(np.array([y]), np.array([0.0]), np.array([0.5]))
    assert session.solve().objective == pytest.approx(14.0)
    session.set_row_bounds(row, -math.inf, 3.0)
    assert session.solve().objective == pytest.approx(10.0)
    session.add_row("cap", np.array([x]), np.array([1.0]), -math.inf, 1.0)
    assert session.solve().objective == pytest.approx(5.0)
    z = model.add_variable("z", 0.0, 2.0, cost=1.0)
    session.reload()
    assert session.solve().objective == pytest.approx(7.0)
    session.set_objective(np.array([1.0, 0.0, 0.0]), maximise=False)
    solved = session.solve()
    assert (solved.objective, solved.x is not None and solved.x[z] >= 0.0) == (pytest.approx(0.0), True)


@pytest.mark.parametrize("solver", SOLVERS)
def test_infeasible_and_unbounded_are_told_apart(solver: str) -> None:
    model = LinearModel("ray", maximise=True)
    x = model.add_variable("x", 0.0, math.inf, cost=1.0, integer=True)
    y = model.add_variable("y")
    model.add_row("r", [x, y], [1.0, -1.0], upper=1.0)
    unbounded = open_session(model, solver).solve()
    assert (unbounded.status, unbounded.bound) == ("unbounded", math.inf)
    model.add_row("never", [x, y], [1.0, 1.0], upper=-1.0)
    infeasible = open_session(model, solver).solve()
    assert (infeasible.status, infeasible.bound) == ("infeasible", -math.inf)


@pytest.mark.parametrize("solver", ["gurobi", "scip"])
def test_sos1_indicators_and_products(solver: str) -> None:
    model = LinearModel("logic", maximise=True)
    x, y = model.add_variable("x", 0.0, 3.0, cost=1.0), model.add_variable("y", 0.0, 2.0, cost=2.0)
    b = model.add_variable("b", 0.0, 1.0, cost=0.5, integer=True)
    model.sos1.append(("set", (x, y)))
    model.indicators.append(Indicator("rule", b, 1, (x, y), (1.0, 1.0), -math.inf, 1.5))
    assert open_session(model, solver).solve(gap=1e-9).objective == pytest.approx(4.0)
    bilinear = LinearModel("bilinear", constant=1.0)
    x, y = bilinear.add_variable("x", -3.0, 3.0), bilinear.add_variable("y", -2.0, 2.0, cost=1.0)
    bilinear.cost_products = Products((x, x), (x, y), (1.0, 1.0))
    bilinear.quadratic_rows.append(QuadraticRow("row", (x,), (1.0,), Products((x,), (y,), (2.0,)), 1.0, 1.0))
    solved = open_session(bilinear, solver).solve(gap=1e-9)
    assert solved.objective == pytest.approx(-2.0 / 9.0, abs=1e-6)
    assert solved.x is not None
    assert bilinear.violation(solved.x) < 1e-6


def test_scip_is_not_trusted_with_strong_reductions_on_indicators() -> None:
    """A model that SCIP 10 calls infeasible with its default presolve; its optimum is -15."""
    model = LinearModel("indicators")
    y = [model.add_variable(f"y{j}", 0.0, 10.0, cost=c) for j, c in enumerate((-5.0, 3.0, -5.0))]
    x = model.add_variable("x", 0.0, 2.0)
    mu = [model.add_variable(f"mu{i}") for i in range(8)]
    a = np.array([[-2.0, -3.0, 1.0], [2.0, 0.0, -2.0], *np.eye(3), *(-np.eye(3))])
    f = np.array([3.0, -3.0, 0, 0, 0, 0, 0, 0])
    b = np.array([-2.0, -6.0, 0, 0, 0, -10.0, -10.0, -10.0])
    model.add_row("coupling", [*y, x], [4.0, -3.0, 3.0, 3.0], lower=6.0)
    for j, d in enumerate((3.0, 3.0, -2.0)):
        model.add_row(f"stationarity{j}", mu, a[:, j], d, d)
    for i in range(8):
        model.add_row(f"row{i}", [*y, x], [*a[i], f[i]], lower=b[i])
        z = model.add_variable(f"z{i}", 0.0, 1.0, integer=True)
        row = tuple(float(v) for v in (*a[i], f[i]))
        model.indicators.append(Indicator(f"slack{i}", z, 1, (*y, x), row, -math.inf, float(b[i])))
        model.indicators.append(Indicator(f"mu{i}", z, 0, (mu[i],), (1.0,), -math.inf, 0.0))
    assert open_session(model, "scip").solve(gap=1e-9).objective == pytest.approx(-15.0)
    assert open_session(model, "gurobi").solve(gap=1e-9).objective == pytest.approx(-15.0)


def test_highs_solves_convex_quadratics_and_names_what_it_lacks() -> None:
    model = LinearModel("convex", constant=1.0)
    x, y = model.add_variable("x", -3.0, 3.0), model.add_variable("y", -2.0, 2.0, cost=1.0)
    model.add_row("r", [x, y], [1.0, 1.0], lower=-1.0)
    model.cost_products = Products((x, x, y), (x, y, y), (1.0, 1.0, 1.0))
    assert open_session(model).solve().objective == pytest.approx(2.0 / 3.0, abs=1e-6)
    model.cost_products = Products((x, x), (x, y), (1.0, 1.0))
    with pytest.raises(SolverMissing, match="convex"):
        open_session(model)
    model.cost_products = Products()
    model.sos1.append(("set", (x, y)))
    with pytest.raises(SolverMissing, match="big_m, or solver gurobi or scip"):
        open_session(model)


def test_gurobis_size_limited_licence_is_recognised_when_the_session_opens() -> None:
    model = LinearModel("large")
    model.add_variables((f"x{j}" for j in range(2500)), 0.0, 1.0)
    small = LinearModel("small")
    small.add_variable("x")
    open_session(small, "gurobi").close()
    import gurobipy

    probe = gurobipy.Model(env=gurobipy.Env(params={"OutputFlag": 0}))
    probe.addMVar(2500)
    try:
        probe.optimize()
    except gurobipy.GurobiError:
        with pytest.raises(SolverMissing, match=r"limited in size(.|\n)*Use solver highs"):
            open_session(model, "gurobi")
    else:
        pytest.skip("a full Gurobi licence is installed here")


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(SolverMissing, match="highs, gurobi, scip"):
        open_session(LinearModel(), "cplex")


@pytest.mark.parametrize("seed", range(5))
def test_a_safe_bound_holds_for_any_duals(seed: int) -> None:
    random = np.random.default_rng(seed)
    matrix = np.round(random.normal(size=(4, 6)), 2)
    import scipy.sparse as sp

    sparse, middle = sp.csr_matrix(matrix), matrix @ np.full(6, 0.5)
    place = Polytope(sparse, middle - 1.0, np.full(4, np.inf), np.zeros(6), np.ones(6))
    cost = random.normal(size=6)
    exact, safe = place.minimum(cost, exact=True), place.minimum(cost)
    assert exact - 1e-6 <= safe <= exact
    for _ in range(20):
        wild = random.normal(size=4)
        assert (
            lower_bound(sparse, place.row_lower, place.row_upper, place.lower, place.upper, cost, wild)
            <= exact + 1e-9
        )


def test_interval_propagation_finds_boxes_and_leaves_contradictions_to_an_lp() -> None:
    import scipy.sparse as sp

    matrix = sp.csr_matrix([[1.0, 1.0], [1.0, -1.0]])
    inf = np.inf
    low, high = propagate(matrix, np.array([-inf, 0.0]), np.array([4.0, 0.0]), np.zeros(2), np.full(2, inf))
    assert np.allclose([*low, *high], [0, 0, 4, 4])
    start = np.zeros(2), np.ones(2)
    low, high = propagate(matrix, np.array([5.0, 0.0]), np.array([inf, 0.0]), *start)
    assert (low.tolist(), high.tolist()) == ([0, 0], [1, 1])
    place = Polytope(matrix, np.array([5.0, 0.0]), np.array([inf, 0.0]), *start)
    assert place.surely_empty()


def test_a_coefficient_that_no_solver_takes_is_refused_with_its_row() -> None:
    model = LinearModel("hour 1")
    x, y = model.add_variable("x", 0.0, 1.0), model.add_variable("y", 0.0, 1.0)
    model.add_row("fine", [x, y], [1.0, 2.0], upper=1.0)
    model.add_row("road.time", [x, y], [1.0, 4.7e17], upper=1.0)
    with pytest.raises(Refused, match=r"hour 1: a coefficient of 4\.7e\+17 in row road\.time(.|\n)*bpr_beta"):
        HighsSession(model)
