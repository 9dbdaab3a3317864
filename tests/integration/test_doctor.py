"""A producer that dies with an open transaction stalls a reader; the doctor shows it, aborts it, the reader goes on."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import dagster as dg
import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from kafka.admin import KafkaAdminClient
from kafka.errors import InvalidTxnStateError
from kafka.protocol.metadata import CoordinatorType
from kafka.protocol.producer import InitProducerIdRequest, ProduceRequest
from kafka.record.memory_records import MemoryRecordsBuilder

from orchestration.defs.monitoring.sensors import platform_health
from orchestration.defs.transactions.assets import kafka_transactions
from orchestration.resources import NOW, PLATFORM
from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.monitoring.kafka_source import open_limit_ms
from ta_pipeline.platform import Platform
from ta_pipeline.readers import OutputReader
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.broker import TransactionBroker
from ta_pipeline.transactions.doctor import examine
from ta_pipeline.transactions.verdicts import QUESTIONS
from tests.dagster_runs import check, materialize, metadata
from tests.jobs import running_job
from tests.stack import RunningStack, variables_of

_PRODUCER = """
import sys
from confluent_kafka import Producer
bootstrap, transactional_id, topic = sys.argv[1:]
producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": transactional_id, "log_level": 0})
producer.init_transactions(20)
producer.begin_transaction()
producer.produce(topic, b"never committed", key="AAA", partition=0)
producer.flush(20)
print("open", flush=True)
sys.stdin.read()
"""
FOREIGN = {"open_transactions"}
"""A warning: jobs of other tests were cancelled, and left theirs open."""
_TA = "from ta_pipeline.cli import main; main()"


@pytest.fixture
def declared(stack: RunningStack) -> Settings:
    """A deployment of the test's own whose prefix was another one at its first rollout."""
    settings = stack.own_settings(checkpoint_interval_ms=100)
    before = {**settings.public(), "TA_TRANSACTIONAL_ID_PREFIX": f"{settings.transactional_id_prefix}-old"}
    records = RevisionStore(settings)
    first = Revision(0, "2026-01-02T13:30:00Z", "running", settings.k8s_deployment, "a" * 32, before, "release")
    records.append(first)
    records.append(dataclasses.replace(first, settings=settings.public()))
    return settings


def test_a_producer_that_died_in_a_transaction_is_shown_and_aborted_and_its_reader_goes_on(
    stack: RunningStack, declared: Settings
) -> None:
    settings, topic, platform = declared, declared.bars_topic, Platform.of(declared, stack.local)
    orphan = f"{settings.transactional_id_prefix}-old-bars-0-0"
    died = time.time()
    _die_in_transaction(settings, orphan, topic)
    stack.produce(topic, [("AAA", b"behind it")])
    with closing(OutputReader(settings, [topic], committed=True, start="earliest")) as reader:
        assert _read(reader, 2.0) == []
        time.sleep(max(0.0, died + open_limit_ms(settings) / 1_000 + 1.5 - time.time()))

        asked, cursor = _tick(platform, None)
        assert [key.startswith("stable_offset-") for key in asked] == [True]
        assert _tick(platform, cursor)[0] == []  # once for each incident

        shown = _doctor(settings, "--json", status=1)
        (of_prefix,) = _ours(settings, shown)
        assert (of_prefix["prefix"], of_prefix["owner"]) == (f"{settings.transactional_id_prefix}-old", "dead")
        (opened,) = of_prefix["open"]
        assert opened["id"] == orphan
        assert opened["age_s"] == pytest.approx(time.time() - died, abs=8)
        assert {one["name"] for one in shown["verdicts"] if one["state"] == "bad"} == {"stable_offsets", "orphans"}
        (behind,) = [one for one in shown["partitions"] if one["topic"] == topic]
        assert (behind["stable"], behind["end"], behind["stands_still"]) == (0, 2, True)
        assert _read(reader, 0.5) == []

        ill = materialize(platform, [kafka_transactions])
        assert not check(ill, "orphans").passed
        assert check(ill, "orphans").severity is dg.AssetCheckSeverity.ERROR
        assert orphan in [row["id"] for row in metadata(ill, "kafka_transactions")["open transactions"]]

        told = _ta(settings, "--abort", orphan, "--seconds", "0.5", stdin="no\n")
        assert (told.returncode, "nothing was aborted" in told.stderr) == (1, True), told.stderr
        assert _read(reader, 0.5) == []

        after = _doctor(settings, "--json", "--abort", orphan, "--yes", "--seconds", "0.5", status=0)
        assert {one["name"] for one in after["verdicts"] if one["state"] != "ok"} <= FOREIGN
        assert _ours(settings, after) == []
        assert _read(reader, 20.0) == [b"behind it"]
        well = materialize(platform, [kafka_transactions])
        passed = {one.check_name for one in well.get_asset_check_evaluations() if one.passed}
        assert QUESTIONS.keys() - passed <= FOREIGN


