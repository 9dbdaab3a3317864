"""Thirty faults in a row while a market runs: nothing lost, nothing doubled, and how long each recovery took."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.faults import campaign, report
from tests.faults.faults import faults, possible
from tests.stack import RunningStack

FAULTS = 30
SEED = int(os.environ.get("FAULTS_SEED", "2026"))


@pytest.mark.faults
@pytest.mark.timeout(7_200, func_only=True)
def test_thirty_faults_lose_nothing_and_double_nothing(
    breakable: RunningStack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def say(text: str) -> None:
        with capsys.disabled():
            sys.stderr.write(text + "\n")

    chosen = campaign.drawn(possible(), FAULTS, SEED)
    proof = campaign.run(breakable, chosen, SEED, tmp_path, say)
    allowed = {fault.name for fault in possible()}
    left_out = [fault.name for fault in faults() if fault.name not in allowed]
    say(f"report: {report.write(proof, SEED, breakable.settings, left_out)}")
