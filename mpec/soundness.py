"""Truth tests of the exact way at scale: ``python -m mpec.soundness [--games 1000] [--out results/soundness]``.

Per random game (mpec.random_games): solve by hours and as one MILP, judge both with the bound rechecked, search the
best price by exact followers' answers (mpec.price_search), solve the exact nonconvex game by SCIP (mpec.exact_minlp),
and look whether true equilibria lie inside the hours' relaxations (mpec.containment). A violation is any of:

    upper        an allowed answer earns more than an upper bound
    exact        an interval and SCIP's exclude each other, or one says infeasible where the other has a point
    crossed      lower > upper on the way, or one method's lower above the other's upper
    infeasible   INFEASIBLE is said although an allowed price exists, or without naming hour and station
    judge        a verdict REJECTED, or one that does not follow from the gap
    unsettled    SCIP's best point is above an upper bound, and neither this nor the contrary is proven
    outside      a true equilibrium outside the relaxation
    refused      ordinary data are refused (mpec.refusals); odd data may be, with a message
    crash        an exception

Games are drawn in several kinds (mpec.soundness_games): small and large ones, some with rivals' stations, some with
prices on a grid, with --odd on roads that hardly bend or in other units (mpec.odd_games). Rows go to games.csv one by
one; games that it holds already are not run again. README.md has the counts. A solve that its time limit stops must
state a valid bound all the same.

SCIP meets rows, and products that are 0 by complementarity, to a tolerance only, and where the profit hangs on a tie
its best point can be worth more than any answer. A point of its above an upper bound is therefore looked at again
with its prices fixed (mpec.exact_minlp.best_answer: numbers in the model, and pairs in place of products), to the
end: an answer above the bound is the violation `exact`; a proof that there is none, and only that, clears it; else
the game counts as a violation `unsettled`. Finding less by a second search clears nothing.

Whether a relaxation holds an equilibrium is asked of HiGHS with presolve, and where it says no once more without: a
point whose rows are checked settles it, else the proof that there is none (mpec.proven_milp). HiGHS 1.16's presolve
lost the points of games 24, 552 and 661; it is one of their models that tests/data/highs_presolve.mps keeps, and why
a recheck's MILPs run without presolve.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from formulations.prices import has_rivals, has_steps
from formulations.routes import RouteSet, route_set
from instances.model import Instance
from mpec.bench_rows import read_rows
from mpec.certificate import judge_point
from mpec.containment import check_containment
from mpec.equilibrium import Equilibrium, Point
from mpec.exact_minlp import Exact, best_answer, exact_minlp
from mpec.followers.answer import Follower
from mpec.indicators import indicators
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.price_search import Found, best_price, within_caps
from mpec.random_games import Size
from mpec.refusals import Refused
from mpec.solvers import SolverError
from mpec.soundness_games import Effort, Kind, Row, drawn_kind
from mpec.soundness_table import CLEARED, REFUTED, UNSETTLED, summary

CLOSE = 1e-9
"""Relative rounding allowed between an exact answer's profit and an upper bound."""

LONGER = 20.0
"""Times the seconds for SCIP that each of its two looks at fixed prices may take; mostly it ends at once."""

EXACT = 2e-5
"""The same between an interval and SCIP's, whose products are 0 to 1e-7 only; relative to 1 or the value."""


def check_game(seed: int, kind: Kind | None = None, effort: Effort | None = None) -> Row:
    """All truth tests on the game of a seed; never raises for what the solver does."""
    kind, effort = kind or Kind(), effort or Effort()
    instance, began = kind.game(seed), time.process_time()
    row = Row(
        seed, str(kind), instance.tariff_mode, instance.users.xi,
        len(instance.periods), len(instance.stations), len(instance.pairs), effort=str(effort),
    )  # fmt: skip
    try:
        _check(instance, row, effort, odd=kind.wide or kind.units)
    except (Refused, SolverError) as reason:
        if not (kind.wide or kind.units):
            row.violations.append(f"refused: {_first_line(reason)}")
    except Exception as error:
        # A crash of whatever kind is what this bench looks for.
        row.violations.append(f"crash: {_first_line(error)}")
    row.processor_seconds = round(time.process_time() - began, 2)
    return row


