"""Every tolerance that a solver is given is stated once, in mpec.tolerances, and reaches the solver."""

import ast
from pathlib import Path

import pytest

import mpec
from mpec import tolerances
from mpec.linear_model import LinearModel
from mpec.solvers.highs import HighsSession

PACKAGE = Path(mpec.__file__).parent
WORDS = ("tolerance", "feastol", "feasibilitytol", "optimalitytol", "intfeastol", "dualfeastol", "epsilon")


def loose_numbers(source: str) -> list[int]:
    """Lines that give a solver option with a tolerance's name a number written out on the spot."""
    found = []
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call):
            parts = [*node.args, *(k.value for k in node.keywords)]
            named = any(_named(part) for part in parts)
        elif isinstance(node, ast.Tuple):
            parts, named = node.elts, any(_named(part) for part in node.elts)
        elif isinstance(node, ast.Assign):
            parts = [node.value]
            named = any(isinstance(t, ast.Attribute) and t.attr.lower() in WORDS for t in node.targets)
        else:
            continue
        if named and any(_number(part) for part in parts):
            found.append(node.lineno)
    return found


def _named(part: ast.expr) -> bool:
    if not (isinstance(part, ast.Constant) and isinstance(part.value, str) and " " not in part.value):
        return False
    return any(part.value.lower().endswith(word) for word in WORDS)


def _number(part: ast.expr) -> bool:
    return isinstance(part, ast.Constant) and isinstance(part.value, float)


@pytest.mark.parametrize(
    "line",
    [
        'highs.setOptionValue("primal_feasibility_tolerance", 1e-7)',
        'options = [("mip_feasibility_tolerance", 1e-6)]',
        'model.setParam("numerics/feastol", 1e-9)',
        "built.Params.OptimalityTol = 1e-5",
    ],
)
def test_the_search_finds_numbers_written_on_the_spot(line):
    assert loose_numbers(line) == [1]


def test_no_module_gives_a_solver_a_tolerance_of_its_own():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 200
    loose = [f"{f.relative_to(PACKAGE)}:{n}" for f in files for n in loose_numbers(f.read_text())]
    assert loose == []


def small_model() -> LinearModel:
    model = LinearModel("small", maximise=True)
    model.add_variable("x", 0.0, 2.5, cost=1.0, integer=True)
    return model


def test_highs_works_with_the_stated_tolerances_before_and_after_a_second_try():
    session = HighsSession(small_model())
    for _ in range(2):
        told = [
            session._highs.getOptionValue(name)[1]
            for name in (
                "primal_feasibility_tolerance",
                "dual_feasibility_tolerance",
                "mip_feasibility_tolerance",
            )
        ]
        assert told == [
            tolerances.PRIMAL_FEASIBILITY,
            tolerances.DUAL_FEASIBILITY,
            tolerances.MIP_FEASIBILITY,
        ]
        assert session.solve().objective == 2.0
        session._again()


def test_scip_works_with_the_stated_tolerance():
    pytest.importorskip("pyscipopt")
    from mpec.solvers.scip import ScipSession

    built, _ = ScipSession(small_model())._build()
    assert built.getParam("numerics/feastol") == tolerances.MIP_FEASIBILITY
