"""How far a rollout is, written down before each step: whoever comes after a crash goes on from there.

One object, `<TA_REVISION_DIR>/rollout.json`: there is one rollout at a time. It holds no secrets.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import orjson
import psutil

from ta_pipeline.errors import S3Error
from ta_pipeline.s3 import list_keys, read_object, s3_client, write_object
from ta_pipeline.settings import Settings

Kind = Literal["start", "upgrade", "rollback", "stop"]
Step = Literal[
    "planned", "stopping", "stopped", "deploying", "deployed", "verified", "returning",
    "done", "rolled back", "failed",
]  # fmt: skip
"""What comes next:

    planned      plan the new job's graph, while the old one runs
    stopping     stop the old job with a savepoint
    stopped      note what was committed until then
    deploying    start the new job from the savepoint
    deployed     verify it
    verified     bring the table job along, record the revision
    returning    it could not be verified: bring the old version back
    done, rolled back, failed    nothing: it has ended
"""
ENDED = frozenset({"done", "rolled back", "failed"})


@dataclass(frozen=True)
class Version:
    """What runs: settings (`TA_*`, no secrets), the digest of the code, the image on Kubernetes."""

    settings: Mapping[str, str]
    release: str
    image: str = ""


@dataclass(frozen=True)
class Agent:
    """The process that carries a rollout out."""

    host: str
    pid: int
    started: float
    """Epoch seconds: a process id is used again."""

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    @property
    def is_alive(self) -> bool:
        """Whether it runs; an agent on another host is taken to be alive."""
        if self.host != socket.gethostname():
            return True
        try:
            process = psutil.Process(self.pid)
            is_it = abs(process.create_time() - self.started) < 1.0
            return is_it and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


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
        restore_from: where a `start` or a `rollback` goes on from, instead of the savepoint at the stop.
        verify_seconds: how long the new version may take to prove itself.
        step: what comes next.
        old_job_id: the job that is replaced.
        savepoint: the state the old job left.
        stopped_at: when it was asked to stop.
        job_id: the new job.
        first_record_at: when the new job's first record was seen.
        committed: end offset of each final topic when the old job had stopped.
        repeated: final records that a return to the old version emits again; counted when it is known.
        states: of the target's job, with their versions.
        schema_ids, git, replay_verdict: for the record.
        note: what the rollout has to say beside its outcome.
        error: why it failed or was rolled back.
        revision: the number it was recorded under.
        agent: who carries it out.
    """

    id: str
    kind: Kind
    started_at: float
    target: Version
    previous: Version | None = None
    previous_revision: int | None = None
    restore_from: str | None = None
    verify_seconds: float = 120.0
    step: Step = "planned"
    old_job_id: str | None = None
    savepoint: str | None = None
    stopped_at: float | None = None
    job_id: str | None = None
    first_record_at: float | None = None
    committed: Mapping[str, int] = field(default_factory=dict)
    repeated: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    schema_ids: Mapping[str, int] = field(default_factory=dict)
    git: str | None = None
    replay_verdict: str | None = None
    note: str = ""
    error: str | None = None
    revision: int | None = None
    agent: Agent | None = None

    @property
    def is_ended(self) -> bool:
        """Nothing is left to do."""
        return self.step in ENDED

    @property
    def is_alone(self) -> bool:
        """It has not ended, and nobody carries it out."""
        return not self.is_ended and (self.agent is None or not self.agent.is_alive)

    @property
    def downtime_seconds(self) -> float | None:
        """From the stop of the old job to the new one's first record; None when either is not known."""
        if self.stopped_at is None or self.first_record_at is None:
            return None
        return self.first_record_at - self.stopped_at


class Journal:
    """Reads and writes the rollout of a deployment. Every method raises `S3Error`."""

    def __init__(self, settings: Settings) -> None:
        self._uri = f"{settings.revision_dir.rstrip('/')}/rollout.json"
        self._client = s3_client(settings)

    def load(self) -> Rollout | None:
        """The newest rollout, ended or not; None before the first."""
        if not list_keys(self._client, self._uri):
            return None
        return parse(read_object(self._client, self._uri), self._uri)

    def save(self, rollout: Rollout) -> Rollout:
        """Write it down; returns it."""
        write_object(self._client, self._uri, orjson.dumps(dataclasses.asdict(rollout), option=orjson.OPT_INDENT_2))
        return rollout


def parse(content: bytes, where: str) -> Rollout:
    """A rollout from its JSON.

    Raises:
        S3Error: it is none; `where` is named.
    """
    try:
        found: dict[str, Any] = orjson.loads(content)
        for name, kind in (("target", Version), ("previous", Version), ("agent", Agent)):
            if found.get(name) is not None:
                found[name] = kind(**found[name])
        return Rollout(**found)
    except (AttributeError, TypeError, ValueError) as error:
        raise S3Error(f"{where} is not the journal of a rollout: {error}; move it away to start anew") from None
