from __future__ import annotations

import json
from typing import Any

import pytest

from ta_pipeline.errors import SchemaError
from ta_pipeline.schema_registry import (
    DIRECTORY,
    Registered,
    Subject,
    SubjectPlan,
    declared_subjects,
    plan,
    read_schema,
    unreadable,
)
from ta_pipeline.settings import load_settings

Field = dict[str, Any]
SYMBOL: Field = {"name": "symbol", "type": "string"}
OPTIONAL: Field = {"name": "venue", "type": ["null", "string"], "default": None}
REQUIRED: Field = {"name": "venue", "type": "string"}


def record(*fields: Field) -> str:
    return json.dumps({"type": "record", "name": "Tick", "fields": list(fields)})


def registered(schema: str) -> Registered:
    return Registered(schema, schema_id=7, version=3)


def test_every_topic_has_a_subject_named_after_it() -> None:
    settings = load_settings(status_topic="ta.status.v1")
    names = {subject.name for subject in declared_subjects(settings)}
    assert names == {
        f"{topic}-value" for topic in (*settings.input_topics, settings.clock_topic, *settings.output_topics)
    }


def test_the_heartbeat_has_no_subject_when_it_is_off() -> None:
    assert "-value" not in {subject.name for subject in declared_subjects(load_settings(status_topic=""))}


def test_final_and_live_signals_have_the_same_schema() -> None:
    settings = load_settings()
    schemas = {subject.name: subject.schema for subject in declared_subjects(settings)}
    assert schemas[f"{settings.signals_topic}-value"] == schemas[f"{settings.live_topic}-value"]


@pytest.mark.parametrize("name", sorted(path.stem for path in DIRECTORY.glob("*.avsc")))
def test_a_schema_file_is_a_record_that_reads_itself(name: str) -> None:
    schema = read_schema(name)
    assert json.loads(schema)["type"] == "record"
    assert json.loads(schema)["name"] == name
    assert unreadable(schema, schema) is None


def test_what_is_not_registered_is_registered() -> None:
    subject = Subject("a-value", record(SYMBOL))
    assert plan([subject], {"a-value": None}) == [SubjectPlan(subject, "register")]


def test_the_same_schema_in_another_layout_is_unchanged() -> None:
    subject = Subject("a-value", record(SYMBOL))
    spread = json.dumps(json.loads(subject.schema), indent=4, sort_keys=True)
    assert plan([subject], {"a-value": registered(spread)}) == [SubjectPlan(subject, "unchanged", 7, 3)]


def test_a_field_with_a_default_evolves_the_subject() -> None:
    subject = Subject("a-value", record(SYMBOL, OPTIONAL))
    assert plan([subject], {"a-value": registered(record(SYMBOL))}) == [SubjectPlan(subject, "evolve")]


def test_a_schema_that_is_an_older_version_stays_that_version() -> None:
    subject = Subject("a-value", record(SYMBOL))
    newest, own = {"a-value": registered(record(SYMBOL, OPTIONAL))}, {"a-value": Registered(record(SYMBOL), 5, 1)}
    assert plan([subject], newest, own) == [SubjectPlan(subject, "unchanged", 5, 1, newer=3)]


def test_an_older_version_that_readers_of_the_newest_could_not_read_is_refused() -> None:
    subject = Subject("a-value", record(SYMBOL))
    newest, own = {"a-value": registered(record(SYMBOL, REQUIRED))}, {"a-value": Registered(record(SYMBOL), 5, 1)}
    with pytest.raises(SchemaError, match="a-value, which is version 1, read as version 3: venue at /fields/1"):
        plan([subject], newest, own)


def test_a_field_may_be_left_out() -> None:
    assert unreadable(record(SYMBOL), record(SYMBOL, REQUIRED)) is None


def test_every_breaking_subject_is_named_with_its_field_and_the_version_it_breaks() -> None:
    wider = record({"name": "symbol", "type": "int"})
    subjects = [Subject("a-value", record(SYMBOL, REQUIRED)), Subject("b-value", wider), Subject("c-value", wider)]
    latest = {"a-value": registered(record(SYMBOL)), "b-value": registered(record(SYMBOL)), "c-value": None}
    with pytest.raises(SchemaError, match="nothing was registered") as raised:
        plan(subjects, latest)
    lines = str(raised.value).splitlines()[1:]
    assert lines == [
        "a-value, against version 3: venue at /fields/1 (reader field missing default value)",
        "b-value, against version 3: reader type: int not compatible with writer type: string at /fields/0/type "
        "(type mismatch)",
    ]
