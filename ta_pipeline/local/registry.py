"""The schema registry: Apicurio, which speaks the Confluent API that the job and its clients use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import requests

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, nothing
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import TIMEOUT_SECONDS, answers
from ta_pipeline.local.settings import LocalSettings

API = "/apis/ccompat/v7"


def registry_url(local: LocalSettings) -> str:
    """Base URL of the Confluent API."""
    return f"http://{LOOPBACK}:{local.registry_port}{API}"


def registry(local: LocalSettings, java: Path, arrange: Callable[[], object] = nothing) -> Component:
    """The registry at `registry_port`, schemas on disk, BACKWARD compatibility as the global rule."""
    home = local.dir / "registry"
    jars = local.jars_dir / "registry"
    url = registry_url(local)
    properties = {
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": local.registry_port,
        "quarkus.management.host": LOOPBACK,
        "quarkus.management.port": local.registry_management_port,
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{home / 'db'}",
        "quarkus.log.level": "WARN",
        "quarkus.log.console.json.enabled": "false",
    }

    def both() -> None:
        _require_backward(url)
        arrange()

    return Component(
        name="registry",
        command=(
            str(java),
            "-Xms64m",
            "-Xmx320m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-jar",
            str(jars / "quarkus-run.jar"),
        ),
        ports={
            "registry_port": local.registry_port,
            "registry_management_port": local.registry_management_port,
        },
        prepare=lambda: home.mkdir(parents=True, exist_ok=True),
        ready=lambda: _ready(url),
        arrange=both,
    )


def _ready(url: str) -> None:
    answers(f"{url}/subjects")


def _require_backward(url: str) -> None:
    # Apicurio starts with NONE, which would let a breaking schema in.
    try:
        response = requests.put(f"{url}/config", json={"compatibility": "BACKWARD"}, timeout=5 * TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise StackError(f"the registry did not take its global rule: {error}") from None
    if not response.ok:
        raise StackError(f"the registry refused its global rule (status {response.status_code}): {response.text[:200]}")
