"""What all tests share: an environment without the user's settings, and the local stack of the session."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.proofs import Say
from tests.stack import PORT_OFFSET, RunningStack, running_stack

# Where things lie, not how they behave.
_KEPT = {"TA_SHARED_DATA", "TA_LOCAL_DIR", "TA_LOCAL_JARS_DIR", "TA_PROMTOOL_REQUIRED", PORT_OFFSET}

_MEASURED = "measured"
_NEEDING_STACK = ("tests/integration/", "tests/orchestration/", "tests/faults/")
_WITHOUT_STACK = (
    "tests/integration/test_stack_lifecycle.py", "tests/integration/test_kafka_security.py",
    "tests/integration/test_store_credentials.py", "tests/integration/test_kafka_access.py",
    "tests/orchestration/test_code_location.py",
)  # fmt: skip

# Workers of pytest-xdist have a width of 80, and `ta` reads it when it is imported: tests set the one they need.
os.environ.pop("COLUMNS", None)

# A machine that is busy with the stack is slow now and then: that says nothing about the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("TA_") and name not in _KEPT]:
            patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def stack(_no_settings_of_the_user: None) -> Iterator[RunningStack]:
    """The session's local stack: started when the first test asks for it, stopped when the session ends."""
    with running_stack() as running:
        yield running


@pytest.fixture
def say(record_property: Callable[[str, object], None]) -> Say:
    """Put a measured figure into the summary on the terminal."""
    return lambda text: record_property(_MEASURED, text)


class FailuresAtOnce:
    """Tells of a failure when it happens: a session that is cut off never gets to its summary."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._terminal.write_line(f"\n{report.nodeid}: {report.when} failed after {report.duration:.0f} s")
            self._terminal.write_line(report.longreprtext)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(FailuresAtOnce(terminal))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests have said."""
    reports = [one for reports in terminalreporter.stats.values() for one in reports]
    calls = [one for one in reports if isinstance(one, pytest.TestReport) and one.when == "call"]
    said = [str(value) for one in calls for name, value in one.user_properties if name == _MEASURED]
    if said:
        terminalreporter.section(_MEASURED)
        terminalreporter.write_line("\n".join(said))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """One worker has the tests that need the stack, the others share the rest."""
    return StackAndRest(config, log)


class StackAndRest(LoadScopeScheduling):
    """There is one stack: tests that need it run one after the other. Of the rest, each module is by itself."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(_NEEDING_STACK) and not nodeid.startswith(_WITHOUT_STACK):
            return "stack"
        return str(super()._split_scope(nodeid))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the stack; the time to start it is not theirs."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(func_only=True))
