"""The heuristic: the paper's steps 1-4 as a gravitational search over the leader's prices.

The paper's scheme (choose prices, let the followers answer, judge the profit, change the prices)
leaves the change of the prices to a "GSA"; here it is the algorithm of E. Rashedi,
H. Nezamabadi-pour, S. Saryazdi, "GSA: A Gravitational Search Algorithm", Information Sciences 179
(2009) 2232-2248. N agents with positions x_i in [0, 1]^D attract each other by masses that grow with fitness:

    m_i(t)  = (fit_i - worst) / (best - worst),   M_i = m_i / sum_j m_j          (14)-(20) there
    G(t)    = G0 exp(-alpha t / T),               alpha = 20                     (28)
    a_i^d   = G sum_{j in kbest, j != i} u_ij^d M_j (x_j^d - x_i^d) / (R_ij + eps)   (7)-(10), (21)
    v_i^d <- u_i^d v_i^d + a_i^d,   x_i^d <- x_i^d + v_i^d                       (11), (12)

with u uniform in [0, 1), R_ij the Euclidean distance (the passive and the inertial mass M_i cancel) and
kbest falling linearly from N to 2 % of N. The authors' G0 = 100 is for boxes [-100, 100]^30 and 1000 iterations; here
it is in proportion to the diagonal of the box and to 1 / T, so that sum_t G(t), what the agents can travel altogether,
is the same share of the box whatever D and T. Coordinates that leave the box stop at its wall: what was learnt in the
others of many coordinates would be lost with one drawn anew, and the dearest price may well be the best.

What the paper leaves open is handled in the open. The choices below were made by principle, for every game alike;
no result of the exact way, nor a figure of the paper, went into them. Few agents for long (20, 250 iterations) come
further with as many answers than many agents for short, on a linear function of the levels under the mean caps.

* Positions are price levels and distances between the stations (mpec.price_levels), not the prices one by one:
  drivers choose between stations by distances of a thousandth of a price, and where capacity is scarce, only certain
  distances split the load within it, often a tie. Single prices moved at random hit none of these.
* Constraints go by Deb's rules (K. Deb, "An efficient constraint handling method for genetic algorithms", Comput.
  Methods Appl. Mech. Eng. 186 (2000) 311-338): prices whose answer keeps every station within its capacity beat all
  others, which have no mass where there are some that do; without any, less excess is fitter. Only prices that keep
  the capacities may become the result.
* Where an agent overloads a station in some hour, it takes that hour's distances from the first prices of the run
  that kept the hour's capacities, at its own level, and is judged again after its next move. Before there are any, it
  gets, after its move, the distances that overloaded the hour least with a random step (0.00001 to 0.1 of the boxes) of
  some stations alike, which keeps the ties among them.
* Mean caps are met by lowering all stations alike, and by projection where that isn't enough. Where prices have
  a step, they are rounded to it before they are answered. Prices of rivals and of closed stations are not searched.
* ``start`` says where the agents begin. "spread": around the middle of the box, the first in the middle itself; agent i
  has levels at most i / (N - 1) of the way to the walls, and distances at most a share of it that grows geometrically
  from a thousandth to 1, because nobody knows beforehand at which scale drivers react. "middle": the first in the
  middle and the others anywhere. "random": all anywhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from instances.model import Instance
from mpec.equilibrium import BoundStep, Equilibrium
from mpec.options import silent
from mpec.price_fitness import Answers, PriceFitness

Array = np.ndarray
Start = Literal["spread", "middle", "random"]

G0 = 100.0
BOX_WIDTH, BOX_DIMENSION, BOX_ITERATIONS = 200.0, 30, 1000
"""Where the authors' G0 = 100 was at home: boxes [-100, 100]^30 and runs of 1000 iterations."""

ALPHA = 20.0
KBEST_LAST_SHARE = 0.02
NEAREST = 1e-3
"""Reach of the nearest agent's distances of start "spread", a share of the way to the walls."""
_EPS = np.finfo(float).eps


def gravity(t: int, iterations: int, dimension: int) -> float:
    """G(t) = G0 exp(-alpha t / T), (28) of Rashedi et al., with G0 as far as theirs carries in [0, 1]^D and T."""
    share = G0 / (BOX_WIDTH * math.sqrt(BOX_DIMENSION))
    reach = share * math.sqrt(dimension) * (BOX_ITERATIONS / iterations)
    return reach * math.exp(-ALPHA * t / iterations)


