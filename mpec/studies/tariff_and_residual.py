"""Study 1: what the tariff and the residual flow do to the profit (the paper's Tab 1, Tab 2, Figs 5 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mpec.studies import paper
from mpec.studies.cases import Case, cases_of, curves_of
from mpec.studies.comparisons import Pair, change_findings, difference_claim, spread_claims, spread_findings
from mpec.studies.drawing import convergence_figure, prices_figure
from mpec.studies.findings import Findings
from mpec.studies.plain import results_table
from mpec.studies.products import Products
from mpec.studies.rows import Material, Row
from mpec.studies.study_file import Study
from mpec.studies.typesetting import Table, columns, rows_of


def products(study: Study, material: Material) -> Products:
    """Cases in the order of the file: with tariff = [fixed, dlmp], xi = [0, 0.5] the paper's 1 to 4."""
    order = list(dict.fromkeys(run.case["tariff"] + f"{run.case['xi']:g}" for run in study.runs))
    currency = study.runs[0].game.currency

    def name(row: Row) -> str:
        number = order.index(row["tariff"] + f"{row['xi']:g}") + 1
        return f"case {number}: {row['tariff']}, ξ = {row['xi']:g}"

    cases = cases_of(material, name)
    figures = {
        "convergence": (
            convergence_figure(material, cases, currency),
            "The heuristic's best profit by iteration, under the certified bound (the paper's Fig 5)",
        )
    }
    for case in cases:
        exact = case.exact
        drawn = None if exact is None else prices_figure(material, _shown(case, exact), currency)
        if drawn is not None:
            tag = f"prices-{case.value('tariff')}-xi{case.value('xi'):g}".replace(".", "_")
            figures[tag] = (drawn, f"Prices by station and period, {case.name} (the paper's Fig 6)")
    tables = (
        _cases_table(cases),
        results_table("results", "Profit of the cases (the paper's Tab 2)", cases),
        _prices_table(material, cases),
    )
    return Products("Tariff and residual flow", tables, figures, _findings(material, cases))


def _shown(case: Case, exact: Row) -> list[tuple[str, Row]]:
    found = [row for row in case.of("heuristic") if row["lower_bound"] is not None]
    best = max(found, key=lambda row: row["lower_bound"], default=None)
    return [("exact", exact)] + ([] if best is None else [("heuristic", best)])


def _cases_table(cases: Sequence[Case]) -> Table:
    head = columns("case", "electricity tariff", ("ξ", "number"), ("κ", "number"), "periods")
    rows = [
        [
            case.name.split(":")[0],
            case.value("tariff"),
            case.value("xi"),
            case.value("kappa"),
            f"{case.value('first_period')}–{case.value('last_period')}",
        ]
        for case in cases
    ]
    return Table("cases", "The cases (the paper's Tab 1)", head, rows_of(rows))


def _prices_table(material: Material, cases: Sequence[Case]) -> Table:
    """What is charged and paid on average over what is sold."""
    head = columns(
        "case",
        ("energy sold, kWh", "count"),
        ("charging price", "number", 4),
        ("electricity price", "number", 4),
    )
    rows = []
    for case in cases:
        exact = case.exact
        lines = [] if exact is None else [p for p in material.prices if p["run"] == exact["run"]]
        load = sum(p["load_kw"] for p in lines)
        means = [
            sum(p[column] * p["load_kw"] for p in lines) / load if load else None
            for column in ("charging_price", "electricity_price")
        ]
        rows.append([case.name, exact and exact["energy_sold_kwh"], *means])
    return Table("prices", "Average prices per kWh sold at the certified point", head, rows_of(rows))


def _findings(material: Material, cases: Sequence[Case]) -> Findings:
    findings = Findings()
    tariffs = list(dict.fromkeys(case.value("tariff") for case in cases))
    shares = list(dict.fromkeys(case.value("xi") for case in cases))
    at = {(case.value("tariff"), case.value("xi")): case for case in cases}
    by_tariff = [
        Pair(f"tariff {a} to {b} at ξ = {xi:g}", at[a, xi], at[b, xi])
        for a, b in pairwise(tariffs)
        for xi in shares
        if (a, xi) in at and (b, xi) in at
    ]
    by_residual = [
        Pair(f"ξ = {a:g} to {b:g}, tariff {tariff}", at[tariff, a], at[tariff, b])
        for a, b in pairwise(shares)
        for tariff in tariffs
        if (tariff, a) in at and (tariff, b) in at
    ]
    change_findings(findings, [*by_tariff, *by_residual])
    spread_findings(findings, cases, [curves_of(material, case.of("heuristic")) for case in cases])
    difference_claim(findings, "The electricity tariff changes the operator's profit", by_tariff)
    difference_claim(findings, "Residual flow changes the operator's profit", by_residual)
    difference_claim(
        findings,
        "The cases differ by {least} to {most}",
        [*by_tariff, *by_residual],
        within=paper.DIFFERENCES,
    )
    spread_claims(findings, [*by_tariff, *by_residual])
    return findings
