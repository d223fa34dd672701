"""Exact against truth: random small games (mpec.soundness) whose best price is searched by exact answers alone.

The long form, with more games, both methods and the relaxation tested for holding true equilibria:
``python -m mpec.soundness``.
"""

from __future__ import annotations

import pytest

from mpec.soundness import Effort, check_game

SHORT = Effort(seconds=10.0, prices=150, contained=0, methods=("decomposed",))


@pytest.mark.parametrize("seed", range(10))
def test_no_price_found_by_search_beats_the_upper_bound(seed: int) -> None:
    """upper >= the best of many exactly answered prices, lower not below it by more than the gap; no crash."""
    row = check_game(seed, None, SHORT)
    assert row.violations == []
    assert row.prices_tried >= 100
