"""How the local broker lets clients in: everybody in the clear, or its users over TLS (`TA_LOCAL_KAFKA_SECURITY`).

Secured, there are two users. `broker` is the broker itself and whoever sets it up: it may do everything, and its
password is generated. The user of `TA_KAFKA_USERNAME` is the platform: SCRAM, and the rules of
`ta_pipeline.kafka_rules`, nothing else. The controller's port takes the broker's own certificate only.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)
from pydantic import SecretStr

from ta_pipeline.errors import StackError
from ta_pipeline.kafka_config import ConfigValue, jaas_config
from ta_pipeline.kafka_rules import allow, rules
from ta_pipeline.local.certificates import ensure_certificates
from ta_pipeline.local.components import write_private
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.settings import Settings

BROKER_USER = "broker"
DEFAULT_USER = "ta"
MECHANISM = "SCRAM-SHA-512"
_ITERATIONS = 4_096
_TIMEOUT_SECONDS = 15.0
_CERTIFICATE = "ta-local-kafka"
_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"

_IN_THE_CLEAR = """\
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
allow.everyone.if.no.acl.found=true
"""
# The broker knows its own user by this file: SCRAM's users come from the log that it has yet to read.
_SECURED = """\
listener.security.protocol.map=BROKER:SASL_SSL,CONTROLLER:SSL
allow.everyone.if.no.acl.found=false
super.users=User:{user};User:CN={certificate}
ssl.keystore.type=PEM
ssl.keystore.location={key_store}
ssl.truststore.type=PEM
ssl.truststore.location={ca_file}
listener.name.controller.ssl.client.auth=required
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.broker.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.broker.plain.sasl.jaas.config={own_login} user_{user}="{password}";
listener.name.broker.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


@dataclass(frozen=True)
class KafkaAccess:
    """How to get in."""

    secured: bool
    port: int
    directory: Path
    user: str
    password: SecretStr
    broker_password: SecretStr
    generated: bool
    """`password` is this stack's own, not the environment's."""

    @property
    def ca_file(self) -> Path:
        """The authority that clients trust."""
        return self.directory / "tls" / "ca.pem"

    @property
    def key_store(self) -> Path:
        """The broker's key and certificate."""
        return self.directory / "tls" / "broker.pem"

    @property
    def environment(self) -> dict[str, str]:
        """The `TA_KAFKA_*` variables of a client."""
        where = {"TA_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{self.port}"}
        if not self.secured:
            return {**where, "TA_KAFKA_SECURITY": "PLAINTEXT"}
        return {
            **where,
            "TA_KAFKA_SECURITY": "SASL_SSL",
            "TA_KAFKA_SASL_MECH": MECHANISM,
            "TA_KAFKA_USERNAME": self.user,
            "TA_KAFKA_PASSWORD": self.password.get_secret_value(),
            "TA_KAFKA_CA_FILE": str(self.ca_file),
        }

    @property
    def broker_properties(self) -> str:
        """The part of the broker's configuration that is about who gets in."""
        if not self.secured:
            return _IN_THE_CLEAR
        password = self.broker_password.get_secret_value()
        return _SECURED.format(
            user=BROKER_USER, password=password, certificate=_CERTIFICATE, key_store=self.key_store,
            ca_file=self.ca_file, own_login=jaas_config(_LOGIN, BROKER_USER, password).rstrip(";"),
        )  # fmt: skip

    def prepare(self) -> None:
        """Make certificates, where they are needed and there are none that last; keep what was generated."""
        if self.secured:
            ensure_certificates(self.ca_file, self.key_store, _CERTIFICATE, [LOOPBACK, "localhost"])
            self._keep_passwords()

    def admin(self) -> AdminClient:
        """A client that may do everything."""
        config: dict[str, ConfigValue] = {"bootstrap.servers": f"{LOOPBACK}:{self.port}", "log_level": 0}
        if self.secured:
            config |= {
                "security.protocol": "SASL_SSL", "ssl.ca.location": str(self.ca_file), "sasl.mechanism": "PLAIN",
                "sasl.username": BROKER_USER, "sasl.password": self.broker_password.get_secret_value(),
            }  # fmt: skip
        return AdminClient(config)

    def arrange(self, settings: Settings) -> None:
        """Give the platform's user its password of now and its rules; harmless when it has both.

        Args:
            settings: they point at this broker.

        Raises:
            KafkaSetupError: the broker did not take a rule.
            StackError: it did not take the password.
        """
        if not self.secured:
            return
        self._keep_passwords()
        admin = self.admin()
        add_user(admin, self.user, self.password.get_secret_value())
        allow(admin, self.user, rules(settings))

    def _keep_passwords(self) -> None:
        # No part of the broker's files: a user's password that changes does not restart it.
        kept = {"broker": self.broker_password.get_secret_value()}
        if self.generated:
            kept["user"] = self.password.get_secret_value()
        write_private(_passwords_file(self.directory), json.dumps(kept))


def add_user(admin: AdminClient, user: str, password: str) -> None:
    """Make a SCRAM user, or give it another password, and wait until the broker goes by it.

    Raises:
        StackError: the broker refused, or did not get to it.
    """
    salt = secrets.token_bytes(16)
    credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    upsertion = UserScramCredentialUpsertion(user, credential, password.encode(), salt)
    (future,) = admin.alter_user_scram_credentials([upsertion], request_timeout=_TIMEOUT_SECONDS).values()
    try:
        future.result(timeout=2 * _TIMEOUT_SECONDS)
    except (KafkaException, TimeoutError) as error:
        raise StackError(f"Kafka did not take user {user}: {error.args[0] if error.args else 'no answer'}") from None


def access_of(local: LocalSettings, settings: Settings) -> KafkaAccess:
    """How this stack's broker lets clients in; passwords that nobody gave are those of before, else new ones.

    Raises:
        StackError: the platform's user has the name of the broker's.
    """
    if local.kafka_security == "SASL_SSL" and settings.kafka_username == BROKER_USER:
        raise StackError(f"TA_KAFKA_USERNAME={BROKER_USER} is the broker itself on the local stack: take another name")
    directory = local.dir / "kafka"
    try:
        kept = json.loads(_passwords_file(directory).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        kept = {}
    given = settings.kafka_password.get_secret_value()
    return KafkaAccess(
        secured=local.kafka_security == "SASL_SSL",
        port=local.kafka_port,
        directory=directory,
        user=settings.kafka_username or DEFAULT_USER,
        password=SecretStr(given or kept.get("user") or secrets.token_urlsafe(24)),
        broker_password=SecretStr(kept.get("broker") or secrets.token_urlsafe(24)),
        generated=not given,
    )


def _passwords_file(directory: Path) -> Path:
    return directory / "passwords.json"
