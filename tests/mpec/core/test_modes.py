"""Each mode's rows as text, its report, and its refusals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mpec.complementarity import Bound, Linear, Pair, UnboundedPair, column
from mpec.kkt import add_kkt
from mpec.linear_model import LinearModel
from mpec.modes import big_m, indicator, sos1, strong_duality
from mpec.optimiser import as_inequalities
from mpec.players import compile_optimiser

Show = Callable[[LinearModel], str]


def _pair(slack: float | None = 5.0, multiplier: float | None = 3.0) -> tuple[LinearModel, Pair]:
    """0 <= 4 - x _|_ y >= 0."""
    model = LinearModel()
    x, y = model.add_variables(["x", "y"])
    bounds = [None if v is None else Bound(v, "by hand") for v in (slack, multiplier)]
    return model, Pair("a", Linear(np.array([x]), np.array([-1.0]), 4.0), column(int(y)), *bounds)


def test_big_m_writes_one_binary_and_two_rows_per_pair(shown: Show) -> None:
    """0 <= s _|_ y >= 0 with s <= 5 and y <= 3 becomes s <= 5 (1 - z), y <= 3 z; here s = 4 - x."""
    model, pair = _pair()
    written = big_m.write(model, [pair])
    assert shown(model) == "\n".join(
        [
            "pair[a].slack: -x + 5 active[a] <= 1",
            "pair[a].multiplier: y - 3 active[a] <= 0",
            "active[a] integer",
        ]
    )
    assert [(m.name, m.side, m.value, m.proven) for m in written.report] == [
        ("a", "slack", 5.0, True),
        ("a", "multiplier", 3.0, True),
    ]
    assert written.proven
    assert not written.leaking


def test_a_relaxed_pair_may_be_open_by_its_tolerance(shown: Show) -> None:
    model, pair = _pair()
    big_m.write(model, [pair], slack_relaxation=0.25, multiplier_relaxation=np.array([0.5]))
    assert "pair[a].slack: -x + 5 active[a] <= 1.25" in shown(model)
    assert "pair[a].multiplier: y - 3 active[a] <= 0.5" in shown(model)


def test_a_side_that_is_always_zero_needs_no_binary(shown: Show) -> None:
    model, pair = _pair(multiplier=0.0)
    written = big_m.write(model, [pair])
    assert shown(model) == "pair[a].multiplier: y <= 0"
    assert written.binaries.tolist() == [-1]


@pytest.mark.parametrize(("slack", "multiplier", "side"), [(None, 3.0, "slack"), (5.0, None, "multiplier")])
def test_no_bound_is_invented(slack: float | None, multiplier: float | None, side: str) -> None:
    model, pair = _pair(slack, multiplier)
    with pytest.raises(UnboundedPair) as caught:
        big_m.write(model, [pair])
    assert (caught.value.pair, caught.value.side) == ("a", side)
    assert "sos1 or indicator" in str(caught.value), "the cure is named"


def test_an_infinite_bound_is_none() -> None:
    model, pair = _pair(np.inf)
    with pytest.raises(UnboundedPair, match="slack"):
        big_m.write(model, [pair])


def test_an_m_that_lets_the_integrality_tolerance_leak_is_reported() -> None:
    """M x 1e-7 may not reach the complementarity tolerance 1e-6: 9.9 is fine, 10 leaks."""
    for value, leaks in ((9.9, False), (10.0, True)):
        model, pair = _pair(slack=value, multiplier=1.0)
        written = big_m.write(model, [pair], complementarity_tolerance=1e-6, integrality_tolerance=1e-7)
        assert bool(written.leaking) is leaks
        assert written.report[0].leak == pytest.approx(value * 1e-7)


def test_sos1_gives_the_slack_a_column(shown: Show) -> None:
    model, pair = _pair(None, None)
    sos1.write(model, [pair])
    assert shown(model) == "\n".join(
        ["slack[a].definition: x + slack[a] = 4", "pair[a]: at most one of slack[a], y"]
    )


def test_indicator_writes_two_implications(shown: Show) -> None:
    model, pair = _pair(None, None)
    indicator.write(model, [pair])
    assert shown(model) == "\n".join(
        ["active[a] = 1 -> -x <= -4", "active[a] = 0 -> y <= 0", "active[a] integer"]
    )


def test_strong_duality_writes_one_row_per_follower(shown: Show, pineda: object) -> None:
    """min y, y >= 0, 0.01 y >= x - 1:  y - (x - 1) mu <= 0."""
    model = LinearModel()
    rows = as_inequalities(compile_optimiser(pineda.f))  # type: ignore[attr-defined]
    kkt = add_kkt(model, rows, model.add_variables(["x"], 0.0, 2.0))
    strong_duality.write(model, kkt.pairs, followers=[kkt])
    assert "strong_duality[f]: f.y + multiplier[f.row.upper] - x*multiplier[f.row.upper] <= 0" in shown(model)
    assert len(model.quadratic_rows) == 1


def test_strong_duality_is_linear_where_nobody_else_stands_in_the_rows(shown: Show, pineda: object) -> None:
    pineda.x.fix(2.0)  # type: ignore[attr-defined]
    model = LinearModel()
    rows = as_inequalities(compile_optimiser(pineda.f))  # type: ignore[attr-defined]
    kkt = add_kkt(model, rows, [])
    strong_duality.write(model, kkt.pairs, followers=[kkt])
    assert "strong_duality[f]: f.y - multiplier[f.row.upper] <= 0" in shown(model)
    assert not model.quadratic_rows


def test_pairs_of_an_equilibrium_are_summed_as_products(shown: Show) -> None:
    model, pair = _pair()
    strong_duality.write(model, [pair])
    assert shown(model) == "complementarity[sum of products]: 4 y - x*y <= 0"
