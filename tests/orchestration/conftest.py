"""What tests of rollouts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ta_pipeline.platform import Platform
from tests.rollouts import own_platform
from tests.stack import RunningStack


@pytest.fixture
def platform(stack: RunningStack) -> Iterator[Platform]:
    """A deployment of the test's own."""
    with own_platform(stack) as made:
        yield made
