"""How this platform's own Kafka clients connect; the job has its own copy in Flink's terms (`flink/kafka.py`)."""

from __future__ import annotations

from ta_pipeline.settings import Settings

ConfigValue = str | int | float | bool


def client_config(settings: Settings, **extra: ConfigValue) -> dict[str, ConfigValue]:
    """Configuration of a confluent-kafka client: bootstrap servers and security, then `extra`.

    Holds the password in the clear, as librdkafka wants it: never log it.
    """
    config: dict[str, ConfigValue] = {
        "bootstrap.servers": settings.kafka_bootstrap,
        "security.protocol": settings.kafka_security,
    }
    if settings.kafka_ca_file:
        config["ssl.ca.location"] = settings.kafka_ca_file
    if settings.kafka_security.startswith("SASL"):
        config["sasl.mechanism"] = settings.kafka_sasl_mech
        config["sasl.username"] = settings.kafka_username
        config["sasl.password"] = settings.kafka_password.get_secret_value()
    return config | extra
