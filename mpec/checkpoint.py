"""What --resume goes on from: one file, replaced atomically.

A run that ended leaves it too: with a sharper gap or more time it is gone on with, instead of from the start.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpec.storage import ResultError, write_file

CHECKPOINT = "checkpoint.npz"


def store_checkpoint(directory: Path | str, content: Mapping[str, Any]) -> None:
    """Store what --resume needs, atomically: nested dicts and lists of plain values and numpy arrays.

    Infinity and NaN are kept here (bounds that don't exist yet). Raises ResultError.
    """
    arrays: dict[str, np.ndarray] = {}

    def encode(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if value.dtype.hasobject:
                raise TypeError("a checkpoint holds numeric arrays only")
            name = f"array{len(arrays)}"
            arrays[name] = value
            return {"__array__": name}
        if isinstance(value, Mapping):
            return {str(key): encode(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [encode(item) for item in value]
        return value.item() if isinstance(value, np.generic) else value

    text = json.dumps(encode(content))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, content=np.frombuffer(text.encode(), dtype=np.uint8), **arrays)  # type: ignore[arg-type]
    write_file(Path(directory) / CHECKPOINT, buffer.getvalue())


def load_checkpoint(directory: Path | str) -> dict[str, Any] | None:
    """The stored checkpoint, None without one. Raises ResultError when it can't be read."""
    path = Path(directory) / CHECKPOINT
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        content = json.loads(arrays.pop("content").tobytes().decode())

        def decode(value: Any) -> Any:
            if isinstance(value, dict):
                if set(value) == {"__array__"}:
                    return arrays[value["__array__"]]
                return {key: decode(item) for key, item in value.items()}
            return [decode(item) for item in value] if isinstance(value, list) else value

        decoded = decode(content)
        if not isinstance(decoded, dict):
            raise ValueError("no object in it")
        return decoded
    except Exception as error:  # any damage to the archive: zip, zlib, numpy and JSON errors alike
        raise ResultError(
            path,
            f"can't be read ({error})",
            "Remove this file and start again without --resume, with --force.",
        ) from error


def remove_checkpoint(directory: Path | str) -> None:
    """For a game that can't go on from it: its routes are no longer the same."""
    (Path(directory) / CHECKPOINT).unlink(missing_ok=True)
