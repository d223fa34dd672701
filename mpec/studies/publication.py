"""Everything of a study's folder that follows from its runs: CSV files, tables, figures, README, page.

rows.csv curves.csv bounds.csv prices.csv   tidy data (mpec.studies.rows)
tables/NAME.md, NAME.tex                    LaTeX needs booktabs
figures/NAME.svg, NAME.pdf
README.md                                   the findings, every number inserted
report.html                                 one self-contained page
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mpec.certificate import versions
from mpec.storage import ResultError, write_file
from mpec.studies.drawing import save
from mpec.studies.plain import plain_products
from mpec.studies.products import Products
from mpec.studies.rows import Material, files_of
from mpec.studies.study_file import Study
from mpec.studies.typesetting import latex, markdown
from mpec.wording import span

MARK = "<!-- Made by `mpec study`. Changes by hand are lost when the study is run again. -->"

_HOMES = {
    "tariff-and-residual": "mpec.studies.tariff_and_residual",
    "kappa-xi": "mpec.studies.kappa_xi",
    "optimality-gaps": "mpec.studies.optimality_gaps",
    "value-of-anticipation": "mpec.studies.value_of_anticipation",
}


def products_of(study: Study, material: Material) -> Products:
    """Tables, figures and findings of the study's own analysis (the plain one where it names none)."""
    if not study.analysis:
        return plain_products(study, material)
    analyse: Callable[[Study, Material], Products] = import_module(_HOMES[study.analysis]).products
    return analyse(study, material)


def publish_study(study: Study, material: Material, out: Path, say: Callable[[str], None]) -> None:
    """Write all files into ``out``. Raises ResultError where one can't be written."""
    products = products_of(study, material)
    try:
        for name in ("tables", "figures"):
            shutil.rmtree(out / name, ignore_errors=True)
            (out / name).mkdir(parents=True)
        for table in products.tables:
            write_file(out / "tables" / f"{table.name}.md", markdown(table))
            write_file(out / "tables" / f"{table.name}.tex", latex(table))
        for name, (figure, _) in products.figures.items():
            save(figure, out / "figures", name)
        copy = out / "study.toml"
        if not (copy.exists() and copy.samefile(study.file)):
            write_file(copy, study.file.read_bytes())
    except OSError as error:
        raise ResultError(
            out, f"can't be written ({error.strerror or error})", "Free space on the disk, then --resume."
        ) from error
    for name, text in files_of(material).items():
        write_file(out / name, text)
    write_file(out / "README.md", readme(study, material, products))
    _page(out, say)


def _page(out: Path, say: Callable[[str], None]) -> None:
    from mpec.report import write_report

    say(f"page: {write_report(out)}")


def readme(study: Study, material: Material, products: Products) -> str:
    """The findings as Markdown; all numbers come from the rows."""
    rows, findings = material.rows, products.findings
    lines = [MARK, f"# {products.title}", "", study.question, ""]
    if study.quick:
        lines += [
            "**Quick form**: shortened games and budgets; it shows that the study runs, not what it finds.",
            "",
        ]
    refuted = [row["run"] for row in rows if row["refuted"]]
    if refuted:
        lines += [
            f"**A bound is false**: judged profits exceed it ({', '.join(refuted)}). It is not used; please report.",
            "",
        ]
    lines += ["## Findings", "", *(f"* {sentence}" for sentence in findings.sentences), ""]
    if findings.claims:
        lines += [
            "## The paper's claims, on this instance",
            "",
            "| claim | found here | verdict |",
            "|---|---|---|",
        ]
        lines += [f"| {c.claim} | {c.found} | **{c.verdict}** |" for c in findings.claims] + [""]
    lines += ["## Tables", ""]
    for table in products.tables:
        lines += [markdown(table).rstrip(), "", f"([LaTeX](tables/{table.name}.tex))", ""]
    if products.figures:
        lines += ["## Figures", ""]
        for name, (_, caption) in products.figures.items():
            lines += [f"![{caption}](figures/{name}.svg)", "", f"{caption} ([PDF](figures/{name}.pdf))", ""]
    total = sum(float(row["seconds"] or 0.0) for row in rows)
    quick = " --quick" if study.quick else ""
    verdicts = {
        verdict: sum(row["verdict"] == verdict for row in rows)
        for verdict in dict.fromkeys(r["verdict"] for r in rows)
    }
    lines += [
        "## How it was made",
        "",
        f"`mpec study{quick}` of {study.name} (`study.toml` beside this page); {len(rows)} runs"
        f" ({', '.join(f'{count} {verdict}' for verdict, count in verdicts.items())}), {span(total)} of solving in"
        " all; runs end by iterations, sweeps and gaps. `rows.csv` has every number above; profits are in the"
        " instance's currency over its periods; a gap is (upper bound - profit) / upper bound.",
        f"Versions: {', '.join(f'{name} {version}' for name, version in versions().items())}.",
    ]
    return "\n".join(lines) + "\n"
