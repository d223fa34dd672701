"""The hours on a real Dask cluster: the same certificate, also when a worker is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import instances
from mpec import executors
from mpec.executors import Tasks
from mpec.judging import judge
from mpec.options import SolveOptions
from mpec.orchestrator import solve_game
from mpec.solvers.session import SolverMissing

distributed = pytest.importorskip("distributed", reason="Dask is in the extra [cluster]")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A local scheduler with two worker processes."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as local:
        yield local


def workers(cluster: Any) -> dict[str, int]:
    """Process ids by address."""
    with distributed.Client(cluster.scheduler_address, timeout=20) as client:
        return dict(client.run(os.getpid))


def slow_square(number: int) -> int:
    time.sleep(0.3)
    return number * number


def test_tasks_come_back_in_order_although_a_worker_dies(cluster: Any) -> None:
    tasks = Tasks(2, cluster.scheduler_address)
    try:
        victim = next(iter(workers(cluster).values()))
        threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        assert tasks.map(slow_square, [(i,) for i in range(8)]) == [i * i for i in range(8)]
    finally:
        tasks.close()


def test_a_day_on_the_cluster_is_certified_although_a_worker_dies(cluster: Any) -> None:
    game = instances.load("two-period-residual").select(tariff="dlmp")
    victim = next(iter(workers(cluster).values()))
    killer = threading.Timer(0.7, os.kill, (victim, signal.SIGKILL))
    killer.start()
    result = solve_game(
        game, SolveOptions(gap=1e-4, time_limit=60.0, workers=2, cluster=cluster.scheduler_address)
    )
    killer.join()
    certificate = judge(result, gap=1e-4, recheck=True, pessimistic_seconds=0)
    assert certificate.verdict == "CERTIFIED"
    assert certificate.lower_bound == pytest.approx(1240.0, rel=1e-6)


def test_a_scheduler_that_is_not_there_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "CONNECT_SECONDS", 1)
    with pytest.raises(SolverMissing, match="dask scheduler"):
        Tasks(2, "tcp://127.0.0.1:9")
