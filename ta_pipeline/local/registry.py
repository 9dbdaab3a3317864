"""The schema registry: Apicurio, which speaks the Confluent API that the job and its clients use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import requests

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, nothing
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import TIMEOUT_SECONDS, answers
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.settings import Settings

API = "/apis/ccompat/v7"

# Only a hash of the password is in the file: Quarkus takes what Elytron's DigestPassword makes of name, realm and it.
_REALM = "Quarkus"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_WITH_USERS = """\
quarkus.http.auth.basic=true
quarkus.security.users.embedded.algorithm=digest-sha-256
quarkus.security.users.embedded.realm-name={realm}
quarkus.security.users.embedded.users."{user}"={digest}
quarkus.security.users.embedded.roles."{user}"=sr-admin
quarkus.http.auth.permission.apis.paths=/apis/*
quarkus.http.auth.permission.apis.policy=authenticated
"""


def registry_url(local: LocalSettings) -> str:
    """Base URL of the Confluent API."""
    return f"http://{LOOPBACK}:{local.registry_port}{API}"


def registry(
    local: LocalSettings, settings: Settings, java: Path, arrange: Callable[[], object] = nothing
) -> Component:
    """The registry at `registry_port`, schemas on disk, BACKWARD compatibility as the global rule.

    Args:
        local: the stack.
        settings: they point at it; with `TA_SCHEMA_REGISTRY_USERNAME` nobody else gets in.
        java: a Java 21.
        arrange: what to do once it serves.
    """
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

    users = home / "users.properties"
    properties["quarkus.config.locations"] = users.as_uri()
    login = _login(settings)

    def both() -> None:
        _require_backward(url, login)
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
        files={users: _users(settings)},
        ready=lambda: _ready(url, login),
        arrange=both,
    )


def _login(settings: Settings) -> tuple[str, str] | None:
    if not settings.schema_registry_username:
        return None
    return settings.schema_registry_username, settings.schema_registry_password.get_secret_value()


def _users(settings: Settings) -> str:
    if (login := _login(settings)) is None:
        return ""
    user, password = login
    if not _NAME.fullmatch(user):
        raise StackError(
            f"TA_SCHEMA_REGISTRY_USERNAME={user!r} is not allowed for the local registry: use a-z 0-9 . _ -"
        )
    digest = hashlib.sha256(f"{user}:{_REALM}:{password}".encode()).hexdigest()
    return _WITH_USERS.format(realm=_REALM, user=user, digest=digest)


def _ready(url: str, login: tuple[str, str] | None) -> None:
    answers(f"{url}/subjects", login=login)


def _require_backward(url: str, login: tuple[str, str] | None) -> None:
    # Apicurio starts with NONE, which would let a breaking schema in.
    try:
        response = requests.put(
            f"{url}/config", json={"compatibility": "BACKWARD"}, timeout=5 * TIMEOUT_SECONDS, auth=login
        )
    except requests.RequestException as error:
        raise StackError(f"the registry did not take its global rule: {error}") from None
    if not response.ok:
        raise StackError(f"the registry refused its global rule (status {response.status_code}): {response.text[:200]}")
