"""The command line: `mpec COMMAND …`, the same as `python -m mpec COMMAND …`.

Results go to stdout, progress to stderr. Exit codes: 0 done (CERTIFIED, or judged and not rejected),
1 internal error, 2 bad input or usage, 3 EQUILIBRIUM, 4 REJECTED, 5 INFEASIBLE or no point found in
time, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from mpec import __version__
from mpec.commands.common import (
    EXIT_BAD_INPUT,
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    UsageError,
    explain,
    input_errors,
)
from mpec.commands.new_options import add_new_options

_EPILOG = """exit codes: 0 done, 1 internal error, 2 bad input or usage, 3 EQUILIBRIUM (gap above target or
bound not rechecked), 4 REJECTED, 5 INFEASIBLE or no point found in time. `mpec COMMAND --help` lists the
options."""


def _periods(text: str) -> tuple[int, int]:
    """'8-10' or '8': first and last period label, inclusive."""
    first, _, last = text.strip().partition("-")
    try:
        chosen = int(first), int(last or first)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a span of periods; write 8-10, or 8 for one"
        ) from None
    if chosen[0] > chosen[1]:
        raise argparse.ArgumentTypeError(f"{text!r} runs backwards; the first period comes first")
    return chosen


def _number(least: float, *, strict: bool = False) -> Callable[[str], float]:
    """A finite number >= least (> least if strict), else argparse's error with the reason."""
    sign = ">" if strict else ">="

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (least < value if strict else least <= value) or value == float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is out of range; give a finite number {sign} {least:g}")
        return value

    return read


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is out of range; give a whole number >= 1")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a seed; give a whole number >= 0")
    return int(text)


def _model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the game")
    group.add_argument("instance", metavar="INSTANCE", help="a bundled name or a folder")
    group.add_argument(
        "--tariff", choices=("fixed", "dlmp", "regulated"), help="what electricity costs the leader"
    )
    group.add_argument("--xi", type=_number(0), metavar="X", help="share of the residual flow carried on")
    group.add_argument("--kappa", type=_number(0), metavar="K", help="the users' value of time, money/h")
    group.add_argument(
        "--periods", type=_periods, metavar="A-B", help="only these periods (labels, inclusive)"
    )
    group.add_argument(
        "--price-step",
        type=_number(0, strict=True),
        metavar="STEP",
        help="the leader's charging prices are multiples of this, money/kWh",
    )


def _solver_option(parser: argparse._ActionsContainer, default: str | None = "highs") -> None:
    parser.add_argument("--solver", choices=("highs", "gurobi", "scip"), default=default, help="MILP solver")


def _solve_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the exact solve")
    group.add_argument("--method", choices=("decomposed", "monolithic"), default="decomposed")
    group.add_argument("--gap", type=_number(0), default=0.01, help="target gap, a share (default 0.01)")
    group.add_argument(
        "--time-limit",
        type=_number(0, strict=True),
        default=3600.0,
        metavar="SECONDS",
        help="default 3600 (compare: 200)",
    )
    _solver_option(group)
    group.add_argument("--workers", type=_count, metavar="N", help="processes (default: the cores)")
    group.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler instead of local processes")
    group.add_argument(
        "--start", type=Path, metavar="DIR", help="a stored result whose prices are tried first"
    )
    group.add_argument(
        "--no-recheck", action="store_true", help="don't confirm the final bounds by a second run"
    )
    group.add_argument(
        "--export", type=Path, metavar="FILE", help="write the single-level MILP (.mps or .lp)"
    )


def _heuristic_options(parser: argparse.ArgumentParser, *, by_time: bool) -> None:
    """``by_time``: without --runs and --iterations the heuristic is given time, not a count (compare)."""
    group = parser.add_argument_group("the heuristic")
    runs, iterations = (None, None) if by_time else (10, 100)
    group.add_argument("--runs", type=_count, default=runs, metavar="N", help="independent runs")
    group.add_argument(
        "--population", type=_count, default=50, metavar="N", help="price vectors a run (default 50)"
    )
    group.add_argument("--iterations", type=_count, default=iterations, metavar="N", help="iterations a run")


