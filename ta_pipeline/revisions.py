"""What was rolled out, when, with which settings and from which state: the record a rollback needs.

One JSON object for each revision, `<TA_REVISION_DIR>/<number>.json`, beside the savepoints they name: the record
outlives Dagster's database and can be read while the job is down. A revision is written once, when its rollout was
verified; a rollout that was rolled back leaves one too, with the outcome that says so.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from ta_pipeline.errors import S3Error
from ta_pipeline.s3 import list_keys, read_object, s3_client, split_uri, write_object
from ta_pipeline.settings import Settings

_RECORD = re.compile(r"/\d{6}\.json$")

Outcome = Literal["running", "rolled back", "stopped"]


@dataclass(frozen=True)
class Revision:
    """One rollout of the job that ended.

    Attributes:
        number: from 1, without gaps.
        at: when it was recorded, RFC 3339, UTC.
        outcome: `running`: this is what ran from then on; `rolled back`: it failed, and revision `back_to` runs
            again, as `back_job_id`; `stopped`: the job was stopped, with `savepoint`.
        name: of the job on the cluster.
        job_id: Flink's; one that failed may never have run.
        settings: `TA_*`, no secrets.
        release: digest of the job's code; `image` is what runs it on Kubernetes.
        restored_from: the savepoint or checkpoint the job started with; None: without state.
        savepoint: taken when the revision before it was stopped, or (`stopped`) this one: a rollback restores it.
        schema_ids: subject to the registry's id.
        states: the job's states and their versions, `operator uid/state name` to version.
        git: the commit of the checkout, with `+` when it was changed; None outside of one.
        replay_verdict: of the newest replay validation at that time; None when there was none.
        downtime_seconds: from the stop of the revision before it until the first record of this one; None at the
            first start.
        back_to: the revision that runs again, when this one was rolled back.
        back_job_id: the job it runs as now.
        back_from: the savepoint or checkpoint that job started with.
        reason: why it was rolled back.
        rollout: the id of the rollout that recorded it.
        rebuild: what the job withholds since it was rebuilt from its inputs; see `rollout.journal.Version`.
        manifest: digest of what the overlay declared, on Kubernetes; see `kubernetes.declarations`.
    """

    number: int
    at: str
    outcome: Outcome
    name: str
    job_id: str
    settings: Mapping[str, str]
    release: str
    restored_from: str | None = None
    savepoint: str | None = None
    image: str = ""
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    states: Mapping[str, int] = field(default_factory=dict)
    git: str | None = None
    replay_verdict: str | None = None
    downtime_seconds: float | None = None
    back_to: int | None = None
    back_job_id: str | None = None
    back_from: str | None = None
    reason: str | None = None
    rollout: str | None = None
    rebuild: str = ""
    manifest: str = ""

    @property
    def settings_hash(self) -> str:
        """Twelve hex digits that change with any setting."""
        return settings_hash(self.settings)


def settings_hash(settings: Mapping[str, str]) -> str:
    """Twelve hex digits of SHA-256 over the settings in the order of their names."""
    return hashlib.sha256(orjson.dumps(dict(settings), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


class RevisionStore:
    """The revisions under `TA_REVISION_DIR`. Every method raises `S3Error`."""

    def __init__(self, settings: Settings, client: Any = None) -> None:
        self._directory = settings.revision_dir.rstrip("/")
        self._client = client or s3_client(settings)

    def all(self) -> list[Revision]:
        """Every revision, the oldest first."""
        return [self._read(uri) for uri in self._uris()]

    def newest(self) -> Revision | None:
        """The newest revision of any outcome; None before the first."""
        uris = self._uris()
        return self._read(uris[-1]) if uris else None

    def current(self) -> Revision | None:
        """The revision that should be running now, with the job it runs as; None: the newest was stopped, or none."""
        return self.newest_and_current()[1]

    def newest_and_current(self) -> tuple[Revision | None, Revision | None]:
        """Both at once, and not all of them read: monitoring asks every few seconds."""
        newest = self.newest()
        if newest is None:
            return None, None
        earlier = [] if newest.back_to is None else [self._read(f"{self._directory}/{newest.back_to:06d}.json")]
        return newest, current([*earlier, newest])

    def append(self, revision: Revision) -> Revision:
        """Record a revision under the next number; returns it as recorded. One writer at a time."""
        newest = self.newest()
        numbered = dataclasses.replace(revision, number=newest.number + 1 if newest else 1)
        content = orjson.dumps(dataclasses.asdict(numbered), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        write_object(self._client, f"{self._directory}/{numbered.number:06d}.json", content)
        return numbered

    def _uris(self) -> list[str]:
        bucket, _ = split_uri(self._directory)
        keys = list_keys(self._client, f"{self._directory}/")
        # The journal of the rollout that goes on lies beside them.
        return [f"s3a://{bucket}/{key}" for key in keys if _RECORD.search(key)]

    def _read(self, uri: str) -> Revision:
        found: dict[str, Any] = orjson.loads(read_object(self._client, uri))
        known = {item.name for item in dataclasses.fields(Revision)}
        try:
            return Revision(**{name: value for name, value in found.items() if name in known})
        except TypeError as error:
            raise S3Error(f"{uri} is not the record of a revision: {error}") from None


def current(revisions: list[Revision]) -> Revision | None:
    """Which of `revisions` (the oldest first) should be running now, with the job it runs as; pure."""
    if not revisions or revisions[-1].outcome == "stopped":
        return None
    newest = revisions[-1]
    if newest.outcome == "running":
        return newest
    back = next((one for one in revisions if one.number == newest.back_to), None)
    if back is None or newest.back_job_id is None:
        return back
    return dataclasses.replace(back, job_id=newest.back_job_id, restored_from=newest.back_from)


def needed_savepoints(revisions: list[Revision], rollbacks: int = 2) -> set[str]:
    """Savepoints and checkpoints that the running job and the next `rollbacks` rollbacks need; pure.

    Args:
        revisions: the oldest first.
        rollbacks: how many revisions back a rollback may go.
    """
    ran = [one for one in revisions if one.outcome == "running"]
    kept = [*ran[-(rollbacks + 1) :], *revisions[-1:]]
    if (now := current(revisions)) is not None:
        kept.append(now)
    return {path for one in kept for path in (one.restored_from, one.savepoint, one.back_from) if path}
