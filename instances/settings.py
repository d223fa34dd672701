"""instance.toml: name, currency, horizon, users, feeder, tariff mode, sources."""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from dataclasses import dataclass
from typing import Any

from instances.cells import range_problem
from instances.errors import Problem
from instances.model import Feeder, Polygon, TariffMode, Users
from instances.schema import SETTINGS_FILE, SMALLEST_POSITIVE
from instances.tables import decode

_NAME = re.compile(r"\w[\w .+-]{0,99}")
_SECTIONS = {
    "": ("name", "currency", "period_h", "periods"),
    "users": ("kappa_per_h", "xi", "tau", "initial_residual"),
    "feeder": (
        "base_kv",
        "base_kva",
        "root_bus",
        "root_voltage_pu",
        "substation_kva",
        "polygon",
        "voll_per_kwh",
        "curtailment_per_kwh",
    ),
    "tariff": ("mode",),
}


@dataclass(frozen=True)
class Settings:
    """What instance.toml says; None where it was refused."""

    name: str | None
    currency: str | None
    period_h: float | None
    periods: int | None
    users: Users | None
    feeder: Feeder | None
    root_bus: str | None
    root_voltage_pu: float | None
    tariff_mode: TariffMode | None
    source: dict[str, str]


class _Section:
    """Typed access to one section; every refusal is a problem."""

    def __init__(self, name: str, values: dict[str, Any], problems: list[Problem]) -> None:
        self.name, self.values, self.problems = name, values, problems
        self.failed = False

    def refuse(self, key: str, message: str, cure: str) -> None:
        where = f"{self.name}.{key}" if self.name else key
        value = self.values.get(key)
        shown = None if key not in self.values else str(value)
        self.problems.append(Problem(SETTINGS_FILE, None, where, shown, message, cure))
        self.failed = True

    def number(
        self,
        key: str,
        cure: str,
        low: float = -math.inf,
        high: float = math.inf,
        default: float | None = None,
    ) -> float:
        value = self.values.get(key, default)
        if value is None:
            self.refuse(key, "is missing.", cure)
            return math.nan
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, "is not a number.", cure)
            return math.nan
        try:
            checked, message = range_problem(float(value), low, high)
        except OverflowError:
            checked, message = None, "is too large."
        if message is not None or checked is None:
            self.refuse(key, message or "is not a number.", cure)
            return math.nan
        return checked

    def text(self, key: str, cure: str) -> str:
        value = self.values.get(key)
        if value is None:
            self.refuse(key, "is missing.", cure)
        elif not isinstance(value, str):
            self.refuse(key, "is not a text in quotation marks.", cure)
        elif not value.strip() or not value.isprintable() or len(value) > 100:
            self.refuse(key, "is empty, too long or holds a control character.", cure)
        else:
            return value.strip()
        return ""

    def choice(self, key: str, options: tuple[str, ...]) -> str:
        cure = "Write " + " or ".join(f'"{o}"' for o in options) + "."
        value = self.text(key, cure)
        if value and value not in options:
            self.refuse(key, "is not known.", cure)
        return value


