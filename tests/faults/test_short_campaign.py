"""Six faults in a row: the short form of test_campaign.py, in every run of the tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import campaign
from tests.faults.faults import faults
from tests.proofs import Say
from tests.stack import RunningStack

SEED = 6
NAMES = (
    "taskmanager: kill -9", "kafka: kill -9", "jobmanager: kill -9", "s3: kill -9", "clickhouse: kill -9",
    "job: restart from a savepoint",
)  # fmt: skip


@pytest.mark.timeout(600, func_only=True)
def test_six_faults_lose_nothing_and_double_nothing(stack: RunningStack, tmp_path: Path, say: Say) -> None:
    by_name = {fault.name: fault for fault in faults()}
    proof = campaign.run(stack, [by_name[name] for name in NAMES], SEED, tmp_path, say)
    say(f"{proof.bars} bars and {proof.signals} signals as in an undisturbed run, {proof.rows} keys in ClickHouse")
    assert proof.bars > 0
