"""A result on disk: the files and columns of the interface, written whole, read back exactly.

equilibrium.json   what is claimed, and the figures people compare
bound.json         what re-derives the upper bound (the solver's claims)
certificate.json   the judge's output; never read back: a stored verdict is not believed
instance/          a copy of the game (already restricted to the options), its SHA-256 in equilibrium.json
*.csv              the point (mpec/tables.py); bounds.csv grows during a run
checkpoint.npz     what --resume goes on from: an interrupted run, or an ended one for a sharper gap or more time
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Protocol

import instances
from instances.model import Instance
from mpec import tables
from mpec.checkpoint import CHECKPOINT, load_checkpoint, remove_checkpoint, store_checkpoint
from mpec.equilibrium import BoundStep, Equilibrium, Point
from mpec.indicators import indicators
from mpec.storage import (
    FolderLock,
    ResultError,
    current,
    finish,
    json_text,
    plain,
    publish,
    read_json,
    state,
    write_file,
)

__all__ = [
    "CHECKPOINT",
    "FolderLock",
    "ResultError",
    "append_bound",
    "begin",
    "finished",
    "load_checkpoint",
    "read",
    "read_claims",
    "remove_checkpoint",
    "store_checkpoint",
    "write",
    "write_certificate",
]

EQUILIBRIUM, BOUND, CERTIFICATE = "equilibrium.json", "bound.json", "certificate.json"
BOUNDS, INSTANCE = "bounds.csv", "instance"
_OURS = {EQUILIBRIUM, BOUND, CERTIFICATE, BOUNDS, CHECKPOINT, INSTANCE, "routes.csv", ".lock", ".new"} | {
    table.file for table in tables.TABLES
}
_CURE = "Restore the file, or solve again with --force."


class Judged(Protocol):
    """What the judge hands over (mpec.certificate.Certificate)."""

    def to_json(self) -> dict[str, Any]: ...


def finished(directory: Path | str) -> bool:
    """Whether the folder holds a stored result (of a finished or an interrupted run)."""
    return current(Path(directory), EQUILIBRIUM).is_file()


def begin(directory: Path | str, *, resume: bool = False, force: bool = False) -> FolderLock:
    """Claim a folder for a run: ``with begin(out, resume=..., force=...) as lock: ...``.

    Raises ResultError when it holds a result and neither ``resume`` nor ``force`` is given, when it holds
    something that is no result, or (on entering) when another process writes there.
    """
    folder = Path(directory)
    _may_write(folder, resume or force)
    return FolderLock(folder)


def _may_write(folder: Path, allowed: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ResultError(folder, "is a file, not a folder", "Choose another --out.")
    if not folder.exists():
        return
    present = {entry.name for entry in folder.iterdir()}
    if present and not present & (_OURS - {INSTANCE}):
        raise ResultError(folder, "holds files, but no result of this program", "Choose another --out.")
    if (present & {EQUILIBRIUM, CHECKPOINT, BOUNDS} or finished(folder)) and not allowed:
        raise ResultError(
            folder,
            "holds a result already",
            "Give --force to replace it, --resume to go on, or another --out.",
        )


def write(
    equilibrium: Equilibrium,
    certificate: Judged | None,
    directory: Path | str,
    *,
    force: bool = False,
) -> None:
    """Store a result: all files of the set appear together, or the folder stays as it was.

    A run that has claimed the folder with :func:`begin` writes as often as it likes. bounds.csv is kept when
    ``equilibrium.bounds`` is empty. Raises ResultError (existing result without ``force``, disk full,
    read-only folder, another process, a point with numbers that are not finite).
    """
    folder = Path(directory)
    mine = FolderLock.holds(folder)
    _may_write(folder, force or mine)
    instance, point = _pruned(equilibrium.instance), equilibrium.point
    files: dict[str, str | bytes] = {}
    remove = [BOUND, CERTIFICATE]
    if point is not None:
        for table in tables.TABLES:
            files[table.file] = tables.table_text(table, instance, point)
        files["routes.csv"] = tables.routes_text(point.routes)
    else:
        remove += [table.file for table in tables.TABLES] + ["routes.csv"]
    if equilibrium.bounds or not (folder / BOUNDS).exists() or not mine:
        files[BOUNDS] = tables.bounds_text(equilibrium.bounds)
    if equilibrium.bound_record is not None:
        files[BOUND] = json_text(equilibrium.bound_record)
    if certificate is not None:
        files[CERTIFICATE] = json_text(certificate.to_json())
    claims = _claims(equilibrium)
    with FolderLock(folder):
        copy = _InstanceCopy(instance)
        files[EQUILIBRIUM] = ""

        def make(path: Path) -> None:
            copy.save(path)
            files[EQUILIBRIUM] = json_text({**claims, "instance_sha256": copy.digest})

        publish(folder, files, {INSTANCE: make}, [name for name in remove if name not in files])


def write_certificate(certificate: Judged, directory: Path | str) -> None:
    """Replace certificate.json of a stored result. Raises ResultError."""
    folder = Path(directory)
    with FolderLock(folder):
        finish(folder)
        write_file(folder / CERTIFICATE, json_text(certificate.to_json()))


class _InstanceCopy:
    """Saves an instance and takes its digest from the files that were written."""

    def __init__(self, instance: Instance) -> None:
        self.instance, self.digest = instance, ""

    def save(self, path: Path) -> None:
        instances.save(self.instance, path)
        self.digest = digest(path)


def digest(folder: Path) -> str:
    """SHA-256 over the names and bytes of a folder's files, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _pruned(instance: Instance) -> Instance:
    """Without the rows of periods that were not selected: the copy is the game that was solved."""
    labels = {period.id for period in instance.periods}
    return replace(
        instance,
        trips={key: v for key, v in instance.trips.items() if key[2] in labels},
        wind={key: v for key, v in instance.wind.items() if key[1] in labels},
        tariff={key: v for key, v in instance.tariff.items() if key[1] in labels},
    )


