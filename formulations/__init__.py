"""The algebra of the game: one module per part of the paper, as Pyomo blocks and as exact arithmetic.

``build(instance, ...)`` joins everything into one Pyomo model. It is imported on first use, so that the
solver-free parts (`residuals`, `traffic`, `congestion`) can be used without loading Pyomo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from formulations.game import build

__all__ = ["build"]


def __getattr__(name: str) -> Any:
    if name == "build":
        from formulations.game import build

        return build
    raise AttributeError(f"module 'formulations' has no attribute {name!r}")
