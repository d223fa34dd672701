"""Where every number comes from: given, assumed and said so, or still missing."""

from __future__ import annotations

from typing import TypeVar

from instances.errors import Problem
from mpec.importing.pieces import problem

T = TypeVar("T")


class Ledger:
    """Collects the entries of [source] and what is missing. ``assume``: may gaps be filled by assumptions?"""

    def __init__(self, *, assume: bool) -> None:
        self.assume = assume
        self.source: dict[str, str] = {}
        self.notes: list[str] = []
        self.problems: list[Problem] = []

    @property
    def assumptions(self) -> list[str]:
        """What was assumed, one line each."""
        return [f"{key}: {text}" for key, text in self.source.items() if text.startswith("assumed")]

    def given(self, heading: str, text: str) -> None:
        """A number that a file or an option gave."""
        self.source[heading] = text

    def lacking(self, heading: str, cure: str) -> None:
        """Something that can't be assumed and wasn't given."""
        self.problems.append(problem("", f"still missing: {heading}.", cure))

    def number(
        self, heading: str, option: str, given: T | None, assumed: T, why: str, *, ask: bool = True
    ) -> T:
        """The given value, else the assumed one: if ``ask``, only where assuming is allowed."""
        if given is not None:
            self.source[heading] = f"given: {option} {_shown(given)}"
            return given
        if self.assume or not ask:
            self.source[heading] = f"assumed: {_shown(assumed)}, {why}"
        else:
            self.lacking(heading, f"Give {option}; --assume would take {_shown(assumed)}: {why}.")
        return assumed


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(_shown(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
