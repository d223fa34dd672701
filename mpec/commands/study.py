"""`mpec study FILE.toml`: many runs, tables, figures and findings."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mpec.commands.common import EXIT_DONE, EXIT_INTERNAL, EXIT_REJECTED, print_json, progress


def study(arguments: argparse.Namespace) -> int:
    """Run what is missing and write the study's folder: 0 done, 1 some runs failed, 4 a result was rejected."""
    from mpec.studies.campaign import RunsFailed, run_study
    from mpec.studies.study_file import read_study

    chosen = read_study(arguments.file, quick=arguments.quick)
    out = study_folder(arguments.file, arguments.out, quick=arguments.quick)
    progress(f"{chosen.name}{' (quick form)' if chosen.quick else ''}: {chosen.question}")
    progress(f"{len(chosen.runs)} runs, results in {out}")
    try:
        material = run_study(
            chosen,
            out,
            resume=arguments.resume,
            force=arguments.force,
            workers=arguments.workers or os.cpu_count() or 1,
            cluster=arguments.cluster,
            say=progress,
        )
    except RunsFailed as error:
        progress(str(error))
        return EXIT_INTERNAL
    rejected = [row for row in material.rows if row["verdict"] == "REJECTED" and row["method"] != "policy"]
    refuted = [row for row in material.rows if row["refuted"]]
    if arguments.json:
        print_json(
            {
                "command": "study",
                "out": out,
                "question": chosen.question,
                "rows": material.rows,
                "rejected": [row["run"] for row in rejected],
                "refuted": [row["run"] for row in refuted],
            }
        )
    else:
        print((out / "README.md").read_text(encoding="utf-8").rstrip())
        print(f"\nThe study is in {out}.")
    for row in [*rejected, *refuted]:
        progress(
            f"{row['run']}: {row['verdict']}, {row['failed_checks'] or 'a profit above the certified bound'}"
        )
    return EXIT_REJECTED if rejected or refuted else EXIT_DONE


def study_folder(file: Path, out: Path | None, *, quick: bool) -> Path:
    """--out; else the folder of a file named study.toml; else, and for the quick form, below runs/."""
    if out is not None:
        return out
    name = file.resolve().parent.name if file.name == "study.toml" else file.stem
    if quick:
        return Path("runs") / f"{name}-quick"
    return file.parent if file.name == "study.toml" else Path("runs") / f"{name}-study"
