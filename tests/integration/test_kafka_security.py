"""Whoever may not get into Kafka hears at once what was refused and which setting to look at, and never the secret."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.errors import SettingsError, TaError
from ta_pipeline.feed import Outgoing, send
from ta_pipeline.kafka_admin import ensure_topics, live_topics, topic_names
from ta_pipeline.kafka_rules import Rule, rules
from ta_pipeline.local.certificates import Authority
from ta_pipeline.monitoring.kafka_source import ask_kafka
from ta_pipeline.preflight import require_group, topic_problems, transaction_problems
from ta_pipeline.readers import OutputReader, final_reader
from ta_pipeline.recovery.retention import extents
from ta_pipeline.rollout.offsets import Offsets
from ta_pipeline.settings import Settings, load_settings
from tests.secured import AWKWARD, USER, SecuredBroker, secured_broker

WRONG = "not-the-password-5f1d"
SOON_SECONDS = 6.0
"""librdkafka alone would try until the time limit of 15 s, and say that nothing answers."""

CLIENTS: dict[str, Callable[[Settings], object]] = {
    "topics": topic_names,
    "declared topics": lambda settings: live_topics(settings, settings.input_topics),
    "readers": final_reader,
    "monitoring": lambda settings: ask_kafka(settings, int(time.time() * 1_000)),
    "rollouts": lambda settings: Offsets(settings).ends([settings.trades_topic]),
    "preflight": require_group,
    "positions": lambda settings: Offsets(settings).left_of(settings.group_id, {(settings.trades_topic, 0): 1}),
    "recovery": lambda settings: extents(settings, settings.input_topics),
}


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredBroker]:
    with secured_broker() as made:
        ensure_topics(made.settings)
        yield made


def refusal_of(client: Callable[[Settings], object], settings: Settings) -> str:
    """The error's message; it came soon, and neither it nor its traceback holds a secret."""
    begin = time.monotonic()
    with pytest.raises(TaError) as raised:
        client(settings)
    assert time.monotonic() - begin < SOON_SECONDS
    trace = "".join(traceback.format_exception(raised.value))
    for secret in (AWKWARD, WRONG):
        assert secret not in trace
    return str(raised.value)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_is_named_soon_by_every_client(broker: SecuredBroker, client: str) -> None:
    message = refusal_of(CLIENTS[client], broker.with_settings(kafka_password=WRONG))
    assert f"refused user {USER!r}" in message
    assert "TA_KAFKA_PASSWORD" in message
    assert "is it up" not in message


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"kafka_username": "nobody"}, ["refused user 'nobody'", "TA_KAFKA_USERNAME"]),
        ({"kafka_sasl_mech": "SCRAM-SHA-256"}, ["supported mechanisms: SCRAM-SHA-512", "TA_KAFKA_SASL_MECH"]),
        ({"kafka_ca_file": ""}, ["unable to get local issuer certificate", "TA_KAFKA_CA_FILE"]),
    ],
)
def test_what_else_keeps_a_client_out_is_named_too(
    broker: SecuredBroker, changed: dict[str, str], named: list[str]
) -> None:
    message = refusal_of(topic_names, broker.with_settings(**changed))
    for text in named:
        assert text in message


def test_a_certificate_of_an_unknown_authority_is_refused(broker: SecuredBroker, tmp_path: Path) -> None:
    other = tmp_path / "ca.pem"
    other.write_text(Authority.make("somebody else").pem, encoding="utf-8")
    message = refusal_of(topic_names, broker.with_settings(kafka_ca_file=str(other)))
    assert "was not trusted" in message
    assert "unable to get local issuer certificate" in message
    assert f"TA_KAFKA_CA_FILE ({other})" in message


def test_an_expired_certificate_is_refused(broker: SecuredBroker) -> None:
    message = refusal_of(topic_names, broker.with_settings(kafka_bootstrap=broker.expired))
    assert f"{broker.expired}: certificate has expired" in message


def test_a_certificate_for_another_host_is_refused(broker: SecuredBroker) -> None:
    message = refusal_of(topic_names, broker.with_settings(kafka_bootstrap=broker.elsewhere))
    assert f"{broker.elsewhere}: IP address mismatch" in message


def test_a_client_without_tls_is_told_that_the_broker_speaks_it(broker: SecuredBroker) -> None:
    with pytest.raises(TaError, match=r"speaks TLS; look at TA_KAFKA_SECURITY"):
        OutputReader(broker.with_settings(kafka_security="PLAINTEXT"), ["any"], committed=True, timeout_seconds=2.0)


