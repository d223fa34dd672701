"""The road map of one period: flows, slowdown, stations with their load and price."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path

from instances.model import Instance
from mpec.equilibrium import Point

Array = np.ndarray
NewFigure = Callable[[float, float], Figure]
LABEL_BOX: dict[str, Any] = {"boxstyle": "square,pad=0.25", "fc": "#FFF7D6", "ec": "black", "lw": 0.8}

# From light to dark without a turn, so that it survives a black-and-white print.
_SLOW = mpl.colormaps["cividis_r"]
_FAINTEST = 0.15
"""The lightest part of the colours, which would vanish on white, is left out."""


def node_positions(instance: Instance) -> Array:
    """Positions (nodes, 2), longest side 1: from nodes.csv, else by classical scaling of road distances."""
    nodes = instance.nodes
    place = np.array([[node.x, node.y] for node in nodes], dtype=float)
    if len(nodes) > 1 and np.ptp(place, axis=0).max() == 0.0:
        index = {node.id: i for i, node in enumerate(nodes)}
        ends = ([index[r.from_node] for r in instance.roads], [index[r.to_node] for r in instance.roads])
        length = [max(road.length_km, 1e-9) for road in instance.roads]
        graph = csr_matrix((length, ends), shape=(len(nodes), len(nodes)))
        away = shortest_path(graph, directed=False)
        away[~np.isfinite(away)] = 2.0 * away[np.isfinite(away)].max()
        centre = np.eye(len(nodes)) - 1.0 / len(nodes)
        values, vectors = np.linalg.eigh(-0.5 * centre @ away**2 @ centre)
        place = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0.0))
    place = place - place.min(axis=0)
    return np.asarray(place / max(float(place.max()), 1e-12))


def road_figure(new_figure: NewFigure, instance: Instance, point: Point, t: int, title: str) -> Figure:
    """Roads of period index ``t``: width by flow, shade by slowdown; stations with their load, kW."""
    place = node_positions(instance)
    index = {node.id: i for i, node in enumerate(instance.nodes)}
    flow = point.road_flow[:, t]
    most = max(float(flow.max()), 1e-12)
    free = np.array([max(road.free_flow_h, 1e-12) for road in instance.roads])
    slow = point.road_time_h[:, t] / free
    norm = Normalize(1.0, max(float(slow.max()), 1.05))
    figure = new_figure(8.2, 1.1 + 6.2 * max(float(place[:, 1].max()), 0.25))
    panel = figure.subplots()
    for a, road in enumerate(instance.roads):
        start, end = place[index[road.from_node]], place[index[road.to_node]]
        used = flow[a] > 1e-6 * most
        color = _SLOW(_FAINTEST + (1.0 - _FAINTEST) * norm(slow[a])) if used else "0.75"
        _road(panel, start, end, 0.8 + 4.5 * flow[a] / most if used else 0.5, color, dashed=not used)
    for node, where in zip(instance.nodes, place, strict=True):
        circle = {"boxstyle": "circle,pad=0.25", "fc": "white", "ec": "0.3", "lw": 0.8}
        panel.text(where[0], where[1], node.id, ha="center", va="center", fontsize=7, zorder=4, bbox=circle)
    _station_labels(panel, instance, point, t, place, index)
    panel.set(xlim=(-0.08, float(place[:, 0].max()) + 0.08), ylim=(-0.08, float(place[:, 1].max()) + 0.08))
    panel.set_aspect("equal")
    panel.set_axis_off()
    panel.set_title(
        f"{title}: period {instance.periods[t].id}. "
        f"Arrow width: flow, up to {flow.max():.0f} veh/h; dashed: unused",
        fontsize=9,
    )
    shades = mpl.colors.ListedColormap(_SLOW(np.linspace(_FAINTEST, 1.0, 256)))
    scale = mpl.cm.ScalarMappable(norm, shades)
    figure.colorbar(scale, ax=panel, label="road time / free-flow time", shrink=0.75, pad=0.02)
    return figure


def _road(panel: Axes, start: Array, end: Array, width: float, color: Any, *, dashed: bool) -> None:
    """One arrow, moved to its right-hand side, so that both directions of a street show."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-12)
    aside = 0.011 * np.array([along[1], -along[0]])
    panel.add_patch(
        FancyArrowPatch(
            tuple(start + aside),
            tuple(end + aside),
            arrowstyle="-|>",
            mutation_scale=6 + 1.6 * width,
            shrinkA=9,
            shrinkB=9,
            lw=width,
            ls=(0, (3, 3)) if dashed else "-",
            color=color,
            zorder=1 if dashed else 2,
        )
    )


def _freest_direction(node: int, place: Array, neighbours: set[int]) -> Array:
    """Unit vector into the widest gap between the roads at a node: where a label covers least."""
    angles = sorted(float(np.arctan2(*(place[other] - place[node])[::-1])) for other in neighbours)
    if not angles:
        return np.array([0.0, 1.0])
    gaps = np.diff([*angles, angles[0] + 2.0 * np.pi])
    widest = int(np.argmax(gaps))
    middle = angles[widest] + 0.5 * gaps[widest]
    return np.array([np.cos(middle), np.sin(middle)])


def _station_labels(
    panel: Axes, instance: Instance, point: Point, t: int, place: Array, index: dict[str, int]
) -> None:
    """Load and price of every station beside its node; several at one node share one label."""
    near: dict[int, set[int]] = {i: set() for i in range(len(place))}
    for road in instance.roads:
        near[index[road.from_node]].add(index[road.to_node])
        near[index[road.to_node]].add(index[road.from_node])
    lines: dict[int, list[str]] = {}
    for m, station in enumerate(instance.stations):
        text = f"{station.id}: {point.load_kw[m, t]:.0f} kW\nat {point.prices[m, t]:.2f}"
        lines.setdefault(index[station.node], []).append(
            text if station.available else f"{station.id}: closed"
        )
    for node, texts in lines.items():
        aside = _freest_direction(node, place, near[node])
        panel.annotate(
            "\n".join(texts),
            place[node],
            xytext=tuple(11.0 * aside),
            textcoords="offset points",
            ha=("right", "center", "left")[int(np.sign(round(aside[0], 1))) + 1],
            va=("top", "center", "bottom")[int(np.sign(round(aside[1], 1))) + 1],
            fontsize=7,
            fontweight="bold",
            zorder=5,
            bbox=LABEL_BOX,
        )
