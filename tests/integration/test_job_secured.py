"""The job on a broker over TLS: with the rules of its table it runs; what it is refused, its deployment says.

Flink, registry and S3 are the session's; Kafka is a broker of the test's own.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ta_pipeline.errors import DeployError, FlinkError
from ta_pipeline.instants import rfc3339
from ta_pipeline.kafka_admin import ensure_topics
from ta_pipeline.kafka_rules import allow, rules
from ta_pipeline.local.certificates import Authority
from ta_pipeline.local.runtime import LocalRuntime
from ta_pipeline.settings import Settings, load_settings
from tests.jobs import FAST, Message, committed, running_clock, running_job, send
from tests.messages import trade
from tests.proofs import Say
from tests.secured import AWKWARD, SecuredBroker, secured_broker
from tests.stack import CLICKHOUSE_PASSWORD, RunningStack, variables_of, wait_for

JOB_PASSWORD = f"{AWKWARD} of the job"
WRONG = "not-the-password-77ab"
at_length = pytest.mark.faults


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredBroker]:
    with secured_broker() as made:
        yield made


@pytest.fixture(scope="module")
def settings(stack: RunningStack, broker: SecuredBroker) -> Settings:
    """The platform's: Kafka is the secured broker, everything else the stack; the topics exist."""
    kafka = {name: value for name, value in broker.settings.model_dump().items() if name.startswith("kafka_")}
    own = stack.own_settings(topics=False, startup_mode="earliest", clickhouse_url="", **FAST)
    made = load_settings(**{**own.model_dump(), **kafka})
    allow(broker.admin, made.kafka_username, rules(made))
    ensure_topics(made)
    return made


def with_changed(settings: Settings, **changed: Any) -> Settings:
    return load_settings(**{**settings.model_dump(), **changed})


def job_user(broker: SecuredBroker, settings: Settings, user: str, without: tuple[str, str] | None = None) -> Settings:
    """The same for a user who has the rules of the job, and no others; one of them left out."""
    kept = [rule for rule in rules(settings, "job") if (rule.kind, rule.prefix) != without]
    broker.add_user(user, JOB_PASSWORD, kept)
    return with_changed(settings, kafka_username=user, kafka_password=JOB_PASSWORD)


def trades(numbers: range, before: float) -> list[Message]:
    """One a second; the last one `before` seconds ago."""
    begin = time.time() - before - len(numbers)
    return [trade(number, 0, 10.0 + number, t=rfc3339(begin + place)) for place, number in enumerate(numbers)]


@at_length
@pytest.mark.timeout(480, func_only=True)
def test_the_job_needs_the_rules_of_its_table_and_no_others(
    stack: RunningStack, broker: SecuredBroker, settings: Settings, say: Say
) -> None:
    own = job_user(broker, settings, "ta-job")
    secured = RunningStack(stack.stack, settings)
    with running_clock(settings):
        with running_job(stack, own) as runtime:
            send(secured, settings, trades(range(3), before=2))
            assert len(committed(secured, settings, settings.bars_topic, lambda found: len(found) >= 3)) == 3
            (status,) = runtime.status()
            assert (status.state, status.restarts) == ("RUNNING", 0)
            savepoint = runtime.stop()
        # A start from a state looks for the transactions that the job before it may have left.
        with running_job(stack, own, restore_from=savepoint) as runtime:
            send(secured, settings, trades(range(3, 6), before=2), first_seq=3)
            bars = committed(secured, settings, settings.bars_topic, lambda found: len(found) >= 6)
            assert len(bars) == 6
            (status,) = runtime.status()
            assert (status.state, status.restarts) == ("RUNNING", 0)
    assert [bar["c"] for bar in bars] == [10.0 + number for number in range(6)]


def refusal(
    stack: RunningStack,
    settings: Settings,
    runtime: LocalRuntime | None = None,
    error: type[FlinkError] = DeployError,
) -> str:
    """Why the job could not be deployed; nothing is left running, and no secret told."""
    runtime = runtime or LocalRuntime(settings, variables_of(settings), local=stack.local)
    try:
        with pytest.raises(error) as raised:
            runtime.deploy()
        assert runtime.status() == []
    finally:
        runtime.cancel()
    trace = "".join(traceback.format_exception(raised.value))
    for secret in (AWKWARD, JOB_PASSWORD, WRONG, CLICKHOUSE_PASSWORD):
        assert secret not in trace
    return str(raised.value)


