"""Study 3: how far the heuristic stays from the certified bound, by budget and by dimension."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mpec.figures import SERIES
from mpec.studies import paper
from mpec.studies.cases import Case, cases_of, periods_text
from mpec.studies.drawing import finish, panels
from mpec.studies.findings import Findings, joined
from mpec.studies.plain import results_table
from mpec.studies.products import Products
from mpec.studies.rows import Material
from mpec.studies.statistics import Spread, spread
from mpec.studies.study_file import Study
from mpec.studies.typesetting import Table, columns, rows_of, shown


@dataclass(frozen=True)
class Budget:
    """Runs of one game with one population, number of iterations and start: their gaps to the certified bound."""

    case: Case
    population: int
    iterations: int
    start: str
    gaps: tuple[float, ...]
    failed: int

    @property
    def evaluations(self) -> int:
        return self.population * self.iterations

    @property
    def spread(self) -> Spread | None:
        """Of the gaps; its ``worst`` is the least gap and its ``best`` the largest."""
        return spread(self.gaps)


def products(study: Study, material: Material) -> Products:
    """The game with the most budgets shows the budget's effect, all games at their common one the dimension's."""
    cases = cases_of(material, lambda row: periods_text(row))
    budgets = [budget for case in cases for budget in budgets_of(case)]
    of_case = {case.game: [b for b in budgets if b.case is case] for case in cases}
    main = max(cases, key=lambda case: len(of_case[case.game]))
    common = common_budget(of_case)
    by_dimension = sorted(
        (b for b in budgets if (b.population, b.iterations) == common),
        key=lambda b: (b.start, dimension(b.case)),
    )
    tables = (
        _budget_table("budgets", f"Optimality gap by budget, {main.name}", of_case[main.game]),
        _dimension_table(by_dimension),
        results_table("games", "The games, all heuristic runs of each", cases),
    )
    figures: dict[str, tuple[Figure, str]] = {
        "gap-by-budget": (
            budget_figure(of_case[main.game]),
            f"Gap to the certified bound by budget, {main.name}; bars: least to largest of the seeds",
        )
    }
    if len(by_dimension) > 1:
        figures["gap-by-dimension"] = (
            dimension_figure(by_dimension),
            f"Gap to the certified bound by horizon, population {common[0]}, {common[1]} iterations",
        )
    return Products(
        "Optimality gaps of the heuristic", tables, figures, _findings(main, of_case[main.game], by_dimension)
    )


def budgets_of(case: Case) -> list[Budget]:
    """The case's budgets by evaluations."""
    groups: dict[tuple[int, int, str], list[float | None]] = {}
    for row in case.of("heuristic"):
        key = row["population"], row["iterations"], row["start"]
        groups.setdefault(key, []).append(row["lower_bound"])
    found = []
    for (population, iterations, start), profits in groups.items():
        gaps = [gap for gap in (case.gap_of(p) for p in profits) if gap is not None]
        failed = sum(p is None for p in profits)
        found.append(Budget(case, population, iterations, start, tuple(gaps), failed))
    return sorted(found, key=lambda b: (b.evaluations, b.population, b.start))


def dimension(case: Case) -> int:
    """The game's periods."""
    return int(case.value("last_period")) - int(case.value("first_period")) + 1


def common_budget(of_case: Mapping[tuple[object, ...], Sequence[Budget]]) -> tuple[int, int]:
    """The (population, iterations) that most games have; the larger one of equals."""
    count: dict[tuple[int, int], int] = {}
    for budgets in of_case.values():
        for budget in budgets:
            key = budget.population, budget.iterations
            count[key] = count.get(key, 0) + 1
    return max(count, key=lambda key: (count[key], key[0] * key[1]), default=(0, 0))


def _budget_table(name: str, title: str, budgets: Sequence[Budget]) -> Table:
    head = columns(
        "start", ("population", "count"), ("iterations", "count"), ("evaluations", "count"), ("seeds", "count"),
        ("least gap", "percent"), ("mean gap", "percent"), ("SD", "percent"), ("largest gap", "percent"),
        ("without allowed prices", "count"),
    )  # fmt: skip
    return Table(
        name, title, head, rows_of([[b.start, b.population, b.iterations, *_figures(b)] for b in budgets])
    )


def _figures(budget: Budget) -> list[object]:
    s = budget.spread
    known = [None] * 4 if s is None else [s.worst, s.mean, s.sd, s.best]
    return [budget.evaluations, len(budget.gaps) + budget.failed, *known, budget.failed]


def _dimension_table(budgets: Sequence[Budget]) -> Table:
    head = columns(
        "start", "horizon", ("periods", "count"), ("certified interval", "percent"), ("evaluations", "count"),
        ("seeds", "count"), ("least gap", "percent"), ("mean gap", "percent"), ("SD", "percent"),
        ("largest gap", "percent"), ("without allowed prices", "count"),
    )  # fmt: skip
    rows = [[b.start, b.case.name, dimension(b.case), b.case.gap, *_figures(b)] for b in budgets]
    return Table("dimension", "Optimality gap by the length of the horizon", head, rows_of(rows))


def budget_figure(budgets: Sequence[Budget]) -> Figure:
    """Mean gap against evaluations, a line per population, bars from the least to the largest."""
    figure, axes = panels(1, width=6.0, height=3.4)
    panel = axes[0]
    for number, (start, population) in enumerate(sorted({(b.start, b.population) for b in budgets})):
        own = [b for b in budgets if (b.start, b.population) == (start, population) and b.gaps]
        _gap_line(panel, [b.evaluations for b in own], own, number, f"population {population}, start {start}")
    panel.set_xscale("log")
    ticks = sorted({b.evaluations for b in budgets})
    panel.set_xticks(ticks, [shown(tick, "count") for tick in ticks], rotation=45)
    panel.xaxis.set_minor_locator(NullLocator())
    panel.set_xlabel("price vectors evaluated")
    _gap_axis(panel, budgets)
    return finish(figure, axes)


