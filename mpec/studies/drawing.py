"""Figures of the studies, as SVG and PDF; in the style of mpec.figures, so readable without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mpec.figures import SERIES, STYLE, new_figure
from mpec.studies.cases import Case, curves_of
from mpec.studies.rows import Material, Row

GREY = "0.35"
_PDF: dict[Any, Any] = {"CreationDate": None}


def panels(
    count: int, *, width: float = 3.2, height: float = 2.5, columns: int = 2
) -> tuple[Figure, list[Axes]]:
    """A figure with ``count`` panels in up to ``columns`` columns."""
    with mpl.rc_context(STYLE):
        across = min(columns, count)
        down = math.ceil(count / across)
        figure = new_figure(width * across + 0.5, height * down + 0.5)
        axes = list(figure.subplots(down, across, squeeze=False).flat)
    for panel in axes[count:]:
        panel.set_visible(False)
    return figure, axes[:count]


def save(figure: Figure, folder: Path, name: str) -> list[str]:
    """Write NAME.svg and NAME.pdf without a date: equal data, equal files. Returns the names."""
    with mpl.rc_context(STYLE):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.pdf", metadata=_PDF)
    return [f"{name}.svg", f"{name}.pdf"]


def convergence_figure(material: Material, cases: Sequence[Case], currency: str) -> Figure:
    """The heuristic's best so far by iteration, each seed and their mean, with the certified interval."""
    figure, axes = panels(len(cases))
    for panel, case in zip(axes, cases, strict=True):
        curves = curves_of(material, case.of("heuristic"))
        for number, curve in enumerate(curves):
            values = [math.nan if v is None else v for v in curve]
            panel.plot(
                range(1, len(values) + 1), values, color="0.65", lw=0.7, label="seeds" if not number else None
            )
        _mean_curve(panel, curves)
        _interval_lines(panel, case)
        panel.set_title(case.name, fontsize=9)
        panel.set_xlabel("iteration")
        panel.set_ylabel(currency)
    _legend(figure, axes)
    return figure


def _mean_curve(panel: Axes, curves: Sequence[Sequence[float | None]]) -> None:
    lengths = {len(curve) for curve in curves}
    if len(lengths) != 1:
        return
    array = np.array([[math.nan if v is None else v for v in curve] for curve in curves], float)
    known = ~np.isnan(array).any(axis=0)
    if known.any():
        x = np.arange(1, array.shape[1] + 1)[known]
        panel.plot(x, array[:, known].mean(axis=0), color=SERIES[0].color, lw=1.8, label="mean of the seeds")


def _interval_lines(panel: Axes, case: Case) -> None:
    if case.upper is not None:
        panel.axhline(case.upper, color=SERIES[1].color, ls="--", lw=1.4, label="certified upper bound")
    exact = case.exact
    if exact is not None and exact["lower_bound"] is not None:
        panel.axhline(exact["lower_bound"], color=SERIES[2].color, ls="-.", lw=1.4, label="certified profit")


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    named: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        # About a dozen characters an inch, the sample line included.
        room = int(12.0 * figure.get_figwidth() / (max(map(len, named)) + 8))
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside lower center",
            ncols=max(1, min(len(named), room)),
            frameon=False,
        )


def prices_figure(material: Material, shown: Sequence[tuple[str, Row]], currency: str) -> Figure | None:
    """Charging and electricity price by station and hour, one panel a station, of (label, row) pairs."""
    by_run = {row["run"]: label for label, row in shown}
    lines = [line for line in material.prices if line["run"] in by_run]
    stations = list(dict.fromkeys(line["station"] for line in lines))
    if not stations:
        return None
    figure, axes = panels(len(stations), height=2.1, columns=3, width=3.0)
    for panel, station in zip(axes, stations, strict=True):
        for (run, label), series in zip(by_run.items(), SERIES, strict=False):
            own = [line for line in lines if line["run"] == run and line["station"] == station]
            periods = [line["period"] for line in own]
            if not periods:
                continue
            edges = np.arange(periods[0] - 0.5, periods[-1] + 1.0)
            for column, width, what in (
                ("charging_price", 1.7, "charging"),
                ("electricity_price", 0.8, "electricity"),
            ):
                panel.stairs(
                    [line[column] for line in own], edges, baseline=None, color=series.color, ls=series.line,
                    lw=width, label=f"{what}, {label}",
                )  # fmt: skip
        panel.set_title(f"station {station}", fontsize=9)
        panel.set_xlabel("period")
        panel.set_ylabel(f"{currency}/kWh")
    _legend(figure, axes)
    return figure


def interval_bars(
    panel: Axes,
    places: Sequence[float],
    intervals: Sequence[tuple[float | None, float | None]],
    series: int,
    label: str,
) -> None:
    """Vertical certified intervals at ``places``; open ones are left out."""
    style = SERIES[series % len(SERIES)]
    closed = [
        (x, low, high) for x, (low, high) in zip(places, intervals, strict=True) if None not in (low, high)
    ]
    if not closed:
        return
    x, low, high = (np.array(values, float) for values in zip(*closed, strict=True))
    middle = 0.5 * (low + high)
    panel.errorbar(
        x, middle, yerr=0.5 * (high - low), color=style.color, ls=style.line, lw=0.8, marker=style.marker,
        ms=3, capsize=4, elinewidth=1.6, label=label,
    )  # fmt: skip


def finish(figure: Figure, axes: Sequence[Axes]) -> Figure:
    """One legend below all panels."""
    _legend(figure, axes)
    return figure
