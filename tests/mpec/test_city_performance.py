"""The table of cities: what is said of workers is measured or called a projection; rows are replaced when asked."""

from __future__ import annotations

import time
from pathlib import Path

from mpec import city_performance as bench
from mpec.bench_rows import read_rows
from mpec.executors import Tasks

ROW = dict.fromkeys(bench.FIELDS, "") | {"instance": "city", "periods": "1-24", "pairs": "30", "workers": "1"}


def test_the_projection_is_amdahls_law_on_the_measured_serial_share():
    one = ROW | {"to_2_percent_s": "100", "serial_share": "0.2"}
    two = ROW | {"workers": "2", "to_2_percent_s": "80", "two_at_once": "1.3"}
    said = bench.table([one, two])
    assert "measured speed-up 1.25" in said
    assert "got 1.3 times as much done as one on this machine" in said
    # 20 s stay, the other 80 s become 8 s
    assert "20 % lay outside the hours' tasks (measured)" in said
    assert "Projection, not measured: by Amdahl's law 10 whole cores take 28 s, 3.6 times less" in said


def test_without_a_measured_share_nothing_is_projected():
    one, two = ROW | {"to_5_percent_s": "60"}, ROW | {"workers": "2", "to_5_percent_s": "40"}
    said = bench.table([one, two])
    assert "to_5_percent_s 60 with 1 worker, 40 with 2: measured speed-up 1.50" in said
    assert "rojection" not in said


def test_tasks_count_what_they_did_in_this_process():
    tasks = Tasks(1)
    tasks.map(time.sleep, [(0.02,), (0.03,)])
    assert 0.05 <= tasks.spent_here < 5.0


def test_rows_are_kept_or_measured_again(tmp_path: Path):
    """The second call has its row; with --again there is still one row, a new one; the results are kept."""
    command = [
        "tie",
        "--seconds",
        "20",
        "--no-recheck",
        "--out",
        str(tmp_path),
        "--keep",
        str(tmp_path / "kept"),
    ]
    bench.main(command)
    path = tmp_path / "cities.csv"
    (first,) = read_rows(path)
    assert float(first["gap"]) <= 0.02
    assert 0.0 <= float(first["serial_share"]) <= 1.0
    assert first["two_at_once"] == ""
    (kept,) = (tmp_path / "kept").iterdir()
    assert (kept / "certificate.json").is_file()
    text = path.read_text()
    bench.main(command)
    assert path.read_text() == text
    bench.main([*command, "--again"])
    assert len(read_rows(path)) == 1


def _burn(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_processor_time_of_ended_workers_counts():
    tasks = Tasks(2)
    before = bench._cpu_seconds()
    tasks.map(_burn, [(0.3,)] * 4)
    tasks.close()
    assert bench._cpu_seconds() - before >= 1.1
