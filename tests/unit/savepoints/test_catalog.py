from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from ta_pipeline.revisions import Revision
from ta_pipeline.s3 import StoredObject
from ta_pipeline.savepoints.catalog import Catalog, joined, save_catalog
from ta_pipeline.savepoints.records import OFF, Records, read_records
from ta_pipeline.savepoints.savepoint import INCOMPLETE, Savepoint, savepoints_of
from ta_pipeline.savepoints.verify import judged, object_problems
from ta_pipeline.settings import load_settings

DIRECTORY = "s3a://bucket/ta/savepoints"
AT = datetime(2026, 7, 22, 12, tzinfo=UTC)
ONE, OTHER = f"{DIRECTORY}/savepoint-abcdef-000000000001", f"{DIRECTORY}/savepoint-123456-000000000002"
JOB = "abcdef" + "0" * 26


def stored(key: str, size: int = 10, minutes: float = 0) -> StoredObject:
    return StoredObject(f"ta/savepoints/{key}", size, AT + timedelta(minutes=minutes))


def revision(number: int, job_id: str, savepoint: str | None = None) -> Revision:
    return Revision(number, "", "running", "ta", job_id, {}, "r", None, savepoint)


def test_a_folder_with_metadata_is_a_savepoint_as_old_as_its_metadata() -> None:
    objects = [
        stored("savepoint-abcdef-000000000001/3f2b", 500, 0),
        stored("savepoint-abcdef-000000000001/_metadata", 40, 2),
        stored("savepoint-123456-000000000002/_metadata", 7, 5),
    ]
    newest, other = savepoints_of(objects, DIRECTORY)
    assert (newest.path, newest.bytes, newest.files, newest.job_id) == (OTHER, 7, 1, "123456")
    assert (other.path, other.bytes, other.files, other.taken_at) == (ONE, 540, 2, AT + timedelta(minutes=2))
    assert newest.usable
    assert other.usable


def test_a_folder_without_metadata_is_incomplete_and_as_old_as_its_newest_object() -> None:
    objects = [
        stored("savepoint-abcdef-000000000001/a", 1, 0),
        stored("savepoint-abcdef-000000000001/b", 1, 9),
        stored("savepoint-abcdef-000000000001/", 0, 30),  # how some stores list a folder
    ]
    (found,) = savepoints_of(objects, f"{DIRECTORY}/")
    assert (found.complete, found.usable, found.problem) == (False, False, INCOMPLETE)
    assert (found.taken_at, found.files) == (AT + timedelta(minutes=9), 2)


@pytest.mark.parametrize(
    "key",
    ["_metadata", "notes.txt", "deeper/savepoint-abcdef-000000000001/_metadata", "chk-7/_metadata", "savepoint-x/a"],
)
def test_whatever_else_lies_there_is_no_savepoint(key: str) -> None:
    assert savepoints_of([stored(key)], DIRECTORY) == []


def test_what_the_table_and_the_revisions_know_is_joined_to_what_s3_has() -> None:
    found = [Savepoint(ONE, AT, 10, 1, job_id="abcdef"), Savepoint(OTHER, AT, 10, 1, job_id="123456")]
    recorded = {
        ONE: Savepoint(ONE, AT, 99, 9, job_id=JOB, kind="scheduled", verified_at=AT),
        f"{DIRECTORY}/savepoint-abcdef-00000000dead": Savepoint("gone", AT, 1, 1),
    }
    revisions = [revision(1, JOB), revision(2, "9" * 32, savepoint=f"{OTHER}/"), revision(3, JOB)]
    one, other = joined(found, Records(recorded), revisions)
    assert (one.kind, one.verified_at, one.job_id, one.revision) == ("scheduled", AT, JOB, 3)
    assert (one.bytes, one.files) == (10, 1)  # of these S3 knows better
    assert (other.kind, other.verified_at, other.job_id, other.revision) == ("rollout", None, "123456", None)


def test_what_the_table_knows_stays_known_when_the_revisions_cannot_be_read() -> None:
    recorded = {ONE: Savepoint(ONE, AT, 10, 1, job_id=JOB, kind="rollout", revision=4)}
    (one,) = joined([Savepoint(ONE, AT, 10, 1, job_id="abcdef")], Records(recorded), [])
    assert (one.kind, one.revision, one.job_id) == ("rollout", 4, JOB)


def test_the_newest_verified_one_has_no_problem_since() -> None:
    good = Savepoint(OTHER, AT, 10, 1, verified_at=AT)
    catalog = Catalog((Savepoint(ONE, AT, 10, 1, verified_at=AT, problem="a file is missing"), good))
    assert catalog.newest_verified == good
    assert catalog.newest is not None
    assert catalog.newest.path == ONE


@pytest.mark.parametrize("path", [ONE, f"{ONE}/", f"{ONE}/_metadata", ONE.replace("s3a", "s3"), ONE.rsplit("/", 1)[1]])
def test_a_savepoint_is_found_by_its_path_however_it_is_written(path: str) -> None:
    catalog = Catalog((Savepoint(OTHER, AT, 1, 1), Savepoint(ONE, AT, 1, 1)))
    found = catalog.find(path)
    assert found is not None
    assert found.path == ONE
    assert catalog.find("savepoint-ffffff-000000000000") is None


def test_without_clickhouse_the_catalog_is_what_s3_has_and_says_so() -> None:
    settings = load_settings(clickhouse_url="")
    assert read_records(settings) == Records(off=True)
    assert save_catalog(settings, Catalog(records=Records(off=True)), AT) == OFF


def test_clickhouse_that_is_down_is_told_and_no_exception() -> None:
    settings = load_settings(clickhouse_url="http://127.0.0.1:9")
    records = read_records(settings)
    assert not records.rows
    assert records.trouble is not None
    assert "torghut.savepoints could not be read" in records.trouble
    assert save_catalog(settings, Catalog((Savepoint(ONE, AT, 1, 1),), records=records), AT) == records.trouble


def test_a_listing_tells_what_is_missing_and_what_is_empty() -> None:
    folder = "savepoint-abcdef-000000000001"
    assert object_problems([]) == ["it is not in S3"]
    assert object_problems([stored(f"{folder}/a")]) == [INCOMPLETE]
    assert object_problems([stored(f"{folder}/_metadata", 0)]) == ["_metadata is empty"]
    assert object_problems([stored(f"{folder}/_metadata"), stored(f"{folder}/a", 0)]) == ["a is empty"]
    assert object_problems([stored(f"{folder}/", 0), stored(f"{folder}/_metadata"), stored(f"{folder}/a")]) == []


def test_a_verification_that_finds_a_problem_keeps_when_the_savepoint_was_last_whole() -> None:
    savepoint = Savepoint(ONE, AT, 10, 1)
    verified = judged(savepoint, [], AT)
    assert (verified.verified_at, verified.problem) == (AT, None)
    damaged = judged(verified, ["a is empty", "b is empty"], AT + timedelta(days=1))
    assert damaged == dataclasses.replace(verified, problem="a is empty; b is empty")
    assert judged(damaged, [], AT + timedelta(days=2)).usable
