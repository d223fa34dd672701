"""A CERTIFIED folder falsified file by file: equilibrium.json, certificate.json, every cell of every table."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from planted import Lie, lies, told

import instances
from mpec import result_folder
from mpec.certificate import Certificate, certify_folder
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.recheck import recheck_bound
from mpec.storage import ResultError

TRUTH = 1240.0
"""Derived in instances/data/two-period-residual/README.md."""

TELLING = {"options", "versions", "seconds", "seed", "solver", "method", "reason"}
"""Fields of equilibrium.json that only tell about the run: no verdict and no number of the game rests on them."""


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "result"
    game = instances.load("two-period-residual").select(tariff="dlmp")
    result = solve_game(game, SolveOptions(gap=1e-4, time_limit=60.0, workers=1))
    result_folder.write(result, judge(result, gap=1e-4, recheck=True, pessimistic_seconds=0), folder)
    assert judged(folder).verdict == "CERTIFIED"
    return folder


@pytest.fixture
def folder(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "lie"))


def judged(folder: Path) -> Certificate:
    return certify_folder(folder, target_gap=1e-4, recheck=recheck_bound, pessimistic_seconds=0)[1]


def scandal(folder: Path) -> str:
    """Why the verdict on the folder is one; a refusal to read it is none."""
    try:
        certificate = judged(folder)
    except ResultError:
        return ""
    if certificate.verdict != "CERTIFIED":
        return ""
    lower, upper = certificate.lower_bound, certificate.upper_bound
    if lower is None or upper is None or abs(lower - TRUTH) > 1e-6 * TRUTH or upper < TRUTH * (1 - 1e-9):
        return f"CERTIFIED with [{lower}, {upper}]"
    return "CERTIFIED"


def test_every_field_of_equilibrium_json(folder: Path) -> None:
    """What is a number or a name of the game is found out; what tells about the run changes no verdict."""
    path = folder / "equilibrium.json"
    document = json.loads(path.read_text())
    believed, told_about = [], set()
    for lie in lies(document):
        field = str(lie[0][0]) if lie[0] else ""
        if no_lie(lie, document) or (field in TELLING and field in told_about):
            continue
        told_about.add(field)
        path.write_text(json.dumps(told(document, lie)))
        found = scandal(folder)
        if found.startswith("CERTIFIED with") or (found and field not in TELLING | {"unique"}):
            believed.append((lie, found))
    assert believed == []
    assert told_about >= TELLING


def no_lie(lie: Lie, document: Any) -> bool:
    """The same number written otherwise, or a stated lower bound that is below the profit, which is true."""
    path, value = lie
    if len(path) != 1 or not isinstance(value, int | float) or isinstance(value, bool):
        return path == ("lower_bound",) and value is None
    stated = document[path[0]]
    same = isinstance(stated, int | float) and not isinstance(stated, bool) and value == stated
    return same or (path == ("lower_bound",) and value <= document["profit"])


def test_certificate_json_is_never_read(folder: Path) -> None:
    path = folder / "certificate.json"
    honest = judged(folder)
    for text in ("{}", "CERTIFIED", "", '{"verdict": "REJECTED"}', "[" * 100_000):
        path.write_text(text)
        again = judged(folder)
        assert (again.verdict, again.lower_bound, again.upper_bound) == (
            honest.verdict,
            honest.lower_bound,
            honest.upper_bound,
        )


def tables(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.csv") if p.name != "bounds.csv")


def rows_of(path: Path) -> tuple[list[str], list[list[str]]]:
    with open(path, newline="") as file:
        header, *rows = list(csv.reader(file))
    return header, rows


def rewritten(path: Path, header: list[str], rows: list[list[str]]) -> None:
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


CHANGES: dict[str, Callable[[float], float]] = {
    "small": lambda v: v * (1 + 1e-5) + (1e-3 if v == 0 else 0.0),
    "large": lambda v: -2.0 * v + 7.0,
}


@pytest.mark.parametrize("size", list(CHANGES))
def test_every_number_of_every_table(folder: Path, size: str) -> None:
    believed = []
    for name in tables(folder):
        header, rows = rows_of(folder / name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                value = number(cell)
                if value is None or header[j] in ("period",):
                    continue
                lie = [list(r) for r in rows]
                lie[i][j] = repr(CHANGES[size](value))
                rewritten(folder / name, header, lie)
                if scandal(folder):
                    believed.append((name, header[j], i, cell))
        rewritten(folder / name, header, rows)
    assert believed == []


def test_every_name_in_every_table(folder: Path) -> None:
    """Another station, bus, road, period, path or plan: refused when read, or rejected."""
    believed = []
    for name in tables(folder):
        header, rows = rows_of(folder / name)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                if number(cell) is not None and header[j] != "period":
                    continue
                others = {r[j] for r in rows} - {cell} | {"", cell + "x", "nowhere"}
                for other in sorted(others):
                    lie = [list(r) for r in rows]
                    lie[i][j] = other
                    rewritten(folder / name, header, lie)
                    if scandal(folder):
                        believed.append((name, header[j], cell, other))
        rewritten(folder / name, header, rows)
    assert believed == []


def test_lost_doubled_and_invented_rows(folder: Path) -> None:
    believed = []
    for name in tables(folder):
        header, rows = rows_of(folder / name)
        if not rows:
            continue
        for what, lie in (("lost", rows[1:]), ("doubled", [*rows, rows[0]]), ("none", [])):
            rewritten(folder / name, header, lie)
            if scandal(folder):
                believed.append((name, what))
        rewritten(folder / name, header, rows)
    assert believed == []


def test_the_order_of_rows_means_nothing(folder: Path) -> None:
    for name in tables(folder):
        header, rows = rows_of(folder / name)
        rewritten(folder / name, header, rows[::-1])
    assert scandal(folder) == "CERTIFIED"


def test_a_history_of_bounds_that_contradicts_the_result(folder: Path) -> None:
    """A lower above the profit or an upper below the bound on the way; looser ones contradict nothing."""
    path = folder / "bounds.csv"
    header, rows = rows_of(path)
    last = len(rows) - 1
    upper = float(rows[last][3])
    for i, j, value in (
        (0, 2, TRUTH * (1 + 1e-5)),
        (last, 2, 1e9),
        (last, 3, upper * (1 - 1e-5)),
        (last, 3, 0.0),
    ):
        lie = [list(r) for r in rows]
        lie[i][j] = repr(value)
        rewritten(path, header, lie)
        assert scandal(folder) == "", (i, j, value)
