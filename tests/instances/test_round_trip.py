"""What is written reads back as the same instance; what the format accepts beyond that is read right."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed_instances import good_files

from instances import Instance, InstanceError, bundled_names, files_of, load, parse, problems_of, save
from instances.model import Line, Node, Pair, Road, TariffRow, Users


def encoded(instance: Instance) -> dict[str, bytes]:
    return {file: text.encode() for file, text in files_of(instance).items()}


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_instances_survive_a_round_trip(name: str, tmp_path: Path) -> None:
    instance = load(name)
    again = load(save(instance, tmp_path / "copy"))
    assert again == instance
    assert instance.name == name


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_files_are_what_the_writer_writes(name: str) -> None:
    """So that a difference between two versions of the data is a difference of the numbers."""
    from instances.reader import DATA

    written = files_of(load(name))
    for file, text in written.items():
        found = (DATA / name / file).read_text(encoding="utf-8")
        assert found.replace('"', "") == text.replace('"', ""), file


def test_a_selection_is_an_instance_of_its_own(tmp_path: Path) -> None:
    chosen = load("ieee33-road16").select(periods=(8, 10), xi=0.0, kappa_per_h=150.0, tariff="fixed")
    again = load(save(chosen, tmp_path))
    assert again == chosen
    assert [period.id for period in again.periods] == [8, 9, 10]
    assert {key[2] for key in again.trips} == {8, 9, 10}
    assert again.users == Users(150.0, 0.0)


def test_saving_over_another_instance_leaves_none_of_its_files(tmp_path: Path) -> None:
    save(parse(good_files()), tmp_path)
    assert (tmp_path / "route_set.csv").exists()
    other = replace(load("tie"), tariff={})
    assert load(save(other, tmp_path)) == other


def test_a_declared_route_set_survives(tmp_path: Path) -> None:
    instance = parse(good_files())
    assert load(save(instance, tmp_path)) == instance


def test_bom_crlf_blanks_and_blank_lines_are_accepted() -> None:
    plain = good_files()
    dressed = {}
    for file, data in plain.items():
        text = data.decode()
        if file.endswith(".csv"):
            rows = [", ".join(f" {cell}" for cell in line.split(",")) for line in text.splitlines()]
            text = "\n".join([*rows[:2], "", ",".join([""] * rows[0].count(",") + [""]), *rows[2:]]) + "\n"
        dressed[file] = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert parse(dressed) == parse(plain)


def test_columns_may_stand_in_any_order() -> None:
    plain = good_files()
    turned = dict(plain)
    for file in ("stations.csv", "roads.csv", "tariff.csv"):
        rows = [line.split(",")[::-1] for line in plain[file].decode().splitlines()]
        turned[file] = "\n".join(",".join(row) for row in rows).encode()
    assert parse(turned) == parse(plain)


def test_periods_may_stand_in_any_order_and_begin_anywhere() -> None:
    files = good_files()
    head, *rows = files["periods.csv"].decode().splitlines()
    files["periods.csv"] = "\n".join([head, *rows[::-1]]).encode()
    assert [period.id for period in parse(files).periods] == [8, 9]


def test_root_bus_may_be_an_integer_and_tau_money() -> None:
    files = good_files()
    text = files["instance.toml"].decode()
    text = text.replace('root_bus = "1"', "root_bus = 1").replace('tau = "period"', "tau = 50")
    files["instance.toml"] = text.encode()
    instance = parse(files)
    assert instance.feeder.root_bus == "1"
    assert instance.users.tau_money == 50.0
    assert instance.residual_rate == pytest.approx(100.0 / 50.0)


def test_absent_optional_columns_and_files_mean_not_there() -> None:
    files = encoded(load("tie"))
    for file in ("nodes.csv", "wind.csv", "wind_farms.csv", "tariff.csv"):
        del files[file]
    rows = [line.split(",")[:7] for line in files["roads.csv"].decode().splitlines()]
    files["roads.csv"] = "\n".join(",".join(row) for row in rows).encode()
    files["stations.csv"] = files["stations.csv"].replace(b",price_mean_max", b"").replace(b",1,\n", b",1\n")
    files["vehicles.csv"] = files["vehicles.csv"].replace(b",outside_cost", b"").replace(b",13\n", b"\n")
    instance = parse(files)
    assert instance.nodes == (Node("1"), Node("2"))
    road = instance.roads[0]
    assert (road.bpr_alpha, road.bpr_beta, road.background_veh_per_h) == (0.15, 4.0, 0.0)
    assert instance.stations[0].price_mean_max is None
    assert instance.pairs[0].outside_cost is None
    assert instance.lines[0].rating_kva == math.inf
    assert instance.tariff == {}
    assert instance.route_set is None


def test_missing_trips_are_no_demand() -> None:
    instance = load("two-period-residual")
    files = encoded(instance)
    files["trips.csv"] = b"origin,destination,period,veh_per_h\n1,2,2,90\n"
    fewer = parse(files)
    assert [fewer.demand(fewer.pairs[0], period) for period in fewer.periods] == [0.0, 90.0]


def test_several_stations_may_share_a_node_and_a_bus() -> None:
    files = encoded(load("tie"))
    files["stations.csv"] += b"B,2,2,100,0.9,50,1,0,1,\n"
    files["tariff.csv"] += b"B,1,0.1,0.05,0.2,0.1\n"
    assert [s.id for s in parse(files).stations] == ["A", "B"]


def test_probabilities_are_never_rescaled() -> None:
    files = good_files()
    files["scenarios.csv"] = b"scenario,probability\nlow,0.3\nmedium,0.45\nhigh,0.2500009\n"
    assert [s.probability for s in parse(files).scenarios] == [0.3, 0.45, 0.2500009]


def test_select_refuses_what_the_tariff_does_not_say() -> None:
    bare = replace(load("tie"), tariff={})
    with pytest.raises(InstanceError, match="tariff mode fixed needs a value"):
        bare.select(tariff="fixed")
    assert bare.select(tariff="dlmp").tariff_mode == "dlmp"


def test_select_checks_the_regulated_cap_over_the_selected_periods() -> None:
    instance = load("two-period-residual")
    rows = {key: replace(row, price_min=0.1 if key[1] == 1 else 0.6) for key, row in instance.tariff.items()}
    instance = replace(instance, tariff=rows)
    assert instance.select(tariff="regulated").tariff_mode == "regulated"
    with pytest.raises(InstanceError, match="no tariff is allowed"):
        instance.select(tariff="regulated", periods=(2, 2))


@pytest.mark.parametrize("first", range(1, 25))
def test_every_hour_of_the_city_can_be_selected_in_every_mode(first: int) -> None:
    for mode in ("fixed", "dlmp", "regulated"):
        chosen = load("ieee33-road16").select(periods=(first, first), tariff=mode)  # type: ignore[arg-type]
        assert problems_of(chosen) == []


names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters=">:;"), min_size=1, max_size=8
)
amounts = st.floats(0.0, 1e15, allow_subnormal=True)
positive = st.floats(1e-9, 1e15)


@settings(max_examples=100, deadline=None)
@given(
    ids=st.lists(names.filter(lambda name: name != "outside"), min_size=3, max_size=3, unique=True),
    values=st.lists(amounts, min_size=8, max_size=8),
    capacities=st.lists(positive, min_size=4, max_size=4),
    alpha=st.floats(0.0, 1e15),
    beta=st.one_of(st.just(0.0), st.floats(1.0, 100.0)),
    text=st.text(st.characters(exclude_categories=("Cs",)), max_size=30),
    price=st.floats(-1e15, 1e15),
)
def test_any_number_and_name_survives(
    ids: list[str],
    values: list[float],
    capacities: list[float],
    alpha: float,
    beta: float,
    text: str,
    price: float,
) -> None:
    """Round trip of drawn values, exactly: floats to the last bit, ids and sources of any letters."""
    tie = load("tie")
    a, b, c = ids
    instance = replace(
        tie,
        users=Users(values[0], values[1], capacities[0], values[2]),
        nodes=(Node(a, price, values[3], False), Node(b, 0.0, 0.0, True)),
        roads=(Road(c, a, b, values[3], values[4], capacities[1], values[5], alpha, beta, values[6]),),
        pairs=(Pair(a, b, 1.0, 0.5, max(1.0, values[7]), 1.0, None),),
        trips={(a, b, 1): values[7]},
        lines=(Line(c, "2", "1", values[0], values[1], capacities[2]),),
        stations=(replace(tie.stations[0], id=b, node=b, rated_kva=capacities[3]),),
        tariff={(b, 1): TariffRow(values[4], None, values[5], None)},
        periods=(replace(tie.periods[0], import_price_per_kwh=price),),
        source={text: text, "plain": text + "x"},
    )
    assert problems_of(instance) == []
    assert parse(encoded(instance)) == instance
