"""Spoiled files for every reader: each ends in a refusal or in data, never in another exception, a crash or a hang.

    python tests/fuzz_readers.py [--seconds 600] [--seed 0] [--only NAME ...] [--out results/soundness]

``seconds`` of processor time are shared alike by the readers. An input whose refusal reads like none before, or
that is accepted for the first time, becomes a start for further damage. Inputs that break a reader are kept in
--faults, one folder each; rows go to fuzz.csv and fuzz.md, those of --only in place of what these readers had.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import re
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from readable_files import Reader, readers
from spoiled_files import Files, spoil

from mpec import model_reader
from mpec.bench_rows import Row, add_row, markdown, read_rows

FIELDS = ("reader", "seed", "inputs", "refused", "accepted", "kinds_of_refusal", "cpu_seconds", "faults")
HANG = 10.0
"""Seconds of processor time after which a reader counts as hanging; these files are small."""

MOST_STARTS = 300


class Hang(Exception):
    """A reader took too long."""


@dataclass
class Tally:
    """What came of the inputs; ``faults``: where and what -> the first input."""

    inputs: int = 0
    refused: int = 0
    accepted: int = 0
    kinds: set[str] = field(default_factory=set)
    faults: dict[str, Files] = field(default_factory=dict)
    starts: list[Files] = field(default_factory=list)


def spent() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + used.ru_utime + used.ru_stime


def put(files: Mapping[str, bytes], folder: Path) -> None:
    """The files in the folder, and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def try_one(reader: Reader, files: Files, folder: Path, tally: Tally) -> None:
    """Read the files once and count the outcome."""
    put(files, folder)
    tally.inputs += 1
    try:
        reader.read(folder)
    except reader.refusals as error:
        tally.refused += 1
        kind = _kind(str(error), folder)
        if not str(error).strip():
            tally.faults.setdefault(f"{type(error).__name__} without a text", dict(files))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        kind = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}: {error}"[:200]
        same = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        if not any(known.startswith(same) for known in tally.faults):
            tally.faults[kind] = dict(files)
        return
    else:
        tally.accepted += 1
        kind = "accepted"
    if kind not in tally.kinds:
        tally.kinds.add(kind)
        if len(tally.starts) < MOST_STARTS:
            tally.starts.append(dict(files))


def _kind(text: str, folder: Path) -> str:
    """A refusal without what changes from input to input: names, numbers, quoted values."""
    text = text.replace(str(folder), "")
    return re.sub(r"'[^']*'|\"[^\"]*\"|[-+\d.e]+|\(.*?\)", "*", text)[:300]


def fuzz(
    reader: Reader, seed: int, folder: Path, *, rounds: int | None = None, seconds: float | None = None
) -> Tally:
    """Spoil and read until ``rounds`` inputs or ``seconds`` of processor time; the seeds themselves come first."""
    chance, tally = random.Random(f"{seed} {reader.name}"), Tally()
    for files in reader.seeds:
        try_one(reader, dict(files), folder, tally)
    if tally.accepted != len(reader.seeds):
        raise ValueError(
            f"{reader.name}: a good file is refused: {sorted(tally.kinds)} {sorted(tally.faults)}"
        )
    began = spent()
    while (rounds is None or tally.inputs < rounds) and (seconds is None or spent() - began < seconds):
        good = chance.random() < 0.7 or not tally.starts
        files = dict(chance.choice(reader.seeds if good else tally.starts))
        spoil(files, chance)
        try_one(reader, files, folder, tally)
    return tally


def _hang(signum: int, frame: Any) -> None:
    raise Hang(f"more than {HANG:g} s of processor time")


def _in_a_process(
    name: str, seed: int, seconds: float, folder: str
) -> tuple[dict[str, Any], dict[str, Files]]:
    """One reader's row and faults; a reader that never comes back is interrupted."""
    reader = next(r for r in readers() if r.name == name)
    read = reader.read

    def limited(place: Path) -> object:
        signal.setitimer(signal.ITIMER_PROF, HANG)
        try:
            return read(place)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)

    signal.signal(signal.SIGPROF, _hang)
    model_reader.PATIENCE_S = HANG
    began = spent()
    tally = fuzz(Reader(name, reader.seeds, limited, reader.refusals), seed, Path(folder), seconds=seconds)
    counts = {"inputs": tally.inputs, "refused": tally.refused, "accepted": tally.accepted}
    row = {**counts, "kinds_of_refusal": len(tally.kinds), "cpu_seconds": round(spent() - began, 1)}
    return {"reader": name, "seed": seed, **row, "faults": len(tally.faults)}, tally.faults


def _text(rows: Sequence[dict[str, str]]) -> str:
    seconds = sum(float(row["cpu_seconds"]) for row in rows)
    inputs, faults = (sum(int(row[name]) for row in rows) for name in ("inputs", "faults"))
    return (
        "# Spoiled files\n\nMade by `python tests/fuzz_readers.py`: every input must end in a refusal with a text, "
        "or be read; any other exception, crash or hang is a fault (what was found is mended, and a test).\n"
        f"Processor time {seconds:,.0f} s, inputs {inputs:,}, faults {faults}.\n\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="spoiled files for every reader")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="of processor time, all readers together"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/soundness"))
    parser.add_argument("--faults", type=Path, default=Path("runs/fuzz"), help="inputs that break a reader")
    given = parser.parse_args(arguments)
    names = [r.name for r in readers() if not given.only or r.name in given.only]
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = [row for row in read_rows(given.out / "fuzz.csv") if row["reader"] not in names]
    broken = 0
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "input"
            try:
                # A process of its own: a reader written in C++ may take its process with it.
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                    share = given.seconds / len(names)
                    row, faults = pool.submit(_in_a_process, name, given.seed, share, str(folder)).result()
            except BrokenProcessPool:
                inputs = {
                    str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()
                }
                row = dict.fromkeys(FIELDS, 0) | {"reader": name, "seed": given.seed, "faults": 1}
                faults = {"the process died": inputs}
        for number, (what, files) in enumerate(faults.items()):
            put(files, given.faults / f"{name.replace(' ', '-').replace(',', '')}-{given.seed}-{number}")
            print(f"FAULT {name}: {what}")
        broken += len(faults)
        print(row, flush=True)
        add_row(given.out / "fuzz.csv", rows, FIELDS, row)
        (given.out / "fuzz.md").write_text(_text(rows) + markdown(rows, FIELDS), encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
