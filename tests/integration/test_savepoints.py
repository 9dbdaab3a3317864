"""Savepoints of a running job: taken, catalogued, verified, drilled, and deleted when the job is long down.

One job for all tests: those at the end need it to be down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from typer.testing import CliRunner

from orchestration.defs.savepoints.assets import SavepointConfig, restore_drill, savepoint, savepoint_retention
from orchestration.defs.savepoints.checks import savepoint_verified
from orchestration.defs.savepoints.schedules import savepoint_schedule
from ta_pipeline.cli import app
from ta_pipeline.clickhouse import client_of
from ta_pipeline.errors import FlinkError
from ta_pipeline.kafka_admin import Topic, create_topics, topic_names
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.platform import Platform
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.s3 import delete_object, list_keys, list_objects, read_object, s3_client, split_uri, write_object
from ta_pipeline.savepoints.catalog import read_catalog, save_catalog
from ta_pipeline.savepoints.drill import drill
from ta_pipeline.savepoints.drill_settings import drill_folders, drill_settings
from ta_pipeline.savepoints.retention import NEEDED, VERIFIED, apply_retention, retention_of
from ta_pipeline.savepoints.savepoint import INCOMPLETE, Savepoint, list_savepoints
from ta_pipeline.savepoints.take import take
from ta_pipeline.savepoints.tools import drill_tools, state_reader
from ta_pipeline.savepoints.verify import judged, verify
from tests.jobs import FAST, Message, committed, running_job, send
from tests.messages import at, trade
from tests.stack import RunningStack

SYMBOLS = 4_000
"""So many that their state is a file of its own, and not within the metadata."""
LEFT = "drill-20260101-000000"
"""A drill that was killed long ago."""


@pytest.fixture(scope="module")
def platform(stack: RunningStack) -> Platform:
    return Platform.of(stack.own_settings(startup_mode="earliest", savepoints_kept=1, **FAST), stack.local)


@pytest.fixture(scope="module")
def job(stack: RunningStack, platform: Platform) -> Iterator[LocalRuntime]:
    """The job, with the state of many symbols."""
    settings = platform.settings
    send(stack, settings, _trades(SYMBOLS, time.time() - 30))
    with running_job(stack, settings) as runtime:
        committed(stack, settings, settings.bars_topic, lambda found: len(found) >= SYMBOLS)
        yield runtime


@pytest.fixture
def taken(platform: Platform, job: LocalRuntime) -> Savepoint:
    return take(platform.settings, job, "manual", datetime.now(UTC)).savepoint


@pytest.fixture
def down(job: LocalRuntime) -> None:
    job.cancel()


def test_a_savepoint_is_taken_while_the_job_runs_on_and_is_in_the_catalog(
    platform: Platform, job: LocalRuntime
) -> None:
    settings, now = platform.settings, datetime.now(UTC)
    (before,) = job.status()
    result = take(settings, job, "manual", now)
    (after,) = job.status()
    assert (after.job_id, after.state, after.restarts) == (before.job_id, "RUNNING", 0)
    found = result.savepoint
    assert result.trouble is None
    assert result.seconds < 30
    assert found.complete
    assert found.path.startswith(f"{settings.savepoint_dir}/savepoint-{before.job_id[:6]}-")
    assert found.files > 1
    assert found.bytes > 1 << 20
    assert abs(found.taken_at - now) < timedelta(minutes=1)
    assert (found.job_id, found.kind, found.verified_at) == (before.job_id, "manual", None)
    assert read_catalog(settings).newest == found
    assert _row(platform, found) == (before.job_id, "manual", found.bytes, found.files, None, None, None)


def test_a_savepoint_is_verified_and_what_is_missing_or_short_is_found(platform: Platform, taken: Savepoint) -> None:
    settings, reader = platform.settings, state_reader(platform)
    client = s3_client(settings)
    bucket, prefix = split_uri(taken.path)
    assert verify(settings, taken, reader) == []

    files = {one.key: one.bytes for one in list_objects(client, f"{taken.path}/")}
    key = max((key for key in files if not key.endswith("_metadata")), key=lambda key: files[key])
    content = read_object(client, f"s3a://{bucket}/{key}")
    for damage in (None, content[:-1000]):
        delete_object(client, f"s3a://{bucket}/{key}")
        if damage is not None:
            write_object(client, f"s3a://{bucket}/{key}", damage)
        (problem,) = verify(settings, taken, reader)
        assert key.rsplit("/", 1)[1] in problem
    write_object(client, f"s3a://{bucket}/{key}", b"")
    assert verify(settings, taken, reader) == [f"{key.rsplit('/', 1)[1]} is empty"]
    write_object(client, f"s3a://{bucket}/{key}", content)
    assert verify(settings, taken, reader) == []

    metadata = read_object(client, f"{taken.path}/_metadata")
    write_object(client, f"{taken.path}/_metadata", metadata[: len(metadata) // 2])
    assert len(verify(settings, taken, reader)) == 1
    delete_object(client, f"{taken.path}/_metadata")
    assert verify(settings, taken, reader) == [INCOMPLETE]
    found = read_catalog(settings).find(taken.path)
    assert found is not None
    assert not found.complete
    for key in list_keys(client, f"s3a://{bucket}/{prefix}/"):
        delete_object(client, f"s3a://{bucket}/{key}")
    assert verify(settings, taken, reader) == ["it is not in S3"]


def test_the_asset_takes_one_and_its_check_verifies_it(platform: Platform, job: LocalRuntime) -> None:
    result = dg.materialize([savepoint, savepoint_verified], resources={"platform": platform})
    (materialization,) = result.asset_materializations_for_node("savepoint")
    metadata = materialization.metadata
    (check,) = result.get_asset_check_evaluations()
    assert check.passed, check.description
    found = read_catalog(platform.settings).newest
    assert found is not None
    assert metadata["path"].value == found.path
    assert metadata["bytes"].value == found.bytes
    assert metadata["seconds"].value > 0
    table = metadata["savepoints"]
    assert isinstance(table, dg.TableMetadataValue)
    assert found.path in {record.data["path"] for record in table.records}
    assert found.verified_at is not None
    _, kind, _, _, verified_at, problem, _ = _row(platform, found)
    assert (kind, problem) == ("manual", None)
    assert verified_at == found.verified_at


def test_a_damaged_savepoint_fails_the_check(platform: Platform, taken: Savepoint) -> None:
    client = s3_client(platform.settings)
    metadata = read_object(client, f"{taken.path}/_metadata")
    write_object(client, f"{taken.path}/_metadata", b"")
    result = dg.materialize(
        [savepoint, savepoint_verified],
        resources={"platform": platform},
        selection=dg.AssetSelection.checks(savepoint_verified),
    )
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert check.description == f"{taken.name}: _metadata is empty"
    assert _row(platform, taken)[5] == "_metadata is empty"
    write_object(client, f"{taken.path}/_metadata", metadata)


def test_a_scheduled_savepoint_that_waited_until_it_is_needless_is_not_taken(
    platform: Platform, taken: Savepoint
) -> None:
    # S3 tells times by the second, so which of two savepoints is the newer one may not be told: all of them are asked.
    before = [one.path for one in list_savepoints(platform.settings)]
    assert taken.path in before
    result = dg.materialize(
        [savepoint],
        resources={"platform": platform},
        run_config=dg.RunConfig(ops={"savepoint": SavepointConfig(kind="scheduled")}),
    )
    assert result.success
    assert not result.asset_materializations_for_node("savepoint")
    assert [one.path for one in list_savepoints(platform.settings)] == before


@pytest.mark.usefixtures("taken")
def test_the_schedule_takes_one_when_it_is_due_and_not_around_an_open(platform: Platform) -> None:
    def tick(now: datetime) -> dg.RunRequest | dg.SkipReason:
        context = dg.build_schedule_context(scheduled_execution_time=now, resources={"platform": platform})
        found: Any = savepoint_schedule(context)
        return found

    day = _next_session(datetime.now(UTC))
    opens = day.replace(hour=14, minute=30)  # 09:30 in New York, in winter
    early = tick(datetime.now(UTC) + timedelta(hours=5))
    assert isinstance(early, dg.SkipReason)
    assert "the next is due 6 h later" in (early.skip_message or "")
    within = tick(opens - timedelta(minutes=20))
    assert isinstance(within, dg.SkipReason)
    assert within.skip_message is not None
    assert within.skip_message.endswith("15:00 UTC takes it")
    after = tick(opens + timedelta(minutes=30))
    assert isinstance(after, dg.RunRequest)
    assert after.run_config["ops"]["savepoint"]["config"] == {"kind": "scheduled"}


def test_clickhouse_that_is_down_does_not_keep_a_savepoint_from_being_taken_and_nothing_is_deleted(
    platform: Platform, job: LocalRuntime
) -> None:
    settings = platform.settings.model_copy(update={"clickhouse_url": "http://127.0.0.1:9"})
    result = take(settings, job, "manual", datetime.now(UTC))
    assert result.trouble is not None
    assert "could not be read" in result.trouble
    later = datetime.now(UTC) + timedelta(days=30)
    plan = retention_of(settings, read_catalog(settings), later)
    assert ["could not be read" in reason for reason in plan.unknown] == [True]
    assert not plan.delete


def test_a_drill_restores_beside_production_sees_output_and_removes_what_it_and_earlier_ones_made(
    stack: RunningStack, platform: Platform, job: LocalRuntime, taken: Savepoint
) -> None:
    settings, tools = platform.settings, drill_tools(platform)
    left = drill_settings(settings, LEFT, tools.isolate)
    client = s3_client(settings)
    create_topics(left, [Topic(left.bars_topic, 3_600_000), Topic(left.late_topic, 3_600_000)])
    write_object(client, f"{drill_folders(left, LEFT)[0]}/chk-1/_metadata", b"left")
    send(stack, settings, _trades(20, time.time(), first=SYMBOLS), first_seq=SYMBOLS)
    save_catalog(settings, _verified(platform, taken), datetime.now(UTC))

    result = dg.materialize([restore_drill], resources={"platform": platform}, raise_on_error=False)
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert check.passed, check.description
    (materialization,) = result.asset_materializations_for_node("restore_drill")
    metadata = {name: one.value for name, one in materialization.metadata.items()}
    assert (metadata["verdict"], metadata["savepoint"]) == ("passed", taken.path)
    assert str(metadata["output"]).startswith("first committed bar: ")
    number = str(metadata["drill"])

    assert not [name for name in topic_names(settings) if name.startswith(f"{settings.bars_topic}.replay.")]
    for one in (LEFT, number):
        for folder in drill_folders(drill_settings(settings, one, tools.isolate), one):
            assert list_keys(client, f"{folder}/") == []
    (status,) = job.status()
    assert (status.state, status.restarts) == ("RUNNING", 0)
    bars = committed(stack, settings, settings.bars_topic, lambda found: len(found) >= SYMBOLS + 20)
    assert len(bars) == len({(bar["symbol"], bar["event_ts"], bar["revision"]) for bar in bars})


def test_a_drill_that_cannot_restore_fails_and_leaves_nothing(platform: Platform, taken: Savepoint) -> None:
    settings = platform.settings
    nowhere = replace(taken, path=f"{settings.savepoint_dir}/savepoint-000000-000000000000")
    report = drill(settings, nowhere, drill_tools(platform), datetime.now(UTC))
    assert not report.passed
    assert report.job_id is None
    assert "savepoint-000000-000000000000" in "\n".join(report.problems)
    assert not [name for name in topic_names(settings) if name.startswith(f"{settings.bars_topic}.replay.")]


def test_the_command_line_lists_verifies_and_says_what_it_would_delete(
    platform: Platform, taken: Savepoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**platform.environment, **platform.local.variables()}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "220")
    runner = CliRunner()
    listed = runner.invoke(app, ["savepoint", "list"])
    assert listed.exit_code == 0, listed.output
    assert taken.name in listed.stdout
    verified = runner.invoke(app, ["savepoint", "verify", taken.name])
    assert verified.exit_code == 0, verified.output
    assert "verified: " in verified.stdout
    pruned = runner.invoke(app, ["savepoint", "prune", "--dry-run"])
    assert pruned.exit_code == 0, pruned.output
    assert "0 would be deleted, and 0 copies of the code" in pruned.stdout
    unknown = runner.invoke(app, ["savepoint", "verify", "savepoint-000000-000000000000"])
    assert unknown.exit_code == 1
    assert "no savepoint savepoint-000000-000000000000" in unknown.stderr


@pytest.mark.usefixtures("down")
def test_without_a_job_the_asset_says_so_and_the_schedule_skips(platform: Platform) -> None:
    result = dg.materialize([savepoint], resources={"platform": platform}, raise_on_error=False)
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert failure.step_failure_data.error is not None
    description = failure.step_failure_data.user_failure_data
    assert description is not None
    assert f"{platform.settings.k8s_deployment} does not run" in str(description.description)
    noon = _next_session(datetime.now(UTC)).replace(hour=17)
    context = dg.build_schedule_context(scheduled_execution_time=noon, resources={"platform": platform})
    skipped: Any = savepoint_schedule(context)
    assert isinstance(skipped, dg.SkipReason)
    assert skipped.skip_message == f"{platform.settings.k8s_deployment} does not run: there is nothing to save"
    with pytest.raises(FlinkError, match="does not run"):
        take(platform.settings, platform.job, "manual", datetime.now(UTC))


@pytest.mark.usefixtures("down")
def test_with_the_job_down_retention_deletes_what_nothing_needs_and_only_that(platform: Platform) -> None:
    settings = platform.settings
    client = s3_client(settings)
    young = dg.materialize([savepoint_retention], resources={"platform": platform})
    (materialization,) = young.asset_materializations_for_node("savepoint_retention")
    assert materialization.metadata["deleted"].value == 0

    catalog = read_catalog(settings)
    newest, verified, needed, *others = [one for one in catalog.savepoints if one.complete]
    assert others
    for one in (newest, *others):
        catalog = catalog.replaced(replace(one, verified_at=None, problem=None))
    catalog = catalog.replaced(judged(replace(verified, problem=None), [], datetime.now(UTC)))
    assert save_catalog(settings, catalog, datetime.now(UTC)) is None
    RevisionStore(settings).append(
        Revision(0, "", "running", "ta", "9" * 32, {}, "r", restored_from=needed.path, savepoint=needed.path)
    )
    given_up = f"{settings.savepoint_dir}/savepoint-abcdef-00000000dead"
    foreign = f"{settings.savepoint_dir}/notes.txt"
    checkpoints = list_keys(client, f"{settings.checkpoint_dir}/")
    write_object(client, f"{given_up}/part", b"state")
    write_object(client, foreign, b"of somebody else")

    later = datetime.now(UTC) + timedelta(days=2)
    plan = retention_of(settings, read_catalog(settings), later)
    assert plan.unknown == ()
    assert {one.savepoint.path for one in plan.keep} == {newest.path, verified.path, needed.path}
    assert plan.why(needed) == NEEDED
    assert plan.why(verified) == VERIFIED
    deleted = apply_retention(settings, plan, later)
    assert set(deleted) == {given_up, *(one.path for one in others)}

    assert {one.path for one in read_catalog(settings).savepoints} == {newest.path, verified.path, needed.path}
    assert list_keys(client, foreign) == [split_uri(foreign)[1]]
    assert list_keys(client, f"{settings.checkpoint_dir}/") == checkpoints
    assert checkpoints
    assert verify(settings, newest, state_reader(platform)) == []
    assert _row(platform, others[0])[6] is not None
    assert _row(platform, newest)[6] is None
    assert apply_retention(settings, retention_of(settings, read_catalog(settings), later), later) == []


def _trades(symbols: int, begin: float, first: int = 0) -> list[Message]:
    """One trade of each symbol, numbered from `first` on."""
    start = datetime.fromtimestamp(begin, UTC)
    return [trade(first + number, 0, 10.0, S=f"S{number:05d}", t=at(0, start)) for number in range(symbols)]


def _verified(platform: Platform, one: Savepoint) -> Any:
    return read_catalog(platform.settings).replaced(judged(one, [], datetime.now(UTC)))


def _row(platform: Platform, one: Savepoint) -> tuple[Any, ...]:
    """Job, kind, bytes, files, verified at, problem, deleted at: of the savepoint's newest record."""
    columns = "job_id, kind, bytes, files, verified_at, problem, deleted_at"
    with closing(client_of(platform.settings)) as client:
        query = f"SELECT {columns} FROM torghut.savepoints FINAL WHERE path = {{path:String}}"  # noqa: S608
        (row,) = client.query(query, parameters={"path": one.path}).result_rows
    return tuple(value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for value in row)


def _next_session(now: datetime) -> datetime:
    """A Tuesday in winter on which the exchange opens at 14:30 UTC, well after now."""
    day = datetime(now.year + 1, 2, 2, tzinfo=UTC)
    while day.weekday() != 1:
        day += timedelta(days=1)
    return day
