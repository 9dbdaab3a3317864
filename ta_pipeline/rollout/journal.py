"""How far a rollout is, written down before each step: whoever comes after a crash goes on from there.

One object, `<TA_REVISION_DIR>/rollout.json`: there is one rollout at a time; `rollouts/<id>.json` keeps each that has
ended. They hold no secrets.
"""

from __future__ import annotations

import dataclasses
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import orjson

from ta_pipeline.errors import S3Error
from ta_pipeline.processes import ProcessId
from ta_pipeline.revisions import Revision
from ta_pipeline.s3 import list_keys, read_object, s3_client, write_object
from ta_pipeline.settings import Settings

if TYPE_CHECKING:
    from ta_pipeline.platform import Platform

Kind = Literal["start", "upgrade", "rollback", "stop"]
Step = Literal[
    "planned", "stopping", "stopped", "deploying", "deployed", "verified", "returning", "restoring",
    "done", "rolled back", "failed",
]  # fmt: skip
"""What comes next:

    planned      restore the new job beside the old one, and plan its graph
    stopping     stop the old job with a savepoint
    stopped      note what was committed until then
    deploying    start the new job, as the last of `attempts`, from `start_from`
    deployed     verify it
    verified     bring the table job along, record the revision
    returning    it could not be verified: end it, and find what the old version goes on from
    restoring    start the old version, as the last of `back_attempts`, from `back_from`
    done, rolled back, failed    nothing: it has ended
"""
ENDED = frozenset({"done", "rolled back", "failed"})
TAKE_OVER_SECONDS = 15.0
"""An agent that was started has written its name into the journal by then."""
SILENT_SECONDS = 900.0
"""No step takes so long: an agent on another host that has written nothing since is taken to be dead."""

_JOB = "job/"


@dataclass(frozen=True)
class Version:
    """What runs: settings (`TA_*`, no secrets), the digest of the code; on Kubernetes its image and what was declared.

    `rebuild` is what a job that was rebuilt from its inputs withholds (`ta_pipeline.recovery.rebuild`): the URI goes
    along from version to version, because a symbol that is quiet stands before what it has published. `manifest` is the
    digest of a `ta_pipeline.kubernetes.declarations.Declaration`.
    """

    settings: Mapping[str, str]
    release: str
    image: str = ""
    rebuild: str = ""
    manifest: str = ""

    @classmethod
    def of(cls, revision: Revision) -> Self:
        """What a revision ran."""
        return cls(revision.settings, revision.release, revision.image, revision.rebuild, revision.manifest)

    def on(self, platform: Platform) -> Platform:
        """The deployment as this version has it, with its code.

        Raises:
            SettingsError: a setting that this code knows has a value that is not allowed.
            StackError: the release is not here.
        """
        return platform.at(self.settings, self.release, rebuild=self.rebuild, manifest=self.manifest)


@dataclass(frozen=True)
class Agent:
    """The process that carries a rollout out."""

    host: str
    """Of the machine; of a Job on Kubernetes, `job/` and its name: its pods come and go."""
    pid: int
    started: float
    """Epoch seconds."""

    @classmethod
    def here(cls, job: str = "") -> Self:
        """This process, which may be one of a Job."""
        here = ProcessId.here()
        return cls(f"{_JOB}{job}" if job else socket.gethostname(), here.pid, here.started)

    @property
    def is_job(self) -> bool:
        """It is a Job's: whether there will be another process, Kubernetes knows."""
        return self.host.startswith(_JOB)

    def is_alive(self, silent_seconds: float) -> bool:
        """Whether it runs; of one on another host, `silent_seconds` without a word tell."""
        if self.host != socket.gethostname():
            return silent_seconds < SILENT_SECONDS
        return ProcessId(self.pid, self.started).is_alive


