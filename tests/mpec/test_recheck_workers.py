"""The recheck of a day's bound: the same to the digit in one process and in two, and nothing is proven in vain."""

from __future__ import annotations

import copy
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import instances
from formulations.routes import route_set
from mpec import replay, replayed_hours
from mpec.bound_reading import BoundsStep, CutoffStep, Derivation, Partition, Step, read_derivation
from mpec.checks.record import RecheckOutcome
from mpec.claims import Claims, Local
from mpec.coupling import Multipliers
from mpec.equilibrium import Equilibrium
from mpec.executors import Tasks
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.random_games import Size, random_game
from mpec.recheck import recheck_bound
from mpec.replay_state import Replay
from mpec.replayed_hours import Found, Premises, Refuted, Stated, hour_bound
from mpec.second_opinions import Opinion
from mpec.solvers import SolverMissing

MAIN = os.getpid()


@pytest.fixture(scope="module")
def day() -> Equilibrium:
    """Three hours coupled by residual flow, closed by local claims after two cutoffs."""
    result = solve_game(
        random_game(4, Size(3, 4, 3)), SolveOptions(gap=1e-5, sweeps=1, time_limit=60.0, workers=1)
    )
    found = derivation_of(result)
    assert sum(isinstance(s, CutoffStep) for s in found.steps[: found.best]) >= 1
    assert any(part.local is not None for part in found.result.hours)
    return result


def derivation_of(result: Equilibrium) -> Derivation:
    assert result.bound_record is not None
    return read_derivation(result.bound_record, route_set(result.instance))


def same(outcome: RecheckOutcome) -> RecheckOutcome:
    return replace(outcome, seconds=0.0)


def shaved(result: Equilibrium, share: float) -> Equilibrium:
    """One hour's bound, and the day's, a little too low."""
    record = copy.deepcopy(result.bound_record)
    assert record is not None
    step = record["steps"][record["best"]]
    step["bounds"][1] -= share * abs(step["total"])
    return replace(result, bound_record=record)


def broken_round(result: Equilibrium) -> Equilibrium:
    """A claim of a local proof that no LP confirms."""
    record = copy.deepcopy(result.bound_record)
    assert record is not None
    step = record["steps"][record["best"]]
    rounds = [claims for h in step["hours"] if h["local"] is not None for claims in h["local"]["rounds"]]
    rows = [row for claims in rounds for row in claims["intervals"] if row[0] == "road_flow"]
    rows[0][3] = 0.5 * (rows[0][2] + rows[0][3])
    return replace(result, bound_record=record)


def no_worker_is_left(seconds: float = 20.0) -> bool:
    """Whether all workers end; on a loaded machine that takes a moment after they were told to."""
    until = time.perf_counter() + seconds
    while multiprocessing.active_children() and time.perf_counter() < until:
        time.sleep(0.05)
    return not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("lie", "thorough", "state"),
    [("", True, "confirmed"), ("", False, "confirmed"), ("bound", True, "undecided"), ("round", True, None)],
)
def test_two_workers_find_what_one_finds(
    day: Equilibrium, lie: str, thorough: bool, state: str | None
) -> None:
    """Equal to the last digit, whether the record is honest or not."""
    result = {"": day, "bound": shaved(day, 0.01), "round": broken_round(day)}[lie]
    alone = recheck_bound(result, thorough=thorough, workers=1)
    shared = recheck_bound(result, thorough=thorough, workers=2)
    assert same(shared) == same(alone)
    assert alone.state == (state or alone.state)
    assert no_worker_is_left()


DIED = "EVCS_TEST_WORKER_DIED"


def dying(premises: Premises, stated: Stated) -> Found:
    """As hour_bound, but the first worker that gets an hour is killed over it."""
    flag = Path(os.environ[DIED])
    if os.getpid() != MAIN and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return hour_bound(premises, stated)


