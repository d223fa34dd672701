"""One run of a study: a game, a method and its settings; and what makes two runs the same run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from instances.model import Instance

Method = Literal["exact", "heuristic", "policy", "robust"]
METHODS: tuple[Method, ...] = ("exact", "heuristic", "policy", "robust")


@dataclass(frozen=True)
class RunSpec:
    """A run: ``block`` is the name of its [[runs]] table, ``instance`` the name as the file gives it.

    game      the instance with tariff, xi, kappa, price step and periods applied
    settings  the method's own settings, complete: what is not in the file has its default
    base      the run whose prices this one starts from (method robust), else None
    """

    block: str
    method: Method
    instance: str
    game: Instance
    settings: Mapping[str, Any]
    seed: int = 0
    base: RunSpec | None = None

    @property
    def price_step(self) -> float | None:
        """The grid of the leader's prices, money/kWh; None: any price, or a grid of its own at every station."""
        steps = {station.price_step for station in self.game.stations if station.owner == "leader"}
        return next(iter(steps)) if len(steps) == 1 else None

    @property
    def case(self) -> dict[str, Any]:
        """What tells this run's game from those of the same study: the model options and the periods."""
        periods = self.game.periods
        return {
            "instance": self.instance,
            "tariff": self.game.tariff_mode,
            "xi": self.game.users.xi,
            "kappa": self.game.users.kappa_per_h,
            "price_step": self.price_step,
            "first_period": periods[0].id,
            "last_period": periods[-1].id,
        }

    @property
    def identity(self) -> str:
        """Equal for runs that must give equal results: digest of game, method, settings, seed and base."""
        content = {
            "game": hashlib.sha256(repr(self.game).encode()).hexdigest(),
            "method": self.method,
            "settings": dict(self.settings),
            "seed": self.seed,
            "base": None if self.base is None else self.base.identity,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """The name of its result folder: readable, and unique by its identity."""
        case = self.case
        words = [
            self.block,
            str(case["tariff"]),
            f"xi{case['xi']:g}",
            f"kappa{case['kappa']:g}",
            f"{case['first_period']}-{case['last_period']}",
            *([] if self.price_step is None else [f"step{self.price_step:g}"]),
            f"seed{self.seed}",
            self.identity,
        ]
        return re.sub(r"[^\w.-]+", "-", "_".join(words))

    def label(self) -> str:
        """'heuristic: dlmp, xi 0.5, kappa 100, periods 1-24, seed 3' for progress and errors."""
        case = self.case
        parts = [
            f"{self.block}: {case['tariff']}",
            f"xi {case['xi']:g}",
            f"kappa {case['kappa']:g}",
            f"periods {case['first_period']}-{case['last_period']}",
            *([] if self.price_step is None else [f"price step {self.price_step:g}"]),
        ]
        own = [f"{name} {value}" for name, value in self.settings.items() if name in _SHOWN]
        return ", ".join(parts + own + [f"seed {self.seed}"])

    def record(self) -> dict[str, Any]:
        """The run as it stands in equilibrium.json (options.study_run)."""
        return {
            "block": self.block,
            "method": self.method,
            **self.case,
            "settings": dict(self.settings),
            "seed": self.seed,
            "identity": self.identity,
        }


_SHOWN = ("policy", "population", "iterations", "start", "radius")
