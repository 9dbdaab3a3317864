"""Why Kafka does not let us in, as a person needs it: what was refused, and which setting to look at.

librdkafka tries to log in for ever: a wrong password only goes to a callback, and whoever waits hears that nothing
answers. So questions are put through `ask`, which ends as soon as the broker has refused. Why a certificate was refused
it does not tell: another handshake does (`tls_problem`).
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from ta_pipeline.errors import KafkaSetupError
from ta_pipeline.kafka_config import ConfigValue, client_config
from ta_pipeline.settings import Settings

FIRST_SECONDS = 1.0
_HANDSHAKE_SECONDS = 3.0
# Longer than librdkafka waits between two attempts to log in (10 s at most).
_FRESH_SECONDS = 15.0
_REFUSED = {KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED}
_UNAUTHORIZED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the consumer group (TA_GROUP_ID)",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the transactional id (TA_TRANSACTIONAL_ID_PREFIX)",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the cluster",
}
_SLOW = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}
# What brokers answer for a moment: while a group gets a coordinator, or a partition (of a new topic, too) a leader.
_LATER = {
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR,
    KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION,
}  # fmt: skip
_PAUSE_SECONDS = 0.2
# What librdkafka says when the other side hangs up on a protocol that it does not speak.
_WRONG_PROTOCOL = "security.protocol"

Answer = TypeVar("Answer")
Client = AdminClient | Consumer | Producer


class Refusals:
    """What a client was told while it tried to connect: the `error_cb` of its configuration."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: KafkaError | None = None
        self._told_at = 0.0

    def __call__(self, error: KafkaError) -> None:
        """Take in what the client reports; a refusal outweighs whatever else it says."""
        if error.code() in _REFUSED or _WRONG_PROTOCOL in error.str():
            self._told, self._told_at = error, time.monotonic()

    @property
    def last(self) -> KafkaError | None:
        """The refusal of the last seconds, after which trying again makes no difference; None: there was none."""
        return self._told if time.monotonic() - self._told_at < _FRESH_SECONDS else None

    def explain(self, error: KafkaError) -> str:
        """Why a question failed with `error`, and what to do.

        Args:
            error: of the question; where it says only that nothing answered, what the client was told counts.
        """
        settings = self._settings
        refusal = self.last
        told = refusal or error
        where = f"{settings.kafka_bootstrap} (TA_KAFKA_BOOTSTRAP, {settings.kafka_security})"
        if told.code() == KafkaError._SSL:
            reason = tls_problem(settings) or told.str()
            ca = settings.kafka_ca_file or "not set: the system's authorities"
            text = f"Kafka at {where} was not trusted: {reason}; look at TA_KAFKA_CA_FILE ({ca})"
        elif told.code() in _REFUSED:
            text = (
                f"Kafka at {where} refused user {settings.kafka_username!r}: {told.str()}; look at TA_KAFKA_USERNAME, "
                f"TA_KAFKA_PASSWORD and TA_KAFKA_SASL_MECH ({settings.kafka_sasl_mech})"
            )
        elif refusal is not None:
            text = f"Kafka at {where} hung up: {told.str()}; look at TA_KAFKA_SECURITY"
        elif told.code() in _UNAUTHORIZED:
            text = f"Kafka at {where} does not allow it: {told.str()}{advice(settings, told)}"
        elif "SSL" not in settings.kafka_security and speaks_tls(settings):
            text = f"Kafka at {where} speaks TLS; look at TA_KAFKA_SECURITY"
        else:
            text = f"Kafka cannot be reached at {where}: {told}; is it up (`ta status`)?"
        return settings.without_secrets(text)


def client_with(settings: Settings, kind: Callable[[Any], Client], **extra: ConfigValue) -> tuple[Any, Refusals]:
    """A client of this kind, and what it is told; librdkafka itself prints nothing.

    Raises:
        SettingsError: `TA_KAFKA_CA_FILE` cannot be read.
    """
    refusals = Refusals(settings)
    return kind({**client_config(settings, **{"log_level": 0, **extra}), "error_cb": refusals}), refusals


