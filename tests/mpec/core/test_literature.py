"""Published bilevel problems: every mode and solver that applies gives the published value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpec.literature import build_case, load_cases, run_all, run_case, summary_text, write_table
from mpec.reformulation import MODES, single_level
from mpec.solvers import SOLVERS

FILE = Path(__file__).parents[2] / "data" / "bilevel_cases.json"
CASES = {case["name"]: case for case in load_cases(FILE)}

QUADRATIC = [n for n, c in CASES.items() if c["class"].startswith("QP") and "(x*y)" not in c["class"]]
INTEGER = [n for n, c in CASES.items() if c["class"].startswith("MILP")]
LINEAR = [n for n in CASES if n not in QUADRATIC + INTEGER]
"""Linear leader: HiGHS takes them in mode big_m, products with prices and x*y costs included."""

TRULY_UNBOUNDED = "bj_qp_lower_siddiqui_gabriel"
"""Leader and followers without upper bounds and a quadratic leader: no finite M exists."""


def _member(case: dict[str, Any], x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the point lies in the published optimal set (or its coordinate ranges)."""
    optimum = case["optimum"]
    point = np.concatenate([x, y])
    if optimum.get("unique_xy"):
        return bool(np.allclose(point, [*optimum["x"], *optimum["y"]], atol=2e-3, rtol=1e-4))
    ranges = optimum.get("optimal_set_coordinate_ranges")
    if ranges is None:
        return True
    return all(low - 2e-3 <= v <= high + 2e-3 for v, (low, high) in zip(point, ranges, strict=True))


@pytest.mark.parametrize("name", LINEAR)
def test_highs_solves_every_problem_with_a_linear_leader(name: str) -> None:
    case = CASES[name]
    model, prices = build_case(case)
    solution = single_level(model, followers=[model.follower], prices=prices).solve()
    published = case["optimum"].get("leader_objective")
    if published is None:
        assert solution.status == "infeasible"
        assert solution.verdict == "INFEASIBLE"
        return
    assert solution.leader_objective == pytest.approx(published, rel=1e-6, abs=1e-6)
    assert solution.verdict == "CERTIFIED"
    assert all(m.bound.proven for m in solution.big_m)
    x = np.array([v.value for v in model.x.values()])
    y = np.array([v.value for v in model.follower.y.values()])
    assert _member(case, x, y), (x, y)


@pytest.mark.parametrize("name", QUADRATIC)
def test_highs_refuses_quadratic_leaders_and_names_who_takes_them(name: str) -> None:
    outcome = run_case(CASES[name], "big_m", "highs")
    assert outcome.outcome == "refused"
    assert "products of variables" in outcome.reason


@pytest.mark.parametrize("name", INTEGER)
@pytest.mark.parametrize("mode", list(MODES))
def test_integer_followers_are_refused_in_every_mode(name: str, mode: str) -> None:
    outcome = run_case(CASES[name], mode, "scip")
    assert outcome.outcome == "refused"
    assert "integer variables (follower.y[0])" in outcome.reason


@pytest.mark.parametrize(
    ("mode", "solver"), [("sos1", "scip"), ("indicator", "gurobi"), ("strong_duality", "scip")]
)
@pytest.mark.parametrize("name", QUADRATIC + LINEAR[::3])
def test_other_modes_and_solvers_agree(name: str, mode: str, solver: str) -> None:
    outcome = run_case(CASES[name], mode, solver)
    assert outcome.outcome == "right", outcome
    assert outcome.verdict in ("CERTIFIED", "EQUILIBRIUM", "INFEASIBLE")


@pytest.mark.parametrize("name", [n for n in QUADRATIC if n != TRULY_UNBOUNDED])
def test_big_m_takes_quadratic_leaders_on_gurobi(name: str) -> None:
    case = CASES[name]
    model, prices = build_case(case)
    solution = single_level(
        model, followers=[model.follower], mode="big_m", solver="gurobi", prices=prices
    ).solve()
    assert solution.leader_objective == pytest.approx(case["optimum"]["leader_objective"], rel=1e-6, abs=1e-6)
    x = np.array([v.value for v in model.x.values()])
    y = np.array([v.value for v in model.follower.y.values()])
    assert _member(case, x, y), (x, y)


def test_a_truly_unbounded_problem_is_refused_by_big_m_and_solved_by_sos1() -> None:
    case = CASES[TRULY_UNBOUNDED]
    refused = run_case(case, "big_m", "gurobi")
    assert refused.outcome == "refused"
    assert "no finite bound" in refused.reason
    assert run_case(case, "sos1", "gurobi").outcome == "right"


def test_the_table_states_counts_per_mode_and_solver(tmp_path: Path) -> None:
    outcomes = run_all([CASES["pineda_unscaled"]])
    assert len(outcomes) == len(MODES) * len(SOLVERS)
    write_table(outcomes, tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text == summary_text(outcomes)
    assert "| big_m | highs | 1 | 0 | 0 | 0 | 1 |" in text
    rows = (tmp_path / "results.csv").read_text().splitlines()
    assert rows[0].startswith("problem,kind,mode,solver,outcome,value,published,verdict,seconds")
    assert len(rows) == 1 + len(outcomes)


@pytest.mark.long
def test_the_whole_table_has_no_wrong_value() -> None:
    outcomes = run_all(CASES.values())
    assert not [o for o in outcomes if o.outcome in ("WRONG", "failed")]
    taken = {(o.mode, o.solver) for o in outcomes if o.outcome == "right"}
    assert len(taken) == 10, "all but sos1 and indicator on HiGHS"
