"""A LinearModel as a file that other solvers read (.mps or .lp), with names that tell where rows come
from."""

from __future__ import annotations

from pathlib import Path

from mpec.linear_model import LinearModel
from mpec.solvers.highs import HighsSession


def write_model(model: LinearModel, path: Path) -> None:
    """Write ``path`` (.mps or .lp). Raises ValueError for another ending, OSError if it can't be written."""
    if path.suffix not in (".mps", ".lp"):
        raise ValueError(f"{path.name}: the ending of a model file must be .mps or .lp")
    HighsSession(model).write(path)
