"""Studies run: killed and resumed they end as if nothing had happened; two at once are refused."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mpec.cli import main
from mpec.executors import Tasks
from mpec.storage import FolderLock
from mpec.studies.campaign import remaining
from mpec.studies.rows import COLUMNS, TIMES
from mpec.studies.study_file import read_study

TINY = """
question = "Does a study survive?"
analysis = "tariff-and-residual"
[all]
instance = "two-period-residual"
tariff = ["fixed", "dlmp"]
xi = 0.5
[[runs]]
name = "exact"
method = "exact"
gap = 1e-3
sweeps = 2
quick = { tariff = "fixed" }
[[runs]]
name = "heuristic"
method = "heuristic"
population = 6
iterations = 8
seeds = 4
quick = { tariff = "fixed", seeds = 2 }
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "study.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def through(tiny: Path) -> Path:
    """The study run in one go."""
    out = tiny.parent / "through"
    assert main(["study", str(tiny), "--out", str(out), "--workers", "1"]) == 0
    return out


def rows_of(out: Path) -> list[dict[str, str]]:
    with open(out / "rows.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def assert_equal_but_for_times(first: list[dict[str, str]], second: list[dict[str, str]]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        for column in (name for name in COLUMNS if name not in TIMES):
            try:
                assert float(a[column]) == pytest.approx(float(b[column]), rel=1e-9, abs=1e-9), column
            except ValueError:
                assert a[column] == b[column]


def stored(out: Path) -> dict[str, int]:
    """Run folder -> time of its result."""
    return {p.parent.name: p.stat().st_mtime_ns for p in out.glob("runs/*/equilibrium.json")}


def test_killed_three_times_and_resumed_it_ends_with_the_same_rows(tiny: Path, through: Path):
    out = tiny.parent / "killed"
    command = [sys.executable, "-m", "mpec", "study", str(tiny), "--out", str(out)]
    kept: dict[str, int] = {}
    for more in (["--workers", "1"], ["--resume", "--workers", "2"], ["--resume", "--workers", "1"]):
        with subprocess.Popen(
            [*command, *more], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            limit = time.monotonic() + 60
            while len(stored(out)) < len(kept) + 2 and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.02)
            assert process.poll() is None, "the study ended before it could be killed"
            process.send_signal(signal.SIGKILL)
        assert not (out / "rows.csv").exists()
        now = stored(out)
        assert kept.items() <= now.items(), "a finished run was lost or run again"
        assert len(now) >= len(kept) + 2
        kept = now
    assert main(["study", str(tiny), "--out", str(out), "--resume", "--workers", "1"]) == 0
    assert kept.items() <= stored(out).items()
    assert_equal_but_for_times(rows_of(out), rows_of(through))


def test_a_damaged_run_is_run_again_and_only_that(tiny: Path, through: Path, tmp_path: Path):
    out = tmp_path / "copy"
    shutil.copytree(through, out)
    before = stored(out)
    victim = sorted(before)[-1]
    file = out / "runs" / victim / "equilibrium.json"
    file.write_text(file.read_text()[:100])
    assert main(["study", str(tiny), "--out", str(out), "--resume", "--workers", "1"]) == 0
    after = stored(out)
    assert {name for name in before if before[name] != after[name]} == {victim}
    assert_equal_but_for_times(rows_of(out), rows_of(through))


def test_a_second_process_is_refused(tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    code = (
        "import sys, time; from mpec.storage import FolderLock\n"
        "with FolderLock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        assert main(["study", str(tiny), "--out", str(out), "--quick"]) == 2
        other.kill()
    assert "process" in capsys.readouterr().err
    assert not FolderLock.holds(out)


def test_what_is_there_is_neither_overwritten_nor_mixed(
    tiny: Path, through: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["study", str(tiny), "--out", str(through)]) == 2
    assert "--resume" in capsys.readouterr().err
    (tmp_path / "README.md").write_text("my own notes")
    assert main(["study", str(tiny), "--out", str(tmp_path), "--quick"]) == 2
    assert "was not made by a study" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "my own notes"


def test_equal_runs_of_another_study_are_taken_over(tiny: Path, through: Path, tmp_path: Path):
    other = tmp_path / "other.toml"
    other.write_text(TINY.replace("seeds = 4", "seeds = 6"), encoding="utf-8")
    text = other.read_text().replace('analysis = "tariff-and-residual"', f'reuse = "{through}"')
    other.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    assert main(["study", str(other), "--out", str(out), "--workers", "1"]) == 0
    old, new = stored(through), stored(out)
    assert len(new) == len(old) + 4
    assert all(new[name] == old[name] for name in old)


def test_the_quick_form_goes_elsewhere(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(p.name for p in tiny.parent.iterdir())
    assert main(["study", str(tiny), "--quick", "--workers", "1"]) == 0
    assert len(rows_of(tmp_path / "runs" / f"{tiny.parent.name}-quick")) == 3
    assert sorted(p.name for p in tiny.parent.iterdir()) == before


def test_a_failed_run_leaves_the_others_and_is_named(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from mpec.studies import runs

    def broken(run: object) -> None:
        raise ArithmeticError("the solver lost its way")

    monkeypatch.setattr(runs, "_exact", broken)
    out = tmp_path / "out"
    assert main(["study", str(tiny), "--quick", "--out", str(out), "--workers", "1"]) == 1
    assert "the solver lost its way" in capsys.readouterr().err
    assert len(stored(out)) == 2
    monkeypatch.undo()
    assert main(["study", str(tiny), "--quick", "--out", str(out), "--resume", "--workers", "1"]) == 0


def test_the_estimate_of_the_rest_follows_the_pace_of_each_method(tiny: Path):
    study = read_study(tiny)
    exact, searched = study.block("exact"), study.block("heuristic")
    assert remaining(study.runs, {exact[0].folder: 10.0}, 1) is None
    done = {exact[0].folder: 10.0, searched[0].folder: 1.0}
    assert remaining(study.runs, done, 1) == pytest.approx(10.0 + 7 * 1.0)
    assert remaining(study.runs, done, 2) == pytest.approx((10.0 + 7 * 1.0) / 2)


def _die_once(marker: str, number: int) -> int:
    path = Path(marker)
    if number == 1 and not path.exists():
        path.touch()
        os._exit(1)
    return number * number


def test_a_dead_worker_s_task_is_sent_again(tmp_path: Path):
    tasks = Tasks(2)
    try:
        found = dict(tasks.each(_die_once, [(str(tmp_path / "died"), n) for n in range(5)]))
    finally:
        tasks.close()
    assert found == {n: n * n for n in range(5)}