def ask(client: Client, refusals: Refusals, question: Callable[[float], Answer], timeout_seconds: float) -> Answer:
    """The answer to a question that takes a time limit in seconds.

    It is repeated, each time with more patience, so that a refusal is known soon and a slow broker is waited for.

    Raises:
        KafkaSetupError: the broker refused, or did not answer in time.
    """
    deadline, patience = time.monotonic() + timeout_seconds, FIRST_SECONDS
    while True:
        left = deadline - time.monotonic()
        try:
            return question(max(0.001, min(left, patience)))
        except KafkaException as error:
            told = _told(client) or error.args[0]
            code = told.code()
            if refusals.last is None and code in _SLOW and left > patience:
                patience *= 2
                continue
            if refusals.last is None and code in _LATER and left > _PAUSE_SECONDS:
                time.sleep(_PAUSE_SECONDS)
                continue
            reason = refusals.explain(told)
        raise KafkaSetupError(reason)


def _told(client: Client) -> KafkaError | None:
    """Serve the client's callbacks; a consumer is told on its own queue that it may not use its group."""
    found = client.poll(0)
    error: KafkaError | None = found.error() if isinstance(found, Message) else None
    return error if error is not None and error.code() in _UNAUTHORIZED else None


def require_visible(settings: Settings, topics: Iterable[str], timeout_seconds: float) -> None:
    """Refuse topics that are only seemingly missing: whoever may not see a topic is not told that it exists.

    Raises:
        KafkaSetupError: names the topics that the user may not see.
    """
    wanted = sorted(set(topics))
    if not wanted or settings.kafka_security == "PLAINTEXT":
        return
    admin, refusals = client_with(settings, AdminClient)
    hidden = []
    for name, future in admin.describe_topics(TopicCollection(wanted), request_timeout=timeout_seconds).items():
        try:
            future.result(timeout=2 * timeout_seconds)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                hidden.append((name, error.args[0]))
        except TimeoutError:
            continue
    if hidden:
        names, told = ", ".join(name for name, _ in hidden), hidden[0][1]
        raise KafkaSetupError(f"topic {names}: {refusals.explain(told)}")


def advice(settings: Settings, error: KafkaError) -> str:
    """What to do about an error that a missing access rule causes; empty for others."""
    if (what := _UNAUTHORIZED.get(error.code())) is None:
        return ""
    user = f"user {settings.kafka_username!r}" if settings.kafka_username else "whoever is not logged in"
    return f"; {user} (TA_KAFKA_USERNAME) lacks an access rule for {what}: docs/security.md lists them"


def tls_problem(settings: Settings) -> str | None:
    """What is wrong with the broker's certificate, by a handshake of our own; None: nothing, or nothing answers."""
    for server in settings.kafka_bootstrap.split(","):
        try:
            _shake_hands(server, ssl.create_default_context(cafile=settings.kafka_ca_file or None))
        except ssl.SSLCertVerificationError as error:
            return f"{server}: {error.verify_message}"
        except ssl.SSLError as error:
            return f"{server} does not speak TLS: {error.reason}"
        except (OSError, ValueError):
            continue
    return None


def speaks_tls(settings: Settings) -> bool:
    """Whether a server of `TA_KAFKA_BOOTSTRAP` answers a TLS handshake, whoever it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for server in settings.kafka_bootstrap.split(","):
        with contextlib.suppress(OSError, ValueError):
            _shake_hands(server, context)
            return True
    return False


def _shake_hands(server: str, context: ssl.SSLContext) -> None:
    host, _, port = server.strip().rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_HANDSHAKE_SECONDS) as plain:
        context.wrap_socket(plain, server_hostname=host.strip("[]")).close()