def _check(instance: Instance, row: Row, effort: Effort, *, odd: bool = False) -> None:
    routes = route_set(instance)
    row.routes = len(routes.routes)
    follower = Follower(instance, routes)
    results: dict[str, Equilibrium] = {}
    for method in effort.methods:
        began = time.perf_counter()
        try:
            results[method] = solve_game(
                instance, SolveOptions(method=method, gap=effort.gap, time_limit=effort.seconds, workers=1)
            )
        except (Refused, SolverError) as reason:
            # Odd data may be refused, ordinary ones not.
            setattr(row, f"{method}_verdict", "REFUSED")
            if not odd:
                row.violations.append(f"refused: {method}: {_first_line(reason)}")
            continue
        except Exception as error:
            row.violations.append(f"crash: {method}: {_first_line(error)}")
            continue
        setattr(row, f"{method}_seconds", round(time.perf_counter() - began, 2))
        _judged(results[method], method, row, effort)
    row.mechanisms = " ".join(mechanisms(instance, results.values()))
    starts = [r.point.prices for r in results.values() if r.point is not None]
    exact = _exact(instance, routes, row, effort)
    if exact is not None:
        exact = _settled(follower, routes, exact, results, row, effort)
    if exact is not None and exact.prices is not None:
        starts.append(exact.prices)
    best = _best_found(instance, follower, starts, row.seed, effort)
    row.best_found, row.prices_tried = best.profit, best.tried
    if exact is not None:
        _against_exact(exact, results, best, row)
    for name, result in results.items():
        _against_truth(result, name, best, follower, routes, row)
    _against_each_other(list(results.items()), row)
    # What is drawn there is any price in the box, and bent off the grid.
    if effort.contained and not has_steps(instance):
        outcome = check_containment(routes, prices=effort.contained, seed=row.seed)
        row.answers, row.contained_checks = outcome.hours, outcome.checks
        row.lost_by_presolve = outcome.lost
        row.violations += [f"outside: {fault}" for fault in outcome.violations]


def _best_found(
    instance: Instance, follower: Follower, starts: Sequence[np.ndarray], seed: int, effort: Effort
) -> Found:
    """The best of many prices answered exactly; without ``effort.prices`` of the known good ones alone."""
    if effort.prices:
        return best_price(instance, follower, count=effort.prices, starts=starts, seed=seed)
    if not starts:
        return Found(None, None, 0)
    prices = within_caps(instance, np.array(starts))
    profit, excess = follower.evaluate(prices)
    profit = np.where(excess <= 0.0, profit, -np.inf)
    k = int(np.argmax(profit))
    return (
        Found(float(profit[k]), prices[k], len(prices))
        if np.isfinite(profit[k])
        else Found(None, None, len(prices))
    )


def mechanisms(instance: Instance, results: Iterable[Equilibrium]) -> list[str]:
    """What is alive in a game: by its data, and at the points that were found."""
    found = {
        "congestion": any(r.bpr_alpha > 0 for r in instance.roads),
        "residual": instance.users.xi > 0,
        "outside": any(p.outside_cost is not None for p in instance.pairs),
        "caps": any(s.price_mean_max is not None for s in instance.stations),
        "scenarios": len(instance.scenarios) > 1,
        "rivals": has_rivals(instance),
        "steps": has_steps(instance),
    }
    capacity = np.array([s.capacity_kw for s in instance.stations])
    for point in (r.point for r in results if r.point is not None):
        figures = indicators(instance, point)
        alive = {
            "limit": bool((point.load_kw > (1 - 1e-6) * capacity[:, None]).any()),
            "shedding": figures["shedding_kwh"] > 1e-6 or figures["emergency_kwh"] > 1e-6,
            "curtailment": figures["curtailment_kwh"] > 1e-6,
            "split": any(len(ways) > 1 for ways in _ways(point).values()),
        }
        found |= {name: found.get(name, False) or value for name, value in alive.items()}
    return [name for name, value in found.items() if value]


def _ways(point: Point) -> dict[tuple[str, str, int], list[float]]:
    """Flows of the used routes by pair and period: more than one where drivers are indifferent."""
    ways: dict[tuple[str, str, int], list[float]] = {}
    for route in point.routes:
        if route.veh_per_h > 1e-6:
            ways.setdefault((route.origin, route.destination, route.period), []).append(route.veh_per_h)
    return ways


def _exact(instance: Instance, routes: RouteSet, row: Row, effort: Effort) -> Exact | None:
    """SCIP's answer to the exact game; None without SCIP, and where it breaks off (on odd data its LP solver does)."""
    if not effort.exact or find_spec("pyscipopt") is None:
        return None
    try:
        exact = exact_minlp(instance, effort.exact, routes=routes)
    except SolverError:
        row.exact_status = "broke off"
        return None
    row.exact_status, row.exact_best, row.exact_bound = exact.status, exact.best, exact.bound
    row.exact_seconds = round(exact.seconds, 2)
    return exact


