"""Kills, full disks, dead workers, damaged files, two runs in one folder: nothing lost, a word about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import instances
from mpec import kill_drill, result_folder
from mpec.certificate import certify_folder
from mpec.executors import Tasks
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.random_games import Size, random_game
from mpec.recheck import recheck_bound
from mpec.storage import FolderLock, ResultError

COMMAND = ("solve", "two-period-residual", "--gap", "1e-4", "--workers", "1")


def mpec(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mpec", *arguments],
        capture_output=True, text=True, check=False, timeout=120, env={**os.environ, **more},
    )  # fmt: skip


def test_five_kills_of_a_solve_lose_nothing(tmp_path: Path) -> None:
    """The long form is `python -m mpec.kill_drill` (50 kills)."""
    kills = kill_drill.drill(COMMAND, 5, tmp_path)
    assert [k.faults for k in kills] == [[]] * 5
    assert "| kills | 5 |" in kill_drill.summary(COMMAND, kills)


def test_a_run_that_reached_its_gap_is_gone_on_with_for_a_smaller_one(tmp_path: Path) -> None:
    """That is what a finished result's checkpoint is for: with --resume the rows go on, the bound falls on."""
    game, folder = random_game(27, Size()), tmp_path / "run"
    with result_folder.begin(folder):
        first = solve_game(game, SolveOptions(gap=0.5, workers=1, out=folder))
        result_folder.write(first, None, folder)
    assert first.status == "optimal"
    before = (folder / "bounds.csv").read_text().splitlines()
    with result_folder.begin(folder, resume=True):
        second = solve_game(game, SolveOptions(gap=1e-4, workers=1, out=folder, resume=True))
    after = (folder / "bounds.csv").read_text().splitlines()
    assert (second.status, after[: len(before)]) == ("optimal", before)
    assert len(after) > len(before)
    assert first.upper_bound is not None
    assert second.upper_bound is not None
    assert second.upper_bound < first.upper_bound - 1e-4 * first.upper_bound