def masses(fitness: Array) -> Array:
    """M (N,), sum 1: shares of the distance to the worst, (14)-(16) there; equal if all are equally fit."""
    spread = fitness - fitness.min()
    total = spread.sum()
    return spread / total if total > 0.0 else np.full(len(fitness), 1.0 / len(fitness))


def attractors(t: int, iterations: int, population: int) -> int:
    """kbest(t): how many of the fittest attract, linearly from N down to 2 % of N, at least 1."""
    share = KBEST_LAST_SHARE + (1.0 - t / iterations) * (1.0 - KBEST_LAST_SHARE)
    return max(1, round(population * share))


def acceleration(
    position: Array, mass: Array, count: int, strength: float, rng: np.random.Generator
) -> Array:
    """a (N, D) by the ``count`` heaviest agents with fresh random weights, (7)-(10) and (21) there."""
    heaviest = np.argsort(-mass, kind="stable")[:count]
    towards = position[None, heaviest, :] - position[:, None, :]
    distance = np.linalg.norm(towards, axis=2)
    # An agent is at distance 0 of itself and towards = 0, so j = i adds nothing.
    pull = mass[heaviest][None, :] / (distance + _EPS)
    weights = rng.random(towards.shape)
    return np.asarray(strength * np.einsum("ijd,ijd,ij->id", weights, towards, pull))


def search(
    evaluate: Callable[[Array], Array],
    start: Array,
    *,
    iterations: int,
    rng: np.random.Generator,
    repair: Callable[[Array], Array] = lambda position: position,
    mend: Callable[[Array], Array] = lambda position: position,
    enough: Callable[[], bool] = lambda: False,
    observe: Callable[[int, float, float], None] = lambda iteration, best, mean: None,
) -> tuple[Array, float]:
    """Maximise ``evaluate`` over [0, 1]^D from positions ``start`` (N, D); return the best position and its fitness.

    evaluate, repair and mend take the whole population (N, D). ``repair`` is asked after every move; ``mend`` after
    every evaluation: where the agents move from, at rest in the coordinates that it changed. ``enough`` is asked
    after every iteration and ends the run early; ``observe`` gets iteration, best so far and mean.
    """
    position = repair(start)
    population, dimension = position.shape
    velocity = np.zeros_like(position)
    best, best_position = -math.inf, position[0]
    for t in range(1, iterations + 1):
        fitness = evaluate(position)
        leader = int(np.argmax(fitness))
        if fitness[leader] > best:
            best, best_position = float(fitness[leader]), position[leader].copy()
        observe(t, best, float(fitness.mean()))
        if enough() or t == iterations:
            break
        mended = mend(position)
        velocity, position = np.where(mended != position, 0.0, velocity), mended
        count = attractors(t, iterations, population)
        pull = acceleration(position, masses(fitness), count, gravity(t, iterations, dimension), rng)
        velocity = rng.random(position.shape) * velocity + pull
        moved = position + velocity
        position = np.clip(moved, 0.0, 1.0)
        velocity[position != moved] = 0.0
        position = repair(position)
    return best_position, best


def starting_positions(
    start: Start, population: int, levels: int, dimension: int, rng: np.random.Generator
) -> Array:
    """Where the agents begin, (N, D) in [0, 1], the first ``levels`` of D being levels; see the module's text."""
    position = rng.random((population, dimension))
    if start == "middle":
        position[0] = 0.5
    elif start == "spread":
        reach = np.zeros((population, dimension))
        others = max(population - 1, 1)
        reach[1:, :levels] = np.arange(1, population)[:, None] / others
        reach[1:, levels:] = np.geomspace(NEAREST, 1.0, others)[: population - 1, None]
        position = 0.5 + reach * (position - 0.5)
    elif start != "random":
        raise ValueError(f"start is {start!r}; choose spread, middle or random")
    return position


@dataclass(frozen=True)
class Run:
    """One run: the best allowed profit (None: none was allowed) and the curve it took.

    best[i], mean[i]: best allowed profit so far and mean fitness of the population after iteration i + 1.
    """

    seed: int
    profit: float | None
    evaluations: int
    seconds: float
    best: tuple[float | None, ...]
    mean: tuple[float, ...]


def _iterations_that_fit(seconds_each: float, remaining: float) -> int:
    """How long the cooling of a run without a stated length is: what fits the time, at most 100."""
    return int(min(100.0, max(1.0, remaining / max(seconds_each, 1e-9))))