def dimension_figure(budgets: Sequence[Budget]) -> Figure:
    """Mean gap against periods, with what of it may be the bound's own."""
    figure, axes = panels(1, width=6.0, height=3.4)
    panel = axes[0]
    for number, start in enumerate(sorted({b.start for b in budgets})):
        known = [b for b in budgets if b.gaps and b.start == start]
        _gap_line(panel, [dimension(b.case) for b in known], known, number, f"heuristic, start {start}")
    widths = sorted({(dimension(b.case), 100.0 * b.case.gap) for b in budgets if b.case.gap is not None})
    panel.plot(
        [periods for periods, _ in widths], [width for _, width in widths], color=SERIES[2].color,
        ls=SERIES[2].line, marker=SERIES[2].marker, ms=4, label="width of the certified interval",
    )  # fmt: skip
    panel.set_xticks(sorted({dimension(b.case) for b in budgets}))
    panel.set_xlabel("periods")
    _gap_axis(panel, budgets)
    return finish(figure, axes)


def _gap_line(panel: Axes, x: Sequence[float], budgets: Sequence[Budget], number: int, label: str) -> None:
    style = SERIES[number % len(SERIES)]
    spreads = [s for s in (b.spread for b in budgets) if s is not None]
    if not spreads:
        return
    mean = [100.0 * s.mean for s in spreads]
    below = [100.0 * (s.mean - s.worst) for s in spreads]
    above = [100.0 * (s.best - s.mean) for s in spreads]
    panel.errorbar(
        x, mean, yerr=[below, above], color=style.color, ls=style.line, marker=style.marker, ms=4, lw=1.4,
        capsize=3, elinewidth=0.9, label=label,
    )  # fmt: skip


def _gap_axis(panel: Axes, budgets: Sequence[Budget]) -> None:
    panel.axhline(100.0 * paper.WITHIN, color="0.35", ls=(0, (1, 3)), lw=1.2, label="the aim")
    panel.set_ylabel("gap to the certified bound, %")
    least = min((gap for b in budgets for gap in b.gaps), default=1.0)
    if least > 0.0 and math.isfinite(least):
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _findings(main: Case, budgets: Sequence[Budget], by_dimension: Sequence[Budget]) -> Findings:
    findings = Findings()
    findings.say(
        "{name}: the certified interval is [{lower}, {upper}], {gap} wide; no gap below that width can be told"
        " from the bound's own error.",
        name=main.name,
        lower=shown(main.lower, "money"),
        upper=shown(main.upper, "money"),
        gap=shown(main.gap, "percent"),
    )
    for start in sorted({b.start for b in budgets}):
        _reach_findings(findings, start, [b for b in budgets if b.start == start])
    for start in sorted({b.start for b in by_dimension}):
        _dimension_findings(findings, start, [b for b in by_dimension if b.start == start])
    wide = {b.case.name for b in by_dimension if b.case.gap is not None and b.case.gap > paper.WITHIN}
    if wide:
        findings.say(
            "On {names} the certified interval itself is wider than {aim}: there the heuristic may be better than"
            " its gap says.",
            names=joined([name for name in dict.fromkeys(b.case.name for b in by_dimension) if name in wide]),
            aim=_AIM,
        )
    return findings


_AIM = shown(paper.WITHIN, "percent", 0)


def _reach_findings(findings: Findings, start: str, budgets: Sequence[Budget]) -> None:
    """From which budget on the gap is within the aim: for the mean, the best and every seed."""
    reach: tuple[tuple[str, Callable[[Spread], float]], ...] = (
        ("in the mean over its seeds", lambda s: s.mean),
        ("with its best seed", lambda s: s.worst),
        ("with every seed", lambda s: s.best),
    )
    most = shown(max(b.evaluations for b in budgets), "count")
    missed = []
    for word, gap in reach:
        within = [b for b in budgets if b.spread and not b.failed and gap(b.spread) <= paper.WITHIN]
        if not within:
            missed.append(word)
            continue
        first = within[0]
        findings.say(
            "Start {start}: the heuristic comes within {aim} {word} from {n} evaluations on (population {p}, {i}"
            " iterations).",
            start=start, aim=_AIM, word=word, n=shown(first.evaluations, "count"), p=first.population,
            i=first.iterations,
        )  # fmt: skip
    if missed:
        least = min((gap for b in budgets for gap in b.gaps), default=None)
        findings.say(
            "Start {start}: no budget tried (up to {n} evaluations) brings the heuristic within {aim} {words}; the"
            " least gap of any run is {least}.",
            start=start, n=most, aim=_AIM, words=joined(missed), least=shown(least, "percent"),
        )  # fmt: skip


def _dimension_findings(findings: Findings, start: str, budgets: Sequence[Budget]) -> None:
    known = [(b, s) for b, s in ((b, b.spread) for b in budgets) if s is not None]
    if len(known) > 1:
        (first, a), (last, z) = known[0], known[-1]
        findings.say(
            "Start {start}: from {m} to {n} periods at the same budget ({e} evaluations) the mean gap goes from {a}"
            " to {z}.",
            start=start, m=dimension(first.case), n=dimension(last.case), e=shown(first.evaluations, "count"),
            a=shown(a.mean, "percent"), z=shown(z.mean, "percent"),
        )  # fmt: skip
    for budget in budgets:
        if budget.failed:
            findings.say(
                "Start {start}, {name}: {failed} of {n} runs found no prices that keep the stations' limits.",
                start=start, name=budget.case.name, failed=budget.failed, n=budget.failed + len(budget.gaps),
            )  # fmt: skip
