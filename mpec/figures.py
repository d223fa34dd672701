"""Figures of a result: prices and loads by station and hour, bounds over time, road map, feeder.

Every figure is written as SVG and PNG. Series differ by line style and marker as well as by colour
(Okabe and Ito's palette, safe for colour-blind readers); shades run monotonically from light to dark,
so that a black-and-white print loses nothing. Drawing needs no display.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mpec.equilibrium import Equilibrium, Point
from mpec.feeder_map import feeder_figure
from mpec.road_map import road_figure

Array = np.ndarray

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "0.88",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "evcs-mpec",
}


@dataclass(frozen=True)
class Series:
    color: str
    line: str
    marker: str


SERIES = (
    Series("#0072B2", "-", "o"),
    Series("#D55E00", "--", "s"),
    Series("#009E73", "-.", "^"),
    Series("#CC79A7", ":", "D"),
)
_GREY = "0.35"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that draws without a display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_figure(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png and return their paths. No date goes in: equal data, equal file."""
    paths = [folder / f"{name}.svg", folder / f"{name}.png"]
    figure.savefig(paths[0], metadata={"Date": None})
    figure.savefig(paths[1], dpi=150)
    return paths


def draw_all(results: Mapping[str, Equilibrium], folder: Path) -> list[Path]:
    """All figures of one result, or of several on the same instance side by side (label -> result).

    The maps show the first result that has a point, at its busiest period. Returns the files written.
    """
    shown = {label: result for label, result in results.items() if result.point is not None}
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with mpl.rc_context(STYLE):
        written += write_figure(bounds_figure(results), folder, "bounds")
        if shown:
            label, main = next(iter(shown.items()))
            assert main.point is not None
            busiest = int(np.argmax(main.point.load_kw.sum(axis=0)))
            title = f"{main.instance.name}, {label}"
            pictures: Sequence[tuple[str, Figure]] = (
                ("prices", prices_figure(shown)),
                ("loads", loads_figure(shown)),
                ("roads", road_figure(new_figure, main.instance, main.point, busiest, title)),
                ("feeder", feeder_figure(new_figure, main.instance, main.point, busiest, title)),
            )
            for name, figure in pictures:
                written += write_figure(figure, folder, name)
    return written


def _station_panels(
    results: Mapping[str, Equilibrium],
    label: str,
    draw: Callable[[Axes, int, Equilibrium, Point, str, Series, Array], None],
) -> Figure:
    """One panel a station on common axes; ``draw`` adds one result to one panel."""
    first = next(iter(results.values()))
    stations, periods = first.instance.stations, [period.id for period in first.instance.periods]
    columns = min(3, len(stations))
    rows = math.ceil(len(stations) / columns)
    figure = new_figure(3.2 * columns + 0.6, 2.2 * rows + 0.7)
    axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    edges = np.arange(periods[0] - 0.5, periods[-1] + 1.0)
    for m, panel in enumerate(axes.flat):
        if m >= len(stations):
            panel.set_visible(False)
            continue
        for (name, result), series in zip(results.items(), SERIES, strict=False):
            assert result.point is not None
            draw(panel, m, result, result.point, name, series, edges)
        owner = ", a rival's" if stations[m].owner == "rival" else ""
        title = f"{stations[m].id} (node {stations[m].node}, bus {stations[m].bus}{owner})"
        panel.set_title(title, fontsize=9)
        panel.set_xlim(edges[0], edges[-1])
        panel.xaxis.get_major_locator().set_params(integer=True)
        if m % columns == 0:
            panel.set_ylabel(label)
        if m + columns >= len(stations):
            panel.set_xlabel("period")
            panel.tick_params(labelbottom=True)
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(columns + 1, len(names)))
    return figure


def _steps(panel: Axes, values: Array, edges: Array, **style: Any) -> None:
    panel.stairs(values, edges, baseline=None, **style)


