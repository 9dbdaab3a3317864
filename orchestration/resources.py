"""What assets, checks and sensors are given: the deployment, as the environment of the code location declares it."""

import time
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import dagster as dg

from ta_pipeline.platform import Platform

PLATFORM = "platform"
PlatformResource: TypeAlias = dg.ResourceParam[Platform]
NOW = "now_ms"
NowResource: TypeAlias = dg.ResourceParam[Callable[[], int]]
"""The time, epoch milliseconds: what tests set."""


@cache
def declared_platform() -> Platform:
    """The deployment that `TA_*` declare here; read once for each process.

    Raises:
        SettingsError: a setting is not allowed; the code location does not load.
    """
    return Platform.here()


def epoch_ms() -> int:
    """The time."""
    return time.time_ns() // 1_000_000
