"""What the doctor says of what the broker, Flink and S3 say."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ta_pipeline import kafka_admin
from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.monitoring.snapshot import Unreachable
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.doctor import Report, chosen, chosen_hanging, examine, reasons_to_keep, report_of
from ta_pipeline.transactions.look import Holder, Look, PartitionLook, Transaction, holders_of, prefix_of
from ta_pipeline.transactions.owners import Claims, owner_of
from ta_pipeline.transactions.verdicts import Examination
from tests.status import NOW_MS, revision
from tests.status import settings as settings_of

BARS = "ta.bars.1s.v1"
RUNNING = {"ta": "torghut-ta (a1) is RUNNING"}
NOBODY = "127.0.0.1:9"
DOWN = Unreachable("flink", "Flink cannot be reached")
NO_S3 = Unreachable("s3", "S3 cannot be reached")


_OTHERS = tuple(
    PartitionLook(topic, 0, 50, 50, overdue=False, holders=()) for topic in settings_of().output_topics if topic != BARS
)


def transaction(name: str = "ta-bars-0-1", age_s: float = 4, producer: int = 7, **changes: Any) -> Transaction:
    begun = Transaction(name, producer, 3, "Ongoing", 900_000, NOW_MS - int(age_s * 1_000), ((BARS, 0),))
    return dataclasses.replace(begun, **changes)


def partition(stable: int = 100, end: int = 120, producer: int = 7, *, overdue: bool = False) -> PartitionLook:
    holders = (Holder(producer, 3, stable, NOW_MS),) if stable < end else ()
    return PartitionLook(BARS, 0, end, stable, overdue, holders)


def look(*transactions: Transaction, at: PartitionLook | None = None, **changes: Any) -> Look:
    found = Look(
        at_ms=NOW_MS,
        ids=tuple(sorted({"ta-bars-0-0", "ta-bars-0-1", *(one.id for one in transactions)})),
        transactions=transactions,
        partitions=(at or partition(), *_OTHERS),
        open_limit_ms=30_000,
        max_timeout_ms=900_000,
        id_expiration_ms=604_800_000,
    )
    return dataclasses.replace(found, **changes)


def claims(running: Any = None, revisions: Any = None, settings: Settings | None = None) -> Claims:
    recorded = (revision(),) if revisions is None else revisions
    return Claims(settings or settings_of(), RUNNING if running is None else running, recorded)


def examined(now: Any, before: Any = None, who: Claims | None = None, settings: Settings | None = None) -> Report:
    return report_of(Examination(settings or settings_of(), before or now, now, who or claims()))


def verdict(report: Report, name: str) -> Verdict:
    (found,) = [one for one in report.verdicts if one.name == name]
    return found


def test_a_job_at_work_is_well_though_its_readers_are_behind_its_open_transaction() -> None:
    report = examined(look(transaction()), look(at=partition(80, 110)))
    assert report.is_well
    assert {one.state for one in report.verdicts} == {"ok"}
    assert verdict(report, "open_transactions").message == "1 open, the oldest for 4.0 s; 30 s is allowed"


def test_readers_that_stand_still_are_named_with_their_offsets_and_who_holds_them() -> None:
    left = look(transaction(age_s=95), at=partition(overdue=True))
    found = verdict(examined(left), "stable_offsets")
    assert found.state == "bad"
    assert found.message == (
        "readers of committed records stand still in ta.bars.1s.v1[0] at 100 of 120 behind ta-bars-0-1 (open for 95 s)"
    )
    assert found.figures["offsets behind"] == 20


@pytest.mark.parametrize(
    ("before", "now", "state"),
    [
        (partition(overdue=True), partition(overdue=True), "bad"),
        (partition(90, overdue=True), partition(overdue=True), "ok"),  # they move, slowly
        (partition(), partition(), "ok"),  # a checkpoint takes that long
        (partition(overdue=True), partition(120, 120, overdue=True), "ok"),  # there is nothing more to read
    ],
)
def test_readers_stand_still_only_where_they_did_before_and_for_too_long(
    before: PartitionLook, now: PartitionLook, state: str
) -> None:
    assert verdict(examined(look(transaction(), at=now), look(at=before)), "stable_offsets").state == state


@pytest.mark.parametrize(("age_s", "state"), [(30, "ok"), (31, "bad")])
def test_a_transaction_of_the_running_job_is_too_old_beyond_the_limit(age_s: float, state: str) -> None:
    found = verdict(examined(look(transaction(age_s=age_s))), "open_transactions")
    assert found.state == state
    assert state == "ok" or "ta-bars-0-1 (open for 31 s), torghut-ta (a1) is RUNNING" in found.message


def test_what_others_leave_open_elsewhere_is_worth_a_look_and_nothing_more() -> None:
    foreign = transaction("billing-7", age_s=500, producer=9)
    report = examined(look(foreign))
    assert verdict(report, "open_transactions").state == "warn"
    assert verdict(report, "orphans").state == "ok"


def test_readers_of_topics_that_are_not_ours_are_not_judged() -> None:
    theirs = dataclasses.replace(partition(producer=9, overdue=True), topic="billing")
    settled = (partition(120, 120), *_OTHERS, theirs)
    foreign = transaction("billing-7", age_s=500, producer=9, partitions=(("billing", 0),))
    assert verdict(examined(look(foreign, partitions=settled)), "stable_offsets").state == "ok"
    replay = transaction("replay-7-ta-bars-0-0", age_s=500, producer=9, partitions=(("billing", 0),))
    assert verdict(examined(look(replay, partitions=settled)), "stable_offsets").state == "bad"


def test_what_a_deployment_of_before_left_open_is_an_orphan_with_its_revision() -> None:
    settings = settings_of(transactional_id_prefix="new")
    before = revision(number=4, settings={**settings.public(), "TA_TRANSACTIONAL_ID_PREFIX": "old"})
    now = revision(number=5, settings=settings.public())
    who = claims({"new": "torghut-ta (a1) is RUNNING"}, (before, now), settings)
    report = examined(look(transaction("old-bars-0-1", age_s=60)), who=who, settings=settings)
    found = verdict(report, "orphans")
    assert found.state == "bad"
    assert found.message == (
        "left open: old-bars-0-1 (open for 60 s), of revision 4; another prefix has been in use since"
    )
    assert verdict(report, "open_transactions").state == "ok"
    assert not reasons_to_keep(report, transaction("old-bars-0-1", age_s=60))


def test_a_young_transaction_of_a_replay_may_be_a_shadow_restore_at_work() -> None:
    name = "replay-shadow-20260102-140000-ta-bars-0-0"
    assert verdict(examined(look(transaction(name, age_s=20))), "orphans").state == "ok"
    report = examined(look(transaction(name, age_s=31)))
    assert verdict(report, "orphans").state == "bad"
    assert "of replay shadow-20260102-140000" in verdict(report, "orphans").message
    assert reasons_to_keep(examined(look(transaction(name, age_s=20))), transaction(name, age_s=20))


@pytest.mark.parametrize(
    ("prefix", "who", "kind"),
    [
        ("ta", claims(), "running"),
        ("ta", claims({}), "restorable"),
        ("ta", claims(DOWN), "unknown"),
        ("ta", claims({}, NO_S3), "restorable"),
        ("other", claims(), "foreign"),
        ("other", claims(DOWN), "foreign"),
        ("other", claims({}, NO_S3), "unknown"),
        (None, claims(DOWN, NO_S3), "foreign"),
        ("replay-7-ta", claims(), "dead"),
        ("replay-7-ta", claims(DOWN), "unknown"),
        ("replay-7-ta", claims(settings=settings_of(runtime="kubernetes")), "unknown"),
        ("replay-7-ta", claims({"replay-7-ta": "replay-7-torghut-ta (c3) is RUNNING"}), "running"),
    ],
)
def test_nothing_is_dead_because_somebody_did_not_answer(prefix: str | None, who: Claims, kind: str) -> None:
    assert owner_of(prefix, who).kind == kind


def test_a_prefix_rolled_out_elsewhere_is_not_dead_because_nothing_runs_here() -> None:
    far = {**settings_of().public(), "TA_TRANSACTIONAL_ID_PREFIX": "old", "TA_FLINK_REST_URL": "http://far:8081"}
    owner = owner_of("old", claims(RUNNING, (revision(number=1, settings=far), revision(number=2))))
    assert (owner.kind, owner.text) == (
        "unknown",
        "of revision 1, which ran at http://far:8081: nobody was asked there",
    )


def test_the_version_that_a_rolled_back_rollout_left_is_dead_and_the_one_before_it_is_not() -> None:
    settings = settings_of(transactional_id_prefix="third")
    named = [{**settings.public(), "TA_TRANSACTIONAL_ID_PREFIX": name} for name in ("first", "second")]
    good = revision(number=1, settings=named[0])
    bad = revision(number=2, outcome="rolled back", settings=named[1], back_to=1, back_job_id="b1")
    who = claims({}, (good, bad), settings)
    assert [owner_of(name, who).kind for name in ("first", "second", "third")] == ["restorable", "dead", "restorable"]


def test_an_open_transaction_whose_coordinator_knows_nothing_of_it_hangs() -> None:
    lost = look(at=partition(producer=99))
    found = verdict(examined(lost), "hanging")
    assert found.state == "bad"
    assert found.message.endswith("ta.bars.1s.v1[0] at 100, producer 99 epoch 3")


@pytest.mark.parametrize(
    "before",
    [
        look(at=partition(producer=98)),  # it began between the two looks
        look(transaction("ta-bars-0-3", producer=99), at=partition(producer=99)),  # it ended right now
    ],
)
def test_what_is_not_in_both_looks_began_or_ended_between_the_questions(before: Look) -> None:
    assert verdict(examined(look(at=partition(producer=99)), before), "hanging").state == "ok"


@pytest.mark.parametrize(("quiet_s", "refused"), [(30, "may be at work"), (31, None)])
def test_what_hangs_is_aborted_only_when_its_producer_is_quiet(quiet_s: int, refused: str | None) -> None:
    held = Holder(99, 3, 100, NOW_MS - quiet_s * 1_000)
    report = examined(look(at=dataclasses.replace(partition(producer=99), holders=(held,))))
    if refused is None:
        assert chosen_hanging(report, f"{BARS}[0]").holder == held
    else:
        with pytest.raises(KafkaSetupError, match=refused):
            chosen_hanging(report, f"{BARS}[0]")
    with pytest.raises(KafkaSetupError, match=r"nothing hangs in 'other\[0\]'; something does in: ta.bars.1s.v1\[0\]"):
        chosen_hanging(report, "other[0]")


def test_the_timeouts_are_told_with_their_numbers() -> None:
    found = verdict(examined(look()), "transaction_timeout")
    assert found.message == (
        "an outage of 840 s loses nothing: TA_TRANSACTION_TIMEOUT_MS 900000; checkpoint timeout 60000 + restart budget "
        "120000 = 180000; the broker's transaction.max.timeout.ms 900000"
    )
    assert found.figures["spare_ms"] == 720_000


@pytest.mark.parametrize(
    ("look_at", "changes", "state", "text"),
    [
        (look(max_timeout_ms=600_000), {}, "bad", "above the broker's maximum"),
        (look(), {"transaction_timeout_ms": 180_000}, "bad", "a restart may outlast"),
        (look(transaction(timeout_ms=60_000)), {}, "warn", "ta-bars-0-1 has 60000"),
        (look(max_timeout_ms=1), {"delivery_guarantee": "at-least-once"}, "ok", "no transactions"),
    ],
)
def test_a_timeout_that_does_not_fit_is_found(look_at: Look, changes: dict[str, Any], state: str, text: str) -> None:
    # As a revision of before these rules may have it: the settings themselves refuse it.
    settings = settings_of().model_copy(update=changes)
    found = verdict(examined(look_at, settings=settings), "transaction_timeout")
    assert (found.state, text in found.message) == (state, True), found.message


@pytest.mark.parametrize(("expiration_ms", "state"), [(900_000, "bad"), (900_001, "ok")])
def test_an_id_that_is_forgotten_before_its_transaction_times_out_is_found(expiration_ms: int, state: str) -> None:
    assert verdict(examined(look(id_expiration_ms=expiration_ms)), "id_expiration").state == state


def test_a_broker_that_does_not_answer_is_one_finding_and_says_nothing_about_the_rest() -> None:
    away = Unreachable("kafka", "Kafka cannot be reached")
    report = examined(away)
    assert verdict(report, "kafka_reachable").state == "bad"
    others = [one for one in report.verdicts if one.name not in {"kafka_reachable", "owners"}]
    assert {(one.state, one.caused_by) for one in others} == {("unknown", "kafka_reachable")}
    assert not report.prefixes
    with pytest.raises(KafkaSetupError, match="what is open is not known"):
        chosen(report, "ta-bars-0-1")


def test_an_output_topic_that_does_not_exist_is_not_one_whose_readers_go_on() -> None:
    found = verdict(examined(look(partitions=_OTHERS)), "kafka_reachable")
    assert (found.state, found.message) == ("bad", f"no such topic: {BARS}")


def test_asked_of_a_broker_that_is_not_there_the_doctor_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_admin, "TIMEOUT_SECONDS", 1.0)
    nobody = settings_of(kafka_bootstrap=NOBODY, flink_rest_url=f"http://{NOBODY}", s3_endpoint=f"http://{NOBODY}")
    report = examine(nobody, lambda: NOW_MS, 0.0)
    assert not report.is_well
    assert {one.name: one.state for one in report.verdicts if not one.caused_by} == {
        "kafka_reachable": "bad", "owners": "unknown",
    }  # fmt: skip
    assert NOBODY in verdict(report, "kafka_reachable").message


def test_without_flink_or_s3_it_is_said_once_that_nothing_is_taken_for_dead() -> None:
    report = examined(look(transaction()), who=claims(DOWN))
    assert verdict(report, "owners").state == "unknown"
    assert (verdict(report, "orphans").state, verdict(report, "orphans").caused_by) == ("unknown", "owners")


@pytest.mark.parametrize(
    ("who", "age_s", "reasons"),
    [
        (claims(), 95, 1),  # the job that runs commits it, or aborts it at its next restart
        (claims(), 5, 2),
        (claims({}), 95, 1),
        (claims(DOWN), 95, 1),
    ],
)
def test_what_may_still_be_committed_is_not_aborted_without_a_word(who: Claims, age_s: float, reasons: int) -> None:
    opened = transaction(age_s=age_s)
    assert len(reasons_to_keep(examined(look(opened), who=who), opened)) == reasons


def test_an_id_without_an_open_transaction_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(KafkaSetupError, match="'ta-bars-0-0' has no open transaction; open: ta-bars-0-1"):
        chosen(examined(look(transaction())), "ta-bars-0-0")


def test_ids_are_counted_by_the_prefix_of_their_deployment() -> None:
    opened = transaction("ta-2-signals-1-0", producer=8)
    report = examined(look(opened, ids=("billing", "ta-2-signals-1-0", "ta-bars-0-0", "ta-late-0-0")))
    found = {one.prefix: (one.owner.kind, one.ids, len(one.open)) for one in report.prefixes}
    assert found == {"billing": ("foreign", 1, 0), "ta": ("running", 2, 0), "ta-2": ("foreign", 1, 1)}


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("ta-bars-0-12", "ta"),
        ("replay-x-ta-rejects-3-1", "replay-x-ta"),
        ("ta-bars", None),
        ("ta-bars-0", None),
        ("ta-other-0-1", None),
        ("-bars-0-1", None),
    ],
)
def test_the_prefix_is_what_stands_before_output_subtask_and_number(name: str, prefix: str | None) -> None:
    assert prefix_of(name) == prefix


def test_readers_wait_for_the_oldest_open_transaction_of_a_partition() -> None:
    producers = [Holder(1, 0, 50, NOW_MS), Holder(2, 0, -1, NOW_MS), Holder(3, 0, 40, NOW_MS)]
    assert [one.producer_id for one in holders_of(producers)] == [3, 1]
