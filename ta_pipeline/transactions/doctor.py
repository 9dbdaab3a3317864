"""Examines the transactions of a deployment, and aborts one that somebody has looked at."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ta_pipeline.errors import KafkaSetupError, TaError
from ta_pipeline.monitoring.snapshot import Unreachable
from ta_pipeline.monitoring.verdicts import Verdict
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.broker import TransactionBroker
from ta_pipeline.transactions.look import Hanging, Look, PartitionLook, Transaction, prefix_of
from ta_pipeline.transactions.owners import Owner, ask_claims, owner_of
from ta_pipeline.transactions.verdicts import JUDGES, Examination, hanging_of, stands

BETWEEN_SECONDS = 3.0
"""Between the two looks: an offset that did not move in one look cannot be told from one that does not move."""

Clock = Callable[[], int]
"""The time, epoch milliseconds."""


@dataclass(frozen=True)
class Prefix:
    """What one deployment has: its ids, and those of its transactions that are open."""

    prefix: str
    """Or the whole id, where that is not of this platform's form."""
    owner: Owner
    ids: int
    open: tuple[Transaction, ...]


@dataclass(frozen=True)
class Report:
    """What was found, and the verdicts on it."""

    found: Examination
    verdicts: tuple[Verdict, ...]
    prefixes: tuple[Prefix, ...]

    @property
    def is_well(self) -> bool:
        """Nobody has to do anything."""
        return not any(one.state in {"bad", "unknown"} for one in self.verdicts)

    def stands_still(self, partition: PartitionLook) -> bool:
        """Whether committed readers of a partition were there at the look before, and there is more to read."""
        return isinstance(self.found.before, Look) and stands(partition, self.found.before)

    def to_dict(self) -> dict[str, Any]:
        """For machines; times are epoch milliseconds."""
        now = self.found.now
        partitions = [] if isinstance(now, Unreachable) else now.partitions
        return {
            "well": self.is_well,
            "at_ms": None if isinstance(now, Unreachable) else now.at_ms,
            "verdicts": [
                {"name": one.name, "state": one.state, "message": one.message, "figures": dict(one.figures)}
                for one in self.verdicts
            ],
            "prefixes": [
                {
                    "prefix": one.prefix,
                    "owner": one.owner.kind,
                    "owned_by": one.owner.text,
                    "ids": one.ids,
                    "open": [_transaction(transaction, self.found.look) for transaction in one.open],
                }
                for one in self.prefixes
            ],
            "hanging": [
                {"place": one.place, "producer_id": one.holder.producer_id, "epoch": one.holder.epoch}
                for one in hanging_of(self.found)
            ],
            "partitions": [
                {
                    "topic": one.topic,
                    "partition": one.partition,
                    "end": one.end,
                    "stable": one.stable,
                    "stands_still": self.stands_still(one),
                    "overdue": one.overdue,
                }
                for one in partitions
            ],
        }


def examine(settings: Settings, now_ms: Clock, between_seconds: float = BETWEEN_SECONDS) -> Report:
    """Look twice and judge; never raises because a component does not answer.

    Args:
        settings: the deployment's.
        now_ms: the time.
        between_seconds: between the looks.
    """
    before = now = _look(settings, now_ms)
    if isinstance(before, Look):
        time.sleep(between_seconds)
        now = _look(settings, now_ms)
    found = Examination(settings, before, now, ask_claims(settings))
    return report_of(found)


def report_of(found: Examination) -> Report:
    """The verdicts, and what is open by prefix; pure."""
    return Report(found, tuple(one(found) for one in JUDGES), _prefixes(found))


def chosen(report: Report, transactional_id: str) -> Transaction:
    """The open transaction of an id.

    Raises:
        KafkaSetupError: it has none, or what is open is not known.
    """
    now = report.found.look
    transaction = now.find(transactional_id)
    if transaction is None:
        opened = ", ".join(one.id for one in now.transactions) or "none"
        raise KafkaSetupError(f"{transactional_id!r} has no open transaction; open: {opened}")
    return transaction