def _claims(equilibrium: Equilibrium) -> dict[str, Any]:
    point = equilibrium.point
    figures: Mapping[str, float | None] = (
        indicators(equilibrium.instance, point) if point is not None else dict.fromkeys(_INDICATORS)
    )
    return {
        "instance": equilibrium.instance.name,
        "currency": equilibrium.instance.currency,
        "method": equilibrium.method,
        "options": plain(equilibrium.options),
        "status": equilibrium.status,
        "reason": equilibrium.reason,
        "profit": equilibrium.profit,
        "lower_bound": equilibrium.lower_bound,
        "upper_bound": equilibrium.upper_bound,
        "gap": equilibrium.gap,
        "unique": equilibrium.unique,
        "seconds": equilibrium.seconds,
        "solver": equilibrium.solver,
        "versions": dict(equilibrium.versions),
        "seed": equilibrium.seed,
        **figures,
    }


_INDICATORS = (
    "users_cost",
    "vehicle_hours",
    "dso_cost",
    "energy_sold_kwh",
    "curtailment_kwh",
    "shedding_kwh",
    "emergency_kwh",
)


# ---- reading -----------------------------------------------------------------------------------
def read(directory: Path | str) -> Equilibrium:
    """The stored result; every claim in it is only a claim until the judge has seen it.

    Raises ResultError naming file, row, column and cure for anything missing, cut off, doubled or strange,
    and when the copy of the instance is not the one that was solved.
    """
    folder = Path(directory)
    for _ in range(5):
        before = state(folder, EQUILIBRIUM)
        try:
            result = _read(folder)
        except ResultError:
            if state(folder, EQUILIBRIUM) == before:
                raise
            continue
        if state(folder, EQUILIBRIUM) == before:
            return result
    raise ResultError(
        folder, "is being rewritten all the time", "Wait until the run that writes here has ended."
    )


def read_claims(directory: Path | str) -> dict[str, Any]:
    """equilibrium.json as it stands. Raises ResultError when there is none or it is no JSON object."""
    folder = Path(directory)
    if not folder.is_dir():
        raise ResultError(
            folder, "is not a folder", "Give the folder of a stored result (--out of an earlier run)."
        )
    if not finished(folder):
        interrupted = (folder / CHECKPOINT).exists() or (folder / BOUNDS).exists()
        raise ResultError(
            folder / EQUILIBRIUM,
            "is missing" + (": the run here ended before its first point" if interrupted else ""),
            "Go on with --resume."
            if interrupted
            else "Give the folder of a stored result (--out of an earlier run).",
        )
    return read_json(current(folder, EQUILIBRIUM), cure=_CURE)


