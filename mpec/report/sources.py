"""What a folder holds: one result, a comparison, or a study; read, and refused where it is none of them."""

from __future__ import annotations

import csv
import io
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mpec import result_folder
from mpec.equilibrium import Equilibrium
from mpec.result_folder import CERTIFICATE, EQUILIBRIUM, ResultError
from mpec.storage import current, read_json, read_text

Kind = Literal["result", "comparison", "study"]

COMPARISON, ROWS, QUESTION, RUNS = "comparison.csv", "rows.csv", "study.toml", "runs"
METHODS = ("exact", "heuristic")
_CURE = "Restore the file, or run the command that wrote the folder again with --force."
_JUDGE = "Judge it afresh: mpec certify {folder}."
_VERDICTS = ("CERTIFIED", "EQUILIBRIUM", "REJECTED", "INFEASIBLE", "NO_POINT")


@dataclass(frozen=True)
class Stored:
    """One result folder: the claims, and certificate.json as it stands (None: there is none)."""

    label: str
    folder: Path
    result: Equilibrium
    claims: Mapping[str, Any]
    certificate: Mapping[str, Any] | None

    @property
    def verdict(self) -> str:
        return "NOT JUDGED" if self.certificate is None else str(self.certificate["verdict"])

    def judged(self, name: str) -> float | None:
        """A number of the certificate; None where it holds none."""
        return number((self.certificate or {}).get(name))

    @property
    def stale(self) -> str:
        """Why certificate.json can't be right about this result, "" if nothing speaks against it."""
        if self.certificate is None or self.verdict == "REJECTED":
            return ""
        if any(check.get("passed") is not True for check in self.certificate["checks"]):
            return f"certificate.json says {self.verdict} although a check failed"
        if self.verdict == "CERTIFIED" and self.certificate.get("recheck") != "confirmed":
            return "certificate.json says CERTIFIED although the upper bound was not re-proved"
        said, stored = self.judged("optimistic_profit"), self.result.profit
        if (said is None) != (stored is None):
            return "one of certificate.json and equilibrium.json has a profit, the other has none"
        if said is not None and stored is not None and abs(said - stored) > 1e-9 * max(abs(stored), 1.0):
            return f"certificate.json judged a profit of {said!r}, equilibrium.json holds {stored!r}"
        return ""


@dataclass(frozen=True)
class Source:
    """A folder that a page can be made of. ``rows``: comparison.csv, or rows.csv; ``unread``: label -> why."""

    kind: Kind
    folder: Path
    results: tuple[Stored, ...]
    rows: tuple[Mapping[str, str], ...] = ()
    question: Mapping[str, Any] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)


def number(value: object) -> float | None:
    """``value`` if JSON held a number there, else None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def cell_number(text: str | None) -> float | None:
    """The finite number in a CSV cell; None for a blank cell and for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def kind_of(folder: Path) -> Kind:
    """Which of the three a folder is. Raises ResultError, with what would be right, where it is none."""
    if not folder.is_dir():
        raise ResultError(
            folder,
            "is not a folder" if folder.exists() else "there is no such folder",
            "Give the folder (--out) of a result, a comparison or a study.",
        )
    if result_folder.finished(folder):
        return "result"
    if (folder / COMPARISON).is_file() or all((folder / name).is_dir() for name in METHODS):
        return "comparison"
    if any((folder / name).is_file() for name in (QUESTION, ROWS)) or (folder / RUNS).is_dir():
        return "study"
    if (folder / result_folder.CHECKPOINT).exists() or (folder / "bounds.csv").exists():
        raise ResultError(
            folder / EQUILIBRIUM,
            "is missing: the run here ended before its first point, or it still runs",
            "Go on with --resume, then ask for the report.",
        )
    raise ResultError(
        folder,
        f"holds no result ({EQUILIBRIUM}), no comparison ({COMPARISON}) and no study ({QUESTION}, {ROWS})",
        "Give the folder (--out) of mpec solve, heuristic, respond, compare or study.",
    )


