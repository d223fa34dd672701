"""The commands on other people's files: assign (road networks), solve-bilevel (MPS and AUX)."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from mpec.commands.common import (
    EXIT_BAD_INPUT,
    EXIT_DONE,
    EXIT_NO_POINT,
    VERDICT_EXITS,
    UsageError,
    print_json,
)
from mpec.wording import percent


def assign(arguments: argparse.Namespace) -> int:
    """Users' equilibrium of a plain network; exit 5 when the gap asked for was not reached."""
    from mpec.assignment import assign as equilibrium
    from mpec.network_files import read_network, read_trips

    try:
        network = read_network(
            arguments.net, toll_factor=arguments.toll_factor, distance_factor=arguments.distance_factor
        )
        trips = read_trips(arguments.trips, network, period=arguments.period)
        found = equilibrium(network, trips, gap=arguments.gap)
    except ValueError as error:
        raise UsageError(f"{error}.\n  Nothing was run; mend the file.") from error
    roads = [
        {
            "road": network.names[a],
            "from": network.nodes[network.tail[a]],
            "to": network.nodes[network.head[a]],
            "flow": float(found.flow[a]),
            "cost": float(found.cost[a]),
        }
        for a in range(network.roads)
    ]
    if arguments.json:
        pairs = zip(trips.origin, trips.destination, trips.flow, found.od_cost, strict=True)
        print_json(
            {
                "command": "assign",
                "converged": found.converged,
                "relative_gap": found.relative_gap,
                "potential": found.potential,
                "total_cost": found.total_cost,
                "iterations": found.iterations,
                "paths": found.paths,
                "seconds": found.seconds,
                "flows": roads,
                "trips": [
                    {
                        "origin": network.nodes[o],
                        "destination": network.nodes[d],
                        "flow": float(f),
                        "cost": float(c),
                    }
                    for o, d, f, c in pairs
                ],
            }
        )
    else:
        wide = max([len(str(road["road"])) for road in roads] + [4])
        print(f"{'road':<{wide}}  {'flow':>16}  {'cost':>16}")
        for road in roads:
            print(f"{road['road']:<{wide}}  {road['flow']:16.9g}  {road['cost']:16.9g}")
        print(f"potential {found.potential!r}, total cost {found.total_cost!r}")
        reached = "reached" if found.converged else "NOT reached"
        print(f"relative gap {found.relative_gap:.3g} ({arguments.gap:g} {reached}), {found.seconds:.2f} s")
    return EXIT_DONE if found.converged else EXIT_NO_POINT


def solve_bilevel(arguments: argparse.Namespace) -> int:
    """A linear bilevel problem from MPS and AUX files; a refusal leaves with 2, else the verdict decides."""
    from mpec.bilevel_files import BilevelFileError
    from mpec.bilevel_files import solve_bilevel as solve
    from mpec.bilevel_solution import BilevelSolution
    from mpec.refusals import Refused

    try:
        summary = solve(
            arguments.file,
            arguments.aux,
            arguments.mode,
            arguments.solver,
            time_limit=arguments.time_limit,
            export=arguments.export,
        )
    except BilevelFileError as error:
        raise UsageError(str(error)) from error
    except Refused as error:
        summary = BilevelSolution(
            "refused", "REFUSED", reason=str(error), solver=arguments.solver, mode=arguments.mode
        ).summary()
    if arguments.json:
        print_json(summary)
    else:
        _print_bilevel(summary)
    return {**VERDICT_EXITS, "REFUSED": EXIT_BAD_INPUT}[summary["verdict"]]


def _print_bilevel(summary: Mapping[str, Any]) -> None:
    """Verdict, objectives, every variable, failed checks."""
    print(
        f"{summary['verdict']} ({summary['status']}){': ' + summary['reason'] if summary['reason'] else ''}"
    )
    if summary["leader_objective"] is None:
        return
    print(
        f"leader {summary['leader_objective']!r}, bound {summary['bound']!r}, gap {percent(summary['gap'])}"
    )
    print(f"follower {summary['follower_objective']!r}")
    wide = max(map(len, summary["variables"]), default=0)
    for name, value in summary["variables"].items():
        print(f"  {name:<{wide}}  {value!r}")
    for check in summary["checks"]:
        if not check["passed"]:
            print(f"  failed: {check['name']}, {check['value']!r} above {check['tolerance']!r}")
