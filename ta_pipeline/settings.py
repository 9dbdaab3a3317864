"""Every setting of the platform: one `TA_*` environment variable each.

Defaults run the local stack as it is. Times are milliseconds unless the name says otherwise. A bad value raises
`SettingsError`, which names the variable, the value and what is allowed; secrets are `SecretStr` and print as stars.
As a table: docs/reference/settings.md, generated from this file.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import quote, quote_plus

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ta_pipeline.errors import SettingsError
from ta_pipeline.urls import without_login

PREFIX = "TA_"
AROUND_THE_JOB = frozenset({
    "savepoint_interval_hours", "savepoints_kept", "revision_dir", "replay_dir", "recordings_dir", "schema_dir",
    "input_field_case", "s3_endpoint", "s3_path_style", "s3_secure", "s3_access_key", "s3_secret_key",
    "probe_url", "alert_webhook_url", "alert_reminder_minutes",
    "k8s_kubeconfig", "k8s_context", "k8s_overlay", "k8s_upgrade_mode",
})  # fmt: skip
"""Fields that only what is around the job reads, never the job: a change of them is no change of the job."""
PLACE_OF_THE_JOB = frozenset({"runtime", "flink_rest_url", "k8s_namespace", "image"})
"""Fields that the job does not read either, but that say where it runs: with another value, it runs elsewhere."""
TOPIC_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class Settings(BaseSettings):
    """All settings, checked as a whole. Build it with `load_settings`, which turns pydantic's errors into ours."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

    # Kafka
    kafka_bootstrap: str = Field("127.0.0.1:19092", description="Kafka bootstrap servers, host:port[,host:port]")
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="security protocol"
    )
    kafka_sasl_mech: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, used when the security protocol is SASL_*"
    )
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: str = Field("", description="PEM file of the broker's certificate authority")
    group_id: str = Field("flink-ta", min_length=1, description="consumer group of the job")
    startup_mode: Literal["latest", "earliest", "group-offsets"] = Field(
        "latest", description="where a job without restored state starts to read"
    )
    partition_discovery_ms: int = Field(60_000, ge=0, description="interval of partition discovery; 0 turns it off")
    trades_topic: str = Field("torghut.trades.v1", description="input: trades, cancels and corrections")
    quotes_topic: str = Field("torghut.quotes.v1", description="input: quotes")
    bars_1m_topic: str = Field("torghut.bars.1m.v1", description="input: upstream 1-minute bars")
    status_in_topic: str = Field("torghut.status.v1", description="input: trading status")
    clock_topic: str = Field("ta.clock.v1", description="input written by the platform: one tick a second")
    bars_topic: str = Field("ta.bars.1s.v1", description="output: final 1-second bars")
    signals_topic: str = Field("ta.signals.v1", description="output: final signals")
    live_topic: str = Field("ta.signals.live.v1", description="output: provisional signals")
    status_topic: str = Field("", description="output: heartbeat, usually ta.status.v1; empty turns it off")
    rejects_topic: str = Field("ta.rejects.v1", description="output: records that could not be used")
    late_topic: str = Field("ta.late.v1", description="output: records that came too late to be used")

    # delivery
    delivery_guarantee: Literal["exactly-once", "at-least-once"] = Field(
        "exactly-once", description="guarantee of the final topics"
    )
    transaction_timeout_ms: int = Field(
        900_000, ge=1_000, description="Kafka transaction timeout; above checkpoint timeout + restart budget"
    )
    transactional_id_prefix: str = Field("ta", min_length=1, description="unique for each deployment on one Kafka")

    # checkpoints
    checkpoint_interval_ms: int = Field(10_000, ge=100, description="time between checkpoints")
    checkpoint_timeout_ms: int = Field(60_000, ge=1_000, description="a checkpoint older than this is given up")
    checkpoint_dir: str = Field(
        "s3a://flink-checkpoints/torghut/technical-analysis/checkpoints", description="URI of the checkpoints"
    )
    savepoint_dir: str = Field(
        "s3a://flink-checkpoints/torghut/technical-analysis/savepoints", description="URI of the savepoints"
    )
    savepoint_interval_hours: int = Field(6, ge=1, le=168, description="a scheduled savepoint is due at this age")
    savepoints_kept: int = Field(
        12, ge=1, description="newest savepoints that retention leaves, beside the needed ones"
    )
    revision_dir: str = Field(
        "s3a://flink-checkpoints/torghut/technical-analysis/revisions", description="URI of the record of rollouts"
    )
    replay_dir: str = Field(
        "s3a://flink-checkpoints/torghut/technical-analysis/replays", description="URI of the verdicts of replays"
    )
    restart_strategy: Literal["exponential-delay", "fixed-delay"] = Field(
        "exponential-delay",
        description="exponential-delay: 1 s to TA_RESTART_MAX_DELAY_MS, reset after a quiet minute; fixed: 5 x 5 s",
    )
    restart_max_delay_ms: int = Field(
        5_000, ge=1_000, description="longest wait before a restart, with exponential-delay"
    )
    restart_budget_ms: int = Field(
        120_000, ge=0, description="longest restart the transaction timeout has to outlive, beside the checkpoint"
    )
    tolerable_failed_checkpoints: int = Field(3, ge=0, description="failed checkpoints in a row before the job fails")

    # compute
    max_out_of_orderness_ms: int = Field(2_000, ge=0, description="watermark = event time - this")
    live_slice_ms: int = Field(100, ge=10, le=1_000, description="length of a live slice in processing time")
    bar_rules: Literal["alpaca", "all"] = Field("alpaca", description="all: every trade counts (venues w/o conditions)")
    session: Literal["extended", "regular", "utc_day"] = Field("extended", description="when session VWAP resets")
    vwap_window_seconds: int = Field(300, ge=1, le=86_400, description="length of the rolling VWAP")
    realized_vol_window_seconds: int = Field(60, ge=2, le=86_400, description="length of the realized volatility")
    quote_stale_after_ms: int = Field(2_000, ge=0, description="older quotes give no spread and no imbalance")
    revision_horizon_ms: int = Field(60_000, ge=0, description="a final bar is revised up to this far behind")
    bar_close_timeout_ms: int = Field(5_000, ge=1_000, description="longest wall-clock wait of a quiet bar (live)")
    max_future_ms: int = Field(60_000, ge=0, description="event times further ahead of the wall clock are rejected")
    dedup: bool = Field(True, description="drop trades whose (symbol, date, exchange, id) was seen")
    dedup_ttl_ms: int = Field(900_000, ge=1_000, description="how long a trade's identity is remembered")
    on_bad_record: Literal["reject", "fail"] = Field("reject", description="fail: one bad record stops the job")
    max_record_bytes: int = Field(
        65_536, ge=1_024, le=131_072,
        description="longer input records are rejected, and of every rejected record so much is kept",
    )  # fmt: skip
    max_symbols: int = Field(
        50_000, ge=1, description="symbols of one topic that one subtask knows; records of further ones are rejected"
    )
    symbols: str = Field("", description="comma-separated; empty: all")
    parallelism: int = Field(1, ge=1, le=128, description="parallelism of the job")
    max_parallelism: int = Field(128, ge=1, le=32_768, description="key groups; fixed for the life of the state")
    state_ttl_days: int = Field(7, ge=1, description="state of a symbol quiet for this long is dropped")
    input_format: Literal["json", "avro-confluent"] = Field("json", description="format of the four input topics")
    input_field_case: Literal["snake", "camel"] = Field("snake", description="ingest_ts or ingestTs")
    output_format: Literal["json", "avro-confluent"] = Field("json", description="format of the output topics")

    # replay
    recordings_dir: str = Field(
        "", description="folder of recordings, <symbol>_<yyyymmdd>_{trades,quotes}.jsonl.gz; empty: none"
    )

    # S3
    s3_endpoint: str = Field("http://127.0.0.1:19000", description="S3 endpoint URL")
    s3_path_style: bool = Field(True, description="bucket in the path instead of the host name")
    s3_secure: bool = Field(False, description="TLS to S3")
    s3_access_key: SecretStr = Field(SecretStr("local-access"), description="S3 access key")
    s3_secret_key: SecretStr = Field(SecretStr("local-secret"), description="S3 secret key")

    # schema registry
    schema_registry_url: str = Field(
        "http://127.0.0.1:18081/apis/ccompat/v7", description="Confluent-API registry (Karapace, Apicurio, Confluent)"
    )
    schema_registry_username: str = Field("", description="registry user")
    schema_registry_password: SecretStr = Field(SecretStr(""), description="registry password")

    schema_dir: str = Field("", description="folder of Avro schemas; empty: the repository's schema/avro")

    # ClickHouse
    clickhouse_url: str = Field("", description="http://host:8123; empty turns the table path off")
    clickhouse_username: str = Field("default", description="ClickHouse user")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="ClickHouse password")
    clickhouse_batch_size: int = Field(500, ge=1, description="rows in one insert")
    clickhouse_flush_ms: int = Field(1_000, ge=1, description="longest wait of a row for its batch")
    clickhouse_max_retries: int = Field(3, ge=0, description="retries of one insert, before the breaker opens")
    clickhouse_breaker_wait_seconds: int = Field(
        30, ge=1, description="longest wait between two attempts while the breaker is open; it begins with 1 s"
    )
    # Flink ends a TaskManager with a task that does not end within 180 s of its cancellation.
    clickhouse_conn_timeout_seconds: int = Field(
        30, ge=1, le=60, description="longest wait for a connection, and for an answer; 1 to 60"
    )

    # runtime
    runtime: Literal["local", "kubernetes"] = Field("local", description="where the job runs")
    flink_rest_url: str = Field(
        "http://127.0.0.1:18080",
        description="Flink REST API; on Kubernetes http://<FlinkDeployment>-rest.<namespace>.svc:8081",
    )
    k8s_namespace: str = Field("torghut", description="Kubernetes namespace")
    k8s_deployment: str = Field("torghut-ta", description="name of the FlinkDeployment")
    k8s_overlay: str = Field("prod", description="overlay of k8s/ that the FlinkDeployment is taken from")
    k8s_upgrade_mode: Literal["savepoint", "last-state"] = Field(
        "savepoint", description="how the operator takes the state along when somebody else changes the FlinkDeployment"
    )
    k8s_kubeconfig: str = Field(
        "", description="kubeconfig file; empty: $KUBECONFIG or ~/.kube/config, and in a pod its ServiceAccount"
    )
    k8s_context: str = Field("", description="context in the kubeconfig; empty: its current one")
    image: str = Field("", description="image of the job (kubernetes), with a tag or digest of its own: never latest")

    # monitoring
    probe_url: str = Field("http://127.0.0.1:19251", description="the probe that runs all the time")
    alert_webhook_url: SecretStr = Field(SecretStr(""), description="alerts are posted here as JSON; empty: log only")
    alert_reminder_minutes: int = Field(30, ge=1, description="an incident that is still open is told again after this")

    @field_validator(
        "trades_topic", "quotes_topic", "bars_1m_topic", "status_in_topic", "clock_topic",
        "bars_topic", "signals_topic", "live_topic", "rejects_topic", "late_topic", "status_topic",
    )  # fmt: skip
    @classmethod
    def _topic_name(cls, value: str, info: Any) -> str:
        if value == "" and info.field_name == "status_topic":
            return value
        if not TOPIC_NAME.fullmatch(value) or value in {".", ".."}:
            raise ValueError("a topic name has 1 to 249 of the characters a-z A-Z 0-9 . _ -")
        return value

    @field_validator("s3_endpoint", "schema_registry_url", "clickhouse_url", "flink_rest_url", "probe_url")
    @classmethod
    def _has_no_login(cls, value: str) -> str:
        # What a URL says is logged, recorded with a revision, and shown in errors.
        if "@" in value:
            raise ValueError(
                "a URL has no user and password in it: they are settings of their own, where there are any"
            )
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        floor = self.checkpoint_timeout_ms + self.restart_budget_ms
        if self.transaction_timeout_ms <= floor:
            raise ValueError(
                f"TA_TRANSACTION_TIMEOUT_MS is {self.transaction_timeout_ms}, but must be above "
                f"TA_CHECKPOINT_TIMEOUT_MS + TA_RESTART_BUDGET_MS = {floor}: a transaction that times out before "
                "its checkpoint commits loses records; raise it (the broker's maximum is 900000 by default)"
            )
        if self.kafka_security.startswith("SASL") and not (
            self.kafka_username and self.kafka_password.get_secret_value()
        ):
            raise ValueError(
                f"TA_KAFKA_SECURITY is {self.kafka_security}, so TA_KAFKA_USERNAME and TA_KAFKA_PASSWORD have to be set"
            )
        if self.bar_close_timeout_ms <= self.max_out_of_orderness_ms:
            raise ValueError(
                f"TA_BAR_CLOSE_TIMEOUT_MS is {self.bar_close_timeout_ms}, but must be above "
                f"TA_MAX_OUT_OF_ORDERNESS_MS = {self.max_out_of_orderness_ms}"
            )
        if self.parallelism > self.max_parallelism:
            raise ValueError(f"TA_PARALLELISM is {self.parallelism}, but TA_MAX_PARALLELISM is {self.max_parallelism}")
        return self

    @property
    def symbol_list(self) -> tuple[str, ...]:
        """The symbols to keep; empty means all."""
        return tuple(s.strip() for s in self.symbols.split(",") if s.strip())

    @property
    def idle_timeout_ms(self) -> int:
        """Wall-clock silence after which a source no longer holds the watermark back (live mode)."""
        return self.bar_close_timeout_ms - self.max_out_of_orderness_ms

    @property
    def input_topics(self) -> tuple[str, str, str, str]:
        """Trades, quotes, 1-minute bars, status."""
        return (self.trades_topic, self.quotes_topic, self.bars_1m_topic, self.status_in_topic)

    @property
    def final_topics(self) -> tuple[str, ...]:
        """The topics whose sinks are exactly-once."""
        return (self.bars_topic, self.signals_topic, self.late_topic, self.rejects_topic)

    @property
    def output_topics(self) -> tuple[str, ...]:
        """Every topic the job writes; the heartbeat only when it is on."""
        topics = [self.bars_topic, self.signals_topic, self.live_topic, self.rejects_topic, self.late_topic]
        return (*topics, self.status_topic) if self.status_topic else tuple(topics)

    def public(self) -> dict[str, str]:
        """The job's settings that are no secrets, as `TA_*`: what a revision records and a running job tells."""
        values = {name: getattr(self, name) for name in type(self).model_fields if name not in AROUND_THE_JOB}
        return {variable_of(name): text_of(value) for name, value in values.items() if not isinstance(value, SecretStr)}

    def without_secrets(self, text: str) -> str:
        """`text` with the value of every secret setting replaced, however it is quoted: for what other programs print.

        A registry's password is shown by the client together with its user in Base64, so that is replaced too.
        """
        values = [getattr(self, name) for name in type(self).model_fields]
        secrets = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        login = f"{self.schema_registry_username}:{self.schema_registry_password.get_secret_value()}"
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        if self.schema_registry_password.get_secret_value():
            forms.add(b64encode(login.encode()).decode())
        # The longest first: a secret may be a part of another one's form.
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "**********")
        return text


