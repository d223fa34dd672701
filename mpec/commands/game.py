"""The commands that take an instance: show, solve, heuristic, respond, compare."""

from __future__ import annotations

import argparse
import csv
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from instances.model import Instance
from mpec.commands.common import (
    EXIT_DONE,
    EXIT_NO_POINT,
    EXIT_REJECTED,
    VERDICT_EXITS,
    UsageError,
    load_game,
    output_folder,
    print_json,
    print_result,
    progress,
    result_summary,
)
from mpec.options import SolveOptions


def _headline(game: Instance, arguments: argparse.Namespace) -> str:
    """'ieee33-road16 · dlmp · xi 0.5 · 24 h · 3 scenarios', and how it is solved."""
    hours = len(game.periods) * game.period_h
    parts = [game.name, game.tariff_mode, f"xi {game.users.xi:g}", f"{hours:g} h"]
    parts.append(f"{len(game.scenarios)} scenario{'s' if len(game.scenarios) != 1 else ''}")
    if hasattr(arguments, "solver"):
        parts += [arguments.solver, arguments.method]
    return " · ".join(parts)


def _options(arguments: argparse.Namespace, out: Path) -> SolveOptions:
    return SolveOptions(
        method=arguments.method,
        gap=arguments.gap,
        time_limit=arguments.time_limit,
        solver=arguments.solver,
        workers=arguments.workers or os.cpu_count() or 1,
        cluster=arguments.cluster,
        start=arguments.start,
        resume=arguments.resume,
        recheck=not arguments.no_recheck,
        out=out,
        seed=arguments.seed,
        export=arguments.export,
        generate_routes=getattr(arguments, "generate_routes", False),
        say=progress,
    )


def show(arguments: argparse.Namespace) -> int:
    """Sizes and units, then the mechanisms that the followers' answer to mid-box prices shows."""
    game = load_game(arguments)
    from instances import suspicions
    from mpec import overview
    from mpec.followers.answer import follow

    sizes = overview.sizes(game)
    warnings = [problem.text(game.name) for problem in suspicions(game)]
    answer = follow(game, overview.middle_prices(game))
    found = [] if answer.point is None else overview.mechanisms(game, answer.point)
    if arguments.json:
        mechanisms = [asdict(mechanism) for mechanism in found]
        print_json({"command": "show", "sizes": sizes, "mechanisms": mechanisms, "warnings": warnings})
        return EXIT_DONE
    width = max(map(len, sizes))
    for name, value in sizes.items():
        print(f"{name:<{width}}  {value:g}" if isinstance(value, float) else f"{name:<{width}}  {value}")
    print("\nAt prices in the middle of their boxes (not above the mean caps):")
    for mechanism in found:
        print(f"  {mechanism.name}: {mechanism.cases or 'none'}")
        if mechanism.periods:
            print(f"      in the periods {overview.spans(mechanism.periods)}")
        if mechanism.example:
            print(f"      {mechanism.example}")
    for warning in warnings:
        progress(f"warning: {warning}")
    return EXIT_DONE


def solve(arguments: argparse.Namespace) -> int:
    """The exact way, judged; the verdict decides the exit code."""
    game = load_game(arguments)
    out = output_folder(arguments, game)
    options = _options(arguments, out)
    from mpec import result_folder
    from mpec.judging import judge_solved
    from mpec.orchestrator import solve_game
    from mpec.route_rounds import solve_on_generated_routes

    with result_folder.begin(out, resume=arguments.resume, force=arguments.force):
        progress(_headline(game, arguments))
        result = (solve_on_generated_routes if options.generate_routes else solve_game)(game, options)
        certificate = judge_solved(result, options)
        result_folder.write(result, certificate, out)
    summary = result_summary("solve", certificate, out)
    print_result(summary, as_json=arguments.json)
    return VERDICT_EXITS[summary["verdict"]]


def heuristic(arguments: argparse.Namespace) -> int:
    """The paper's scheme, judged; exit 0 unless the judge rejects it or nothing allowed was found."""
    game = load_game(arguments)
    out = output_folder(arguments, game)
    from mpec import result_folder
    from mpec.gravitational_search import best_response
    from mpec.judging import judge

    with result_folder.begin(out, force=arguments.force):
        progress(_headline(game, arguments))
        result = best_response(
            game,
            runs=arguments.runs,
            population=arguments.population,
            iterations=arguments.iterations,
            seed=arguments.seed,
            start=arguments.start,
            say=progress,
        )
        certificate = judge(result, say=progress)
        result_folder.write(result, certificate, out)
    summary = result_summary("heuristic", certificate, out)
    print_result(summary, as_json=arguments.json)
    return _judged_exit(summary, found=result.point is not None)


