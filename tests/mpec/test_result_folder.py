"""A result on disk: exact, whole or not at all, one writer at a time; every fault is named with a cure."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from judged_game import answered, game, point_of, with_point

import instances
from mpec import result_folder, storage
from mpec.certificate import certify
from mpec.equilibrium import BoundStep, Equilibrium, Point
from mpec.result_folder import ResultError, append_bound, begin, read, write

STEPS = (BoundStep(1, 0.5, None, 300.25), BoundStep(2, 1.75, 234.0, 236.0))


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    eq = replace(answered(), bounds=STEPS)
    write(eq, certify(eq.instance, eq, pessimistic_seconds=0), tmp_path / "result")
    return tmp_path / "result"


# ---- what is written is read back ----------------------------------------------------------------
def test_everything_comes_back_exactly(stored: Path):
    before, after = replace(answered(), bounds=STEPS), read(stored)
    assert after.instance == before.instance
    for field in fields(Point):
        one, other = getattr(point_of(before), field.name), getattr(point_of(after), field.name)
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other, field.name
    for name in (
        "method",
        "status",
        "lower_bound",
        "upper_bound",
        "seconds",
        "solver",
        "seed",
        "bounds",
        "gap",
    ):
        assert getattr(after, name) == getattr(before, name), name
    assert after.bound_record == json.loads(json.dumps(before.bound_record))


def test_the_files_and_columns_are_those_of_the_interface(stored: Path):
    expected = {
        "prices.csv": "station,period,charging_price,electricity_price,electricity_price_low,"
        "electricity_price_high,load_kw",
        "routes.csv": "origin,destination,period,path,plan,veh_per_h,cost,cheapest_cost",
        "roads.csv": "road,period,veh_per_h,time_h",
        "residuals.csv": "origin,destination,period,demand,modified_demand,residual",
        "buses.csv": "scenario,period,bus,v_pu,price_active,price_reactive,shed_kw",
        "dispatch.csv": "scenario,period,import_kw,import_kvar",
        "lines.csv": "scenario,period,line,p_kw,q_kvar",
        "wind.csv": "scenario,period,farm,used_kw",
        "emergency.csv": "scenario,period,station,kw",
        "bounds.csv": "iteration,seconds,lower,upper",
    }
    for name, header in expected.items():
        assert (stored / name).read_text().splitlines()[0] == header
    names = {entry.name for entry in stored.iterdir()}
    assert names == {*expected, "equilibrium.json", "bound.json", "certificate.json", "instance"}
    with open(stored / "routes.csv", newline="") as file:
        first = next(csv.DictReader(file))
    assert (first["path"], first["plan"]) == ("a-b>b-d", "B:3.0;D:10.0")
    assert instances.load(stored / "instance") == game()


def test_equilibrium_json_holds_the_indicators(stored: Path):
    data = json.loads((stored / "equilibrium.json").read_text())
    point = point_of(answered())
    assert data["energy_sold_kwh"] == pytest.approx(float(point.load_kw.sum()))
    assert data["users_cost"] == pytest.approx(sum(r.veh_per_h * r.cost for r in point.routes))
    hours = sum(r.veh_per_h * sum(kwh for _, kwh in r.plan) / 50.0 for r in point.routes)
    assert data["vehicle_hours"] == pytest.approx(float((point.road_flow * point.road_time_h).sum()) + hours)
    assert data["shedding_kwh"] == pytest.approx(0.6 * 81.66, rel=1e-3)
    assert data["curtailment_kwh"] == pytest.approx(0.4 * (1600.0 - 1523.14), rel=1e-3)
    bought = 0.5 * float(np.array([0.6, 0.4]) @ point.import_kw.sum(axis=1))
    lost = 0.9 * data["shedding_kwh"] + 0.1 * data["curtailment_kwh"]
    assert data["dso_cost"] == pytest.approx(bought + lost)
    assert data["gap"] == answered().gap
    assert {
        "instance",
        "options",
        "status",
        "profit",
        "lower_bound",
        "upper_bound",
        "seconds",
        "solver",
    } <= set(data)
    assert {"versions", "seed", "instance_sha256"} <= set(data)


def test_a_selected_game_is_stored_as_what_was_solved(tmp_path: Path):
    from mpec.followers.answer import follow

    part = instances.load("two-period-residual").select(periods=(2, 2), xi=0.25)
    write(follow(part, np.array([[0.6]])), None, tmp_path / "part")
    back = read(tmp_path / "part").instance
    assert [p.id for p in back.periods] == [2]
    assert back.users.xi == 0.25
    assert set(back.trips) == {key for key in part.trips if key[2] == 2}


def test_outside_and_an_open_price_interval_come_back(tmp_path: Path):
    from mpec.followers.answer import follow

    eq = follow(instances.load("closed-form-price"), np.array([[0.75]]))
    assert any(route.outside for route in point_of(eq).routes)
    open_end = with_point(eq, electricity_low=np.array([[-np.inf]]), electricity_high=np.array([[np.inf]]))
    write(open_end, None, tmp_path / "r")
    back = point_of(read(tmp_path / "r"))
    assert back.routes == point_of(eq).routes
    assert (back.electricity_low[0, 0], back.electricity_high[0, 0]) == (-np.inf, np.inf)
    for path in (tmp_path / "r").glob("*.json"):
        assert "Infinity" not in path.read_text()
        assert "NaN" not in path.read_text()


def test_a_result_without_a_point(tmp_path: Path):
    eq = Equilibrium(game(), "decomposed", "no_point", None, upper_bound=float("inf"), bounds=STEPS)
    write(eq, None, tmp_path / "none")
    back = read(tmp_path / "none")
    assert (back.point, back.profit, back.upper_bound, back.bounds) == (None, None, None, STEPS)
    assert not (tmp_path / "none" / "prices.csv").exists()


def test_a_new_result_replaces_all_of_the_old_one_but_nothing_else(stored: Path):
    (stored / "notes.txt").write_text("mine")
    write(Equilibrium(game("fixed"), "decomposed", "no_point", None), None, stored, force=True)
    assert {entry.name for entry in stored.iterdir()} == {
        "equilibrium.json",
        "bounds.csv",
        "instance",
        "notes.txt",
    }
    assert read(stored).instance.tariff_mode == "fixed"


# ---- whose folder it is ----------------------------------------------------------------------------
def test_an_existing_result_is_refused(stored: Path):
    before = (stored / "equilibrium.json").read_bytes()
    with pytest.raises(ResultError, match="holds a result already"):
        write(answered(), None, stored)
    with pytest.raises(ResultError, match="--force"):
        begin(stored)
    assert (stored / "equilibrium.json").read_bytes() == before


def test_somebody_else_s_folder_is_refused_even_with_force(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultError, match="no result of this program"):
        write(answered(), None, tmp_path, force=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultError, match="is a file"):
        write(answered(), None, tmp_path / "file", force=True)


def test_a_point_that_is_not_finite_is_not_stored(tmp_path: Path):
    prices = point_of(answered()).prices.copy()
    prices[1, 0] = np.nan
    with pytest.raises(ResultError, match=r"prices.csv, column charging_price: nan for C, 1"):
        write(with_point(answered(), prices=prices), None, tmp_path / "r")
    assert not (tmp_path / "r" / "equilibrium.json").exists()


# ---- damaged files ---------------------------------------------------------------------------------
def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


def rows_as(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return lambda text: "\n".join(change(text.splitlines())) + "\n"


DAMAGE: dict[str, list[tuple[Callable[[str], str], str]]] = {
    "prices.csv": [
        (lambda text: "", r"prices.csv: is empty"),
        (rows_as(lambda rows: rows[:-1]), r"has 5 of 6 rows; the first missing one is \(D, 2\)"),
        (rows_as(lambda rows: [*rows, rows[1]]), r"row 8: \(B, 1\) was already in row 2"),
        (rows_as(lambda rows: [*rows, rows[1].replace("B", "Z")]), r"row 8, column period: \(Z, 1\)"),
        (rows_as(lambda rows: [rows[0], rows[1][:-40], *rows[2:]]), r"row 2: has \d cells"),
        (swap("0.62", "cheap"), r"row 2, column charging_price: 'cheap'"),
        (swap("0.62", "nan"), r"column charging_price: 'nan' is not a finite"),
        (swap("0.62", ""), r"column charging_price: '' is not a number"),
        (swap("load_kw", "load"), r"row 1, column load_kw: the column is missing"),
        (swap("electricity_price,", "load_kw,"), r"column electricity_price"),
        (lambda text: text + '"', r"is not CSV"),
    ],
    "roads.csv": [(swap("a-b,1", "a-b,one"), r"row 2, column period: \(a-b, one\)")],
    "routes.csv": [
        (swap("a-b>b-d", "a-b>moon"), r"row 2, column path: 'moon'"),
        (swap("B:3.0", "Q:3.0"), r"row 2, column plan: 'Q'"),
        (swap("B:3.0", "B"), r"row 2, column plan: 'B' is not station:kWh"),
        (swap("a,d,1", "a,x,1"), r"column origin: \(a, x\)"),
        (swap("a,d,1", "a,d,9"), r"column period: 9 is not a period"),
    ],
    "bounds.csv": [
        (swap("lower,upper", "low,up"), r"bounds.csv, row 1"),
        (swap("236.0", "big"), r"bounds.csv, row 3, column upper: 'big'"),
    ],
    "equilibrium.json": [
        (lambda text: text[: len(text) // 2], r"equilibrium.json: is not complete JSON"),
        (lambda text: "[]", r"holds no JSON object"),
        (lambda text: "[" * 100000, r"equilibrium.json: is"),
        (swap('"optimal"', '"splendid"'), r"column status: 'splendid'"),
        (swap('"seed": 0', '"seed": NaN'), r"NaN is not JSON"),
        (swap('"seed": 0', '"seed": "0"'), r"column seed: '0' is not a number"),
        (swap('"seed": 0', '"seed": 1' + "0" * 400), r"column seed: is too large"),
        (swap('"solver"', '"solfer"'), r"column solver: is missing"),
    ],
    "bound.json": [(lambda text: text[:50], r"bound.json: is not complete JSON")],
    "instance/stations.csv": [
        (swap("2000", "2001"), r"is not the game that was solved"),
        (lambda text: text[:40], r"is not a valid instance"),
    ],
}


@pytest.mark.parametrize(
    ("name", "change", "message"), [(name, *damage) for name, listed in DAMAGE.items() for damage in listed]
)
def test_a_damaged_file_is_named_with_place_and_cure(stored: Path, name: str, change: Any, message: str):
    path = stored / name
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(ResultError, match=message) as error:
        read(stored)
    assert "\n  " in str(error.value)


@pytest.mark.parametrize(
    "name", ["equilibrium.json", "prices.csv", "routes.csv", "emergency.csv", "instance"]
)
def test_a_missing_file_is_named(stored: Path, name: str):
    import shutil

    (shutil.rmtree if name == "instance" else os.remove)(stored / name)
    with pytest.raises(ResultError, match=name):
        read(stored)


def test_a_folder_that_is_none(tmp_path: Path):
    with pytest.raises(ResultError, match="is not a folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(ResultError, match="Give the folder of a stored result"):
        read(tmp_path)
    with begin(tmp_path / "run"):
        append_bound(tmp_path / "run", STEPS[0])
    with pytest.raises(ResultError, match="Go on with --resume"):
        read(tmp_path / "run")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        ["prices.csv", "routes.csv", "buses.csv", "bounds.csv", "equilibrium.json", "bound.json"]
    ),
    start=st.floats(0, 1),
    cut=st.integers(0, 30),
    put=st.binary(max_size=8),
)
def test_no_corruption_ends_in_a_traceback(stored: Path, name: str, start: float, cut: int, put: bytes):
    original = (stored / name).read_bytes()
    at = int(start * len(original))
    (stored / name).write_bytes(original[:at] + put + original[at + cut :])
    with contextlib.suppress(ResultError):
        read(stored)
    (stored / name).write_bytes(original)


# ---- one writer ------------------------------------------------------------------------------------
def child(code: str, *arguments: str) -> subprocess.Popen[str]:
    root = Path(__file__).resolve().parents[2]
    where = os.pathsep.join([str(root), str(root / "tests")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": where},
    )


HOLD = """
import sys, time
from mpec.storage import FolderLock
with FolderLock(sys.argv[1]) as lock:
    print("held", lock.taken_over, flush=True)
    time.sleep(60)
