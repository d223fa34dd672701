"""The page in headless Chromium: it runs without errors, moves with its slider, and asks nobody for anything.

Needs Debian's chromium and chromium-driver. Without them the tests are skipped, unless MPEC_REQUIRE_BROWSER
is set, as it is in CI: then that is a failure.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_folders import nasty_game, write_comparison, write_result, write_study

import instances
from mpec import overview
from mpec.followers.answer import follow
from mpec.report import write_report
from mpec.report.sources import read_source

CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}


class Browser:
    """One Chromium, and what is asked of a page in it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, page: Path, screen: dict[str, Any] = DESKTOP) -> None:
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get(page.as_uri())

    def ask(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def complaints(self) -> list[str]:
        """Errors and warnings of the console since the last call, violations of the page's policy too."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    missing = [str(path) for path in (CHROMIUM, DRIVER) if not path.exists()]
    if missing:
        reason = f"no {' and no '.join(missing)}: apt-get install chromium chromium-driver"
        if os.environ.get("MPEC_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield Browser(driver)
    driver.quit()


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the bundled day's 24 periods at mid-box prices, not judged."""
    game = instances.load("ieee33-road16")
    result = follow(game, overview.middle_prices(game))
    return write_report(write_result(tmp_path_factory.mktemp("browser") / "day", result, judged=False))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a comparison of a game whose names are markup."""
    return write_report(write_comparison(tmp_path_factory.mktemp("browser") / "comparison", nasty_game()))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_study(tmp_path_factory.mktemp("browser") / "study"))


MAP_STATE = """
const widths = document.getElementById("road-map").data.filter(t => t.mode === "lines+markers");
return {
  title: document.getElementById("hour-name").textContent,
  caption: document.getElementById("road-caption").textContent,
  widths: widths.map(t => [t.x[0], t.y[0], t.line.width]),
  stations: document.getElementById("station-table").textContent,
  voltages: document.getElementById("feeder-tree").data.at(-1).text,
  paid: document.getElementById("price-parts").data.at(-1).y,
};
"""
SLIDE = """
const slider = document.getElementById("hour");
slider.value = arguments[0];
slider.dispatchEvent(new Event("input", { bubbles: true }));
"""


def test_a_day_runs_without_a_word_on_the_console_and_asks_nobody(browser: Browser, day: Path):
    browser.complaints(), browser.requests()
    browser.open(day)
    for plot in ("road-map", "feeder-tree", "price-parts", "heat-charging", "heat-load"):
        drawn = browser.ask(f"return document.querySelectorAll('#{plot} svg.main-svg').length")
        assert drawn > 0, plot
    assert browser.complaints() == []
    assert {address.split(":")[0] for address in browser.requests()} <= {"file", "data", "blob"}
    titles = browser.ask("return [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert titles
    assert not any(word in title for title in titles for word in ("hare", "loud", "dit"))


def test_the_slider_shows_the_hour_that_it_names(browser: Browser, day: Path):
    """Road map, tables, feeder and price parts all follow, and show that hour's stored numbers."""
    point = read_source(day.parent).results[0].result.point
    assert point is not None
    browser.open(day)
    states = []
    for t in (2, 17):
        browser.ask(SLIDE, t)
        state = browser.ask(MAP_STATE)
        states.append(state)
        assert state["title"] == str(t + 1)
        assert state["caption"].startswith(f"Period {t + 1}.")
        assert f"{point.load_kw[0, t]:.1f}" in state["stations"]
        assert state["paid"] == pytest.approx(point.electricity_price[:, t], rel=1e-6)
        shown = [float(text.split("<")[0] or text[3:].split("<")[0]) for text in state["voltages"]]
        assert shown == pytest.approx(point.voltage_pu[0, t], abs=6e-4)
    assert states[0]["widths"] != states[1]["widths"]
    assert browser.complaints() == []


def test_arrows_keys_and_the_other_controls_work(browser: Browser, day: Path):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(day)
    browser.ask(SLIDE, 5)
    browser.driver.find_element(By.ID, "later").click()
    assert browser.ask("return document.getElementById('hour-name').textContent") == "7"
    browser.driver.find_element(By.ID, "hour").send_keys(Keys.ARROW_LEFT)
    assert browser.ask("return document.getElementById('hour-name').textContent") == "6"
    numbers = "return document.getElementById('feeder-tree').data.at(-1).text.join()"
    before = browser.ask(numbers)
    for name, value in (("layer", "active"), ("scenario", "2")):
        browser.ask(
            "const s = document.getElementById(arguments[0]); s.value = arguments[1];"
            "s.dispatchEvent(new Event('change', {bubbles: true}))",
            name,
            value,
        )
        assert browser.ask(numbers) != before
        before = browser.ask(numbers)
    assert browser.complaints() == []


@pytest.mark.parametrize("which", ["day", "comparison", "study"])
def test_nothing_is_wider_than_a_phone(which: str, browser: Browser, request: pytest.FixtureRequest):
    browser.open(request.getfixturevalue(which), PHONE)
    wide = browser.ask(
        "return [...document.querySelectorAll('main *')].filter(e => !e.closest('.scroll, pre, .plot')"
        " && e.getBoundingClientRect().right > arguments[0] + 1).map(e => e.tagName + '#' + e.id)",
        PHONE["width"],
    )
    assert wide == []
    assert browser.ask("return document.documentElement.scrollWidth") <= PHONE["width"]
    plots = browser.ask("return [...document.querySelectorAll('.plot .main-svg')].map(e => e.clientWidth)")
    assert plots
    assert max(plots) <= PHONE["width"]
    assert browser.complaints() == []


def test_a_download_is_the_file_itself(browser: Browser, comparison: Path):
    """What the link hands out in the browser, byte for byte."""
    browser.open(comparison)
    links = browser.ask(
        "return [...document.querySelectorAll('a[download]')].map(a => [a.textContent, a.href])"
    )
    found = {name: base64.b64decode(address.split(",", 1)[1]) for name, address in links}
    for name in ("comparison.csv", "exact/prices.csv", "exact/roads.csv", "heuristic/bounds.csv"):
        assert found[name] == (comparison.parent / name).read_bytes(), name


def test_names_that_are_markup_stay_names(browser: Browser, comparison: Path):
    browser.open(comparison)
    browser.ask(SLIDE, 1)
    assert browser.ask("return window.hit") is None
    assert browser.ask("return document.querySelectorAll('img[onerror], [onerror]').length") == 0
    assert browser.ask("return document.querySelectorAll('.plot a').length") == 0
    assert browser.complaints() == []


def test_a_comparison_shows_the_chosen_result(browser: Browser, comparison: Path):
    browser.open(comparison)
    traces = browser.ask("return document.getElementById('convergence').data.map(t => t.name)")
    assert traces == ["exact: upper bound", "exact: best profit found", "heuristic: best profit found"]
    visible = "return [...document.querySelectorAll('.certificate')].filter(b => !b.hidden).map(b => b.dataset.result)"
    assert browser.ask(visible) == ["0"]
    browser.ask(
        "const s = document.getElementById('result'); s.value = '1';"
        "s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    assert browser.ask(visible) == ["1"]
    assert "2 runs" in browser.ask("return document.getElementById('runs-caption').textContent")
    assert browser.complaints() == []


def test_on_paper_no_plot_leaves_the_sheet(browser: Browser, day: Path):
    """Chromium's own printing fires beforeprint: afterwards the plots are as wide as a sheet, then back."""
    browser.open(day)

    def measure() -> int:
        return int(
            browser.ask(
                "return Math.max(...[...document.querySelectorAll('.plot .main-svg')].map(e => e.clientWidth))"
            )
        )

    on_screen = measure()
    browser.ask("window.dispatchEvent(new Event('beforeprint'))")
    assert measure() <= 700
    across = browser.ask("return document.getElementById('road-map')._fullLayout.xaxis._length")
    assert across > 500, "the map fills the sheet at once, not after a later drawing"
    browser.ask("window.dispatchEvent(new Event('afterprint'))")
    assert measure() == on_screen
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
    assert browser.complaints() == []
