"""The rules are what docs/security.md says, and they cover every name that the platform uses."""

from __future__ import annotations

import pytest

from ta_pipeline.kafka_admin import declared_topics
from ta_pipeline.kafka_rules import Rule, rules
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.replay.isolation import replay_settings
from ta_pipeline.settings import Settings, load_settings


def lines(settings: Settings) -> list[str]:
    """The table: what is alike in one line, in the order of the rules."""
    found: dict[tuple[str, tuple[str, ...], str, str], list[str]] = {}
    for rule in rules(settings):
        found.setdefault((rule.kind, rule.operations, rule.role, rule.why), []).append(rule.prefix)
    return [
        f"| {kind.replace('_', ' ')} | {', '.join(f'`{name}`' for name in names)} | {', '.join(operations)} "
        f"| {role}: {why} |"
        for (kind, operations, role, why), names in found.items()
    ]


def test_the_docs_list_them_as_they_are() -> None:
    text = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    table = [
        line for line in text.splitlines() if line.startswith(("| topic |", "| group |", "| trans", "| cluster |"))
    ]
    assert table == lines(load_settings(status_topic="ta.status.v1"))


def allows(found: tuple[Rule, ...], kind: str, name: str, operation: str) -> bool:
    return any(rule.kind == kind and name.startswith(rule.prefix) and operation in rule.operations for rule in found)


def test_a_replay_needs_no_others() -> None:
    production = load_settings()
    replay = replay_settings(production, "20260721-1")
    found = rules(production)
    for topic in replay.output_topics:
        for operation in ("CREATE", "READ", "WRITE", "DELETE", "DESCRIBE_CONFIGS"):
            assert allows(found, "topic", topic, operation), (topic, operation)
    assert allows(found, "group", f"{replay.group_id}-reader-1", "READ")
    assert allows(found, "transactional_id", f"{replay.transactional_id_prefix}-bars-1", "WRITE")


def test_production_topics_are_not_deleted_by_the_platform() -> None:
    settings = load_settings(status_topic="ta.status.v1")
    for topic in declared_topics(settings):
        assert not allows(rules(settings), "topic", topic.name, "DELETE")
        assert allows(rules(settings), "topic", topic.name, "CREATE")


@pytest.mark.parametrize("role", ["job", "platform"])
def test_each_rule_is_of_one_role(role: str) -> None:
    settings = load_settings()
    of_one = rules(settings, role)  # type: ignore[arg-type]
    assert {rule.role for rule in of_one} == {role}
    assert len(rules(settings)) > len(of_one) > 5
