"""What all tests share: an environment without the user's settings, and the local stack of the session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hypothesis
import pytest
from rich.console import Console

from tests.proofs import Say
from tests.stack import PORT_OFFSET, RunningStack, running_stack

# Where things lie, not how they behave.
_KEPT = {"TA_SHARED_DATA", "TA_LOCAL_DIR", "TA_LOCAL_JARS_DIR", PORT_OFFSET}

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
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Put a measured figure on the terminal."""

    def to_terminal(text: str) -> None:
        with capsys.disabled():
            Console().print(f"\n  {text}", highlight=False, soft_wrap=True)

    return to_terminal


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the stack; the time to start it is not theirs."""
    for item in items:
        if "stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.stack)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(func_only=True))
