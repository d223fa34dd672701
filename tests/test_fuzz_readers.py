"""Every reader of files: spoiled files are refused or read, in short; and what the long fuzz once found.

The long form is `python tests/fuzz_readers.py`; its table is results/soundness/fuzz.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_readers import Tally, fuzz, put, try_one
from readable_files import AUX, MPS, NET, STUDY, TRIPS, Reader, readers

from mpec import model_reader
from mpec.bilevel_files import BilevelFileError, read_bilevel
from mpec.network_files import read_network, read_trips
from mpec.studies.study_file import StudyError, read_study

READERS = {reader.name: reader for reader in readers()}
ROUNDS = {"assign, TNTP": 500, "assign, CSV": 500, "prices": 500, "study": 150, "MPS and AUX": 8}
"""Inputs of the short form; a model file is read in a process of its own."""


@pytest.mark.parametrize("name", READERS)
def test_spoiled_files_are_refused_or_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_reader, "PATIENCE_S", 10.0)
    tally = fuzz(READERS[name], 1, tmp_path / "input", rounds=ROUNDS.get(name, 60))
    assert tally.faults == {}
    assert tally.refused > 0


def test_an_unexpected_exception_is_a_fault(tmp_path: Path):
    def read(folder: Path) -> object:
        return 1 // len((folder / "a").read_bytes())

    tally = Tally()
    for data in (b"x", b"", b""):
        try_one(Reader("division", (), read, (ValueError,)), {"a": data}, tmp_path / "input", tally)
    assert (tally.inputs, tally.accepted, tally.refused) == (3, 1, 0)
    assert list(tally.faults.values()) == [{"a": b""}]
    assert "ZeroDivisionError at test_fuzz_readers.py" in next(iter(tally.faults))


# ---- what it found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", ["1e999", "nan", "1e15", "2.5", "-3"])
@pytest.mark.parametrize("tag", [b"<NUMBER OF NODES> 3", b"<FIRST THRU NODE> 1", b"<NUMBER OF LINKS> 3"])
def test_a_count_of_a_net_file_is_a_whole_number_that_fits(tag: bytes, count: str, tmp_path: Path):
    """Once an OverflowError, or a list of 10^15 nodes."""
    path = tmp_path / "net.tntp"
    path.write_bytes(NET.replace(tag, tag[:-1] + count.encode()))
    with pytest.raises(ValueError, match=rf"net\.tntp: {tag[:-2].decode()} is {count}, not a whole number"):
        read_network(path)


def test_every_number_of_a_road_is_finite(tmp_path: Path):
    """Once a toll of infinity became a cost of NaN with toll factor 0."""
    path = tmp_path / "net.tntp"
    path.write_bytes(NET.replace(b"0.15 4 0 0 1 ;", b"0.15 4 0 inf 1 ;"))
    with pytest.raises(ValueError, match=r"line 7: a number is not finite"):
        read_network(path)


@pytest.mark.parametrize("total", ["many", "nan", "inf"])
def test_the_total_of_a_trips_file_is_a_number(total: str, tmp_path: Path):
    """Once a refusal without the file's name; NaN was taken for right."""
    put({"net.tntp": NET, "trips.tntp": TRIPS.replace(b"1805", total.encode())}, tmp_path)
    with pytest.raises(ValueError, match=r"trips\.tntp: <TOTAL OD FLOW> is not a number"):
        read_trips(tmp_path / "trips.tntp", read_network(tmp_path / "net.tntp"))


@pytest.mark.parametrize("seeds", [b"4294967296", b"10001", b"0"])
def test_the_seeds_of_a_study_have_a_limit(seeds: bytes, tmp_path: Path):
    """Once a list of 4 294 967 296 runs, until the memory was full."""
    put({"study.toml": STUDY.replace(b"seeds = 3", b"seeds = " + seeds)}, tmp_path)
    with pytest.raises(StudyError, match="a whole number from 1 to 10000"):
        read_study(tmp_path / "study.toml")


def test_names_of_a_model_are_text(tmp_path: Path):
    """Once a UnicodeDecodeError, when the names were first looked at."""
    put({"general.mps": MPS.replace(b"C1 ", b"C\xf8 "), "general.aux": AUX}, tmp_path)
    with pytest.raises(BilevelFileError, match=r"general\.mps: .*not UTF-8"):
        read_bilevel(tmp_path / "general.mps")


@pytest.mark.parametrize(
    "text",
    [
        MPS.replace(b"    C1   R0       2   R2 -1\n    C1   R3    ", b"\n\n    C1   \n    "),
        b"\n".join(sorted(MPS.split(b"\n"))),
        b"\nCOLUMNS\n L  R0\n",
        MPS[:150],
    ],
)
def test_a_spoiled_model_neither_hangs_nor_kills(
    text: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """HiGHS's reader goes on for ever on some of these."""
    monkeypatch.setattr(model_reader, "PATIENCE_S", 4.0)
    put({"general.mps": text, "general.aux": AUX}, tmp_path)
    with pytest.raises(BilevelFileError, match=r"general\.(mps|aux): "):
        read_bilevel(tmp_path / "general.mps")
