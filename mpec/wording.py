"""Numbers as they are printed."""

from __future__ import annotations

import math


def money(value: float | None, digits: int = 2) -> str:
    """'19 655.13', or 'none' for a number that doesn't exist; what rounds to nothing has no sign."""
    if value is None or not math.isfinite(value):
        return "none"
    return f"{round(value, digits) + 0.0:,.{digits}f}".replace(",", " ")


def percent(value: float | None) -> str:
    """'0.95 %', or 'none' for a share that doesn't exist."""
    return "none" if value is None or not math.isfinite(value) else f"{100.0 * value:.3g} %"


def span(seconds: float) -> str:
    """'45 s', '12 min' or '1 h 05 min'."""
    if seconds < 90.0:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60.0)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
