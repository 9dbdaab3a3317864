"""Thirty faults in a row while a market runs: nothing lost, nothing doubled, and how long each recovery took."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.faults import campaign, report
from tests.faults.faults import KILL, faults, possible
from tests.stack import RunningStack

FAULTS = 30
SEED = int(os.environ.get("FAULTS_SEED", "2026"))
AIMS = {"taskmanager": 20.0, "jobmanager": 40.0}
"""From a kill to committed records, 95th percentile, seconds."""
BROKER_AIM = 20.0
"""From the broker being back to committed records."""


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
    left_out = [fault.name for fault in faults() if fault not in possible()]
    say(f"report: {report.write(proof, SEED, breakable.settings, left_out)}")
    for component, aim in AIMS.items():
        found = [o.committed for o in proof.outcomes if (o.fault.kind, o.fault.component) == (KILL, component)]
        assert np.percentile(found, 95) <= aim, (component, found)
    back = [o.committed_after_ready for o in proof.outcomes if o.fault.name == f"kafka: {KILL}"]
    assert max(back) <= BROKER_AIM, back
