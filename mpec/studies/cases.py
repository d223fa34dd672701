"""The games of a study, each with its runs: what the analyses of all four studies start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mpec.studies.rows import Material, Row, game_of
from mpec.studies.statistics import Spread, spread


@dataclass(frozen=True)
class Case:
    """One game: its rows by method, and the interval that certainly holds its best profit.

    lower: the best judged profit of any run; upper: the exact way's bound (None: none, or it was refuted).
    """

    game: tuple[Any, ...]
    name: str
    rows: tuple[Row, ...]

    def of(self, method: str) -> list[Row]:
        return [row for row in self.rows if row["method"] == method]

    def value(self, column: str) -> Any:
        return self.rows[0][column]

    @property
    def exact(self) -> Row | None:
        found = self.of("exact")
        return found[0] if found else None

    @property
    def refuted(self) -> bool:
        return any(row["refuted"] for row in self.rows)

    @property
    def lower(self) -> float | None:
        judged = [row["lower_bound"] for row in self.rows if row["lower_bound"] is not None]
        return max(judged, default=None)

    @property
    def upper(self) -> float | None:
        return None if self.refuted else self.rows[0]["certified_upper"]

    @property
    def interval(self) -> tuple[float | None, float | None]:
        return self.lower, self.upper

    @property
    def gap(self) -> float | None:
        return self.gap_of(self.lower)

    def gap_of(self, profit: float | None) -> float | None:
        """(upper - profit) / max(|upper|, 1); None where one of them doesn't exist."""
        if profit is None or self.upper is None:
            return None
        return (self.upper - profit) / max(abs(self.upper), 1.0)

    def heuristic_profits(self) -> list[float]:
        """Judged profits of the heuristic's runs, one a seed; runs without allowed prices are left out."""
        return [row["lower_bound"] for row in self.of("heuristic") if row["lower_bound"] is not None]

    @property
    def heuristic(self) -> Spread | None:
        return spread(self.heuristic_profits())


def cases_of(material: Material, name: Callable[[Row], str]) -> list[Case]:
    """The study's games in the order of their first run."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in material.rows:
        groups.setdefault(game_of(row), []).append(row)
    return [Case(game, name(rows[0]), tuple(rows)) for game, rows in groups.items()]


def curves_of(material: Material, rows: Sequence[Row]) -> list[list[float | None]]:
    """The best-so-far curves of the given heuristic rows."""
    by_run: dict[str, list[float | None]] = {row["run"]: [] for row in rows}
    for line in material.curves:
        if line["run"] in by_run:
            by_run[line["run"]].append(line["best"])
    return [curve for curve in by_run.values() if curve]


def periods_text(row: Row) -> str:
    """'periods 1–24', or 'period 8'."""
    first, last = row["first_period"], row["last_period"]
    return f"period {first}" if first == last else f"periods {first}–{last}"
