from __future__ import annotations

from dataclasses import replace

import pytest

from ta_pipeline.job_state import (
    JobManifest,
    KeyedState,
    OperatorState,
    SavedState,
    StateVersion,
    incompatibilities,
    notes,
)

URI = "s3a://flink-checkpoints/ta/savepoints/savepoint-1"
IDS = {"signals": "a" * 32, "trades_log.source": "b" * 32, "status_sink.window": "c" * 32, "final.row": "d" * 32}
STATES = {"signals/symbol": StateVersion(1), "signals/held": StateVersion(3, (2,))}
PARTS = {"signals/indicators": StateVersion(2), "signals/indicators/Rsi": StateVersion(1)}
MANIFEST = JobManifest("ta", 2, 128, IDS, {"status_sink.window": 1}, STATES | PARTS)
RECORDED = {"signals/symbol": 1, "signals/held": 3, "signals/indicators": 2, "signals/indicators/Rsi": 1}


def _operator(uid: str, **changes: object) -> OperatorState:
    most = 1 if uid == "status_sink.window" else 128
    operator = OperatorState(IDS.get(uid, "e" * 32), uid, uid, 1, most, has_state=True, bytes=1_234)
    return replace(operator, **changes)  # type: ignore[arg-type]


KEYED = {name: KeyedState("value", "TtlSerializerSnapshot") for name in ("symbol", "held", "indicators")}
TIMERS = {"_timer_state/event_user-timers": KeyedState("priority_queue", "TimerSerializerSnapshot")}
FUNCTION = _operator("signals", keyed_states=KEYED | TIMERS)
SOURCE = _operator("trades_log.source", operator_states=("SourceReaderState",))
SAVED = SavedState(URI, 7, (FUNCTION, SOURCE, _operator("status_sink.window"), _operator("final.row", has_state=False)))


def _with(*operators: OperatorState) -> SavedState:
    return replace(SAVED, operators=operators)


def test_a_job_can_take_over_the_state_of_its_own_version() -> None:
    assert incompatibilities(MANIFEST, SAVED, RECORDED) == []
    assert notes(MANIFEST, SAVED, RECORDED) == []
    assert incompatibilities(MANIFEST, SAVED, MANIFEST.versions) == []


def test_state_for_which_the_new_job_has_no_operator_would_be_dropped() -> None:
    without = replace(MANIFEST, operators={uid: one for uid, one in IDS.items() if uid != "trades_log.source"})
    (reason,) = incompatibilities(without, SAVED, RECORDED)
    assert reason == (
        f"trades_log.source: 1,234 bytes of state (SourceReaderState) in {URI}, and no operator of ta has its id "
        f"{'b' * 32}: the state would be dropped; give the operator its old uid back, or roll out without this state, "
        "with a declared warm-up"
    )


def test_an_operator_without_state_may_go() -> None:
    assert incompatibilities(MANIFEST, _with(*SAVED.operators, _operator("old.row", has_state=False)), RECORDED) == []


@pytest.mark.parametrize(("uid", "name", "called"), [(None, "old", "old (eee"), (None, None, "eee"), ("o.r", "x", "o")])
def test_an_operator_is_called_by_its_uid_if_that_is_known(uid: str | None, name: str | None, called: str) -> None:
    old = replace(_operator("old"), uid=uid, name=name)
    (reason,) = incompatibilities(MANIFEST, _with(FUNCTION, old), RECORDED)
    assert reason.startswith(called)


def test_another_max_parallelism_is_one_reason_for_all_its_operators() -> None:
    (reason,) = incompatibilities(replace(MANIFEST, max_parallelism=256), SAVED, RECORDED)
    assert reason == (
        f"max parallelism is 128 in {URI} and 256 in ta (signals, trades_log.source, final.row): Flink refuses the "
        "state; set TA_MAX_PARALLELISM=128, or roll out without this state, with a declared warm-up"
    )


def test_a_parallelism_above_the_key_groups_of_the_state_is_a_reason() -> None:
    reasons = incompatibilities(replace(MANIFEST, parallelism=200, max_parallelism=256), SAVED, RECORDED)
    assert [reason.split(": ")[0] for reason in reasons] == [
        f"max parallelism is 128 in {URI} and 256 in ta (signals, trades_log.source, final.row)",
        f"parallelism 200 of ta is above the max parallelism 128 of {URI} (signals, trades_log.source, final.row)",
    ]


def test_a_state_that_the_code_does_not_declare_would_never_be_read_again() -> None:
    states = {name: state for name, state in MANIFEST.states.items() if name != "signals/held"}
    (reason,) = incompatibilities(replace(MANIFEST, states=states), SAVED, RECORDED)
    assert reason.startswith(f"signals: state 'held' is in {URI}, and ta does not declare it")


def test_a_version_that_the_code_neither_writes_nor_loads_is_a_reason() -> None:
    assert incompatibilities(MANIFEST, SAVED, RECORDED | {"signals/held": 2}) == []
    (reason,) = incompatibilities(MANIFEST, SAVED, RECORDED | {"signals/held": 1})
    assert reason == (
        f"signals/held has version 1 in {URI}; ta writes version 3 and reads 2, 3: the job would fail at the first row "
        "of a symbol; roll out code that reads version 1, or roll out without this state, with a declared warm-up"
    )


def test_the_version_of_a_part_counts_unless_that_of_the_whole_differs_already() -> None:
    (reason,) = incompatibilities(MANIFEST, SAVED, RECORDED | {"signals/indicators/Rsi": 5})
    assert reason.startswith("signals/indicators/Rsi has version 5")
    (reason,) = incompatibilities(MANIFEST, SAVED, RECORDED | {"signals/indicators": 9, "signals/indicators/Rsi": 5})
    assert reason.startswith("signals/indicators has version 9")


def test_a_recorded_version_of_a_state_that_is_not_there_is_no_reason() -> None:
    function = replace(FUNCTION, keyed_states={name: KEYED[name] for name in ("symbol", "indicators")})
    assert incompatibilities(MANIFEST, _with(function, SOURCE), RECORDED | {"signals/held": 1}) == []


def test_names_that_cannot_be_told_are_a_reason() -> None:
    function = replace(FUNCTION, keyed_states={}, unreadable=("keyed state with a serializer that is not Flink's: X",))
    (reason,) = incompatibilities(MANIFEST, _with(function), RECORDED)
    assert reason.startswith(f"signals: which states {URI} has cannot be told (keyed state with a serializer")


def test_what_is_new_starts_empty_and_what_was_not_recorded_is_said() -> None:
    operators = IDS | {"new.window": "f" * 32}
    function = replace(FUNCTION, keyed_states={name: KEYED[name] for name in ("symbol", "held")})
    recorded = {"signals/symbol": 1}
    manifest, saved = replace(MANIFEST, operators=operators), _with(function, *SAVED.operators[1:])
    assert incompatibilities(manifest, saved, recorded) == []
    assert notes(manifest, saved, recorded) == [
        f"new.window: not in {URI}; what of it has state starts empty",
        f"signals: indicators not in {URI}; it starts empty",
        f"signals: no version is recorded for held in {URI}; taken as readable",
    ]


def test_a_manifest_is_read_from_its_json() -> None:
    values = {
        "name": "ta", "parallelism": 1, "max_parallelism": 128, "operators": IDS, "max_parallelisms": {},
        "states": {"signals/held": {"version": 3, "loads": [2]}},
    }  # fmt: skip
    manifest = JobManifest.of(values)
    assert manifest.states == {"signals/held": StateVersion(3, (2,))}
    assert manifest.versions == {"signals/held": 3}
