"""A real Prometheus beside the stack of a test, with the rules; and what the endpoints expose without one."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from ta_pipeline.local.ports import LOOPBACK, free_port
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.metrics.alerts import groups
from ta_pipeline.metrics.scrape import RENAMINGS, scrape_config
from ta_pipeline.metrics.selectors import Scope
from tests.promtool import tool

SHORT = "5s"
"""What stands for every longer `for`: what a rule bears with is promtool's to test, here it only costs time."""
READY_SECONDS = 60.0
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)", re.M)
_NAME = re.compile(r"\b(?:ta|flink)_\w+")


@dataclass(frozen=True)
class RunningPrometheus:
    """One that scrapes and judges."""

    url: str

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples of an expression now."""
        found = requests.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=10).json()
        assert found["status"] == "success", found
        samples: list[dict[str, Any]] = found["data"]["result"]
        return samples

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {one["metric"]["alertname"] for one in self.query('ALERTS{alertstate="firing"}')}


@contextmanager
def running_prometheus(folder: Path, local: LocalSettings, scope: Scope, probe_url: str) -> Iterator[RunningPrometheus]:
    """Prometheus with the rules of one deployment; skipped where it is not installed.

    Args:
        folder: for its configuration and data.
        local: the stack that it scrapes.
        scope: the deployment.
        probe_url: of its probe.
    """
    program = tool("prometheus")
    rules, config = folder / "rules.yaml", folder / "prometheus.yaml"
    rules.write_text(yaml.safe_dump({"groups": hurried(groups(scope))}), encoding="utf-8")
    config.write_text(
        yaml.safe_dump(scrape_config(local, [rules], probe=probe_url.removeprefix("http://"), interval_seconds=5)),
        encoding="utf-8",
    )
    port = free_port()
    command = [
        program, f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}", "--log.level=warn",
    ]  # fmt: skip
    log = folder / "prometheus.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            url = f"http://{LOOPBACK}:{port}"
            deadline = time.monotonic() + READY_SECONDS
            while not _is_ready(url):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.1)
            yield RunningPrometheus(url)
        finally:
            process.terminate()


def hurried(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Groups of rules that bear with nothing for longer than `SHORT`."""
    return [
        {**group, "rules": [{**rule, "for": rule["for"] if rule["for"] == "0s" else SHORT} for rule in group["rules"]]}
        for group in found
    ]


def exposed(local: LocalSettings, probe_url: str) -> set[str]:
    """The names at the three endpoints, as Prometheus has them."""
    urls = (
        f"http://{LOOPBACK}:{local.jobmanager_metrics_port}", f"http://{LOOPBACK}:{local.taskmanager_metrics_port}",
        probe_url,
    )  # fmt: skip
    return {_renamed(name) for url in urls for name in _SAMPLE.findall(requests.get(f"{url}/metrics", timeout=10).text)}


def asked_for(scope: Scope) -> set[str]:
    """The names of the metrics in the rules."""
    return {name for group in groups(scope) for rule in group["rules"] for name in _NAME.findall(rule["expr"])}


def _renamed(name: str) -> str:
    for renaming in RENAMINGS:
        if re.fullmatch(renaming.names, name):
            return renaming.name
    return name


def _is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=2).ok
    except requests.RequestException:
        return False
