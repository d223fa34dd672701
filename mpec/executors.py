"""Where the hours' tasks run: this process, local processes, or a Dask cluster; one small interface.

A worker that dies takes its task with it: the pool is opened anew and the lost tasks are sent again.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from typing import Any

from mpec.solvers.session import SolverMissing

TRIES = 3
"""A task whose worker died this often is run in this process."""

CONNECT_SECONDS = 20
"""How long a Dask scheduler is waited for."""


def _begin_worker(parent: int) -> None:
    """Ctrl-C is for the main process, which ends the pool itself; a killed one can't, so a worker watches."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_with(parent)


def leave_with(parent: int) -> None:
    """From here on this process ends when its parent, the process ``parent``, has gone."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    """End this process when its parent has gone: nobody would take its results."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _nothing() -> None:
    """A first task, so that the workers exist before any solver runs in this process."""


class Tasks:
    """Runs functions on many arguments, submitted in their order; results in that order, or as they come.

    ``spent_here``: seconds of the tasks that ran in this process, one after the other: what workers could share.
    """

    def __init__(self, workers: int = 1, cluster: str | None = None) -> None:
        self.workers, self.cluster = workers, cluster
        self.spent_here = 0.0
        self._executor: Executor | None = None
        self._client: Any = None
        # What says that a worker, or the scheduler, is gone; a cluster has its own ways of saying so.
        self._lost: tuple[type[BaseException], ...] = (BrokenExecutor, CancelledError, SolverMissing)
        if cluster:
            self._open().submit(_nothing).result()
        elif workers > 1:
            try:
                self._open().submit(_nothing).result()
            except BrokenExecutor:
                self.close()  # a worker that was killed at birth; the next call opens the pool anew

    def _open(self) -> Executor:
        if self._executor is None:
            if self.cluster:
                self._executor = self._open_cluster(self.cluster)
            else:
                self._executor = ProcessPoolExecutor(
                    self.workers,
                    mp_context=multiprocessing.get_context("fork"),
                    initializer=_begin_worker,
                    initargs=(os.getpid(),),
                )
        return self._executor

    def _open_cluster(self, address: str) -> Executor:
        try:
            import distributed
            from distributed.client import FutureCancelledError
            from distributed.comm.core import CommClosedError
            from distributed.scheduler import KilledWorker
        except ImportError as error:
            raise SolverMissing(
                "--cluster needs Dask distributed; install it with: pip install 'evcs-mpec[cluster]'"
            ) from error
        self._lost += (FutureCancelledError, CommClosedError, KilledWorker)
        try:
            self._client = distributed.Client(address, timeout=CONNECT_SECONDS)  # type: ignore[no-untyped-call]  # it has no annotations
        except (OSError, TimeoutError, ValueError) as error:
            raise SolverMissing(
                f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler` "
                "and give its address, e.g. tcp://127.0.0.1:8786"
            ) from error
        executor: Executor = self._client.get_executor()
        return executor

    def map(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """[function(*a) for a in arguments], wherever it runs. An error of the function itself is raised."""
        results = dict(self.each(function, arguments))
        return [results[i] for i in range(len(arguments))]

    def each(
        self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Any]]:
        """(i, function(*arguments[i])) for all i, as they are done. An error of the function is raised."""
        open_tasks = list(range(len(arguments)))
        for _ in range(TRIES if self.workers > 1 or self.cluster else 0):
            if not open_tasks:
                return
            try:
                executor = self._open()
                futures: dict[Future[Any], int] = {
                    executor.submit(function, *arguments[i]): i for i in open_tasks
                }
                for future in as_completed(futures):
                    result = future.result()
                    open_tasks.remove(futures[future])
                    yield futures[future], result
            except self._lost:
                # Also a scheduler that is gone: what is left is then done in this process.
                self.close()
        for i in open_tasks:
            began = time.perf_counter()
            result = function(*arguments[i])
            self.spent_here += time.perf_counter() - began
            yield i, result

    def close(self) -> None:
        """End the workers now; what they were doing is lost."""
        if self._executor is not None:
            processes = list((getattr(self._executor, "_processes", None) or {}).values())
            if self._client is None:
                self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            for process in processes:
                # Only a process that was waited for counts in the processor time of its parent's children.
                process.join(timeout=2.0)
            self._executor = None
        if self._client is not None:
            self._client.close()
            self._client = None
