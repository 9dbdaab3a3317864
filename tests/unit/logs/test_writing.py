"""What a process logs: one JSON object a line with the names of the table, and nothing that could end the process."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.logs.fields import DEFAULT_DEPLOYMENT, FIELDS, LEVELS, NAMES
from ta_pipeline.logs.formatting import CUT, LONGEST, JsonFormatter, TextFormatter
from ta_pipeline.logs.log4j import template
from ta_pipeline.logs.output import Lines, format_in_force
from ta_pipeline.settings import Settings

ALWAYS = {field.name for field in FIELDS if field.always}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    """A logger whose lines are in `tmp_path / "log"`."""
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    logger = logging.Logger("ta.test")
    lines = Lines(descriptor)
    lines.setFormatter(JsonFormatter("probe"))
    logger.addHandler(lines)
    yield logger
    os.close(descriptor)


def written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "log").read_text(encoding="utf-8").splitlines()]


def test_a_line_has_the_names_of_the_table_and_times_in_utc(log: logging.Logger, tmp_path: Path) -> None:
    about = {"symbol": "NVDA", "event_ts": 1_784_642_400_045, "watermark": None, "lag_ms": 2_100, "unknown": "x"}
    log.warning("late by %d ms", 2_100, extra=about)
    (line,) = written(tmp_path)
    assert set(line) == ALWAYS | {"symbol", "event_ts", "lag_ms"}
    assert line["level"] == "WARN"
    assert line["message"] == "late by 2100 ms"
    assert (line["symbol"], line["lag_ms"]) == ("NVDA", 2_100)
    assert line["event_ts"] == "2026-07-21T14:00:00.045Z"
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len(line["event_ts"])
    assert (line["component"], line["deployment"], line["thread"]) == ("probe", DEFAULT_DEPLOYMENT, "MainThread")


def test_a_traceback_is_one_text_of_one_line(log: logging.Logger, tmp_path: Path) -> None:
    try:
        int("no\nnumber")
    except ValueError:
        log.exception("it failed")
    (line,) = written(tmp_path)
    assert line["error"].startswith("Traceback (most recent call last):\n")
    assert line["error"].endswith("with base 10: 'no\\nnumber'")


def test_python_and_log4j_have_the_same_levels(log: logging.Logger, tmp_path: Path) -> None:
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        log.log(number, "x")
    assert [line["level"] for line in written(tmp_path)] == list(LEVELS[1:])


def test_what_cannot_be_put_into_words_is_written_all_the_same(log: logging.Logger, tmp_path: Path) -> None:
    log.info("%d records", "many")
    log.info("half of a letter: %s", "\ud83d", extra={"event_ts": 10**30, "symbol": object})
    first, second = written(tmp_path)
    assert first["message"] == "%d records ('many',)"
    assert second["message"] == "half of a letter: ?"
    assert second["event_ts"] == str(10**30)


def test_a_text_without_end_is_cut(log: logging.Logger, tmp_path: Path) -> None:
    log.info("x" * 10 * LONGEST)
    assert written(tmp_path)[0]["message"] == "x" * LONGEST + CUT


def test_a_number_that_is_none_is_left_out_and_the_line_is_json(log: logging.Logger, tmp_path: Path) -> None:
    for number in (math.nan, math.inf, -math.inf):
        log.info("x", extra={"lag_ms": number, "offset": 7, "event_ts": number})
    for line in written(tmp_path):
        assert set(line) == ALWAYS | {"offset"}


@pytest.mark.parametrize("before", range(LONGEST - len("s3cr3t-k3y"), LONGEST))
def test_of_a_secret_where_a_text_is_cut_nothing_is_left(before: int) -> None:
    settings = Settings(s3_secret_key="s3cr3t-k3y")  # noqa: S106 - of nobody
    text = "x" * before + "s3cr3t-k3y" + "y" * 100
    record = logging.LogRecord("ta.test", logging.ERROR, "", 0, text, (), None)
    record.detail, record.stack_info = text, text
    line = json.loads(JsonFormatter("probe", settings.without_secrets).format(record))
    for name in ("message", "error", "detail"):
        assert set(line[name]) <= {"x", "*", "y", CUT}


def test_a_full_disk_ends_nothing_and_the_next_line_says_how_many_are_missing(tmp_path: Path) -> None:
    """A pipe that takes nothing more stands for the disk: what is written to it is refused, or torn."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    logger, lines = logging.Logger("ta.test"), Lines(write)
    lines.setFormatter(JsonFormatter("probe"))
    logger.addHandler(lines)
    for number in range(500):
        logger.info("%d %s", number, "x" * 1_000)
    with open(read, "rb", buffering=0) as file:
        before = file.read(1 << 20).splitlines(keepends=True)
        logger.info("there is room again")
        after = file.read(1 << 20)
    os.close(write)
    whole = [json.loads(line) for line in before if line.endswith(b"\n")]
    last = json.loads(after.strip())
    assert last["message"] == "there is room again"
    assert len(whole) + last["left_out"] == 500
    # Where a line was torn, the next one begins on a line of its own.
    assert after.startswith(b"\n") == (len(whole) < len(before))


