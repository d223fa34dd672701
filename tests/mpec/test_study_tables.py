"""What a study publishes: tables in both forms, figures, findings whose numbers all come from the rows."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mpec.studies.cases import cases_of
from mpec.studies.comparisons import Pair, difference_claim, spread_claims
from mpec.studies.findings import Findings, joined
from mpec.studies.optimality_gaps import budgets_of, common_budget
from mpec.studies.publication import MARK, products_of, publish_study
from mpec.studies.rows import COLUMNS, Material, csv_text, with_certified
from mpec.studies.statistics import compare, flatness, relative_change, sd_interval, sd_ratio, spread
from mpec.studies.study_file import Study, read_study
from mpec.studies.typesetting import Column, Table, latex, markdown, shown

ROOT = Path(__file__).resolve().parents[2]


def row(method: str, lower: float | None, upper: float | None = None, **other: Any) -> dict[str, Any]:
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {
        "run": f"{method}-{other}", "block": method, "method": method, "instance": "ieee33-road16",
        "tariff": "dlmp", "xi": 0.5, "kappa": 100.0, "first_period": 2, "last_period": 3, "seed": 0,
        "population": 10, "iterations": 20, "start": "middle", "verdict": "EQUILIBRIUM", "failed_checks": "",
        "profit": lower, "lower_bound": lower, "upper_bound": upper, "energy_sold_kwh": 1234.0, "seconds": 1.0,
    }  # fmt: skip
    return values | other


def material(*rows: dict[str, Any]) -> Material:
    known = with_certified(rows)
    searched = [r for r in known if r["method"] == "heuristic"]
    curves = [
        {"run": r["run"], "iteration": i, "best": r["lower_bound"], "mean": -5.0}
        for r in searched
        for i in (1, 2, 3)
    ]
    prices = [
        {
            "run": r["run"],
            "station": "A",
            "period": t,
            "charging_price": 1.1,
            "electricity_price": 0.4,
            "load_kw": 9.0,
        }
        for r in known
        for t in (2, 3)
    ]
    return Material(known, curves, [], prices)


def study_rows(name: str) -> list[dict[str, Any]]:
    """Invented rows for each of the four studies' quick forms."""
    if name == "tariff-and-residual":
        games = [{"tariff": t, "xi": x} for t in ("fixed", "dlmp") for x in (0.0, 0.5)]
    elif name == "kappa-xi":
        games = [{"kappa": k, "xi": x} for k in (100.0, 150.0) for x in (0.6, 0.5)]
    elif name == "optimality-gaps":
        games = [{"first_period": 2, "last_period": last} for last in (2, 3, 4)]
    else:
        games = [{"tariff": t} for t in ("fixed", "dlmp")]
    rows = []
    for number, game in enumerate(games):
        level = 1000.0 * (1.0 + 0.07 * number)
        ties = {"pessimistic_found": level - 31.25, "pessimistic_bound": level - 32.5}
        rows.append(row("exact", level, level + 4.375, **game, **ties))
        if name == "value-of-anticipation":
            rows.append(row("policy", level - 77.125, policy="flat", **game))
            rows.append(
                row("policy", None, policy="cost-plus", **game)
                | {"profit": level + 99.0, "failed_checks": "capacity"}
            )
            for radius in (0.003, 0.03):
                rows.append(
                    row("robust", level - 12.0, radius=radius, **game) | {"pessimistic_found": level - 12.5}
                )
        else:
            rows += [row("heuristic", level - 50.0 - 3.0 * s * s, seed=s, **game) for s in range(3)]
    if name == "kappa-xi":
        grid = [{"kappa": k, "xi": x, "first_period": 3} for k in (100.0, 200.0) for x in (0.5, 1.0)]
        rows += [row("exact", 500.0 + n, 500.5 + n, block="grid", **game) for n, game in enumerate(grid)]
    return rows


def study(name: str) -> Study:
    return read_study(ROOT / "results" / name / "study.toml", quick=True)


NAMES = ("tariff-and-residual", "kappa-xi", "optimality-gaps", "value-of-anticipation")


@pytest.mark.parametrize("name", NAMES)
def test_every_number_of_the_findings_follows_the_rows(name: str):
    """Profits times ten: every profit in the findings is then ten times as large, and no gap changes."""
    rows = study_rows(name)
    money = ("profit", "lower_bound", "upper_bound", "pessimistic_found", "pessimistic_bound")
    scaled = [r | {key: r[key] and 10.0 * r[key] for key in money} for r in rows]
    first = products_of(study(name), material(*rows)).findings
    second = products_of(study(name), material(*scaled)).findings
    assert len(first.sentences) >= 3
    # '1 070.00' is a profit (two digits behind the point, no sign behind them), '4.25 %' a share.
    number = re.compile(r"(?<![\d.])-?\d{1,3}(?: \d{3})*\.\d\d(?! ?%|\d)")
    seen = 0
    for a, b in zip(first.sentences, second.sentences, strict=True):
        before, after = ([float(v.replace(" ", "")) for v in number.findall(s)] for s in (a, b))
        assert after == pytest.approx([10.0 * v for v in before], rel=1e-4), (a, b)
        assert number.sub("", a) == number.sub("", b)
        seen += len(before)
    assert seen >= 2