def read_settings(data: bytes | None, problems: list[Problem]) -> Settings | None:
    """Parse instance.toml; None when it can't be read at all."""
    if data is None:
        problems.append(
            Problem(
                SETTINGS_FILE,
                None,
                None,
                None,
                "the file is missing.",
                "Add it: name, currency, period_h, periods and the sections users, feeder, tariff, source.",
            )
        )
        return None
    text = decode(SETTINGS_FILE, data, problems)
    if text is None:
        return None
    try:
        # TOML itself allows CRLF but not a lone carriage return, which old editors write
        document = tomllib.loads(text.replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        problems.append(
            Problem(SETTINGS_FILE, None, None, None, f"the file is not TOML: {error}.", "Correct that place.")
        )
        return None
    return _settings(document, problems)


def _settings(document: dict[str, Any], problems: list[Problem]) -> Settings:
    top = _Section("", {k: v for k, v in document.items() if not isinstance(v, dict)}, problems)
    sections = {name: _section(document, name, problems) for name in ("users", "feeder", "tariff")}
    _unknown_keys(document, problems)
    name = top.text("name", "Give the instance a name.")
    if name and not _NAME.fullmatch(name):
        top.refuse(
            "name",
            "can't name a folder of results.",
            "Use letters, digits, '-', '_', '.', starting with a letter.",
        )
        name = ""
    feeder_section = sections["feeder"]
    feeder = _feeder(feeder_section) if feeder_section else None
    users = _users(sections["users"]) if sections["users"] else None
    tariff = sections["tariff"]
    mode = tariff.choice("mode", ("fixed", "dlmp", "regulated")) if tariff else ""
    periods = top.values.get("periods")
    if isinstance(periods, bool) or not isinstance(periods, int) or not 1 <= periods <= 100_000:
        problem = "is missing." if periods is None else "is not a whole number from 1 to 100000."
        top.refuse("periods", problem, "Give the number of rows of periods.csv.")
        periods = None
    period_h = top.number("period_h", "Give the length of a period in hours, e.g. 1.", low=SMALLEST_POSITIVE)
    return Settings(
        name=name or None,
        currency=top.text("currency", 'Give the currency, e.g. "CNY".') or None,
        period_h=None if math.isnan(period_h) else period_h,
        periods=periods,
        users=users,
        feeder=None if feeder_section is None or feeder_section.failed else feeder,
        root_bus=feeder.root_bus or None if feeder else None,
        root_voltage_pu=feeder.root_voltage_pu if feeder and not math.isnan(feeder.root_voltage_pu) else None,
        tariff_mode=_mode(mode),
        source=_source(document.get("source", {}), problems),
    )


def _mode(mode: str) -> TariffMode | None:
    modes: dict[str, TariffMode] = {"fixed": "fixed", "dlmp": "dlmp", "regulated": "regulated"}
    return modes.get(mode)


def _section(document: dict[str, Any], name: str, problems: list[Problem]) -> _Section | None:
    values = document.get(name)
    if isinstance(values, dict):
        return _Section(name, values, problems)
    keys = ", ".join(_SECTIONS[name])
    problems.append(
        Problem(SETTINGS_FILE, None, None, None, f"the section [{name}] is missing.", f"Add it with {keys}.")
    )
    return None


def _unknown_keys(document: dict[str, Any], problems: list[Problem]) -> None:
    for section, known in _SECTIONS.items():
        values = document if not section else document.get(section)
        if not isinstance(values, dict):
            continue
        allowed = (*known, "users", "feeder", "tariff", "source") if not section else known
        for key in values:
            if key in allowed:
                continue
            near = difflib.get_close_matches(key, allowed, 1)
            where = f"{section}.{key}" if section else key
            cure = f"Did you mean {near[0]}?" if near else f"The keys here are {', '.join(allowed)}."
            problems.append(Problem(SETTINGS_FILE, None, where, None, "is not a key of this file.", cure))


def _users(section: _Section) -> Users:
    tau = section.values.get("tau", "period")
    tau_money: float | None = None
    if isinstance(tau, str):
        if tau != "period":
            section.refuse(
                "tau", "is not known.", 'Write "period" (kappa times the period) or an amount of money.'
            )
    else:
        tau_money = section.number(
            "tau", 'Write "period" or an amount of money above 0.', low=SMALLEST_POSITIVE
        )
    return Users(
        kappa_per_h=section.number("kappa_per_h", "Give the money value of an hour, 0 or more.", low=0.0),
        xi=section.number("xi", "Give the share of residual flow, 0 or more; 0 for none.", low=0.0),
        tau_money=tau_money,
        initial_residual=section.number(
            "initial_residual", "Give veh/h for every O-D pair, 0 or more.", low=0.0, default=0.0
        ),
    )


def _feeder(section: _Section) -> Feeder:
    root = section.values.get("root_bus")
    if isinstance(root, int) and not isinstance(root, bool):
        root_bus = str(root)
    else:
        root_bus = section.text("root_bus", "Give the one bus of buses.csv that the substation feeds.")
    polygon: Polygon = "inner" if section.choice("polygon", ("outer", "inner")) == "inner" else "outer"
    return Feeder(
        base_kv=section.number("base_kv", "Give the line-to-line base voltage in kV.", low=SMALLEST_POSITIVE),
        base_kva=section.number("base_kva", "Give the three-phase base power in kVA.", low=SMALLEST_POSITIVE),
        root_bus=root_bus,
        root_voltage_pu=section.number(
            "root_voltage_pu", "Give it in p.u., e.g. 1.0.", low=SMALLEST_POSITIVE
        ),
        substation_kva=section.number("substation_kva", "Give the rating in kVA.", low=SMALLEST_POSITIVE),
        polygon=polygon,
        voll_per_kwh=section.number(
            "voll_per_kwh", "Give the price of energy not served, money/kWh, above 0.", low=SMALLEST_POSITIVE
        ),
        curtailment_per_kwh=section.number(
            "curtailment_per_kwh", "Give the cost of curtailed wind, money/kWh, 0 or more.", low=0.0
        ),
    )


def _source(values: object, problems: list[Problem]) -> dict[str, str]:
    cure = 'Write lines like roads = "assumed: ...".'
    if not isinstance(values, dict):
        problems.append(Problem(SETTINGS_FILE, None, "source", None, "is not a section.", cure))
        return {}
    for key, value in values.items():
        if not isinstance(value, str):
            problems.append(
                Problem(
                    SETTINGS_FILE,
                    None,
                    f"source.{key}",
                    str(value),
                    "is not a text in quotation marks.",
                    cure,
                )
            )
    return {key: value for key, value in values.items() if isinstance(value, str)}
