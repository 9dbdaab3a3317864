"""What is wrong with transactions; pure, and each with its numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.monitoring.snapshot import Unreachable
from ta_pipeline.monitoring.verdicts import Figure, Verdict, unreachable
from ta_pipeline.settings import Settings
from ta_pipeline.transactions.look import Hanging, Holder, Look, PartitionLook, Transaction
from ta_pipeline.transactions.owners import Claims, Owner, owner_of

NO_TRANSACTIONS = "TA_DELIVERY_GUARANTEE is at-least-once: the job has no transactions"
_NAMED = 5
"""So many are named in a message; the report has all."""


@dataclass(frozen=True)
class Examination:
    """Two looks at the broker, some seconds apart, and who claims what."""

    settings: Settings
    before: Look | Unreachable
    now: Look | Unreachable
    claims: Claims

    @property
    def look(self) -> Look:
        """The newer look.

        Raises:
            KafkaSetupError: the broker did not answer.
        """
        if isinstance(self.now, Unreachable):
            raise KafkaSetupError(f"what is open is not known: {self.now.reason}")
        return self.now

    def owner(self, transaction: Transaction) -> Owner:
        """Whose a transaction is."""
        return owner_of(transaction.prefix, self.claims)


def kafka_reachable(found: Examination) -> Verdict:
    """The broker tells its transactions, and has the output topics."""
    name = "kafka_reachable"
    for look in (found.now, found.before):
        if isinstance(look, Unreachable):
            return Verdict(name, "bad", look.reason)
        seen = {partition.topic for partition in look.partitions}
        if missing := [topic for topic in found.settings.output_topics if topic not in seen]:
            return Verdict(name, "bad", f"no such topic: {', '.join(missing)}", {"missing": len(missing)})
    return Verdict(name, "ok", f"answers at {found.settings.kafka_bootstrap}")


def owners(found: Examination) -> Verdict:
    """Flink tells what runs, and S3 what was ever rolled out: else nothing is taken for dead."""
    name, claims = "owners", found.claims
    if isinstance(claims.running, Unreachable):
        return Verdict(name, "unknown", f"what runs is not known: {claims.running.reason}")
    if isinstance(claims.revisions, Unreachable):
        return Verdict(name, "unknown", f"what was rolled out before is not known: {claims.revisions.reason}")
    figures = {"running": len(claims.running), "revisions": len(claims.revisions)}
    text = f"{len(claims.running)} prefixes with a job that runs, {len(claims.revisions)} revisions on record"
    return Verdict(name, "ok", text, figures)


def stable_offsets(found: Examination) -> Verdict:
    """No partition's last stable offset stands still: readers of committed records go on."""
    name, now, before = "stable_offsets", found.now, found.before
    if isinstance(now, Unreachable) or isinstance(before, Unreachable):
        return _unknown(name, found)
    watched = watched_of(found)
    behind = [one for one in watched if one.waiting > 0]
    still = [one for one in behind if one.overdue and stands(one, before)]
    figures: dict[str, Figure] = {
        "partitions": len(watched),
        "waiting": len(behind),
        "still": len(still),
        "offsets behind": sum(one.waiting for one in still),
    }
    if still:
        text = _some([f"{one} at {one.stable:,} of {one.end:,} {_behind(one, now)}" for one in still])
        return Verdict(name, "bad", f"readers of committed records stand still in {text}", figures)
    text = f"in {len(behind)} of {len(watched)} partitions they wait for an open transaction, and not for too long"
    return Verdict(name, "ok", text if behind else f"they reach the end of {len(watched)} partitions", figures)


