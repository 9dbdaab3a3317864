"""A state that is older than the transactions it has pre-committed is told; one that is younger is not."""

from __future__ import annotations

from ta_pipeline.rollout.outage import note_of
from ta_pipeline.settings import load_settings

PATH = "s3a://b/checkpoints/1/chk-7"
WRITTEN_MS = 1_784_642_400_000.0


def test_a_state_older_than_the_transaction_timeout_may_have_lost_what_it_pre_committed() -> None:
    settings = load_settings()
    note = note_of(settings, PATH, WRITTEN_MS, WRITTEN_MS + 901_000)
    assert note.startswith(f"{PATH} is 901 s old, older than TA_TRANSACTION_TIMEOUT_MS=900000: ")
    assert note.endswith("ta recover --gap --from 2026-07-21T13:45:00Z")
    assert note_of(settings, PATH, WRITTEN_MS, WRITTEN_MS + 900_000) == ""


def test_without_transactions_nothing_is_lost_by_their_timeout() -> None:
    settings = load_settings(delivery_guarantee="at-least-once")
    assert note_of(settings, PATH, WRITTEN_MS, WRITTEN_MS + 5_000_000) == ""