def _forms(secret: str) -> set[str]:
    """A secret as it is, and as SQL, JSON, Java's login configuration and a URL have it."""
    escaped = secret.replace("\\", "\\\\").replace('"', '\\"')
    plain = {secret, escaped, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), quote_plus(secret)}
    return plain | {form.replace("'", "''") for form in (secret, escaped)}


def variable_of(name: str) -> str:
    """The `TA_*` variable of a field."""
    return PREFIX + name.upper()


def differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """The `TA_*` variables of the job that are not the same in both, sorted; pure.

    Those around the job do not count, though older code told or recorded them.
    """
    around = map(variable_of, AROUND_THE_JOB)
    return [name for name in sorted({*before, *after}.difference(around)) if before.get(name) != after.get(name)]


def text_of(value: object) -> str:
    """The value of a setting as its variable has it; a secret in the clear."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; `overrides` (field names, no prefix) win.

    Raises:
        SettingsError: a value is not allowed, or an override names no setting.
    """
    unknown = sorted(set(overrides) - set(Settings.model_fields))
    if unknown:
        raise SettingsError(f"no such setting: {', '.join(map(variable_of, unknown))}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problem = _describe(error)
    # Outside of the handler: pydantic's error holds the raw values, secrets too, and must not be this one's context.
    raise SettingsError(problem)


def parse_overrides(pairs: list[str]) -> dict[str, str]:
    """Turn `["TA_SESSION=regular"]` into `{"session": "regular"}`.

    Raises:
        SettingsError: a pair has no `=`, or its name is not `TA_*`.
    """
    overrides: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.startswith(PREFIX):
            # What stands behind it may be a secret.
            raise SettingsError(f"--set takes TA_NAME=VALUE, got {name + equals + ('...' if value else '')!r}")
        overrides[name.removeprefix(PREFIX).lower()] = value
    return overrides


def _describe(error: ValidationError) -> str:
    lines = []
    for item in error.errors():
        message = item["msg"].removeprefix("Value error, ")
        if not item["loc"]:
            lines.append(message)
            continue
        name = str(item["loc"][0])
        field = Settings.model_fields[name]
        shown = "**********" if field.annotation is SecretStr else _shown(item["input"])
        lines.append(f"{variable_of(name)}={shown} is not allowed: {message}. It is: {field.description}.")
    return "\n".join(lines)


def _shown(value: object) -> str:
    """A value that is not allowed, without a login that somebody has put into a URL."""
    return repr(without_login(value, "**********@") if isinstance(value, str) else value)
