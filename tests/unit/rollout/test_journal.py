from __future__ import annotations

import dataclasses
import subprocess
import sys

import orjson
import pytest

from ta_pipeline.errors import S3Error
from ta_pipeline.rollout.journal import Agent, Rollout, Version, parse

ROLLOUT = Rollout(
    "one", "upgrade", 1.0, Version({"TA_X": "1"}, "code2"), Version({"TA_X": "0"}, "code1"), 3, agent=Agent.here()
)


def test_a_rollout_survives_being_written_down() -> None:
    assert parse(orjson.dumps(dataclasses.asdict(ROLLOUT)), "s3a://b/rollout.json") == ROLLOUT


def test_what_is_no_rollout_is_an_error_that_names_the_object() -> None:
    for content in (b"{", b"[]", b'{"id": "one"}'):
        with pytest.raises(S3Error, match=r"s3a://b/rollout\.json is not the journal of a rollout"):
            parse(content, "s3a://b/rollout.json")


def test_a_rollout_is_alone_when_its_agent_has_died_and_never_when_it_has_ended() -> None:
    assert not ROLLOUT.is_alone
    assert dataclasses.replace(ROLLOUT, agent=None).is_alone
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = dataclasses.replace(Agent.here(), pid=process.pid)
        assert not other.is_alive, "the process id is another process's: its start time differs"
        process.kill()
    dead = dataclasses.replace(ROLLOUT, agent=dataclasses.replace(Agent.here(), pid=process.pid))
    assert dead.is_alone
    assert not dataclasses.replace(dead, step="done").is_alone


def test_the_downtime_is_known_when_both_ends_are() -> None:
    assert ROLLOUT.downtime_seconds is None
    assert dataclasses.replace(ROLLOUT, stopped_at=10.0, first_record_at=22.5).downtime_seconds == 12.5
