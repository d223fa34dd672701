"""The top of the page: the verdict in words, the interval as a picture, the figures people compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from mpec.report.markup import Markup, amount, element, html, share, table
from mpec.report.sources import Source, Stored, cell_number, number

SIGNS = {
    "CERTIFIED": "✔",
    "EQUILIBRIUM": "≈",
    "REJECTED": "✘",
    "INFEASIBLE": "∅",
    "NO_POINT": "–",
    "NOT JUDGED": "?",
}

_MEANING = {
    "CERTIFIED": "Every check passed, the upper bound was re-proved by a second run, and the gap is within "
    "the target.",
    "EQUILIBRIUM": "Every check passed, so the profit is real. It is not certified to be within the target gap of "
    "the best.",
    "REJECTED": "A check failed (see the certificate below): the numbers of this result are not to be relied on.",
    "INFEASIBLE": "It was proved that no prices in the box are allowed.",
    "NO_POINT": "No allowed prices were found, so there is no point to judge.",
    "NOT JUDGED": "The folder holds no certificate.json: nothing here has been checked.",
}

NONE = "none"


def badge(verdict: str) -> Markup:
    """The verdict as a word with a sign and its own border, so that no colour is needed to tell it."""
    kind = verdict.lower().replace("_", "-").replace(" ", "-")
    return element("span", SIGNS.get(verdict, "?"), " ", verdict.replace("_", " "), class_=f"badge {kind}")


def upper_of(stored: Stored, source: Source) -> float | None:
    """The upper bound that a result is measured by: its own, or the exact way's on the same game.

    The latter is the exact folder's in a comparison, and the column certified_upper of a study's rows.csv.
    """
    if source.kind == "comparison":
        stored = next((other for other in source.results if other.label == "exact"), stored)
    own = stored.judged("upper_bound")
    if own is None and source.kind == "study":
        row = next((row for row in source.rows if row.get("run") == stored.label), {})
        return cell_number(row.get("certified_upper"))
    return own


def gap_of(lower: float | None, upper: float | None) -> float | None:
    """(upper - lower) / max(|upper|, 1 money unit); None where an end is missing or they cross."""
    if lower is None or upper is None or lower > upper + 1e-9 * max(abs(upper), 1.0):
        return None
    return (upper - lower) / max(abs(upper), 1.0)


def verdict_section(source: Source) -> Markup:
    """One card a result, all intervals on one scale, and what must be known before reading on."""
    warnings = [element("p", text, class_="warning") for text in _warnings(source)]
    cards = [_card(stored, source, _scale(source)) for stored in source.results]
    if source.kind == "comparison" and not cards:
        cards = _row_cards(source)
    return element("section", *warnings, *cards, id="verdict", aria_label="Verdict and interval")


def _warnings(source: Source) -> list[str]:
    found = [
        f"{stored.label}: {stored.stale}. Judge it afresh with mpec certify."
        for stored in source.results
        if stored.stale
    ]
    if source.kind == "comparison":
        exact = next((stored for stored in source.results if stored.label == "exact"), None)
        upper = exact.judged("upper_bound") if exact else None
        for stored in source.results:
            lower = stored.judged("lower_bound")
            if upper is not None and lower is not None and lower > upper + 1e-9 * max(abs(upper), 1.0):
                found.append(
                    f"The {stored.label} result is judged and worth {amount(lower)}, above the stated upper bound "
                    f"{amount(upper)}: that bound is false and no gap is stated."
                )
        if source.unread:
            names = " and ".join(f"{label}/" for label in source.unread)
            found.append(f"No result in {names}: its maps, prices and checks are missing on this page.")
    return found


class Scale:
    """A common scale of money for pictures of intervals.

    It spans a tenth of the largest amount at least, so that a narrow interval looks narrow.
    """

    def __init__(self, low: float, high: float) -> None:
        reach = max(high - low, 0.1 * max(abs(low), abs(high), 1.0))
        middle = 0.5 * (low + high)
        self.low, self.high = middle - 0.56 * reach, middle + 0.56 * reach

    @classmethod
    def over(cls, ends: Iterable[float | None]) -> Scale | None:
        """Over all ends of the intervals; None where there is no number at all."""
        known = [value for value in ends if value is not None]
        return cls(min(known), max(known)) if known else None

    def ends(self, currency: str) -> Markup:
        """What the left and the right edge of the pictures stand for."""
        edges = [element("span", amount(value, 0), " ", currency) for value in (self.low, self.high)]
        return element("span", *edges, class_="ends")

    def share(self, value: float) -> str:
        return f"{100.0 * (value - self.low) / (self.high - self.low):.2f}%"


def _scale(source: Source) -> Scale | None:
    results = source.results
    return Scale.over([*(s.judged("lower_bound") for s in results), *(upper_of(s, source) for s in results)])


def interval_picture(lower: float | None, upper: float | None, scale: Scale | None) -> Markup:
    """A bar from lower to upper; an end that doesn't exist runs out dashed to the edge."""
    if scale is None or (lower is None and upper is None):
        return element("span", "no interval", class_="dim")
    left = scale.share(lower) if lower is not None else "0%"
    right = scale.share(upper) if upper is not None else "100%"
    whole = lower is not None and upper is not None
    bar = element(
        "span", class_="span" if whole else "span open", style=f"left:{left};right:calc(100% - {right})"
    )
    ticks = [
        element("span", class_=f"tick {side}", style=f"left:{scale.share(value)}")
        for side, value in (("lower", lower), ("upper", upper))
        if value is not None
    ]
    said = f"lower bound {amount(lower)}, upper bound {amount(upper)}"
    return element("span", bar, *ticks, class_="track", role="img", aria_label=said)


