"""What `mpec solve` can be told, as one frozen record that ends up in the result folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

Method = Literal["decomposed", "monolithic"]
Solver = Literal["highs", "gurobi", "scip"]


class OptionError(ValueError):
    """Options that mean nothing, alone or together; the message says what to give instead."""


def silent(message: str) -> None:
    """The progress report of a caller who wants none."""


@dataclass(frozen=True)
class SolveOptions:
    """Options of the exact solve.

    method      decomposed (hour by hour, coupled by multipliers of the day's LP) or monolithic (all periods one MILP)
    gap         target (upper - lower) / max(|upper|, 1 money unit)
    sweeps      largest number of sweeps over the hours; None: no limit. With time_limit None a run can be repeated
    time_limit  seconds of wall time for the whole solve; None: no limit
    solver      MILP solver
    workers     processes for the hours' subproblems
    cluster     address of a Dask scheduler instead of local processes
    start       folder of a stored result whose prices are tried first
    resume      go on from what ``out`` holds
    recheck     confirm the final bounds by a second, different run before CERTIFIED is said
    out         result folder, written after every iteration; None: nothing is written
    seed        for whatever is random
    generate_routes  solve on routes generated without enumeration; the certificate says that the set is declared
    export      file that the single-level MILP is written to (.mps or .lp)
    say         called with a line of progress

    Raises OptionError for values that mean nothing.
    """

    method: Method = "decomposed"
    gap: float = 0.01
    time_limit: float | None = 3600.0
    sweeps: int | None = None
    solver: Solver = "highs"
    workers: int = field(default_factory=lambda: os.cpu_count() or 1)
    cluster: str | None = None
    start: Path | None = None
    resume: bool = False
    recheck: bool = True
    out: Path | None = None
    seed: int = 0
    export: Path | None = None
    generate_routes: bool = False
    say: Callable[[str], None] = field(default=silent, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.method not in ("decomposed", "monolithic"):
            raise OptionError(f"method is {self.method!r}; choose decomposed or monolithic")
        if self.solver not in ("highs", "gurobi", "scip"):
            raise OptionError(f"solver is {self.solver!r}; choose highs, gurobi or scip")
        if not 0.0 <= self.gap < float("inf"):
            raise OptionError(f"gap is {self.gap}; give a share such as 0.01 for 1 %")
        if self.time_limit is not None and not self.time_limit > 0.0:
            raise OptionError(f"the time limit is {self.time_limit} s; it must be above 0")
        if self.sweeps is not None and self.sweeps < 1:
            raise OptionError(f"sweeps is {self.sweeps}; at least one sweep is needed")
        if self.workers < 1:
            raise OptionError(f"workers is {self.workers}; at least one process is needed")
        if self.export is not None and self.export.suffix.lower() not in (".mps", ".lp"):
            raise OptionError(f"the export file is {self.export}; its name must end in .mps or .lp")
        if self.export is not None and self.method != "monolithic":
            raise OptionError(
                "only the whole game as one MILP can be exported; choose method monolithic as well"
            )
        if self.resume and self.out is None:
            raise OptionError("nothing to resume from: name the result folder (out)")

    def record(self) -> dict[str, Any]:
        """The options as they stand in equilibrium.json: plain values, no callable, paths as text."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "say"}
        return {name: str(v) if isinstance(v, Path) else v for name, v in values.items()}
