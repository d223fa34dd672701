"""Branch and bound by linear programs' own proofs: exact on small models, valid whatever the solver says."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpec import second_opinions
from mpec.linear_model import LinearModel
from mpec.proven_milp import proven_bound
from mpec.second_opinions import said_empty, second_bound
from mpec.solvers import HighsSession
from mpec.solvers.session import Solved


def drawn(seed: int, *, maximise: bool) -> LinearModel:
    """4 integer and 3 continuous columns, 6 rows; sometimes empty."""
    rng = np.random.default_rng(seed)
    model = LinearModel("drawn", maximise=maximise, constant=float(rng.integers(-5, 6)))
    for j in range(7):
        high = float(rng.integers(1, 4)) if j < 4 else float(rng.uniform(0.5, 5.0))
        model.add_variable(
            f"x{j}", -high if j % 3 == 2 else 0.0, high, cost=float(rng.normal()), integer=j < 4
        )
    for i in range(6):
        values, at = rng.normal(size=7), rng.uniform(-1.0, 1.0, 7)
        middle = float(values @ at)
        width = float(rng.choice([0.0, 0.5, np.inf]))
        model.add_row(f"r{i}", range(7), values.tolist(), lower=middle - 0.2, upper=middle + width)
    return model


def enumerated(model: LinearModel) -> float:
    """The best of all whole values of the integer columns, each by a linear program; the worst number if none is."""
    sign = 1.0 if model.maximise else -1.0
    whole = np.flatnonzero(model.integer)
    best = -np.inf
    for values in itertools.product(*(np.arange(model.lower[j], model.upper[j] + 1.0) for j in whole)):
        fixed = model.copy()
        fixed.integer = [False] * model.columns
        for j, value in zip(whole, values, strict=True):
            fixed.lower[j] = fixed.upper[j] = float(value)
        solved = HighsSession(fixed).solve()
        if solved.objective is not None:
            best = max(best, sign * solved.objective)
    return sign * best


@pytest.mark.parametrize("maximise", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_it_is_the_optimum_of_small_models(seed: int, maximise: bool) -> None:
    model = drawn(seed, maximise=maximise)
    truth, found = enumerated(model), proven_bound(model, seconds=30.0)
    assert found.finished
    if np.isinf(truth):
        assert found.bound == truth
        return
    beyond = (found.bound - truth) * (1.0 if maximise else -1.0)
    assert -1e-9 * (1.0 + abs(truth)) <= beyond <= 1e-6 * (1.0 + abs(truth))


def test_some_of_them_are_empty() -> None:
    empty = [np.isinf(enumerated(drawn(seed, maximise=True))) for seed in range(12)]
    assert 0 < sum(empty) < 12


def test_out_of_time_the_bound_is_what_is_open() -> None:
    model = drawn(0, maximise=True)
    assert proven_bound(model, seconds=0.0).bound == np.inf
    assert not proven_bound(model, seconds=0.0).finished


def test_near_is_enough() -> None:
    model = drawn(0, maximise=True)
    truth = enumerated(model)
    found = proven_bound(model, seconds=30.0, near=truth + 0.05)
    assert truth - 1e-9 <= found.bound <= truth + 0.05
    # What is below the optimum is never reached, however near.
    assert proven_bound(model, seconds=30.0, near=truth - 1.0).bound >= truth - 1e-9


@pytest.mark.parametrize("lie", ["duals", "infeasible", "error", "point"])
def test_no_lie_of_the_solver_lowers_it(lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong multipliers, an "infeasible", a failure, a point that is none: the bound only gets weaker."""
    honest = HighsSession.solve
    rng = np.random.default_rng(7)

    def lying(self: HighsSession, **options: Any) -> Solved:
        solved = honest(self, **options)
        if lie == "duals" and solved.row_duals is not None:
            return replace(solved, row_duals=solved.row_duals * rng.uniform(-0.5, 1.5, len(solved.row_duals)))
        if lie == "infeasible":
            return Solved("infeasible", None, -np.inf, None, None, None, 0.0)
        if lie == "error":
            return Solved("error", None, np.inf, None, None, None, 0.0)
        return replace(solved, x=None if solved.x is None else np.round(solved.x))

    for seed in range(6):
        model = drawn(seed, maximise=True)
        truth = enumerated(model)
        with monkeypatch.context() as patch:
            patch.setattr(HighsSession, "solve", lying)
            found = proven_bound(model, seconds=5.0)
        assert found.bound >= truth - 1e-9


