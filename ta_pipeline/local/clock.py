"""The platform's clock as a supervised process; what it does and why: `ta_pipeline.clock`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from ta_pipeline.local.components import Component, nothing
from ta_pipeline.local.settings import REPOSITORY


def clock(variables: Mapping[str, str]) -> Component:
    """The clock, with the `TA_*` variables of the stack; it waits for the broker by itself."""
    return Component(
        name="clock",
        command=(sys.executable, "-m", "ta_pipeline.clock"),
        ports={},
        environment={**variables, "PYTHONPATH": str(REPOSITORY)},
        ready=nothing,
    )
