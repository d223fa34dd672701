"""What the commands share: exit codes, errors as text, the result folder's rules, JSON, progress."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instances.model import Instance
from mpec.wording import money, percent

if TYPE_CHECKING:
    from mpec.certificate import Certificate

EXIT_DONE = 0
EXIT_INTERNAL = 1
EXIT_BAD_INPUT = 2
EXIT_EQUILIBRIUM = 3
EXIT_REJECTED = 4
EXIT_NO_POINT = 5
EXIT_INTERRUPTED = 130

VERDICT_EXITS = {
    "CERTIFIED": EXIT_DONE,
    "EQUILIBRIUM": EXIT_EQUILIBRIUM,
    "REJECTED": EXIT_REJECTED,
    "INFEASIBLE": EXIT_NO_POINT,
    "NO_POINT": EXIT_NO_POINT,
}


class UsageError(Exception):
    """The command can't be run as it was given; the text says why and what would help."""


def input_errors() -> tuple[type[Exception], ...]:
    """The errors whose cause lies outside the program: input, files, a solver that isn't there."""
    from instances.errors import InstanceError
    from mpec.options import OptionError
    from mpec.refusals import InfeasibleFollower, Refused
    from mpec.solvers.session import SolverMissing
    from mpec.storage import ResultError
    from mpec.studies.study_file import StudyError

    return (
        StudyError,
        InstanceError,
        OptionError,
        Refused,
        InfeasibleFollower,
        ResultError,
        SolverMissing,
        OSError,
    )


def explain(error: Exception) -> str:
    """The text of an error, with a cure where the error itself has none."""
    if isinstance(error, OSError) and error.filename is not None:
        cure = {
            FileNotFoundError: "Check the name, and the folder that you are in.",
            PermissionError: "Choose a folder that you may write to (--out), or change its permissions.",
            NotADirectoryError: "A folder is needed here.",
            IsADirectoryError: "A file is needed here.",
        }.get(type(error), "Check the disk: space, permissions, whether it is still there.")
        return f"{error.filename}: {error.strerror}.\n  {cure}"
    return str(error)


def progress(message: str) -> None:
    """One line of progress, on stderr at once."""
    print(message, file=sys.stderr, flush=True)


def load_game(arguments: argparse.Namespace) -> Instance:
    """The instance with the command line's model options applied."""
    import instances
    from instances.errors import InstanceError

    game = instances.load(arguments.instance)
    try:
        return game.select(
            periods=arguments.periods,
            xi=arguments.xi,
            kappa_per_h=arguments.kappa,
            tariff=arguments.tariff,
            price_step=arguments.price_step,
        )
    except InstanceError:
        raise
    except ValueError as error:
        raise UsageError(f"{error}.\n  Change the option, or the instance {game.name}.") from error


def output_folder(arguments: argparse.Namespace, game: Instance) -> Path:
    """--out, or runs/<instance>-<command>. Whether it may be written to, result_folder.begin decides."""
    chosen: Path | None = arguments.out
    name = re.sub(r"[^\w.-]+", "-", game.name)
    return chosen or Path("runs") / f"{name}-{arguments.command}"


def print_json(summary: Mapping[str, Any]) -> None:
    """The summary on stdout as JSON without NaN or Infinity; paths as text."""
    from mpec.storage import json_text

    print(json_text({name: str(v) if isinstance(v, Path) else v for name, v in summary.items()}).rstrip())


def result_summary(command: str, certificate: Certificate, out: Path) -> dict[str, Any]:
    """What is claimed of a stored result and what the judge says of it; the judge's figures win."""
    from mpec.result_folder import read_claims

    return {"command": command, "out": str(out), **read_claims(out), **certificate.to_json()}


def print_result(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """Verdict and interval, the ties, failed checks, and where the result is."""
    if as_json:
        print_json(summary)
        return
    print("\n".join(result_lines(summary)))


def result_lines(summary: Mapping[str, Any]) -> list[str]:
    """The printed form of a judged result (see result_summary)."""
    lower, upper, verdict = summary["lower_bound"], summary["upper_bound"], summary["verdict"]
    checks = summary["checks"]
    failed = [check for check in checks if not check["passed"]]
    proven = sum(bool(m["proven"]) for m in summary["big_m"])
    passed = (
        f"all {len(checks)} checks passed" if not failed else f"{len(failed)} of {len(checks)} checks failed"
    )
    interval = f"{money(lower)} <= profit <= {money(upper)} {summary['currency']}"
    lines = [f"{verdict}  {interval}   gap {percent(summary['gap'])}   {passed}, {proven} Ms proven"]
    if summary["reason"]:
        lines.append(summary["reason"])
    ties, best = summary["pessimistic_profit"] or {}, summary["optimistic_profit"]
    if ties.get("found") is not None or ties.get("bound") is not None:
        line = f"pessimistic {money(ties.get('found'))} (found), >= {money(ties.get('bound'))} (bound)"
        if best and ties.get("found") is not None:
            share = (best - ties["found"]) / abs(best)
            line += f": {percent(share) if share > 1e-9 else 'nothing'} of the profit rests on ties"
        lines.append(line)
    lines += [f"  {note}" for note in summary["notes"]]
    for check in failed:
        value = "no value" if check["value"] is None else f"{check['value']:.3g}"
        lines.append(
            f"  {check['name']}: {value}, tolerance {check['tolerance']:.3g}. {check.get('where', '')}"
        )
    lines.append(f"The result is in {summary['out']}.")
    return lines
