"""ClickHouse: the engine inside chdb behind `ta_pipeline.local.clickhouse_front`, which speaks its HTTP interface."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from ta_pipeline.local.components import Component, nothing
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import answers
from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.settings import Settings


def clickhouse(local: LocalSettings, settings: Settings, arrange: Callable[[], object] = nothing) -> Component:
    """ClickHouse's HTTP interface at `clickhouse_port`, for the user of `TA_CLICKHOUSE_*`."""
    home = local.dir / "clickhouse"
    config = home / "front.json"
    return Component(
        name="clickhouse",
        command=(sys.executable, "-m", "ta_pipeline.local.clickhouse_front", str(config)),
        ports={"clickhouse_port": local.clickhouse_port},
        environment={"PYTHONPATH": str(REPOSITORY)},
        files={
            config: json.dumps(
                {
                    "host": LOOPBACK,
                    "port": local.clickhouse_port,
                    "data": str(home / "data"),
                    "user": settings.clickhouse_username,
                    "password": settings.clickhouse_password.get_secret_value(),
                }
            )
        },
        ready=lambda: _ready(local.clickhouse_port),
        arrange=arrange,
        stop_wait_seconds=20,
    )


def _ready(port: int) -> None:
    answers(f"http://{LOOPBACK}:{port}/ping")
