"""The heuristic: the paper's steps 1-4 as a gravitational search over the leader's prices.

The paper's scheme (choose prices, let the followers answer, judge the profit, change the prices)
leaves the change of the prices to a "GSA"; here it is the algorithm of E. Rashedi,
H. Nezamabadi-pour, S. Saryazdi, "GSA: A Gravitational Search Algorithm", Information Sciences 179
(2009) 2232-2248, with the authors' constants. N agents with positions x_i in [0, 1]^D attract each
other by masses that grow with fitness:

    m_i(t)  = (fit_i - worst) / (best - worst),   M_i = m_i / sum_j m_j          (14)-(20) there
    G(t)    = G0 exp(-alpha t / T),               G0 = 100, alpha = 20           (28)
    a_i^d   = G sum_{j in kbest, j != i} u_ij^d M_j (x_j^d - x_i^d) / (R_ij + eps)   (7)-(10), (21)
    v_i^d <- u_i^d v_i^d + a_i^d,   x_i^d <- x_i^d + v_i^d                       (11), (12)

with u uniform in [0, 1), R_ij the Euclidean distance (the passive and the inertial mass M_i cancel) and
kbest falling linearly from N to 2 % of N. Coordinates that leave the box are drawn anew.

What the paper leaves open is handled in the open. Prices above a station's mean cap are projected onto
it (Euclidean); where prices have a step, they are rounded to it before they are answered. Prices of rivals and of
closed stations are not searched. Load above a station's capacity costs a penalty, and only prices whose answer
respects every capacity may become the result. Such prices can be rare (where stations compete, a small difference
moves everybody), so one agent of every run begins in the middle of the box (unless ``start`` says random).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np

from formulations.prices import on_grid, price_box, searched
from instances.model import Instance
from mpec.equilibrium import BoundStep, Equilibrium
from mpec.options import silent
from mpec.tolerances import AIM

Array = np.ndarray
Start = Literal["middle", "random"]

G0 = 100.0
ALPHA = 20.0
KBEST_LAST_SHARE = 0.02
_EPS = np.finfo(float).eps


def gravity(t: int, iterations: int) -> float:
    """G(t) = G0 exp(-alpha t / T), (28) of Rashedi et al."""
    return G0 * math.exp(-ALPHA * t / iterations)


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
    dimension: int,
    *,
    population: int,
    iterations: int,
    rng: np.random.Generator,
    start: Array | None = None,
    repair: Callable[[Array], Array] = lambda position: position,
    enough: Callable[[], bool] = lambda: False,
    observe: Callable[[int, float, float], None] = lambda iteration, best, mean: None,
) -> tuple[Array, float]:
    """Maximise ``evaluate`` over [0, 1]^D; return the best position and its fitness.

    ``evaluate`` and ``repair`` take the whole population (N, D). The first agent begins at ``start`` (D,),
    all others anywhere. ``enough`` is asked after every
    iteration and ends the run early; ``observe`` gets iteration, best so far and mean.
    """
    position = rng.random((population, dimension))
    if start is not None:
        position[0] = start
    position = repair(position)
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
        count = attractors(t, iterations, population)
        pull = acceleration(position, masses(fitness), count, gravity(t, iterations), rng)
        velocity = rng.random(position.shape) * velocity + pull
        position = position + velocity
        outside = (position < 0.0) | (position > 1.0)
        position = repair(np.where(outside, rng.random(position.shape), position))
    return best_position, best


def project_mean_caps(prices: Array, low: Array, high: Array, cap: Array) -> Array:
    """The nearest prices (…, M, T) in the box with mean over T <= cap (M,); inf for no cap.

    The projection is clip(rho - s) with one shift s >= 0 a station, found by bisection from the
    allowed side, so that the result never exceeds the cap. low, high (M,) or (M, T); needs low <= cap.
    """
    if low.ndim == 1:
        low, high = low[:, None], high[:, None]
    prices = np.clip(prices, low, high)
    over = prices.mean(axis=-1) > cap
    if not over.any():
        return prices
    shortest, longest = np.zeros(over.shape), np.broadcast_to((high - low).max(axis=1), over.shape).copy()
    for _ in range(60):
        middle = 0.5 * (shortest + longest)
        above = np.clip(prices - middle[..., None], low, high).mean(axis=-1) > cap
        shortest, longest = np.where(above, middle, shortest), np.where(above, longest, middle)
    return np.where(over[..., None], np.clip(prices - longest[..., None], low, high), prices)


def price_limits(instance: Instance) -> tuple[Array, Array, Array]:
    """Lowest and highest prices (M, T), a rival's as posted, and mean caps (M,) (inf: none), money/kWh."""
    low, high = price_box(instance)
    cap = [math.inf if s.price_mean_max is None else s.price_mean_max for s in instance.stations]
    return low, high, np.array(cap)


class Answers(Protocol):
    """The followers, asked for a whole batch of prices (n, M, T).

    They return the profits (n,), money, and the excess over the stations' capacities (n,), kWh.
    """

    def evaluate(self, prices: Array) -> tuple[Array, Array]: ...


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


