"""Wrong keys for S3, a wrong password for ClickHouse and the registry: told soon, with the setting, not the secret."""

from __future__ import annotations

import secrets
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from ta_pipeline.clickhouse import apply_migrations, plan_migrations
from ta_pipeline.decode import OutputDecoder
from ta_pipeline.encoding import EnvelopeEncoder
from ta_pipeline.errors import TaError
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.s3 import BUCKET
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.monitoring.store_sources import ask_clickhouse
from ta_pipeline.preflight import require_registry, require_store
from ta_pipeline.s3 import ensure_bucket, list_keys, object_exists, read_object, s3_client, write_object
from ta_pipeline.schema_registry import ensure_schemas, plan_schemas
from ta_pipeline.settings import Settings, load_settings
from tests.stack import settings_of

WRONG = "not-the-secret-91c2"
URI = f"s3a://{BUCKET}/secret/thing"
SECRETS = {name: f"{name} {secrets.token_hex(8)}" for name in ("registry", "clickhouse", "s3")}


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    """The three stores, each with a secret of its own."""
    directory = Path(tempfile.mkdtemp(prefix="ta-"))
    ports = ("registry_port", "registry_management_port", "s3_port", "clickhouse_port")
    local = load_local_settings(
        dir=directory, components=("registry", "s3", "clickhouse"), **{name: free_port() for name in ports}
    )
    given = load_settings(
        schema_registry_username="ta-registry", schema_registry_password=SECRETS["registry"],
        clickhouse_password=SECRETS["clickhouse"], s3_access_key="key-of-the-test", s3_secret_key=SECRETS["s3"],
    )  # fmt: skip
    stack = Stack(local, given)
    try:
        stack.up()
        yield settings_of(stack)
    finally:
        stack.down()
        shutil.rmtree(directory)


def refusal(settings: Settings, ask: Callable[[Settings], object], **changed: Any) -> str:
    with pytest.raises(TaError) as raised:
        ask(load_settings(**{**settings.model_dump(), **changed}))
    trace = "".join(traceback.format_exception(raised.value))
    for secret in (WRONG, *SECRETS.values()):
        assert secret not in trace
    return str(raised.value)


@pytest.mark.parametrize(
    "ask",
    [
        lambda settings: list_keys(s3_client(settings), URI),
        lambda settings: object_exists(s3_client(settings), URI),
        lambda settings: read_object(s3_client(settings), URI),
        lambda settings: write_object(s3_client(settings), URI, b""),
        lambda settings: ensure_bucket(s3_client(settings), BUCKET),
        require_store,
    ],
    ids=["list", "exists", "read", "write", "bucket", "before a job"],
)
@pytest.mark.parametrize("wrong", ["s3_secret_key", "s3_access_key"])
def test_wrong_keys_for_s3_are_named(settings: Settings, ask: Callable[[Settings], object], wrong: str) -> None:
    message = refusal(settings, ask, **{wrong: WRONG})
    assert BUCKET in message
    assert "look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY" in message


@pytest.mark.parametrize("ask", [plan_migrations, apply_migrations, ask_clickhouse])
def test_a_wrong_password_for_clickhouse_is_named(settings: Settings, ask: Callable[[Settings], object]) -> None:
    message = refusal(settings, ask, clickhouse_password=WRONG)
    assert "user 'default'" in message
    assert "Authentication failed" in message
    assert "look at TA_CLICKHOUSE_USERNAME and TA_CLICKHOUSE_PASSWORD" in message


def test_the_registry_lets_nobody_in_without_its_password(settings: Settings) -> None:
    for login in (None, ("ta-registry", WRONG), ("somebody", SECRETS["registry"])):
        answer = requests.get(f"{settings.schema_registry_url}/subjects", auth=login, timeout=5)
        assert answer.status_code == 401


def _encode(settings: Settings) -> None:
    with EnvelopeEncoder(settings.model_copy(update={"input_format": "avro-confluent"})) as encoder:
        encoder.encode(settings.trades_topic, {})


def _decode(settings: Settings) -> None:
    with OutputDecoder(settings.model_copy(update={"output_format": "avro-confluent"})) as decoder:
        decoder.decode(settings.bars_topic, b"\0\0\0\0\1record")


def _before_a_job(settings: Settings) -> None:
    require_registry(settings.model_copy(update={"output_format": "avro-confluent"}))


@pytest.mark.parametrize("ask", [plan_schemas, ensure_schemas, _encode, _decode, _before_a_job])
@pytest.mark.parametrize(
    "wrong", [{"schema_registry_password": WRONG}, {"schema_registry_username": ""}], ids=["password", "nobody"]
)
def test_a_wrong_password_for_the_registry_is_named(
    settings: Settings, ask: Callable[[Settings], object], wrong: dict[str, str]
) -> None:
    message = refusal(settings, ask, **wrong)
    assert "(status 401)" in message
    assert "look at TA_SCHEMA_REGISTRY_USERNAME and TA_SCHEMA_REGISTRY_PASSWORD" in message


def test_with_the_right_ones_everything_is_let_in(settings: Settings) -> None:
    assert {plan.action for plan in plan_schemas(settings)} == {"unchanged"}
    assert plan_migrations(settings).pending == ()
    write_object(s3_client(settings), URI, b"kept")
    assert read_object(s3_client(settings), URI) == b"kept"
