"""`ta prometheus`: what it starts, and what it says when it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.errors import StackError
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.prometheus import RULES, prometheus_command, prometheus_url
from ta_pipeline.local.settings import load_local_settings
from tests.promtool import run


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, which only has to be found."""
    binary = tmp_path / "bin" / "prometheus"
    binary.parent.mkdir()
    binary.touch(0o755)
    monkeypatch.setenv("PATH", f"{binary.parent}{os.pathsep}{os.environ['PATH']}")
    return binary


def test_it_listens_on_loopback_only_and_keeps_its_data_with_the_stack(on_path: Path, tmp_path: Path) -> None:
    local = load_local_settings(dir=tmp_path / "stack", prometheus_port=29_090)
    command = prometheus_command(local)
    assert command[0] == str(on_path)
    assert "--web.listen-address=127.0.0.1:29090" in command
    assert f"--storage.tsdb.path={tmp_path}/stack/prometheus/data" in command
    assert prometheus_url(local) == "http://127.0.0.1:29090"


def test_it_scrapes_flink_and_the_probe_and_has_the_rules(on_path: Path, tmp_path: Path) -> None:
    local = load_local_settings(dir=tmp_path / "stack")
    file = Path(next(one for one in prometheus_command(local) if "config.file" in one).partition("=")[2])
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    targets = {one["job_name"]: one["static_configs"][0]["targets"] for one in told["scrape_configs"]}
    assert targets == {
        "jobmanager": [f"127.0.0.1:{local.jobmanager_metrics_port}"],
        "taskmanager": [f"127.0.0.1:{local.taskmanager_metrics_port}"],
        "probe": [f"127.0.0.1:{local.probe_port}"],
    }
    assert told["rule_files"] == [str(RULES)]
    assert RULES.is_file()


def test_promtool_finds_configuration_and_rules_right(on_path: Path, tmp_path: Path) -> None:
    prometheus_command(load_local_settings(dir=tmp_path / "stack"))
    done = run("promtool", "check", "config", tmp_path / "stack" / "prometheus" / "prometheus.yaml")
    assert done.returncode == 0, done.stderr
    assert "rules found" in done.stdout


def test_without_the_program_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"'prometheus' is not on PATH: install it \(Debian and Ubuntu: apt install"):
        prometheus_command(load_local_settings(dir=tmp_path))


def test_the_command_ends_with_that_error_and_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = CliRunner().invoke(app, ["prometheus"])
    assert done.exit_code == 1
    assert "apt install prometheus" in done.stderr


def test_a_report_without_prometheus_names_its_url_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TA_LOCAL_PROMETHEUS_PORT", "1025")
    done = CliRunner().invoke(app, ["report", "--since", "5m"])
    assert done.exit_code == 1
    assert "http://127.0.0.1:1025 cannot be reached" in done.stderr
    assert "`ta prometheus`" in done.stderr


def test_a_report_of_a_time_that_is_none_says_what_is_allowed() -> None:
    done = CliRunner().invoke(app, ["report", "--since", "soon"])
    assert done.exit_code == 1
    assert "'soon' is not allowed" in done.stderr


@pytest.mark.parametrize(("ends", "status"), [("kill -9 $$", 137), ("exit 3", 3), ("exit 0", 0)])
def test_the_command_ends_as_prometheus_did_also_where_that_was_killed(
    on_path: Path, tmp_path: Path, ends: str, status: int
) -> None:
    on_path.write_text(f"#!/bin/sh\n{ends}\n", encoding="utf-8")
    done = _command(tmp_path)
    _, told = done.communicate(timeout=60)
    assert done.returncode == status
    assert ("Prometheus was ended by SIGKILL" in told) == (status == 137)


def test_ctrl_c_is_no_failure_also_where_prometheus_has_to_be_ended_by_a_signal(on_path: Path, tmp_path: Path) -> None:
    on_path.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 60\n", encoding="utf-8")
    done = _command(tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done.send_signal(signal.SIGTERM)
    _, told = done.communicate(timeout=60)
    assert done.returncode == 0, told


def _command(folder: Path) -> subprocess.Popen[str]:
    """`ta prometheus` in a process of its own, which may change how it ends by signals."""
    own = {**os.environ, "TA_LOCAL_DIR": str(folder), "TA_LOCAL_PROMETHEUS_PORT": str(free_port())}
    return subprocess.Popen(
        [sys.executable, "-c", "from ta_pipeline.cli import main; main()", "prometheus"],
        env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
