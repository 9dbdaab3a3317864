"""A rollout's progress in the run's log, and its outcome as metadata or as a failure."""

from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from orchestration.tables import table
from ta_pipeline.revisions import settings_hash
from ta_pipeline.rollout.journal import Rollout
from ta_pipeline.runtime import Report


def reporter(context: dg.AssetExecutionContext | dg.OpExecutionContext) -> Report:
    """Tells the run's log."""
    return context.log.info


def require_done(rollout: Rollout) -> None:
    """Go on only when the rollout did what it should.

    Raises:
        dagster.Failure: it failed, or was rolled back; says why, and what runs now.
    """
    if rollout.step == "done":
        return
    previous = "what ran before" if rollout.previous_revision is None else f"revision {rollout.previous_revision}"
    what_runs = {
        "rolled back": f"{previous} runs again",
        "failed": "see the reason for what runs now",
    }[rollout.step]
    raise dg.Failure(
        description=f"the {rollout.kind} was not done ({rollout.step}; {what_runs}): {rollout.error}",
        metadata=metadata_of(rollout),
        allow_retries=False,
    )


def metadata_of(rollout: Rollout) -> Mapping[str, dg.MetadataValue]:
    """What somebody asks of a rollout afterwards."""
    before = rollout.previous.settings if rollout.previous else {}
    changed = [
        (name, before.get(name, ""), value)
        for name, value in sorted(rollout.target.settings.items())
        if rollout.previous is not None and before.get(name, "") != value
    ]
    if rollout.previous is not None and rollout.previous.release != rollout.target.release:
        changed.append(("code", rollout.previous.release, rollout.target.release))
    found: dict[str, dg.MetadataValue] = {
        "outcome": dg.MetadataValue.text(rollout.step),
        "kind": dg.MetadataValue.text(rollout.kind),
        "changes": table(("what", "before", "after"), changed),
        "settings": dg.MetadataValue.text(settings_hash(rollout.target.settings)),
        "code": dg.MetadataValue.text(rollout.target.release),
        "began": dg.MetadataValue.text(datetime.fromtimestamp(rollout.started_at, UTC).isoformat(timespec="seconds")),
    }
    optional = {
        "revision": rollout.revision,
        "job": rollout.back_job_id or rollout.job_id,
        "restored_from": rollout.back_from or rollout.start_from,
        "savepoint": rollout.savepoint,
        "downtime_seconds": None if rollout.downtime_seconds is None else round(rollout.downtime_seconds, 1),
        "final_records_emitted_again": rollout.repeated,
        "git": rollout.git,
        "replay_verdict": rollout.replay_verdict,
        "note": rollout.note or None,
        "error": rollout.error,
    }
    for name, value in optional.items():
        if value is not None:
            found[name] = dg.MetadataValue.text(value) if isinstance(value, str) else _number(value)
    return found


def _number(value: float) -> dg.MetadataValue:
    return dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(value)
