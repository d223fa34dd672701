"""The analysis of a study that names none: one table of all games."""

from __future__ import annotations

from mpec.studies.cases import Case, cases_of, periods_text
from mpec.studies.findings import Findings
from mpec.studies.products import Products
from mpec.studies.rows import Material, Row
from mpec.studies.study_file import Study
from mpec.studies.typesetting import Table, columns, rows_of, shown


def game_name(row: Row) -> str:
    """'ieee33-road16, dlmp, ξ = 0.5, κ = 100, periods 1–24'."""
    step = "" if row["price_step"] is None else f", price step {row['price_step']:g}"
    model = f"{row['tariff']}, ξ = {row['xi']:g}, κ = {row['kappa']:g}{step}"
    return f"{row['instance']}, {model}, {periods_text(row)}"


def plain_products(study: Study, material: Material) -> Products:
    """Every game with its certified interval and the heuristic's spread."""
    cases = cases_of(material, game_name)
    findings = Findings()
    for case in cases:
        findings.say(
            "{game}: the best profit lies in [{lower}, {upper}].",
            game=case.name,
            lower=shown(case.lower, "money"),
            upper=shown(case.upper, "money"),
        )
    return Products(study.name.replace("-", " "), (results_table("games", "All games", cases),), {}, findings)


def results_table(name: str, title: str, cases: list[Case]) -> Table:
    """The columns of the paper's tables (best, mean, SD) and the certified interval, a row per case."""
    head = columns(
        "case",
        ("heuristic best", "money"),
        ("mean", "money"),
        ("SD", "money"),
        ("seeds", "count"),
        ("certified lower", "money"),
        ("certified upper", "money"),
        ("interval", "percent"),
        ("gap of the best", "percent"),
        ("gap of the mean", "percent"),
        "verdict",
    )
    rows = []
    for case in cases:
        found, exact = case.heuristic, case.exact
        rows.append(
            [
                case.name,
                found and found.best,
                found and found.mean,
                found and found.sd,
                found.n if found else 0,
                case.lower,
                case.upper,
                case.gap,
                case.gap_of(found.best) if found else None,
                case.gap_of(found.mean) if found else None,
                "–" if exact is None else exact["verdict"],
            ]
        )
    note = (
        "Heuristic: judged profits over the seeds, sample standard deviation. Certified: the best judged profit"
        " of any run and the exact way's upper bound; the verdict is the exact way's."
    )
    return Table(name, title, head, rows_of(rows), note)
