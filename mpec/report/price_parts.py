"""Nodal prices taken apart: energy, congestion, voltage, from what a result folder holds.

The duals of the operator's program are not stored, but the prices at all buses and the limits that the
stored dispatch reaches determine them. With the network eliminated, a price changes from bus to bus only
where a limit further out is reached:

    lambda_b = lambda_root + sum over the lines l between root and b of (jump of l),
    jump of l in (lambda, pi) = sum_i y_i n_i (full sides i of l's octagon) + (r_l, x_l) sum_j z_j
                                (j: buses beyond l whose voltage is at a limit).

The y, z are fitted to the stored jumps. Energy part: the price at the root (import and substation);
congestion part: the jumps of the y; voltage part: those of the z. Where the fit leaves a rest, or where
several splits fit equally well, there is no answer, and NaN says so: nothing is guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from formulations.dispatch_data import INNER_SCALE
from formulations.feeder_tree import FeederTree, feeder_tree
from instances.model import Instance
from mpec.equilibrium import Point

Array = np.ndarray

REACHED = 1e-6
"""A limit counts as reached within this share of a line's rating, or so many p.u. of voltage."""

FIT = 1e-6
"""Largest rest of the fit, relative to the largest price of the period and scenario."""

_SIDES = ((1.0, 0.0), (0.0, 1.0), (math.sqrt(0.5), math.sqrt(0.5)), (math.sqrt(0.5), -math.sqrt(0.5)))


@dataclass(frozen=True)
class PriceParts:
    """Parts of the conditional prices lambda_s/(p_s dt), money/kWh; NaN where the split isn't determined.

    energy (2, S, T): at the root, active and reactive. congestion, voltage (2, S, T, B).
    """

    energy: Array
    congestion: Array
    voltage: Array

    def at_stations(self, instance: Instance) -> dict[str, Array]:
        """Expected parts (M, T) of a kWh at each station's power factor: sum_s p_s (lambda + tan phi pi)."""
        share = np.array([s.probability for s in instance.scenarios])
        bus = np.array([instance.bus_index[s.bus] for s in instance.stations], int)
        tan_phi = np.array([s.tan_phi for s in instance.stations])[:, None]

        def expected(part: Array) -> Array:
            active, reactive = (np.tensordot(share, part[k][..., bus], axes=1).T for k in (0, 1))
            return np.asarray(active + tan_phi * reactive)

        every_bus = np.repeat(self.energy[..., None], len(instance.buses), axis=-1)
        return {
            "energy": expected(every_bus),
            "congestion": expected(self.congestion),
            "voltage": expected(self.voltage),
        }


def price_parts(instance: Instance, point: Point) -> PriceParts:
    """The split of a point's stored prices; see the module. Raises ValueError for a feeder that is no tree."""
    tree = feeder_tree(instance)
    shape = (2, *point.price_active.shape)
    congestion, voltage = np.full(shape, math.nan), np.full(shape, math.nan)
    for s, t in np.ndindex(point.price_active.shape[:2]):
        prices = np.array([point.price_active[s, t], point.price_reactive[s, t]])
        sides = _full_sides(instance, point.line_kw[s, t], point.line_kvar[s, t])
        split = _split(instance, tree, prices, sides, _voltage_limits(instance, point.voltage_pu[s, t]))
        if split is not None:
            congestion[:, s, t], voltage[:, s, t] = split
    energy = np.array([point.price_active[..., tree.root], point.price_reactive[..., tree.root]])
    return PriceParts(energy, congestion, voltage)


def _full_sides(instance: Instance, kw: Array, kvar: Array) -> list[tuple[int, tuple[float, float]]]:
    """(line, normal) of every side of an octagon, (10) and (11), that the stored flow reaches."""
    scale = INNER_SCALE if instance.feeder.polygon == "inner" else 1.0
    return [
        (n, side)
        for n, line in enumerate(instance.lines)
        for side in _SIDES
        if abs(side[0] * kw[n] + side[1] * kvar[n]) >= (1.0 - REACHED) * scale * line.rating_kva
    ]


def _voltage_limits(instance: Instance, level: Array) -> list[int]:
    """Buses whose stored voltage is at its upper or lower limit."""
    return [
        b
        for b, bus in enumerate(instance.buses)
        if min(level[b] - bus.vmin_pu, bus.vmax_pu - level[b]) <= REACHED
    ]


def _split(
    instance: Instance,
    tree: FeederTree,
    prices: Array,
    sides: list[tuple[int, tuple[float, float]]],
    limits: list[int],
) -> tuple[Array, Array] | None:
    """(congestion, voltage), each (2, B), for prices (2, B) of one period and scenario; None: no answer."""
    lines = len(instance.lines)
    jumps = prices[:, list(tree.far)] - prices[:, list(tree.near)]
    size = max(float(np.abs(prices).max()), 1e-12)
    if not np.isfinite(prices).all():
        return None
    columns = [_side_jump(lines, n, normal) for n, normal in sides]
    ohm = np.array([[line.r_ohm for line in instance.lines], [line.x_ohm for line in instance.lines]])
    # The root's own voltage is given: its limit has no price.
    columns += [(ohm * tree.downstream[:, b]).ravel() for b in limits if b != tree.root]
    matrix = np.array([c / max(float(np.abs(c).max()), 1e-300) for c in columns]).reshape(-1, 2 * lines).T
    multiplier, null = _fit(matrix, jumps.ravel())
    if np.abs(matrix @ multiplier - jumps.ravel()).max(initial=0.0) > FIT * size:
        return None
    by_lines = matrix[:, : len(sides)]
    if np.abs(by_lines @ null[: len(sides)]).max(initial=0.0) > 1e-9:
        return None
    congestion = (by_lines @ multiplier[: len(sides)]).reshape(2, lines) @ tree.downstream
    return congestion, prices - prices[:, [tree.root]] - congestion


def _side_jump(lines: int, line: int, normal: tuple[float, float]) -> Array:
    column = np.zeros((2, lines))
    column[:, line] = normal
    return column.ravel()


def _fit(matrix: Array, target: Array) -> tuple[Array, Array]:
    """Least-squares solution, and a basis (columns) of the directions that the fit leaves open."""
    count = matrix.shape[1]
    if count == 0:
        return np.zeros(0), np.zeros((0, 0))
    left, values, right = np.linalg.svd(matrix, full_matrices=True)
    rank = int((values > 1e-9 * max(float(values.max()), 1e-300)).sum())
    solution = right[:rank].T @ ((left[:, :rank].T @ target) / values[:rank])
    return solution, right[rank:].T
