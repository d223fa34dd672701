"""The commands that take a stored result: certify, diff, report."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from mpec.commands.common import (
    EXIT_DONE,
    VERDICT_EXITS,
    print_json,
    print_result,
    progress,
    result_summary,
)
from mpec.wording import money, percent


def certify(arguments: argparse.Namespace) -> int:
    """Judge a stored result afresh and replace its certificate.json; the verdict decides the exit code."""
    from mpec import result_folder
    from mpec.judging import judge_folder

    certificate = judge_folder(
        arguments.folder,
        recheck=arguments.recheck_bound,
        solver=arguments.solver,
        workers=arguments.workers or os.cpu_count() or 1,
        say=progress,
    )
    result_folder.write_certificate(certificate, arguments.folder)
    summary = result_summary("certify", certificate, arguments.folder)
    print_result(summary, as_json=arguments.json)
    return VERDICT_EXITS[summary["verdict"]]


_COMPARED = (
    "profit",
    "lower_bound",
    "upper_bound",
    "gap",
    "pessimistic_found",
    "users_cost",
    "vehicle_hours",
    "dso_cost",
    "energy_sold_kwh",
    "curtailment_kwh",
    "shedding_kwh",
    "emergency_kwh",
    "seconds",
)


def _judged(folder: Path) -> dict[str, Any]:
    """The stored result's claims and what the judge says of it now."""
    from mpec.judging import judge_folder

    summary = result_summary("diff", judge_folder(folder), folder)
    summary["pessimistic_found"] = (summary["pessimistic_profit"] or {}).get("found")
    return summary


def conclusion(first: dict[str, Any], second: dict[str, Any]) -> str:
    """'A beats B' only when A's lower bound is above B's upper bound, else why it can't be told."""
    if "REJECTED" in (first["verdict"], second["verdict"]):
        return "A rejected result is compared with nothing."
    if first["currency"] != second["currency"]:
        return "The currencies differ."
    for better, worse, text in ((first, second, "A beats B"), (second, first, "B beats A")):
        if better["lower_bound"] is not None and worse["upper_bound"] is not None:
            if better["lower_bound"] > worse["upper_bound"]:
                return f"{text}: the intervals are disjoint (bounds as stored, not rechecked)."
    if None in (first["upper_bound"], second["upper_bound"], first["lower_bound"], second["lower_bound"]):
        return "It can't be told which is better: a bound is missing."
    return "It can't be told which is better: the intervals overlap."


def diff(arguments: argparse.Namespace) -> int:
    """Two stored results side by side, both judged afresh."""
    pair = [_judged(folder) for folder in (arguments.first, arguments.second)]
    said = conclusion(*pair)
    if arguments.json:
        kept = ("out", "instance", "verdict", *_COMPARED)
        shown = [{name: summary.get(name) for name in kept} for summary in pair]
        print_json({"command": "diff", "a": shown[0], "b": shown[1], "conclusion": said})
        return EXIT_DONE
    rows = [["", "A", "B", "B - A"]]
    rows += [[name, str(pair[0][name]), str(pair[1][name]), ""] for name in ("instance", "verdict")]
    for name in _COMPARED:
        a, b = (summary.get(name) for summary in pair)
        show = percent if name == "gap" else money
        rows.append([name, show(a), show(b), show(b - a) if a is not None and b is not None else ""])
    widths = [max(len(row[c]) for row in rows) for c in range(4)]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(row[c].rjust(widths[c]) for c in range(1, 4))]
        print("  ".join(cells).rstrip())
    print(said)
    return EXIT_DONE


def report(arguments: argparse.Namespace) -> int:
    """Write DIR/report.html, one self-contained page of what the folder holds."""
    from mpec.report import read_source, write_page

    source = read_source(arguments.folder)
    path = write_page(source)
    if arguments.json:
        summary = {"command": "report", "out": path, "kind": source.kind, "bytes": path.stat().st_size}
        print_json({**summary, "results": len(source.results), "unread": dict(source.unread)})
        return EXIT_DONE
    for label, why in source.unread.items():
        progress(f"not on the page: {label} ({why})")
    print(f"The page is {path}.")
    return EXIT_DONE
