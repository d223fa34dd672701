"""The radial feeder as a tree: who feeds whom. Lines are oriented from the root outward.

The order of a line's ends in the file does not matter: positive line flow always points away from the
root, in the formulation, in results and in residuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from instances.model import Instance

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FeederTree:
    """Indices as in the instance: B buses, L = B - 1 lines.

    order: buses from the root outward (root first, every bus after its parent).
    parent[b], parent_line[b]: the bus and the line that feed bus b; -1 at the root.
    near[l], far[l]: the ends of line l towards the root and away from it.
    children[b]: the lines that leave bus b outward.
    """

    root: int
    order: tuple[int, ...]
    parent: tuple[int, ...]
    parent_line: tuple[int, ...]
    near: tuple[int, ...]
    far: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]

    @cached_property
    def downstream(self) -> Array:
        """(L, B), 1 where bus b is fed through line l: flow of l = sum of its downstream net demand."""
        matrix = np.zeros((len(self.near), len(self.order)))
        for bus in self.order:
            line = self.parent_line[bus]
            if line >= 0:
                upstream = self.parent_line[self.parent[bus]]
                if upstream >= 0:
                    matrix[:, bus] = matrix[:, self.parent[bus]]
                matrix[line, bus] = 1.0
        return matrix


def feeder_tree(instance: Instance) -> FeederTree:
    """Orient the feeder from its root.

    Raises ValueError where the lines are not a tree that reaches every bus (the reader of instance
    folders refuses such a feeder with file and row; this guards feeders built in code).
    """
    buses, lines = instance.bus_index, instance.lines
    touching: list[list[tuple[int, int]]] = [[] for _ in instance.buses]
    for index, line in enumerate(lines):
        a, b = buses[line.from_bus], buses[line.to_bus]
        touching[a].append((index, b))
        touching[b].append((index, a))
    root = buses[instance.feeder.root_bus]
    parent, parent_line = [-1] * len(buses), [-1] * len(buses)
    near, far = [-1] * len(lines), [-1] * len(lines)
    children: list[list[int]] = [[] for _ in instance.buses]
    order, reached = [root], {root}
    for bus in order:
        for index, other in touching[bus]:
            if index == parent_line[bus]:
                continue
            if other in reached:
                raise ValueError(
                    f"line {lines[index].id} closes a loop; the feeder must be radial. "
                    "Leave out the lines that are normally open."
                )
            parent[other], parent_line[other] = bus, index
            near[index], far[index] = bus, other
            children[bus].append(index)
            order.append(other)
            reached.add(other)
    if len(order) < len(buses):
        lost = [bus.id for i, bus in enumerate(instance.buses) if i not in reached]
        raise ValueError(
            f"no line connects the buses {', '.join(lost)} with the root bus "
            f"{instance.feeder.root_bus}. Add the missing lines."
        )
    return FeederTree(
        root=root,
        order=tuple(order),
        parent=tuple(parent),
        parent_line=tuple(parent_line),
        near=tuple(near),
        far=tuple(far),
        children=tuple(tuple(c) for c in children),
    )
