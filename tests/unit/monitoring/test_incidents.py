from __future__ import annotations

from collections.abc import Sequence

import orjson
import pytest

from ta_pipeline.monitoring.checkpoint_verdicts import checkpoint_age
from ta_pipeline.monitoring.history import History
from ta_pipeline.monitoring.incidents import (
    CALM_TICKS,
    FLAP_MS,
    MOST_ALERTS,
    MOST_CALM_TICKS,
    REMINDER_MS,
    Alert,
    IncidentState,
    advance,
)
from ta_pipeline.monitoring.verdicts import State, Verdict
from tests.status import INTERVAL_MS, NOW_MS, checkpoints, flink, job, snapshot

TICK_MS = 30_000
NAME = "checkpoint_age"


def verdict(state: State, ticks: int = 1, caused_by: str = "", name: str = NAME) -> Verdict:
    return Verdict(name, state, f"it is {state}", ticks=ticks, caused_by=caused_by)


class Watch:
    """Ticks on an injected clock."""

    def __init__(self) -> None:
        self.state = IncidentState()
        self.now_ms = NOW_MS

    def see(self, *verdicts: Verdict) -> list[Alert]:
        self.now_ms += TICK_MS
        self.state, alerts = advance(self.state, verdicts, self.now_ms)
        # As a cursor does it.
        self.state = IncidentState.from_json(orjson.loads(orjson.dumps(self.state.to_json())))
        return alerts

    def kinds(self, states: Sequence[State], ticks: int = 1) -> list[str]:
        return [alert.kind for state in states for alert in self.see(verdict(state, ticks))]


def test_an_incident_is_told_once_and_once_when_it_is_over() -> None:
    assert Watch().kinds(["ok", "bad", "bad", "bad", "ok", "ok", "ok"]) == ["opened", "resolved"]


def test_one_observation_opens_nothing_where_two_are_asked_for() -> None:
    watch = Watch()
    assert watch.kinds(["bad", "ok", "bad", "ok"], ticks=2) == []
    assert watch.kinds(["bad", "bad"], ticks=2) == ["opened"]


def test_unknown_calls_like_bad_and_warn_and_asleep_do_not() -> None:
    assert Watch().kinds(["unknown", "bad"], ticks=2) == ["opened"]
    assert Watch().kinds(["warn", "asleep", "warn", "asleep"]) == []


def test_what_another_verdict_explains_calls_nobody() -> None:
    watch = Watch()
    for _ in range(10):
        assert watch.see(verdict("unknown", caused_by="flink_reachable")) == []


def test_an_open_incident_is_neither_over_nor_told_while_nobody_knows() -> None:
    watch = Watch()
    assert watch.kinds(["bad"]) == ["opened"]
    for _ in range(100):
        assert watch.see(verdict("unknown", caused_by="flink_reachable")) == []
    assert NAME in watch.state.open
    assert watch.kinds(["ok", "ok"]) == ["resolved"]


def test_one_tick_in_which_nobody_knows_does_not_begin_the_count_anew() -> None:
    watch = Watch()
    assert watch.kinds(["bad"], ticks=2) == []
    watch.see(verdict("unknown", ticks=2, caused_by="flink_reachable"))
    assert watch.kinds(["bad"], ticks=2) == ["opened"]


