"""The public function on games of every kind: follower types, modes, refusals, verdicts."""

from __future__ import annotations

from typing import Any

import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity, complements

from mpec.reformulation import single_level
from mpec.refusals import Refused

EVERY = [
    ("big_m", "highs"),
    ("big_m", "gurobi"),
    ("big_m", "scip"),
    ("sos1", "gurobi"),
    ("sos1", "scip"),
    ("indicator", "gurobi"),
    ("indicator", "scip"),
    ("strong_duality", "gurobi"),
    ("strong_duality", "scip"),
]


@pytest.mark.parametrize(("mode", "solver"), EVERY)
def test_the_wrong_m_trap_is_102_in_every_mode(pineda: Any, mode: str, solver: str) -> None:
    solution = single_level(pineda, followers=[pineda.f], mode=mode, solver=solver).solve()
    assert solution.leader_objective == pytest.approx(102.0, rel=1e-6)
    assert solution.verdict == "CERTIFIED"
    assert pyo.value(pineda.f.y) == pytest.approx(100.0, rel=1e-6), "values are loaded into the model"


def test_an_asserted_m_is_never_certified(pineda: Any) -> None:
    for asserted in (50.0, {"f.row.upper": 50.0}):
        single = single_level(pineda, followers=[pineda.f], assert_bounds=asserted)
        solution = single.solve()
        assert single.assumed
        assert solution.verdict != "CERTIFIED"
        assert "ASSUMED" in solution.reason
        assumed = [m for m in solution.summary()["big_m"] if not m["proven"]]
        assert [(m["name"], m["side"], m["value"]) for m in assumed] == [("f.row.upper", "multiplier", 50.0)]
        assert "ASSUMED" in assumed[0]["source"]


def test_an_assertion_larger_than_what_is_derived_is_not_needed(pineda: Any) -> None:
    solution = single_level(pineda, followers=[pineda.f], assert_bounds=1e6).solve()
    assert solution.verdict == "CERTIFIED"
    with pytest.raises(Refused, match="no pair"):
        single_level(pineda, followers=[pineda.f], assert_bounds={"f.rwo": 1.0})


def test_the_report_per_m_has_the_distance_of_the_solution(pineda: Any) -> None:
    summary = single_level(pineda, followers=[pineda.f]).solve().summary()
    by_side = {(m["name"], m["side"]): m for m in summary["big_m"]}
    assert by_side["f.row.upper", "multiplier"]["distance"] == pytest.approx(0.0, abs=1e-3)
    assert by_side["f.row.upper", "slack"]["distance"] == pytest.approx(1.0, abs=1e-3)
    assert all(m["distance"] >= -1e-6 for m in summary["big_m"])


def _cournot() -> Any:
    """A leader and two followers sell q at price 10 - sum q, cost 1: q0 = 4.5, q = 1.5 each, profit 6.75."""
    model = pyo.ConcreteModel()
    model.q = pyo.Var(bounds=(0, 10))
    for name in ("a", "b"):
        model.add_component(name, pyo.Block())
        model.component(name).q = pyo.Var(bounds=(0, 10))
    for own, other in ((model.a, model.b), (model.b, model.a)):
        profit = (9 - model.q - other.q) * own.q - own.q**2
        own.profit = pyo.Objective(expr=profit, sense=pyo.maximize)
    model.profit = pyo.Objective(expr=(9 - model.q - model.a.q - model.b.q) * model.q, sense=pyo.maximize)
    return model


@pytest.mark.parametrize(("mode", "solver"), [e for e in EVERY if e[1] != "highs"])
def test_several_maximising_followers_that_know_each_other(mode: str, solver: str) -> None:
    model = _cournot()
    solution = single_level(model, followers=[model.a, model.b], mode=mode, solver=solver).solve()
    assert solution.leader_objective == pytest.approx(6.75, rel=1e-5)
    assert solution.follower_objectives == pytest.approx((2.25, 2.25), abs=1e-3)


def _wardrop() -> Any:
    """Ten vehicles, two routes 1 + w1 + toll and 5 + w2; users' equilibrium as complementary conditions."""
    model = pyo.ConcreteModel()
    model.toll = pyo.Var(bounds=(0, 20))
    model.users = block = pyo.Block()
    block.w = pyo.Var([1, 2], bounds=(0, 10))
    block.cheapest = pyo.Var(bounds=(0, 100))
    cost = {1: 1 + block.w[1] + model.toll, 2: 5 + block.w[2]}
    block.demand = pyo.Constraint(expr=block.w[1] + block.w[2] == 10)
    block.wardrop = Complementarity([1, 2], rule=lambda b, k: complements(b.w[k] >= 0, b.cheapest <= cost[k]))
    model.o = pyo.Objective(expr=3 * block.w[1] + model.toll, sense=pyo.maximize)
    return model


@pytest.mark.parametrize(("mode", "solver"), EVERY)
def test_an_equilibrium_gives_its_pairs_directly(mode: str, solver: str) -> None:
    """w1 = 7 - toll/2 until toll 14: 3 w1 + toll = 21 - toll/2, best at 0; beyond 14 the toll is free: 20."""
    model = _wardrop()
    solution = single_level(model, followers=[model.users], mode=mode, solver=solver).solve()
    assert solution.leader_objective == pytest.approx(21.0, rel=1e-6)
    assert solution.variables["users.w[1]"] == pytest.approx(7.0, abs=1e-5)
    assert solution.verdict == "CERTIFIED"


