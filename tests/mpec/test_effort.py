"""Work that is counted instead of timed: a run without a time limit can be repeated on any machine."""

from __future__ import annotations

import time

import pytest

import instances
from mpec.effort import NODES_PER_SECOND, Effort
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game


def test_counted_work_looks_at_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    effort = Effort(10.0, counted=True)
    effort.spend(4.0)
    monkeypatch.setattr(time, "perf_counter", lambda: 1e9)
    assert effort.left() == 6.0
    assert effort.used() == 4.0
    assert effort.limits(2.0) == {"node_limit": int(2.0 * NODES_PER_SECOND)}


def test_timed_work_ends_by_the_clock_alone() -> None:
    effort = Effort(10.0)
    effort.spend(100.0)
    assert 9.0 < effort.left() <= 10.0
    assert effort.limits(0.1) == {"time_limit": 1.0}


def test_without_a_time_limit_a_slower_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clocks that run fifty times faster: the same steps to the same bounds."""
    game = instances.load("two-period-residual")
    options = SolveOptions(
        gap=1e-4, sweeps=2, time_limit=None, workers=1, recheck=False, say=lambda text: None
    )
    first = solve_game(game, options)
    clock = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: 50.0 * clock())
    second = solve_game(game, options)
    assert first.upper_bound == second.upper_bound
    assert first.lower_bound == second.lower_bound
    assert [(s.lower, s.upper) for s in first.bounds] == [(s.lower, s.upper) for s in second.bounds]
    assert first.upper_bound is not None
    assert first.lower_bound is not None
    assert first.lower_bound <= first.upper_bound