def far_apart() -> LinearModel:
    """max x, x <= 1e7 z, 1e-9 x <= 0.5 z + 1e-3 w: coefficients of 16 orders of magnitude; 1e7 is attained."""
    model = LinearModel("far apart", maximise=True)
    x = model.add_variable("x", 0.0, 1e8, cost=1.0)
    z = model.add_variable("z", 0.0, 1.0, integer=True)
    w = model.add_variable("w", 0.0, 1.0)
    model.add_row("open", [x, z], [1.0, -1e7], upper=0.0)
    model.add_row("thin", [x, z, w], [1e-9, -0.5, -1e-3], upper=0.0)
    return model


def test_a_doubtful_models_bound_is_proven_or_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = far_apart()
    opinion = second_bound(model, "highs", None, np.inf, seconds=60.0)
    assert opinion.bound == pytest.approx(1e7)
    assert (opinion.note, opinion.word_of) == ("", "")
    monkeypatch.setattr(second_opinions, "PROOF_SECONDS", 0.0)
    opinion = second_bound(model, "highs", None, np.inf, seconds=60.0)
    assert opinion.bound == np.inf
    assert "no solver's word is taken" in opinion.note


def test_an_ordinary_models_bound_on_a_solvers_word_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinions, "PROOF_SECONDS", 0.0)
    model = drawn(0, maximise=True)
    opinion = second_bound(model, "highs", None, np.inf, seconds=60.0)
    assert opinion.bound == pytest.approx(enumerated(model), abs=1e-6)
    assert opinion.word_of == "highs"


def test_emptiness_is_proven_and_a_point_is_handed_out() -> None:
    empty = next(m for m in (drawn(s, maximise=True) for s in range(12)) if np.isinf(enumerated(m)))
    assert said_empty(empty, "highs", seconds=30.0) == ("proven", None, "")
    full = next(m for m in (drawn(s, maximise=True) for s in range(12)) if not np.isinf(enumerated(m)))
    says, x, doubt = said_empty(full, "highs", seconds=30.0)
    assert says == ""
    assert x is not None
    assert doubt == "the solver highs says optimal"


def open_ended() -> LinearModel:
    """A reduced cost of 0.1 + 0.4 - 0.5, which is no 0, on a column without an end: x = 2^56 is a point."""
    model = LinearModel("open", maximise=True)
    x = model.add_variable("x", 0.0, np.inf)
    z = model.add_variable("z", 0.0, 1.0, integer=True)
    model.add_row("a", [x, z], [0.1, 1.0], lower=0.1 * 2.0**56)
    model.add_row("b", [x], [-0.5], upper=-1.0)
    model.add_row("c", [x], [0.4], upper=0.4 * 2.0**56)
    return model


def test_an_open_column_is_bounded_by_rational_numbers_or_not_at_all() -> None:
    assert proven_bound(open_ended(), seconds=10.0).bound >= 0.0
    says, x, _ = said_empty(open_ended(), "highs", seconds=10.0)
    assert says == ""
    assert x is not None


def test_an_interrupted_proof_shows_nothing_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a minimisation, too: nothing proven is -inf there."""
    monkeypatch.setattr(second_opinions, "PROOF_SECONDS", 0.0)
    model = next(m for m in (drawn(s, maximise=False) for s in range(12)) if not np.isinf(enumerated(m)))
    assert said_empty(model, "highs", seconds=30.0)[0] == ""
