"""The certificate on the page: every check with its tolerance, what every M rests on, and who judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mpec.report.markup import Markup, element, share, table
from mpec.report.sources import Stored, number
from mpec.report.verdicts import NONE, badge, finite_text

CHECKS = {
    "numbers": "every stored number is finite",
    "price_box": "charging prices within their box",
    "posted_prices": "rivals' charging prices as they post them",
    "price_grid": "charging prices multiples of their steps",
    "mean_price_cap": "mean charging price within the station's cap",
    "route_validity": "every used route is a path that visits no node twice, with an allowed plan",
    "charging_plan": "energy on the way within the battery's limits (16)–(21)",
    "route_cost": "cost of every used route (15), (25), (29), (30)",
    "cheapest_cost": "cheapest cost of every O-D pair, as stated",
    "flow_sign": "flows not negative (31)",
    "station_load": "station loads from the flows (22)",
    "demand_served": "the flows of an O-D pair add up to its demand (23)",
    "demand_data": "demand as in the instance",
    "residual_flow": "residual flow (24), (26)",
    "demand_conservation": "no vehicle is lost or made from hour to hour",
    "road_flow": "road flows from the route flows (27)",
    "road_time": "road times from the flows (29)",
    "capacity": "station capacity (2), (3)",
    "electricity_price": "electricity prices from the nodal prices, or the tariff",
    "price_interval": "stated electricity price within its stated interval",
    "active_balance": "active power balance (7)",
    "reactive_balance": "reactive power balance (8)",
    "voltage_drop": "voltage along every line (9)",
    "voltage_limits": "voltage limits",
    "substation": "substation limits (5), (6)",
    "line_limits": "line limits (10), (11)",
    "wind": "wind power (12), (13)",
    "recourse": "shedding and emergency supply",
    "profit": "profit recomputed (1)",
    "wardrop": "no used route dearer than the cheapest, found by a search of the judge's own (31)",
    "dearer_routes_in_total": "flow on dearer routes altogether",
    "cheapest_cost_stated": "stated cheapest cost equals the judge's",
    "dispatch_feasible": "the dispatch keeps every limit of the operator's program (4)–(13)",
    "dispatch_optimal": "the dispatch costs as little as possible (4)",
    "nodal_prices_on_dual_face": "nodal prices are optimal duals of the operator's program",
    "price_interval_on_dual_face": "the electricity price interval spans the optimal dual face",
    "big_m_sources": "every M has a finite value and a source",
    "big_m_admit_the_point": "no M cuts off the point",
    "upper_bound_holds": "no judged profit above the upper bound",
    "upper_bound_recorded": "the upper bound is the recorded one",
    "upper_bound_rechecked": "the upper bound was re-proved from the instance",
    "intervals_contain_the_point": "every stated interval contains the point",
    "lower_bound_stated": "the stated lower bound is not above the judged profit",
    "bounds_table": "no row of bounds.csv contradicts the result",
    "figures_stated": "the stated totals are those of the point",
}
"""What each check of the judge says, in words; a check that is not listed appears under its own name."""


def certificate_block(stored: Stored, number_of: int) -> Markup:
    """The certificate of one result; the page's script shows the block of the chosen result."""
    if stored.certificate is None:
        content: list[object] = [
            element(
                "p", f"There is no certificate.json: run mpec certify {stored.folder.name}.", class_="warning"
            )
        ]
    else:
        content = [
            _summary(stored),
            _checks(stored.certificate),
            *_big_m(stored.certificate),
            _origin(stored),
        ]
    return element("div", *content, class_="certificate", data_result=str(number_of))


