from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ta_pipeline.errors import SchemaError
from ta_pipeline.schema_registry import Subject, ensure_schemas, plan_schemas, registry_client
from tests.stack import RunningStack

Field = dict[str, Any]
SYMBOL: Field = {"name": "symbol", "type": "string"}
PRICE: Field = {"name": "price", "type": "double"}
OPTIONAL: Field = {"name": "venue", "type": ["null", "string"], "default": None}
REQUIRED: Field = {"name": "venue", "type": "string"}


def subject(name: str, *fields: Field) -> Subject:
    return Subject(name, json.dumps({"type": "record", "name": "Tick", "fields": list(fields)}))


@pytest.fixture
def name() -> str:
    return f"test.{uuid.uuid4().hex[:8]}-value"


def versions(stack: RunningStack, name: str) -> list[int]:
    with registry_client(stack.settings) as client:
        return list(client.get_versions(name)) if name in client.get_subjects() else []


def test_a_subject_is_registered_once(stack: RunningStack, name: str) -> None:
    wanted = [subject(name, SYMBOL, PRICE)]
    (first,) = ensure_schemas(stack.settings, wanted)
    (second,) = ensure_schemas(stack.settings, wanted)
    assert (first.action, first.version) == ("register", 1)
    assert (second.action, second.version, second.schema_id) == ("unchanged", 1, first.schema_id)
    with registry_client(stack.settings) as client:
        assert client.get_compatibility(name) == "BACKWARD"


def test_an_additional_field_with_a_default_is_a_new_version(stack: RunningStack, name: str) -> None:
    ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    (plan,) = ensure_schemas(stack.settings, [subject(name, SYMBOL, OPTIONAL)])
    assert (plan.action, plan.version) == ("evolve", 2)
    assert versions(stack, name) == [1, 2]


def test_going_back_to_an_older_version_is_nothing_to_register_and_a_further_field_still_is(
    stack: RunningStack, name: str
) -> None:
    ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    ensure_schemas(stack.settings, [subject(name, SYMBOL, OPTIONAL)])
    (back,) = ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    assert (back.action, back.version, back.newer) == ("unchanged", 1, 2)
    assert plan_schemas(stack.settings, [subject(name, SYMBOL)]) == [back]
    further = subject(name, SYMBOL, {**OPTIONAL, "name": "desk"})
    (evolved,) = ensure_schemas(stack.settings, [further])
    assert (evolved.action, evolved.version) == ("evolve", 3)
    assert versions(stack, name) == [1, 2, 3]


def test_a_breaking_schema_is_refused_before_anything_is_registered(stack: RunningStack, name: str) -> None:
    other = f"other.{name}"
    ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    with pytest.raises(SchemaError, match=r"not BACKWARD compatible(.|\n)*" + name) as raised:
        ensure_schemas(stack.settings, [subject(other, SYMBOL), subject(name, SYMBOL, REQUIRED)])
    assert "venue" in str(raised.value)
    assert versions(stack, name) == [1]
    assert versions(stack, other) == []


def test_a_breaking_schema_is_refused_though_the_rule_in_the_registry_was_loosened(
    stack: RunningStack, name: str
) -> None:
    ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    with registry_client(stack.settings) as client:
        client.set_compatibility(name, "NONE")
    with pytest.raises(SchemaError, match=name):
        ensure_schemas(stack.settings, [subject(name, SYMBOL, REQUIRED)])


def test_a_loosened_rule_is_set_back_though_the_schema_is_unchanged_and_told_once(
    stack: RunningStack, name: str
) -> None:
    wanted = [subject(name, SYMBOL)]
    (registered,) = ensure_schemas(stack.settings, wanted)
    assert registered.loosened is None
    with registry_client(stack.settings) as client:
        client.set_compatibility(name, "NONE")
        (mended,) = ensure_schemas(stack.settings, wanted)
        assert client.get_compatibility(name) == "BACKWARD"
    assert (mended.action, mended.version, mended.loosened, mended.is_changed) == ("unchanged", 1, "NONE", True)
    (again,) = ensure_schemas(stack.settings, wanted)
    assert (again.loosened, again.is_changed) == (None, False)


def test_the_registry_itself_refuses_a_breaking_schema(stack: RunningStack, name: str) -> None:
    ensure_schemas(stack.settings, [subject(name, SYMBOL)])
    breaking = Schema(subject(name, SYMBOL, REQUIRED).schema, "AVRO")
    with registry_client(stack.settings) as client, pytest.raises(SchemaRegistryError) as raised:
        client.register_schema(name, breaking)
    assert raised.value.http_status_code == 409


def test_a_registry_that_is_not_there_is_an_error_that_names_its_address(stack: RunningStack, name: str) -> None:
    url = "http://127.0.0.1:9/apis/ccompat/v7"
    settings = stack.settings.model_copy(update={"schema_registry_url": url})
    with pytest.raises(SchemaError, match=r"http://127\.0\.0\.1:9"):
        plan_schemas(settings, [subject(name, SYMBOL)])
