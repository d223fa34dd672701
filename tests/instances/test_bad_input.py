"""Bad input is refused with place, cause and cure, all of it in one go, and nothing is left behind."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from malformed_instances import CASES, Expected, Files, good_files

from instances import InstanceError, Problem, load, parse


def matches(problem: Problem, expected: Expected) -> bool:
    return (
        problem.file == expected.file
        and expected.row in ("", problem.row)
        and expected.column in ("", problem.column)
        and expected.says in problem.text()
    )


def written(files: Files, folder: Path) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_the_starting_point_is_good() -> None:
    instance = parse(good_files())
    assert instance.route_set is not None
    assert len(instance.route_set) == 8


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 80


@pytest.mark.parametrize("name", CASES)
def test_refused_with_place_cause_and_cure(name: str) -> None:
    change, expected = CASES[name]
    files = good_files()
    change(files)
    if name == "latin-1":
        files["stations.csv"] = files["stations.csv"].decode().encode("latin-1")
        expected = Expected("stations.csv", None, None, "UTF-8")
    with pytest.raises(InstanceError) as caught:
        parse(files, "city")
    problems = caught.value.problems
    assert any(matches(problem, expected) for problem in problems), str(caught.value)
    assert all(problem.cure.strip() for problem in problems)
    text = str(caught.value)
    assert text.startswith("city/")
    assert text.endswith("nothing was run.")
    assert all(character == "\n" or character.isprintable() for character in text)


def test_one_fault_is_told_once() -> None:
    """A bad cell must not drag a train of follow-up problems behind it."""
    several = {
        "root voltage too high": 33,
        "regulated mode without a floor": 2,
        "empty toml": 7,
        "trip to its origin": 4,
    }
    for name, (change, _) in CASES.items():
        files = good_files()
        change(files)
        with pytest.raises(InstanceError) as caught:
            parse(files)
        assert len(caught.value.problems) <= several.get(name, 3), (name, str(caught.value))


def test_all_problems_come_in_one_go() -> None:
    """One fault in each of ten files: ten places are named."""
    files = good_files()
    spoiled = [
        "negative load",
        "text in a number",
        "negative wind",
        "probability 1.3",
        "negative load factor",
        "flag 2",
        "negative length",
        "negative demand",
        "start above the maximum",
        "power factor 1.2",
        "xi nan",
    ]
    for name in spoiled:
        CASES[name][0](files)
    with pytest.raises(InstanceError) as caught:
        parse(files)
    for name in spoiled:
        assert any(matches(problem, CASES[name][1]) for problem in caught.value.problems), name


def test_the_message_reads_as_designed() -> None:
    files = good_files()
    CASES["station at an unknown bus"][0](files)
    with pytest.raises(InstanceError) as caught:
        parse(files, "ieee33-road16")
    assert str(caught.value) == (
        "ieee33-road16/stations.csv, row 4, column bus: '99' is not a bus of buses.csv (1 ... 33).\n"
        "  Give the bus that station 'C' is connected to. Did you mean '9'?\n"
        "1 problem, nothing was run."
    )


def test_loops_name_their_lines() -> None:
    files = good_files()
    CASES["tie lines closed"][0](files)
    with pytest.raises(InstanceError) as caught:
        parse(files)
    loop = next(p for p in caught.value.problems if "close a loop" in p.message)
    named = loop.message.removeprefix("the lines ").split(" close")[0].split(", ")
    assert set(named) == {"2-19", "19-20", "20-21", "T1", "7-8", "6-7", "5-6", "4-5", "3-4", "2-3"}


@pytest.mark.parametrize("name", list(CASES)[::6])
def test_the_command_ends_with_2_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mpec.cli import main

    files = good_files()
    CASES[name][0](files)
    folder = written(files, tmp_path / "city")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "result"
    assert main(["solve", str(folder), "--out", str(out)]) == 2
    said = capsys.readouterr()
    assert "nothing was run." in said.err
    assert "Traceback" not in said.err
    assert not out.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["city"]


# ---- folders -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "path",
    [
        "no-such-instance",
        "/no/such/folder",
        "../../../etc",
        "",
        ".",
        "a\0b",
        "x" * 5000,
        "ieee33-road16/../tie",
        "~",
    ],
)
def test_paths_that_are_no_instance(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InstanceError) as caught:
        load(path)
    assert caught.value.problems


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("x = 1")
    with pytest.raises(InstanceError, match="is a file, not a folder"):
        load(tmp_path / "a.toml")


def test_pipes_devices_and_folders_are_not_read(tmp_path: Path) -> None:
    """Reading a pipe would wait for ever, reading a device would never end."""
    folder = written(good_files(), tmp_path / "city")
    (folder / "buses.csv").unlink()
    os.mkfifo(folder / "buses.csv")
    (folder / "roads.csv").unlink()
    (folder / "roads.csv").symlink_to("/dev/zero")
    (folder / "trips.csv").unlink()
    (folder / "trips.csv").mkdir()
    (folder / "lines.csv").unlink()
    (folder / "lines.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InstanceError) as caught:
        load(folder)
    found = {problem.file: problem.message for problem in caught.value.problems}
    assert set(found) == {"buses.csv", "roads.csv", "trips.csv", "lines.csv"}
    assert "not a plain file" in found["buses.csv"]
    assert "link to nowhere" in found["lines.csv"]


def test_huge_files_are_refused_unread(tmp_path: Path) -> None:
    folder = written(good_files(), tmp_path / "city")
    with open(folder / "trips.csv", "wb") as stream:
        stream.truncate(10 * 1024**3)
    with pytest.raises(InstanceError, match="MiB"):
        load(folder)


def test_an_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(good_files(), tmp_path / "city")
    original = os.stat

    def refuse(path: object, *rest: object, **more: object) -> os.stat_result:
        if str(path).endswith("roads.csv"):
            raise PermissionError(13, "Permission denied")
        return original(path, *rest, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(InstanceError, match=r"roads\.csv: the file can't be read \(permission denied\)"):
        load(folder)


def test_the_error_survives_a_worker_process() -> None:
    with pytest.raises(InstanceError) as caught:
        parse({}, "city")
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    assert again.problems == caught.value.problems