def prices_figure(results: Mapping[str, Equilibrium]) -> Figure:
    """Charging price, electricity price with its dual interval, box and mean cap, by station."""
    first = next(iter(results.values()))

    def draw(
        panel: Axes, m: int, result: Equilibrium, point: Point, name: str, series: Series, edges: Array
    ) -> None:
        station = result.instance.stations[m]
        _steps(
            panel,
            point.prices[m],
            edges,
            color=series.color,
            ls=series.line,
            lw=1.8,
            label=f"charging, {name}",
        )
        _steps(
            panel,
            point.electricity_price[m],
            edges,
            color=series.color,
            ls=series.line,
            lw=0.8,
            alpha=0.9,
            label=f"electricity, {name}",
        )
        if result is first:
            panel.stairs(
                point.electricity_high[m],
                edges,
                baseline=point.electricity_low[m],
                fill=True,
                color="0.8",
                label="electricity, dual interval",
                zorder=0.5,
            )
            if station.owner == "leader":
                panel.axhspan(station.price_min, station.price_max, color="0.5", alpha=0.06, lw=0)
            if station.price_mean_max is not None:
                panel.axhline(station.price_mean_max, color=_GREY, ls=(0, (1, 3)), lw=1.2, label="mean cap")

    figure = _station_panels(results, f"{first.instance.currency}/kWh", draw)
    points = [result.point for result in results.values() if result.point is not None]
    drawn = [a for p in points for a in (p.prices, p.electricity_price)]
    drawn += [points[0].electricity_low, points[0].electricity_high]
    low = min(0.0, *(float(a.min()) for a in drawn))
    high = max(*(s.price_max for s in first.instance.stations), *(float(a.max()) for a in drawn))
    figure.axes[0].set_ylim(low - 0.04 * (high - low), high + 0.04 * (high - low))
    return figure


def loads_figure(results: Mapping[str, Equilibrium]) -> Figure:
    """Load of every station by period, with its capacity where the load comes near it."""
    first = next(iter(results.values()))
    top = max(float(r.point.load_kw.max()) for r in results.values() if r.point is not None)

    def draw(
        panel: Axes, m: int, result: Equilibrium, point: Point, name: str, series: Series, edges: Array
    ) -> None:
        if result is first:
            panel.stairs(point.load_kw[m], edges, fill=True, color=series.color, alpha=0.25)
        _steps(
            panel, point.load_kw[m], edges, color=series.color, ls=series.line, lw=1.6, label=f"load, {name}"
        )
        capacity = result.instance.stations[m].capacity_kw
        if result is first and capacity <= 1.5 * top:
            panel.axhline(capacity, color=_GREY, ls=(0, (1, 3)), lw=1.2, label="capacity")

    figure = _station_panels(results, "kW", draw)
    limits = [station.capacity_kw for station in first.instance.stations if station.capacity_kw <= 1.5 * top]
    figure.axes[0].set_ylim(0.0, 1.08 * max([top, 1.0, *limits]))
    return figure


def _track(result: Equilibrium, side: str) -> tuple[list[float], list[float]]:
    """Seconds and values of one side of bounds.csv, rows without a value left out."""
    rows = [(s.seconds, getattr(s, side)) for s in result.bounds if getattr(s, side) is not None]
    return [seconds for seconds, _ in rows], [float(value) for _, value in rows]


def bounds_figure(results: Mapping[str, Equilibrium]) -> Figure:
    """Lower and upper bound against seconds; the heuristic's best profit beside them."""
    first = next(iter(results.values()))
    figure = new_figure(7.0, 3.8)
    panel = figure.subplots()
    for (name, result), series in zip(results.items(), SERIES, strict=False):
        for side, fill, word in (("upper", "white", "upper bound"), ("lower", series.color, "profit found")):
            seconds, values = _track(result, side)
            if not values:
                continue
            end = max(result.seconds, seconds[-1])
            panel.step(
                [*seconds, end],
                [*values, values[-1]],
                where="post",
                color=series.color,
                ls=series.line,
                lw=1.5,
                marker=series.marker if len(values) <= 40 else None,
                ms=4,
                mfc=fill,
                label=f"{name}: {word}",
            )
    panel.set_xlabel("seconds")
    panel.set_ylabel(f"{first.instance.currency} in the selected periods")
    _focus(panel, results)
    if panel.get_legend_handles_labels()[0]:
        panel.legend()
    else:
        panel.text(0.5, 0.5, "no bound was found", ha="center", transform=panel.transAxes)
    return figure


def _focus(panel: Axes, results: Mapping[str, Equilibrium]) -> None:
    """Cut off first bounds that are so far out that the end can't be read, and say so."""
    tracks = [_track(result, side)[1] for result in results.values() for side in ("lower", "upper")]
    ends = [track[-1] for track in tracks if track]
    if not ends:
        return
    values = [value for track in tracks for value in track]
    width = max(max(ends) - min(ends), 0.02 * max(map(abs, ends)), 1e-9)
    low, high = min(ends) - 2.0 * width, max(ends) + 4.0 * width
    if min(values) < low or max(values) > high:
        panel.set_ylim(max(low, min(values) - 0.1 * width), min(high, max(values) + 0.1 * width))
        panel.set_title("values far outside the final interval are cut off", fontsize=8, color=_GREY)
