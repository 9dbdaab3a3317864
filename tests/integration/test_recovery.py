"""The state is gone, or what it had pre-committed is: the job is rebuilt from its inputs, and the gap is given out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import orjson
import pytest
from click.testing import Result
from confluent_kafka import Producer
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.errors import S3NoAnswerError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.kafka_config import client_config
from ta_pipeline.local.s3 import HIGH_AVAILABILITY_DIR
from ta_pipeline.platform import Platform
from ta_pipeline.recovery.gap import Refill, find_gap
from ta_pipeline.recovery.retention import extents
from ta_pipeline.recovery.service import Recovery
from ta_pipeline.recovery.settled import is_settled
from ta_pipeline.retained import every_state
from ta_pipeline.revisions import RevisionStore
from ta_pipeline.s3 import delete_object, list_keys, s3_client, split_uri
from ta_pipeline.savepoints.catalog import read_catalog
from ta_pipeline.savepoints.savepoint import same_path
from ta_pipeline.settings import Settings
from tests.jobs import expected, without_ingest
from tests.output_records import START_MS, bar
from tests.proofs import Say, all_committed, require_equal
from tests.rollouts import changed, market, own_platform, require_same_as_undisturbed, roll_out
from tests.stack import Record, RunningStack, wait_for

EMITTED = 60


@pytest.mark.kills
@pytest.mark.timeout(900, func_only=True)
def test_a_job_whose_state_is_gone_is_rebuilt_from_its_inputs_with_the_same_keys_and_values(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    with own_platform(stack) as platform, market(platform.settings, seed=51) as going:
        settings = platform.settings
        roll_out(platform)
        stack.consume(settings.signals_topic, _holds(EMITTED))
        refused = _ta(platform, "recover", "--yes")
        assert refused.exit_code == 1
        assert "is RUNNING: its state is in its memory" in refused.output
        assert RevisionStore(settings).current() is not None

        away = Platform.of(settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:9"}), stack.local)
        with pytest.raises(S3NoAnswerError):
            Recovery(away).plan()

        # The JobManager too: it has the small state of a test in its memory, and would go on from there.
        for component in ("taskmanager", "jobmanager"):
            stack.kill(component)
        wait_for("everything in S3 is gone", lambda: _wipe(settings), 60)
        wait_for("Flink does not come back", lambda: "--forget-jobs" in _ta(platform, "recover", "--yes").output, 120)
        begun = time.monotonic()
        asked = _ta(platform, "recover", "--forget-jobs", answer="n\n")
        stack.await_ready()
        assert "S3: no savepoint and no checkpoint" in asked.output
        assert every_state(settings) == []
        done = _ta(platform, "recover", "--yes")
        say(f"recovered in {time.monotonic() - begun:.1f} s:\n{done.output}")
        assert done.exit_code == 0, done.output
        current = RevisionStore(settings).current()
        assert current is not None
        assert (current.number, current.job_id) == (1, platform.job.status()[0].job_id)
        assert "/rebuilds/" in current.rebuild
        (savepoint,) = read_catalog(settings).savepoints
        assert savepoint.path in done.output

        # What it withholds goes along with its state.
        upgraded = roll_out(changed(platform, live_slice_ms=200))
        assert (upgraded["kind"], upgraded["revision"]) == ("upgrade", 2)
        newest = RevisionStore(settings).current()
        assert newest is not None
        assert newest.rebuild == current.rebuild

        say(f"{require_same_as_undisturbed(stack, settings, tmp_path, going)} bars as in an undisturbed run")


def test_what_kafka_has_aborted_is_given_out_byte_by_byte_and_once(stack: RunningStack) -> None:
    settings = stack.own_settings(revision_horizon_ms=5_000)
    records = {second: orjson.dumps(bar("AAA", START_MS + second * 1_000)) for second in range(1, 20)}
    transaction = _Transactions(settings)
    transaction(records, range(1, 4), commit=True)
    transaction(records, range(4, 7), commit=False)
    # A job that fails aborts what it has open, and computes it again.
    transaction(records, range(7, 9), commit=False)
    transaction(records, range(7, 12), commit=True)
    early = find_gap(settings, 0)
    assert (len(early.lost), early.undecided, early.aborted) == (0, 3, 5)
    transaction(records, range(12, 20), commit=True)
    assert [one.record.value for one in find_gap(settings, 0).lost] == [records[second] for second in (4, 5, 6)]
    given = Refill(settings).run(0)
    assert given.by_topic == {settings.bars_topic: 3}
    seen = stack.consume(settings.bars_topic, lambda found: len(found) >= len(records))
    assert sorted(record.value for record in seen) == sorted(records.values())
    assert [(record.key, record.value) for record in seen[-3:]] == [("AAA", records[second]) for second in (4, 5, 6)]
    assert Refill(settings).run(0).lost == []


@pytest.mark.kills
@pytest.mark.timeout(900, func_only=True)
def test_an_outage_longer_than_the_transaction_timeout_is_told_and_its_gap_given_out(
    stack: RunningStack, tmp_path: Path, say: Say
) -> None:
    short = {
        "transaction_timeout_ms": 20_000, "checkpoint_timeout_ms": 10_000, "restart_budget_ms": 5_000,
        "revision_horizon_ms": 5_000, "checkpoint_interval_ms": 15_000,
    }  # fmt: skip
    with own_platform(stack, **short) as platform, market(platform.settings, seed=52) as going:
        settings = platform.settings
        roll_out(platform)
        stack.consume(settings.signals_topic, _holds(EMITTED))
        # Just after a commit. A savepoint commits nothing: what it has pre-committed waits for the next checkpoint, and
        # that never comes.
        time.sleep(4)
        savepoint = platform.job.savepoint()
        stack.kill("taskmanager")
        platform.job.cancel()
        down = time.time()
        wait_for("Kafka has aborted what was pre-committed", lambda: _hidden(settings) == 0, 60)
        outage = time.time() - down
        wait_for("the outage is longer than the timeout", lambda: time.time() - down > 25)
        stack.await_ready()

        again = changed(platform, checkpoint_interval_ms=1_000)
        done = roll_out(again)
        (status,) = platform.job.status()
        restored = FlinkRest(settings.flink_rest_url).restored_from(status.job_id)
        assert restored is not None
        assert same_path(restored) == same_path(savepoint)
        say(f"transactions aborted {outage:.1f} s after the kill; the rollout says: {done['note']}")
        assert "older than TA_TRANSACTION_TIMEOUT_MS=20000" in done["note"]
        assert "ta recover --gap" in done["note"]

        assert not is_settled(again)
        wait_for("nothing is undecided any more", lambda: find_gap(settings, 0).undecided == 0, 90)
        going.stop()
        sent = going.messages[: going.sent.result().total]
        wait_for("the job is through with all of it", lambda: is_settled(again), 120)
        right = expected(tmp_path, settings, sent)
        gap = find_gap(settings, 0)
        missing = {}
        names = {settings.bars_topic: "bars", settings.signals_topic: "signals"}
        for (topic, name), records in zip(names.items(), all_committed(stack, settings, *names), strict=True):
            seen = {_key(record) for record in records}
            missing[topic] = sorted(_key(record) for record in right[name] if _key(record) not in seen)
        say(f"lost before: { ({topic: len(keys) for topic, keys in missing.items()}) }; found: {gap.by_topic}")
        assert {topic: len(keys) for topic, keys in missing.items()} == gap.by_topic
        assert gap.lost

        shown = _ta(platform, "recover", "--gap", "--yes")
        say(shown.output)
        assert shown.exit_code == 0, shown.output
        for (topic, name), records in zip(names.items(), all_committed(stack, settings, *names), strict=True):
            # Behind their successors, so not in the order of an undisturbed run, but the same records, once each.
            require_equal(topic, without_ingest(records), right[name])
        assert "nothing is lost" in _ta(platform, "recover", "--gap", "--yes").output


class _Transactions:
    """Writes bars in transactions of one producer, as a sink of the job does."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.bars_topic
        self._producer = Producer(client_config(settings, **{"transactional.id": settings.group_id, "log_level": 0}))
        self._producer.init_transactions(30)

    def __call__(self, records: Mapping[int, bytes], seconds: Iterable[int], *, commit: bool) -> None:
        self._producer.begin_transaction()
        for second in seconds:
            self._producer.produce(self._topic, records[second], key="AAA")
        assert self._producer.flush(30) == 0
        (self._producer.commit_transaction if commit else self._producer.abort_transaction)(30)


def _ta(platform: Platform, *arguments: str, answer: str | None = None) -> Result:
    """The command, as somebody types it."""
    environment = {**platform.environment, **platform.local.variables()}
    return CliRunner().invoke(app, list(arguments), env=environment, input=answer, catch_exceptions=False)


def _holds(count: int) -> Callable[[Sequence[Record]], bool]:
    return lambda records: len(records) >= count


def _wipe(settings: Settings) -> bool:
    """Delete all that the deployment has in S3; whether nothing was left."""
    client = s3_client(settings)
    found = [
        f"s3a://{split_uri(folder)[0]}/{key}"
        for folder in (settings.checkpoint_dir, settings.savepoint_dir, settings.revision_dir, HIGH_AVAILABILITY_DIR)
        for key in list_keys(client, f"{folder}/")
    ]
    for uri in found:
        delete_object(client, uri)
    return not found


def _hidden(settings: Settings) -> int:
    return sum(one.hidden for one in extents(settings, settings.final_topics))


def _key(record: dict[str, object]) -> tuple[object, object, object]:
    return record["symbol"], record["event_ts"], record["revision"]