def best_response(
    instance: Instance,
    *,
    runs: int | None = 10,
    population: int = 50,
    iterations: int | None = 100,
    seed: int = 0,
    time_limit: float | None = None,
    start: Start = "spread",
    say: Callable[[str], None] = silent,
    answers: Answers | None = None,
) -> Equilibrium:
    """The best prices of several runs, with the followers' exact optimistic answer to them.

    runs        independent runs, run r with the random numbers of (seed, r); None: until ``time_limit``
    iterations  of each run; None: as many as fit ``time_limit``, at most 100
    time_limit  seconds; the iteration under way is finished, so at least one population is judged
    start       where the agents begin: spread, middle or random, see the module's text
    answers     the followers; by default mpec.followers.answer.Follower on the complete route set

    The result's ``options["runs"]`` holds a record of each run (see Run). Status "no_point" where no prices
    tried kept every station within its capacity. Raises ValueError without any limit.
    """
    if (runs is None or iterations is None) and time_limit is None:
        raise ValueError("without runs or iterations the search needs a time limit")
    began = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - began

    judge = PriceFitness(instance, answers or _followers(instance))
    records: list[Run] = []
    steps: list[BoundStep] = []
    setup = elapsed()
    length = iterations
    while (runs is None or len(records) < runs) and not (records and _over(time_limit, elapsed())):
        if length is None:
            assert time_limit is not None
            length = _measured_length(judge, population, seed, time_limit - setup)
        record = _run(judge, len(records), population, length, seed, time_limit, start, elapsed, steps)
        records.append(record)
        found = "no allowed prices" if record.profit is None else f"{record.profit:.2f}"
        say(f"heuristic run {len(records)}: {found} after {len(record.best)} iterations, {elapsed():.0f} s")
    settings = {
        "runs_asked": runs,
        "population": population,
        "iterations": length,
        "time_limit": time_limit,
        "start": start,
        "evaluations": judge.evaluations,
        "runs": [asdict(record) for record in records],
    }
    return _result(instance, judge, settings, steps, seed, elapsed)


def _over(limit: float | None, now: float) -> bool:
    return limit is not None and now >= limit


def _followers(instance: Instance) -> Answers:
    from formulations.routes import route_set
    from mpec.followers.answer import Follower

    return Follower(instance, route_set(instance))


def _measured_length(judge: PriceFitness, population: int, seed: int, remaining: float) -> int:
    """Iterations of a run, from the time that one random population takes (it counts as tried)."""
    began = time.perf_counter()
    rng = np.random.default_rng([seed, 2**31])
    judge.fitness(judge.levels.under_caps(rng.random((population, judge.levels.dimension))))
    each = time.perf_counter() - began
    return _iterations_that_fit(each, remaining - each)


def _run(
    judge: PriceFitness,
    number: int,
    population: int,
    iterations: int,
    seed: int,
    time_limit: float | None,
    start: Start,
    elapsed: Callable[[], float],
    steps: list[BoundStep],
) -> Run:
    began, evaluations = elapsed(), judge.evaluations
    judge.begin_run(seed, number)
    rng = np.random.default_rng([seed, number])
    best: list[float | None] = []
    mean: list[float] = []

    def observe(iteration: int, best_fitness: float, mean_fitness: float) -> None:
        best.append(judge.run_profit if math.isfinite(judge.run_profit) else None)
        mean.append(mean_fitness)
        lower = judge.profit if math.isfinite(judge.profit) else None
        steps.append(BoundStep(len(steps), elapsed(), lower, None))

    search(
        judge.fitness,
        starting_positions(start, population, len(judge.known), judge.levels.dimension, rng),
        iterations=iterations,
        rng=rng,
        repair=lambda moved: judge.levels.under_caps(judge.explore(moved)),
        mend=judge.mend,
        enough=lambda: _over(time_limit, elapsed()),
        observe=observe,
    )
    return Run(seed, best[-1], judge.evaluations - evaluations, elapsed() - began, tuple(best), tuple(mean))


def _result(
    instance: Instance,
    judge: PriceFitness,
    settings: dict[str, Any],
    steps: list[BoundStep],
    seed: int,
    elapsed: Callable[[], float],
) -> Equilibrium:
    """The followers' exact answer to the best prices, as a result like any other."""
    from mpec.followers.answer import follow

    common: dict[str, Any] = {
        "method": "heuristic",
        "options": settings,
        "bounds": tuple(steps),
        "seed": seed,
    }
    if judge.prices is None:
        reason = (
            f"no prices tried kept the stations within capacity; least excess {judge.least_overload:.6g} kWh"
        )
        return Equilibrium(
            instance, status="no_point", point=None, seconds=elapsed(), reason=reason, **common
        )
    answer = follow(instance, judge.prices)
    return replace(answer, status="feasible", lower_bound=answer.profit, seconds=elapsed(), **common)
