"""The truth tests' games: what kinds are drawn, what is spent on one, and what is written down of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from instances.model import Instance
from mpec.odd_games import with_other_units, with_wide_roads
from mpec.options import Method
from mpec.random_games import Size, random_game, with_rivals, with_steps


@dataclass(frozen=True)
class Effort:
    """What is spent on a game: target gap, seconds per solve, prices on the grid (0: no search), prices for containment
    (0: none), seconds for the exact MINLP (0: none, as without SCIP)."""

    gap: float = 1e-3
    seconds: float = 20.0
    prices: int = 600
    contained: int = 3
    exact: float = 5.0
    methods: tuple[Method, ...] = ("decomposed", "monolithic")

    def __str__(self) -> str:
        return (
            f"gap {100 * self.gap:g} %, {self.seconds:g} s a solve, {self.exact:g} s for SCIP, {self.prices} prices on"
            f" the grid, answers to {self.contained} prices looked for in the relaxations"
        )


@dataclass(frozen=True)
class Kind:
    """What a game is drawn as: its largest size, with rivals' stations, with prices on a grid, with roads that
    hardly bend, in other units."""

    size: Size = field(default_factory=Size)
    rivals: bool = False
    steps: bool = False
    wide: bool = False
    units: bool = False

    def __str__(self) -> str:
        size = f"{self.size.stations}-{self.size.periods}-{self.size.pairs}"
        odd = "+wide" * self.wide + "+units" * self.units
        return size + "+rivals" * self.rivals + "+steps" * self.steps + odd

    def game(self, seed: int) -> Instance:
        """The game of a seed, always the same."""
        game = random_game(seed, self.size)
        game = with_wide_roads(game, seed) if self.wide else game
        game = with_rivals(game, seed) if self.rivals else game
        game = with_steps(game, seed) if self.steps else game
        return with_other_units(game, seed) if self.units else game


def drawn_kind(seed: int, size: Size, *, odd: bool = False) -> Kind:
    """The kind that a long run gives a seed: three of seven of the full size, the rest at most 2-2-2; a fifth with
    rivals, an eleventh with steps. 5, 7, 11 and 13 have no factor in common with the tariffs' 3 and xi's 4. ``odd``: 9
    of 13 on wide roads, 6 of 13 in other units.
    """
    small = Size(min(size.stations, 2), min(size.periods, 2), min(size.pairs, 2))
    return Kind(
        size if seed % 7 < 3 else small,
        seed % 5 == 4,
        seed % 11 == 10,
        odd and seed % 4 < 3,
        odd and seed % 4 > 1,
    )


@dataclass
class Row:
    """One game's outcome, as in rows.csv; empty where there is nothing."""

    seed: int
    size: str
    tariff: str
    xi: float
    periods: int
    stations: int
    pairs: int
    mechanisms: str = ""
    routes: int = 0
    best_found: float | None = None
    prices_tried: int = 0
    decomposed_verdict: str = ""
    decomposed_lower: float | None = None
    decomposed_upper: float | None = None
    decomposed_gap: float | None = None
    decomposed_seconds: float | None = None
    monolithic_verdict: str = ""
    monolithic_lower: float | None = None
    monolithic_upper: float | None = None
    monolithic_gap: float | None = None
    monolithic_seconds: float | None = None
    exact_status: str = ""
    exact_best: float | None = None
    exact_bound: float | None = None
    exact_seconds: float | None = None
    answers: int = 0
    contained_checks: int = 0
    lost_by_presolve: int = 0
    effort: str = ""
    processor_seconds: float | None = None
    violations: list[str] = field(default_factory=list)