def _settled(
    follower: Follower,
    routes: RouteSet,
    exact: Exact,
    results: Mapping[str, Equilibrium],
    row: Row,
    effort: Effort,
) -> Exact:
    """SCIP's answer with its best point, where that is above an upper bound, replaced by what is proven of the best
    answer to the same prices: one above the bound too (the charge stands), or that there is none (it is dropped).
    Anything else leaves no point, and a violation `unsettled`."""
    upper = min((r.upper_bound for r in results.values() if r.upper_bound is not None), default=None)
    if upper is None or exact.best is None or exact.prices is None or not _beyond(exact.best, upper):
        return exact
    # SCIP keeps boxes to 1e-9 absolutely: prices of 1e-4 are then a hair outside, and not allowed.
    prices = within_caps(follower.instance, exact.prices[None])[0]
    fixed = best_answer(follower.instance, prices, LONGER * effort.exact, routes=routes)
    if fixed.best is not None and _beyond(fixed.best, upper):
        return replace(exact, best=fixed.best)
    if _no_answer_above(fixed, upper, follower, prices):
        row.exact_status, row.exact_best = f"{exact.status}, {CLEARED}", fixed.best
        return replace(exact, best=fixed.best, status=row.exact_status)
    row.exact_status = f"{exact.status}, {UNSETTLED}"
    row.violations.append(
        f"{UNSETTLED}: SCIP has a point worth {exact.best!r} above the bound {upper!r}; at its prices"
        f" {prices.tolist()} it ended as {fixed.status} in [{fixed.best!r}, {fixed.bound!r}]"
    )
    return replace(exact, best=None, status=row.exact_status)


def _no_answer_above(fixed: Exact, upper: float, follower: Follower, prices: np.ndarray) -> bool:
    """Whether SCIP's end at fixed prices proves that no answer to them exceeds a bound; a claim that the followers'
    own exact answer contradicts proves nothing, nor does an "infeasible", which SCIP has said falsely."""
    profit, excess = (float(value) for value in follower.evaluate(prices))
    if fixed.bound is None or fixed.status == "infeasible" or _beyond(fixed.bound, upper):
        return False
    return excess > 0.0 or not _beyond(profit, fixed.bound)


def _beyond(value: float, bound: float) -> bool:
    """Above a bound by more than SCIP's rounding."""
    return value > bound + EXACT * max(1.0, abs(bound))


def _against_exact(exact: Exact, results: Mapping[str, Equilibrium], best: Found, row: Row) -> None:
    """Intervals must overlap. A bound of SCIP's below what the followers' exact answer to some prices earns is false
    by itself, and so is an "infeasible" where such an answer is allowed; it says nothing of anybody else's: it is
    counted, and not compared with."""
    bound, empty = exact.bound, exact.status == "infeasible"
    if empty and best.profit is not None:
        row.exact_status, empty = REFUTED, False
    if bound is not None and best.profit is not None and _beyond(best.profit, bound):
        row.exact_status, bound = ", ".join([REFUTED, *row.exact_status.split(", ")[1:]]), None
    for name, result in results.items():
        lower, upper = result.lower_bound, result.upper_bound
        if empty:
            if result.point is not None:
                row.violations.append(f"exact: {name} has a point worth {lower!r}, SCIP says infeasible")
            continue
        if result.status == "infeasible" and exact.best is not None:
            row.violations.append(f"exact: {name} says infeasible, SCIP has a point worth {exact.best!r}")
        for below, above in ((lower, bound), (exact.best, upper)):
            if below is not None and above is not None and _beyond(below, above):
                row.violations.append(
                    f"exact: {name} [{lower!r}, {upper!r}], SCIP [{exact.best!r}, {exact.bound!r}]"
                )


def _judged(result: Equilibrium, method: str, row: Row, effort: Effort) -> None:
    """The judge's verdict, and whether it follows from what is claimed."""
    certificate = judge(result, gap=effort.gap, recheck=True, pessimistic_seconds=0)
    for name, value in (
        ("verdict", certificate.verdict), ("lower", certificate.lower_bound),
        ("upper", result.upper_bound), ("gap", certificate.gap),
    ):  # fmt: skip
        setattr(row, f"{method}_{name}", value)
    if certificate.verdict == "REJECTED":
        failures = "; ".join(f"{c.name} {c.value!r} {c.where}" for c in certificate.failures)
        row.violations.append(f"judge: {method} REJECTED: {failures}")
    if result.status == "infeasible":
        if certificate.verdict != "INFEASIBLE":
            row.violations.append(f"judge: {method} says infeasible, the verdict is {certificate.verdict}")
        if "period" not in result.reason:
            row.violations.append(f"infeasible: {method} names no hour: {result.reason!r}")
    elif certificate.recheck == "refuted":
        row.violations.append(f"judge: {method}: the bound was refuted")