def chosen_hanging(report: Report, place: str) -> Hanging:
    """What hangs in a partition, `topic[number]`.

    Raises:
        KafkaSetupError: nothing does, or it is not known; or its newest record is young.
    """
    look, lost = report.found.look, hanging_of(report.found)
    found = next((one for one in lost if one.place == place), None)
    if found is None:
        places = ", ".join(one.place for one in lost) or "nowhere"
        raise KafkaSetupError(f"nothing hangs in {place!r}; something does in: {places}")
    if look.at_ms - found.holder.last_ms <= look.open_limit_ms:
        raise KafkaSetupError(
            f"{found}: its producer wrote within the last {look.open_limit_ms / 1_000:g} s and may be at work; nothing "
            "was aborted, look again later"
        )
    return found


def reasons_to_keep(report: Report, transaction: Transaction) -> list[str]:
    """Why aborting a transaction may lose what somebody would still commit; empty when nobody would. Pure."""
    look, owner = report.found.look, report.found.owner(transaction)
    age_s, limit_s = transaction.age_seconds(look.at_ms), look.open_limit_ms / 1_000
    reasons = [f"it is {owner.kind}: {owner.text}"] if owner.may_commit else []
    if age_s <= limit_s:
        reasons.append(f"it is open for {age_s:.0f} s only; up to {limit_s:g} s it may be at work")
    return reasons


def abort_transaction(settings: Settings, transaction: Transaction, owner: Owner, *, forced: bool) -> None:
    """Abort exactly this transaction; committed readers go on when it returns.

    Args:
        settings: the deployment's.
        transaction: as it was shown.
        owner: as it was shown.
        forced: though somebody may still commit it.

    Raises:
        KafkaSetupError: it is over, or another one by now; or its owner has changed; or the broker refuses.
    """
    now = owner_of(transaction.prefix, ask_claims(settings))
    if now.kind != owner.kind and not forced:
        raise KafkaSetupError(
            f"{transaction.id} was {owner.kind} ({owner.text}) and is {now.kind} ({now.text}) by now: nothing was "
            "aborted; look again"
        )
    with TransactionBroker(settings) as broker:
        broker.abort(transaction)


def abort_hanging(settings: Settings, hanging: Hanging) -> None:
    """Abort exactly this one; committed readers go on when it returns.

    Raises:
        KafkaSetupError: it is over by now, or the broker refuses.
    """
    with TransactionBroker(settings) as broker:
        broker.abort_hanging(hanging)


def _transaction(one: Transaction, look: Look) -> dict[str, Any]:
    return {
        "id": one.id,
        "state": one.state,
        "age_s": round(one.age_seconds(look.at_ms), 3),
        "timeout_ms": one.timeout_ms,
        "producer_id": one.producer_id,
        "epoch": one.epoch,
        "partitions": [f"{topic}[{number}]" for topic, number in one.partitions],
    }


def _look(settings: Settings, now_ms: Clock) -> Look | Unreachable:
    try:
        with TransactionBroker(settings) as broker:
            return broker.look(now_ms())
    except TaError as error:
        return Unreachable("kafka", str(error))


def _prefixes(found: Examination) -> tuple[Prefix, ...]:
    now = found.now
    if isinstance(now, Unreachable):
        return ()
    ids = Counter(_group(name) for name in now.ids)
    opened: dict[tuple[str, str | None], list[Transaction]] = {}
    for one in now.transactions:
        opened.setdefault(_group(one.id), []).append(one)
    return tuple(
        Prefix(label, owner_of(prefix, found.claims), ids[label, prefix], tuple(opened.get((label, prefix), ())))
        for label, prefix in sorted({*ids, *opened}, key=lambda group: group[0])
    )


def _group(transactional_id: str) -> tuple[str, str | None]:
    """What it is shown under, and its prefix."""
    prefix = prefix_of(transactional_id)
    return prefix or transactional_id, prefix