def test_a_transaction_that_went_on_meanwhile_is_not_aborted(declared: Settings) -> None:
    name = f"{declared.transactional_id_prefix}-old-bars-0-0"
    with _producing(declared, name) as producer:
        producer.begin_transaction()
        producer.produce(declared.bars_topic, b"first")
        producer.flush(20)
        shown = examine(declared, _now_ms, 0.5).found.look.find(name)
        assert shown is not None
        producer.commit_transaction(20)
        with TransactionBroker(declared) as broker, pytest.raises(KafkaSetupError, match="is over by now"):
            broker.abort(shown)
        producer.begin_transaction()
        producer.produce(declared.bars_topic, b"second")
        producer.flush(20)
        with TransactionBroker(declared) as broker, pytest.raises(KafkaSetupError, match="is another one"):
            broker.abort(shown)
        producer.commit_transaction(20)
    with closing(OutputReader(declared, [declared.bars_topic], committed=True, start="earliest")) as reader:
        assert _read(reader, 20.0, wanted=2) == [b"first", b"second"]


def test_what_a_running_job_has_open_is_its_own_and_is_not_aborted_without_force(stack: RunningStack) -> None:
    settings = stack.own_settings(checkpoint_interval_ms=1_000)
    with running_job(stack, settings):
        # As a subtask of it that was lost.
        name = f"{settings.transactional_id_prefix}-bars-9-0"
        _die_in_transaction(settings, name, settings.bars_topic)
        told = _ta(settings, "--abort", name, "--yes", "--seconds", "0.5")
        assert told.returncode == 1
        assert f"it is running: {settings.k8s_deployment}" in told.stderr
        forced = _ta(settings, "--abort", name, "--yes", "--force", "--seconds", "0.5")
        assert "aborted all the same, what it holds is lost: it is running" in forced.stderr
        assert f"aborted the transaction of {name}" in forced.stderr


def test_a_transaction_that_no_coordinator_knows_hangs_and_is_aborted_in_its_partition(
    stack: RunningStack, declared: Settings
) -> None:
    topic = declared.late_topic
    with _unverified(declared):
        _leave_hanging(declared, topic)
    stack.produce(topic, [("AAA", b"behind it")])
    with closing(OutputReader(declared, [topic], committed=True, start="earliest")) as reader:
        assert _read(reader, 2.0) == []
        place = f"{topic}[0]"
        shown = _doctor(declared, "--json", "--seconds", "0.5", status=1)
        assert [one["place"] for one in shown["hanging"]] == [place]
        assert _ours(declared, shown) == []
        assert {one["name"] for one in shown["verdicts"] if one["state"] == "bad"} == {"stable_offsets", "hanging"}

        after = _doctor(declared, "--json", "--abort-hanging", place, "--yes", "--seconds", "0.5", status=0)
        assert after["hanging"] == []
        assert _read(reader, 20.0) == [b"behind it"]


@contextmanager
def _unverified(settings: Settings) -> Iterator[None]:
    """The broker as it was before 3.6: it does not ask the coordinator whether a transaction has begun."""

    def verify(on: str) -> None:
        entry = ConfigEntry(
            "transaction.partition.verification.enable", on, incremental_operation=AlterConfigOpType.SET
        )
        admin = AdminClient(client_config(settings, log_level=0))
        broker = ConfigResource(ResourceType.BROKER, "1", incremental_configs=[entry])
        (done,) = admin.incremental_alter_configs([broker]).values()
        done.result(timeout=20)

    verify("false")
    try:
        yield
    finally:
        verify("true")


