"""MPS + AUX pairs in both dialects, bad files, and the exported single-level model."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import highspy
import pyomo.environ as pyo
import pytest

from mpec.bilevel_files import BilevelFileError, read_bilevel, solve_bilevel, write_bilevel
from mpec.leader import compile_bilevel
from mpec.literature import build_case, load_cases
from mpec.reformulation import single_level
from mpec.refusals import Refused

CASES = load_cases(Path(__file__).parents[2] / "data" / "bilevel_cases.json")
GENERAL = """NAME generalExample
ROWS
 L  R0
 L  R1
 L  R2
 L  R3
 N  R4
COLUMNS
    INT1 'MARKER' 'INTORG'
    C0   R0       -3
    C0   R1       1
    C0   R2       2
    C0   R3       -2
    C0   R4       -1
    INT1END 'MARKER' 'INTEND'
    C1   R0       2
    C1   R1       2
    C1   R2       -1
    C1   R3       4
    C1   R4       -7
RHS
    B    R0       12
    B    R1       20
    B    R2       7
    B    R3       16
BOUNDS
 UP BOUND C0      10
 UP BOUND C1      5
ENDATA
"""
BY_NAME = (
    "@NUMVARS\n1\n@NUMCONSTRS\n2\n@VARSBEGIN\nC1 1.\n@VARSEND\n@CONSTRSBEGIN\nR2\nR3\n@CONSTRSEND\n"
    "@NAME\nGeneral Example\n@MPS\ngeneral.mps\n"
)
BY_INDEX = "N 1\nM 2\nLC 1\nLR 2\nLR 3\nLO 1\nOS 1\n"


def _written(folder: Path, aux: str = BY_NAME, mps: str = GENERAL) -> Path:
    (folder / "general.mps").write_text(mps)
    (folder / "general.aux").write_text(aux)
    return folder / "general.mps"


@pytest.mark.parametrize("aux", [BY_NAME, BY_INDEX])
def test_both_dialects_read_the_same_problem(tmp_path: Path, aux: str) -> None:
    """min -x - 7y, x integer, y in argmin{y : 2x - y <= 7, -2x + 4y <= 16, y <= 5}: x = 6, y = 5."""
    result = solve_bilevel(_written(tmp_path, aux))
    assert (result["status"], result["verdict"]) == ("optimal", "CERTIFIED")
    assert result["leader_objective"] == pytest.approx(-41.0)
    assert result["follower_objective"] == pytest.approx(5.0)
    assert result["variables"] == pytest.approx({"C0": 6.0, "C1": 5.0})
    json.dumps(result, allow_nan=False)


def test_a_maximising_follower_in_the_index_dialect(tmp_path: Path) -> None:
    result = solve_bilevel(_written(tmp_path, BY_INDEX.replace("LO 1", "LO -1").replace("OS 1", "OS -1")))
    assert result["leader_objective"] == pytest.approx(-41.0)
    assert result["follower_objective"] == pytest.approx(-5.0), "as the follower states it"


def test_integer_followers_are_refused_not_relaxed(tmp_path: Path) -> None:
    mps = GENERAL.replace("    INT1END 'MARKER' 'INTEND'\n", "").replace(
        "RHS\n", "    E 'MARKER' 'INTEND'\nRHS\n", 1
    )
    with pytest.raises(Refused, match="C1"):
        read_bilevel(_written(tmp_path, mps=mps))


def test_compressed_files_and_other_places(tmp_path: Path) -> None:
    path = _written(tmp_path)
    packed = tmp_path / "packed.mps.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    result = solve_bilevel(packed, aux=tmp_path / "general.aux", mode="sos1", solver="scip")
    assert result["leader_objective"] == pytest.approx(-41.0)


@pytest.mark.parametrize(
    ("aux", "words"),
    [
        (BY_NAME.replace("C1 1.", "C7 1."), "'C7' is no column"),
        (BY_NAME.replace("R3\n@CONSTRSEND", "R9\n@CONSTRSEND"), "'R9' is no row"),
        (BY_NAME.replace("@NUMVARS\n1", "@NUMVARS\n2"), "says 2 variables, but 1"),
        (BY_INDEX.replace("LC 1", "LC 2"), "outside 0 ... 1"),
        (BY_INDEX.replace("M 2", "M 3"), "M says 3"),
        (BY_INDEX.replace("LO 1\n", ""), "LO"),
        (BY_INDEX.replace("OS 1", "OS 2"), "must be 1"),
        (BY_INDEX.replace("LR 3", "LR 2"), "listed twice"),
        (BY_INDEX.replace("LR 2", "LX 2"), "'LX' is not a key"),
        ("N 0\nM 0\nOS 1\n", "no columns"),
    ],
)
def test_bad_aux_files_are_named(tmp_path: Path, aux: str, words: str) -> None:
    with pytest.raises(BilevelFileError) as caught:
        read_bilevel(_written(tmp_path, aux))
    assert words in str(caught.value)
    assert "general.aux" in str(caught.value)


def test_missing_files_say_which_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(BilevelFileError, match="no such file"):
        read_bilevel(tmp_path / "none.mps")
    (tmp_path / "alone.mps").write_text(GENERAL)
    with pytest.raises(BilevelFileError, match="--aux"):
        read_bilevel(tmp_path / "alone.mps")
    (tmp_path / "broken.mps").write_text("this is no model\n")
    (tmp_path / "broken.aux").write_text(BY_NAME)
    with pytest.raises(BilevelFileError):
        read_bilevel(tmp_path / "broken.mps")


def test_interdiction_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="interdiction"):
        read_bilevel(_written(tmp_path, BY_INDEX + "IC 1\n"))


@pytest.mark.parametrize("dialect", ["names", "index"])
@pytest.mark.parametrize(
    "case", [c for c in CASES if c["class"] == "LP-LP"][::4], ids=lambda c: str(c["name"])
)
def test_written_pairs_read_back_with_the_same_optimum(tmp_path: Path, case: Any, dialect: Any) -> None:
    model, _ = build_case(case)
    path, aux = write_bilevel(
        compile_bilevel(model, followers=[model.follower]), tmp_path / "p.mps", dialect=dialect
    )
    assert aux.read_text().startswith("@NUMVARS" if dialect == "names" else "N ")
    result = solve_bilevel(path)
    sign = -1.0 if case["leader"]["sense"] == "max" else 1.0
    assert result["leader_objective"] == pytest.approx(sign * case["optimum"]["leader_objective"], rel=1e-6)


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    case = next(c for c in CASES if c["class"] == "LP-LP(x*y)")
    model, _ = build_case(case)
    with pytest.raises(Refused, match="linear problems only"):
        write_bilevel(compile_bilevel(model, followers=[model.follower]), tmp_path / "p.mps")


@pytest.mark.parametrize("ending", [".mps", ".lp"])
def test_the_exported_model_is_readable_and_has_the_same_optimum(
    pineda: Any, tmp_path: Path, ending: str
) -> None:
    single = single_level(pineda, followers=[pineda.f])
    path = tmp_path / f"model{ending}"
    single.export(str(path))
    text = path.read_text()
    assert "stationarity" in text
    assert "active" in text
    reader = highspy.Highs()
    reader.setOptionValue("output_flag", False)
    assert reader.readModel(str(path)) == highspy.HighsStatus.kOk
    reader.run()
    assert reader.getObjectiveValue() == pytest.approx(102.0, rel=1e-5)
    with pytest.raises(Refused, match=r"\.mps or \.lp"):
        single.export(str(tmp_path / "model.txt"))


def test_sos1_models_go_into_lp_files_only(pineda: Any, tmp_path: Path) -> None:
    import pyscipopt

    single = single_level(pineda, followers=[pineda.f], mode="sos1", solver="scip")
    with pytest.raises(Refused, match=r"Write \.lp"):
        single.export(str(tmp_path / "model.mps"))
    single.export(str(tmp_path / "model.lp"))
    solver = pyscipopt.Model()
    solver.hideOutput()
    solver.readProblem(str(tmp_path / "model.lp"))
    solver.optimize()
    assert solver.getObjVal() == pytest.approx(102.0, rel=1e-6)


def test_ranges_free_and_fixed_columns_survive_a_round_trip(tmp_path: Path) -> None:
    model = pyo.ConcreteModel()
    model.x = pyo.Var(bounds=(-3, 7.5), domain=pyo.Integers)
    model.free, model.fixed = pyo.Var(), pyo.Var(bounds=(2, 2))
    model.f = pyo.Block()
    model.f.y = pyo.Var(bounds=(None, 4))
    model.f.cost = pyo.Objective(expr=model.f.y)
    model.f.range = pyo.Constraint(expr=(-2, model.f.y - model.x + 0.125 * model.fixed, 6.0625))
    model.row = pyo.Constraint(expr=model.free == model.x / 3 + model.f.y)
    model.o = pyo.Objective(expr=model.free + 1.5 * model.x + 0.1)
    problem = compile_bilevel(model, followers=[model.f])
    path, _ = write_bilevel(problem, tmp_path / "round.mps")
    again = read_bilevel(path)
    for attribute in ("lower", "upper", "integer", "cost", "constant", "row_lower", "row_upper"):
        assert getattr(again.model, attribute) == getattr(problem.model, attribute), attribute
    mine, theirs = problem.followers[0].optimiser, again.followers[0].optimiser
    assert (mine.matrix != theirs.matrix).nnz == 0
    assert mine.row_upper.tolist() == theirs.row_upper.tolist()
