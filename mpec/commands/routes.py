"""`mpec routes`: a route set by column generation, as the file that declares it."""

from __future__ import annotations

import argparse
from pathlib import Path

from mpec.commands.common import EXIT_DONE, UsageError, load_game, output_folder, print_json, progress

FILE = "route_set.csv"


def routes(arguments: argparse.Namespace) -> int:
    """Generate the routes and write route_set.csv; exit 0 also when a declared set was the start."""
    game = load_game(arguments)
    out: Path = arguments.out or output_folder(arguments, game) / FILE
    if out.exists() and not arguments.force:
        raise UsageError(f"{out}: is there already.\n  Give --force to replace it, or another --out.")
    from instances.writer import files_of
    from mpec.route_generation import SOURCE_KEY, generate_routes, with_routes

    made = generate_routes(game, samples=arguments.samples, seed=arguments.seed, say=progress)
    declared = with_routes(game, made.routes.routes, made.source())
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(files_of(declared)[FILE], encoding="utf-8", newline="")
    per_pair = {">".join(pair.key): 0 for pair in game.pairs}
    for route in declared.route_set or ():
        per_pair[f"{route.origin}>{route.destination}"] += 1
    if arguments.json:
        print_json(
            {
                "command": "routes",
                "out": out,
                "routes": len(declared.route_set or ()),
                "routes_per_pair": per_pair,
                "converged": made.converged,
                "rounds": made.rounds,
                "searches": made.searches,
                "samples": made.samples,
                "seed": made.seed,
                "seconds": made.seconds,
                "source": made.source(),
                "proved_complete": False,
            }
        )
        return EXIT_DONE
    left = "none cheaper is left" if made.converged else "cheaper ones may be left"
    print(
        f"{len(declared.route_set or ())} routes of {len(game.pairs)} O-D pairs; at the sampled prices {left}."
    )
    print(
        f"The routes are in {out}. As {FILE} in the instance's folder they are its declared route set; then"
    )
    print(f'its [source] in instance.toml should say: {SOURCE_KEY} = "{made.source()}"')
    return EXIT_DONE
