"""docs/reference/schemas.md: topics, Avro records and tables, from the files that declare them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ta_pipeline.clickhouse import read_migrations
from ta_pipeline.errors import SchemaError
from ta_pipeline.kafka_admin import DAY_MS, declared_topics
from ta_pipeline.reference.markdown import code, paragraph, table
from ta_pipeline.schema_fields import type_of
from ta_pipeline.schema_registry import (
    COMPATIBILITY,
    Registered,
    Subject,
    declared_subjects,
    plan,
    read_schema,
)
from ta_pipeline.settings import Settings, variable_of

_TABLE = re.compile(
    r"((?:--[^\n]*\n)+)CREATE TABLE IF NOT EXISTS \{database\}\.(\w+)\s*\((.*?)\n\)\n(.*?)(?=\n--|\Z)", re.DOTALL
)
_COLUMN = re.compile(r"^ {4}(\w+) (.+?)(?: COMMENT '([^']*)')?,?$", re.MULTILINE)
_STATUS_TOPIC = "ta.status.v1"


def page() -> str:
    """The page, as Markdown."""
    # The defaults, whatever the environment says; with the heartbeat, which has a schema too.
    settings = Settings.model_construct(status_topic=_STATUS_TOPIC)
    return "\n\n".join([*_topics(settings), *_records(settings), *_tables()]) + "\n"


def _topics(settings: Settings) -> Iterator[str]:
    yield "# Schemas"
    yield paragraph(
        "What the topics hold. With `json` formats a record is one JSON object with the fields of its schema; with "
        "`avro-confluent` it is that schema, in the registry as the subject `TOPIC-value`. The key is the symbol. "
        "What the values mean: [docs/market-semantics.md](../market-semantics.md)."
    )
    yield "## Topics"
    variables = {value: variable_of(name) for name, value in _topic_fields(settings).items()}
    records = {one.name.removesuffix("-value"): _name(one.schema) for one in declared_subjects(settings)}
    yield table(
        ("topic", "named by", "record", "cleanup", "retention", "partitions"),
        (
            (
                code(topic.name), code(variables[topic.name]),
                f"[`{records[topic.name]}`](#{records[topic.name].lower()})",
                topic.cleanup, f"{topic.retention_ms // DAY_MS} d", f"{topic.partitions}, or more",
            )
            for topic in declared_topics(settings)
        ),
    )  # fmt: skip
    yield paragraph(
        f"`{_STATUS_TOPIC}` is there when `TA_STATUS_TOPIC` names it. Topics are made when they are missing, and never "
        "changed or deleted."
    )
    yield "## What may change"
    yield paragraph(
        f"Subjects are {COMPATIBILITY}: a new version reads what older ones wrote. So a field may be added when it has "
        "a default, and one of an input may be taken away; a reader takes no notice of fields it does not know, and "
        "takes the default for those that are missing. No field of an output is taken away, renamed or given another "
        "type. No registry would refuse that, since each has a default: `ta rollout` and `declare` do. Every rollout "
        "asks first. Of a new version of `TaReject` with a field that has no default:"
    )
    yield f"```text\n{_refusal()}\n```"
    yield "`optional` below: the field has a default, so it may be missing, or null."


def _records(settings: Settings) -> Iterator[str]:
    schemas: dict[str, tuple[Any, list[str]]] = {}
    for subject in declared_subjects(settings):
        schema = json.loads(subject.schema)
        schemas.setdefault(schema["name"], (schema, []))[1].append(subject.name.removesuffix("-value"))
    for name, (schema, topics) in schemas.items():
        yield f"## `{name}`"
        yield paragraph(f"{schema.get('doc', '')} On {', '.join(map(code, topics))}.")
        yield table(("field", "type", "optional", "default", "meaning"), _fields(schema, "", {}))


def _fields(record: Any, above: str, named: dict[str, Any]) -> Iterator[tuple[str, str, str, str, str]]:
    """A row for each field; those of a record within follow it, with its name before theirs."""
    for field in record["fields"]:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        inner = [named.get(kind, kind) if isinstance(kind, str) else kind for kind in kinds if kind != "null"]
        has_default = "default" in field
        yield (
            code(above + field["name"]), ", ".join(type_of(kind, named) for kind in inner),
            "optional" if has_default else "",
            code(json.dumps(field["default"])) if has_default and field["default"] is not None else "",
            field.get("doc", ""),
        )  # fmt: skip
        for kind in inner:
            if isinstance(kind, dict) and kind["type"] == "record":
                named[kind["name"]] = kind
                yield from _fields(kind, f"{above}{field['name']}.", named)


def _tables() -> Iterator[str]:
    yield "## Tables"
    yield paragraph(
        "In ClickHouse, database `torghut`; made by the migrations in `schema/clickhouse`, each applied once. Readers "
        "take the views `ta_microbars_latest` and `ta_signals_latest`: one row for each key, the newest revision."
    )
    for migration in read_migrations():
        for comment, name, columns, rest in _TABLE.findall(migration.text):
            yield f"### `{name}`"
            said = " ".join(line.removeprefix("--").strip() for line in comment.splitlines())
            engine = " ".join(line.strip() for line in rest.strip().split("\n") if "{ttl}" not in line)
            yield f"{said} `{engine}`"
            rows = ((code(column), code(kind), meaning) for column, kind, meaning in _COLUMN.findall(columns))
            yield table(("column", "type", "meaning"), rows)


def _refusal() -> str:
    """What is said of a version that cannot read what is there."""
    before = read_schema("TaReject")
    after = json.loads(before)
    after["fields"].append({"name": "line", "type": "long"})
    subject = Subject("ta.rejects.v1-value", json.dumps(after))
    try:
        plan([subject], {subject.name: Registered(before, 1, 1)})
    except SchemaError as error:
        return str(error)
    raise AssertionError("a field without a default is not refused: what the page says of changes is out of date")


def _topic_fields(settings: Settings) -> dict[str, str]:
    return {name: getattr(settings, name) for name in Settings.model_fields if name.endswith("_topic")}


def _name(schema: str) -> str:
    return str(json.loads(schema)["name"])
