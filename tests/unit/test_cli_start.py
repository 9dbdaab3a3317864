"""What a command imports: pandas and matplotlib cost half a second, so only commands that need them do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import slow_imports

NOWHERE = {
    "TA_KAFKA_BOOTSTRAP": "127.0.0.1:9", "TA_FLINK_REST_URL": "http://127.0.0.1:9",
    "TA_S3_ENDPOINT": "http://127.0.0.1:9", "TA_CLICKHOUSE_URL": "http://127.0.0.1:9",
    "TA_PROBE_URL": "http://127.0.0.1:9", "TA_SCHEMA_REGISTRY_URL": "http://127.0.0.1:9",
}  # fmt: skip


@pytest.mark.parametrize(
    "command", ["--help", "validate --help", "status", "health", "job status", "rollout status", "savepoint list"]
)
def test_a_command_that_draws_and_compares_nothing_imports_neither_pandas_nor_matplotlib(
    command: str, tmp_path: Path
) -> None:
    assert slow_imports(command, {**NOWHERE, "TA_LOCAL_DIR": str(tmp_path)}) == []
