from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import time

import orjson
import pytest

from ta_pipeline.errors import S3Error
from ta_pipeline.rollout.journal import SILENT_SECONDS, Agent, Rollout, Version, parse

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
    assert dataclasses.replace(ROLLOUT, agent=None).is_alone, "nobody has begun it for long"
    assert not dataclasses.replace(ROLLOUT, agent=None, saved_at=time.time()).is_alone
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = dataclasses.replace(Agent.here(), pid=process.pid)
        assert not other.is_alive(0.0), "the process id is another process's: its start time differs"
        process.kill()
    dead = dataclasses.replace(ROLLOUT, agent=dataclasses.replace(Agent.here(), pid=process.pid))
    assert dead.is_alone
    assert not dataclasses.replace(dead, step="done").is_alone


def test_an_agent_on_another_host_is_dead_when_it_has_said_nothing_for_long() -> None:
    elsewhere = dataclasses.replace(Agent.here(), host="another")
    assert elsewhere.is_alive(SILENT_SECONDS - 1)
    assert not elsewhere.is_alive(SILENT_SECONDS + 1)
    left = dataclasses.replace(ROLLOUT, agent=elsewhere, saved_at=time.time() - SILENT_SECONDS - 1)
    assert left.is_alone


def test_what_another_version_of_this_code_has_written_beside_is_left_out() -> None:
    written = {**dataclasses.asdict(ROLLOUT), "of_tomorrow": 1}
    assert parse(orjson.dumps(written), "s3a://b/rollout.json") == ROLLOUT


def test_a_stop_is_asked_for_under_the_same_name_by_whoever_asks() -> None:
    assert ROLLOUT.stop_request == dataclasses.replace(ROLLOUT, step="stopping", agent=None).stop_request
    assert ROLLOUT.stop_request != dataclasses.replace(ROLLOUT, id="two").stop_request
    assert ROLLOUT.stop_request != dataclasses.replace(ROLLOUT, stops=1).stop_request
    assert re.fullmatch("[0-9a-f]{32}", ROLLOUT.stop_request)


def test_the_downtime_is_known_when_both_ends_are() -> None:
    assert ROLLOUT.downtime_seconds is None
    assert dataclasses.replace(ROLLOUT, stopped_at=10.0, first_record_at=22.5).downtime_seconds == 12.5
