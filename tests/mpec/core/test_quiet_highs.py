"""Solving prints nothing of HiGHS's own, in whatever process."""

import subprocess
import sys

SOLVES = """
from mpec.solvers.highs import HighsSession
from mpec.linear_model import LinearModel
for _ in range(2):
    model = LinearModel("one", maximise=True)
    model.add_variable("x", 0.0, 2.5, cost=1.0, integer=True)
    print("before", flush=True)
    solved = HighsSession(model).solve()
    print("after", solved.objective)
"""


def test_the_first_solve_of_a_process_prints_nothing():
    run = subprocess.run([sys.executable, "-c", SOLVES], capture_output=True, text=True, check=True)
    assert run.stdout.split("\n") == ["before", "after 2.0"] * 2 + [""]
    assert run.stderr == ""


def test_a_process_without_standard_output_solves_too():
    closed = [sys.executable, "-c", "import os, sys; os.close(1); sys.stdout = None\n" + SOLVES]
    assert subprocess.run(closed, capture_output=True, check=False).returncode == 0
