"""The users' answer to given charging prices in one period: exact Wardrop equilibrium, eqs. (15), (22)-(31).

The flows come from `wardrop`, ties among equilibria with the same road times from `ties`, the claim that
the answer is unique from `uniqueness`. With residual flow (xi > 0) an hour can have several isolated
equilibria: several starts are tried and the best one for `favour` is returned, but only a proof makes
`unique` True.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from formulations.routes import RouteSet
from mpec.followers.splits import best_splits
from mpec.followers.uniqueness import answer_is_unique
from mpec.followers.users_model import UsersModel
from mpec.followers.wardrop import equilibria, free_flow_start, gap_of

Array = np.ndarray[Any, Any]


GOOD = 1e-10
"""A relative gap up to which flows count as an equilibrium."""


@dataclass(frozen=True)
class UsersAnswer:
    """One period's users. R routes, A roads, N O-D pairs, M stations.

    flows (R,) veh/h; road_flow (A,) veh/h; road_time (A,) h; cost (R,) money/veh; cheapest (N,)
    money/veh (inf for a pair without routes); modified, residual (N,) veh/h; load (M,) kW; gap: largest
    share of an O-D pair's cost that is above the cheapest route, or relative miss of its demand (23)-(26);
    unique: proven that every equilibrium has these loads, modified demands and residuals.
    """

    flows: Array
    road_flow: Array
    road_time: Array
    cost: Array
    cheapest: Array
    modified: Array
    residual: Array
    load: Array
    gap: float
    unique: bool


@dataclass
class Users:
    """The users of one instance on a route set, kept for repeated calls."""

    routes: RouteSet
    model: UsersModel = field(init=False)
    demand: Array = field(init=False)

    def __post_init__(self) -> None:
        instance = self.routes.instance
        self.model = UsersModel.of(self.routes)
        self.demand = np.array(
            [[instance.demand(pair, period) for period in instance.periods] for pair in instance.pairs], float
        ).reshape(len(instance.pairs), len(instance.periods))

    def fixed_cost(self, prices: Array) -> Array:
        """Charging bill plus outside cost of every route, (K, M) -> (K, R), money/veh."""
        return np.asarray(prices @ self.model.plan_kwh.T + self.model.outside_cost)

    def right_side(self, t: int, incoming: Array) -> Array:
        """D = W + xi r_in of the O-D pairs that have routes, (K, N) -> (K, slots), veh/h.

        Raises ValueError when a pair without routes has vehicles.
        """
        total = self.demand[:, t] + self.routes.instance.users.xi * np.asarray(incoming, float)
        lost = np.ones(total.shape[-1], bool)
        lost[self.model.slot_pair] = False
        if (total[..., lost] > 0.0).any():
            pair = self.routes.instance.pairs[int(np.flatnonzero(lost & (total > 0.0).any(axis=0))[0])]
            raise ValueError(
                f"vehicles from {pair.origin} to {pair.destination} have no feasible route; "
                "give the pair an outside_cost, a larger battery or a station on its way"
            )
        return np.asarray(total[..., self.model.slot_pair])

    def solve(
        self, t: int, prices: Array, incoming: Array, start: Array | None = None
    ) -> tuple[Array, Array]:
        """Flows (K, R) and gaps (K,) for prices (K, M) and incoming residuals (K, N), from one start each
        (rows that don't get below a gap of 1e-10 are tried again from others)."""
        fixed, demand = self.fixed_cost(prices), self.right_side(t, incoming)
        flows, gap = equilibria(self.model, fixed, demand, start)
        for other in self.starts(5) if np.any(gap > GOOD) else ():
            bad = np.flatnonzero(gap > GOOD)
            again, smaller = equilibria(self.model, fixed[bad], demand[bad], np.tile(other, (len(bad), 1)))
            better = smaller < gap[bad]
            flows[bad[better]], gap[bad[better]] = again[better], smaller[better]
        return flows, gap

    def starts(self, count: int, seed: int = 0) -> Array:
        """Different flows (count, R) to start from, scaled to the demand by the solver."""
        rng = np.random.default_rng(seed)
        spread = np.ones((max(count, 0), len(self.model.pair)))
        if count > 1:
            # Nearly one route per pair, a different one in every start: corners of the simplex.
            draws = rng.random((count - 1, len(self.model.pair)))
            top = np.maximum.reduceat(draws, self.model.starts, axis=1)[:, self.model.slot]
            spread[1:] = np.where(draws == top, 1.0, 1e-3)
        return spread

    def residual(self, flows: Array) -> tuple[Array, Array, Array]:
        """Residual (24), modified demand (23) and station load (22): (K, N), (K, N), (K, M)."""
        instance, model = self.routes.instance, self.model
        road, _ = model.road_time(flows @ model.on_road)
        time = model.route_time(road)
        residual = np.zeros((len(flows), len(instance.pairs)))
        modified = np.zeros_like(residual)
        if len(model.starts):
            residual[:, model.slot_pair] = instance.residual_rate * model.slot_sum(flows * time)
            modified[:, model.slot_pair] = model.slot_sum(flows)
        return residual, modified, flows @ model.plan_kwh

    def pack(self, flows: Array, prices: Array, gap: float, unique: bool) -> UsersAnswer:
        """Everything that follows from flows (R,) at prices (M,), recomputed exactly."""
        model = self.model
        road_flow = flows @ model.on_road
        road, _ = model.road_time(road_flow[None])
        cost = (model.kappa * model.route_time(road) + self.fixed_cost(prices[None]))[0]
        cheapest = np.full(len(self.routes.instance.pairs), np.inf)
        if len(model.starts):
            cheapest[model.slot_pair] = model.slot_min(cost[None])[0]
        residual, modified, load = (v[0] for v in self.residual(flows[None]))
        return UsersAnswer(
            flows, road_flow, road[0], cost, cheapest, modified, residual, load, float(gap), unique
        )

    def gap(self, t: int, flows: Array, prices: Array, incoming: Array) -> float:
        """The gap of flows (R,), as in :class:`UsersAnswer`."""
        return float(
            gap_of(
                self.model, flows[None], self.fixed_cost(prices[None]), self.right_side(t, incoming[None])
            )[0]
        )

    def answer(
        self,
        t: int,
        prices: Array,
        incoming: Array,
        *,
        start: Array | None = None,
        favour: Array | None = None,
        capacity_kw: Array | None = None,
        starts: int = 4,
    ) -> UsersAnswer:
        """One period's equilibrium; see :func:`users_equilibrium`."""
        prices, incoming = np.asarray(prices, float), np.asarray(incoming, float)
        found = self.candidates(t, prices, incoming, start=start, starts=starts)
        flows = found[0]
        if favour is not None or capacity_kw is not None:
            worth = np.zeros(len(flows)) if favour is None else np.asarray(favour, float)
            flows = self._favoured(t, np.array(found), prices, incoming, worth, capacity_kw)
        unique = len(found) == 1 and answer_is_unique(self, t, flows, prices, incoming)
        return self.pack(flows, prices, self.gap(t, flows, prices, incoming), unique)

    def _favoured(
        self, t: int, found: Array, prices: Array, incoming: Array, favour: Array, capacity_kw: Array | None
    ) -> Array:
        """Of equilibria (n, R) and their ties the one with least excess, then the largest favour . w."""
        count = len(found)
        fixed = np.tile(self.fixed_cost(prices[None]), (count, 1))
        demand = np.tile(self.right_side(t, incoming[None]), (count, 1))
        splits = best_splits(self.model, found, fixed, demand, favour, capacity_kw)
        load = splits @ self.model.plan_kwh
        over = np.zeros(count) if capacity_kw is None else np.maximum(load - capacity_kw, 0.0).sum(axis=1)
        allowed = over <= over.min() * (1 + 1e-9) + 1e-9
        return np.asarray(splits[int(np.argmax(np.where(allowed, splits @ favour, -np.inf)))])

    def candidates(
        self, t: int, prices: Array, incoming: Array, *, start: Array | None = None, starts: int = 4
    ) -> list[Array]:
        """Clearly different equilibria (R,) met from several starts; just one when xi = 0.

        Equilibria with nearly the same road times are taken for ties of each other. A start that does
        not converge to 1e-10 is left out, unless none does: then the best one is kept and its gap tells.
        """
        if not len(self.model.pair):
            return [np.zeros(0)]
        several = starts if self.model.residual_share > 0.0 else 1
        fixed, demand = self.fixed_cost(prices[None]), self.right_side(t, incoming[None])
        first = free_flow_start(self.model, fixed, demand) if start is None else start[None]
        begin = np.vstack([first, self.starts(several - 1)])
        count = len(begin)
        flows, gap = self.solve(t, np.tile(prices, (count, 1)), np.tile(incoming, (count, 1)), begin)
        good = gap <= max(GOOD, float(gap.min()))
        kept: list[Array] = []
        marks: list[Array] = []
        for w in flows[good]:
            road, _ = self.model.road_time((w @ self.model.on_road)[None])
            if not any(np.allclose(road[0], other, rtol=1e-4, atol=0.0) for other in marks):
                marks.append(road[0])
                kept.append(w)
        return kept


def users_equilibrium(
    routes: RouteSet,
    t: int,
    prices: Array,
    incoming: Array,
    *,
    start: Array | None = None,
    favour: Array | None = None,
    capacity_kw: Array | None = None,
) -> UsersAnswer:
    """The users' equilibrium of period index t at prices (M,) money/kWh and incoming residuals (N,) veh/h.

    start (R,): flows to begin from. favour (R,): money per unit of route flow to be maximised among
    equilibria (negate it for the worst one). capacity_kw (M,): equilibria that respect it are preferred.
    Raises ValueError when an O-D pair with vehicles has no route.
    """
    return Users(routes).answer(t, prices, incoming, start=start, favour=favour, capacity_kw=capacity_kw)
