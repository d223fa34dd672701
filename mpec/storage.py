"""Files of a result folder: written whole or not at all, by one process at a time.

* A single file is written beside its place, flushed to the disk and renamed over it.
* A set of files is first written completely into ``.new`` and sealed by ``.new/COMPLETE``; only then the
  files move into place. A kill in between leaves either the old set or a sealed new one, which
  :func:`current` shows to readers at once and the next writer moves into place.
* :class:`FolderLock` is an advisory lock (flock) on ``.lock``: it dies with its process, so a killed run
  never blocks the next one.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import numpy as np

_STAGE = ".new"
_SEAL = "COMPLETE"
_LOCK = ".lock"


class ResultError(RuntimeError):
    """A result folder can't be read or written: where (file, row, column), why, and the cure."""

    def __init__(
        self,
        file: Path | str,
        problem: str,
        cure: str,
        *,
        row: int | None = None,
        column: str | None = None,
    ) -> None:
        self.file, self.row, self.column = str(file), row, column
        self.problem, self.cure = problem, cure
        place = (
            self.file + (f", row {row}" if row is not None else "") + (f", column {column}" if column else "")
        )
        super().__init__(f"{place}: {problem}\n  {cure}")


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: arrays become lists, numbers that don't exist (NaN, infinity) null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return str(value)


def json_text(value: Any) -> str:
    """``value`` as JSON text without NaN or Infinity; floats read back exactly."""
    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(path: Path, *, cure: str) -> dict[str, Any]:
    """The object in a JSON file. Raises ResultError when it is missing, truncated or no object."""
    text = read_text(path, cure=cure)

    def refuse(constant: str) -> float:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError as error:
        raise ResultError(path, "is nested too deeply to be a result", cure) from error
    except ValueError as error:
        raise ResultError(path, f"is not complete JSON ({error})", cure) from error
    if not isinstance(value, dict):
        raise ResultError(path, "holds no JSON object", cure)
    return value


