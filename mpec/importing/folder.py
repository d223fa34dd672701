"""Writing a new folder, all of it or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mpec.importing.pieces import refusal


def check_new(folder: Path) -> None:
    """Raises InstanceError if something is there already (an empty folder is not something)."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        what = "is there already, and nothing is replaced."
        raise refusal("", what, "Give a new name, or remove what is there.", value=str(folder))


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write all files into a new folder: made aside and moved into place, so that no half of it is ever seen."""
    check_new(folder)
    parent = folder.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=parent))
    try:
        for name, text in files.items():
            (aside / name).write_text(text, encoding="utf-8", newline="")
        # the folder of mkdtemp is for its owner alone; this one is like any other
        aside.chmod(0o777 & ~_umask())
        if folder.is_dir():
            folder.rmdir()
        os.rename(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