def _seed_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=_seed, default=0, metavar="N", help="default 0")


def _output_options(parser: argparse.ArgumentParser, *, folder: bool, resume: bool = False) -> None:
    group = parser.add_argument_group("output")
    if folder:
        group.add_argument("--out", type=Path, metavar="DIR", help="default runs/<instance>-<command>")
        group.add_argument("--force", action="store_true", help="replace the result that is there")
    if resume:
        group.add_argument("--resume", action="store_true", help="go on from the result that is there")
    group.add_argument("--json", action="store_true", help="print the summary as JSON")


def _add_game_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    show = add("show", "sizes, units and which mechanisms are active at mid-box prices")
    _model_options(show)
    _output_options(show, folder=False)

    solve = add("solve", "a certified equilibrium")
    _model_options(solve)
    _solve_options(solve)
    solve.add_argument(
        "--generate-routes",
        action="store_true",
        help="no enumeration: routes by column generation, completed at the equilibrium (a declared set)",
    )
    _seed_option(solve)
    _output_options(solve, folder=True, resume=True)

    routes = add("routes", "a route set without enumeration, for route_set.csv")
    _model_options(routes)
    group = routes.add_argument_group("the generation")
    group.add_argument(
        "--samples", type=_count, metavar="N", help="price vectors per period (default: 24, or 96 in all)"
    )
    _seed_option(routes)
    routes.add_argument(
        "--out", type=Path, metavar="FILE", help="default runs/<instance>-routes/route_set.csv"
    )
    routes.add_argument("--force", action="store_true", help="replace the file that is there")
    _output_options(routes, folder=False)

    heuristic = add("heuristic", "the paper's iterative scheme (gravitational search)")
    _model_options(heuristic)
    _heuristic_options(heuristic, by_time=False)
    heuristic.add_argument(
        "--start",
        choices=["spread", "middle", "random"],
        default="spread",
        help="where the agents begin: around the middle, more and more widely (default); the first there; anywhere",
    )
    _seed_option(heuristic)
    _output_options(heuristic, folder=True)

    respond = add("respond", "what the followers answer to given prices")
    _model_options(respond)
    respond.add_argument(
        "--prices", type=Path, required=True, metavar="FILE", help="CSV: station, period, charging_price"
    )
    respond.add_argument("--pessimistic", action="store_true", help="ties against the leader")
    _output_options(respond, folder=True)

    compare = add("compare", "exact and heuristic under one judge, one table, figures")
    _model_options(compare)
    _solve_options(compare)
    _heuristic_options(compare, by_time=True)
    _seed_option(compare)
    _output_options(compare, folder=True, resume=True)
    # The heuristic gets as long again and both are judged: a comparison should end in minutes.
    compare.set_defaults(time_limit=200.0)


def _add_result_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    certify = add("certify", "judge a stored result afresh")
    certify.add_argument("folder", type=Path, metavar="DIR")
    certify.add_argument("--recheck-bound", action="store_true", help="re-prove the upper bound")
    certify.add_argument(
        "--workers", type=_count, metavar="N", help="processes that re-prove the bound (default: the cores)"
    )
    _solver_option(certify, default=None)
    _output_options(certify, folder=False)

    study = add("study", "many runs, tables and figures")
    study.add_argument("file", type=Path, metavar="FILE.toml")
    study.add_argument("--quick", action="store_true", help="the short form, in runs/<study>-quick")
    study.add_argument("--cluster", metavar="ADDRESS", help="a Dask scheduler instead of local processes")
    study.add_argument("--workers", type=_count, metavar="N", help="processes (default: the cores)")
    _output_options(study, folder=True, resume=True)

    report = add("report", "one self-contained HTML page of a result, a comparison or a study")
    report.add_argument("folder", type=Path, metavar="DIR")
    _output_options(report, folder=False)

    diff = add("diff", "two stored results side by side")
    diff.add_argument("first", type=Path, metavar="DIR_A")
    diff.add_argument("second", type=Path, metavar="DIR_B")
    _output_options(diff, folder=False)


