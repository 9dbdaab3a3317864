"""What the tests of logs share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ta_pipeline.logs.files import LogFile
from tests.log_files import Opening


@pytest.fixture
def log_of() -> Iterator[Opening]:
    """Logs, which are closed at the end."""
    with ExitStack() as opened:
        yield lambda path, component="a": opened.enter_context(LogFile(component, path))
