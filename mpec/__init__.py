"""Certified Stackelberg prices for EV charging stations.

    import instances, mpec
    game = instances.load("ieee33-road16").select(periods=(8, 10))
    equilibrium = mpec.solve(game, gap=0.01)
    certificate = mpec.certify(game, equilibrium)

Everything below is imported when it is first used, so that `import mpec` and `mpec --help` are quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from instances.model import Instance
    from mpec.certificate import certify as certify
    from mpec.data_frames import frames as frames
    from mpec.equilibrium import Equilibrium
    from mpec.gravitational_search import best_response as best_response
    from mpec.reformulation import single_level as single_level
    from mpec.result_folder import read as load

__version__ = "0.1.0"
__all__ = ["best_response", "certify", "frames", "load", "respond", "single_level", "solve"]

_HOMES = {
    "best_response": ("mpec.gravitational_search", "best_response"),
    "certify": ("mpec.certificate", "certify"),
    "frames": ("mpec.data_frames", "frames"),
    "load": ("mpec.result_folder", "read"),
    "single_level": ("mpec.reformulation", "single_level"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mpec' has no attribute {name!r}; it has {', '.join(__all__)}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)


def solve(instance: Instance, **options: Any) -> Equilibrium:
    """A certified equilibrium of the game; ``options`` are the fields of mpec.options.SolveOptions.

    Raises ValueError for options that mean nothing, SolverMissing where the solver can't be used.
    """
    from mpec.options import SolveOptions
    from mpec.orchestrator import solve_game
    from mpec.route_rounds import solve_on_generated_routes

    chosen = SolveOptions(**options)
    return (
        solve_on_generated_routes(instance, chosen)
        if chosen.generate_routes
        else solve_game(instance, chosen)
    )


def respond(instance: Instance, prices: np.ndarray, *, pessimistic: bool = False) -> Equilibrium:
    """What the followers answer to ``prices`` (M, T); ties hour by hour for the leader, or against it."""
    from mpec.followers.answer import follow

    return follow(instance, prices, pessimistic=pessimistic)
