"""The strongest test of the hour's relaxation: every true equilibrium must be one of its points.

For given prices the followers are answered exactly; then prices, incoming residuals, flows, loads and costs of
that answer are fixed in the hour's rows and the MILP is solved. It must be feasible, and earn at least what the
answer earns, in the plain model and with cuts, partitions, binaries and tightened intervals. Besides the exact
equilibria, points of the eps-game (prices moved by less than eps) must be contained as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from formulations.prices import owned, price_box
from formulations.routes import RouteSet
from mpec.electricity_cuts import bill_cut, idle_cost
from mpec.followers.answer import Follower
from mpec.hour_dispatch import HourDispatch, hour_dispatch
from mpec.hour_solve import build_hour, relaxed_bound, set_objective
from mpec.hour_state import HourState, first_states
from mpec.hour_tightening import tighten_hour
from mpec.intervals import incoming_at_start
from mpec.proven_milp import proven_bound
from mpec.solvers import SolverError, open_session
from mpec.solvers.careful import solve_milp
from mpec.tolerances import EPSILON
from mpec.value_cuts import Reference, complete_shares, shares_of

Array = np.ndarray

SLACK = 1e-9
"""Relative slack with which the truth is fixed: the followers' own accuracy."""

MILP_SLACK = 1e-5
"""The same for the MILP."""

MOST_NODES = 100_000
"""Nodes for that. No seconds: a machine that stood still in between was once taken for a point that is not held."""

ARBITRATION = 60.0
"""Seconds for the proof that a relaxation does not hold a point; out of time, nothing is proven."""

PROFIT = 1e-7
"""Relative to the turnover: the relaxation may earn less than the truth by this much (solver tolerances)."""

TIGHTENED = ("residual", "modified", "cheapest", "road_flow", "slack", "price", "load", "route_flow")


@dataclass(frozen=True)
class Truth:
    """One hour of one answer. price, load (M,), incoming, residual, modified, cheapest (N,), road_flow (A,),
    route_flow (R,); profit [money], without the electricity bill under `regulated`; over: broken limits."""

    t: int
    price: Array
    incoming: Array
    route_flow: Array
    load: Array
    residual: Array
    modified: Array
    cheapest: Array
    road_flow: Array
    profit: float
    turnover: float
    over: bool


@dataclass
class Outcome:
    """hours: hours and answers looked at; checks: MILPs solved; skipped: answers beyond a station's limit; lost: MILPs
    whose point HiGHS found without presolve only, or not at all, while no proof excludes it."""

    hours: int = 0
    checks: int = 0
    skipped: int = 0
    lost: int = 0
    violations: list[str] = field(default_factory=list)


def truth_of(follower: Follower, t: int, price: Array, incoming: Array, flows: Array) -> Truth:
    """What follows from flows (R,) at prices (M,) and incoming residuals (N,), with the favourable bill."""
    users, instance = follower.users, follower.instance
    answer = users.pack(flows, price, 0.0, False)
    sold = owned(instance) * answer.load
    income = float(price @ sold)
    if instance.tariff_mode == "regulated":
        bill = 0.0
    elif instance.tariff_mode == "fixed":
        rates = [
            instance.tariff[s.id, instance.periods[t].id].price_per_kwh or 0.0 for s in instance.stations
        ]
        bill = float(np.array(rates) @ sold)
    else:
        bill = float(follower.dispatch.prices(t, answer.load[None])[0][0] @ sold)
    over = bool((answer.load > follower.capacity_kw * (1 + EPSILON)).any())
    dt = instance.period_h
    return Truth(
        t, price, incoming, flows, answer.load, answer.residual, answer.modified, answer.cheapest,
        answer.road_flow, dt * (income - bill), dt * (income + abs(bill)), over,
    )  # fmt: skip