def _leave_hanging(settings: Settings, topic: str) -> None:
    """A record of a minute ago in a transaction that its coordinator was never told of: a bug of a client."""
    name = f"{settings.transactional_id_prefix}-late-0-0"
    with _producing(settings, name):  # on a new broker, the first one makes the coordinators' topic
        pass
    with closing(KafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)) as client:

        async def leave() -> Any:
            ids = await client._find_coordinator_ids([name], key_type=CoordinatorType.TRANSACTION)
            ask = InitProducerIdRequest(transactional_id=name, transaction_timeout_ms=60_000, max_version=4)
            while (given := await client._manager.send(ask, node_id=ids[name])).error_code != 0:
                await client._net.sleep(0.2)
            batch = MemoryRecordsBuilder(
                2, 0, 16_384, transactional=True, producer_id=given.producer_id,
                producer_epoch=given.producer_epoch, base_sequence=0,
            )  # fmt: skip
            batch.append(timestamp=_now_ms() - 60_000, key=b"AAA", value=b"never committed", headers=[])
            batch.close()
            data = ProduceRequest.TopicProduceData
            written = data(name=topic, partition_data=[data.PartitionProduceData(index=0, records=batch.buffer())])
            while True:
                # Version 12 would begin the transaction by itself.
                request = ProduceRequest(
                    transactional_id=name, acks=-1, timeout_ms=5_000, topic_data=[written], max_version=11
                )
                (answer,) = (await client._manager.send(request, node_id=1)).responses
                (done,) = answer.partition_responses
                # The broker takes a moment until it no longer verifies.
                if done.error_code != InvalidTxnStateError.errno:
                    return done.error_code
                await client._net.sleep(0.2)

        assert client._manager.run(leave) == 0


def _tick(platform: Platform, cursor: str | None) -> tuple[list[str], str | None]:
    """One tick of `platform_health`: the runs it asks for, and what it remembers."""
    resources = {PLATFORM: platform, NOW: _now_ms}
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources) as context,
    ):
        result = platform_health(context)
    assert isinstance(result, dg.SensorResult)
    return [request.run_key or "" for request in result.run_requests or ()], result.cursor


def _die_in_transaction(settings: Settings, transactional_id: str, topic: str) -> None:
    """A process of its own with an open transaction, ended by kill -9."""
    command = [sys.executable, "-c", _PRODUCER, settings.kafka_bootstrap, transactional_id, topic]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.kill()


@contextmanager
def _producing(settings: Settings, transactional_id: str) -> Iterator[Producer]:
    producer = Producer(client_config(settings, **{"transactional.id": transactional_id, "log_level": 0}))
    producer.init_transactions(20)
    yield producer


def _read(reader: OutputReader, seconds: float, wanted: int = 1) -> list[bytes | None]:
    """What comes within a time, until there are as many as wanted."""
    deadline, found = time.monotonic() + seconds, list[bytes | None]()
    while len(found) < wanted and time.monotonic() < deadline:
        found += [arrival.value for arrival in reader.read()]
    return found


def _ta(settings: Settings, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _TA, "doctor", *arguments], cwd=REPOSITORY, capture_output=True, text=True,
        check=False, input=stdin, timeout=120, env={**os.environ, **variables_of(settings)},
    )  # fmt: skip


def _doctor(settings: Settings, *arguments: str, status: int) -> dict[str, Any]:
    """`ta doctor`, its JSON."""
    done = _ta(settings, *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return dict(orjson.loads(done.stdout))


def _ours(settings: Settings, shown: dict[str, Any]) -> list[dict[str, Any]]:
    """What is open with a prefix of the test's own."""
    return [
        one for one in shown["prefixes"] if one["open"] and one["prefix"].startswith(settings.transactional_id_prefix)
    ]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
