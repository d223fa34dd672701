"""What all tests share: the data beside the checkout, and the rule that CI skips nothing silently."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder that EVCS_SHARED names, else ../shared/data beside the checkout; skipped without it."""
    named = os.environ.get("EVCS_SHARED")
    folder = Path(named) if named else BESIDE
    if not folder.is_dir():
        pytest.skip("no shared data: neither EVCS_SHARED nor ../shared/data beside the checkout is a folder")
    return folder


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    return str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI a skipped test is a failure, unless its reason names a licence or the environment that runs it."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or terminal is None:
        return
    reasons = [_reason(report) for report in terminal.stats.get("skipped", [])]
    # .ci/run has such tests run there too, with MPEC_REQUIRE_IMPORT, which allows no skip
    elsewhere = "an environment of its own"
    unexplained = [r for r in reasons if "licence" not in r.lower() and elsewhere not in r]
    if unexplained and session.exitstatus == pytest.ExitCode.OK:
        terminal.write_line(
            f"CI: {len(unexplained)} skipped without naming a licence, which counts as a failure"
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
