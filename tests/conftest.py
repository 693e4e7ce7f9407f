"""Rules for every test run.

What lives here: on CI (``SEAWAY_NO_SKIP=1``), a skipped browser or Node.js test fails the run; and
communicators wait longer than projects would have it, as machines may be busy; and servers under
test know Ctrl+C.
What must not: fixtures; they live beside the tests that use them.
"""

import os
import signal

import pytest

# The contract of layers fails with the values, as tests do; before anybody imports it.
pytest.register_assert_rewrite("seaway.testing")

from seaway.testing.application import ApplicationCommunicator  # noqa: E402

ApplicationCommunicator.patience = 10.0

# A shell that runs us in the background has SIGINT ignored, and what we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

MUST_RUN = ("browser", "node")
NO_SKIP = bool(os.environ.get("SEAWAY_NO_SKIP"))


def wrongly_skipped(config: pytest.Config) -> list[str]:
    """Names of skipped tests that CI must run; a module skipped whole cannot tell, and counts."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not NO_SKIP:
        return []
    return [
        report.nodeid
        for report in terminal.stats.get("skipped", [])
        if isinstance(report, pytest.CollectReport)
        or any(marker in report.keywords for marker in MUST_RUN)
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if wrongly_skipped(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    skipped = wrongly_skipped(config)
    if skipped:
        terminalreporter.section("Skipped, but SEAWAY_NO_SKIP is set", red=True, bold=True)
        for name in skipped:
            terminalreporter.line(name)