def _summary(stored: Stored) -> Markup:
    certificate = stored.certificate or {}
    checks = certificate["checks"]
    failed = sum(check.get("passed") is not True for check in checks)
    said = f"all {len(checks)} checks passed" if not failed else f"{failed} of {len(checks)} checks FAILED"
    facts = [
        ("Route set", certificate.get("route_set")),
        ("No cheaper route exists at this equilibrium", _yes_or_no(certificate)),
        ("Recheck of the upper bound", certificate.get("recheck")),
        ("A used route may be dearer than the cheapest by (ε)", finite_text(certificate.get("epsilon"))),
        ("Target gap", share(number(certificate.get("target_gap")))),
        (
            "Profit earned on routes dearer by more than 1e-9",
            finite_text(certificate.get("profit_on_tolerance"), 6),
        ),
        (
            "Largest voltage error against AC power flow, p.u.",
            finite_text(certificate.get("ac_voltage_error_pu")),
        ),
        ("Largest gap left in the road times' relaxation, h", finite_text(certificate.get("bpr_gap_h"))),
    ]
    rows = [[name, NONE if value is None else str(value)] for name, value in facts]
    return element("div", element("p", badge(stored.verdict), " ", said, "."), table(["", "value"], rows))


def _yes_or_no(certificate: Mapping[str, Any]) -> str | None:
    """The search over all routes, which has not seen the route set."""
    found, saving = certificate.get("no_cheaper_route"), certificate.get("largest_saving")
    if found is True:
        return "true: searched over all routes of the road network"
    if found is not False or not isinstance(saving, Mapping):
        return None
    place = f"{saving.get('origin')}>{saving.get('destination')} in period {saving.get('period')}"
    return f"FALSE: {place} could save {finite_text(saving.get('saving'))} a vehicle on an undeclared route"


def _checks(certificate: Mapping[str, Any]) -> Markup:
    rows = []
    for check in certificate["checks"]:
        name = str(check.get("name"))
        passed = check.get("passed") is True
        rows.append(
            [
                element("span", "✔ passed" if passed else "✘ FAILED", class_="pass" if passed else "fail"),
                Markup(f"{element('span', CHECKS.get(name, name))}{element('code', name)}")
                if name in CHECKS
                else element("code", name),
                finite_text(check.get("value")) if number(check.get("value")) is not None else "no value",
                finite_text(check.get("tolerance")),
                str(check.get("where") or ""),
            ]
        )
    header = ["", "check", "largest violation", "tolerance", "where it is largest"]
    return table(header, rows, caption="Checks, each against its tolerance")


def _big_m(certificate: Mapping[str, Any]) -> list[Markup]:
    """Ms by side and source: how many, how many proven, how large."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in certificate["big_m"]:
        groups.setdefault((str(entry.get("side")), str(entry.get("source"))), []).append(entry)
    if not groups:
        return [element("p", "No M is part of the bound, or none is recorded.")]
    rows = []
    for (side, source), entries in groups.items():
        values = [value for entry in entries if (value := number(entry.get("value"))) is not None]
        proven = sum(entry.get("proven") is True for entry in entries)
        span = [finite_text(min(values)), finite_text(max(values))] if values else [NONE, NONE]
        words = str(proven) if proven == len(entries) else f"{proven}, {len(entries) - proven} ASSUMED"
        rows.append([side, str(len(entries)), words, *span, source])
    header = ["side", "count", "proven", "smallest", "largest", "source"]
    return [
        table(
            header,
            rows,
            caption="Big-M values of the bound, by side and source (all of them: certificate.json)",
        )
    ]


def _origin(stored: Stored) -> Markup:
    """Solver, seeds, versions and times, of the solution and of the judge."""
    certificate = stored.certificate or {}
    versions = certificate.get("versions")
    rows = [
        ["method", stored.result.method],
        ["solver", stored.result.solver or NONE],
        ["seed", str(stored.result.seed)],
        ["solved in, s", finite_text(stored.result.seconds, 6)],
        ["judged in, s", finite_text(certificate.get("seconds"), 6)],
        ["versions, solved", ", ".join(f"{k} {v}" for k, v in stored.result.versions.items()) or NONE],
        [
            "versions, judged",
            ", ".join(f"{k} {v}" for k, v in versions.items()) if isinstance(versions, dict) else NONE,
        ],
        ["instance, SHA-256", str(stored.claims.get("instance_sha256", NONE))],
    ]
    return table(
        ["", "value"],
        [[name, Markup(element("span", value))] for name, value in rows],
        caption="Where it comes from",
    )
