"""`--generate-routes`: solve on generated routes, search at the equilibrium, add what is missing, solve again.

The game that is solved is always one on a declared route set, and its interval holds for that set. A round ends
with the search over all routes at the equilibrium found; when it finds none that is cheaper, users who know
the whole road network would stay where they are, and the judge says so after a search of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from formulations.routes import Route, route_set
from instances.model import Instance
from mpec import result_folder
from mpec.equilibrium import Equilibrium
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.route_generation import SOURCE_KEY, generate_routes, missing_routes, with_routes

Array = np.ndarray[Any, Any]

MOST_ROUNDS = 5
"""After so many games the certificate tells what is still cheaper."""

GENERATION_SHARE = 0.2
"""Of the time limit, at most, for the first route set."""

ROUND_SHARE = 0.4
"""Of the time left, for a round whose equilibrium may still show a missing route."""


@dataclass(frozen=True)
class _Clock:
    """The time limit of all rounds together; None: no limit."""

    limit: float | None
    began: float = field(default_factory=time.perf_counter)

    def left(self) -> float:
        return math.inf if self.limit is None else self.began + self.limit - time.perf_counter()

    def share(self, part: float) -> float | None:
        return None if self.limit is None else max(part * self.left(), 1.0)


def solve_on_generated_routes(instance: Instance, options: SolveOptions) -> Equilibrium:
    """`solve_game` on a generated route set that is completed at the equilibria found.

    The result's instance declares the routes, with their origin in its source. Its options say how many rounds
    were solved and how many routes they added. Raises what `solve_game` and `generate_routes` raise.
    """
    clock = _Clock(options.time_limit)
    game = _first_game(instance, options, clock)
    first, source = len(game.route_set or ()), game.source.get(SOURCE_KEY, "")
    starts: list[Array] = []
    for number in range(1, MOST_ROUNDS + 1):
        last = number == MOST_ROUNDS
        result, missing = _round(
            game, replace(options, resume=options.resume and number == 1), clock, starts, last
        )
        if not missing or last or clock.left() <= 1.0 or result.reason == "interrupted":
            break
        options.say(f"{len(missing)} cheaper routes exist at this equilibrium: solving again with them")
        routes = [*route_set(game).routes, *missing]
        more = len(routes) - sum(route.outside for route in routes) - first
        game = with_routes(game, routes, f"{source} {more} added at equilibria.".strip())
        starts = [] if result.point is None else [result.point.prices]
        if options.out is not None:
            result_folder.remove_checkpoint(options.out)
    record = {"route_rounds": number, "routes_added": len(game.route_set or ()) - first}
    seconds = time.perf_counter() - clock.began
    return replace(result, options={**result.options, **record}, seconds=seconds)


def _first_game(instance: Instance, options: SolveOptions, clock: _Clock) -> Instance:
    """The game on the routes of the interrupted run that is resumed, else on generated ones."""
    if options.resume and options.out is not None and result_folder.finished(options.out):
        stored = result_folder.read_instance(options.out)
        if stored.route_set is not None:
            return replace(instance, route_set=stored.route_set, source=stored.source)
    share = clock.share(GENERATION_SHARE)
    deadline = None if share is None else time.perf_counter() + share
    made = generate_routes(instance, seed=options.seed, deadline=deadline, say=options.say)
    return with_routes(instance, made.routes.routes, made.source())


def _round(
    game: Instance, options: SolveOptions, clock: _Clock, starts: Sequence[Array], last: bool
) -> tuple[Equilibrium, list[Route]]:
    """One game: a share of the time left, then all of it if no route is missing and the gap is still open."""
    whole = last or options.out is None or clock.limit is None
    result = solve_game(game, replace(options, time_limit=clock.share(1.0 if whole else ROUND_SHARE)), starts)
    missing = _missing(game, result)
    ended = result.reason == "interrupted" or result.status in ("optimal", "infeasible")
    if missing or whole or ended or clock.left() <= 1.0:
        return result, missing
    options.say("no cheaper route exists at this equilibrium: going on with the same routes")
    result = solve_game(game, replace(options, resume=True, time_limit=clock.share(1.0)))
    return result, _missing(game, result)


def _missing(game: Instance, result: Equilibrium) -> list[Route]:
    return [] if result.point is None else missing_routes(game, route_set(game), result.point)