def read_text(path: Path, *, cure: str) -> str:
    """A file's text. Raises ResultError when it is missing, unreadable or not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ResultError(path, "is missing", cure) from error
    except UnicodeDecodeError as error:
        raise ResultError(path, f"is not text (byte {error.start} is not UTF-8)", cure) from error
    except OSError as error:
        raise ResultError(path, f"can't be read ({error.strerror})", cure) from error


def _write(path: Path, content: str | bytes) -> None:
    with open(path, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())


def _refused(path: Path, error: OSError) -> ResultError:
    return ResultError(
        path,
        f"can't be written ({error.strerror or error})",
        "Free space on the disk or choose another --out; what the folder held before is unchanged.",
    )


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and rename it over: readers see the old text or the new one.

    Raises ResultError (disk full, read-only folder); the old file is then unchanged.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write(beside, content)
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _refused(path, error) from error


def current(folder: Path, name: str) -> Path:
    """Where ``name`` of the last complete set is: in a sealed stage if a move was cut off, else in place."""
    staged = folder / _STAGE / name
    return staged if (folder / _STAGE / _SEAL).exists() and staged.exists() else folder / name


def state(folder: Path, name: str) -> tuple[bool, int, int]:
    """Changes whenever a set with the file ``name`` is published: (sealed stage there, inode, time)."""
    sealed = (folder / _STAGE / _SEAL).exists()
    try:
        found = current(folder, name).stat()
    except OSError:
        return sealed, 0, 0
    return sealed, found.st_ino, found.st_mtime_ns


def publish(
    folder: Path,
    files: Mapping[str, str | bytes],
    subfolders: Mapping[str, Callable[[Path], None]] | None = None,
    remove: Iterable[str] = (),
) -> None:
    """Replace a set of files and subfolders of ``folder`` as one; names in ``remove`` go.

    Raises ResultError (disk full, read-only); the old set is then unchanged. The caller holds the lock.
    """
    finish(folder)
    stage = folder / _STAGE
    try:
        shutil.rmtree(stage, ignore_errors=True)
        stage.mkdir(parents=True)
        for name, make in (subfolders or {}).items():
            make(stage / name)  # before the files: their text may depend on it
        for name, content in files.items():
            _write(stage / name, content)
        seal = {"move": [*(subfolders or {}), *files], "remove": list(remove)}
        _write(stage / (_SEAL + ".part"), json.dumps(seal))
        os.replace(stage / (_SEAL + ".part"), stage / _SEAL)
    except OSError as error:
        shutil.rmtree(stage, ignore_errors=True)
        raise _refused(folder, error) from error
    finish(folder)


def finish(folder: Path) -> None:
    """Move a sealed stage into place (also one that a killed process left behind)."""
    stage = folder / _STAGE
    if not (stage / _SEAL).exists():
        return
    try:
        move, remove = _read_seal(stage / _SEAL)
        for name in move:
            staged, place = stage / name, folder / name
            if staged.is_dir() and place.is_dir():
                shutil.rmtree(place)
            if staged.exists():
                os.replace(staged, place)
        for name in remove:
            (folder / name).unlink(missing_ok=True)
        (stage / _SEAL).unlink()
        shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise _refused(folder, error) from error


def _read_seal(path: Path) -> tuple[list[str], list[str]]:
    """Names to move and to remove. A folder may come from a stranger: only plain names are followed."""
    cure = f"Remove the folder {path.parent}; the result beside it is then read."
    seal = read_json(path, cure=cure)
    names = seal.get("move"), seal.get("remove")
    for group in names:
        if not isinstance(group, list) or any(
            not isinstance(name, str) or Path(name).name != name or name in ("", "..") for name in group
        ):
            raise ResultError(path, "lists something else than plain file names", cure)
    return list(names[0] or []), list(names[1] or [])


class FolderLock:
    """The right to write in a folder, held by one process; a context manager, reentrant in its process.

    Raises ResultError when another living process holds it. ``taken_over`` names the process that left
    the lock behind without finishing (killed), else it is "".
    """

    _held: ClassVar[dict[Path, tuple[int, int]]] = {}

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder).resolve()
        self.taken_over = ""

    def __enter__(self) -> FolderLock:
        if self.folder in self._held:
            handle, depth = self._held[self.folder]
            self._held[self.folder] = handle, depth + 1
            return self
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = self._acquire()
        except OSError as error:
            raise _refused(self.folder, error) from error
        self._held[self.folder] = handle, 1
        return self

    def _acquire(self) -> int:
        path = self.folder / _LOCK
        while True:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.read(handle, 200).decode(errors="replace").strip() or "unknown"
                os.close(handle)
                raise ResultError(
                    self.folder,
                    f"another run is writing here ({owner})",
                    "Wait until it ends, or give this run another folder with --out.",
                ) from error
            # The owner removes the file when it ends; a handle opened just before then locks nothing.
            try:
                same = os.fstat(handle).st_ino == os.stat(path).st_ino
            except FileNotFoundError:
                same = False
            if same:
                break
            os.close(handle)
        self.taken_over = os.read(handle, 200).decode(errors="replace").strip()
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return handle

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder not in self._held:
            return
        handle, depth = self._held.pop(self.folder)
        if depth > 1:
            self._held[self.folder] = handle, depth - 1
            return
        try:
            (self.folder / _LOCK).unlink(missing_ok=True)
        finally:
            os.close(handle)

    @classmethod
    def holds(cls, folder: Path | str) -> bool:
        """Whether this process holds the lock of ``folder``."""
        return Path(folder).resolve() in cls._held

    @classmethod
    def forget(cls) -> None:
        """In a forked child: the lock belongs to the parent and must not outlive it in the child."""
        for handle, _ in cls._held.values():
            os.close(handle)
        cls._held.clear()


os.register_at_fork(after_in_child=FolderLock.forget)
