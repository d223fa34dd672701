"""The bench of the certified day: what the page says of targets and growth follows from the rows alone; a solver's own
value is no lower bound."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import instances
from mpec import day_performance as bench
from mpec import day_performance_page as made
from mpec.bench_rows import Row, read_rows
from mpec.day_growth import growth_figure
from mpec.exact_minlp import Exact
from mpec.solvers import SolverMissing

BLANK = dict.fromkeys(bench.FIELDS, "")


def row(case: str, **values: object) -> Row:
    known = {"case": case, "tariff": "dlmp", "xi": "0.5", "hours": "24", "scenarios": "3", "seconds": "480"}
    return BLANK | known | {name: str(value) for name, value in values.items()}


def page_of(tmp_path: Path, *rows: Row) -> str:
    made.write_page(rows, tmp_path)
    return (tmp_path / "day.md").read_text(encoding="utf-8")


def part(page: str, title: str) -> str:
    return page.split(f"## {title}\n")[1].split("\n## ")[0]


def test_every_case_of_the_bench_is_a_game_of_the_bundled_day():
    sizes = {case: bench.game_of(case) for case in bench.CASES}
    assert {c: len(g.periods) for c, g in sizes.items() if c.startswith("hours")} == {
        "hours-6": 6, "hours-12": 12, "hours-48": 48,
    }  # fmt: skip
    assert {c: len(g.scenarios) for c, g in sizes.items() if c.startswith("scen")} == {
        "scenarios-1": 1, "scenarios-9": 9,
    }  # fmt: skip
    for case in (made.LONG, *bench.SIDE_BY_SIDE):
        assert (sizes[case].tariff_mode, sizes[case].users.xi) == ("dlmp", 0.5)


def test_a_target_is_reached_in_time_too_late_or_not_at_all(tmp_path: Path):
    page = page_of(
        tmp_path,
        row("fixed-0", to_target_s=239.6, gap=0.0009),
        row("dlmp-0", to_target_s=480.5, gap=0.0029),
        row("dlmp-0.5", to_target_s="", gap=0.0108),
    )
    fixed, free, residual = part(page, "The four days").strip().splitlines()[2:]
    assert fixed.endswith("| 0.1 % in 4 min | reached after 240 s |")
    assert free.endswith("| 0.3 % in 8 min | reached too late, after 480 s |")
    assert residual.endswith("| 1 % in 8 min | not reached |")


def test_parts_without_rows_are_left_out(tmp_path: Path):
    page = page_of(tmp_path, row("dlmp-0.5", lower=90.0, upper=100.0))
    assert "## The four days" in page
    for title in ("Side by side", "Growth", "Long runs", "Where the time went"):
        assert f"## {title}" not in page
    assert not list(tmp_path.glob("growth.*"))
    page = page_of(tmp_path, row(made.LONG, to_target_s=1700.0, phases="{'polish': 40.0, 'hours': 400.4}"))
    assert "| 0.2 % in 30 min | reached after 1700 s |" in part(page, "Long runs")
    # the largest phase first; 39.6 of 480 seconds are no phase's
    assert "| case | hours | polish | else |" in page
    assert "| dlmp-0.5-long | 400 | 40 | 40 |" in page


def test_side_by_side_measures_every_way_by_the_days_own_bound(tmp_path: Path):
    page = page_of(
        tmp_path,
        row("dlmp-0.5", lower=990.0, upper=1000.0, gap=0.01),
        row("monolithic", lower=800.0, upper=1600.0, gap=0.5),
        row("exact-minlp", upper=4000.0, phases="SCIP: timelimit"),
        row("heuristic", lower=950.0),
    )
    said = part(page, "Side by side")
    assert "| monolithic | 800.0 | 1 600.0 | 50 % | 20 % | 480 s |" in said
    assert "| exact-minlp | none | 4 000.0 | none | none | 480 s |" in said
    assert "| heuristic | 950.0 | none | none | 5 % | 480 s |" in said
    assert "| monolithic | 800.0 | 1 600.0 | 50 % | none |" in page_of(
        tmp_path, row("monolithic", lower=800.0, upper=1600.0, gap=0.5), row("heuristic", lower=950.0)
    )


def test_growth_is_the_exponent_of_what_was_reached(tmp_path: Path):
    """Seconds 2 h^1.5: the fit is 1.5. The case that missed its gap is said to have, and is no point."""
    rows = [
        row(case, hours=h, to_1_percent_s=2.0 * h**1.5, to_5_percent_s=3.0 * h, seconds=700)
        for case, h in (("hours-6", 6), ("hours-12", 12), ("dlmp-0.5", 24))
    ]
    missed = row("hours-48", hours=48, to_5_percent_s=144.0, seconds=481.3)
    page = page_of(tmp_path, *rows, missed)
    said = part(page, "Growth")
    assert (
        "Time to 1 % grows like hours^1.50 (least squares over 6, 12, 24 hours); 48 hours: not reached in 481 s"
        in said
    )
    assert "Time to 5 % grows like hours^1.00 (least squares over 6, 12, 24, 48 hours)." in said
    assert "| hours-48 | 48 | 3 | none | never | not reached in 481 s | 144 s |" in said
    assert "scenarios^" not in said
    assert {p.suffix for p in tmp_path.glob("growth.*")} == {".png", ".svg"}
    figure = growth_figure({r["case"]: r for r in [*rows, missed]}, ["hours"])
    (panel,) = figure.axes
    points = {len(line.get_xdata()): line for line in panel.lines if line.get_marker() not in ("", "None")}
    assert sorted(points) == [3, 4]
    assert max(points[3].get_xdata()) == 24.0
    assert panel.get_title() == "not reached: 1 % at 48 hours in 481 s"


def test_one_size_alone_has_no_exponent(tmp_path: Path):
    page = page_of(tmp_path, row("hours-6", hours=6, to_1_percent_s=9.0), row("hours-12", hours=12))
    assert (
        "Time to 1 % against hours: reached at 1 size(s), no exponent; 12 hours: not reached in 480 s."
        in page
    )


def test_what_scip_says_counts_only_as_far_as_the_followers_answer_earns_it():
    """SCIP's prices are answered: its own value, here a lie, appears nowhere."""
    game = instances.load("closed-form-price")
    top = np.array([[s.price_max] for s in game.stations])
    honest = bench.answered(game, Exact(1e9, 2e9, top, "timelimit", 1.0))
    assert honest is not None
    assert honest < 1e6
    assert bench.answered(game, Exact(None, 2e9, None, "timelimit", 1.0)) is None


