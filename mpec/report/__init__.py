"""`mpec report`: one self-contained HTML page of a result, a comparison or a study folder.

The page shows what is stored and judges nothing. It needs no network and no other file; what a folder
doesn't hold is said to be missing.
"""

from __future__ import annotations

from pathlib import Path

from mpec.report.page import page
from mpec.report.sources import Kind, Source, kind_of, read_source
from mpec.storage import write_file

__all__ = ["PAGE", "Kind", "Source", "kind_of", "read_source", "write_page", "write_report"]

PAGE = "report.html"


def write_report(folder: Path | str) -> Path:
    """Write DIR/report.html and return its path.

    Raises ResultError, with cause and cure, where the folder is neither a result nor a comparison nor a
    study, or a file in it can't be read or written.
    """
    return write_page(read_source(Path(folder)))


def write_page(source: Source) -> Path:
    """The same for a folder that has been read. Raises ResultError."""
    path = source.folder / PAGE
    write_file(path, page(source))
    return path
