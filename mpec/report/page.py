"""The page itself: sections in order, the data for its script, and a policy under which nothing can be loaded.

Every script's SHA-256 stands in the page's content security policy, so that nothing else runs, and no
address but data: and blob: can be fetched from, whatever the names in an instance say.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpec import __version__
from mpec.report.certificates import certificate_block
from mpec.report.markup import Markup, download, element, html
from mpec.report.sources import COMPARISON, Source, Stored
from mpec.report.studies import pictures, rows_section, study_name, study_sections
from mpec.report.verdicts import figures_table, upper_of, verdict_section
from mpec.report.views import result_view

_ASSETS = Path(__file__).parent / "assets"
_SCRIPTS = ("base.js", "roads.js", "feeder.js", "charts.js", "start.js")
_MOST_MAPS = 12
"""Results of a study whose maps are on the page; more would make it too large for a phone."""

_OFFERED = (".csv", ".json", ".md", ".tex", ".toml", ".svg", ".pdf")
_LEFT = ("bound.json",)
"""Large, and of use only to `mpec certify --recheck-bound`, which needs the folder anyway."""


def page(source: Source) -> str:
    """The whole document. Raises ResultError for files that can't be read."""
    drawn = [stored for stored in source.results if stored.result.point is not None or stored.result.bounds]
    views = _views(source, drawn)
    title = _title(source)
    body = [_header(title, source), *_top(source), *_drawings(source, drawn, views)]
    body += [_certificates(drawn or source.results), _downloads(source), _footer(source)]
    return _document(title, body, {"kind": source.kind, "results": views})


def _views(source: Source, drawn: Sequence[Stored]) -> list[dict[str, Any]]:
    """Prices and bounds for all; in a study maps for some results, the exact way's first."""
    pointed = [stored.label for stored in drawn if stored.result.point is not None]
    if source.kind == "study":
        exact = {stored.label for stored in drawn if stored.judged("upper_bound") is not None}
        pointed = sorted(pointed, key=lambda label: label not in exact)[:_MOST_MAPS]
    return [result_view(stored, upper_of(stored, source), maps=stored.label in pointed) for stored in drawn]


def _title(source: Source) -> str:
    if source.kind == "study":
        return study_name(source)
    if not source.results:
        return f"Comparison {source.folder.resolve().name}"
    game = source.results[0].result.instance.name
    return (
        f"{game}: exact and heuristic"
        if source.kind == "comparison"
        else f"{game}: {source.results[0].result.method}"
    )


def _header(title: str, source: Source) -> Markup:
    lines = [element("p", _kind_words(source), class_="kind"), element("h1", title)]
    if source.results and source.kind != "study":
        lines.append(element("p", _game_words(source.results[0]), class_="game"))
    return element("header", *lines)


def _kind_words(source: Source) -> str:
    return {
        "result": "Charging prices: one result",
        "comparison": "Charging prices: exact and heuristic way under one judge",
        "study": "Charging prices: study",
    }[source.kind]


def _game_words(stored: Stored) -> str:
    game = stored.result.instance
    labels = [period.id for period in game.periods]
    span = f"period {labels[0]}" if len(labels) == 1 else f"periods {labels[0]} to {labels[-1]}"
    return " · ".join(
        [
            f"tariff {game.tariff_mode}",
            f"ξ = {game.users.xi:g}",
            f"κ = {game.users.kappa_per_h:g} {game.currency}/h",
            f"{span} of {game.period_h:g} h",
            _count(len(game.stations), "station"),
            _count(len(game.roads), "road"),
            _count(len(game.buses), "bus", "buses"),
            _count(len(game.scenarios), "scenario"),
        ]
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _top(source: Source) -> list[Markup]:
    if source.kind == "study":
        return study_sections(source)
    sections = [verdict_section(source)]
    if source.kind == "comparison" and source.rows:
        sections.append(rows_section("Both ways side by side", COMPARISON, source))
    if source.results:
        figures = figures_table(source.results)
        sections.append(element("section", element("h2", "Key figures"), figures, id="totals"))
    if not any(stored.result.point is not None for stored in source.results):
        sections.append(pictures(source.folder))
    return [section for section in sections if section]


def _drawings(source: Source, drawn: Sequence[Stored], views: Sequence[dict[str, Any]]) -> list[Markup]:
    """The empty places that the script fills; or why there is nothing to draw."""
    if not any(view["point"] for view in views):
        why = "no result here has a point" if source.results else "the folder holds no result folders"
        said = f"Maps, prices and loads can't be drawn: {why}."
        places = [element("p", said, class_="warning", id="no-maps")]
        return [*places, Markup(_part("convergence.html"))] if drawn else places
    parts = ("maps.html", "prices.html", "convergence.html")
    chooser = [_chooser(views)] if len(views) > 1 else []
    return [*chooser, *(Markup(_part(name)) for name in parts)]


def _chooser(views: Sequence[dict[str, Any]]) -> Markup:
    """Which result the drawings below show."""
    options = []
    for n, view in enumerate(views):
        what = "" if view["point"] else " (no point)"
        options.append(element("option", f"{view['label']}{what}", value=str(n)))
    label = element("label", "Result shown below: ", element("select", *options, id="result"))
    return element("section", label, class_="chooser", id="chooser")


def _certificates(results: Sequence[Stored]) -> Markup:
    if not results:
        return Markup("")
    blocks = [certificate_block(stored, n) for n, stored in enumerate(results)]
    said = (
        "As stored by the judge in certificate.json; this page does not judge. Judge the result yourself: "
        "mpec certify DIR --recheck-bound."
    )
    return element("section", element("h2", "Certificate"), element("p", said), *blocks, id="certificate")


def _downloads(source: Source) -> Markup:
    """Every table of the folder, byte for byte."""
    folders = {"": source.folder}
    if source.kind == "comparison":
        folders |= {f"{stored.label}/": stored.folder for stored in source.results}
    if source.kind == "study":
        folders |= {f"{name}/": source.folder / name for name in ("tables", "figures")}
    groups = []
    for prefix, folder in folders.items():
        links = [download(path, prefix + path.name) for path in _offered(folder)]
        if links:
            groups.append(element("ul", *links, class_="downloads"))
    said = "The files as they are in the folder, part of this page: saving one needs no network."
    return element(
        "section", element("h2", "Tables to download"), element("p", said), *groups, id="downloads"
    )


def _offered(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in _OFFERED and p.name not in _LEFT)


def _footer(source: Source) -> Markup:
    name = source.folder.resolve().name
    return element("footer", f"Written by evcs-mpec {__version__} from the folder {name}.")


def _part(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _document(title: str, body: Sequence[Markup], data: dict[str, Any]) -> str:
    from plotly.offline import get_plotlyjs

    own = "\n".join(_part(name) for name in _SCRIPTS)
    scripts = [str(get_plotlyjs()), f'(function () {{\n"use strict";\n{own}\n}})();']
    for text in scripts:
        if "</script" in text.lower():
            raise ValueError(
                "a script holds the text </script and would end early; the page can't be written"
            )
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "form-action 'none'; base-uri 'none'"
    )
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{html(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"{element('title', title)}\n<style>\n{_part('page.css')}</style>\n</head>\n<body>",
            element("main", *body),
            f'<script type="application/json" id="report-data">{_script_json(data)}</script>',
            *(f"<script>{text}</script>" for text in scripts),
            "</body>\n</html>\n",
        ]
    )


def _script_json(data: Any) -> str:
    """JSON that can't end the element it stands in."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