def test_a_ca_file_that_cannot_be_read_is_a_wrong_setting(broker: SecuredBroker, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"TA_KAFKA_CA_FILE='/nowhere' cannot be used: No such file"):
        topic_names(broker.with_settings(kafka_ca_file="/nowhere"))
    no_pem = tmp_path / "ca.pem"
    no_pem.write_text("no certificate", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"TA_KAFKA_CA_FILE=.* cannot be used: .*; it is a PEM file"):
        topic_names(broker.with_settings(kafka_ca_file=str(no_pem)))


def test_sasl_without_user_and_password_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match=r"SASL_SSL, so TA_KAFKA_USERNAME and TA_KAFKA_PASSWORD have to be set"):
        load_settings(kafka_security="SASL_SSL", kafka_username="somebody")


def test_the_platform_has_every_rule_it_needs(broker: SecuredBroker) -> None:
    assert [*topic_problems(broker.settings), *transaction_problems(broker.settings)] == []
    assert ask_kafka(broker.settings, int(time.time() * 1_000)).missing == ()
    trade = Outgoing(None, "trades", "AAA", lambda _now: b"{}")
    assert send(broker.settings, [trade]).total == 1
    final_reader(broker.settings).close()


def without(broker: SecuredBroker, user: str, kind: str, prefix: str) -> Settings:
    """Settings of a new user who has all rules but those on one resource."""
    password = f"{WRONG}-{user}"
    kept = [rule for rule in rules(broker.settings) if (rule.kind, rule.prefix) != (kind, prefix)]
    broker.add_user(user, password, kept)
    return broker.with_settings(kafka_username=user, kafka_password=SecretStr(password))


@pytest.mark.parametrize("client", ["declared topics", "feed", "rollouts", "recovery", "readers", "monitoring"])
def test_a_topic_that_a_user_may_not_see_is_not_said_to_be_missing(broker: SecuredBroker, client: str) -> None:
    topic = broker.settings.signals_topic if client == "readers" else broker.settings.trades_topic
    settings = without(broker, f"blind-{client.replace(' ', '-')}", "topic", topic)
    clients = {**CLIENTS, "feed": lambda settings: send(settings, [])}
    message = refusal_of(clients[client], settings)
    assert f"topic {topic}" in message
    assert "Topic authorization failed" in message
    assert f"user {settings.kafka_username!r} (TA_KAFKA_USERNAME) lacks an access rule" in message
    assert "docs/security.md" in message
    assert "does not exist" not in message


def test_a_group_that_a_user_may_not_use_is_named_before_a_job_starts(broker: SecuredBroker) -> None:
    """The job would commit its positions after its first checkpoint only, and fail then."""
    settings = without(broker, "without-group", "group", broker.settings.group_id)
    message = refusal_of(require_group, settings)
    assert "Group authorization failed" in message
    assert (
        f"user {settings.kafka_username!r} (TA_KAFKA_USERNAME) lacks an access rule for the consumer group" in message
    )


def test_a_topic_that_a_user_may_read_and_not_write_says_so(broker: SecuredBroker) -> None:
    settings = without(broker, "reader", "topic", broker.settings.quotes_topic)
    broker.add_user("reader", f"{WRONG}-reader", [Rule("topic", settings.quotes_topic, ("READ",), "job", "")])
    quote = Outgoing(None, "quotes", "AAA", lambda _now: b"{}")
    with pytest.raises(TaError, match=r"Topic authorization failed.*'reader' \(TA_KAFKA_USERNAME\) lacks"):
        send(settings, [quote])


def test_a_command_shows_the_refusal_and_nothing_else(
    broker: SecuredBroker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in broker.access.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TA_KAFKA_PASSWORD", WRONG)
    result = CliRunner().invoke(app, ["probe", "--seconds", "1"])
    printed = result.output + "".join(capfd.readouterr())
    assert result.exit_code == 1
    assert "refused user" in printed
    assert "Traceback" not in printed
    assert "rdkafka" not in printed
    assert WRONG not in printed
    assert AWKWARD not in printed


def test_a_user_whose_password_was_changed_gets_in_with_the_new_one_only(broker: SecuredBroker) -> None:
    before, after = (broker.with_settings(kafka_username="turning", kafka_password=WRONG + end) for end in "12")
    broker.add_user("turning", before.kafka_password.get_secret_value(), rules(broker.settings))
    assert topic_names(before)
    broker.add_user("turning", after.kafka_password.get_secret_value(), [])
    with pytest.raises(TaError, match="refused user 'turning'"):
        topic_names(before)
    assert topic_names(after)


def test_the_brokers_log_holds_no_password(broker: SecuredBroker) -> None:
    log = broker.log_file.read_text(encoding="utf-8")
    assert "Kafka Server started" in log
    for secret in (AWKWARD, WRONG, broker.access.broker_password.get_secret_value()):
        assert secret not in log
