"""Avro schemas of the topics: which subject has which file, and how they get into the registry.

Subjects follow TopicNameStrategy (`<topic>-value`), each BACKWARD. All are checked before any is registered, and
only what changed is registered. The job itself never registers a schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import httpx
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.common.schema_registry_client import ServerConfig
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.errors import SchemaError
from ta_pipeline.settings import Settings

DIRECTORY = Path(__file__).resolve().parents[1] / "schema" / "avro"
COMPATIBILITY = "BACKWARD"