def answers(follower: Follower, prices: Array, *, starts: int = 4) -> list[list[Truth]]:
    """Per hour, answers to prices (M, T): ties settled for and against the leader, other equilibria from several
    starts. Incoming residuals are those of the day's answer for the leader, and of the one against it."""
    users, instance = follower.users, follower.instance
    met: list[list[Truth]] = [[] for _ in instance.periods]
    for pessimistic in (False, True):
        side = Follower(instance, follower.routes, pessimistic=pessimistic)
        day, _, _ = side.flows(prices, starts=starts)
        incoming = incoming_at_start(instance)
        over = False
        for t in range(len(instance.periods)):
            price, found = prices[:, t], []
            for flows in (day[:, t], *users.candidates(t, price, incoming, starts=starts)):
                if users.gap(t, flows, price, incoming) <= 1e-9:
                    truth = truth_of(follower, t, price, incoming, flows)
                    # What comes of an hour that is not allowed need not lie in the next hour's intervals.
                    found.append(replace(truth, over=truth.over or over))
            met[t] += found
            over = not found or found[0].over
            incoming = users.residual(day[None, :, t])[0][0]
    return met


def bent(follower: Follower, truth: Truth, rng: np.random.Generator) -> Truth:
    """The same flows at prices moved a little: used routes dearer than the cheapest by less than eps."""
    users, instance = follower.users, follower.instance
    low, high = (ends[:, truth.t] for ends in price_box(instance))
    move = rng.choice([-1.0, 1.0], len(low)) * EPSILON * np.maximum(truth.price, 0.1)
    for _ in range(60):
        price = np.clip(truth.price + move, low, high)
        packed = users.pack(truth.route_flow, price, 0.0, False)
        cheapest = packed.cheapest[follower.users.routes.pair]
        used = truth.route_flow > 0
        excess = (packed.cost - cheapest)[used] / np.maximum(np.abs(cheapest[used]), 1e-300)
        if not used.any() or excess.max() <= 0.9 * EPSILON:
            break
        move = move * 0.7
    else:
        price = truth.price
    return replace(truth_of(follower, truth.t, price, truth.incoming, truth.route_flow), over=truth.over)


def outside_box(state: HourState, truth: Truth, slack: float = SLACK) -> str | None:
    """The first quantity of the truth that lies outside the hour's intervals, or a used route that was
    dropped."""
    values = {
        "price": truth.price, "incoming": truth.incoming, "residual": truth.residual, "load": truth.load,
        "modified": truth.modified, "cheapest": truth.cheapest, "road_flow": truth.road_flow,
        "route_flow": truth.route_flow,
    }  # fmt: skip
    box = state.box
    for quantity, value in values.items():
        size = slack * (1 + np.abs(value))
        if quantity == "cheapest":
            # Nobody travels: the cheapest cost of the pair says nothing.
            value = np.where(truth.modified > 0, value, box.low[quantity])
        miss = np.maximum(box.low[quantity] - value, value - box.high[quantity]) - size
        miss = np.where(np.isnan(miss), np.inf, miss)
        i = int(np.argmax(miss)) if len(miss) else -1
        if i >= 0 and miss[i] > 0:
            return (
                f"{quantity}[{i}] = {value[i]!r} outside [{box.low[quantity][i]!r},"
                f" {box.high[quantity][i]!r}]"
            )
    return None


def contained(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    truth: Truth,
    outcome: Outcome | None = None,
) -> str | None:
    """None if the truth is a point of the hour's relaxation that earns at least as much; else what is wrong.

    The LP is asked with columns fixed to SLACK, the MILP more loosely: with columns fixed to about its feasibility
    tolerance HiGHS was seen to call MILPs infeasible that two other solvers solve. SCIP, where installed, is
    asked as well before that is believed.
    """
    return (
        outside_box(state, truth)
        or (
            _solved(routes, state, dispatch, truth, SLACK, relax=True)
            and _solved(routes, state, dispatch, truth, 10 * SLACK, relax=True)
        )
        or _solved(routes, state, dispatch, truth, MILP_SLACK, outcome, relax=False)
    )


