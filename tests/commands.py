"""Commands in a process of their own, and what they import."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from ta_pipeline.local.settings import REPOSITORY

_RUN = """
import sys
from ta_pipeline.cli import main
try:
    main()
finally:
    print("\\nSLOW", *sorted({"pandas", "matplotlib"} & set(sys.modules)))
"""


def slow_imports(command: str, environment: Mapping[str, str]) -> list[str]:
    """Which of pandas and matplotlib (half a second together) `ta <command>` imports."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN, *command.split()], cwd=REPOSITORY, capture_output=True, text=True, check=False,
        env={**os.environ, **environment}, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    mark, *found = done.stdout.splitlines()[-1].split()
    assert mark == "SLOW", done.stdout
    return found