def open_transactions(found: Examination) -> Verdict:
    """No transaction of a deployment is open for longer than a checkpoint takes."""
    name, now = "open_transactions", found.now
    if isinstance(now, Unreachable):
        return _unknown(name, found)
    limit_s = now.open_limit_ms / 1_000
    old = [one for one in now.transactions if one.age_seconds(now.at_ms) > limit_s]
    ours = [one for one in old if found.owner(one).kind not in {"foreign", "dead"}]
    figures: dict[str, Figure] = {"open": len(now.transactions), "old": len(old), "limit_s": limit_s}
    if ours:
        text = _some([f"{_aged(one, now)}, {found.owner(one).text}" for one in ours])
        return Verdict(name, "bad", f"open for more than {limit_s:g} s: {text}", figures)
    others = [one for one in old if found.owner(one).kind == "foreign"]
    if others:
        # Others may have longer transactions; who waits for them here is seen in the stable offsets.
        text = f"of others, open for more than {limit_s:g} s: {_some([_aged(one, now) for one in others])}"
        return Verdict(name, "warn", text, figures)
    oldest = f", the oldest for {now.transactions[0].age_seconds(now.at_ms):.1f} s" if now.transactions else ""
    return Verdict(name, "ok", f"{len(now.transactions)} open{oldest}; {limit_s:g} s is allowed", figures)


def orphans(found: Examination) -> Verdict:
    """No dead deployment left a transaction open: nobody will end it before its timeout."""
    name, now = "orphans", found.now
    if isinstance(now, Unreachable):
        return _unknown(name, found)
    limit_s = now.open_limit_ms / 1_000
    dead = [
        one
        for one in now.transactions
        # A shadow restore runs where nobody is asked: what is young may be at work.
        if found.owner(one).kind == "dead" and one.age_seconds(now.at_ms) > limit_s
    ]
    figures: dict[str, Figure] = {"orphans": len(dead)}
    if dead:
        text = _some([f"{_aged(one, now)}, {found.owner(one).text}" for one in dead])
        return Verdict(name, "bad", f"left open: {text}", figures)
    unsure = [one for one in now.transactions if found.owner(one).kind == "unknown"]
    if unsure:
        text = _some([f"{one.id}, {found.owner(one).text}" for one in unsure])
        cause = "" if owners(found).is_well else "owners"
        return Verdict(name, "unknown", f"whether these are orphans is not known: {text}", figures, cause)
    return Verdict(name, "ok", f"none among {len(now.transactions)} open transactions", figures)


def hanging(found: Examination) -> Verdict:
    """Each open transaction in a partition is known to its coordinator, which ends it at its timeout."""
    name = "hanging"
    if isinstance(found.now, Unreachable) or isinstance(found.before, Unreachable):
        return _unknown(name, found)
    lost = hanging_of(found)
    figures: dict[str, Figure] = {"hanging": len(lost)}
    if not lost:
        return Verdict(name, "ok", "every open transaction has a coordinator that knows it", figures)
    return Verdict(
        name,
        "bad",
        f"open without a coordinator that would ever end it (or one that hides it: that takes Describe on the "
        f"transactional id): {_some([str(one) for one in lost])}",
        figures,
    )


def transaction_timeout(found: Examination) -> Verdict:
    """The transaction timeout outlives a checkpoint and a restart, and the broker allows it."""
    name, now, settings = "transaction_timeout", found.now, found.settings
    if settings.delivery_guarantee != "exactly-once":
        return Verdict(name, "ok", NO_TRANSACTIONS)
    if isinstance(now, Unreachable):
        return _unknown(name, found)
    timeout_ms, needed_ms = settings.transaction_timeout_ms, settings.checkpoint_timeout_ms + settings.restart_budget_ms
    figures: dict[str, Figure] = {
        "timeout_ms": timeout_ms,
        "needed_ms": needed_ms,
        "max_ms": now.max_timeout_ms,
        "spare_ms": timeout_ms - needed_ms,
    }
    numbers = (
        f"TA_TRANSACTION_TIMEOUT_MS {timeout_ms}; checkpoint timeout {settings.checkpoint_timeout_ms} + restart "
        f"budget {settings.restart_budget_ms} = {needed_ms}; the broker's transaction.max.timeout.ms "
        f"{now.max_timeout_ms}"
    )
    if timeout_ms > now.max_timeout_ms:
        return Verdict(name, "bad", f"above the broker's maximum, so no sink can start: {numbers}", figures)
    if timeout_ms <= needed_ms:
        text = f"a restart may outlast what was pre-committed, and loses it: {numbers}"
        return Verdict(name, "bad", text, figures)
    others = sorted({
        f"{one.id} has {one.timeout_ms}"
        for one in now.transactions
        if found.owner(one).kind in {"running", "restorable"} and one.timeout_ms != timeout_ms
    })  # fmt: skip
    if others:
        return Verdict(name, "warn", f"in force is another one: {_some(others)}; declared: {numbers}", figures)
    outage_s = (timeout_ms - settings.checkpoint_timeout_ms) / 1_000
    return Verdict(name, "ok", f"an outage of {outage_s:g} s loses nothing: {numbers}", figures)


