"""Prometheus' own tools in tests: skipped where they are not installed, except where they are required."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REQUIRED = "TA_PROMTOOL_REQUIRED"


def tool(name: str) -> str:
    """Where a tool is; the test is skipped, or fails, where it is not.

    Args:
        name: promtool, prometheus or amtool.
    """
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not on PATH: install prometheus (amtool: prometheus-alertmanager)"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(f"{reason}; {REQUIRED}=1 asks for it")
        pytest.skip(f"{reason}; {REQUIRED}=1 makes this a failure")
    return found


def run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A tool's exit code and output."""
    return subprocess.run([tool(name), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)