class _Judge:
    """Fitness of a population, and the best allowed prices of all runs.

    fitness = profit where every station is within its capacity, else (least allowed profit so far, at most 0)
    - (dearest price + VOLL) * excess kWh: any allowed prices beat any others, and until some are found
    the search is for the least excess. (Profit less a penalty let the search settle outside the limits:
    a kWh less of excess can cost more than any fixed price of a kWh.)
    """

    def __init__(self, instance: Instance, answers: Answers) -> None:
        self.answers, self.instance = answers, instance
        self.low, self.high, self.cap = price_limits(instance)
        # Only these are searched: rivals post theirs, nobody sees those of closed stations.
        self.free = np.flatnonzero(searched(instance))
        self.penalty = float(self.high.max()) + instance.feeder.voll_per_kwh
        least = min(station.capacity_kw for station in instance.stations)
        self.negligible = AIM * max(least, 1.0) * instance.period_h
        self.shape = len(self.free), len(instance.periods)
        self.prices: Array | None = None
        self.profit = -math.inf
        self.run_profit = -math.inf
        self.floor = 0.0
        self.least_overload = math.inf
        self.evaluations = 0

    def to_prices(self, position: Array) -> Array:
        """Prices (n, M, T) of positions (n, free stations x T) in [0, 1]."""
        prices = np.repeat(self.low[None], len(position), axis=0)
        width = (self.high - self.low)[self.free]
        prices[:, self.free] = self.low[self.free] + position.reshape(-1, *self.shape) * width
        return np.asarray(prices)

    def repair(self, position: Array) -> Array:
        """Positions whose prices respect the mean caps."""
        low, width = self.low[self.free], (self.high - self.low)[self.free]
        prices = project_mean_caps(self.to_prices(position), self.low, self.high, self.cap)
        scaled = np.clip((prices[:, self.free] - low) / width, 0.0, 1.0)
        return np.asarray(scaled.reshape(position.shape))

    def fitness(self, position: Array) -> Array:
        prices = project_mean_caps(self.to_prices(position), self.low, self.high, self.cap)
        prices = on_grid(self.instance, prices)
        profit, overload = self.answers.evaluate(prices)
        allowed = overload <= self.negligible
        self.evaluations += len(position)
        for i in np.flatnonzero(allowed):
            self.run_profit = max(self.run_profit, float(profit[i]))
            if profit[i] > self.profit:
                self.profit, self.prices = float(profit[i]), prices[i].copy()
        if self.prices is None and overload.min() < self.least_overload:
            self.least_overload = float(overload.min())
        self.floor = min(self.floor, float(profit[allowed].min(initial=0.0)))
        return np.asarray(np.where(allowed, profit, self.floor - self.penalty * overload))


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
    start: Start = "middle",
    say: Callable[[str], None] = silent,
    answers: Answers | None = None,
) -> Equilibrium:
    """The best prices of several runs, with the followers' exact optimistic answer to them.

    runs        independent runs, run r with the random numbers of (seed, r); None: until ``time_limit``
    iterations  of each run; None: as many as fit ``time_limit``, at most 100
    time_limit  seconds; the iteration under way is finished, so at least one population is judged
    start       where the first agent of a run begins: the middle of the box, or anywhere like all others
    answers     the followers; by default mpec.followers.answer.Follower on the complete route set

    The result's ``options["runs"]`` holds a record of each run (see Run). Status "no_point" where no prices
    tried kept every station within its capacity. Raises ValueError without any limit.
    """
    if (runs is None or iterations is None) and time_limit is None:
        raise ValueError("without runs or iterations the search needs a time limit")
    began = time.perf_counter()

    def elapsed() -> float:
        return time.perf_counter() - began

    judge = _Judge(instance, answers or _followers(instance))
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


def _measured_length(judge: _Judge, population: int, seed: int, remaining: float) -> int:
    """Iterations of a run, from the time that one random population takes (it counts as tried)."""
    began = time.perf_counter()
    rng = np.random.default_rng([seed, 2**31])
    judge.fitness(judge.repair(rng.random((population, judge.shape[0] * judge.shape[1]))))
    each = time.perf_counter() - began
    return _iterations_that_fit(each, remaining - each)


def _run(
    judge: _Judge,
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
    judge.run_profit = -math.inf
    best: list[float | None] = []
    mean: list[float] = []

    def observe(iteration: int, best_fitness: float, mean_fitness: float) -> None:
        best.append(judge.run_profit if math.isfinite(judge.run_profit) else None)
        mean.append(mean_fitness)
        lower = judge.profit if math.isfinite(judge.profit) else None
        steps.append(BoundStep(len(steps), elapsed(), lower, None))

    search(
        judge.fitness,
        judge.shape[0] * judge.shape[1],
        population=population,
        iterations=iterations,
        rng=np.random.default_rng([seed, number]),
        start=np.full(judge.shape[0] * judge.shape[1], 0.5) if start == "middle" else None,
        repair=judge.repair,
        enough=lambda: _over(time_limit, elapsed()),
        observe=observe,
    )
    return Run(seed, best[-1], judge.evaluations - evaluations, elapsed() - began, tuple(best), tuple(mean))


def _result(
    instance: Instance,
    judge: _Judge,
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
