"""What both followers answer to given charging prices over the day, hour by hour forward.

The residual flow of an hour enters the next one, so hours are answered in order. Among an hour's
equilibria the greedy choice is the one with the largest profit of that hour (pessimistic: the least); over
the day that is neither the best nor the worst answer, and it is labelled so.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from formulations.prices import owned
from formulations.routes import RouteSet, route_set
from formulations.tariff import fixed_prices, tariff_box
from instances.model import Instance
from mpec.equilibrium import Equilibrium
from mpec.followers.assemble import point
from mpec.followers.dispatch import DispatchSolver
from mpec.followers.regulated import regulated_prices
from mpec.followers.splits import favoured_splits
from mpec.followers.uniqueness import answer_is_unique
from mpec.followers.users import Users

Array = np.ndarray[Any, Any]


@dataclass
class Follower:
    """Both followers of one instance, with everything kept that helps the next call."""

    instance: Instance
    routes: RouteSet | None = None
    pessimistic: bool = False
    users: Users = field(init=False)
    dispatch: DispatchSolver = field(init=False)
    capacity_kw: Array = field(init=False)
    own: Array = field(init=False)
    _tariff: Array | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.routes is None:
            self.routes = route_set(self.instance)
        self.users = Users(self.routes)
        self.dispatch = DispatchSolver(self.instance)
        self.capacity_kw = np.array([m.capacity_kw for m in self.instance.stations], float)
        self.own = owned(self.instance)
        if self.instance.tariff_mode == "fixed":
            self._tariff = fixed_prices(self.instance)
        elif self.instance.tariff_mode == "regulated":
            box = tariff_box(self.instance)
            # A tariff near the mean cap, to judge a tie by before the day's loads are known.
            self._tariff = np.clip(np.broadcast_to(box.mean[:, None], box.low.shape), box.low, box.high)

    # ---- the hour --------------------------------------------------------------------------------
    def _electricity(self, t: int, load: Array) -> Array:
        """The price the leader is taken to pay in hour t at loads (K, M), (K, M) money/kWh."""
        if self._tariff is not None:
            return np.broadcast_to(self._tariff[:, t], load.shape)
        return self.dispatch.prices(t, load, favour=-1 if self.pessimistic else 1)[0]

    def _paid(self, t: int, load: Array, prices: Array) -> Array:
        """What of the prices (K, M) isn't the leader's margin: electricity, and all of it at a rival's station."""
        return np.where(self.own > 0.0, self._electricity(t, load), prices)

    def _splits(self, t: int, flows: Array, prices: Array, incoming: Array) -> Array:
        """The ties (K, R) of equilibria (K, R) that suit the leader best (or worst)."""
        return favoured_splits(
            self.users.model,
            flows,
            prices,
            self.users.fixed_cost(prices),
            self.users.right_side(t, incoming),
            lambda rows, load: self._paid(t, load, prices[rows]),
            self.capacity_kw,
            -1.0 if self.pessimistic else 1.0,
        )

    def _best(self, t: int, flows: Array, prices: Array) -> int:
        """Which of the splits (n, R) the greedy choice takes: least excess first, then the hour's profit."""
        load = flows @ self.users.model.plan_kwh
        over = np.maximum(load - self.capacity_kw * (1 + 1e-9), 0.0).sum(axis=1)
        profit = ((prices - self._electricity(t, load)) * self.own * load).sum(axis=1)
        allowed = over <= over.min() * (1 + 1e-9)
        return int(np.argmax(np.where(allowed, -profit if self.pessimistic else profit, -np.inf)))

    def hour(self, t: int, prices: Array, incoming: Array) -> tuple[Array, Array, Array]:
        """Hour t at prices (K, M) and arriving residuals (K, N): loads (K, M) kW, leaving residuals (K, N),
        costs (K,) money/h: what of the users' payments the leader doesn't keep, for electricity and to rivals. Ties
        as in :meth:`answer`, one start. Tariff ``regulated`` couples the hours: there the electricity is paid at a
        tariff near the mean cap, not at the day's."""
        flows, _ = self.users.solve(t, prices, incoming)
        flows = self._splits(t, flows, prices, incoming)
        residual, _, load = self.users.residual(flows)
        return load, residual, (self._paid(t, load, prices) * load).sum(axis=1)

    # ---- the day ---------------------------------------------------------------------------------
    def flows(self, prices: Array, *, starts: int = 1) -> tuple[Array, Array, list[bool]]:
        """Route flows (R, T), gaps (T,) and per-hour uniqueness at prices (M, T)."""
        instance, users = self.instance, self.users
        incoming = np.full(len(instance.pairs), instance.users.initial_residual)
        flows = np.zeros((len(users.model.pair), len(instance.periods)))
        gaps, unique = np.zeros(len(instance.periods)), []
        for t in range(len(instance.periods)):
            rho = prices[:, t]
            found = users.candidates(t, rho, incoming, starts=starts)
            count = len(found)
            splits = self._splits(t, np.array(found), np.tile(rho, (count, 1)), np.tile(incoming, (count, 1)))
            chosen = splits[self._best(t, splits, rho)] if count > 1 else splits[0]
            unique.append(len(found) == 1 and answer_is_unique(users, t, chosen, rho, incoming))
            gaps[t] = users.gap(t, chosen, rho, incoming)
            flows[:, t] = chosen
            incoming = users.residual(chosen[None])[0][0]
        return flows, gaps, unique

    def answer(self, prices: Array, *, starts: int = 4) -> Equilibrium:
        """The followers' answer as an Equilibrium with method "respond"; see :func:`follow`."""
        began = time.perf_counter()
        prices = _checked(self.instance, prices)
        flows, gaps, unique = self.flows(prices, starts=starts)
        assert self.routes is not None
        favour = -1 if self.pessimistic else 1
        found = point(
            self.instance, prices, flows, self.routes, favour=favour, solver=self.dispatch, users=self.users
        )
        worst = float(gaps.max(initial=0.0))
        return Equilibrium(
            instance=self.instance,
            method="respond",
            status="feasible",
            point=found,
            seconds=time.perf_counter() - began,
            solver=self.dispatch.solver,
            options={
                "pessimistic": self.pessimistic,
                "ties": "greedy hour by hour "
                + ("against" if self.pessimistic else "in favour of")
                + " the leader",
                "users_gap": worst,
            },
            unique=all(unique),
            reason="" if worst <= 1e-10 else f"the users' relative gap is {worst:.2e}, above 1e-10",
        )

    def evaluate(self, prices: Array) -> tuple[Array, Array]:
        """Profit (K,) money and excess over the stations' limits (K,) kWh at prices (K, M, T); or scalars
        in arrays of shape () at prices (M, T). Ties and prices as in :meth:`answer`, one start an hour."""
        prices = np.asarray(prices, float)
        if prices.ndim == 2:
            profit, excess = self.evaluate(prices[None])
            return profit[0], excess[0]
        profit, hourly = self.evaluate_hours(prices)
        return profit, hourly.sum(axis=1)

    def evaluate_hours(self, prices: Array) -> tuple[Array, Array]:
        """As :meth:`evaluate` at prices (K, M, T), with each hour's excess, (K, T) kWh."""
        instance = self.instance
        count, periods = len(prices), len(instance.periods)
        incoming = np.full((count, len(instance.pairs)), instance.users.initial_residual)
        loads = np.zeros((count, len(instance.stations), periods))
        bill = np.zeros(count)
        for t in range(periods):
            load, incoming, paid = self.hour(t, prices[:, :, t], incoming)
            loads[:, :, t] = load
            bill += paid
        if instance.tariff_mode == "regulated":
            own = self.own[:, None]
            bill = np.array(
                [
                    (np.where(own > 0.0, regulated_prices(instance, load).price, rho) * load).sum()
                    for load, rho in zip(loads, prices, strict=True)
                ]
            )
        profit = instance.period_h * ((prices * loads).sum(axis=(1, 2)) - bill)
        over = np.maximum(loads - self.capacity_kw[None, :, None], 0.0)
        return profit, instance.period_h * over.sum(axis=1)


def _checked(instance: Instance, prices: Array) -> Array:
    prices = np.asarray(prices, float)
    shape = (len(instance.stations), len(instance.periods))
    if prices.shape != shape:
        raise ValueError(f"prices have shape {prices.shape}; stations by periods is {shape}")
    if not np.isfinite(prices).all():
        raise ValueError("prices must be finite numbers, money/kWh")
    return prices


def follow(
    instance: Instance, prices: Array, *, pessimistic: bool = False, routes: RouteSet | None = None
) -> Equilibrium:
    """What users and operator answer to prices (M, T), money/kWh, hour by hour forward.

    Ties are settled greedily in the leader's favour, or against it with `pessimistic`; `unique` says
    whether the answer is proven to be the only one. Prices outside the box are answered all the same.
    Raises ValueError for prices of a wrong shape or where tariff.csv lacks what the mode needs.
    """
    return Follower(instance, routes, pessimistic).answer(prices)
