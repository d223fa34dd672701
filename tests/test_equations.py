"""Every equation (1)-(31) is some component of the model, or a row of the deviations table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyomo.environ as pyo
import pytest
from pyomo.mpec import Complementarity

import formulations
import instances
from formulations.plan_polytope import plan_block
from formulations.residuals import EQUATIONS
from formulations.routes import route_set

README = Path(formulations.__file__).with_name("README.md")
NUMBERS = range(1, 32)
KINDS = (pyo.Var, pyo.Constraint, pyo.Objective, pyo.Expression, pyo.Param, Complementarity, pyo.Block)


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """Component name -> doc, over the game of a bundled instance and a plan block."""
    instance = instances.load("two-period-residual")
    model = formulations.build(instance)
    route = next(r for r in route_set(instance).routes if not r.outside)
    model.plans = plan_block(instance, instance.pairs[route.pair], route.roads)
    found = {}
    for kind in KINDS:
        for component in model.component_objects(kind, descend_into=True):
            found[re.sub(r"\[[^]]*\]", "", component.name)] = component.doc or ""
    return found


def numbers(text: str) -> Iterator[int]:
    """The equation numbers in brackets: (7), (2)/(3), (16), (17) and ranges (4)-(13)."""
    for first, last in re.findall(r"\((\d+)\)(?:\s*[-–]\s*\((\d+)\))?", text):
        yield from range(int(first), int(last or first) + 1)


def table(heading: str) -> list[list[str]]:
    """The cells of the README's table under a heading."""
    section = README.read_text(encoding="utf-8").split(f"## {heading}")[1].split("\n## ")[0]
    rows = [line.strip().strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_every_equation_is_a_component_or_a_deviation(documents: dict[str, str]) -> None:
    written = {n for doc in documents.values() for n in numbers(doc)}
    deviations = {n for row in table("Deviations from the printed paper") for n in numbers(row[0])}
    assert set(NUMBERS) - written - deviations == set()
    assert set(NUMBERS) - written == {14}, "only (14) is replaced altogether, by (31)"


def test_the_table_names_components_that_exist_and_carry_the_number(documents: dict[str, str]) -> None:
    rows = table("Equation by equation")
    assert sorted(n for row in rows for n in numbers(row[0])) == list(NUMBERS)
    for row in rows:
        for number in numbers(row[0]):
            for name in re.findall(r"`([a-z_.]+)`", row[2]):
                doc = documents.get(name)
                assert doc is not None, f"the README's table names {name}, which is no component"
                assert number in set(numbers(doc)), f"{name} does not carry ({number})"


def test_every_component_is_documented(documents: dict[str, str]) -> None:
    blocks = {"leader", "tariff", "plans"}
    assert [name for name, doc in documents.items() if not doc and name not in blocks] == []


def test_residuals_cover_the_equations() -> None:
    """All but the optimality in (4), and (28), which nothing depends on."""
    assert set(NUMBERS) - {n for row in EQUATIONS.values() for n in row} == {28}


def test_residuals_are_all_in_the_readme() -> None:
    text = README.read_text(encoding="utf-8")
    assert [name for name in EQUATIONS if f"`{name}`" not in text] == []


def test_all_tariffs_build() -> None:
    instance = instances.load("two-period-residual")
    for mode in ("fixed", "dlmp", "regulated"):
        model = formulations.build(replace(instance, tariff_mode=mode))
        assert len(model.tariff.electricity_price) == 2
