"""What assets, checks and sensors are given: the deployment, as the environment of the code location declares it."""

from functools import cache
from typing import TypeAlias

import dagster as dg

from ta_pipeline.platform import Platform

PLATFORM = "platform"
PlatformResource: TypeAlias = dg.ResourceParam[Platform]


@cache
def declared_platform() -> Platform:
    """The deployment that `TA_*` declare here; read once for each process.

    Raises:
        SettingsError: a setting is not allowed; the code location does not load.
    """
    return Platform.here()
