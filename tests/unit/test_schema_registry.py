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


VOLUME: Field = {"name": "volume", "type": ["null", "long"], "default": None}


def nested(*fields: Field) -> Field:
    inner = {"type": "record", "name": "Bands", "fields": list(fields)}
    return {"name": "boll", "type": ["null", inner], "default": None}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ([SYMBOL, OPTIONAL], [SYMBOL], "venue is gone"),
        ([SYMBOL, OPTIONAL], [SYMBOL, {**OPTIONAL, "name": "exchange", "aliases": ["venue"]}], "venue is gone"),
        ([nested(OPTIONAL, VOLUME)], [nested(OPTIONAL)], "boll.volume is gone"),
        ([SYMBOL, nested(OPTIONAL, VOLUME)], [SYMBOL], "boll is gone"),
        (
            [{"name": "seq", "type": "int"}],
            [{"name": "seq", "type": "long"}],
            "seq is long, it was int",
        ),
        ([SYMBOL], [{"name": "symbol", "type": "bytes"}], "symbol is bytes, it was string"),
        ([SYMBOL], [{"name": "symbol", "type": ["string", "null"]}], "symbol is null or string, it was string"),
        (
            [{"name": "at", "type": "long"}],
            [{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}],
            'at is long (logicalType "timestamp-millis"), it was long',
        ),
    ],
)
def test_a_field_of_an_output_that_goes_or_changes_is_refused_by_name(
    before: list[Field], after: list[Field], told: str
) -> None:
    assert unreadable(record(*after), record(*before)) is None
    subject = Subject("a-value", record(*after), only_grows=True)
    with pytest.raises(SchemaError, match="nothing was registered; keep these as they were") as raised:
        plan([subject], {"a-value": registered(record(*before))})
    assert str(raised.value).splitlines()[1:] == [f"a-value, against version 3: {told}"]
    assert plan([Subject("a-value", record(*after))], {"a-value": registered(record(*before))})


def test_a_field_of_an_output_may_be_added_and_described_and_used_again_by_its_name() -> None:
    before = record(SYMBOL, nested(OPTIONAL), {"name": "wide", "type": ["null", "Bands"], "default": None})
    described = {"name": "symbol", "type": {"type": "string"}, "doc": "as listed"}
    after = record(VOLUME, described, nested(OPTIONAL, VOLUME), {"name": "wide", "type": ["null", "Bands"]})
    subject = Subject("a-value", after, only_grows=True)
    assert plan([subject], {"a-value": registered(before)}) == [SubjectPlan(subject, "evolve")]


def test_an_output_may_go_back_to_an_older_version() -> None:
    subject = Subject("a-value", record(SYMBOL), only_grows=True)
    newest, own = {"a-value": registered(record(SYMBOL, OPTIONAL))}, {"a-value": Registered(record(SYMBOL), 5, 1)}
    assert plan([subject], newest, own) == [SubjectPlan(subject, "unchanged", 5, 1, newer=3)]


def test_outputs_only_grow_and_inputs_may_lose_a_field() -> None:
    settings = load_settings(status_topic="ta.status.v1")
    growing = {subject.name for subject in declared_subjects(settings) if subject.only_grows}
    assert growing == {f"{topic}-value" for topic in settings.output_topics}


def test_a_record_within_itself_is_compared_too() -> None:
    tree: Field = {"name": "left", "type": ["null", "Tick"], "default": None}
    subject = Subject("a-value", record(tree, OPTIONAL), only_grows=True)
    assert plan([subject], {"a-value": registered(record(tree))}) == [SubjectPlan(subject, "evolve")]
