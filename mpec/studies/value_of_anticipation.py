"""Study 4: what foreseeing the followers is worth, and how much of the certified profit rests on their ties."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from mpec.figures import SERIES
from mpec.studies.cases import Case, cases_of
from mpec.studies.drawing import finish, panels
from mpec.studies.findings import Findings, joined
from mpec.studies.plain import results_table
from mpec.studies.products import Products
from mpec.studies.rows import Material, Row
from mpec.studies.study_file import Study
from mpec.studies.typesetting import Table, columns, rows_of, shown

POLICY_NAMES = {"flat": "flat price", "cost-plus": "cost plus margin", "last-hour": "best of the last hour"}


def products(study: Study, material: Material) -> Products:
    """Every game: certified interval, naive policies, ties, robust prices nearby."""
    cases = cases_of(material, lambda row: f"{row['tariff']}, ξ = {row['xi']:g}")
    currency = study.runs[0].game.currency
    tables = [results_table("certified", "Certified profit with anticipation", cases), _policy_table(cases)]
    tables += [_ties_table(cases), _robust_table(cases)]
    figures: dict[str, tuple[Figure, str]] = {
        "policies": (
            _policy_figure(cases, currency),
            "Profit of naive policies beside the certified interval; crosses overload a station",
        )
    }
    if any(case.of("robust") for case in cases):
        figures["robust"] = (
            _robust_figure(cases),
            "Certain profit of prices near the certified ones, as a share of the optimistic profit",
        )
    return Products("The value of anticipation", tuple(tables), figures, _findings(cases))


def answered(row: Row) -> float | None:
    """The profit of a policy's prices whether or not its answer is allowed."""
    profit: float | None = row["profit"] if row["profit"] is not None else row["lower_bound"]
    return profit


def _forgone(case: Case, row: Row) -> tuple[float | None, float | None]:
    """[least, largest] profit that the policy forgoes against the best."""
    profit = answered(row)
    if profit is None or case.lower is None:
        return None, None
    return case.lower - profit, None if case.upper is None else case.upper - profit


def _policy_table(cases: Sequence[Case]) -> Table:
    head = columns(
        "game", "policy", ("profit", "money"), ("forgone at least", "money"), ("at most", "money"),
        ("share of the certified profit", "percent"), "allowed",
    )  # fmt: skip
    rows = []
    for case in cases:
        for row in case.of("policy"):
            low, high = _forgone(case, row)
            share = None if low is None or not case.lower else low / abs(case.lower)
            word = (
                "yes" if row["lower_bound"] is not None else f"no ({row['failed_checks'].replace(';', ', ')})"
            )
            rows.append([case.name, POLICY_NAMES[row["policy"]], answered(row), low, high, share, word])
    note = "Allowed: the judge found nothing against the answer; a policy may overload stations, which is its fault."
    return Table("policies", "Naive policies", head, rows_of(rows), note)


def _ties_table(cases: Sequence[Case]) -> Table:
    head = columns(
        "game", ("optimistic", "money"), ("pessimistic, found", "money"), ("pessimistic, bound", "money"),
        ("rests on ties at least", "percent"), ("at most", "percent"),
    )  # fmt: skip
    rows = []
    for case in cases:
        for row in case.of("exact"):
            rows.append(
                [
                    case.name, row["lower_bound"], row["pessimistic_found"], row["pessimistic_bound"],
                    _tie_share(row, "pessimistic_found"), _tie_share(row, "pessimistic_bound"),
                ]
            )  # fmt: skip
    note = "Worst of the followers' answers to the same prices: the worst one found, and what none can fall below."
    return Table("ties", "What of the certified profit rests on ties", head, rows_of(rows), note)


def _tie_share(row: Row, column: str) -> float | None:
    best, worst = row["lower_bound"], row[column]
    return None if best is None or worst is None or best == 0.0 else (best - worst) / abs(best)


def _robust_table(cases: Sequence[Case]) -> Table:
    head = columns(
        "game", ("largest price change", "number", 4), ("profit", "money"), ("worst answer found", "money"),
        ("bound on it", "money"), ("rests on ties", "percent"), ("given up for certainty", "percent"),
    )  # fmt: skip
    rows = []
    for case in cases:
        base = case.exact
        for row in case.of("robust"):
            certain, best = row["pessimistic_found"], base and base["lower_bound"]
            given = (best - certain) / abs(best) if best and certain is not None else None
            rows.append(
                [
                    case.name, row["radius"], row["lower_bound"], certain, row["pessimistic_bound"],
                    _tie_share(row, "pessimistic_found"), given,
                ]
            )  # fmt: skip
    return Table("robust", "Robust prices near the certified ones", head, rows_of(rows))


