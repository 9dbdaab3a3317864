from __future__ import annotations

from ta_pipeline.rollout.facts import recorded_differences


def test_without_the_code_only_states_that_are_recorded_alike_are_restored() -> None:
    assert recorded_differences({"signals/bars": 2}, {"signals/bars": 2}) == []
    (changed,) = recorded_differences({"signals/bars": 2}, {"signals/bars": 3})
    assert "signals/bars has version 3 in the state and 2 in the record" in changed
    added, gone = recorded_differences({"b": 1}, {"a": 1})
    assert "a has version 1 in the state and none in the record" in added
    assert "b has version none in the state and 1 in the record" in gone
