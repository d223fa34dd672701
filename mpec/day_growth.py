"""Growth of the certified day: time to a gap against hours and scenarios, its exponent and its plot.

A size that did not reach the gap within its limit counts in no fit and is drawn as no point: it is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from mpec.bench_rows import Row, number, seconds_text, text_table
from mpec.figures import SERIES, Series, new_figure
from mpec.wording import percent

DAY = "dlmp-0.5"
"""The bundled day as it is: 24 hours, 3 scenarios."""

GROWTH = {
    "hours": ("hours-6", "hours-12", DAY, "hours-48"),
    "scenarios": ("scenarios-1", DAY, "scenarios-9"),
}
REACHED = {"to_1_percent_s": "1 %", "to_5_percent_s": "5 %"}


@dataclass(frozen=True)
class Growth:
    """Time to a gap against the size: sizes and seconds where it was reached, (size, seconds) where it was not."""

    sizes: tuple[float, ...]
    seconds: tuple[float, ...]
    missed: tuple[tuple[float, float], ...]

    @property
    def fit(self) -> tuple[float, float] | None:
        """(p, c) of the least squares fit  log seconds = c + p log size; None from fewer than two sizes."""
        if len(self.sizes) < 2:
            return None
        slope, constant = np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)
        return float(slope), float(constant)


def growth(rows: Mapping[str, Row], size: str, column: str) -> Growth:
    """The rows of one family, by ``size`` ("hours" or "scenarios")."""
    there = [rows[case] for case in GROWTH[size] if case in rows]
    done = [(float(r[size]), max(float(r[column]), 0.1)) for r in there if r[column]]
    missed = tuple((float(r[size]), float(r["seconds"])) for r in there if not r[column])
    return Growth(tuple(x for x, _ in done), tuple(y for _, y in done), missed)


def drawn_sizes(rows: Mapping[str, Row]) -> list[str]:
    """The families ("hours", "scenarios") with rows of two sizes."""
    return [size for size, cases in GROWTH.items() if sum(case in rows for case in cases) > 1]


def growth_text(rows: Mapping[str, Row], drawn: Sequence[str]) -> str:
    """Table, exponents and picture; "" without two sizes."""
    if not drawn:
        return ""
    lines, said = [], []
    for size in drawn:
        for case in GROWTH[size]:
            if case in rows:
                row = rows[case]
                times = [_when(row, column) for column in REACHED]
                first = seconds_text(row["first_interval_s"])
                lines.append(
                    [case, row["hours"], row["scenarios"], percent(number(row["gap"])), first, *times]
                )
        for column, gap in REACHED.items():
            said.append(_exponent(growth(rows, size, column), size, gap))
    head = [
        "case",
        "hours",
        "scenarios",
        "gap at the end",
        "first interval",
        *(f"to {g}" for g in REACHED.values()),
    ]
    unique = list(dict.fromkeys(map(tuple, lines)))
    picture = "![Time to a gap against hours and scenarios; grey: linear growth](growth.png)\n"
    return "## Growth\n\n" + text_table(head, unique) + "\n" + "\n".join(said) + "\n\n" + picture


def _when(row: Row, column: str) -> str:
    return seconds_text(row[column]) if row[column] else f"not reached in {float(row['seconds']):.0f} s"


def _exponent(found: Growth, size: str, gap: str) -> str:
    missed = "".join(f"; {x:.0f} {size}: not reached in {s:.0f} s" for x, s in found.missed)
    if found.fit is None:
        return f"* Time to {gap} against {size}: reached at {len(found.sizes)} size(s), no exponent{missed}."
    at = ", ".join(f"{x:.0f}" for x in found.sizes)
    return f"* Time to {gap} grows like {size}^{found.fit[0]:.2f} (least squares over {at} {size}){missed}."


def growth_figure(rows: Mapping[str, Row], drawn: Sequence[str]) -> Figure:
    """Time to 1 % and to 5 % against the sizes, one panel each, log-log; grey: what linear growth looks like.

    A size that did not reach a gap is named above the panel and never drawn as a point.
    """
    figure = new_figure(3.8 * len(drawn) + 0.4, 3.6)
    panels = figure.subplots(1, len(drawn), squeeze=False, sharey=True)[0]
    for panel, size in zip(panels, drawn, strict=True):
        panel.set_xscale("log")
        panel.set_yscale("log")
        found = {gap: growth(rows, size, column) for column, gap in REACHED.items()}
        for (gap, one), series in zip(found.items(), SERIES, strict=False):
            _draw(panel, one, size, gap, series)
        ticks = sorted({x for one in found.values() for x in (*one.sizes, *(x for x, _ in one.missed))})
        panel.set_xticks(ticks, [f"{x:.0f}" for x in ticks])
        panel.xaxis.minorticks_off()
        panel.set_xlim(ticks[0] / 1.25, ticks[-1] * 1.25)
        panel.set_xlabel(size)
        missed = [
            f"{gap} at {x:.0f} {size} in {s:.0f} s" for gap, one in found.items() for x, s in one.missed
        ]
        if missed:
            panel.set_title("not reached: " + ",\n".join(missed), fontsize=8, color="0.35")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize=8)
    panels[0].set_ylabel("seconds of wall time")
    panels[0].yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panels[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panels[0].yaxis.set_minor_formatter(NullFormatter())
    return figure


def _draw(panel: Axes, found: Growth, size: str, gap: str, series: Series) -> None:
    """The sizes that reached the gap, their fit, and the straight line of slope 1 through the least of them."""
    if not found.sizes:
        return
    label = f"to {gap}"
    if found.fit is not None:
        slope, constant = found.fit
        ends = np.array([min(found.sizes), max(found.sizes)])
        linear = found.seconds[0] * ends / found.sizes[0]
        once = None if "linear growth" in panel.get_legend_handles_labels()[1] else "linear growth"
        panel.plot(ends, linear, color="0.7", lw=0.9, zorder=1, label=once)
        panel.plot(ends, np.exp(constant) * ends**slope, color=series.color, ls=series.line, lw=1.2)
        label += f", like {size}$^{{{slope:.2f}}}$ ({len(found.sizes)} sizes)"
    panel.plot(found.sizes, found.seconds, color=series.color, ls="", marker=series.marker, ms=5, label=label)
