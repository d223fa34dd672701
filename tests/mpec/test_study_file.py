"""Study files: what they expand to, and every way to get one wrong: file, key, value and cure, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from mpec.cli import main
from mpec.studies.study_file import StudyError, read_study

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
question = "What does it do?"

[all]
instance = "two-period-residual"
xi = [0.0, 0.5]
quick = { periods = 1 }

[[runs]]
name = "exact"
method = "exact"
gap = 0.01
quick = { gap = 0.1 }

[[runs]]
name = "heuristic"
method = "heuristic"
seeds = 3
population = [4, 8]
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_lists_are_multiplied_and_defaults_filled_in(tmp_path: Path):
    study = read_study(written(tmp_path, GOOD))
    assert [run.block for run in study.runs] == ["exact"] * 2 + ["heuristic"] * 12
    assert {(r.game.users.xi, r.settings["population"], r.seed) for r in study.block("heuristic")} == {
        (xi, n, seed) for xi in (0.0, 0.5) for n in (4, 8) for seed in (0, 1, 2)
    }
    assert study.block("exact")[0].settings["recheck"] is True
    assert len({run.folder for run in study.runs}) == 14


def test_price_steps_are_games_of_their_own(tmp_path: Path):
    text = GOOD.replace("xi = [0.0, 0.5]", "price_step = [0.05, 0.1]")
    runs = read_study(written(tmp_path, text)).block("exact")
    assert [{s.price_step for s in run.game.stations} for run in runs] == [{0.05}, {0.1}]
    assert [run.case["price_step"] for run in runs] == [0.05, 0.1]
    assert all(f"step{run.price_step:g}" in run.folder and "price step" in run.label() for run in runs)
    assert read_study(written(tmp_path, GOOD)).runs[0].case["price_step"] is None


def test_quick_changes_what_it_names_and_nothing_else(tmp_path: Path):
    study = read_study(written(tmp_path, GOOD), quick=True)
    assert len(study.runs) == 14
    assert {len(run.game.periods) for run in study.runs} == {1}
    assert {run.settings["gap"] for run in study.block("exact")} == {0.1}


def test_equal_runs_of_two_blocks_are_one_run(tmp_path: Path):
    block = '\n[[runs]]\nname = "again"\nmethod = "heuristic"\nseeds = 2\npopulation = 4\n'
    assert len(read_study(written(tmp_path, GOOD + block)).runs) == 14


def test_identity_follows_everything_that_can_change_the_result(tmp_path: Path):
    runs = read_study(written(tmp_path, GOOD)).runs
    changed = read_study(written(tmp_path, GOOD.replace("gap = 0.01", "gap = 0.02"))).runs
    assert len({run.identity for run in runs}) == len(runs)
    assert runs[0].identity != changed[0].identity
    assert runs[-1].identity == changed[-1].identity


def test_a_robust_run_starts_from_the_run_of_the_same_game(tmp_path: Path):
    block = '\n[[runs]]\nname = "robust"\nmethod = "robust"\nof = "exact"\nradius = [0.01, 0.1]\n'
    study = read_study(written(tmp_path, GOOD + block))
    robust = study.block("robust")
    assert len(robust) == 4
    assert all(run.base is not None and run.base.game == run.game for run in robust)
    assert study.runs.index(robust[0]) > study.runs.index(study.block("exact")[-1])


@pytest.mark.parametrize(
    ("change", "key", "value", "cure"),
    [
        (("gap = 0.01", "gapp = 0.01"), "runs[1].gapp", "0.01", "Did you mean gap?"),
        (("gap = 0.01", "gap = '1 %'"), "runs[1].gap", "1 %", "Give a target gap from 0 to 1"),
        (("gap = 0.01", "gap = 2.0"), "runs[1].gap", "2.0", "from 0 to 1"),
        (("gap = 0.01", "gap = nan"), "runs[1].gap", "nan", "from 0 to 1"),
        (("gap = 0.01", "population = 5"), "runs[1].population", "5", "Keys that can stand here"),
        (("gap = 0.01", "sweeps = 0"), "runs[1].sweeps", "0", "whole number >= 1"),
        (("gap = 0.01", "sweeps = 1.5"), "runs[1].sweeps", "1.5", "whole number >= 1"),
        (("gap = 0.01", "recheck = 1"), "runs[1].recheck", "1", "true or false"),
        (("seeds = 3", "seeds = true"), "runs[2].seeds", "True", "whole number from 1 to 10000"),
        (("seeds = 3", "seeds = [4, 8]"), "runs[2].seeds", "[4, 8]", "seed = [4, 8]"),
        (("seeds = 3", "seed = [0, -1]"), "runs[2].seed", "-1", "whole number >= 0"),
        (("[4, 8]", "[]"), "runs[2].population", "[]", "whole number >= 2"),
        (('method = "exact"', 'method = "exactly"'), "runs[1].method", "exactly", "Choose one of exact"),
        (('name = "exact"', 'name = "heuristic"'), "runs[2].name", "heuristic", "its own name"),
        (('name = "exact"', 'name = "a/b"'), "runs[1].name", "a/b", "letters, digits"),
        (("xi = [0.0, 0.5]", "xi = 'half'"), "all.xi", "half", "a number >= 0"),
        (("xi = [0.0, 0.5]", "tariff = 'dlpm'"), "all.tariff", "dlpm", "one of fixed, dlmp, regulated"),
        (("xi = [0.0, 0.5]", "periods = '9-3'"), "all.periods", "9-3", "first label first"),
        (("xi = [0.0, 0.5]", "periods = '1-99'"), "periods", "1-99", "Change the key"),
        (("two-period-residual", "no-such-place"), "instance", "no-such-place", "Bundled are"),
        (('question = "What does it do?"', ""), "question", None, "one sentence"),
        (('question = "What does it do?"', 'question = "?"\nanalysis = "x"'), "analysis", "x", "tariff-and-"),
        (("quick = { periods = 1 }", "quick = 1"), "all.quick", "1", "Write quick ="),
        (("quick = { gap = 0.1 }", "quick = { gab = 1 }"), "runs[1].quick.gab", "1", "Did you mean gap?"),
        (("[[runs]]", "[[run]]"), "runs", None, "at least one [[runs]]"),
    ],
)  # fmt: skip
def test_bad_files_are_refused_with_key_value_and_cure(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: tuple[str, str],
    key: str,
    value: str | None,
    cure: str,
):
    path = written(tmp_path, GOOD.replace(*change))
    assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert str(path) in said
    assert key in said
    assert value is None or value in said
    assert cure in said
    assert "nothing was run" in said
    assert not (tmp_path / "out").exists()


def test_all_problems_are_told_at_once(tmp_path: Path):
    text = GOOD.replace("gap = 0.01", "gap = 7").replace("seeds = 3", "sedes = 3").replace("[0.0, 0.5]", "-1")
    with pytest.raises(StudyError) as caught:
        read_study(written(tmp_path, text))
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"question = what", "is not TOML"),
        (b"question = '\xff'", "not UTF-8"),
        (b"", "at least one [[runs]]"),
    ],
)
def test_what_is_no_toml_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    assert main(["study", str(path), "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["study", str(tmp_path / "nothing.toml")]) == 2
    said = capsys.readouterr().err
    assert "nothing.toml" in said
    assert "Check the name" in said


def test_a_robust_block_without_its_base_is_refused(tmp_path: Path):
    block = '\n[[runs]]\nname = "robust"\nmethod = "robust"\nof = "nobody"\n'
    with pytest.raises(StudyError, match="is no earlier block with a run of the same game"):
        read_study(written(tmp_path, GOOD + block))


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    "name", ["tariff-and-residual", "kappa-xi", "optimality-gaps", "value-of-anticipation"]
)
def test_the_studies_of_the_repository_can_be_read(name: str, quick: bool):
    study = read_study(ROOT / "results" / name / "study.toml", quick=quick)
    assert study.analysis == study.name == name
    assert study.question.endswith("?")
    if not quick and name in ("tariff-and-residual", "kappa-xi"):
        seeds = {run.seed for run in study.block("heuristic")}
        assert len(seeds) >= 10
