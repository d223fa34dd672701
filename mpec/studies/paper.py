"""What this project knows of the paper's results, and the numbers that its findings are held against.

The paper prints no instance data and its tables are not part of this repository, so its absolute
values can't be compared with ours; known are these, from the statement of this project's study task.
"""

from __future__ import annotations

DIFFERENCES = (0.05, 0.13)
"""The paper's best objectives differ between its cases by 5 to 13 %."""

SEEDS = 10
"""Independent runs of its heuristic behind a best, mean and standard deviation, at least."""

WITHIN = 0.01
"""The optimality gap at which a heuristic's result is called good here."""

FLAT = 1e-3
"""A convergence curve counts as flat when its last fifth gains less than this share."""

SAME = 1e-3
"""Games whose best profits certainly differ by no more than this share count as equal."""
