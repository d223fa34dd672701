"""Optional packages: absent ones skip a test with the reason; MPEC_REQUIRE_IMPORT turns that into a failure."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


def _needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        reason = f"{package} is not installed: .ci/run tests it in an environment of its own"
        if os.environ.get("MPEC_REQUIRE_IMPORT"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture
def case_parser() -> None:
    """The parser of MATPOWER cases."""
    _needs("matpowercaseframes")


@pytest.fixture
def matpower_cases(case_parser: None) -> None:
    """MATPOWER's own cases, and their parser."""
    _needs("matpower")


@pytest.fixture
def pandapower() -> None:
    _needs("pandapower")


@pytest.fixture
def sioux_falls(shared_data: Path) -> Path:
    """The folder of the Sioux Falls files (academic use; beside the checkout, never in it)."""
    return shared_data / "tntp" / "SiouxFalls"
