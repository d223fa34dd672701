"""What an analysis makes of a study's rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from mpec.studies.findings import Findings
from mpec.studies.typesetting import Table


@dataclass(frozen=True)
class Products:
    """Tables, figures by file name with their captions, findings. ``title`` heads the README."""

    title: str
    tables: tuple[Table, ...]
    figures: Mapping[str, tuple[Figure, str]]
    findings: Findings = field(default_factory=Findings)