def _add_file_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    add_new_options(add("new", "an instance folder from your own roads and feeder"))

    assign = add("assign", "users' equilibrium of a plain road network, no charging")
    assign.add_argument("net", type=Path, metavar="NET", help="TNTP net file, or roads.csv")
    assign.add_argument("trips", type=Path, metavar="TRIPS", help="TNTP trips file, or trips.csv")
    assign.add_argument("--gap", type=_number(0), default=1e-12, help="relative gap (default 1e-12)")
    assign.add_argument("--period", type=int, metavar="N", help="which period of a trips.csv with several")
    for name, what in (("toll", "toll"), ("distance", "length")):
        assign.add_argument(
            f"--{name}-factor",
            type=_number(0),
            default=0.0,
            metavar="F",
            help=f"cost per unit of {what} (TNTP)",
        )
    _output_options(assign, folder=False)

    bilevel = add("solve-bilevel", "other people's linear bilevel problems (MPS and AUX files)")
    bilevel.add_argument("file", type=Path, metavar="FILE.mps")
    bilevel.add_argument("--aux", type=Path, metavar="FILE.aux", help="default: FILE.aux beside it")
    bilevel.add_argument(
        "--mode",
        choices=("big_m", "sos1", "indicator", "strong_duality"),
        default="big_m",
        help="default big_m",
    )
    _solver_option(bilevel)
    bilevel.add_argument(
        "--time-limit", type=_number(0, strict=True), metavar="SECONDS", help="default: none"
    )
    bilevel.add_argument(
        "--export", type=Path, metavar="FILE", help="write the single-level MILP (.mps or .lp)"
    )
    _output_options(bilevel, folder=False)


def parser() -> argparse.ArgumentParser:
    """The whole command line. Abbreviated options are refused: scripts would break when one is added."""
    top = argparse.ArgumentParser(
        prog="mpec",
        description="Certified prices for EV charging stations.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"evcs-mpec {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name, help=summary, description=summary, epilog=_EPILOG, allow_abbrev=False
        )

    _add_game_commands(add)
    _add_result_commands(add)
    _add_file_commands(add)
    return top


_HOMES = {
    "show": "game",
    "solve": "game",
    "routes": "routes",
    "heuristic": "game",
    "respond": "game",
    "compare": "game",
    "certify": "stored",
    "study": "study",
    "report": "stored",
    "diff": "stored",
    "new": "new",
    "assign": "files",
    "solve-bilevel": "files",
}


def _run(arguments: argparse.Namespace) -> int:
    home = import_module(f"mpec.commands.{_HOMES[arguments.command]}")
    run: Callable[[argparse.Namespace], int] = getattr(home, arguments.command.replace("-", "_"))
    return run(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (argparse itself leaves with 0 or 2)."""
    arguments = parser().parse_args(argv)
    try:
        code = _run(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("Interrupted. Finished iterations are in the result folder; --resume goes on.", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output (head, less) has left: say nothing more, on stdout least of all.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_INTERNAL
    except UsageError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_INPUT
    except Exception as error:
        if isinstance(error, input_errors()):
            print(explain(error), file=sys.stderr)
            return EXIT_BAD_INPUT
        print(
            f"Internal error in `mpec {arguments.command}`: {type(error).__name__}: {error}", file=sys.stderr
        )
        print(
            "  This is a fault of the program, not of your input. MPEC_DEBUG=1 shows where.", file=sys.stderr
        )
        if os.environ.get("MPEC_DEBUG"):
            traceback.print_exc()
        return EXIT_INTERNAL


if __name__ == "__main__":
    sys.exit(main())