def test_a_reminder_comes_every_half_hour_with_what_is_the_case_now() -> None:
    watch = Watch()
    (opened,) = watch.see(verdict("bad"))
    told = [alert for _ in range(2 * REMINDER_MS // TICK_MS) for alert in watch.see(verdict("unknown"))]
    assert [alert.kind for alert in told] == ["reminder", "reminder"]
    assert [alert.at_ms - opened.at_ms for alert in told] == [REMINDER_MS, 2 * REMINDER_MS]
    assert {alert.id for alert in told} == {opened.id}
    assert told[0].text == f"{NAME} is still unknown, for 30 min now: it is unknown"


def test_what_flaps_has_to_be_well_for_longer_each_time() -> None:
    watch = Watch()
    needed = []
    for _ in range(6):
        assert watch.kinds(["bad"]) == ["opened"]
        ticks = 0
        while NAME in watch.state.open:
            watch.see(verdict("ok"))
            ticks += 1
        needed.append(ticks)
    assert needed == [CALM_TICKS, 4, 8, MOST_CALM_TICKS, MOST_CALM_TICKS, MOST_CALM_TICKS]


def test_a_flapping_verdict_stays_one_incident() -> None:
    watch = Watch()
    kinds = watch.kinds(["bad", "ok", "bad", "ok"] * 20)
    assert kinds == ["opened", "reminder"]  # forty minutes


def test_an_incident_that_comes_back_says_so_and_after_a_while_is_a_new_one() -> None:
    watch = Watch()
    watch.kinds(["bad", "ok", "ok"])
    (again,) = watch.see(verdict("bad"))
    assert "(time 2 in a short while)" in again.text
    watch.kinds(["ok"] * (MOST_CALM_TICKS + FLAP_MS // TICK_MS + 1))
    assert watch.state.incidents == {}
    (fresh,) = watch.see(verdict("bad"))
    assert fresh.text == f"{NAME} is bad: it is bad"


def test_incidents_do_not_know_of_each_other() -> None:
    watch = Watch()
    alerts = watch.see(verdict("bad"), verdict("bad", name="restarts"), verdict("ok", name="job_state"))
    assert [alert.name for alert in alerts] == [NAME, "restarts"]


def test_a_question_that_is_not_asked_any_more_ends_its_incident() -> None:
    watch = Watch()
    watch.kinds(["bad"])
    (alert,) = watch.see(verdict("ok", name="restarts"))
    assert (alert.kind, alert.name, alert.message) == ("resolved", NAME, "it is not watched any more")
    assert watch.state.incidents == {}


def test_an_alert_waits_until_it_is_delivered() -> None:
    watch = Watch()
    (opened,) = watch.see(verdict("bad"))
    watch.see(verdict("bad"))
    assert watch.state.outbox == (opened,)
    watch.kinds(["ok", "ok"])
    assert [alert.kind for alert in watch.state.outbox] == ["opened", "resolved"]
    watch.state = watch.state.without([opened])
    assert [alert.kind for alert in watch.state.outbox] == ["resolved"]


def test_the_outbox_does_not_grow_for_ever() -> None:
    watch = Watch()
    for number in range(3 * MOST_ALERTS):
        watch.see(verdict("bad", name=f"question_{number}"))
    assert len(watch.state.outbox) == MOST_ALERTS


def test_an_alert_as_it_is_posted_names_deployment_and_times() -> None:
    (alert,) = Watch().see(verdict("bad"))
    assert alert.to_dict("torghut-ta") == {
        "id": f"{NAME}-{NOW_MS + TICK_MS}",
        "kind": "opened",
        "name": NAME,
        "state": "bad",
        "message": "it is bad",
        "since": "2026-01-02T14:30:30.000000Z",
        "at": "2026-01-02T14:30:30.000000Z",
        "deployment": "torghut-ta",
        "text": f"[torghut-ta] {NAME} is bad: it is bad",
        "help": f"docs/alerts.md#{NAME}",
    }


@pytest.mark.parametrize("broken", [None, [], {}, {"troubled": {}, "incidents": {"a": [1]}, "outbox": []}])
def test_a_state_of_another_shape_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="not the state of incidents"):
        IncidentState.from_json(broken)


@pytest.mark.parametrize("interval_ms", [1_000, INTERVAL_MS, 60_000])
@pytest.mark.parametrize("phase_ms", [1, TICK_MS // 2, TICK_MS - 1])
@pytest.mark.parametrize("completed", [True, False])
def test_a_stalled_checkpoint_is_told_within_twice_the_interval_and_a_minute(
    interval_ms: int, phase_ms: int, completed: bool
) -> None:
    """Ticks of 30 s at any phase; the last checkpoint was triggered, or the job submitted, at `stalled_ms`."""
    stalled_ms = NOW_MS + phase_ms
    latest = checkpoints(latest_ms=stalled_ms if completed else None)
    running = job(checkpoints=latest, start_ms=stalled_ms, checkpoint_interval_ms=interval_ms)
    state, now_ms = IncidentState(), NOW_MS
    while True:
        now_ms += TICK_MS
        judged = checkpoint_age(snapshot(at_ms=now_ms, flink=flink(running)), History())
        state, alerts = advance(state, [judged], now_ms)
        if alerts:
            break
    tick_takes_ms = 2_000
    assert now_ms + tick_takes_ms - stalled_ms <= 2 * interval_ms + 60_000
