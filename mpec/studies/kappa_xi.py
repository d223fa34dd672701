"""Study 2: what the value of time and the share of residual flow do (the paper's Tab 3, Tab 4, Fig 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from matplotlib.figure import Figure

from mpec.studies import paper
from mpec.studies.cases import Case, cases_of, curves_of, periods_text
from mpec.studies.comparisons import Pair, change_findings, difference_claim, spread_claims, spread_findings
from mpec.studies.drawing import convergence_figure, finish, interval_bars, panels
from mpec.studies.findings import Findings
from mpec.studies.plain import results_table
from mpec.studies.products import Products
from mpec.studies.rows import Material, Row
from mpec.studies.study_file import Study
from mpec.studies.typesetting import Table, columns, rows_of, shown


def _name(row: Row) -> str:
    return f"κ = {row['kappa']:g}, ξ = {row['xi']:g}"


def products(study: Study, material: Material) -> Products:
    """Games with heuristic runs are the paper's cases; those without are the finer grid."""
    every = cases_of(material, _name)
    cases = [case for case in every if case.of("heuristic")]
    grid = [case for case in every if not case.of("heuristic")]
    currency = study.runs[0].game.currency
    tables = [_cases_table(cases), results_table("results", "Profit of the cases (the paper's Tab 4)", cases)]
    figures: dict[str, tuple[Figure, str]] = {}
    if cases:
        figures["convergence"] = (
            convergence_figure(material, cases, currency),
            "The heuristic's best profit by iteration, under the certified bound (the paper's Fig 7)",
        )
    findings = Findings()
    main = neighbours(cases)
    change_findings(findings, main)
    spread_findings(findings, cases, [curves_of(material, case.of("heuristic")) for case in cases])
    if grid:
        tables += [_grid_table(grid), _sensitivity_table(neighbours(grid))]
        figures["sensitivity"] = (
            _grid_figure(grid, currency),
            f"Certified intervals of the best profit over κ and ξ, {periods_text(grid[0].rows[0])}",
        )
        _grid_findings(findings, grid)
    by_kappa = [pair for pair in main if _moves(pair) == "kappa"]
    by_xi = [pair for pair in main if _moves(pair) == "xi"]
    difference_claim(findings, "The value of time κ changes the operator's profit", by_kappa)
    difference_claim(findings, "The share ξ of residual flow changes the operator's profit", by_xi)
    difference_claim(findings, "The cases differ by {least} to {most}", main, within=paper.DIFFERENCES)
    spread_claims(findings, main)
    return Products("Value of time and residual flow", tuple(tables), figures, findings)


def neighbours(cases: Sequence[Case]) -> list[Pair]:
    """Pairs of games that differ in one step of κ or of ξ and in nothing else."""
    at = {(case.value("kappa"), case.value("xi")): case for case in cases}
    kappas, shares = sorted({k for k, _ in at}), sorted({x for _, x in at})
    pairs = [
        Pair(f"κ = {a:g} to {b:g} at ξ = {xi:g}", at[a, xi], at[b, xi])
        for xi in shares
        for a, b in pairwise(kappas)
        if (a, xi) in at and (b, xi) in at
    ]
    pairs += [
        Pair(f"ξ = {a:g} to {b:g} at κ = {kappa:g}", at[kappa, a], at[kappa, b])
        for kappa in kappas
        for a, b in pairwise(shares)
        if (kappa, a) in at and (kappa, b) in at
    ]
    return pairs


def _moves(pair: Pair) -> str:
    return "kappa" if pair.start.value("kappa") != pair.end.value("kappa") else "xi"


def _cases_table(cases: Sequence[Case]) -> Table:
    head = columns("case", ("κ", "number"), ("ξ", "number"), "electricity tariff", "periods")
    rows = [
        [
            c.name,
            c.value("kappa"),
            c.value("xi"),
            c.value("tariff"),
            f"{c.value('first_period')}–{c.value('last_period')}",
        ]
        for c in cases
    ]
    return Table("cases", "The cases (the paper's Tab 3)", head, rows_of(rows))


def _grid_table(grid: Sequence[Case]) -> Table:
    head = columns(
        ("κ", "number"), ("ξ", "number"), ("certified lower", "money"), ("certified upper", "money"),
        ("interval", "percent"), "verdict",
    )  # fmt: skip
    rows = [
        [c.value("kappa"), c.value("xi"), c.lower, c.upper, c.gap, c.exact["verdict"] if c.exact else None]
        for c in grid
    ]
    return Table(
        "grid", f"Certified intervals on the finer grid, {periods_text(grid[0].rows[0])}", head, rows_of(rows)
    )


def _sensitivity_table(pairs: Sequence[Pair]) -> Table:
    """Relative change of the best profit from one grid point to the next, as far as it is certain."""
    words = {"above": "rises", "below": "falls", "overlap": "can't be told", "unknown": "can't be told"}
    head = columns("step", ("least change", "percent"), ("largest change", "percent"), "the best profit")
    rows = []
    for pair in pairs:
        low, high = pair.change or (None, None)
        rows.append([pair.name, low, high, words[pair.order]])
    return Table("sensitivity", "Certified change of the best profit from step to step", head, rows_of(rows))


def _grid_figure(grid: Sequence[Case], currency: str) -> Figure:
    figure, axes = panels(2, width=3.6, height=2.9)
    kappas = sorted({c.value("kappa") for c in grid})
    shares = sorted({c.value("xi") for c in grid})
    lines: list[tuple[int, str, str, list[float], str, float]] = [
        (0, "kappa", "κ, money/h", kappas, "xi", xi) for xi in shares
    ]
    lines += [(1, "xi", "ξ", shares, "kappa", kappa) for kappa in kappas]
    width = {0: _step(kappas), 1: _step(shares)}
    count = [0, 0]
    for place, across, label, values, fixed, level in lines:
        own = [c for v in values for c in grid if c.value(across) == v and c.value(fixed) == level]
        # A little aside of each other, so that intervals of the same place can be told apart.
        aside = 0.06 * width[place] * count[place]
        sign = "ξ" if fixed == "xi" else "κ"
        interval_bars(
            axes[place],
            [c.value(across) + aside for c in own],
            [c.interval for c in own],
            count[place],
            f"{sign} = {level:g}",
        )
        axes[place].set_xlabel(label)
        axes[place].set_ylabel(currency)
        count[place] += 1
    return finish(figure, axes)


def _step(values: Sequence[float]) -> float:
    return min((b - a for a, b in pairwise(values)), default=1.0)


def _grid_findings(findings: Findings, grid: Sequence[Case]) -> None:
    pairs = neighbours(grid)
    findings.say(
        "On the finer grid of {n} games the horizon is {periods}; the widest certified interval is {gap}.",
        n=len(grid),
        periods=periods_text(grid[0].rows[0]),
        gap=shown(max((c.gap for c in grid if c.gap is not None), default=None), "percent"),
    )
    names: dict[str, Callable[[Pair], bool]] = {
        "κ": lambda pair: _moves(pair) == "kappa",
        "ξ": lambda pair: _moves(pair) == "xi",
    }
    for sign, chosen in names.items():
        own = [pair for pair in pairs if chosen(pair)]
        if own:
            findings.say(
                "Of {n} steps of {sign} on the grid the best profit rises for certain in {up}, falls in {down} and"
                " can't be told in {rest}.",
                n=len(own),
                sign=sign,
                up=sum(pair.order == "above" for pair in own),
                down=sum(pair.order == "below" for pair in own),
                rest=sum(pair.order not in ("above", "below") for pair in own),
            )