def read_instance(directory: Path | str) -> Instance:
    """The copy of the game in a result folder. Raises ResultError."""
    path = current(Path(directory), INSTANCE)
    try:
        return instances.load(path)
    except instances.InstanceError as error:
        raise ResultError(path, f"is not a valid instance: {error}", _CURE) from error


def instance_unchanged(directory: Path | str, claims: Mapping[str, Any]) -> bool:
    """Whether instance/ still has the SHA-256 that equilibrium.json states."""
    return digest(current(Path(directory), INSTANCE)) == claims.get("instance_sha256")


def _read(folder: Path) -> Equilibrium:
    claims = read_claims(folder)
    instance = read_instance(folder)
    if not instance_unchanged(folder, claims):
        raise ResultError(
            current(folder, INSTANCE),
            "is not the game that was solved (its SHA-256 differs from equilibrium.json)",
            "Restore the folder instance/, or solve the changed game anew.",
        )
    path = current(folder, EQUILIBRIUM)
    take = _Claims(path, claims)
    status = take.text("status")
    if status not in ("optimal", "feasible", "infeasible", "no_point"):
        raise take.error("status", f"{status!r} is none of optimal, feasible, infeasible, no_point")
    profit, point = take.real("profit"), None
    if profit is not None:
        point = _read_point(folder, instance, profit)
    elif current(folder, tables.TABLES[0].file).exists():
        raise take.error("profit", "is null although the folder holds a point")
    bound_file = current(folder, BOUND)
    bounds_file = current(folder, BOUNDS)
    seed = take.real("seed") or 0.0
    return Equilibrium(
        instance=instance,
        method=take.text("method"),
        status=status,  # type: ignore[arg-type]
        point=point,
        lower_bound=take.real("lower_bound"),
        upper_bound=take.real("upper_bound"),
        seconds=take.real("seconds") or 0.0,
        solver=take.text("solver"),
        seed=int(seed),
        options=take.mapping("options"),
        versions={str(k): str(v) for k, v in take.mapping("versions").items()},
        bounds=tables.read_bounds(bounds_file) if bounds_file.exists() else (),
        bound_record=read_json(bound_file, cure=_CURE) if bound_file.exists() else None,
        unique=take.flag("unique"),
        reason=take.text("reason"),
    )


def _read_point(folder: Path, instance: Instance, profit: float) -> Point:
    arrays: dict[str, Any] = {}
    for table in tables.TABLES:
        arrays |= tables.read_table(table, current(folder, table.file), instance)
    routes = tables.read_routes(current(folder, "routes.csv"), instance)
    known = {field.name for field in fields(Point)}
    return Point(**{k: v for k, v in arrays.items() if k in known}, routes=routes, profit=profit)


class _Claims:
    """Typed access to equilibrium.json; every refusal names the field."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path, self.values = path, values

    def error(self, field: str, problem: str) -> ResultError:
        return ResultError(self.path, problem, _CURE, column=field)

    def _get(self, field: str) -> Any:
        if field not in self.values:
            raise self.error(field, "is missing")
        return self.values[field]

    def real(self, field: str) -> float | None:
        value = self._get(field)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.error(field, f"{value!r} is not a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.error(field, "is too large to be a number")
        return number

    def text(self, field: str) -> str:
        value = self._get(field)
        if not isinstance(value, str):
            raise self.error(field, f"{value!r} is not a text")
        return value

    def flag(self, field: str) -> bool | None:
        value = self._get(field)
        if value is not None and not isinstance(value, bool):
            raise self.error(field, f"{value!r} is neither true, false nor null")
        return value

    def mapping(self, field: str) -> Mapping[str, Any]:
        value = self._get(field)
        if not isinstance(value, dict):
            raise self.error(field, f"{value!r} is not an object")
        return value


# ---- during a run ------------------------------------------------------------------------------
def append_bound(directory: Path | str, step: BoundStep) -> None:
    """Add a row to bounds.csv, on the disk when this returns. The caller holds the folder's lock.

    A line that a kill cut off is removed first. Raises ResultError (disk full, read-only).
    """
    path = Path(directory) / BOUNDS
    try:
        with open(path, "ab+") as file:
            file.seek(0)
            text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            if len(whole) != len(text):
                file.truncate(len(whole))
            line = tables.bound_row(step)
            file.write((line if whole else ",".join(tables.BOUNDS_HEADER) + "\n" + line).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ResultError(
            path,
            f"can't be written ({error.strerror or error})",
            "Free space on the disk, then go on with --resume.",
        ) from error
