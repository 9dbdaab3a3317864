"""On what a benchmark ran: machine, versions, the state of the repository."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import psutil

from ta_pipeline.errors import StackError
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import REPOSITORY


def machine(flink_version: str) -> dict[str, str]:
    """Name to value, for the report's table."""
    load = ", ".join(f"{value:.1f}" for value in psutil.getloadavg())
    return {
        "processor": _processor(),
        "cores": str(psutil.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Flink": flink_version,
        "Python": platform.python_version(),
        "Java": _java(),
        "revision": revision(),
        "load average at the end (1, 5, 15 minutes)": load,
    }


def revision() -> str:
    """The commit of the repository, and whether files differ from it; `unknown` without git."""
    commit = _git("rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    return f"{commit}, with changes that are not committed" if _git("status", "--porcelain") else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _java() -> str:
    try:
        release = java_home() / "release"
    except StackError:
        return "unknown"
    for line in release.read_text(encoding="utf-8").splitlines() if release.exists() else ():
        if line.startswith("JAVA_VERSION="):
            return line.partition("=")[2].strip('"')
    return "unknown"
