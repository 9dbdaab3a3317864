"""Input envelopes to bytes, as `TA_INPUT_FORMAT` says: JSON, or Avro with the registry's newest schema."""

from __future__ import annotations

import json
from typing import Any, Self

import orjson
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from ta_pipeline.envelope import in_case
from ta_pipeline.errors import BadRecordError
from ta_pipeline.schema_registry import asking, registry_client
from ta_pipeline.settings import Settings

_AVRO = {"auto.register.schemas": False, "use.latest.version": True}


class EnvelopeEncoder:
    """Encodes envelopes for one set of settings; Avro schemas are looked up once per topic. Close it after use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._field_case = settings.input_field_case
        self._avro: AvroSerializer | None = None
        self._registry: SchemaRegistryClient | None = None
        if settings.input_format == "avro-confluent":
            self._registry = registry_client(settings)
            self._avro = AvroSerializer(self._registry, conf=_AVRO)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the registry."""
        if self._registry is not None:
            self._registry.close()

    def encode(self, topic: str, envelope: dict[str, Any]) -> bytes:
        """The record's value.

        Raises:
            BadRecordError: `not_avro`, the envelope does not fit the topic's schema.
            SchemaError: the topic has no schema, or the registry does not answer.
        """
        if self._avro is None:
            return orjson.dumps(in_case(envelope, self._field_case))
        with asking(self._settings, f"{topic}-value"):
            try:
                encoded = self._avro(in_case(envelope, "snake"), SerializationContext(topic, MessageField.VALUE))
            except json.JSONDecodeError:
                # Of the registry's answer, not of the envelope.
                raise
            except (SerializationError, ValueError, TypeError, KeyError) as error:
                raise BadRecordError("not_avro", f"topic {topic}: {error}") from None
        return bytes(encoded or b"")
