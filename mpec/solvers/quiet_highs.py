"""HiGHS objects that print nothing: from 1.16 on the first one of a process greets before it can be told not to."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import highspy

_HIGHS: Any = highspy.Highs
_lock = threading.Lock()
_greeted = {"yes": False}


def quiet_highs() -> Any:
    """A new ``highspy.Highs`` with its output off.

    HiGHS greets from C++, past sys.stdout, so the process's own descriptor is turned away for as long as the first
    object takes. A process without standard output has nothing to be kept clean.
    """
    with _lock:
        made = _HIGHS() if _greeted["yes"] else _first()
        _greeted["yes"] = True
    made.setOptionValue("output_flag", False)
    return made


def _first() -> Any:
    if sys.stdout is not None:
        sys.stdout.flush()
    try:
        kept = os.dup(1)
    except OSError:
        return _HIGHS()
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
        return _HIGHS()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