def _policy_figure(cases: Sequence[Case], currency: str) -> Figure:
    figure, axes = panels(len(cases), height=2.2)
    for panel, case in zip(axes, cases, strict=True):
        rows = case.of("policy")
        names = [POLICY_NAMES[row["policy"]] for row in rows]
        for place, row in enumerate(rows):
            profit = answered(row)
            if profit is not None:
                marker = "o" if row["lower_bound"] is not None else "x"
                panel.plot([profit], [place], marker, color=SERIES[0].color, ms=6)
        if case.lower is not None:
            upper = case.lower if case.upper is None else case.upper
            panel.axvspan(
                case.lower, upper, color=SERIES[1].color, alpha=0.25, lw=0, label="certified interval"
            )
            panel.axvline(case.lower, color=SERIES[1].color, lw=1.4, label="certified profit")
        worst = None if case.exact is None else case.exact["pessimistic_found"]
        if worst is not None:
            panel.axvline(
                worst, color=SERIES[2].color, ls="--", lw=1.2, label="the same prices, worst answer found"
            )
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(-0.6, max(len(names), 1) - 0.4)
        panel.set_title(case.name, fontsize=9)
        panel.set_xlabel(currency)
    return finish(figure, axes)


def _robust_figure(cases: Sequence[Case]) -> Figure:
    figure, axes = panels(1, width=6.0, height=3.2)
    panel = axes[0]
    for number, case in enumerate(cases):
        base, style = case.exact, SERIES[number % len(SERIES)]
        rows = sorted(case.of("robust"), key=lambda row: row["radius"])
        best = base and base["lower_bound"]
        known = [row for row in rows if row["pessimistic_found"] is not None]
        if not best or not known:
            continue
        panel.plot(
            [row["radius"] for row in known],
            [100.0 * row["pessimistic_found"] / best for row in known],
            color=style.color, ls=style.line, marker=style.marker, ms=4, label=case.name,
        )  # fmt: skip
    panel.set_xscale("log")
    panel.set_xlabel("largest price change, money/kWh")
    panel.set_ylabel("worst answer found, % of the\ncertified (optimistic) profit")
    return finish(figure, axes)


def _findings(cases: Sequence[Case]) -> Findings:
    findings = Findings()
    for case in cases:
        rows = case.of("policy")
        allowed = [row for row in rows if row["lower_bound"] is not None]
        broken = [POLICY_NAMES[row["policy"]] for row in rows if row["lower_bound"] is None]
        best = max(allowed, key=lambda row: row["lower_bound"], default=None)
        if best is not None:
            low, high = _forgone(case, best)
            findings.say(
                "{name}: the best naive policy ({policy}) earns {profit}; anticipation is worth between {low} and"
                " {high}, at least {share} of what the policy earns.",
                name=case.name, policy=POLICY_NAMES[best["policy"]], profit=shown(best["lower_bound"], "money"),
                low=shown(low, "money"), high=shown(high, "money"),
                share=shown(None if low is None else low / max(abs(best["lower_bound"]), 1.0), "percent"),
            )  # fmt: skip
        if broken:
            findings.say(
                "{name}: {policies} can't be had: the drivers' answer overloads a station.",
                name=case.name,
                policies=joined(broken),
            )
        exact = case.exact
        if exact is not None and exact["pessimistic_found"] is not None:
            findings.say(
                "{name}: at the certified prices the worst answer found leaves {worst} of {best}, so at least {share}"
                " of the profit rests on ties; no answer leaves less than {bound}.",
                name=case.name, worst=shown(exact["pessimistic_found"], "money"),
                best=shown(exact["lower_bound"], "money"),
                share=shown(_tie_share(exact, "pessimistic_found"), "percent"),
                bound=shown(exact["pessimistic_bound"], "money"),
            )  # fmt: skip
        _robust_finding(findings, case)
    return findings


def _robust_finding(findings: Findings, case: Case) -> None:
    known = [row for row in case.of("robust") if row["pessimistic_found"] is not None]
    best = max(known, key=lambda row: row["pessimistic_found"], default=None)
    if best is None:
        return
    findings.say(
        "{name}: prices at most {radius} per kWh away earn {worst} under the worst answer found ({optimistic} under"
        " the best), {gap} below the certified bound: {share} of that profit rests on ties.",
        name=case.name, radius=shown(best["radius"], "number", 4), worst=shown(best["pessimistic_found"], "money"),
        optimistic=shown(best["lower_bound"], "money"), gap=shown(case.gap_of(best["pessimistic_found"]), "percent"),
        share=shown(_tie_share(best, "pessimistic_found"), "percent"),
    )  # fmt: skip
