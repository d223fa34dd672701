"""Spoiled files end in an InstanceError or in an instance, never in another exception.

The long form is `pytest -m long tests/instances/test_fuzz.py`.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_instances import Files, good_files

from instances import InstanceError, files_of, load, parse
from instances.model import Instance

SPICES = [
    *(
        b"",
        b" ",
        b"0",
        b"-1",
        b"1e999",
        b"nan",
        b"inf",
        b"-inf",
        b"1e-320",
        b"0x1",
        b"1_0",
        b"1.0",
        b".",
        b"e",
    ),
    *(
        b'"',
        b'""',
        b"'",
        b",",
        b";",
        b">",
        b":",
        b"=",
        b"[",
        b"]",
        b"{",
        b"#",
        b"A:1;B:2",
        b"outside",
        b"true",
    ),
    *(b"\n", b"\r", b"\r\n", b"\t", b"\x00", b"\xff", b"\xef\xbb\xbf", b"99999999999999999999"),
    *("\u0663".encode(), "\u2028".encode()),
]


def read(files: Files) -> Instance | None:
    """The instance, or None when refused with at least one complete problem."""
    try:
        return parse(files)
    except InstanceError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert problem.message
        assert problem.cure
        assert problem.text("x").replace("\n", "").isprintable()
    return None


def spoil(files: Files, chance: random.Random) -> None:
    """One to three random changes of bytes, cells or lines in random files."""
    for _ in range(chance.randint(1, 3)):
        file = chance.choice(sorted(files))
        data = files[file]
        kind = chance.randrange(6)
        at = chance.randrange(len(data) + 1)
        spice = chance.choice(SPICES)
        if kind == 0:
            data = data[:at] + spice + data[at:]
        elif kind == 1:
            data = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
        elif kind == 2:
            data = data[:at] + data[at + chance.randint(1, 40) :]
        elif kind == 3:
            lines = data.split(b"\n")
            chance.shuffle(lines)
            data = b"\n".join(lines)
        elif kind == 4:
            lines = data.split(b"\n")
            row = chance.randrange(len(lines))
            cells = lines[row].split(b",")
            cells[chance.randrange(len(cells))] = spice
            lines[row] = b",".join(cells)
            data = b"\n".join(lines)
        else:
            data = data + data[at:]
        files[file] = data


def fuzz(seed: int, rounds: int) -> int:
    """How many of the spoiled instances were still accepted."""
    chance = random.Random(seed)
    small = {file: text.encode() for file, text in files_of(load("two-period-residual")).items()}
    accepted = 0
    for _ in range(rounds):
        files = good_files() if chance.random() < 0.2 else dict(small)
        spoil(files, chance)
        instance = read(files)
        if instance is not None:
            accepted += 1
            again = {file: text.encode() for file, text in files_of(instance).items()}
            assert parse(again) == instance
    return accepted


def test_spoiled_instances() -> None:
    accepted = fuzz(seed=1, rounds=1500)
    assert 0 < accepted < 1200, "the changes should spoil most, but not all"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 110))
def test_spoiled_instances_for_long(seed: int) -> None:
    fuzz(seed, rounds=60_000)


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(sorted(good_files())), data=st.binary(max_size=300))
def test_any_bytes_as_a_file(file: str, data: bytes) -> None:
    files = good_files()
    files[file] = data
    read(files)


@settings(max_examples=150, deadline=None)
@given(file=st.sampled_from(sorted(good_files())), text=st.text(max_size=300))
def test_any_text_below_the_header(file: str, text: str) -> None:
    files = good_files()
    files[file] = files[file].split(b"\n")[0] + b"\n" + text.encode("utf-8", "surrogatepass")
    read(files)