@dataclass(frozen=True)
class Rollout:
    """One rollout, from its plan to its end. Times are epoch seconds.

    Attributes:
        id: unique.
        kind: `start`: nothing ran; `upgrade`, `rollback`: something is replaced; `stop`: nothing comes after it.
        started_at: when it was planned.
        target: what is to run; of `stop`: what runs.
        previous: what ran before, to return to; None when nothing did.
        previous_revision: its number.
        restore_from: where the new job goes on from, instead of the savepoint at the stop.
        clean_start: the new job starts without state.
        shadow_restore: the new job is restored beside the old one before that is stopped.
        verify_seconds: how long the new version may take to prove itself.
        step: what comes next.
        old_job_id: the job that is replaced; None: nothing ran when this was planned.
        savepoint: the state the old job left.
        stopped_at: when it was asked to stop.
        stops: how often the stop was begun anew, because the job was restarted under it.
        attempts: ids the new job was submitted under, or was about to be: chosen before, so that each is submitted
            once; the last one counts.
        start_from: the state it starts from; None: without.
        first_record_at: when the new job's first record was seen.
        committed: end offset of each final topic when the old job had stopped.
        back_attempts: the same of the old version that comes back.
        back_from: the state that one starts from.
        returning_since: when the new version was given up.
        repeated: final records that are emitted again, because the state they go on from is older; None: unknown.
        states: of the target's job, with their versions.
        schema_ids, git, replay_verdict: for the record.
        note: what the rollout has to say beside its outcome.
        error: why it failed or was rolled back.
        revision: the number it was recorded under.
        agent: who carries it out.
        saved_at: when this was last written down.
    """

    id: str
    kind: Kind
    started_at: float
    target: Version
    previous: Version | None = None
    previous_revision: int | None = None
    restore_from: str | None = None
    clean_start: bool = False
    shadow_restore: bool = False
    verify_seconds: float = 120.0
    step: Step = "planned"
    old_job_id: str | None = None
    savepoint: str | None = None
    stopped_at: float | None = None
    stops: int = 0
    attempts: tuple[str, ...] = ()
    start_from: str | None = None
    first_record_at: float | None = None
    committed: Mapping[str, int] = field(default_factory=dict)
    back_attempts: tuple[str, ...] = ()
    back_from: str | None = None
    returning_since: float | None = None
    repeated: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    git: str | None = None
    replay_verdict: str | None = None
    note: str = ""
    error: str | None = None
    revision: int | None = None
    agent: Agent | None = None
    saved_at: float = 0.0

    @property
    def is_ended(self) -> bool:
        """Nothing is left to do."""
        return self.step in ENDED

    @property
    def is_alone(self) -> bool:
        """It has not ended, and nobody carries it out, or has begun to."""
        silent_seconds = time.time() - self.saved_at
        if self.agent is None:
            return not self.is_ended and silent_seconds > TAKE_OVER_SECONDS
        return not self.is_ended and not self.agent.is_alive(silent_seconds)

    @property
    def job_id(self) -> str | None:
        """The new job; None before one was to be submitted."""
        return self.attempts[-1] if self.attempts else None

    @property
    def back_job_id(self) -> str | None:
        """The job the old version runs as again; None when it did not have to."""
        return self.back_attempts[-1] if self.back_attempts else None

    @property
    def stop_request(self) -> str:
        """What the old job is asked to stop under: asked again, it is the same stop. 32 hexadecimal digits."""
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.id}/{self.stops}").hex

    @property
    def downtime_seconds(self) -> float | None:
        """From the stop of the old job to the new one's first record; None when either is not known."""
        if self.stopped_at is None or self.first_record_at is None:
            return None
        return self.first_record_at - self.stopped_at


class Journal:
    """Reads and writes the rollout of a deployment. Every method raises `S3Error`.

    Args:
        settings: where it is.
        require: raises when whoever writes may not write any more.
    """

    def __init__(self, settings: Settings, require: Callable[[], None] = lambda: None) -> None:
        self._require = require
        self._directory = settings.revision_dir.rstrip("/")
        self._uri = f"{self._directory}/rollout.json"
        self._client = s3_client(settings)

    def load(self) -> Rollout | None:
        """The newest rollout, ended or not; None before the first."""
        return self._load(self._uri)

    def ended(self, rollout_id: str) -> Rollout | None:
        """A rollout that has ended; None when there is none of that id."""
        return self._load(self._uri_of(rollout_id))

    def save(self, rollout: Rollout) -> Rollout:
        """Write it down; returns it.

        Raises:
            LockError: somebody else may write it by now.
        """
        self._require()
        rollout = dataclasses.replace(rollout, saved_at=time.time())
        content = orjson.dumps(dataclasses.asdict(rollout), option=orjson.OPT_INDENT_2)
        if rollout.is_ended:
            write_object(self._client, self._uri_of(rollout.id), content)
        write_object(self._client, self._uri, content)
        return rollout

    def _uri_of(self, rollout_id: str) -> str:
        return f"{self._directory}/rollouts/{rollout_id}.json"

    def _load(self, uri: str) -> Rollout | None:
        if not list_keys(self._client, uri):
            return None
        return parse(read_object(self._client, uri), uri)


def parse(content: bytes, where: str) -> Rollout:
    """A rollout from its JSON.

    Raises:
        S3Error: it is none; `where` is named.
    """
    try:
        found: dict[str, Any] = orjson.loads(content)
        # Another version of this code may have written more.
        known = {item.name for item in dataclasses.fields(Rollout)}
        found = {name: value for name, value in found.items() if name in known}
        for name in ("attempts", "back_attempts"):
            found[name] = tuple(found.get(name, ()))
        for name, kind in (("target", Version), ("previous", Version), ("agent", Agent)):
            if found.get(name) is not None:
                found[name] = kind(**found[name])
        return Rollout(**found)
    except (AttributeError, TypeError, ValueError) as error:
        raise S3Error(f"{where} is not the journal of a rollout: {error}; move it away to begin anew") from None


def new_rollout_id() -> str:
    """A name that sorts by when it was made, UTC."""
    return f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"


def new_job_id() -> str:
    """An id for a job that is about to be submitted."""
    return uuid.uuid4().hex
