from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.namespaces import bring_up_loopback, is_own_namespace
from tests.outages import small_disk
from tests.stack import RunningStack


@pytest.fixture(scope="session", autouse=True)
def _network() -> None:
    if is_own_namespace():
        bring_up_loopback()


@pytest.fixture
def breakable(stack: RunningStack) -> Iterator[RunningStack]:
    """The stack, with a small disk for ClickHouse where that is allowed; well again afterwards."""
    if not is_own_namespace():
        yield stack
        stack.await_ready()
        return
    with small_disk(stack):
        yield stack
        stack.await_ready()