# ---- damaged files -----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "result"
    game = instances.load("two-period-residual").select(tariff="dlmp")
    options = SolveOptions(gap=1e-4, time_limit=60.0, workers=1, out=folder)
    with result_folder.begin(folder):
        result = solve_game(game, options)
        result_folder.write(result, judge(result, gap=1e-4, recheck=True, pessimistic_seconds=0), folder)
    return folder


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_truncated_and_corrupted_files_never_make_a_wrong_verdict(certified: Path, tmp_path: Path) -> None:
    """Every file cut to nothing, cut in half, with bytes turned over: refused with a cure, rejected, or unharmed."""
    rng = np.random.default_rng(3)
    seen = set()
    for name in files(certified):
        if name in ("certificate.json", "checkpoint.npz", ".lock"):
            continue
        whole = (certified / name).read_bytes()
        damaged = [b"", whole[: len(whole) // 2]]
        for _ in range(3):
            bytes_ = bytearray(whole)
            for place in rng.integers(0, max(len(whole), 1), 3):
                if whole:
                    bytes_[place] = int(rng.integers(32, 127))
            damaged.append(bytes(bytes_))
        for content in damaged:
            folder = tmp_path / "damaged"
            shutil.copytree(certified, folder)
            (folder / name).write_bytes(content)
            try:
                _, certificate = certify_folder(
                    folder, target_gap=1e-4, recheck=recheck_bound, pessimistic_seconds=0
                )
                seen.add(certificate.verdict)
                if certificate.verdict == "CERTIFIED":
                    assert certificate.lower_bound == pytest.approx(1240.0, rel=1e-6), name
                    assert certificate.upper_bound is not None
                    assert certificate.upper_bound >= 1240.0 * (1 - 1e-9), name
            except ResultError as error:
                seen.add("refused")
                assert error.cure  # noqa: PT017
            shutil.rmtree(folder)
    assert "refused" in seen
    assert "CERTIFIED" in seen


def test_a_damaged_checkpoint_stops_a_resumed_run_with_a_cure(certified: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(certified, tmp_path / "run"))
    (folder / result_folder.CHECKPOINT).write_bytes(b"PK\x03\x04 no archive")
    game = instances.load("two-period-residual").select(tariff="dlmp")
    with pytest.raises(ResultError, match="without --resume"):
        solve_game(game, SolveOptions(out=folder, resume=True, workers=1))
    equilibrium, _ = certify_folder(folder, pessimistic_seconds=0)
    assert equilibrium.profit == pytest.approx(1240.0)


# ---- disks and folders -------------------------------------------------------------------------
def test_a_disk_that_fills_up_ends_the_run_with_cause_and_cure(tmp_path: Path) -> None:
    """A real file system of 40 kB, where this machine allows to mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip(
            "no right to mount a small file system here (the full disk is faked in test_result_folder)"
        )
    try:
        done = mpec(*COMMAND, "--out", str(disk / "run"))
        assert done.returncode == 2, done.stderr
        assert "No space left" in done.stderr
        assert "Free space" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_in_the_middle_keeps_the_finished_iterations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer works for the first iteration and fails from then on; the run can go on once there is room."""
    import mpec.storage as storage

    game = instances.load("two-period-residual").select(tariff="dlmp")
    honest, written = storage._write, [0]

    def full(path: Path, content: str | bytes) -> None:
        written[0] += 1
        if written[0] > 20:
            raise OSError(28, "No space left on device", str(path))
        honest(path, content)

    monkeypatch.setattr(storage, "_write", full)
    folder = tmp_path / "run"
    options = SolveOptions(gap=1e-4, workers=1, out=folder)
    with pytest.raises(ResultError, match="Free space") as told, result_folder.begin(folder):
        solve_game(game, options)
    assert "No space left" in str(told.value)
    monkeypatch.setattr(storage, "_write", honest)
    before = (folder / "bounds.csv").read_text().splitlines()
    equilibrium, certificate = certify_folder(folder, pessimistic_seconds=0)
    assert not certificate.failures
    assert equilibrium.profit is not None
    with result_folder.begin(folder, resume=True):
        result = solve_game(game, SolveOptions(gap=1e-4, workers=1, out=folder, resume=True))
    assert result.status == "optimal"
    assert (folder / "bounds.csv").read_text().splitlines()[: len(before)] == before


def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    """Read-only for everybody, root included: a file system mounted read-only, or else the permission itself."""
    folder = tmp_path / "closed"
    folder.mkdir()
    bound = subprocess.run(["mount", "--bind", str(folder), str(folder)], capture_output=True, check=False)
    mounted = bound.returncode == 0
    if mounted:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    elif os.geteuid() == 0:
        pytest.skip("root may write everywhere and must not mount here")
    else:
        folder.chmod(0o500)
    try:
        done = mpec(*COMMAND, "--out", str(folder / "run"))
        assert done.returncode == 2, done.stderr
        assert "can't be written" in done.stderr
        assert "--out" in done.stderr
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.chmod(0o700)


def test_the_second_of_two_runs_in_one_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with FolderLock(folder):
        done = mpec(*COMMAND, "--force", "--out", str(folder))
        assert done.returncode == 2
        assert "another run is writing here" in done.stderr
        assert f"process {os.getpid()}" in done.stderr
    assert not (folder / "equilibrium.json").exists()


# ---- workers -------------------------------------------------------------------------------------
def dies_once(number: int, marker: str) -> int:
    """Kills its own process the first time that it is asked for number 3."""
    if number == 3 and not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), 9)
    time.sleep(0.05)
    return number * number


def test_a_worker_that_dies_costs_nothing_but_time(tmp_path: Path) -> None:
    tasks = Tasks(2)
    try:
        marker = str(tmp_path / "died")
        assert tasks.map(dies_once, [(i, marker) for i in range(8)]) == [i * i for i in range(8)]
        assert Path(marker).exists()
    finally:
        tasks.close()


def test_a_worker_killed_during_a_solve_changes_no_result(tmp_path: Path) -> None:
    """Every worker process is killed once, from outside, as the kernel does when memory runs out."""
    import threading

    game = instances.load("two-period-residual").select(tariff="dlmp")
    shot: list[int] = []

    def shoot() -> None:
        for _ in range(400):
            time.sleep(0.01)
            for child in children():
                if child not in shot and len(shot) < 2:
                    shot.append(child)
                    os.kill(child, 9)

    def children() -> list[int]:
        path = Path(f"/proc/self/task/{os.getpid()}/children")
        return [int(p) for p in path.read_text().split()] if path.exists() else []

    hunter = threading.Thread(target=shoot, daemon=True)
    hunter.start()
    result = solve_game(game, SolveOptions(gap=1e-4, time_limit=60.0, workers=2))
    hunter.join()
    certificate = judge(result, gap=1e-4, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.lower_bound == pytest.approx(1240.0, rel=1e-6)
