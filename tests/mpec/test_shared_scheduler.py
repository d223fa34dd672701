"""HiGHS objects of one process share a scheduler: who began with other threads must not make ours fail."""

from __future__ import annotations

import highspy
import pytest

from mpec.linear_model import LinearModel
from mpec.solvers import HighsSession


@pytest.mark.parametrize("whole", [False, True])
def test_another_highs_with_more_threads_came_first(whole: bool) -> None:
    highspy.Highs.resetGlobalScheduler(True)
    other = highspy.Highs()
    other.setOptionValue("output_flag", False)
    other.setOptionValue("threads", 2)
    other.addVar(0.0, 1.0)
    assert other.run() == highspy.HighsStatus.kOk
    model = LinearModel("ours", maximise=True)
    x = model.add_variable("x", 0.0, 10.0, cost=1.0, integer=whole)
    model.add_row("half", [x], [2.0], upper=7.0)
    solved = HighsSession(model).solve()
    assert solved.objective == pytest.approx(3.0 if whole else 3.5)
