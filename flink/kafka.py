"""Options of Flink's SQL tables: Kafka client properties as its connector takes them, and how options are written."""

from __future__ import annotations

from collections.abc import Mapping

from ta_pipeline.kafka_config import jaas_config
from ta_pipeline.settings import Settings

# The SQL connector brings its own, relocated Kafka client.
_LOGIN_MODULES = "org.apache.flink.kafka.shaded.org.apache.kafka.common.security"


def kafka_properties(settings: Settings) -> dict[str, str]:
    """Bootstrap servers and security of `settings`; the JAAS line holds the password, so never log the result."""
    properties = {
        "properties.bootstrap.servers": settings.kafka_bootstrap,
        "properties.security.protocol": settings.kafka_security,
    }
    if settings.kafka_ca_file:
        properties["properties.ssl.truststore.type"] = "PEM"
        properties["properties.ssl.truststore.location"] = settings.kafka_ca_file
    if settings.kafka_security.startswith("SASL"):
        module = "plain.PlainLoginModule" if settings.kafka_sasl_mech == "PLAIN" else "scram.ScramLoginModule"
        properties["properties.sasl.mechanism"] = settings.kafka_sasl_mech
        properties["properties.sasl.jaas.config"] = jaas_config(
            f"{_LOGIN_MODULES}.{module}", settings.kafka_username, settings.kafka_password.get_secret_value()
        )
    return properties


def with_clause(options: Mapping[str, str]) -> str:
    """The options of a table as SQL has them; quotes in a value are doubled."""
    return ", ".join(f"'{name}' = '{value.replace(chr(39), 2 * chr(39))}'" for name, value in options.items())
