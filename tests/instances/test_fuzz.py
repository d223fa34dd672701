"""Spoiled files end in an InstanceError or in an instance, never in another exception.

The long form is `pytest -m long tests/instances/test_fuzz.py`.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_instances import good_files
from spoiled_files import Files, spoil

from instances import InstanceError, files_of, load, parse
from instances.model import Instance


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