"""


def test_the_second_process_is_refused_and_a_killed_one_s_lock_is_taken_over(tmp_path: Path):
    first = child(HOLD, str(tmp_path / "run"))
    try:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("held")
        with pytest.raises(ResultError, match=rf"another run is writing here \(process {first.pid}"):
            write(answered(), None, tmp_path / "run", force=True)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    with begin(tmp_path / "run") as lock:
        assert f"process {first.pid}" in lock.taken_over
        write(answered(), None, tmp_path / "run")
    assert not (tmp_path / "run" / ".lock").exists()
    with begin(tmp_path / "run", force=True) as lock:
        assert lock.taken_over == ""


def test_a_worker_process_does_not_keep_its_dead_parent_s_lock(tmp_path: Path):
    code = """
import os, sys, time
from mpec.storage import FolderLock
lock = FolderLock(sys.argv[1]).__enter__()
pid = os.fork()
if pid == 0:
    assert not FolderLock.holds(sys.argv[1])
    print(os.getpid(), flush=True)
    time.sleep(30)
else:
    os.kill(os.getpid(), 9)
"""
    parent = child(code, str(tmp_path / "run"))
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.wait()
    try:
        os.kill(worker, 0)  # the worker is alive, and yet:
        with begin(tmp_path / "run"):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)


def test_the_lock_is_reentrant_in_its_process(tmp_path: Path):
    with begin(tmp_path / "run"):
        write(answered(), None, tmp_path / "run")
        write(answered(), None, tmp_path / "run")
        assert (tmp_path / "run" / ".lock").exists()
    assert not (tmp_path / "run" / ".lock").exists()


# ---- killed, full, read-only -----------------------------------------------------------------------
def write_forever(folder: Path) -> None:
    """What a run does, without end; every file tells which iteration it belongs to."""
    results = [replace(answered(), seed=n, seconds=float(n), method=f"run {n}") for n in range(2)]
    with begin(folder):
        for n in itertools.count():
            append_bound(folder, BoundStep(n, float(n), None, 300.0))
            result_folder.store_checkpoint(folder, {"n": n, "half": 0.5 * n})
            write(results[n % 2], None, folder)


def test_a_kill_at_any_instant_leaves_a_whole_result_and_every_row(tmp_path: Path):
    rng = np.random.default_rng()
    for kill in range(8):
        folder = tmp_path / f"run{kill}"
        answered()
        run = os.fork()
        if run == 0:
            try:
                write_forever(folder)
            finally:
                os._exit(1)
        while not (folder / "equilibrium.json").exists():
            time.sleep(0.01)
        time.sleep(float(rng.uniform(0.0, 0.2)))
        os.kill(run, signal.SIGKILL)
        os.waitpid(run, 0)
        result = read(folder)
        assert result.seed in (0, 1)
        assert (result.seconds, result.method) == (float(result.seed), f"run {result.seed}")
        assert certify(result.instance, result, pessimistic_seconds=0).verdict == "EQUILIBRIUM"
        iterations = [step.iteration for step in result.bounds]
        assert iterations == list(range(len(iterations)))
        checkpoint = result_folder.load_checkpoint(folder)
        assert checkpoint is not None
        assert checkpoint["half"] == 0.5 * checkpoint["n"]
        assert len(iterations) >= checkpoint["n"] + 1
        with begin(folder, resume=True):
            append_bound(folder, BoundStep(999, 1.0, None, None))
        assert read(folder).bounds[-1].iteration == 999


def test_a_move_that_was_cut_off_is_read_as_the_new_set(stored: Path, monkeypatch: pytest.MonkeyPatch):
    """Killed between two renames: readers see the new set at once, the next writer finishes the moves."""
    new = replace(answered(), seed=5, method="newer")
    calls = 0
    real = os.replace

    def stop(source: Any, target: Any) -> None:
        nonlocal calls
        calls += "COMPLETE" not in str(source)
        if calls == 4:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(storage.os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write(new, None, stored, force=True)
    monkeypatch.undo()
    assert (stored / ".new" / "COMPLETE").exists()
    assert read(stored).seed == 5
    with begin(stored, resume=True):
        write(replace(new, seed=6), None, stored)
    assert read(stored).seed == 6
    assert not (stored / ".new").exists()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")]
)
def test_a_full_disk_or_a_read_only_folder_leaves_the_old_result(
    stored: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
):
    def refuse(*_: Any) -> None:
        raise error

    before = read(stored)
    monkeypatch.setattr(storage.os, "fsync", refuse)
    monkeypatch.setattr(result_folder.os, "fsync", refuse)
    for attempt in (
        lambda: write(replace(answered(), seed=9), None, stored, force=True),
        lambda: result_folder.store_checkpoint(stored, {"n": 1}),
        lambda: append_bound(stored, STEPS[0]),
    ):
        with pytest.raises(ResultError, match=error.strerror) as refusal:
            attempt()
        assert "disk" in str(refusal.value)
    monkeypatch.undo()
    assert read(stored).seed == before.seed == 0


def test_a_stage_from_a_stranger_moves_nothing_outside_the_folder(stored: Path, tmp_path: Path):
    (tmp_path / "precious").write_text("keep")
    stage = stored / ".new"
    stage.mkdir()
    (stage / "COMPLETE").write_text(json.dumps({"move": [], "remove": ["../precious"]}))
    with pytest.raises(ResultError, match="plain file names"):
        write(answered(), None, stored, force=True)
    assert (tmp_path / "precious").exists()


# ---- bounds and checkpoints ------------------------------------------------------------------------
def test_bounds_grow_row_by_row_and_a_cut_off_row_is_dropped(tmp_path: Path):
    folder = tmp_path / "run"
    with begin(folder):
        for step in STEPS:
            append_bound(folder, step)
        with open(folder / "bounds.csv", "a") as file:
            file.write("3,2.5,234.1")
        append_bound(folder, BoundStep(3, 2.5, 234.125, 235.5))
        write(answered(), None, folder)
    assert read(folder).bounds == (*STEPS, BoundStep(3, 2.5, 234.125, 235.5))


def test_a_checkpoint_comes_back_with_its_arrays(tmp_path: Path):
    folder = tmp_path / "run"
    content = {
        "round": 3,
        "upper": float("inf"),
        "box": [{"low": np.linspace(0.0, 1.0, 7), "points": np.arange(6).reshape(2, 3)}, None, "text"],
        "used": np.array([True, False]),
    }
    with begin(folder):
        assert result_folder.load_checkpoint(folder) is None
        result_folder.store_checkpoint(folder, content)
        back = result_folder.load_checkpoint(folder)
    assert back is not None
    assert (back["round"], back["upper"], back["box"][1:]) == (3, float("inf"), [None, "text"])
    for name in ("low", "points"):
        assert np.array_equal(back["box"][0][name], content["box"][0][name])  # type: ignore[index]
    assert back["used"].dtype == bool
    result_folder.remove_checkpoint(folder)
    assert result_folder.load_checkpoint(folder) is None


@pytest.mark.parametrize("damage", [b"", b"PK", b"{}", b"\x00" * 100])
def test_a_damaged_checkpoint_is_named_with_a_cure(tmp_path: Path, damage: bytes):
    (tmp_path / "checkpoint.npz").write_bytes(damage)
    with pytest.raises(ResultError, match=r"start again without --resume"):
        result_folder.load_checkpoint(tmp_path)
