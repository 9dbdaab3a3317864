"""Kafka client properties as Flink's connector takes them: `properties.*`."""

from __future__ import annotations

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
        password = settings.kafka_password.get_secret_value().replace("\\", "\\\\").replace('"', '\\"')
        properties["properties.sasl.mechanism"] = settings.kafka_sasl_mech
        properties["properties.sasl.jaas.config"] = (
            f'{_LOGIN_MODULES}.{module} required username="{settings.kafka_username}" password="{password}";'
        ).replace("'", "''")
    return properties