def id_expiration(found: Examination) -> Verdict:
    """The broker remembers a transactional id for longer than a transaction may be open."""
    name, now, settings = "id_expiration", found.now, found.settings
    if settings.delivery_guarantee != "exactly-once":
        return Verdict(name, "ok", NO_TRANSACTIONS)
    if isinstance(now, Unreachable):
        return _unknown(name, found)
    days = now.id_expiration_ms / 86_400_000
    figures: dict[str, Figure] = {"expiration_ms": now.id_expiration_ms, "ids": len(now.ids)}
    text = f"the broker's transactional.id.expiration.ms is {now.id_expiration_ms} ({days:.3g} d)"
    if now.id_expiration_ms <= settings.transaction_timeout_ms:
        worse = f"{text}, TA_TRANSACTION_TIMEOUT_MS {settings.transaction_timeout_ms}: raise the first one"
        return Verdict(name, "bad", f"an id is forgotten while its transaction may be open: {worse}", figures)
    return Verdict(name, "ok", f"{text}; it remembers {len(now.ids)} ids", figures)


JUDGES: tuple[Callable[[Examination], Verdict], ...] = (
    kafka_reachable, owners, stable_offsets, open_transactions, orphans, hanging, transaction_timeout, id_expiration,
)  # fmt: skip
QUESTIONS: Mapping[str, str] = MappingProxyType({one.__name__: inspect.getdoc(one) or "" for one in JUDGES})
"""Name to what has to hold."""


def watched_of(found: Examination) -> list[PartitionLook]:
    """The partitions that are judged: of the output topics, and where something of ours is open. Pure."""
    if isinstance(found.now, Unreachable):
        return []
    ours = {place for one in found.now.transactions if found.owner(one).kind != "foreign" for place in one.partitions}
    topics = set(found.settings.output_topics)
    return [one for one in found.now.partitions if one.topic in topics or one.place in ours]


def stands(partition: PartitionLook, before: Look) -> bool:
    """Whether committed readers of a partition stand where they stood before, and there is more to read."""
    earlier = before.partition(partition.place)
    return earlier is not None and earlier.stable == partition.stable < partition.end


def hanging_of(found: Examination) -> tuple[Hanging, ...]:
    """Transactions that no coordinator knows, in both looks; none where a look is missing. Pure.

    One that began between the questions of a look is in the partitions and not in the list, in that look only.
    """
    now, before = found.now, found.before
    if isinstance(now, Unreachable) or isinstance(before, Unreachable):
        return ()
    return tuple(
        Hanging(partition.topic, partition.partition, holder)
        for partition in watched_of(found)
        for holder in partition.holders
        if now.of_producer(holder) is None and _hung(partition, holder, before)
    )


def _hung(partition: PartitionLook, holder: Holder, before: Look) -> bool:
    earlier = before.partition(partition.place)
    held = earlier.holders if earlier else ()
    return before.of_producer(holder) is None and any(one.identity == holder.identity for one in held)


def _behind(partition: PartitionLook, look: Look) -> str:
    """Who keeps committed readers of a partition."""
    if not partition.holders:
        return "behind a transaction that has just ended"
    holder = partition.holders[0]
    transaction = look.of_producer(holder)
    return f"behind {_aged(transaction, look)}" if transaction else f"behind producer {holder.producer_id}"


def _aged(transaction: Transaction, look: Look) -> str:
    return f"{transaction.id} (open for {transaction.age_seconds(look.at_ms):.0f} s)"


def _some(texts: list[str]) -> str:
    more = f"; and {len(texts) - _NAMED} more" if len(texts) > _NAMED else ""
    return "; ".join(texts[:_NAMED]) + more


def _unknown(name: str, found: Examination) -> Verdict:
    for look in (found.now, found.before):
        if isinstance(look, Unreachable):
            return unreachable(name, look)
    raise AssertionError("asked for the reason of an answer that is there")