def test_a_finding_with_a_number_of_its_own_is_refused():
    findings = Findings()
    findings.say("The profit is {profit}.", profit="12")
    assert findings.sentences == ["The profit is 12."]
    with pytest.raises(ValueError, match="not inserted"):
        findings.say("The profit is 12.")
    with pytest.raises(ValueError, match="not inserted"):
        findings.judge("It rises by 5 %", "{found}", "holds", found="so")


@pytest.mark.parametrize("name", NAMES)
def test_a_study_s_folder(name: str, tmp_path: Path):
    chosen, said = study(name), []
    publish_study(chosen, material(*study_rows(name)), tmp_path, said.append)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith(MARK)
    assert chosen.question in readme
    assert "Quick form" in readme
    for link in re.findall(r"\]\(([^)]+)\)", readme):
        assert (tmp_path / link).stat().st_size > 500 or link.endswith(".tex"), link
    tables = list(tmp_path.glob("tables/*.tex"))
    assert len(tables) >= 3
    for path in tables:
        text = path.read_text(encoding="utf-8")
        assert text.count("\\toprule") == text.count("\\midrule") == text.count("\\bottomrule") == 1
        width = len(re.findall(r"begin\{tabular\}\{([lr]+)\}", text)[0])
        body = text.split("\\toprule")[1].split("\\bottomrule")[0]
        for line in filter(lambda s: s.endswith("\\\\"), body.splitlines()):
            assert len(re.findall(r"(?<!\\)&", line)) == width - 1
        assert not re.search(r"(?<!\\)%", text.split("\n", 1)[1])
    for path in tmp_path.glob("figures/*.svg"):
        assert path.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "report.html").stat().st_size > 1000


def test_equal_rows_give_equal_files(tmp_path: Path):
    """Wherever the study's file lies and whatever it is called by: the page names the study, and no path."""
    chosen = study("optimality-gaps")
    elsewhere = tmp_path / "elsewhere" / "copy.toml"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(chosen.file.read_bytes())
    for folder, file in (("a", chosen.file), ("b", elsewhere)):
        called = replace(chosen, file=file)
        publish_study(called, material(*study_rows("optimality-gaps")), tmp_path / folder, lambda _: None)
    said = (tmp_path / "b" / "README.md").read_text(encoding="utf-8")
    assert "of optimality-gaps (`study.toml` beside this page)" in said
    assert "elsewhere" not in said
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*") if p.suffix != ".html"]
    assert len(names) >= 10
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_tables_are_typeset_twice():
    columns = (
        Column("case & more"),
        Column("profit", "money"),
        Column("gap", "percent"),
        Column("n", "count"),
    )
    table = Table("t", "κ at 5 %", columns, (("a_b", -1234.5, 0.01234, 12345), ("c|d", None, math.nan, None)))
    assert markdown(table).splitlines() == [
        "**κ at 5 %**",
        "",
        "| case & more | profit | gap | n |",
        "|---|---:|---:|---:|",
        "| a_b | -1 234.50 | 1.23 % | 12 345 |",
        "| c\\|d | – | – | – |",
    ]
    text = latex(table)
    assert r"\caption{$\kappa$ at 5 \%}" in text
    assert r"case \& more & profit & gap & n \\" in text
    assert r"a\_b & $-1\,234.50$ & 1.23\,\% & 12\,345 \\" in text
    assert r"c|d & -- & -- & -- \\" in text
    assert shown(-1e-9, "money") == "0.00"
    with pytest.raises(ValueError, match="1 cells under 4"):
        markdown(Table("t", "", columns, (("a",),)))


def test_csv_has_full_numbers_and_blanks():
    text = csv_text(("a", "b", "c", "d"), [{"a": 0.1 + 0.2, "b": None, "c": True, "d": math.inf}])
    assert text == "a,b,c,d\n0.30000000000000004,,true,\n"


def test_a_judged_profit_above_the_bound_refutes_it():
    rows = with_certified(
        [row("exact", 99.0, 100.0), row("heuristic", 101.0), row("heuristic", 90.0, tariff="fixed")]
    )
    assert [r["refuted"] for r in rows] == [False, True, False]
    assert rows[0]["optimality_gap"] == pytest.approx(0.01)
    assert rows[2]["certified_upper"] is None
    case = cases_of(Material(rows, [], [], []), lambda r: r["tariff"])[0]
    assert case.refuted
    assert case.upper is None


def pair(start: tuple[float, float], end: tuple[float, float]) -> Pair:
    known = with_certified([row("exact", *start), row("exact", *end, tariff="fixed")])
    first, second = cases_of(Material(known, [], [], []), lambda r: r["tariff"])
    return Pair("a to b", first, second)


