"""Where the hours' tasks run: this process, local processes, or a Dask cluster; one small interface.

A worker that dies takes its task with it: the pool is opened anew and the lost tasks are sent again.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from typing import Any

from mpec.solvers.session import SolverMissing

TRIES = 3
"""A task whose worker died this often is run in this process."""


def _ignore_interrupts() -> None:
    """Ctrl-C is for the main process, which ends the pool itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _nothing() -> None:
    """A first task, so that the workers exist before any solver runs in this process."""


class Tasks:
    """Runs functions on many arguments, in order of submission; results come back in the same order."""

    def __init__(self, workers: int = 1, cluster: str | None = None) -> None:
        self.workers, self.cluster = workers, cluster
        self._executor: Executor | None = None
        self._client: Any = None
        if workers > 1 or cluster:
            self._open().submit(_nothing).result()

    def _open(self) -> Executor:
        if self._executor is None:
            if self.cluster:
                self._executor = self._open_cluster(self.cluster)
            else:
                self._executor = ProcessPoolExecutor(
                    self.workers,
                    mp_context=multiprocessing.get_context("fork"),
                    initializer=_ignore_interrupts,
                )
        return self._executor

    def _open_cluster(self, address: str) -> Executor:
        try:
            import distributed
        except ImportError as error:
            raise SolverMissing(
                "--cluster needs Dask distributed; install it with: pip install 'evcs-mpec[cluster]'"
            ) from error
        try:
            self._client = distributed.Client(address, timeout=20)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            raise SolverMissing(
                f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler` "
                "and give its address, e.g. tcp://127.0.0.1:8786"
            ) from error
        executor: Executor = self._client.get_executor()
        return executor

    def map(self, function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """[function(*a) for a in arguments], wherever it runs. An error of the function itself is raised."""
        if self.workers <= 1 and not self.cluster:
            return [function(*a) for a in arguments]
        results: dict[int, Any] = {}
        for _ in range(TRIES):
            open_tasks = [i for i in range(len(arguments)) if i not in results]
            if not open_tasks:
                break
            try:
                executor = self._open()
                futures: dict[int, Future[Any]] = {
                    i: executor.submit(function, *arguments[i]) for i in open_tasks
                }
                for i, future in futures.items():
                    results[i] = future.result()
            except (BrokenExecutor, CancelledError):
                self.close()
        for i in range(len(arguments)):
            if i not in results:
                results[i] = function(*arguments[i])
        return [results[i] for i in range(len(arguments))]

    def close(self) -> None:
        """End the workers now; what they were doing is lost."""
        if self._executor is not None:
            processes = list((getattr(self._executor, "_processes", None) or {}).values())
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()
            self._executor = None
        if self._client is not None:
            self._client.close()
            self._client = None
