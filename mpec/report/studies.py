"""The sections that only a study has: its question, findings, runs with their intervals, tables, figures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mpec.report.markdown import markdown
from mpec.report.markup import Markup, amount, element, html, picture, share, table
from mpec.report.sources import ROWS, RUNS, Source, Stored, cell_number
from mpec.report.verdicts import Scale, badge, gap_of, interval_picture, upper_of
from mpec.storage import read_text

_CURE = "Restore the file, or run the study again with --resume."
_MOST_ROWS = 200
FEW = 6
"""Runs without a bound of their own that are shown at once."""


def study_sections(source: Source) -> list[Markup]:
    """Question, findings, runs, tables, figures and the rows, each only where the folder holds it, and once."""
    findings = _findings_text(source.folder)
    sections = [_question(source), *_findings(source, findings)]
    sections.insert(2, _runs(source))
    sections += [*_tables(source.folder, findings), pictures(source.folder, besides=findings), _rows(source)]
    return [section for section in sections if section]


def study_name(source: Source) -> str:
    """The title of the findings, else the folder's name in words."""
    title = re.search(r"^# +(.+)$", _findings_text(source.folder), re.MULTILINE)
    return title[1].strip() if title else words(source.folder.resolve().name)


def _findings_text(folder: Path) -> str:
    path = folder / "README.md"
    return read_text(path, cure=_CURE) if path.is_file() else ""


def _asked(source: Source) -> str:
    asked = source.question.get("question")
    return asked.strip() if isinstance(asked, str) else ""


def _question(source: Source) -> Markup:
    if not _asked(source):
        return element("p", "No study.toml here states the study's question.", class_="dim")
    return element("p", _asked(source), class_="question", id="question")


def _findings(source: Source, text: str) -> list[Markup]:
    """README.md in two pieces, before and from its first section; without title and question, which are said.

    The folder's own pictures stand in their places.
    """
    folder = source.folder

    def shown(target: str, caption: str) -> Markup | None:
        path = (folder / target).resolve()
        inside = path.is_relative_to(folder.resolve()) and path.suffix == ".svg" and path.is_file()
        return picture(path, caption, told=False) if inside else None

    rest = re.sub(r"^# .*$", "", text, count=1, flags=re.MULTILINE)
    rest = rest.replace(_asked(source), "", 1) if _asked(source) else rest
    sections = re.search(r"^## ", rest, re.MULTILINE)
    cut = sections.start() if sections else len(rest)
    pieces = [markdown(piece, level=1, picture=shown) for piece in (rest[:cut], rest[cut:])]
    return [
        element("section", piece, id=name) if piece else Markup("")
        for piece, name in zip(pieces, ("remarks", "findings"), strict=True)
    ]


def _runs(source: Source) -> Markup:
    """Every run with its verdict and interval; one scale for all runs on the same instance and periods."""
    title = element("h2", "Runs and their certified intervals")
    if not source.results and not source.unread:
        return element("section", title, element("p", f"The folder {RUNS} holds no result yet."), id="runs")
    groups: dict[tuple[str, str, int], list[Stored]] = {}
    for stored in source.results:
        game = stored.result.instance
        groups.setdefault((game.name, game.currency, len(game.periods)), []).append(stored)
    names = _short_names([stored.label for stored in source.results])
    content: list[Markup] = []
    for (name, currency, periods), results in groups.items():
        ends = [*(s.judged("lower_bound") for s in results), *(upper_of(s, source) for s in results)]
        scale = Scale.over(ends)
        header = ["run", "verdict", f"lower, {currency}", f"upper, {currency}", "gap", "interval"]
        # Those with a bound of their own say what the game is worth; the many others are there to be unfolded.
        bounded = [s for s in results if s.result.upper_bound is not None]
        others = [s for s in results if s.result.upper_bound is None]
        caption = f"{name}, {periods} periods; intervals on one scale"
        for some, folded in ((bounded, False), (others, len(others) > FEW)):
            if some:
                rows = [_run(stored, names[stored.label], source, scale) for stored in some]
                shown = table(header, rows, caption=caption)
                summary = element("summary", f"{len(some)} runs without a bound of their own")
                content.append(element("details", summary, shown) if folded else shown)
    if source.unread:
        left = [element("li", f"{label}: {why}") for label, why in source.unread.items()]
        content += [element("p", f"{len(left)} runs have no readable result:"), element("ul", *left)]
    rule = (
        "One run beats another only when its lower bound is above the other's upper bound. A run without a "
        "bound of its own is measured by the exact way's on the same game, where rows.csv names one."
    )
    return element("section", title, element("p", rule), *content, id="runs")


