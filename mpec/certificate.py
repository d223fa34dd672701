"""The judge: takes any point of the game and the claims made about it, and recomputes everything.

Verdicts (design: what "certified" means):

    CERTIFIED    every check passed, the upper bound was re-proved with proven Ms, its gap is within target
    EQUILIBRIUM  every check passed, so the profit is real; the bound is missing, above target, not
                 rechecked or rests on an assumed M
    REJECTED     a check failed; which, by how much, where
    INFEASIBLE   re-proved that no prices in the box are allowed
    NO_POINT     there is no point to judge (a run that found none in time)

It imports nothing that knows how a point is found or a bound is made; the recheck of the bound hands its
outcome over as a record. A stored verdict is never read. Nonsense in a point is a failed check, not a crash.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from formulations.route_records import RouteSet
from formulations.routes import route_set
from instances.model import Instance
from mpec import result_folder, tolerances
from mpec.checks import bound, electricity, equations, users
from mpec.checks.all_routes import AllRoutes, search_all_routes
from mpec.checks.record import Check, RecheckOutcome, RecheckState, failed, guarded, worst
from mpec.checks.verdict import Certificate, Verdict
from mpec.equilibrium import Equilibrium, Point
from mpec.indicators import indicators
from mpec.pessimistic import SECONDS, Pessimistic, least_profit

__all__ = ["Certificate", "Check", "RecheckOutcome", "certify", "certify_folder"]


@dataclass
class _Findings:
    """What judging a point gives; filled step by step."""

    checks: list[Check]
    answer: equations.Answer | None = None
    profit: float | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    on_tolerance: float | None = None
    allowance: float | None = None

    @property
    def passed(self) -> bool:
        return self.answer is not None and all(check.passed for check in self.checks)


def certify(
    instance: Instance,
    equilibrium: Equilibrium,
    *,
    target_gap: float = 0.01,
    recheck: RecheckOutcome | None = None,
    routes: RouteSet | None = None,
    pessimistic_seconds: float = SECONDS,
) -> Certificate:
    """Judge a point and its claims against ``instance``. Never raises for what the point or the claims hold.

    recheck      outcome of re-proving the bound; without it CERTIFIED is out of reach
    routes       the RouteSet that the bound covers: used routes must belong to it (none: that of a confirmed bound)
    pessimistic_seconds  for bounding the least profit over the followers' answers; 0: leave it out
    """
    began = time.perf_counter()
    point = equilibrium.point
    if routes is None and point is not None and recheck is not None and recheck.state == "confirmed":
        # What the bound does not cover is no equilibrium beside it.
        routes = route_set(instance)
    found = judge_point(instance, point, routes, intervals=True) if point is not None else _Findings([])
    checks = list(found.checks)
    lower = found.profit if point is not None and found.passed else None
    ms = _big_m(instance, equilibrium, found)
    checks += guarded("claims", 0.0, lambda: _claims(instance, equilibrium, found, ms, recheck))
    state: RecheckState = "none" if recheck is None else recheck.state
    upper = _upper(equilibrium, recheck, lower, checks)
    gap = None if lower is None or upper is None else (upper - lower) / max(abs(upper), 1.0)
    assumed = tuple(dict.fromkeys((*ms.assumed, *(recheck.assumed if recheck else ()))))
    tie: Pessimistic | None = None
    if lower is not None and point is not None and found.answer is not None and pessimistic_seconds > 0:
        try:
            tie = least_profit(instance, point, found.answer, routes=routes, seconds=pessimistic_seconds)
        except ArithmeticError as error:
            checks.append(failed("worst_answer", 0.0, f"the answer can't be taken up: {error}"))
            lower = gap = None
    verdict = _verdict(equilibrium, checks, gap, target_gap, recheck, assumed)
    every = AllRoutes(None)
    if lower is not None and point is not None and found.answer is not None:
        every = search_all_routes(instance, point, found.answer)
    notes = _notes(instance, equilibrium, found, verdict, recheck, assumed, ms, gap, target_gap)
    notes = [*_route_notes(instance, lower is not None, every), *notes]
    notes += [] if tie is None else tie.notes
    ac_error = _ac_error(instance, point, found.answer, notes) if lower is not None else None
    return Certificate(
        verdict=verdict,
        lower_bound=lower,
        upper_bound=upper,
        gap=gap,
        target_gap=target_gap,
        epsilon=tolerances.EPSILON,
        delta=tolerances.DELTA,
        optimistic_profit=lower,
        pessimistic_profit=tie,
        recheck=state,
        checks=tuple(checks),
        big_m=ms.rows,
        route_set="complete" if instance.route_set is None else "declared",
        all_routes=every,
        notes=tuple(notes),
        profit_on_tolerance=found.on_tolerance,
        tolerance_allowance=found.allowance,
        ac_voltage_error=ac_error,
        bpr_gap=_finite((equilibrium.bound_record or {}).get("bpr_gap")),
        electricity_low=found.low,
        electricity_high=found.high,
        solver=equilibrium.solver,
        seed=equilibrium.seed,
        versions=versions(),
        solve_seconds=equilibrium.seconds,
        seconds=time.perf_counter() - began,
    )


def judge_point(
    instance: Instance, point: Point, routes: RouteSet | None = None, *, intervals: bool = False
) -> _Findings:
    """All checks of what the players do; the claims about bounds come later.

    ``intervals``: also find the price interval on the dual face and judge the stated one (most of the time).
    """
    found = _Findings([])
    found.checks += guarded("equations", 0.0, lambda: equations.check_equations(instance, point))
    if any(not c.passed and c.name in (*equations.FATAL, "equations") for c in found.checks):
        return found
    answer = equations.answer_of(instance, point)
    found.answer, found.profit = answer, answer.profit(instance, point)
    found.checks += guarded("wardrop", tolerances.EPSILON, lambda: _users(instance, point, found, answer))
    if routes is not None:
        found.checks += guarded("route_set", 0.0, lambda: [users.check_membership(instance, answer, routes)])
    found.checks += guarded(
        "electricity", electricity.PRICES, lambda: _electricity(instance, point, found, answer, intervals)
    )
    return found


def _users(instance: Instance, point: Point, found: _Findings, answer: equations.Answer) -> list[Check]:
    wardrop = users.check_wardrop(instance, point, answer)
    found.on_tolerance = wardrop.profit_on_tolerance
    found.allowance = users.tolerance_allowance(instance, point, answer, wardrop.cheapest)
    return wardrop.checks


def _electricity(
    instance: Instance, point: Point, found: _Findings, answer: equations.Answer, intervals: bool
) -> list[Check]:
    result = electricity.check_electricity(instance, point, answer.traffic.load_kw, intervals=intervals)
    if not intervals:
        return result.checks
    found.low, found.high = result.low, result.high
    if instance.tariff_mode != "dlmp":
        return result.checks
    return [*result.checks, electricity.check_interval(instance, point, result.low, result.high)]


def _big_m(instance: Instance, equilibrium: Equilibrium, found: _Findings) -> bound.Ms:
    """The Ms as stated; a list that makes no sense is a failed check."""
    point = equilibrium.point if found.answer else None
    try:
        return bound.check_big_m(equilibrium.bound_record, point, found.answer, instance)
    except Exception as error:  # the record is untrusted
        fault = failed("big_m_sources", 0.0, f"{type(error).__name__}: {error}")
        return bound.Ms((), ("big_m",), (fault,), ())


def _claims(
    instance: Instance,
    equilibrium: Equilibrium,
    found: _Findings,
    ms: bound.Ms,
    recheck: RecheckOutcome | None,
) -> list[Check]:
    """What is stated about bounds, Ms and intervals, as far as the judged point can contradict it."""
    checks, record = list(ms.checks), equilibrium.bound_record
    point, profit = equilibrium.point, found.profit
    if point is None:
        return checks + bound.check_recheck(equilibrium.upper_bound, recheck)
    if found.passed and found.answer is not None and profit is not None:
        checks += bound.check_upper(equilibrium.upper_bound, record, profit)
        checks.append(bound.check_intervals(record, instance, point, found.answer, profit))
        checks += bound.check_claims(
            equilibrium.lower_bound, equilibrium.bounds, profit, equilibrium.upper_bound
        )
    if equilibrium.status not in ("optimal", "feasible"):
        checks.append(failed("status", 0.0, f"{equilibrium.status!r} although there is a point"))
    return checks + bound.check_recheck(equilibrium.upper_bound, recheck, profit if found.passed else None)


def _upper(
    equilibrium: Equilibrium, recheck: RecheckOutcome | None, lower: float | None, checks: list[Check]
) -> float | None:
    """The bound that may be told: re-proved if confirmed, else as stated; None when a check found it void."""
    stated = _finite(equilibrium.upper_bound)
    if any(not check.passed and check.name in bound.VOIDS for check in checks):
        return None
    if recheck is not None and recheck.state == "confirmed" and recheck.upper_bound is not None:
        stated = _finite(recheck.upper_bound)
    return stated if stated is None or lower is None else max(stated, lower)


def _verdict(
    equilibrium: Equilibrium,
    checks: list[Check],
    gap: float | None,
    target_gap: float,
    recheck: RecheckOutcome | None,
    assumed: tuple[str, ...],
) -> Verdict:
    if any(not check.passed for check in checks):
        return "REJECTED"
    confirmed = recheck is not None and recheck.state == "confirmed"
    if equilibrium.point is None:
        return "INFEASIBLE" if confirmed and recheck is not None and recheck.infeasible else "NO_POINT"
    if confirmed and not assumed and gap is not None and gap <= target_gap:
        return "CERTIFIED"
    return "EQUILIBRIUM"


def _notes(
    instance: Instance,
    equilibrium: Equilibrium,
    found: _Findings,
    verdict: Verdict,
    recheck: RecheckOutcome | None,
    assumed: tuple[str, ...],
    ms: bound.Ms,
    gap: float | None,
    target_gap: float,
) -> list[str]:
    notes = []
    if equilibrium.point is None:
        if equilibrium.status == "infeasible" and verdict == "NO_POINT":
            notes.append("Infeasibility is claimed, but was not re-proved.")
        elif recheck is not None and recheck.infeasible:
            notes.append(f"No prices in the box are allowed: {recheck.details}")
        return notes
    if equilibrium.upper_bound is None:
        notes.append("No upper bound is claimed.")
    elif recheck is None or recheck.state == "none":
        notes.append("bound not rechecked")
    elif recheck.state == "undecided":
        notes.append(f"bound recheck undecided: {recheck.details}")
    elif recheck.on_word:
        notes.append(f"Of the bound this rests on a solver's word: {', '.join(recheck.on_word)}.")
    elif recheck.state == "confirmed":
        notes.append("No solver's word is in the bound: the multipliers of linear programs prove it.")
    if assumed:
        notes.append(f"{len(assumed)} Ms are assumed, or not proven exactly: {', '.join(assumed[:5])}")
    if ms.leaks:
        notes.append(
            f"{len(ms.leaks)} Ms leak through the integrality tolerance; that only loosens the bound."
        )
    if gap is not None and gap > target_gap:
        notes.append(f"The gap {100 * gap:.3g} % is above the target {100 * target_gap:.3g} %.")
    if found.on_tolerance is not None and found.passed:
        notes.append(
            "Every used route is cheapest to 1e-9: the profit does not rest on the tolerances."
            if found.on_tolerance == 0.0
            else f"{found.on_tolerance:.6g} {instance.currency} of the profit rest on routes that are dearer "
            f"by more than 1e-9 (allowed: {tolerances.EPSILON:g}): it is a bound of the eps-game."
        )
    return notes


def _route_notes(instance: Instance, judged: bool, every: AllRoutes) -> list[str]:
    """What a declared route set means for the verdict; nothing to say of a complete one."""
    if instance.route_set is None:
        return []
    said = ["Game and judge are restricted to the declared route set."]
    if judged:
        said.append(f"The bound is stated for the declared route set; {every.sentence(instance.currency)}.")
    return said


def _ac_error(
    instance: Instance, point: Point | None, answer: equations.Answer | None, notes: list[str]
) -> float | None:
    if point is None or answer is None:
        return None
    try:
        return electricity.ac_voltage_error(instance, point, answer.traffic.load_kw)
    except ArithmeticError as error:
        notes.append(f"LinDistFlow is no guide here, the AC power flow has no solution: {error}")
        return None


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    # NaN, infinities, and whole numbers too large for a float.
    return float(value) if abs(value) <= sys.float_info.max else None


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that the judge's numbers come from."""
    found = {"python": platform.python_version()}
    for name in ("evcs-mpec", "numpy", "scipy", "highspy", "pyomo"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


# ---- stored results ----------------------------------------------------------------------------
def certify_folder(
    directory: Path | str,
    *,
    target_gap: float = 0.01,
    recheck: Callable[[Equilibrium], RecheckOutcome] | None = None,
    pessimistic_seconds: float = SECONDS,
) -> tuple[Equilibrium, Certificate]:
    """Judge a stored result afresh: the point, and equilibrium.json's figures beside it.

    Raises ResultError when the folder can't be read. certificate.json is neither read nor written.
    """
    equilibrium = result_folder.read(directory)
    claims = result_folder.read_claims(directory)
    outcome = recheck(equilibrium) if recheck is not None and equilibrium.bound_record is not None else None
    certificate = certify(
        equilibrium.instance,
        equilibrium,
        target_gap=target_gap,
        recheck=outcome,
        pessimistic_seconds=pessimistic_seconds,
    )
    return equilibrium, with_claims(certificate, equilibrium, claims)


def with_claims(certificate: Certificate, equilibrium: Equilibrium, claims: Mapping[str, Any]) -> Certificate:
    """The certificate with two more checks: equilibrium.json's gap and indicators follow from the rest."""
    checks = [*certificate.checks, *guarded("figures_stated", 1e-9, lambda: _figures(equilibrium, claims))]
    verdict = certificate.verdict
    if any(not check.passed for check in checks):
        verdict = "REJECTED"
    return replace(certificate, checks=tuple(checks), verdict=verdict)


def _figures(equilibrium: Equilibrium, claims: Mapping[str, Any]) -> list[Check]:
    expected: dict[str, Any] = {"gap": equilibrium.gap}
    if equilibrium.point is not None:
        expected |= indicators(equilibrium.instance, equilibrium.point)
    found = []
    for name, value in expected.items():
        stated = claims.get(name)
        if value is None and stated is None:
            continue
        number = _finite(stated)
        if value is None or number is None:
            found.append((math.nan, name))
        else:
            found.append((abs(number - value) / max(abs(value), 1e-6), name))
    name_checks = [worst("figures_stated", 1e-9, found)]
    game = equilibrium.instance
    for check, field, right in (
        ("instance_name", "instance", game.name),
        ("currency_stated", "currency", game.currency),
    ):
        if claims.get(field) != right:
            name_checks.append(failed(check, 0.0, f"equilibrium.json says {claims.get(field)!r}"))
    return name_checks
