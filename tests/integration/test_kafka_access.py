"""The local stack's own Kafka, plain and secured: who gets in, with which password, and that data stays."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ta_pipeline.errors import KafkaSetupError, StackError
from ta_pipeline.kafka_admin import topic_names
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import LocalSettings, load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.settings import load_settings
from tests.stack import settings_of

GIVEN = "a password of one's own: %s {x}"


@pytest.fixture
def plain() -> Iterator[LocalSettings]:
    directory = Path(tempfile.mkdtemp(prefix="ta-"))
    local = load_local_settings(
        dir=directory, components=("kafka",), kafka_port=free_port(), kafka_controller_port=free_port(),
        kafka_heap_mb=256,
    )  # fmt: skip
    yield local
    Stack(local).down()
    shutil.rmtree(directory)


def test_a_plain_broker_becomes_a_secured_one_and_keeps_its_topics(plain: LocalSettings) -> None:
    before = Stack(plain)
    before.up()
    topics = topic_names(settings_of(before))
    assert "ta.bars.1s.v1" in topics

    secured = plain.model_copy(update={"kafka_security": "SASL_SSL"})
    Stack(secured).up()
    # Another process finds the password that was generated.
    settings = settings_of(Stack(secured))
    assert (settings.kafka_security, settings.kafka_username) == ("SASL_SSL", "ta")
    assert set(topics) <= set(topic_names(settings))
    with pytest.raises(KafkaSetupError, match="TA_KAFKA_SECURITY"):
        topic_names(settings_of(before))
    for name in ("passwords.json", "server.properties", "tls/broker.pem"):
        assert stat.S_IMODE((plain.dir / "kafka" / name).stat().st_mode) == 0o600

    own = Stack(secured, load_settings(kafka_password=GIVEN))
    pid = own.status()[0].pid
    own.up()
    assert own.status()[0].pid == pid  # a user's password is none of the broker's configuration
    assert topic_names(settings_of(own))
    with pytest.raises(KafkaSetupError, match="refused user 'ta'"):
        topic_names(settings)


def test_a_users_name_that_is_the_brokers_is_refused(plain: LocalSettings) -> None:
    secured = plain.model_copy(update={"kafka_security": "SASL_SSL"})
    with pytest.raises(StackError, match="TA_KAFKA_USERNAME=broker is the broker itself"):
        Stack(secured, load_settings(kafka_username="broker")).up()