def _short_names(labels: Sequence[str]) -> dict[str, str]:
    """The runs' names without the fingerprint at their end, where they stay apart without it."""
    short = {label: re.sub(r"_[0-9a-f]{12}$", "", label) for label in labels}
    twice = {name for name, count in Counter(short.values()).items() if count > 1}
    return {label: label if name in twice else name for label, name in short.items()}


def _run(stored: Stored, label: str, source: Source, scale: Scale | None) -> Sequence[object]:
    lower, upper = stored.judged("lower_bound"), upper_of(stored, source)
    gap = share(gap_of(lower, upper))
    warning = element("span", f" ({stored.stale})", class_="fail") if stored.stale else ""
    # Where a long name may be broken.
    name = html(label).replace("_", "_<wbr>")
    return [
        Markup(name + warning),
        badge(stored.verdict),
        amount(lower),
        amount(upper),
        gap,
        interval_picture(lower, upper, scale),
    ]


def _tables(folder: Path, findings: str) -> list[Markup]:
    """The tables that the findings don't hold already."""
    sections = []
    for path in sorted([*folder.glob("*.md"), *folder.glob("tables/*.md")]):
        text = read_text(path, cure=_CURE)
        if path.name.lower() != "readme.md" and text.strip() not in findings:
            sections.append(
                element("section", element("h2", words(path.stem)), markdown(text), class_="table")
            )
    return sections


def pictures(folder: Path, *, besides: str = "") -> Markup:
    """The SVG figures of a folder but those that the text ``besides`` names, or nothing."""
    paths = sorted([*folder.glob("*.svg"), *folder.glob("figures/*.svg")])
    images = [picture(path, words(path.stem)) for path in paths if path.name not in besides]
    return element("section", element("h2", "Figures"), *images, id="figures") if images else Markup("")


def words(stem: str) -> str:
    """'tariff_and-residual' as 'Tariff and residual'."""
    text = re.sub(r"[-_]+", " ", stem).strip()
    return text[:1].upper() + text[1:]


def _rows(source: Source) -> Markup:
    if not source.rows:
        return element("p", f"There is no {ROWS} yet.", class_="dim")
    return rows_section("All rows", ROWS, source)


def rows_section(title: str, name: str, source: Source) -> Markup:
    """A CSV file as a table, cut after the first rows; the page offers the whole file for download."""
    header = list(source.rows[0])
    shown = [[_shown(column, row[column]) for column in header] for row in source.rows[:_MOST_ROWS]]
    rest = len(source.rows) - len(shown)
    said = f"The first {len(shown)} of {len(source.rows)} rows; {name} below has all." if rest else ""
    content = table(header, shown, caption=f"{name}, shortened numbers")
    return element("section", element("h2", title), element("p", said) if said else "", content, id="rows")


def _shown(column: str, text: str) -> str:
    """A cell with its number shortened: shares as per cent, other fractions in two or four digits."""
    value = cell_number(text)
    if value is None or not re.search(r"[.eE]", text):
        return text
    if column == "gap" or column.endswith("_gap"):
        return share(value)
    return amount(value) if abs(value) >= 1.0 else f"{value:.4g}"
