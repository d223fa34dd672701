"""The feeder as a tree in one period: voltages, active power, limits reached, station loads."""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from instances.model import Instance
from mpec.equilibrium import Point
from mpec.road_map import LABEL_BOX, NewFigure

Array = np.ndarray

# From dark to light without a turn, so that it survives a black-and-white print.
_VOLTAGE = mpl.colormaps["cividis"]
_AT_LIMIT = 0.9999
_NEAR_PU = 1e-5


def tree_positions(instance: Instance) -> tuple[Array, list[int]]:
    """Feeder layout: positions (buses, 2), column = lines from the root, row = lateral; and parent buses.

    The longest way down is the top row. Laterals are laid from its end back to the root, so that no
    connection crosses another row.
    """
    index = instance.bus_index
    root = index[instance.feeder.root_bus]
    near: dict[int, list[int]] = {b: [] for b in range(len(instance.buses))}
    for line in instance.lines:
        near[index[line.from_bus]].append(index[line.to_bus])
        near[index[line.to_bus]].append(index[line.from_bus])
    order, parent = [root], [-1] * len(instance.buses)
    for bus in order:
        for other in near[bus]:
            if other != parent[bus]:
                parent[other] = bus
                order.append(other)
    depth = [1] * len(instance.buses)
    for bus in reversed(order[1:]):
        depth[parent[bus]] = max(depth[parent[bus]], depth[bus] + 1)
    place, rows, starts = np.zeros((len(instance.buses), 2)), 0, [root]
    while starts:
        lateral = [starts.pop()]
        for here in lateral:
            place[here] = 0.0 if here == root else place[parent[here], 0] + 1.0, -rows
            below = sorted((b for b in near[here] if b != parent[here]), key=lambda b: -depth[b])
            lateral += below[:1]
            starts += below[1:]
        rows += 1
    return place, parent


def full_lines(instance: Instance, p_kw: Array, q_kvar: Array) -> Array:
    """Which lines (L,) are at a side of their octagon, (10) and (11)."""
    shrink = math.cos(math.pi / 8.0) if instance.feeder.polygon == "inner" else 1.0
    rating = np.array([line.rating_kva for line in instance.lines]) * shrink
    sides = [
        np.abs(p_kw),
        np.abs(q_kvar),
        np.abs(p_kw + q_kvar) / math.sqrt(2),
        np.abs(p_kw - q_kvar) / math.sqrt(2),
    ]
    return np.asarray(np.max(sides, axis=0) >= _AT_LIMIT * rating)


def feeder_figure(new_figure: NewFigure, instance: Instance, point: Point, t: int, title: str) -> Figure:
    """Feeder in period index ``t``, scenario of the lowest voltage: bus shade, line width by active power."""
    place, parent = tree_positions(instance)
    s = int(np.argmin(point.voltage_pu[:, t].min(axis=1)))
    voltage, power = point.voltage_pu[s, t], point.line_kw[s, t]
    norm = Normalize(float(voltage.min()) - 1e-4, float(voltage.max()) + 1e-4)
    rows = 1.0 - float(place[:, 1].min())
    figure = new_figure(max(5.0, 1.8 + 0.52 * (1.0 + float(place[:, 0].max()))), 0.7 + 0.95 * rows)
    panel = figure.subplots()
    _lines(panel, instance, place, parent, power, full_lines(instance, power, point.line_kvar[s, t]))
    buses = panel.scatter(
        place[:, 0],
        place[:, 1],
        c=voltage,
        cmap=_VOLTAGE,
        norm=norm,
        s=190,
        edgecolors="black",
        lw=0.7,
        zorder=3,
    )
    for bus, where, level in zip(instance.buses, place, voltage, strict=True):
        x, y = float(where[0]), float(where[1])
        ink = "white" if norm(level) < 0.55 else "black"
        panel.text(x, y, bus.id, ha="center", va="center", fontsize=6.5, color=ink, zorder=4)
        limit = min(level - bus.vmin_pu, bus.vmax_pu - level) < _NEAR_PU
        text, weight = (f"{level:.3f}\nlimit", "bold") if limit else (f"{level:.3f}", "normal")
        panel.text(
            x, y - 0.2, text, ha="center", va="top", fontsize=6, fontweight=weight, color="0.15", zorder=4
        )
    _station_labels(panel, instance, point, t, place)
    panel.set(ylim=(float(place[:, 1].min()) - 0.5, 0.75))
    panel.set_axis_off()
    panel.set_title(
        f"{title}: period {instance.periods[t].id}, scenario {instance.scenarios[s].id}. "
        f"Line width: active power, up to {np.abs(power).max():.0f} kW; black: at its limit",
        fontsize=9,
    )
    figure.colorbar(buses, ax=panel, label="voltage, p.u.", shrink=0.9, pad=0.02)
    return figure


def _lines(
    panel: Axes, instance: Instance, place: Array, parent: list[int], power: Array, full: Array
) -> None:
    """Every line from its parent bus down to its row and along it."""
    most = max(float(np.abs(power).max()), 1e-12)
    for line, kw, at_limit in zip(instance.lines, power, full, strict=True):
        a, b = instance.bus_index[line.from_bus], instance.bus_index[line.to_bus]
        child, above = (b, a) if parent[b] == a else (a, b)
        x, y = [place[above, 0], place[above, 0], place[child, 0]], [place[above, 1], *[place[child, 1]] * 2]
        width = 0.8 + 5.0 * abs(kw) / most
        panel.plot(x, y, color="black" if at_limit else "0.6", lw=width, zorder=1, solid_joinstyle="miter")
        if at_limit:
            middle = 0.5 * (place[above, 0] + place[child, 0])
            panel.text(middle, y[2] + 0.07, "full", fontsize=6.5, ha="center", fontweight="bold")


def _station_labels(panel: Axes, instance: Instance, point: Point, t: int, place: Array) -> None:
    """Load of every station above its bus; several at one bus share one label."""
    texts: dict[str, list[str]] = {}
    for m, station in enumerate(instance.stations):
        texts.setdefault(station.bus, []).append(f"{station.id}\n{point.load_kw[m, t]:.0f} kW")
    for bus, lines in texts.items():
        panel.annotate(
            "\n".join(lines),
            place[instance.bus_index[bus]],
            xytext=(0, 10),
            textcoords="offset points",
            fontsize=7,
            fontweight="bold",
            ha="center",
            va="bottom",
            zorder=5,
            bbox=LABEL_BOX,
        )