def test_a_log_that_nobody_reads_any_more_ends_nothing() -> None:
    read, write = os.pipe()
    os.close(read)
    logger = logging.Logger("ta.test")
    logger.addHandler(Lines(write))
    logger.error("is anybody there?")
    os.close(write)


def test_lines_of_several_threads_do_not_mix(log: logging.Logger, tmp_path: Path) -> None:
    def write(name: str) -> None:
        for number in range(200):
            log.info("%s %d %s", name, number, "x" * 500)

    threads = [threading.Thread(target=write, args=(name,), name=name) for name in ("one", "other")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = written(tmp_path)
    assert len(lines) == 400
    assert {line["thread"] for line in lines} == {"one", "other"}


def test_secrets_are_taken_out_of_messages_tracebacks_and_fields(tmp_path: Path) -> None:
    settings = Settings(kafka_password="hunter2 and more", s3_secret_key="s3cr3t-k3y")  # noqa: S106 - of nobody
    record = logging.LogRecord("ta.test", logging.ERROR, "", 0, "password=%s", ("hunter2 and more",), None)
    try:
        int("s3cr3t-k3y")
    except ValueError:
        record.exc_info = sys.exc_info()
    record.detail = "refused: s3cr3t-k3y"
    for formatter in (JsonFormatter("probe", settings.without_secrets), TextFormatter(settings.without_secrets)):
        line = formatter.format(record)
        assert "password=**********" in line
        assert "hunter2" not in line
        assert "s3cr3t" not in line


def test_the_template_of_log4j_has_the_names_of_the_table_in_its_order() -> None:
    names = list(template())
    assert [name for name in NAMES if name in names] == names
    assert set(names) >= ALWAYS | {"symbol", "channel", "event_ts", "watermark", "lag_ms", "job_id", "error"}


def test_the_deployment_without_a_setting_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TA_K8S_DEPLOYMENT", raising=False)
    assert Settings().k8s_deployment == DEFAULT_DEPLOYMENT


def test_a_format_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TA_LOG_FORMAT", "xml")
    with pytest.raises(SettingsError, match=r"TA_LOG_FORMAT='xml' is not allowed: it is json or text"):
        format_in_force()


@pytest.mark.parametrize(("asked", "is_json"), [("", True), ("text", False)])
def test_a_service_writes_json_where_there_is_no_terminal_and_what_was_asked_for(asked: str, is_json: bool) -> None:
    """The probe, which ends at once: it cannot listen there."""
    done = subprocess.run(
        [sys.executable, "-m", "ta_pipeline.probe_server", "nowhere"], cwd=REPOSITORY, capture_output=True, text=True,
        env={**os.environ, "TA_LOG_FORMAT": asked}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    if is_json:
        found = json.loads(line)
        assert set(found) == ALWAYS
        assert (found["level"], found["logger"], found["component"]) == ("ERROR", "ta.probe", "probe")
    assert line.startswith("{") == is_json
    assert "nowhere" in line


@pytest.mark.parametrize("is_json", [True, False])
def test_the_error_that_ends_a_command_is_a_sentence_or_a_line_where_that_is_asked_for(is_json: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from ta_pipeline.cli import main; main()", "logs", "kafak"], cwd=REPOSITORY,
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "TA_LOG_FORMAT": "json" if is_json else ""},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    says = "no such component: kafak; there are kafka"
    if is_json:
        found = json.loads(line)
        assert (found["level"], found["component"]) == ("ERROR", "cli")
        assert found["message"].startswith(says)
    else:
        assert line.startswith(f"error: {says}")
