"""A declared route set (route_set.csv) as indices, refused where a vehicle could not drive it."""

from __future__ import annotations

from formulations.charging_plan import path_rules
from instances.errors import InstanceError, Problem
from instances.model import DeclaredRoute, Instance

OUTSIDE = "outside"
"""The path of the route that leaves the game; it comes from outside_cost and may be declared too."""

SLACK_KWH = 1e-6
"""Plans are written with finitely many digits; beyond this, a limit counts as broken."""

IndexedRoute = tuple[int, tuple[int, ...], tuple[tuple[int, float], ...]]


def declared_routes(instance: Instance) -> list[IndexedRoute]:
    """(pair, roads, plan) of every declared route inside the game, each once.

    Raises InstanceError with every route that is no simple path of its pair or has an impossible plan, eqs.
    (16)-(21). (A folder's reader says more about each cell; instances made in Python come here directly.)
    """
    problems: list[Problem] = []
    found: dict[IndexedRoute, None] = {}
    for position, declared in enumerate(instance.route_set or ()):
        if declared.path == (OUTSIDE,):
            continue
        route = _indexed(instance, declared)
        if isinstance(route, str):
            problems.append(
                Problem(
                    "route_set.csv", position + 2, "path", ">".join(declared.path), route,
                    "Declare consecutive roads from origin to destination that visit no node twice, and kWh "
                    "that the vehicle and the stations on the way allow.",
                )
            )  # fmt: skip
        else:
            found[route] = None
    if problems:
        raise InstanceError(problems, instance.name)
    return list(found)


def _indexed(instance: Instance, declared: DeclaredRoute) -> IndexedRoute | str:
    """The route as indices, or what is wrong with it."""
    index = instance.pair_index.get((declared.origin, declared.destination))
    if index is None:
        return f"is for '{declared.origin}', '{declared.destination}', which is not a pair of vehicles.csv."
    unknown = [name for name in declared.path if name not in instance.road_index]
    if unknown:
        return f"holds '{unknown[0]}', which is not a road of roads.csv."
    chosen = [instance.roads[instance.road_index[name]] for name in declared.path]
    nodes = [declared.origin, *(road.to_node for road in chosen)]
    if [road.from_node for road in chosen] != nodes[:-1] or nodes[-1] != declared.destination:
        return "is not a chain of roads from the origin to the destination."
    if len(set(nodes)) < len(nodes):
        return "visits a node twice."
    closed = {node.id for node in instance.nodes if not node.through}
    if closed.intersection(nodes[1:-1]):
        return "passes through a node where through is 0."
    roads = tuple(instance.road_index[name] for name in declared.path)
    plan = {instance.station_index.get(name, -1): kwh for name, kwh in declared.plan if kwh != 0.0}
    rules = path_rules(instance, instance.pairs[index], roads)
    if rules is None:
        return "can't be driven with the energy of vehicles.csv, whatever is charged."
    if len(plan) < sum(kwh != 0.0 for _, kwh in declared.plan) or not set(plan) <= set(rules.stations):
        return "has a plan with a station that is not available on the path, or twice."
    if rules.violation([plan.get(m, 0.0) for m in rules.stations]) > SLACK_KWH:
        return "has a plan that breaks a limit of the vehicle or of a stop."
    return index, roads, tuple(sorted(plan.items()))
