"""The arrays of `mpec assign` for roads that were read here, and the flow of everybody else on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from instances.model import Node, Road
from mpec.assignment import assign
from mpec.importing.pieces import PairKey, refusal
from mpec.road_network import RoadNetwork, trip_table


def road_network(nodes: Sequence[Node], roads: Sequence[Road]) -> RoadNetwork:
    """Nodes and roads as arrays, in their order."""
    index = {node.id: i for i, node in enumerate(nodes)}

    def column(name: str) -> list[float]:
        return [getattr(road, name) for road in roads]

    return RoadNetwork(
        nodes=tuple(index),
        through=np.array([node.through for node in nodes]),
        names=tuple(road.id for road in roads),
        tail=np.array([index[road.from_node] for road in roads], int),
        head=np.array([index[road.to_node] for road in roads], int),
        free_flow=np.array(column("free_flow_h")),
        alpha=np.array(column("bpr_alpha")),
        capacity=np.array(column("capacity_veh_per_h")),
        beta=np.array(column("bpr_beta")),
        background=np.array(column("background_veh_per_h")),
        fixed_cost=np.zeros(len(roads)),
    )


def with_background(
    nodes: Sequence[Node], roads: Sequence[Road], trips: Mapping[PairKey, float], share: float, name: str
) -> tuple[Road, ...]:
    """The roads with ``share`` of the users' equilibrium flow of ``trips`` (veh/h) as other traffic.

    The equilibrium is to a relative gap of 1e-10. Raises InstanceError where trips have no way.
    """
    network = road_network(nodes, roads)
    index = {node.id: i for i, node in enumerate(nodes)}
    ends = np.array([(index[o], index[d]) for o, d in trips], int).reshape(len(trips), 2)
    try:
        found = assign(network, trip_table(ends[:, 0], ends[:, 1], np.array(list(trips.values()))), gap=1e-10)
    except ValueError as error:
        raise refusal(name, f"{error}.", "Remove the trips, or connect the nodes.") from error
    return tuple(
        replace(road, background_veh_per_h=round(road.background_veh_per_h + share * float(flow), 6))
        for road, flow in zip(roads, found.flow, strict=True)
    )
