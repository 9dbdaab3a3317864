"""What `ta demo` says of itself; that it does it is watched, not tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ta_pipeline import cli_demo, cli_stack
from ta_pipeline.cli import app
from ta_pipeline.demo import Proof, SchemaChange, is_refuted, opening, with_field
from ta_pipeline.local.stack import Stack
from ta_pipeline.revisions import Revision
from ta_pipeline.schema_registry import Registered, Subject, plan, read_schema
from tests.messages import trade, write_recording

OPEN = 1_767_364_200.0
"""2026-01-02 14:30 UTC: New York opens."""


class Demo:
    """Shows nothing, and has seen what a test says."""

    seen: Callable[[Proof], None]
    began: float

    def __init__(self, *_arguments: object, began: float, **_options: object) -> None:
        self.proof = Proof(began)
        type(self).began = began
        type(self).seen(self.proof)

    @contextmanager
    def market(self) -> Iterator[Callable[[], None]]:
        yield lambda: None

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_arguments: None


@pytest.fixture(autouse=True)
def _no_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TA_LOCAL_DIR", str(tmp_path))
    monkeypatch.setenv("TA_CLICKHOUSE_URL", "")
    monkeypatch.setattr(cli_stack, "up", lambda: None)
    monkeypatch.setattr(Stack, "down", lambda _self: [])
    monkeypatch.setattr(cli_demo, "Demo", Demo)


def slow(proof: Proof) -> None:
    proof.first_final_seconds = 181.0


def fast(proof: Proof) -> None:
    proof.first_final_seconds = 42.0
    proof.schema_change = SchemaChange("bars-value", "note_3", 2, 3)


def unchanged(proof: Proof) -> None:
    fast(proof)
    proof.schema_change = SchemaChange("bars-value", "note_3", 2, 2)


@pytest.mark.parametrize(("seen", "status", "mark"), [(fast, 0, "yes"), (slow, 1, "NO"), (unchanged, 1, "NO")])
def test_a_no_in_the_summary_is_the_exit_status(
    seen: Callable[[Proof], None], status: int, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Demo, "seen", staticmethod(seen), raising=False)
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == status, result.output
    assert mark in result.stdout
    assert "down; what was written stays" in result.stdout


def test_the_time_runs_from_the_start_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Demo, "seen", staticmethod(fast), raising=False)
    begun = time.time()
    monkeypatch.setattr(cli_stack, "up", lambda: time.sleep(0.2))
    assert CliRunner().invoke(app, ["demo"]).exit_code == 0
    assert Demo.began < begun


def test_what_was_not_seen_refutes_nothing() -> None:
    proof = Proof(0.0)
    assert not is_refuted(proof)
    proof.upgrade = Revision(2, "", "running", "ta", "a" * 32, {}, "code", downtime_seconds=None)
    assert not is_refuted(proof)
    proof.upgrade = Revision(2, "", "running", "ta", "a" * 32, {}, "code", downtime_seconds=31.0)
    assert is_refuted(proof)


def test_a_recorded_day_begins_where_the_exchange_opens(tmp_path: Path) -> None:
    whole = _recording(tmp_path / "whole.jsonl", -3_600, -60, 0, 60)
    assert opening([whole]) == OPEN
    assert opening([_recording(tmp_path / "before.jsonl", -3_600, -60)]) is None
    assert opening([_recording(tmp_path / "within.jsonl", 10, 60)]) is None
    assert opening([_recording(tmp_path / "weekend.jsonl", 86_400 - 60, 86_400 + 60)]) is None


def _recording(path: Path, *seconds: float) -> Path:
    """Trades at these seconds after the open."""

    def stamped(number: int, second: float) -> dict[str, Any]:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(OPEN + second))
        return trade(number, 0, 10.0, t=moment)

    return write_recording(path, [stamped(number, second) for number, second in enumerate(seconds, 1)])


def test_a_further_demonstration_keeps_the_field_that_the_one_before_added() -> None:
    declared = read_schema("TaBar1s")
    first = with_field(declared, None, "note_2")
    second = with_field(declared, first, "note_3")
    for before, after in ((declared, first), (first, second)):
        subject = Subject("ta.bars.1s.v1-value", after, only_grows=True)
        (found,) = plan([subject], {subject.name: Registered(before, 7, 3)})
        assert found.action == "evolve"