def _solved(
    routes: RouteSet,
    state: HourState,
    dispatch: HourDispatch | None,
    truth: Truth,
    slack: float,
    outcome: Outcome | None = None,
    *,
    relax: bool,
) -> str | None:
    model, block = build_hour(routes, state, dispatch)
    for columns, values in (
        (block.price, truth.price), (block.incoming, truth.incoming), (block.residual, truth.residual),
        (block.modified, truth.modified), (block.load, truth.load), (block.road_flow, truth.road_flow),
        (block.route_flow, truth.route_flow), (block.cheapest, np.where(truth.modified > 0, truth.cheapest, np.nan)),
    ):  # fmt: skip
        for column, value in zip(columns, values, strict=True):
            if column < 0 or np.isnan(value):
                continue
            room = slack * (1 + abs(float(value)))
            model.lower[column] = max(model.lower[column], float(value) - room)
            model.upper[column] = min(model.upper[column], float(value) + room)
            if model.lower[column] > model.upper[column]:
                model.lower[column] = model.upper[column] = 0.5 * (model.lower[column] + model.upper[column])
    set_objective(model, block.profit)
    least = truth.profit - PROFIT * max(truth.turnover, 1.0)
    solved = open_session(model).solve(relax=relax, gap=1e-9, node_limit=MOST_NODES)
    if solved.status == "infeasible" and not relax:
        with suppress(SolverError):
            solved = open_session(model, "scip").solve(gap=1e-9, node_limit=MOST_NODES)
    if not relax and (solved.objective is None or solved.objective < least):
        # What is asked is whether a point exists: one whose rows are checked settles it, whoever finds it.
        again = solve_milp(model, presolve=False, gap=1e-9, node_limit=MOST_NODES).solved
        held = again.objective is not None and again.objective >= least
        # Else only a proof that there is none says so: on badly scaled models solvers lose points.
        if held or proven_bound(model, seconds=ARBITRATION, near=least - 1e-9 * abs(least)).bound >= least:
            if outcome is not None:
                outcome.lost += 1
            return None
    if relax and (solved.objective is None or solved.objective < least) and relaxed_bound(model) >= least:
        return None
    if solved.objective is None:
        return f"the {'LP' if relax else 'MILP'} does not hold the point ({solved.status})"
    if solved.objective < least:
        return f"the {'LP' if relax else 'MILP'} earns {solved.objective!r} there, the truth {truth.profit!r}"
    return None


def whole_states(routes: RouteSet) -> list[HourState]:
    """The hours' intervals by propagation alone, with the operator's own conditions where it sets the price."""
    exact = routes.instance.tariff_mode == "dlmp"
    return [replace(state, exact_dispatch=exact) for state in first_states(routes)]


def all_pairs(routes: RouteSet, t: int, dispatch: HourDispatch) -> frozenset[str]:
    """Names of all pairs of the operator in hour t."""
    prefix = f"h{routes.instance.periods[t].id}"
    return frozenset(
        f"{prefix}.{program.scenario}.{name}" for program in dispatch.scenarios for name in program.rows.names
    )


def with_cuts(
    routes: RouteSet, state: HourState, met: list[Truth], follower: Follower, rng: np.random.Generator
) -> HourState:
    """Cuts from other equilibria and, since any shares and loads give valid ones, from others drawn at random.

    Under `dlmp` the operator's tangents take the place of its KKT conditions.
    """
    pairs = len(routes.instance.pairs)
    references = list(state.references)
    for truth in met:
        cost = follower.users.pack(truth.route_flow, truth.price, 0.0, False).cost
        references.append(
            Reference(complete_shares(routes, shares_of(routes.pair, truth.route_flow, pairs), cost))
        )
    drawn = rng.random(len(routes.routes)) ** 3
    references.append(Reference(complete_shares(routes, shares_of(routes.pair, drawn, pairs), drawn)))
    state = replace(state, references=references)
    if routes.instance.tariff_mode != "dlmp":
        return state
    high = state.box.high["load"]
    loads = [0.0 * high, 0.5 * high, high, rng.random(len(high)) * high, *[truth.load for truth in met]]
    cuts = tuple(bill_cut(follower.dispatch, state.t, load) for load in loads)
    return replace(
        state, bill_cuts=cuts, idle_cost=idle_cost(follower.dispatch, state.t), exact_dispatch=False
    )


def with_pieces(state: HourState, truth: Truth, rng: np.random.Generator) -> HourState:
    """Breakpoints and tangents at random places and exactly at the truth."""
    box = state.box
    roads, cheapest, tangents = {}, {}, {}
    for a in range(len(box.high["road_flow"])):
        low, high = box.low["road_flow"][a], box.high["road_flow"][a]
        drawn = [float(low + rng.random() * (high - low)) for _ in range(int(rng.integers(0, 4)))]
        roads[a] = tuple(sorted([*drawn, float(truth.road_flow[a])]))
        tangents[a] = tuple(float(low + rng.random() * (high - low)) for _ in range(2))
    for n in range(len(box.high["cheapest"])):
        low, high = box.low["cheapest"][n], box.high["cheapest"][n]
        if np.isfinite(low) and np.isfinite(high):
            at = [float(truth.cheapest[n])] if np.isfinite(truth.cheapest[n]) else []
            cheapest[n] = tuple(sorted([float(low + rng.random() * (high - low)), *at]))
    return replace(state, road_points=roads, cheapest_points=cheapest, tangents=tangents)


