"""Whose a transaction is, and whether somebody may still commit it.

Nothing is taken for dead because somebody did not answer: without Flink it is not known what runs, and without S3 not
what once ran.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ta_pipeline.errors import TaError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.monitoring.snapshot import Unreachable
from ta_pipeline.revisions import Revision, RevisionStore, current
from ta_pipeline.s3 import s3_client
from ta_pipeline.settings import Settings

Kind = Literal["running", "restorable", "dead", "unknown", "foreign"]
"""running: a job with this prefix runs, and commits or aborts it;
restorable: of this deployment, whose job does not run: a restore from its last checkpoint may commit it;
dead: of an earlier deployment, or of a replay or drill that is over: nobody will ever end it;
unknown: it takes an answer to say which, and there is none;
foreign: not of this deployment, as far as its records go."""
PREFIX, REST_URL = "TA_TRANSACTIONAL_ID_PREFIX", "TA_FLINK_REST_URL"
_TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True)
class Owner:
    """Of all transactions with one prefix."""

    kind: Kind
    text: str
    """For a person: which job, which revision."""

    @property
    def may_commit(self) -> bool:
        """Somebody may still commit its transactions, as far as is known here: an abort may lose what they hold."""
        return self.kind != "dead"


@dataclass(frozen=True)
class Claims:
    """Who says what is theirs."""

    settings: Settings
    """Those declared."""
    running: Mapping[str, str] | Unreachable
    """Prefix to the jobs with it that have not ended, for people."""
    revisions: tuple[Revision, ...] | Unreachable
    """The oldest first."""


def ask_claims(settings: Settings) -> Claims:
    """Ask Flink what runs, and S3 what was ever rolled out."""
    running: Mapping[str, str] | Unreachable
    revisions: tuple[Revision, ...] | Unreachable
    try:
        running = _running(settings)
    except TaError as error:
        running = Unreachable("flink", str(error))
    try:
        client = s3_client(settings, connect_seconds=_TIMEOUT_SECONDS, read_seconds=_TIMEOUT_SECONDS, retries=0)
        revisions = tuple(RevisionStore(settings, client).all())
    except TaError as error:
        revisions = Unreachable("s3", str(error))
    return Claims(settings, running, revisions)


def owner_of(prefix: str | None, claims: Claims) -> Owner:
    """The owner of the transactions with a prefix; None: of an id that is not of this platform's form. Pure."""
    if prefix is None:
        return Owner("foreign", "not named as this platform names its transactions")
    running = claims.running
    if not isinstance(running, Unreachable) and prefix in running:
        return Owner("running", running[prefix])
    ours = _ours(prefix, claims)
    if ours.kind in {"restorable", "dead"} and isinstance(running, Unreachable):
        return Owner("unknown", f"{ours.text}; whether a job of it runs, Flink does not say")
    if ours.kind == "restorable":
        return Owner("restorable", f"{ours.text}; its job does not run, and a restore may commit it")
    return ours


def _ours(prefix: str, claims: Claims) -> Owner:
    """The owner by what was declared and recorded, whatever runs."""
    declared, revisions = claims.settings.transactional_id_prefix, claims.revisions
    if prefix == declared:
        return Owner("restorable", "of this deployment")
    known = () if isinstance(revisions, Unreachable) else revisions
    newest = {one.settings[PREFIX]: one for one in known if PREFIX in one.settings}
    if (revision := newest.get(prefix)) is not None:
        return _recorded(revision, claims)
    if (replay := _replay(prefix, {declared, *newest})) is not None:
        if claims.settings.runtime == "kubernetes":
            return Owner("unknown", f"of {replay}, which has a cluster of its own: nobody was asked there")
        return Owner("dead", f"of {replay}, of which no job runs at {claims.settings.flink_rest_url}")
    if isinstance(revisions, Unreachable):
        return Owner("unknown", "whether it was rolled out before, S3 does not say")
    return Owner("foreign", f"no revision in {claims.settings.revision_dir} had this prefix")


def _recorded(revision: Revision, claims: Claims) -> Owner:
    """The owner of a prefix that is not the declared one and was last rolled out with `revision`."""
    known = [] if isinstance(claims.revisions, Unreachable) else list(claims.revisions)
    last = current(known) or known[-1]
    if last.settings.get(PREFIX) == revision.settings[PREFIX]:
        return Owner("restorable", f"of revision {last.number}, the last that ran")
    where = revision.settings.get(REST_URL, "")
    if where != claims.settings.flink_rest_url:
        return Owner("unknown", f"of revision {revision.number}, which ran at {where}: nobody was asked there")
    return Owner("dead", f"of revision {revision.number}; another prefix has been in use since")


def _replay(prefix: str, productions: Iterable[str]) -> str | None:
    """The replay, drill or shadow restore of one of these prefixes."""
    for production in productions:
        if found := re.fullmatch(rf"replay-(.+)-{re.escape(production)}", prefix):
            return f"replay {found[1]}"
    return None


def _running(settings: Settings) -> dict[str, str]:
    """What runs by its prefix."""
    flink = FlinkRest(settings.flink_rest_url, _TIMEOUT_SECONDS)
    found: dict[str, list[str]] = {}
    for job in flink.jobs():
        if job.is_ended:
            continue
        # A job that has only just been submitted does not tell yet: an error, so nothing is taken for dead.
        if prefix := flink.settings(job.id).get(PREFIX):
            found.setdefault(prefix, []).append(f"{job.name} ({job.id}) is {job.state}")
    return {prefix: "; ".join(jobs) for prefix, jobs in found.items()}
