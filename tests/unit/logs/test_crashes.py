"""An exception that nobody has caught is a line of the log: with its time and its level, and without secrets."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from ta_pipeline.local.settings import REPOSITORY

SECRET = "s3cr3t-k3y"  # noqa: S105 - of nobody
BEGIN = """
import threading
from ta_pipeline.logs.output import log_to
from ta_pipeline.settings import Settings
log_to("clock").hide(Settings(s3_secret_key="s3cr3t-k3y").without_secrets)
def fails():
    raise ValueError("refused: s3cr3t-k3y")
"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    """What a process prints that ends by itself."""
    return subprocess.run(
        [sys.executable, "-c", BEGIN + program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )


def line_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The only line that was printed."""
    (line,) = done.stdout.splitlines()
    assert SECRET not in done.stdout + done.stderr
    found: dict[str, Any] = json.loads(line)
    assert (found["level"], found["component"]) == ("ERROR", "clock")
    assert found["time"] > "2026"
    assert found["error"].startswith("Traceback (most recent call last):\n")
    assert found["error"].endswith("ValueError: refused: **********")
    return found


def test_an_exception_that_ends_a_process_is_a_line_of_its_log() -> None:
    done = ended("fails()")
    assert done.returncode == 1
    assert line_of(done)["message"] == "this process ends: ValueError"
    assert done.stderr == ""


def test_an_exception_that_ends_a_thread_is_a_line_of_its_log() -> None:
    done = ended("threading.Thread(target=fails, name='deaf').start()")
    assert done.returncode == 0
    found = line_of(done)
    assert (found["message"], found["thread"]) == ("the thread deaf ends: ValueError", "deaf")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "program", ["raise SystemExit(3)", "threading.Thread(target=lambda: exit(3)).start(); exit(3)"]
)
def test_who_ends_on_purpose_is_no_error(program: str) -> None:
    done = ended(program)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


def test_an_interruption_is_no_line() -> None:
    done = ended("raise KeyboardInterrupt")
    assert done.stdout == ""
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
