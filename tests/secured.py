"""A real broker over TLS, with users and access rules: as the local stack has it, and with certificates that are wrong.

good       the certificate of the stack's own broker
expired    signed by the same authority, ended yesterday
elsewhere  signed by the same authority, for another host
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AclBindingFilter, AclOperation, AclPermissionType, AdminClient  # type: ignore[attr-defined]

from ta_pipeline.kafka_rules import Rule, allow, bindings_of
from ta_pipeline.local.certificates import Authority
from ta_pipeline.local.components import NotReadyError
from ta_pipeline.local.java import java_home
from ta_pipeline.local.kafka import kafka
from ta_pipeline.local.kafka_access import KafkaAccess, access_of, add_user
from ta_pipeline.local.ports import LOOPBACK, free_port
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.settings import PREFIX, Settings, load_settings
from tests.stack import wait_for

USER = "ta-platform"
AWKWARD = "se'cr\"et\\%{$}, =;" + secrets.token_hex(8)
"""A password with every character that some language on its way gives a meaning to."""


@dataclass(frozen=True)
class SecuredBroker:
    """The broker, and how to get in; `settings` are those of a user with every rule the platform needs."""

    access: KafkaAccess
    settings: Settings
    admin: AdminClient
    expired: str
    elsewhere: str
    log_file: Path

    def with_settings(self, **changed: Any) -> Settings:
        """The same with some fields changed."""
        return load_settings(**{**self.settings.model_dump(), **changed})

    def add_user(self, user: str, password: str, wanted: Iterable[Rule]) -> None:
        """A user with these rules and no others."""
        add_user(self.admin, user, password)
        allow(self.admin, user, wanted)

    def deny(self, user: str, rule: Rule) -> None:
        """Take a rule away from a user."""
        filters = [
            AclBindingFilter(
                one.restype, one.name, one.resource_pattern_type, one.principal, one.host, AclOperation.ANY,
                AclPermissionType.ANY,
            )
            for one in bindings_of(rule, user)
        ]  # fmt: skip
        for future in self.admin.delete_acls(filters[:1]).values():
            assert future.result(timeout=10), f"there was no rule {rule}"


@contextmanager
def secured_broker() -> Iterator[SecuredBroker]:
    """The broker, up; ended with the block, its data removed."""
    directory = Path(tempfile.mkdtemp(prefix="ta-secured-"))
    ports = {name: free_port() for name in ("kafka", "controller", "expired", "elsewhere")}
    local = load_local_settings(
        dir=directory, kafka_security="SASL_SSL", kafka_port=ports["kafka"], kafka_controller_port=ports["controller"],
        kafka_heap_mb=256,
    )  # fmt: skip
    access = access_of(local, load_settings(kafka_username=USER, kafka_password=AWKWARD))
    component = kafka(local, access, java_home())
    component.write_files()
    component.prepare()
    properties = directory / "kafka" / "server.properties"
    with properties.open("a", encoding="utf-8") as file:
        file.write(_wrong_listeners(properties.read_text(encoding="utf-8"), access, ports))
    log_file = directory / "log"
    with log_file.open("w", encoding="utf-8") as log:
        process = subprocess.Popen(component.command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for("the secured broker serves", lambda: _is_ready(component.ready, process), 90)
        variables = {name.removeprefix(PREFIX).lower(): value for name, value in access.environment.items()}
        settings = load_settings(**variables)
        access.arrange(settings)
        yield SecuredBroker(
            access, settings, access.admin(), f"{LOOPBACK}:{ports['expired']}", f"{LOOPBACK}:{ports['elsewhere']}",
            log_file,
        )  # fmt: skip
    finally:
        process.kill()  # how a broker ends is tested elsewhere, and nothing of this one is needed again
        process.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


def _is_ready(ready: Any, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the broker has ended"
    try:
        ready()
    except NotReadyError:
        return False
    return True


def _wrong_listeners(properties: str, access: KafkaAccess, ports: dict[str, int]) -> str:
    """Two more listeners, whose certificates are signed by an authority that the broker's clients trust."""
    authority = Authority.make("ta-local-kafka authority of the test")
    with access.ca_file.open("a", encoding="utf-8") as file:
        file.write(authority.pem)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    certificates = {
        "expired": authority.issue("expired", [LOOPBACK], until=yesterday),
        "elsewhere": authority.issue("elsewhere", ["broker.example"]),
    }
    values = dict(line.split("=", 1) for line in properties.splitlines())
    scram = values["listener.name.broker.scram-sha-512.sasl.jaas.config"]
    lines = []
    for name in ("listeners", "advertised.listeners"):
        added = ",".join(f"{one.upper()}://{LOOPBACK}:{ports[one]}" for one in certificates)
        lines.append(f"{name}={values[name]},{added}")
    protocols = ",".join(f"{one.upper()}:SASL_SSL" for one in certificates)
    lines.append(f"listener.security.protocol.map={values['listener.security.protocol.map']},{protocols}")
    for name, content in certificates.items():
        path = access.key_store.with_name(f"{name}.pem")
        path.write_text(content, encoding="utf-8")
        lines += [
            f"listener.name.{name}.ssl.keystore.location={path}",
            f"listener.name.{name}.ssl.keystore.type=PEM",
            f"listener.name.{name}.sasl.enabled.mechanisms=SCRAM-SHA-512",
            f"listener.name.{name}.scram-sha-512.sasl.jaas.config={scram}",
        ]
    return "\n".join(lines) + "\n"
