from __future__ import annotations

import dataclasses

from ta_pipeline.revisions import Revision
from ta_pipeline.rollout.journal import Version
from ta_pipeline.rollout.plan import Change, Facts, plan
from ta_pipeline.runtime import JobStatus

SETTINGS = {"TA_LIVE_SLICE_MS": "100", "TA_SESSION": "extended"}
CURRENT = Revision(3, "2026-01-02T15:00:00+00:00", "running", "torghut-ta", "a" * 32, SETTINGS, "code1")
RUNNING = JobStatus("a" * 32, "torghut-ta", "RUNNING", 60.0, 0, 5, 0, 1.0, "s3a://b/chk-5", None)
SAME = Version(SETTINGS, "code1")
FACTS = Facts(CURRENT, RUNNING, SAME, verdict="green")


def with_settings(**changed: str) -> Version:
    return Version({**SETTINGS, **changed}, "code1")


def test_nothing_is_done_when_the_job_runs_as_declared() -> None:
    assert plan(FACTS).kind is None
    assert str(plan(FACTS)) == "nothing to do: the job runs as declared"


def test_a_changed_setting_is_an_upgrade_that_names_both_values() -> None:
    found = plan(dataclasses.replace(FACTS, target=with_settings(TA_LIVE_SLICE_MS="200")))
    assert found.kind == "upgrade"
    assert found.changes == (Change("TA_LIVE_SLICE_MS", "100", "200"),)
    assert not found.blockers
    assert "TA_LIVE_SLICE_MS: 100 -> 200" in str(found)


def test_changed_code_is_an_upgrade_and_says_that_the_taskmanager_is_restarted() -> None:
    found = plan(dataclasses.replace(FACTS, target=Version(SETTINGS, "code2")))
    assert found.changes == (Change("code", "code1", "code2"),)
    assert any("TaskManager is restarted" in note for note in found.notes)


def test_on_kubernetes_another_image_is_one_change() -> None:
    before, after = (Version({**SETTINGS, "TA_IMAGE": image}, image, image) for image in ("ta:1", "ta:2"))
    current = dataclasses.replace(CURRENT, settings=before.settings, release=before.release, image=before.image)
    found = plan(dataclasses.replace(FACTS, current=current, target=after))
    assert found.changes == (Change("TA_IMAGE", "ta:1", "ta:2"),)


def test_what_is_to_be_said_of_the_cluster_is_in_the_plan() -> None:
    facts = dataclasses.replace(FACTS, target=with_settings(TA_LIVE_SLICE_MS="200"), remarks=["Argo CD keeps it too"])
    assert "note: Argo CD keeps it too" in str(plan(facts))


def test_the_same_version_is_rolled_out_again_when_it_is_forced_or_the_job_is_not_well() -> None:
    assert plan(dataclasses.replace(FACTS, force=True)).kind == "upgrade"
    ill = dataclasses.replace(RUNNING, state="RESTARTING")
    found = plan(dataclasses.replace(FACTS, running=ill))
    assert found.kind == "upgrade"
    assert any("its last checkpoint is used" in note for note in found.notes)


def test_every_problem_blocks_and_is_named() -> None:
    facts = dataclasses.replace(
        FACTS, target=with_settings(TA_LIVE_SLICE_MS="200"), problems=["topic x does not exist"],
        incompatible=["operator y is gone"], verdict="red", red_replays=["replay a of X is red"],
    )  # fmt: skip
    blockers = plan(facts).blockers
    assert blockers[0] == "topic x does not exist"
    assert any(one.startswith("replay a of X is red; mend it") for one in blockers)
    assert any("the state does not fit: operator y is gone" in one for one in blockers)


def test_a_red_replay_and_a_clean_start_can_be_accepted() -> None:
    facts = dataclasses.replace(
        FACTS, target=with_settings(TA_LIVE_SLICE_MS="200"), incompatible=["operator y is gone"],
        red_replays=["replay a of X is red"], accept_red=True, clean_start=True,
    )  # fmt: skip
    found = plan(facts)
    assert not found.blockers
    assert any("state is given up" in note for note in found.notes)


def test_the_first_start_is_without_state() -> None:
    found = plan(Facts(None, None, SAME))
    assert found.kind == "start"
    assert found.restore_from is None
    assert not found.blockers
    assert found.expected_downtime_seconds is None


def test_a_job_that_should_run_starts_from_the_state_it_left() -> None:
    found = plan(Facts(CURRENT, None, SAME, left="s3a://b/chk-7"))
    assert (found.kind, found.restore_from) == ("start", "s3a://b/chk-7")
    assert not found.blockers


def test_a_job_that_should_run_and_left_no_state_is_not_started_without_being_asked() -> None:
    facts = Facts(CURRENT, None, SAME)
    assert any("revision 3 should run" in one for one in plan(facts).blockers)
    assert not plan(dataclasses.replace(facts, clean_start=True)).blockers


def test_a_setting_that_changes_what_the_numbers_mean_is_said() -> None:
    found = plan(dataclasses.replace(FACTS, target=with_settings(TA_SESSION="regular")))
    assert any("TA_SESSION: the numbers mean something else" in note for note in found.notes)


def test_a_state_that_is_given_up_or_asked_for_is_a_rollout_although_nothing_else_changes() -> None:
    clean = plan(dataclasses.replace(FACTS, clean_start=True))
    assert (clean.kind, clean.restore_from) == ("upgrade", None)
    assert "start the new job without state" in clean.steps
    older = plan(dataclasses.replace(FACTS, restore_from="s3a://b/sp-1", left="s3a://b/sp-1"))
    assert (older.kind, older.restore_from) == ("upgrade", "s3a://b/sp-1")
    assert "start the new job from s3a://b/sp-1" in older.steps
    assert any("emitted again" in note for note in older.notes)


def test_a_job_that_somebody_else_started_is_compared_by_what_it_says_itself() -> None:
    runs = Version({**SETTINGS, "TA_LIVE_SLICE_MS": "500"}, "code1")
    found = plan(dataclasses.replace(FACTS, runs=runs))
    assert found.kind == "upgrade"
    assert found.changes == (Change("TA_LIVE_SLICE_MS", "500", "100"),)
    assert any("somebody else started it" in note for note in found.notes)
    assert plan(dataclasses.replace(FACTS, runs=SAME)).kind is None


def test_a_job_that_may_run_elsewhere_blocks() -> None:
    facts = dataclasses.replace(FACTS, running=None, left="s3a://b/chk-7", elsewhere=["it runs under another name"])
    assert plan(facts).blockers == ("it runs under another name",)


def test_a_setting_around_the_job_that_an_older_revision_recorded_is_no_change() -> None:
    recorded = dataclasses.replace(CURRENT, settings={**SETTINGS, "TA_SAVEPOINTS_KEPT": "12"})
    assert plan(dataclasses.replace(FACTS, current=recorded)).kind is None