def interval_text(lower: float | None, upper: float | None, currency: str) -> Markup:
    """'3 434.75 ≤ best profit ≤ 3 657.00 CNY', saying which end is missing."""
    below = element("strong", amount(lower)) if lower is not None else html("no lower bound")
    above = element("strong", amount(upper)) if upper is not None else html("no upper bound")
    return Markup(f"{below} ≤ best profit ≤ {above} {html(currency)}")


def _card(stored: Stored, source: Source, scale: Scale | None) -> Markup:
    lower, upper = stored.judged("lower_bound"), upper_of(stored, source)
    currency = stored.result.instance.currency
    borrowed = source.kind == "comparison" and stored.label != "exact" and upper is not None
    gap, target = gap_of(lower, upper), stored.judged("target_gap")
    said = f"gap {share(gap)}" if gap is not None else "no gap can be stated"
    if gap is not None and target is not None and not borrowed:
        said += f" (target {share(target)})"
    if borrowed:
        said += ", to the exact way's upper bound"
    notes = [element("li", str(note)) for note in (stored.certificate or {}).get("notes", [])]
    if stored.result.reason:
        notes.insert(0, element("li", stored.result.reason))
    title = element("h2", f"{stored.label}: " if len(source.results) > 1 else "", badge(stored.verdict))
    return element(
        "article",
        title,
        element("p", interval_text(lower, upper, currency), " · ", said, class_="interval"),
        interval_picture(lower, upper, scale),
        scale.ends(currency) if scale is not None else "",
        element("p", _MEANING[stored.verdict], " ", _bound_words(stored, borrowed)),
        element("ul", *notes) if notes else "",
        class_="card",
    )


def _row_cards(source: Source) -> list[Markup]:
    """Cards from comparison.csv alone, where the result folders are not there."""
    ends = [cell_number(row.get(name)) for row in source.rows for name in ("profit", "upper_bound")]
    scale, cards = Scale.over(ends), []
    for row in source.rows:
        verdict, lower = row.get("verdict", ""), cell_number(row.get("profit"))
        lower = None if verdict == "REJECTED" else lower
        upper = cell_number(row.get("upper_bound"))
        title = element("h2", f"{row.get('method', '')}: ", badge(verdict))
        gap = gap_of(lower, upper)
        text = element("p", interval_text(lower, upper, ""), f" · gap {share(gap)}", class_="interval")
        said = "As comparison.csv states it. The certificate is not in this folder, so no check can be shown."
        cards.append(
            element(
                "article",
                title,
                text,
                interval_picture(lower, upper, scale),
                element("p", said),
                class_="card",
            )
        )
    return cards


def _bound_words(stored: Stored, borrowed: bool) -> str:
    """What the upper bound rests on, from the stored recheck."""
    if stored.certificate is not None and borrowed:
        return "It claims no bound of its own and is measured by the exact way's upper bound."
    if stored.certificate is None:
        return f"Cure: mpec certify {stored.folder.name}."
    if stored.judged("upper_bound") is None:
        return "There is no upper bound." if stored.result.point is not None else ""
    words = {
        "confirmed": "The upper bound was re-proved (recheck confirmed).",
        "undecided": "The recheck of the upper bound ran out of time (undecided).",
        "refuted": "The recheck REFUTED the upper bound.",
        "none": "The upper bound was not rechecked: so far it is a number in a file.",
    }
    return words.get(
        str(stored.certificate.get("recheck")), "It is not stored whether the bound was rechecked."
    )


def figures_table(results: Sequence[Stored]) -> Markup:
    """The figures people compare, one column a result; 'none' where a number doesn't exist."""
    currency = results[0].result.instance.currency
    rows: list[list[object]] = []

    def row(name: str, unit: str, values: Iterable[float | None], digits: int = 2) -> None:
        cells = [amount(value, digits) for value in values]
        rows.append([f"{name}, {unit}" if unit else name, *cells])

    def claimed(name: str) -> list[float | None]:
        return [number(stored.claims.get(name)) for stored in results]

    def pessimistic(name: str) -> list[float | None]:
        return [
            number(_mapping(_mapping(s.certificate).get("pessimistic_profit")).get(name)) for s in results
        ]

    row("Profit (judged lower bound)", currency, [s.judged("lower_bound") for s in results])
    row("Upper bound of the best profit", currency, [s.judged("upper_bound") for s in results])
    row("Pessimistic profit: worst answer found", currency, pessimistic("found"))
    row("Pessimistic profit: proved bound", currency, pessimistic("bound"))
    row("Users' cost", currency, claimed("users_cost"))
    row("Vehicle hours", "veh h", claimed("vehicle_hours"))
    row("Cost of the distribution system operator", currency, claimed("dso_cost"))
    row("Energy sold", "kWh", claimed("energy_sold_kwh"), 1)
    row("Wind curtailed", "kWh", claimed("curtailment_kwh"), 1)
    row("Load shed", "kWh", claimed("shedding_kwh"), 1)
    row("Emergency supply", "kWh", claimed("emergency_kwh"), 1)
    row("Wall time", "s", claimed("seconds"), 1)
    header = ["", *(stored.label if len(results) > 1 else "value" for stored in results)]
    return table(header, rows, caption="Totals over the selected periods, as stored")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def finite_text(value: object, digits: int = 3) -> str:
    """A stored number in ``digits`` significant digits, or 'none'."""
    real = number(value)
    return NONE if real is None or not math.isfinite(real) else f"{real:.{digits}g}"