def test_prices_that_break_a_stations_limit_earn_nothing():
    game = instances.load("closed-form-price")
    tight = replace(game, stations=tuple(replace(s, rated_kva=1e-3) for s in game.stations))
    cheap = np.array([[s.price_min] for s in tight.stations])
    assert bench.answered(game, Exact(5.0, 9.0, cheap, "timelimit", 1.0)) is not None
    assert bench.answered(tight, Exact(5.0, 9.0, cheap, "timelimit", 1.0)) is None


def test_the_exact_game_is_a_row_of_its_own():
    """Its bound is SCIP's, its lower value the followers': the closed form's optimum lies between."""
    pytest.importorskip("pyscipopt", reason="the exact MINLP needs SCIP (pip install 'evcs-mpec[scip]')")
    game = instances.load("closed-form-price")
    found = bench.run_case("exact-minlp", 20.0, game)
    ours = bench.run_case("dlmp-0.5", 20.0, game)
    assert set(found) <= set(bench.FIELDS)
    assert str(found["phases"]).startswith("SCIP: ")
    lower, upper, best = (float(str(v)) for v in (found["lower"], found["upper"], ours["lower"]))
    assert lower <= upper * (1 + 1e-6)
    assert lower == pytest.approx(best, rel=1e-3)
    assert ours["to_target_s"] == ours["to_1_percent_s"]


def test_cases_are_kept_run_again_or_without_their_solver_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    seen: list[tuple[str, float]] = []

    def measured(case: str, seconds: float) -> dict[str, object]:
        if case == "exact-minlp":
            raise SolverMissing("The exact MINLP needs SCIP; install it")
        seen.append((case, seconds))
        return dict.fromkeys(bench.FIELDS) | {"case": case, "hours": 24, "scenarios": 3, "seconds": len(seen)}

    monkeypatch.setattr(bench, "run_case", measured)
    command = ["heuristic", "exact-minlp", made.LONG, "--out", str(tmp_path)]
    bench.main(command)
    bench.main(command)
    bench.main(["heuristic", "--seconds", "7", "--again", "--out", str(tmp_path)])
    assert seen == [("heuristic", 480.0), (made.LONG, 1800.0), ("heuristic", 7.0)]
    rows = read_rows(tmp_path / "day.csv")
    assert [(r["case"], r["seconds"]) for r in rows] == [(made.LONG, "2"), ("heuristic", "3")]
    said = capsys.readouterr().out
    assert "exact-minlp: no row. The exact MINLP needs SCIP" in said
    assert "heuristic: has a row already" in said
    with pytest.raises(SystemExit):
        bench.main(["hours-7", "--out", str(tmp_path)])
    assert "no case 'hours-7'" in capsys.readouterr().err
