"""games.csv of the truth tests, read back, and its counts as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

REFUTED = "refuted"
"""What becomes of SCIP's status where the followers' exact answer to some prices earns more than its bound."""

CLEARED = "no counterexample at its prices"
"""What is added to SCIP's status where its best point lay above a bound that no answer to the same prices exceeds."""

UNSETTLED = "unsettled"
"""The same where that is proven no more than that an answer to them does, and the violation it counts as."""


def summary(rows: Sequence[dict[str, str]]) -> str:
    """README.md of the results: what was run, counts, every violation."""
    bad = [r for r in rows if r["violations"]]
    kinds = Counter(text.split(":")[0] for r in bad for text in r["violations"].split(" | "))
    cleared = sum(r["exact_status"].endswith(CLEARED) for r in rows)
    unsettled = kinds[UNSETTLED]
    refuted = sum(r["exact_status"].split(",")[0] == REFUTED for r in rows)
    lost = [int(r.get("lost_by_presolve") or 0) for r in rows]
    closed = [r for r in rows if r["exact_status"].split(",")[0] in ("optimal", "infeasible")]
    lines = [
        "# Truth tests on random games",
        "",
        "Made by `python -m mpec.soundness` (what is tested: the module's own text). One row a game in `games.csv`.",
        "",
        "| | |",
        "|---|---|",
        f"| games | {len(rows)} |",
        f"| prices answered exactly | {sum(int(r['prices_tried'] or 0) for r in rows)} |",
        f"| games closed by SCIP as exact MINLP | {len(closed)} |",
        f"| of all, SCIP's best point above a bound, proven to be none with its prices fixed | {cleared} |",
        f"| of all, SCIP's best point above a bound, neither proven nor cleared (a violation) | {unsettled} |",
        f"| of all, SCIP's bound, or that there is no point, refuted by an exact answer | {refuted} |",
        f"| equilibria looked for in the relaxations | {sum(int(r['answers'] or 0) for r in rows)} |",
        f"| relaxations solved for that | {sum(int(r['contained_checks'] or 0) for r in rows)} |",
        "| of these, points that HiGHS found without presolve only, or that no proof excludes (games with any) |"
        f" {sum(lost)} ({sum(n > 0 for n in lost)}) |",
        f"| **games with a violation** | **{len(bad)}** |",
        f"| violations by kind | {_counts(kinds) or 'none'} |",
        "",
        "| | by hours | one MILP |",
        "|---|---|---|",
    ]
    methods = ("decomposed", "monolithic")
    cells = [_verdicts(rows, method) for method in methods]
    for name in cells[0]:
        lines.append(f"| {name} | " + " | ".join(c[name] for c in cells) + " |")
    parts = Counter(name for r in rows for name in r["mechanisms"].split())
    tariffs = Counter(r["tariff"] for r in rows)
    sizes = Counter(f"{r['pairs']}/{r['stations']}/{r['periods']}" for r in rows)
    kinds_drawn = Counter(r["size"] for r in rows)
    efforts = Counter(r["effort"] for r in rows)
    spent = np.array([float(r["processor_seconds"]) for r in rows if r["processor_seconds"]])
    lines += [
        "",
        f"Tariffs: {_counts(tariffs)}. Alive in so many games: {_counts(parts)}.",
        f"O-D pairs/stations/periods: {_counts(sizes)}.",
        f"Drawn as (most stations-periods-pairs): {_counts(kinds_drawn)}.",
        "",
        "Effort:",
        "",
        *(f"* {count} games: {name}" for name, count in sorted(efforts.items())),
        "",
    ]
    if len(spent):
        lines += [
            f"Processor time a game: {spent.mean():.1f} s at the mean, {spent.max():.0f} s at most.",
            "",
        ]
    if bad:
        lines += ["## Violations", ""]
        lines += [f"* game {r['seed']} ({r['size']}): {r['violations']}" for r in bad]
        lines.append("")
    return "\n".join(lines)


def _verdicts(rows: Sequence[dict[str, str]], method: str) -> dict[str, str]:
    """Counts of one method's verdicts and gaps."""
    verdicts = Counter(r[f"{method}_verdict"] or "none" for r in rows)
    gaps = np.array([float(r[f"{method}_gap"]) for r in rows if r[f"{method}_gap"]])
    seconds = np.array([float(r[f"{method}_seconds"]) for r in rows if r[f"{method}_seconds"]])
    certified = verdicts["CERTIFIED"] + verdicts["INFEASIBLE"]
    return {
        "verdicts": _counts(verdicts),
        "CERTIFIED or INFEASIBLE": f"{100.0 * certified / max(len(rows), 1):.1f} %",
        "gap at most 0.1 %": f"{int((gaps <= 1e-3).sum())} of {len(gaps)} with a gap",
        "median seconds": f"{float(np.median(seconds)):.1f}" if len(seconds) else "none",
    }


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