def test_a_worker_that_dies_changes_nothing(
    day: Equilibrium, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = recheck_bound(day)
    monkeypatch.setenv(DIED, str(tmp_path / "died"))
    monkeypatch.setattr(replay, "hour_bound", dying)
    assert same(recheck_bound(day, workers=2)) == same(alone)
    assert (tmp_path / "died").exists()


def missing(premises: Premises, stated: Stated) -> Found:
    raise SolverMissing("no such solver here; install it")


def refuting(premises: Premises, stated: Stated) -> Found:
    raise Refuted(f"period {premises.state.t + 1}: a lie")


def failing(premises: Premises, stated: Stated) -> Found:
    raise MemoryError("no room")


def too_low(premises: Premises, stated: Stated) -> Found:
    return Found(Opinion(-1e9))


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_worker_raises_arrives_as_what_it_is(
    day: Equilibrium, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "hour_bound", missing)
    with pytest.raises(SolverMissing, match="install it"):
        recheck_bound(day, workers=workers)
    monkeypatch.setattr(replay, "hour_bound", refuting)
    outcome = recheck_bound(day, workers=workers)
    assert (outcome.state, outcome.details[-7:]) == ("refuted", ": a lie")
    monkeypatch.setattr(replay, "hour_bound", failing)
    outcome = recheck_bound(day, workers=workers)
    assert (outcome.state, "MemoryError" in outcome.details) == ("undecided", True)
    # The judge's own solver below what the judged day earns: SolverFalse.
    monkeypatch.setattr(replay, "hour_bound", too_low)
    outcome = recheck_bound(day, workers=workers)
    assert (outcome.state, "FALSE" in outcome.details) == ("undecided", True)
    assert no_worker_is_left()


# ---- nothing in vain ---------------------------------------------------------------------------
def multipliers(cap: float) -> Multipliers:
    return Multipliers(np.array([cap]), np.zeros((1, 2)), None)


def bounds_step(cap: float) -> BoundsStep:
    part = Partition({}, {}, frozenset(), False)
    return BoundsStep(multipliers(cap), (1.0, 2.0), False, (part, part))


def test_a_cutoff_is_idle_where_only_bounds_at_its_own_multipliers_follow() -> None:
    from mpec.bound_reading import ClaimsStep

    claims = ClaimsStep(0, Claims((), ()))
    same_ones: list[Step] = [
        bounds_step(1.0),
        CutoffStep(0, 0.5),
        bounds_step(1.0),
        CutoffStep(2, 0.5),
        bounds_step(1.0),
    ]

    def idle(*steps: Step) -> list[int]:
        return sorted(replay.idle_cutoffs(Derivation(tuple(steps), len(steps) - 1, (), (), ())))

    assert idle(*same_ones) == [1, 3]
    assert idle(bounds_step(1.0), CutoffStep(0, 0.5), bounds_step(2.0)) == []
    assert idle(bounds_step(1.0), CutoffStep(0, 0.5), claims, bounds_step(1.0)) == []
    # What claims after the next cutoff rest on is that one's business.
    assert idle(*same_ones[:4], claims, bounds_step(1.0)) == [1]


def test_cutoffs_that_nothing_needs_are_not_proven_and_the_others_are(
    day: Equilibrium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hours asked for: those of the final bound, and of the cutoffs that claims rest on. If the final bound is not
    confirmed without an idle cutoff, that one's bounds are proven, and the open hours once more."""
    found = derivation_of(day)
    idle = replay.idle_cutoffs(found)
    hours = len(day.instance.periods)
    needed = {
        s.bounds_step
        for i, s in enumerate(found.steps[: found.best])
        if isinstance(s, CutoffStep) and i not in idle
    }
    asked: list[Stated] = []

    def counted(premises: Premises, stated: Stated) -> Found:
        asked.append(stated)
        return hour_bound(premises, stated)

    monkeypatch.setattr(replay, "hour_bound", counted)
    assert recheck_bound(day).state == "confirmed"
    assert len(asked) == hours * (len(needed) + 1)
    if not idle:
        pytest.fail("the record has no idle cutoff: the rest of this test would show nothing")
    first, asked = list(asked), []
    stubborn = found.result.bounds[1]

    def weaker(premises: Premises, stated: Stated) -> Found:
        asked.append(stated)
        told = hour_bound(premises, stated)
        final = stated.bound == stubborn and not stated.relaxed
        tries = sum(s.bound == stubborn and not s.relaxed for s in asked)
        if not (final and tries == 1):
            return told
        return replace(told, opinion=replace(told.opinion, bound=told.opinion.bound + 1.0))

    monkeypatch.setattr(replay, "hour_bound", weaker)
    assert recheck_bound(day).state == "confirmed"
    assert len(asked) > len(first)
    assert asked[-1].bound == stubborn


def kept(multipliers: Multipliers, proof: Local, found: tuple[Claims, ...]) -> Replay:
    routes, shown = route_set(instances.load("line-limit")), {3: [(multipliers, proof, found)]}
    return Replay(routes, [], [], "highs", 0.0, [], 0.0, Tasks(1), True, print, shown=shown)


def test_rounds_are_known_for_the_same_multipliers_and_no_higher_level() -> None:
    rounds = tuple(Claims((("price", 0, 0.1 * i, 1.0),), ()) for i in range(4))
    # What was found may be a hair wider than what was claimed, and is what counts.
    found = tuple(Claims((("price", 0, 0.1 * i - 1e-9, 1.0),), ()) for i in range(3))
    before = kept(multipliers(1.0), Local(5.0, rounds[:3]), found)
    other = Claims((("price", 0, 0.15, 1.0),), ())
    assert before.known_rounds(3, multipliers(1.0), Local(5.0, rounds)) == found
    assert before.known_rounds(3, multipliers(1.0), Local(6.0, rounds[:2])) == found[:2]
    assert before.known_rounds(3, multipliers(1.0), Local(5.0, (rounds[0], other, rounds[2]))) == found[:1]
    assert before.known_rounds(3, multipliers(1.0), Local(4.999, rounds)) == ()
    assert before.known_rounds(3, multipliers(1.5), Local(5.0, rounds)) == ()
    assert before.known_rounds(2, multipliers(1.0), Local(5.0, rounds)) == ()
    assert before.known_rounds(3, multipliers(1.0), None) == ()


def test_known_rounds_save_their_programs_and_change_no_digit(
    day: Equilibrium, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round that was confirmed claim by claim is taken as it stands; one that was not is never called shown."""
    seen: list[tuple[Premises, Stated]] = []
    monkeypatch.setattr(replay, "hour_bound", lambda p, s: (seen.append((p, s)), hour_bound(p, s))[1])
    assert recheck_bound(day).state == "confirmed"
    premises, stated = max(seen, key=lambda one: one[1].work)
    anew = hour_bound(premises, replace(stated, shown=()))
    assert stated.partition.local is not None
    assert 0 < len(anew.shown) <= len(stated.partition.local.rounds)
    monkeypatch.setattr(replayed_hours, "_least", forbidden)
    monkeypatch.setattr(replayed_hours, "_most", forbidden)
    if len(anew.shown) == len(stated.partition.local.rounds):
        assert hour_bound(premises, replace(stated, shown=anew.shown)) == anew
    with pytest.raises(AssertionError, match="an LP"):
        hour_bound(premises, replace(stated, shown=()))


def forbidden(*_: object) -> float:
    raise AssertionError("an LP was solved")