def _judged_exit(summary: dict[str, Any], *, found: bool) -> int:
    """0 done: judged and not rejected; 4 rejected; 5 nothing to judge."""
    if not found:
        return EXIT_NO_POINT
    return EXIT_REJECTED if summary["verdict"] == "REJECTED" else EXIT_DONE


def respond(arguments: argparse.Namespace) -> int:
    """The followers' answer to given prices, judged."""
    game = load_game(arguments)
    prices = read_prices(arguments.prices, game)
    out = output_folder(arguments, game)
    from mpec import result_folder
    from mpec.followers.answer import follow
    from mpec.judging import judge

    with result_folder.begin(out, force=arguments.force):
        result = follow(game, prices, pessimistic=arguments.pessimistic)
        certificate = judge(result, say=progress)
        result_folder.write(result, certificate, out)
    summary = result_summary("respond", certificate, out)
    print_result(summary, as_json=arguments.json)
    return _judged_exit(summary, found=result.point is not None)


def read_prices(path: Path, game: Instance) -> np.ndarray:
    """Prices (M, T) from a CSV with the columns station, period, charging_price (others are ignored).

    Every station of the leader needs a price in every selected period; rows of other periods are left out, and
    rivals' prices are the posted ones where the file has none. All problems are told at once. Raises UsageError,
    and OSError for a file that can't be read.
    """
    from formulations.prices import owned, posted_payments

    problems: list[str] = []
    prices = np.full((len(game.stations), len(game.periods)), np.nan)
    column = {period.id: t for t, period in enumerate(game.periods)}
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            rows = list(csv.DictReader(file))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{path}: not a CSV file in UTF-8 ({error}).") from error
    header = [(name or "").strip() for name in (rows[0] if rows else {})]
    missing = [name for name in ("station", "period", "charging_price") if name not in header]
    if missing:
        raise UsageError(
            f"{path}: no column {', '.join(missing)}.\n"
            "  The columns are station, period, charging_price, as in a result's prices.csv."
        )
    for number, raw in enumerate(rows, start=2):
        row = {(name or "").strip(): (value or "").strip() for name, value in raw.items() if name}
        place = f"{path}, row {number}, column"
        m = game.station_index.get(row["station"])
        if m is None:
            known = ", ".join(station.id for station in game.stations)
            problems.append(f"{place} station: '{row['station']}' is no station ({known}).")
            continue
        try:
            label, price = int(row["period"]), float(row["charging_price"])
        except ValueError:
            problems.append(f"{place} period, charging_price: a whole number and a number are needed.")
            continue
        if not np.isfinite(price):
            problems.append(f"{place} charging_price: {row['charging_price']} is not a finite number.")
        elif label in column:
            if not np.isnan(prices[m, column[label]]):
                problems.append(f"{place} station, period: {row['station']}, {label} is there twice.")
            prices[m, column[label]] = price
    prices = np.where(np.isnan(prices) & (owned(game)[:, None] == 0.0), posted_payments(game), prices)
    if not problems:
        problems = [
            f"{path}: station {station.id} has no price in period {period.id}."
            for m, station in enumerate(game.stations)
            for t, period in enumerate(game.periods)
            if np.isnan(prices[m, t])
        ]
    if problems:
        raise UsageError("\n".join(problems[:50]) + f"\n{len(problems)} problems, nothing was run.")
    return prices


def compare(arguments: argparse.Namespace) -> int:
    """Exact and heuristic under one judge: exit 0 when both are judged and none is rejected."""
    game = load_game(arguments)
    options = _options(arguments, output_folder(arguments, game))
    from mpec import comparison

    progress(_headline(game, arguments))
    budget = comparison.Budget(arguments.runs, arguments.population, arguments.iterations)
    done = comparison.compare(game, options, budget, force=arguments.force)
    if arguments.json:
        rows = [asdict(row) for row in done.rows]
        judged = {name: certificate.to_json() for name, certificate in done.certificates.items()}
        print_json(
            {
                "command": "compare",
                "out": options.out,
                "rows": rows,
                "refuted": done.refuted,
                "certificates": judged,
            }
        )
    else:
        print(comparison.table_text(done.rows, game.currency))
        print(f"Results and figures are in {options.out}.")
    if done.refuted:
        progress(done.refuted)
    if any(row.verdict == "REJECTED" for row in done.rows):
        return EXIT_REJECTED
    return EXIT_NO_POINT if any(result.point is None for result in done.results.values()) else EXIT_DONE
