"""The job runs in one Java, which Python is a part of."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import psutil

from ta_pipeline.compute import compute
from ta_pipeline.settings import load_settings
from tests.jobs import beside
from tests.messages import trade, write_recording


def test_the_job_starts_no_other_java_beside_its_own(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "in.jsonl", [trade(number, number, 10.0) for number in range(3)])
    parents: dict[int, str] = {}

    def watch(stop: threading.Event) -> None:
        while not stop.wait(0.05):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if process.name() == "java":
                        parents[process.pid] = psutil.Process(process.ppid()).name()

    with beside(watch):
        compute([recording], tmp_path / "out", load_settings(), {})
    assert parents
    assert "java" not in parents.values()