def tightened(routes: RouteSet, states: list[HourState], dispatches: list[HourDispatch]) -> list[HourState]:
    """The hours in order, each one's incoming residuals from the hour before, intervals by LPs (no
    cutoff)."""
    out: list[HourState] = []
    for state, dispatch in zip(states, dispatches, strict=True):
        if out:
            box, before = state.box.copy(), out[-1].box
            for n in range(len(routes.instance.pairs)):
                box.meet("incoming", n, float(before.low["residual"][n]), float(before.high["residual"][n]))
            state = replace(state, box=box)
        new, _, empty = tighten_hour(routes, state, dispatch, TIGHTENED)
        if empty:
            raise ValueError(f"hour {state.t} is said to be empty")
        out.append(new)
    return out


def check_containment(routes: RouteSet, *, prices: int = 4, seed: int = 0, starts: int = 4) -> Outcome:
    """Random prices, all their answers, every form of the relaxation; see the module's text."""
    instance, outcome = routes.instance, Outcome()
    rng = np.random.default_rng([7, seed])
    follower = Follower(instance, routes)
    states = whole_states(routes)
    dispatches = [hour_dispatch(instance, s.t, s.box.high["load"]) for s in states]
    low, high = price_box(instance)
    days = []
    for _ in range(prices):
        share = rng.random(low.shape) if rng.random() < 0.7 else np.round(rng.random(low.shape))
        days.append(answers(follower, low + share * (high - low), starts=starts))
    met: list[list[Truth]] = [[x for day in days for x in day[t]] for t in range(len(states))]
    outcome.hours = sum(len(m) for m in met)
    outcome.skipped = sum(x.over for m in met for x in m)
    allowed = [[x for x in m if not x.over] for m in met]
    if not all(allowed):
        # Nothing to check in some hour; the intervals of the following ones still hold.
        forms = {"propagated": states}
    else:
        cut = [with_cuts(routes, s, m[:3], follower, rng) for s, m in zip(states, met, strict=True)]
        binary = [
            replace(s, dispatch_pairs=all_pairs(routes, s.t, d)) for s, d in zip(cut, dispatches, strict=True)
        ]
        tight = tightened(routes, cut, dispatches)
        forms = {
            "propagated": states,
            "cuts": cut,
            "binaries": binary,
            "tightened": [
                replace(s, exact_dispatch=b.exact_dispatch, dispatch_pairs=b.dispatch_pairs)
                for s, b in zip(tight, binary, strict=True)
            ],
            "no route binaries": [replace(s, choices=frozenset()) for s in tight],
            "some route binaries": [
                replace(s, choices=frozenset(np.flatnonzero(rng.random(len(routes.routes)) < 0.5).tolist()))
                for s in tight
            ],
        }
    for t, hour in enumerate(allowed):
        for x in _some(hour, rng):
            points = [("", x), (" (bent)", bent(follower, x, rng))]
            for form, own in forms.items():
                for label, point in points:
                    plain = own[t]
                    for pieces, state in (("", plain), (" with pieces", with_pieces(plain, point, rng))):
                        if pieces and form == "cuts":
                            continue
                        outcome.checks += 1
                        fault = contained(routes, state, dispatches[t], point, outcome)
                        if fault is not None:
                            place = f"{instance.name}, period {instance.periods[t].id}, {form}{pieces}{label}"
                            outcome.violations.append(f"{place}: {fault}; prices {point.price.tolist()}")
    return outcome


def _some(hour: list[Truth], rng: np.random.Generator, most: int = 3) -> Iterator[Truth]:
    """Different answers of an hour, at most ``most``."""
    seen: list[Truth] = []
    for i in rng.permutation(len(hour)):
        x = hour[int(i)]
        if not any(np.allclose(x.route_flow, y.route_flow) and np.allclose(x.price, y.price) for y in seen):
            seen.append(x)
            yield x
        if len(seen) >= most:
            return