def read_source(folder: Path) -> Source:
    """Everything the page needs. Raises ResultError, naming file and cure, for what can't be read.

    A study may be still running: runs that can't be read are listed in ``unread``, with the reason.
    """
    kind = kind_of(folder)
    if kind == "result":
        return Source(kind, folder, (read_stored(folder, folder.resolve().name),))
    if kind == "comparison":
        table = folder / COMPARISON
        results, unread = _readable({name: folder / name for name in METHODS}, strict=True)
        return Source(kind, folder, results, read_rows(table) if table.is_file() else (), {}, unread)
    results, unread = _readable(_run_folders(folder / RUNS), strict=False)
    question = _question(folder / QUESTION) if (folder / QUESTION).is_file() else {}
    rows = read_rows(folder / ROWS) if (folder / ROWS).is_file() else ()
    order = {row.get("run", ""): place for place, row in enumerate(rows)}
    results = tuple(sorted(results, key=lambda stored: order.get(stored.label, len(order))))
    return Source(kind, folder, results, rows, question, unread)


def _run_folders(runs: Path) -> dict[str, Path]:
    """Every result folder in runs/, also those of comparisons in it (label id/exact, id/heuristic)."""
    found: dict[str, Path] = {}
    for run in sorted(path for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []:
        if run.name.startswith("."):
            continue
        inner = [name for name in METHODS if (run / name).is_dir()]
        found |= {f"{run.name}/{name}": run / name for name in inner} if inner else {run.name: run}
    return found


def _readable(folders: Mapping[str, Path], *, strict: bool) -> tuple[tuple[Stored, ...], dict[str, str]]:
    """The results, and why others are left out: not there, or (unless ``strict``) not readable."""
    results: list[Stored] = []
    unread: dict[str, str] = {}
    for label, folder in folders.items():
        if not folder.is_dir() or not result_folder.finished(folder):
            unread[label] = f"the folder {label} holds no result"
            continue
        try:
            results.append(read_stored(folder, label))
        except ResultError as error:
            if strict:
                raise
            unread[label] = f"{Path(error.file).name}: {error.problem}"
    return tuple(results), unread


def read_stored(folder: Path, label: str) -> Stored:
    """A result folder with its stored certificate. Raises ResultError."""
    result, claims = result_folder.read(folder), result_folder.read_claims(folder)
    path = current(folder, CERTIFICATE)
    certificate = None
    if path.exists():
        cure = _JUDGE.format(folder=folder)
        certificate = read_json(path, cure=cure)
        if certificate.get("verdict") not in _VERDICTS:
            raise ResultError(
                path,
                f"{certificate.get('verdict')!r} is none of {', '.join(_VERDICTS)}",
                cure,
                column="verdict",
            )
        for name in ("checks", "big_m", "notes"):
            if not isinstance(certificate.get(name), list):
                raise ResultError(path, "is no list", cure, column=name)
        for name in ("checks", "big_m"):
            if not all(isinstance(entry, dict) for entry in certificate[name]):
                raise ResultError(path, "holds an entry that is no object", cure, column=name)
    return Stored(label, folder, result, claims, certificate)


def read_rows(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of any CSV file with a header. Raises ResultError."""
    try:
        lines = list(csv.reader(io.StringIO(read_text(path, cure=_CURE), newline=""), strict=True))
    except csv.Error as error:
        raise ResultError(path, f"is not CSV ({error})", _CURE) from error
    if not lines:
        raise ResultError(path, "is empty", _CURE)
    for count, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(lines[0]):
            problem = f"has {len(cells)} cells, the header has {len(lines[0])}"
            raise ResultError(path, problem, _CURE, row=count)
    return tuple(dict(zip(lines[0], cells, strict=True)) for cells in lines[1:])


def _question(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path, cure=_CURE))
    except tomllib.TOMLDecodeError as error:
        raise ResultError(path, f"is not TOML ({error})", "Mend the file.") from error