def test_an_integer_leader_and_a_coupling_row_on_the_answer() -> None:
    """x in {0..4}, y = max(0, 3 - x); max x subject to the leader's y >= 1.5: x = 1."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 4), domain=pyo.Integers)
    model.f = pyo.Block()
    model.f.y = pyo.Var(bounds=(0, 9))
    model.f.need = pyo.Constraint(expr=model.f.y >= 3 - model.x)
    model.f.cost = pyo.Objective(expr=model.f.y)
    model.coupling = pyo.Constraint(expr=model.f.y >= 1.5)
    model.o = pyo.Objective(expr=model.x, sense=pyo.maximize)
    for mode, solver in EVERY:
        assert (
            single_level(model, followers=[model.f], mode=mode, solver=solver).solve().leader_objective == 1.0
        )


def test_optimistic_ties_go_to_the_leader() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(0, 1))
    model.f = pyo.Block()
    model.f.y = pyo.Var([1, 2], bounds=(0, 1))
    model.f.row = pyo.Constraint(expr=model.f.y[1] + model.f.y[2] >= 1)
    model.f.cost = pyo.Objective(expr=model.f.y[1] + model.f.y[2])
    for k, value in ((1, 5.0), (2, 3.0)):
        model.o = pyo.Objective(expr=5 * model.f.y[k] + model.x * 0 + 0 * value, sense=pyo.maximize)
        assert single_level(model, followers=[model.f]).solve().leader_objective == pytest.approx(5.0)
        model.del_component("o")


def _minimal() -> Any:
    model = pyo.ConcreteModel()
    model.x, model.stray = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    model.f = pyo.Block()
    model.f.y = pyo.Var(bounds=(0, 1))
    model.f.cost = pyo.Objective(expr=model.f.y * model.x)
    model.o = pyo.Objective(expr=model.x + model.f.y)
    return model


def test_refusals_name_the_cause_and_the_cure() -> None:
    model = _minimal()
    for mode in ("sos1", "indicator"):
        with pytest.raises(Refused, match="big_m, or solver scip or gurobi"):
            single_level(model, followers=[model.f], mode=mode)
    with pytest.raises(Refused, match="strong duality of f has products"):
        single_level(model, followers=[model.f], mode="strong_duality")
    with pytest.raises(Refused, match="choose big_m"):
        single_level(model, followers=[model.f], mode="bigm")
    with pytest.raises(Refused, match="highs, gurobi, scip"):
        single_level(model, followers=[model.f], solver="cplex")
    with pytest.raises(Refused, match="no followers"):
        single_level(model)
    model.f.row = pyo.Constraint(expr=model.f.y >= model.stray)
    with pytest.raises(Refused, match="uses stray"):
        single_level(model, leader=[model.x], followers=[model.f])
    assert (
        single_level(model, leader=[model.x, model.stray], followers=[model.f]).solve().verdict == "CERTIFIED"
    )


def test_components_that_would_be_ignored_are_refused() -> None:
    model = _minimal()
    model.wild = Complementarity(expr=complements(model.x >= 0, model.stray >= 0))
    with pytest.raises(Refused, match="wild is a Complementarity"):
        single_level(model, followers=[model.f])


def test_an_unbounded_leader_and_an_unbounded_follower_are_told_apart() -> None:
    model = _minimal()
    model.x.setlb(None)
    model.f.cost.set_value(model.f.y)
    solution = single_level(model, followers=[model.f]).solve()
    assert solution.status == "refused"
    assert "unbounded in the leader's direction" in solution.reason
    model = _minimal()
    model.f.y.setub(None)
    model.f.cost.set_value(-model.f.y)
    solution = single_level(model, followers=[model.f]).solve()
    assert solution.status == "infeasible"
    assert "f is unbounded" in solution.reason


def test_the_summary_holds_no_infinite_number() -> None:
    model = _minimal()
    summary = single_level(model, followers=[model.f]).solve().summary()
    assert {"status", "verdict", "leader_objective", "follower_objective", "variables", "reason"} <= set(
        summary
    )
    import json

    json.dumps(summary, allow_nan=False)


def test_a_false_bound_of_the_solver_is_found_out(pineda: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver that claims infeasibility, or a bound below a known point, doesn't get its way."""
    import mpec.bilevel_solution as solution_module
    from mpec.solvers.session import Solved

    single = single_level(pineda, followers=[pineda.f])

    class Liar:
        def __init__(self, real: Any) -> None:
            self.real = real

        def solve(self, **options: Any) -> Solved:
            solved = self.real.solve(**options)
            if any(single.model.integer) and len(self.real.model.integer) == single.model.columns:
                return Solved("infeasible", None, float("-inf"), None, None, None, 0.0)
            return solved

        def close(self) -> None:
            self.real.close()

    real = solution_module.open_session
    monkeypatch.setattr(solution_module, "open_session", lambda *a, **k: Liar(real(*a, **k)))
    solution = single.solve()
    assert solution.leader_objective == pytest.approx(102.0)
    assert solution.verdict == "EQUILIBRIUM"
    assert "FALSE" in solution.reason


def test_followers_may_be_one_block_or_an_indexed_block() -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(["a", "b"], bounds=(0, 4))

    def follower(block: Any, s: str) -> None:
        block.inner = pyo.Block()
        block.inner.y = pyo.Var(bounds=(0, 10))
        block.row = pyo.Constraint(expr=block.inner.y >= block.model().x[s])
        block.cost = pyo.Objective(expr=block.inner.y)

    model.f = pyo.Block(["a", "b"], rule=follower)
    model.total = pyo.Constraint(expr=model.x["a"] + model.x["b"] <= 6)
    model.o = pyo.Objective(expr=model.f["a"].inner.y + 2 * model.f["b"].inner.y, sense=pyo.maximize)
    for followers in (model.f, [model.f], [model.f["a"], model.f["b"]]):
        assert single_level(model, followers=followers).solve().leader_objective == pytest.approx(10.0)
    model.del_component("f")
    with pytest.raises(Refused, match="no Pyomo block"):
        single_level(model, followers="f")
