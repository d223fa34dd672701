"""Findings: text whose every number is inserted. A template with a digit of its own is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, Literal

Verdict = Literal["holds", "does not hold", "can't be told"]


@dataclass(frozen=True)
class Claim:
    """One of the paper's claims, what is found here, and whether it holds on this instance."""

    claim: str
    found: str
    verdict: Verdict


@dataclass
class Findings:
    """Sentences and claims, in order; ``numbers`` holds every value inserted."""

    sentences: list[str] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)

    def say(self, template: str, **values: Any) -> None:
        """Add a sentence; values must be texts as they are to be printed."""
        self.sentences.append(self._filled(template, values))

    def judge(self, claim: str, seen: str, verdict: Verdict, **values: Any) -> None:
        """Add a claim of the paper; ``claim`` and ``seen`` are templates."""
        self.claims.append(Claim(self._filled(claim, values), self._filled(seen, values), verdict))

    def _filled(self, template: str, values: Mapping[str, Any]) -> str:
        literal = "".join(text for text, _, _, _ in Formatter().parse(template))
        if re.search(r"\d", literal):
            raise ValueError(f"a finding states a number that was not inserted: {template!r}")
        self.numbers += [str(value) for value in values.values()]
        return template.format(**values)


def joined(names: list[str]) -> str:
    """'a', 'a and b', 'a, b and c'; 'none' of none."""
    if not names:
        return "none"
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
