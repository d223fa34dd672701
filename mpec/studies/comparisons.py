"""Cases held against each other: what certified intervals allow to be said, and how far the heuristic's spread goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpec.studies import paper
from mpec.studies.cases import Case
from mpec.studies.findings import Findings, Verdict, joined
from mpec.studies.statistics import compare, flatness, relative_change, sd_ratio
from mpec.studies.typesetting import shown


@dataclass(frozen=True)
class Pair:
    """From one case to another; ``name`` says what changes."""

    name: str
    start: Case
    end: Case

    @property
    def order(self) -> str:
        """Whether the end's certified interval is above the start's, below, or overlaps it."""
        return compare(self.end.interval, self.start.interval)

    @property
    def same(self) -> bool:
        """Whether the intervals allow no change worth the name."""
        return self.change is not None and max(map(abs, self.change)) <= paper.SAME

    @property
    def change(self) -> tuple[float, float] | None:
        """[least, largest] relative change that both intervals allow."""
        return relative_change(self.start.interval, self.end.interval)


def change_text(pair: Pair) -> str:
    """'1.20 % to 3.40 %', the change that is certain."""
    if pair.change is None:
        return "unknown (a bound is missing)"
    low, high = pair.change
    return f"{shown(low, 'percent')} to {shown(high, 'percent')}"


def change_findings(findings: Findings, pairs: Sequence[Pair]) -> None:
    """One sentence per pair: the certified change, or that it can't be told."""
    words = {
        "above": "the best profit rises",
        "below": "the best profit falls",
        "overlap": "it can't be told whether the best profit rises or falls (the certified intervals overlap)",
        "unknown": "it can't be told whether the best profit rises or falls",
    }
    for pair in pairs:
        findings.say(
            "{name}: {word}; change {change}, from [{a}, {b}] to [{c}, {d}].",
            name=f"**{pair.name}**",
            word="the best profit stays the same" if pair.same else words[pair.order],
            change=change_text(pair),
            a=shown(pair.start.lower, "money"),
            b=shown(pair.start.upper, "money"),
            c=shown(pair.end.lower, "money"),
            d=shown(pair.end.upper, "money"),
        )


def spread_findings(
    findings: Findings, cases: Sequence[Case], curves: Sequence[Sequence[Sequence[float | None]]]
) -> None:
    """The heuristic's spread, its distance to the bound, and whether its curves are flat at the end."""
    for case, own in zip(cases, curves, strict=True):
        found = case.heuristic
        if found is None:
            if case.of("heuristic"):
                findings.say("{name}: no run of the heuristic found allowed prices.", name=case.name)
            continue
        findings.say(
            "{name}: the best of {n} heuristic runs is {gap} below the certified bound, their mean {mean}; their"
            " standard deviation is {sd} of the mean.",
            name=case.name,
            n=found.n,
            gap=shown(case.gap_of(found.best), "percent"),
            mean=shown(case.gap_of(found.mean), "percent"),
            sd=shown(None if found.sd is None else found.sd / max(abs(found.mean), 1.0), "percent"),
        )
        still = sum(bool(curve) and curve[0] == curve[-1] for curve in own)
        if still:
            findings.say(
                "{name}: in {still} of {n} runs the heuristic never found anything better than the best of its"
                " first population{which}.",
                name=case.name,
                still=still,
                n=len(own),
                which=", which holds the middle of the price box"
                if all(row["start"] in ("middle", "spread") for row in case.of("heuristic"))
                else "",
            )
        gains = [gain for gain in map(flatness, own) if gain is not None]
        if gains:
            flat = sum(gain < paper.FLAT for gain in gains)
            findings.say(
                "{name}: {flat} of {n} convergence curves are flat at the end (less than {limit} gained in the"
                " last fifth of the iterations; the most is {most}).",
                name=case.name,
                flat=flat,
                n=len(gains),
                limit=shown(paper.FLAT, "percent"),
                most=shown(max(gains), "percent"),
            )


def difference_claim(
    findings: Findings, claim: str, pairs: Sequence[Pair], *, within: tuple[float, float] | None = None
) -> None:
    """Whether the pairs differ for certain; with ``within`` whether by a share in that range.

    It holds when every pair says so for certain, and doesn't when some pair says the opposite for certain.
    """
    values = (
        {} if within is None else {"least": shown(within[0], "percent"), "most": shown(within[1], "percent")}
    )
    if not pairs:
        findings.judge(claim, "no two cases to compare", "can't be told", **values)
        return
    yes = [pair for pair in pairs if _certain(pair, within) is True]
    no = [pair for pair in pairs if _certain(pair, within) is False]
    verdict: Verdict = "holds" if len(yes) == len(pairs) else "does not hold" if no else "can't be told"
    found = joined([f"{pair.name}: {change_text(pair)}" for pair in pairs])
    findings.judge(claim, "{found}", verdict, found=found, **values)


def _certain(pair: Pair, within: tuple[float, float] | None) -> bool | None:
    """True, False, or None where the intervals don't decide."""
    if within is None:
        return False if pair.same else True if pair.order in ("above", "below") else None
    if pair.change is None:
        return None
    low, high = pair.change
    # The sizes that are possible: between the nearest and the farthest end from 0.
    least = 0.0 if low <= 0.0 <= high else min(abs(low), abs(high))
    most = max(abs(low), abs(high))
    if within[0] <= least and most <= within[1]:
        return True
    return False if most < within[0] or least > within[1] else None


def spread_claims(findings: Findings, pairs: Sequence[Pair]) -> None:
    """Whether the heuristic alone could tell the cases apart, and whether its spread differs between them."""
    far: list[str] = []
    near: list[str] = []
    for pair in pairs:
        a, b = pair.start.heuristic, pair.end.heuristic
        if a is None or b is None or a.sd is None or b.sd is None or a.sd + b.sd <= 1e-9 * abs(a.mean):
            continue
        times = abs(b.best - a.best) / (0.5 * (a.sd + b.sd))
        (far if times > 2.0 else near).append(f"{pair.name}: {shown(times, 'number', 1)} SD")
    if far or near:
        verdict: Verdict = "does not hold" if near else "holds"
        findings.judge(
            "The differences of the best values between cases exceed the heuristic's own spread"
            " (more than {limit} standard deviations)",
            "{found}",
            verdict,
            limit="2",
            found=joined([*far, *near]),
        )
    ratios = [
        (pair, ratio)
        for pair in pairs
        if (ratio := sd_ratio(pair.end.heuristic_profits(), pair.start.heuristic_profits())) is not None
    ]
    if ratios:
        sure = [pair for pair, (_, low, high) in ratios if low > 1.0 or high < 1.0]
        found = joined(
            [
                f"{pair.name}: ratio {shown(r)} ({shown(low)} to {shown(high)})"
                for pair, (r, low, high) in ratios
            ]
        )
        findings.judge(
            "The standard deviation of the heuristic differs between the cases (ratio, {level} confidence)",
            "{found}",
            "holds" if len(sure) == len(ratios) else "can't be told",
            level="95 %",
            found=found,
        )
