"""Dagster's processes log the platform's lines, whatever they set up; `ta ui` keeps them for `ta logs dagster`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

from ta_pipeline.local.dagster_log import json_lines, keep
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.logs.fields import FIELDS, NAMES

SECRET = "s3cr3t-k3y"  # noqa: S105 - of nobody
ALWAYS = {field.name for field in FIELDS if field.always}
A_RUN = """
import logging
import os
import dagster as dg
from dagster._utils.log import configure_loggers

@dg.asset
def prices(context: dg.AssetExecutionContext) -> None:
    context.log.warning("100 % of it", extra={"symbol": "NVDA"})
    raise ValueError("no prices from " + os.environ["TA_S3_SECRET_KEY"])

configure_loggers(formatter="colored")
logging.getLogger("dagster.daemon").info("the daemon is up")
dg.materialize([prices], raise_on_error=False)
"""


def lines_of(program: str, *arguments: str, **environment: str) -> list[str]:
    """What a Python process of Dagster's prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**json_lines({**os.environ, "PYTHONPATH": str(REPOSITORY)}), **environment}, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


def test_a_run_and_a_process_of_dagster_log_the_fields_of_the_table() -> None:
    lines: list[dict[str, Any]] = [json.loads(line) for line in lines_of(A_RUN, TA_S3_SECRET_KEY=SECRET)]
    for line in lines:
        assert set(line) >= ALWAYS
        assert set(line) <= set(NAMES)
        assert line["component"] == "dagster"
    (daemon,) = [line for line in lines if line["logger"] == "dagster.daemon"]
    assert (daemon["level"], daemon["message"]) == ("INFO", "the daemon is up")
    (said,) = [line for line in lines if line["message"] == "100 % of it"]
    assert (said["level"], said["step"]) == ("WARN", "prices")
    (failed,) = [line for line in lines if line["message"].startswith("STEP_FAILURE: ")]
    assert failed["run_id"] == said["run_id"]
    assert "ValueError: no prices from **********" in failed["error"]
    assert SECRET not in json.dumps(lines)


def test_other_python_processes_and_those_that_are_to_write_text_are_left_alone() -> None:
    program = "import logging, sys; logging.basicConfig(format='%(message)s', stream=sys.stdout); logging.error('x')"
    assert lines_of(program, TA_LOG_COMPONENT="") == ["x"]
    assert lines_of(program, TA_LOG_FORMAT="text") == ["x"]


def test_a_log_that_a_program_keeps_in_a_file_of_its_own_is_left_alone(tmp_path: Path) -> None:
    program = (
        "import logging, sys; logging.basicConfig(format='%(message)s', handlers=[logging.FileHandler(sys.argv[1]),"
        "logging.StreamHandler(sys.stdout)]); logging.error('x')"
    )
    path = tmp_path / "own.log"
    (line,) = lines_of(program, str(path))
    assert json.loads(line)["message"] == "x"
    assert path.read_text(encoding="utf-8") == "x\n"


def test_a_python_without_the_platform_says_nothing_of_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "print('x')"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        env=json_lines({name: value for name, value in os.environ.items() if name != "PYTHONPATH"}),
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("x\n", "")


def test_what_dagster_prints_is_shown_and_kept_for_this_user_only(tmp_path: Path) -> None:
    shown: list[bytes] = []
    path = tmp_path / "logs" / "dagster.log"
    keep([b'{"message":"one"}\n', b"a % of \xff\r\n", b"torn"], path, shown.append)
    assert shown == [b'{"message":"one"}', b"a % of \xff", b"torn"]
    assert path.read_text(encoding="utf-8") == '{"message":"one"}\na % of \ufffd\ntorn\n'
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_kept_is_shown_all_the_same(tmp_path: Path) -> None:
    shown: list[bytes] = []
    (tmp_path / "logs").write_text("a file is where the folder should be", encoding="utf-8")
    keep([b"one\n", b"two\n"], tmp_path / "logs" / "dagster.log", shown.append)
    assert shown == [b"one", b"two"]
