"""What is said about bad input: every problem with file, row, column, value, and the cure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SHOWN_PROBLEMS = 200
"""So many problems are printed; the rest is counted (all of them are in ``InstanceError.problems``)."""

_LONGEST_VALUE = 60


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, or suspicious, in an instance.

    ``row`` is the line of the file (the header is row 1); ``None`` where no single row is meant.
    ``value`` is the text as found. ``message`` says what is wrong, ``cure`` what would be right.
    """

    file: str
    row: int | None
    column: str | None
    value: str | None
    message: str
    cure: str

    def text(self, name: str = "") -> str:
        """Place and cause on one line, the cure indented on the next."""
        place = f"{name}/{self.file}" if name and self.file else (self.file or name)
        if self.row is not None:
            place += f", row {self.row}"
        if self.column is not None:
            place += f", column {self.column}"
        said = f"{quoted(self.value)} " if self.value is not None else ""
        line = printable(f"{place}: {said}{self.message}" if place else f"{said}{self.message}")
        return f"{line}\n  {printable(self.cure)}" if self.cure else line


class InstanceError(ValueError):
    """An instance that can't be used; ``problems`` holds everything that is wrong with it."""

    def __init__(self, problems: Sequence[Problem], name: str = "") -> None:
        self.problems = list(problems)
        self.name = name
        super().__init__(problems_text(self.problems, name))

    def __reduce__(self) -> tuple[type[InstanceError], tuple[list[Problem], str]]:
        # the default would hand the finished text to __init__ when a worker process passes it on
        return type(self), (self.problems, self.name)


def problems_text(problems: Sequence[Problem], name: str = "") -> str:
    """All problems, one after the other, and how many there are."""
    lines = [problem.text(name) for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        lines.append(f"... and {len(problems) - SHOWN_PROBLEMS} more")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([*lines, f"{count}, nothing was run."])


def quoted(value: str) -> str:
    """A value as found in a file, safe to print: control characters escaped, cut when long."""
    shown = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 3] + "..."
    return f"'{printable(shown)}'"


def printable(text: str) -> str:
    """The text with control characters escaped, so that a file can't command the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def listing(ids: Iterable[str], most: int = 6) -> str:
    """A few ids for a message: all of them when few, else the first and the last."""
    known = list(ids)
    if not known:
        return "none"
    if len(known) <= most:
        return ", ".join(known)
    return f"{known[0]} ... {known[-1]}"
