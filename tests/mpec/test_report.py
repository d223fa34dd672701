"""The page as text: what it says, what it refuses, and that nothing in it reaches out or runs unasked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_folders import NASTY, answered, nasty_game, write_comparison, write_result, write_study

import instances
from mpec import overview
from mpec.cli import main
from mpec.followers.answer import follow
from mpec.followers.dispatch import DispatchSolver
from mpec.report import write_report
from mpec.report.markdown import markdown
from mpec.report.price_parts import price_parts
from mpec.report.sources import read_source
from mpec.report.verdicts import gap_of, upper_of
from mpec.storage import ResultError


class Page(HTMLParser):
    """Elements, texts (without scripts and styles) and downloads of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self._inside = ""
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._inside != "style":
            self.words.append(data)

    def data(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(next(text for kind, text in self.scripts if kind))
        return read

    def downloads(self) -> dict[str, bytes]:
        links = [at for tag, at in self.elements if tag == "a" and "download" in at]
        return {str(at["download"]): base64.b64decode(str(at["href"]).split(",", 1)[1]) for at in links}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_result(tmp_path_factory.mktemp("report") / "result")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_comparison(tmp_path_factory.mktemp("report") / "comparison")


# ---- what it says ------------------------------------------------------------------------------
def test_verdict_and_interval_stand_at_the_top(result: Path):
    page = Page(write_report(result))
    top = page.text[:1500]
    certificate = json.loads((result / "certificate.json").read_text())
    assert "EQUILIBRIUM" in top
    for name in ("lower_bound", "upper_bound"):
        assert f"{certificate[name]:,.2f}".replace(",", "\u202f") in top
    assert "not rechecked" in top
    assert page.text.index("EQUILIBRIUM") < page.text.index("Road map")


def test_every_check_is_there_with_its_value_and_tolerance(result: Path):
    page = Page(write_report(result))
    for check in json.loads((result / "certificate.json").read_text())["checks"]:
        assert check["name"] in page.text
    assert page.text.count("✔ passed") == len(json.loads((result / "certificate.json").read_text())["checks"])


def test_the_script_s_numbers_are_the_point_s(result: Path):
    """Every array that is drawn is the stored one, to the seven digits that are kept."""
    view = Page(write_report(result)).data()["results"][0]
    point = read_source(result).results[0].result.point
    assert point is not None
    for drawn, stored in (
        (view["prices"]["charging"], point.prices),
        (view["prices"]["load"], point.load_kw),
        (view["roads"]["flow"], point.road_flow),
        (view["roads"]["time_h"], point.road_time_h),
        (view["feeder"]["voltage"], point.voltage_pu),
        (view["feeder"]["active"], point.price_active),
        (view["feeder"]["line_kw"], point.line_kw),
        (view["feeder"]["shed_kw"], point.shed_kw),
    ):
        np.testing.assert_allclose(np.array(drawn, float), stored, rtol=1e-6, atol=1e-12)
    assert len(view["routes"]) == len(point.routes)


def test_the_tables_are_in_the_page_byte_for_byte(comparison: Path):
    links = [
        unescape(link)
        for link in re.findall(
            r'href="data:[^"]*" download="[^"]*">([^<]*)<', write_report(comparison).read_text()
        )
    ]
    assert {"comparison.csv", "exact/prices.csv", "heuristic/prices.csv", "exact/routes.csv"} <= set(links)
    downloads = Page(write_report(comparison)).downloads()
    assert downloads["comparison.csv"] == (comparison / "comparison.csv").read_bytes()
    assert downloads["buses.csv"] == (comparison / "heuristic" / "buses.csv").read_bytes()


def test_a_comparison_measures_the_heuristic_by_the_exact_bound(comparison: Path):
    page = Page(write_report(comparison))
    exact, heuristic = page.data()["results"]
    assert heuristic["convergence"]["upper_bound"] == exact["convergence"]["upper_bound"]
    assert "to the exact way's upper bound" in page.text
    assert heuristic["convergence"]["runs"][1][0] is None, "a run that had nothing yet has no number"


def test_a_profit_above_the_bound_is_told_and_no_gap_is_stated(tmp_path: Path):
    folder = write_comparison(tmp_path / "c")
    path = folder / "exact" / "certificate.json"
    certificate = json.loads(path.read_text())
    profit = json.loads((folder / "heuristic" / "certificate.json").read_text())["lower_bound"]
    path.write_text(json.dumps({**certificate, "upper_bound": profit - 1.0}))
    page = Page(write_report(folder))
    assert "that bound is false" in page.text
    assert gap_of(profit, profit - 1.0) is None


@pytest.mark.parametrize(
    "lie",
    [
        {"optimistic_profit": 1e6},
        {"optimistic_profit": None},
        {"verdict": "CERTIFIED"},
        {"checks": [{"name": "profit", "value": 1.0, "tolerance": 1e-9, "passed": False}]},
    ],
)
def test_a_certificate_that_can_t_be_right_is_told(lie: dict[str, Any], tmp_path: Path):
    folder = write_result(tmp_path / "r")
    path = folder / "certificate.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **lie}))
    text = Page(write_report(folder)).text
    assert text.index("Judge it afresh") < text.index("best profit")


def test_a_rejected_result_says_so_and_which_check_failed(tmp_path: Path):
    result = answered()
    assert result.point is not None
    lie = replace(result, point=replace(result.point, voltage_pu=result.point.voltage_pu + 1e-3))
    page = Page(write_report(write_result(tmp_path / "r", lie)))
    assert "REJECTED" in page.text[:400]
    assert "✘ FAILED" in page.text
    assert "no lower bound" in page.text


# ---- what is missing is said -------------------------------------------------------------------
def test_a_result_that_nobody_judged_says_so(tmp_path: Path):
    page = Page(write_report(write_result(tmp_path / "r", judged=False)))
    assert "NOT JUDGED" in page.text
    assert "mpec certify r" in page.text
    assert "EQUILIBRIUM" not in page.text


def test_a_result_without_a_point_draws_no_map(tmp_path: Path):
    empty = replace(answered(), point=None, status="no_point", lower_bound=None, reason="time ran out")
    page = Page(write_report(write_result(tmp_path / "r", empty)))
    assert "can't be drawn" in page.text
    assert "time ran out" in page.text
    assert page.data()["results"][0]["convergence"]["upper"], "the bounds are drawn all the same"
    assert not any(at.get("id") == "road-map" for _, at in page.elements)


def test_a_comparison_without_its_results_shows_what_there_is(tmp_path: Path, comparison: Path):
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "comparison.csv").write_bytes((comparison / "comparison.csv").read_bytes())
    (folder / "prices.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    page = Page(write_report(folder))
    assert "No result in exact/ and heuristic/" in page.text
    assert "no check can be shown" in page.text
    assert any(tag == "img" for tag, _ in page.elements)


def test_the_stored_comparison_of_the_repository_gives_a_page(tmp_path: Path):
    stored = Path(__file__).resolve().parents[2] / "results" / "morning"
    for path in stored.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    page = Page(write_report(tmp_path))
    assert "EQUILIBRIUM" in page.text


def test_a_study_shows_question_findings_tables_and_its_runs(tmp_path: Path):
    folder = write_study(tmp_path / "my-study")
    page = Page(write_report(folder))
    assert "Does <b>it</b> pay?" in page.text, "as text, not as markup"
    for words in ("What we found", "Table 1", "exact-1", "heuristic-1", "see the rows", "curve.svg"):
        assert words in page.text
    assert page.text.count("What we found") == 2, "as the document's and the page's title, not once more"
    drawn = [at["alt"] for tag, at in page.elements if tag == "img"]
    assert drawn == ["Both bounds"], "each figure once, none from outside"
    assert "The picture ../runs/x.svg is not in the folder." in page.text
    assert "made" not in page.text[:300]
    assert "broken: equilibrium.json: is not complete JSON" in page.text
    assert [view["label"] for view in page.data()["results"]] == ["exact-1", "heuristic-1"]
    source = read_source(folder)
    exact, heuristic = source.results
    assert upper_of(heuristic, source) == pytest.approx(upper_of(exact, source), rel=1e-12)


def test_a_study_that_has_only_begun_gives_a_page(tmp_path: Path):
    (tmp_path / "study.toml").write_text('question = "?"\n')
    assert "no result yet" in Page(write_report(tmp_path)).text


# ---- what it refuses ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "cause", "cure"),
    [
        (lambda path: None, "no such folder", "Give the folder"),
        (lambda path: path.write_text("x"), "is not a folder", "Give the folder"),
        (lambda path: path.mkdir(), "holds no result", "mpec solve"),
        (lambda path: (path.mkdir(), (path / "bounds.csv").write_text("x")), "ended before", "--resume"),
    ],
)
def test_a_wrong_folder_is_refused_with_cause_and_cure(
    make: Any, cause: str, cure: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make(tmp_path / "x")
    assert main(["report", str(tmp_path / "x")]) == 2
    said = capsys.readouterr().err
    assert cause in said
    assert cure in said
    assert not (tmp_path / "x" / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("certificate.json", '{"verdict": "SPLENDID", "checks": [], "big_m": [], "notes": []}'),
        ("certificate.json", '{"verdict": "CERTIFIED", "checks": 3, "big_m": [], "notes": []}'),
        ("certificate.json", '{"verdict": "CERTIFIED", "checks": [3], "big_m": [], "notes": []}'),
        ("certificate.json", '{"verdict": "CERT'),
        ("prices.csv", "station,period\n"),
        ("equilibrium.json", "[]"),
    ],
)
def test_a_damaged_file_is_named(file: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = write_result(tmp_path / "r")
    (folder / file).write_text(content)
    assert main(["report", str(folder)]) == 2
    assert file in capsys.readouterr().err


def test_a_folder_that_can_t_be_written_to_is_named(result: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mpec.storage._write", full)
    with pytest.raises(ResultError, match="No space left"):
        write_report(result)


def test_the_command_says_what_it_wrote(result: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["report", str(result), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["kind"] == "result"
    assert said["bytes"] == (result / "report.html").stat().st_size


# ---- nothing reaches out, nothing runs unasked ---------------------------------------------------
def test_no_address_leads_out_of_the_page(comparison: Path, tmp_path: Path):
    for folder in (comparison, write_study(tmp_path / "s")):
        page = Page(write_report(folder))
        for tag, attributes in page.elements:
            assert tag not in ("link", "iframe", "base", "form", "object", "embed"), tag
            for name in ("src", "href", "action", "srcset"):
                if attributes.get(name):
                    assert str(attributes[name]).startswith(("data:", "#")), (tag, attributes[name])
        style = page.source[page.source.index("<style>") : page.source.index("</style>")]
        assert "url(" not in style
        assert "@import" not in style


def test_only_the_page_s_own_scripts_may_run(result: Path):
    page = Page(write_report(result))
    policy = next(str(at["content"]) for _, at in page.elements if at.get("http-equiv"))
    run = [text for kind, text in page.scripts if kind is None]
    assert len(run) == 2
    for text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]


def test_names_from_files_are_text_and_never_markup(tmp_path: Path):
    page = Page(write_report(write_comparison(tmp_path / "c", nasty_game())))
    assert NASTY in page.text
    assert not any("onerror" in attributes for _, attributes in page.elements)
    assert len([tag for tag, _ in page.elements if tag == "script"]) == 3, "data, plotly and the page's own"


def test_markdown_becomes_tables_and_no_markup_of_its_own():
    text = markdown(
        "# T\n\n<script>x</script> **b**\n\n| a | b |\n|---|--:|\n| 1.5 | <i> |\n\n- one\n  more\n- two\n"
    )
    assert "<script>" not in text
    assert "<strong>b</strong>" in text
    assert '<td class="number">1.5</td>' in text
    assert "&lt;i&gt;" in text
    assert text.count("<li>") == 2


# ---- the parts of a price ------------------------------------------------------------------------
def tight_game(share: float, periods: tuple[int, int]) -> instances.Instance:
    """The bundled feeder with lines of a part of their rating, so that congestion and voltage both bind."""
    game = instances.load("ieee33-road16").select(periods=periods)
    lines = tuple(replace(line, rating_kva=line.rating_kva * share) for line in game.lines)
    return replace(game, lines=lines)


@pytest.mark.parametrize(("share", "periods"), [(1.0, (4, 5)), (0.6, (4, 5)), (0.55, (18, 19))])
def test_the_parts_are_those_of_the_operator_s_duals(share: float, periods: tuple[int, int]):
    """The split of the stored prices equals the one that the duals of the operator's program give."""
    game = tight_game(share, periods)
    point = follow(game, overview.middle_prices(game)).point
    assert point is not None
    parts = price_parts(game, point)
    at_stations = parts.at_stations(game)
    solver = DispatchSolver(game)
    for t in range(len(game.periods)):
        answer = solver.period(t, point.load_kw[:, t])
        np.testing.assert_allclose(answer.price, point.electricity_price[:, t], rtol=1e-7)
        for name in ("energy", "congestion", "voltage"):
            np.testing.assert_allclose(at_stations[name][:, t], getattr(answer, name), atol=1e-7)
    assert (np.abs(parts.congestion).max() > 0.01) == (share < 1.0)
    total = parts.energy[0][..., None] + parts.congestion[0] + parts.voltage[0]
    np.testing.assert_allclose(total, point.price_active, atol=1e-9)


def test_prices_that_no_limit_explains_are_not_split():
    result = answered()
    point, game = result.point, result.instance
    assert point is not None
    assert not np.isnan(price_parts(game, point).voltage).any()
    bent = point.price_active.copy()
    bent[0, 0, -1] += 0.1
    parts = price_parts(game, replace(point, price_active=bent, shed_kw=point.shed_kw))
    free = replace(game, lines=tuple(replace(line, rating_kva=np.inf) for line in game.lines))
    parts = price_parts(free, replace(point, price_active=bent))
    assert np.isnan(parts.congestion[:, 0, 0]).all()
    assert np.isnan(parts.at_stations(free)["voltage"][:, 0]).all()


def test_a_split_that_fits_twice_is_not_told():
    """One line without reactance, full and feeding a bus at its voltage limit: either may make the price."""
    game = answered().instance
    feeder = replace(game.feeder, root_bus="1")
    buses = tuple(replace(bus, load_kvar=0.0) for bus in game.buses)
    lines = tuple(replace(line, x_ohm=0.0, rating_kva=100.0) for line in game.lines)
    bare = replace(game, feeder=feeder, buses=buses, lines=lines)
    point = follow(game, np.full((3, 2), 0.6)).point
    assert point is not None
    kw = np.zeros_like(point.line_kw)
    kw[..., 0] = 100.0
    level = np.full_like(point.voltage_pu, 1.0)
    level[..., game.bus_index["2"]] = game.buses[1].vmin_pu
    active = np.where(np.arange(len(buses)) == game.bus_index["1"], 0.5, 0.7) * np.ones_like(
        point.price_active
    )
    made = replace(
        point,
        line_kw=kw,
        line_kvar=0.0 * kw,
        voltage_pu=level,
        price_active=active,
        price_reactive=0.0 * active,
    )
    assert np.isnan(price_parts(bare, made).congestion).all()
    one = replace(made, voltage_pu=np.full_like(level, 1.0))
    np.testing.assert_allclose(price_parts(bare, one).congestion[0, ..., game.bus_index["2"]], 0.2)
