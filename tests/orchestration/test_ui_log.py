"""`ta ui` shows what Dagster says, and keeps it as lines of the table; ended, it leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.logs.fields import NAMES

pytestmark = pytest.mark.more

WAIT_SECONDS = 180.0


@pytest.mark.timeout(300, func_only=True)
def test_the_daemon_logs_lines_of_the_table_into_the_file_of_the_stack(tmp_path: Path) -> None:
    environment = {**os.environ, "TA_LOCAL_DIR": str(tmp_path), "TA_LOG_FORMAT": "text"}
    with subprocess.Popen(
        [sys.executable, "-c", "from ta_pipeline.cli import main; main()", "ui", "--daemon"], cwd=REPOSITORY,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            (begins,) = awaited(tmp_path / "logs" / "dagster.log", "daemons")
            started = psutil.Process(process.pid).children(recursive=True)
            assert started
            process.send_signal(signal.SIGTERM)
            shown, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert set(begins) <= set(NAMES)
    assert (begins["component"], begins["level"]) == ("dagster", "INFO")
    # For a person: a sentence, and no JSON.
    assert f"{begins['time']} INFO " in shown
    assert f'"{begins["logger"]}"' not in shown
    assert psutil.wait_procs(started, timeout=30)[1] == []


def awaited(path: Path, word: str) -> list[dict[str, Any]]:
    """The first line of a log that says this word, once there is one."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if path.exists():
            lines = [json.loads(one) for one in path.read_text(encoding="utf-8").splitlines() if one.startswith("{")]
            if found := [line for line in lines if word in line["message"]]:
                return found[:1]
        time.sleep(0.5)
    raise AssertionError(f"nothing about {word}: {path.read_text(encoding='utf-8') if path.exists() else 'no log'}")