@pytest.mark.timeout(180, func_only=True)
def test_a_job_with_a_wrong_password_fails_its_deployment_and_says_so(stack: RunningStack, settings: Settings) -> None:
    begin = time.monotonic()
    message = refusal(stack, with_changed(settings, kafka_password=WRONG))
    assert time.monotonic() - begin < 100
    assert "SaslAuthenticationException" in message
    assert f"Kafka refused user {settings.kafka_username!r}" in message
    assert "TA_KAFKA_PASSWORD" in message


@at_length
@pytest.mark.parametrize("listener", ["expired", "elsewhere"])
def test_a_certificate_that_is_not_right_is_named(
    stack: RunningStack, broker: SecuredBroker, settings: Settings, listener: str
) -> None:
    where = getattr(broker, listener)
    message = refusal(stack, with_changed(settings, kafka_bootstrap=where))
    said = {"expired": "is not valid now", "elsewhere": "is for another host"}[listener]
    assert f"the certificate of {where} {said}" in message


@at_length
def test_a_certificate_of_an_unknown_authority_is_named(
    stack: RunningStack, settings: Settings, tmp_path: Path
) -> None:
    other = tmp_path / "ca.pem"
    other.write_text(Authority.make("somebody else").pem, encoding="utf-8")
    message = refusal(stack, with_changed(settings, kafka_ca_file=str(other)))
    assert "an authority that is not trusted: look at TA_KAFKA_CA_FILE" in message


@at_length
@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("trades_topic", "TopicAuthorizationException"),
        ("clock_topic", "TopicAuthorizationException"),
        ("status_in_topic", "TopicAuthorizationException"),
        ("bars_topic", "TopicAuthorizationException"),
        ("transactional_id_prefix", "TransactionalIdAuthorizationException"),
    ],
)
def test_a_rule_that_is_missing_is_named(
    stack: RunningStack, broker: SecuredBroker, settings: Settings, field: str, said: str
) -> None:
    user, name = f"without-{field}", getattr(settings, field)
    kind = "transactional_id" if field == "transactional_id_prefix" else "topic"
    message = refusal(stack, job_user(broker, settings, user, (kind, name)))
    assert said in message
    assert f"user {user!r} lacks an access rule" in message
    assert "docs/security.md" in message
    assert name in message


@at_length
def test_a_rule_that_is_taken_away_while_the_job_runs_is_named_by_its_status(
    stack: RunningStack, broker: SecuredBroker, settings: Settings
) -> None:
    own = job_user(broker, settings, "revoked")
    (writing,) = [rule for rule in rules(settings, "job") if rule.kind == "transactional_id"]
    with running_job(stack, own) as runtime:
        broker.deny("revoked", writing)

        def is_told() -> bool:
            (status,) = runtime.status()
            return "lacks an access rule for transactional ids" in (status.exception or "")

        wait_for("the job says which rule it lacks", is_told, 60)
        broker.add_user("revoked", JOB_PASSWORD, [writing])
        before = runtime.status()[0].checkpoints_completed
        wait_for("it goes on by itself", lambda: runtime.status()[0].checkpoints_completed > before + 1, 90)


@at_length
def test_wrong_keys_for_s3_end_a_deployment_that_says_so(stack: RunningStack) -> None:
    own = stack.own_settings(**FAST)
    with _other_keys(stack):
        # It is not even submitted: the JobManager keeps what is submitted in S3.
        message = refusal(stack, own, error=FlinkError)
    assert "look at TA_S3_ACCESS_KEY and TA_S3_SECRET_KEY" in message


@contextmanager
def _other_keys(stack: RunningStack) -> Iterator[None]:
    """S3 takes another key than the one Flink has."""
    path = stack.local.dir / "s3" / "s3proxy.conf"
    right = path.read_text(encoding="utf-8")
    key = stack.settings.s3_secret_key.get_secret_value()
    assert key in right
    try:
        path.write_text(right.replace(key, WRONG), encoding="utf-8")
        stack.stack.supervisor.restart_process("s3")
        stack.await_ready()
        yield
    finally:
        path.write_text(right, encoding="utf-8")
        stack.stack.supervisor.restart_process("s3")
        stack.await_ready()
