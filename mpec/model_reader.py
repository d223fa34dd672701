"""Reading MPS and LP files by HiGHS, at arm's length: spoiled files can hang or crash its reader."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from mpec.solvers.quiet_highs import quiet_highs

PATIENCE_S = 30.0
BYTES_PER_S = 1e5
"""Seconds that a file may take: this much, and one more for so many bytes (unpacked ones count ten times)."""

_TRIAL = (
    "import sys, highspy; reader = highspy.Highs(); reader.setOptionValue('output_flag', False);"
    "sys.exit(reader.readModel(sys.argv[1]) == highspy.HighsStatus.kError)"
)


class UnreadableModel(ValueError):
    """The file is no model; the message says how that was found out."""


def read_lp(path: Path) -> Any:
    """The HiGHS LP of an MPS or LP file, possibly .gz. Raises UnreadableModel.

    A process of its own reads the file first: what hangs or crashes there is refused.
    """
    packed = 10.0 if path.suffix == ".gz" else 1.0
    patience = PATIENCE_S + packed * path.stat().st_size / BYTES_PER_S
    try:
        code = subprocess.run(
            [sys.executable, "-c", _TRIAL, str(path)], timeout=patience, capture_output=True, check=False
        ).returncode
    except subprocess.TimeoutExpired as error:
        raise UnreadableModel(f"reading it did not end within {patience:.0f} s") from error
    if code != 0:
        how = "it is no MPS (fixed or free) or LP file" if code == 1 else "reading it crashed the reader"
        raise UnreadableModel(how)
    reader = quiet_highs()
    reader.readModel(str(path))
    lp = reader.getLp()
    try:
        list(lp.col_names_), list(lp.row_names_)
    except UnicodeDecodeError as error:
        raise UnreadableModel(f"the name of a column or row is not UTF-8 ({error.reason})") from error
    return lp