@pytest.mark.parametrize(
    ("start", "end", "within", "verdict"),
    [
        ((100.0, 101.0), (110.0, 111.0), None, "holds"),
        ((100.0, 101.0), (100.5, 111.0), None, "can't be told"),
        ((100.0, 100.01), (100.0, 100.01), None, "does not hold"),
        ((100.0, 101.0), (109.0, 110.0), (0.05, 0.13), "holds"),
        ((100.0, 101.0), (102.0, 103.0), (0.05, 0.13), "does not hold"),
        ((100.0, 101.0), (130.0, 131.0), (0.05, 0.13), "does not hold"),
        ((100.0, 101.0), (103.0, 109.0), (0.05, 0.13), "can't be told"),
        ((100.0, 101.0), (92.0, 93.0), (0.05, 0.13), "holds"),
    ],
)
def test_a_claim_is_judged_by_what_the_intervals_allow(
    start: tuple[float, float], end: tuple[float, float], within: tuple[float, float] | None, verdict: str
):
    findings = Findings()
    claim = "They differ" if within is None else "They differ by {least} to {most}"
    difference_claim(findings, claim, [pair(start, end)], within=within)
    assert findings.claims[0].verdict == verdict


def test_differences_within_the_heuristic_s_spread_are_called_so():
    rows = [row("heuristic", 100.0 + 10.0 * s, seed=s) for s in range(5)]
    rows += [row("heuristic", 101.0 + 1.0 * s, seed=s, tariff="fixed") for s in range(5)]
    first, second = cases_of(Material(with_certified(rows), [], [], []), lambda r: r["tariff"])
    findings = Findings()
    spread_claims(findings, [Pair("a to b", second, first)])
    near, ratio = findings.claims
    assert near.verdict == "holds"  # 140 - 105 against (15.8 + 1.58) / 2: four standard deviations
    assert ratio.verdict == "holds"
    assert "ratio 10" in ratio.found
    findings = Findings()
    spread_claims(findings, [Pair("a to a", first, first)])
    assert [c.verdict for c in findings.claims] == ["does not hold", "can't be told"]


def test_statistics():
    found = spread([1.0, 2.0, 3.0, 4.0])
    assert found is not None
    assert (found.best, found.mean, found.worst, found.n) == (4.0, 2.5, 1.0, 4)
    assert found.sd == pytest.approx(math.sqrt(5.0 / 3.0))
    assert spread([]) is None
    # Chi squared at 0.025 and 0.975, 9 degrees of freedom: 2.70039, 19.0228 (any table).
    values = [float(v) for v in range(10)]
    low, high = sd_interval(values) or (0.0, 0.0)
    assert low == pytest.approx(math.sqrt(82.5 / 19.0228), rel=1e-5)
    assert high == pytest.approx(math.sqrt(82.5 / 2.70039), rel=1e-5)
    # F at 0.975 with 9 and 9 degrees of freedom: 4.02599.
    ratio = sd_ratio([2.0 * v for v in values], values)
    assert ratio == pytest.approx((2.0, 2.0 / math.sqrt(4.02599), 2.0 * math.sqrt(4.02599)), rel=1e-5)
    assert sd_ratio(values, [1.0, 1.0]) is None
    assert flatness([1.0, 50.0, 99.0, 100.0, 100.0]) == 0.0
    assert flatness([None, 90.0, 90.0, 90.0, 100.0]) == pytest.approx(0.1)
    assert flatness([None, None]) is None
    assert compare((3.0, 4.0), (1.0, 2.0)) == "above"
    assert compare((1.0, 2.0), (3.0, None)) == "below"
    assert compare((1.0, 3.0), (2.0, 4.0)) == "overlap"
    assert compare((1.0, None), (2.0, 4.0)) == "unknown"
    assert relative_change((100.0, 110.0), (120.0, 130.0)) == pytest.approx((10.0 / 110.0, 0.3))
    assert relative_change((-1.0, 1.0), (2.0, 3.0)) is None
    assert joined(["a", "b", "c"]) == "a, b and c"


def test_budgets_are_grouped_and_the_common_one_found():
    rows = [row("exact", 99.0, 100.0)]
    rows += [row("heuristic", 90.0 + s, seed=s, population=p) for p in (5, 10) for s in range(2)]
    rows += [row("heuristic", None, seed=9, population=5)]
    rows += [row("exact", 9.0, 10.0, last_period=2), row("heuristic", 8.0, last_period=2)]
    cases = cases_of(Material(with_certified(rows), [], [], []), lambda r: str(r["last_period"]))
    small, large = budgets_of(cases[0])
    assert small.gaps == pytest.approx((0.10, 0.09))
    assert (small.failed, large.failed) == (1, 0)
    assert common_budget({case.game: budgets_of(case) for case in cases}) == (10, 20)


@pytest.mark.parametrize("value", [60.06, 0.1, 0.7, 1.0 / 3.0, 126.40000000000002])
def test_the_mean_lies_between_worst_and_best(value: float) -> None:
    """Of equal numbers, too, whose mean floating point puts beyond them: error bars have no negative length."""
    for count in (3, 6, 7):
        found = spread([value] * count)
        assert found is not None
        assert found.worst <= found.mean <= found.best