def _first_line(error: Exception) -> str:
    """Name and first line of an error, which may have no text at all."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _against_truth(
    result: Equilibrium, method: str, best: Found, follower: Follower, routes: RouteSet, row: Row
) -> None:
    for step in result.bounds:
        if step.lower is not None and step.upper is not None and _above(step.lower, step.upper):
            row.violations.append(f"crossed: {method}: lower {step.lower!r} above upper {step.upper!r}")
            break
    if best.profit is None or best.prices is None:
        return
    if result.status == "infeasible":
        row.violations.append(f"infeasible: {method}, but prices {best.prices.tolist()} are allowed")
    elif result.upper_bound is not None and _above(best.profit, result.upper_bound):
        # Only a point that the judge accepts refutes a bound.
        answered = follower.answer(best.prices).point
        sound = answered is not None and judge_point(follower.instance, answered, routes).passed
        kind = (
            "upper" if sound and answered and _above(answered.profit, result.upper_bound) else "unconfirmed"
        )
        row.violations.append(
            f"{kind}: {method}: {best.profit!r} at prices {best.prices.tolist()}, the bound is {result.upper_bound!r}"
        )


def _against_each_other(results: Sequence[tuple[str, Equilibrium]], row: Row) -> None:
    for name, one in results:
        for other_name, other in results:
            if one.lower_bound is None or other.upper_bound is None or name == other_name:
                continue
            if _above(one.lower_bound, other.upper_bound):
                row.violations.append(
                    f"crossed: {name} has a point worth {one.lower_bound!r}, "
                    f"{other_name}'s bound is {other.upper_bound!r}"
                )


def _above(value: float, bound: float) -> bool:
    return value > bound + CLOSE * max(1.0, abs(bound))


# ---- many games --------------------------------------------------------------------------------
def run(games: int, first: int, out: Path, size: Size, effort: Effort, *, odd: bool = False) -> int:
    """Run what games.csv does not hold yet; the number of games with violations in the whole file."""
    out.mkdir(parents=True, exist_ok=True)
    path, names = out / "games.csv", [f.name for f in fields(Row)]
    rows = read_rows(path)
    done = {(r["size"], int(r["seed"])) for r in rows}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        for seed in range(first, first + games):
            kind = drawn_kind(seed, size, odd=odd)
            if (str(kind), seed) in done:
                continue
            row = check_game(seed, kind, effort)
            found = " | ".join(row.violations)
            writer.writerow({**asdict(row), "violations": found})
            file.flush()
            gap = "" if row.decomposed_gap is None else f"gap {100 * row.decomposed_gap:.3f} %"
            print(f"game {seed}: {row.decomposed_verdict} {gap} {found}", file=sys.stderr, flush=True)
            (out / "README.md").write_text(summary(read_rows(path)), encoding="utf-8")
    rows = read_rows(path)
    (out / "README.md").write_text(summary(rows), encoding="utf-8")
    return sum(bool(r["violations"]) for r in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when any game in the file has a violation."""
    parser = argparse.ArgumentParser(prog="python -m mpec.soundness", description=__doc__.split("\n")[0])
    parser.add_argument("--games", type=int, default=1000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--stations", type=int, default=3, help="most stations of a game")
    parser.add_argument("--periods", type=int, default=3, help="most periods")
    parser.add_argument("--pairs", type=int, default=3, help="most O-D pairs")
    parser.add_argument("--seconds", type=float, default=20.0, help="time limit of each solve")
    parser.add_argument("--prices", type=int, default=600, help="prices answered on the grid")
    parser.add_argument("--contained", type=int, default=3, help="prices whose answers are looked for")
    parser.add_argument("--exact", type=float, default=5.0, help="time limit of SCIP on the exact game")
    parser.add_argument("--odd", action="store_true", help="wide roads, other units: what strains solvers")
    parser.add_argument(
        "--out", type=Path, default=Path("results/soundness"), help="folder of games.csv and README.md"
    )
    given = parser.parse_args(arguments)
    size = Size(given.stations, given.periods, given.pairs)
    effort = Effort(seconds=given.seconds, prices=given.prices, contained=given.contained, exact=given.exact)
    return 1 if run(given.games, given.first, given.out, size, effort, odd=given.odd) else 0


if __name__ == "__main__":
    sys.exit(main())
