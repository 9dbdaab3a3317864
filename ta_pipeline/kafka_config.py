"""How this platform's own Kafka clients connect; the job has its own copy in Flink's terms (`flink/kafka.py`)."""

from __future__ import annotations

import ssl

from ta_pipeline.errors import SettingsError
from ta_pipeline.settings import Settings

ConfigValue = str | int | float | bool
CONNECTION = (
    "kafka_bootstrap", "kafka_security", "kafka_sasl_mech", "kafka_username", "kafka_password", "kafka_ca_file",
)  # fmt: skip
"""The settings that a client needs to connect."""


def client_config(settings: Settings, **extra: ConfigValue) -> dict[str, ConfigValue]:
    """Configuration of a confluent-kafka client: bootstrap servers and security, then `extra`.

    Holds the password in the clear, as librdkafka wants it: never log it.

    Raises:
        SettingsError: `TA_KAFKA_CA_FILE` cannot be read.
    """
    config: dict[str, ConfigValue] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security,
    }
    if settings.kafka_ca_file:
        _require_authorities(settings.kafka_ca_file)
        config["ssl.ca.location"] = settings.kafka_ca_file
    if settings.kafka_security.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mech
        config["sasl.username"] = settings.kafka_username
        config["sasl.password"] = settings.kafka_password.get_secret_value()
    return config | extra


def jaas_config(login_module: str, username: str, password: str) -> str:
    """The line by which Java's Kafka clients and brokers log in; it holds the password, so never log it.

    Definition: Java's `javax.security.auth.login.Configuration`: quotes and backslashes are escaped.
    """
    return f'{login_module} required username="{_quoted(username)}" password="{_quoted(password)}";'


def _require_authorities(path: str) -> None:
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl's errors are among them
        reason = error.strerror or str(error)
        raise SettingsError(f"TA_KAFKA_CA_FILE={path!r} cannot be used: {reason}; it is a PEM file") from None


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
