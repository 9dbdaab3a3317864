"""The whole platform with every secret it knows: it works over TLS, it listens on loopback, and nothing tells a secret.

Everything is done by the commands a user has, on a stack of the test's own; then all that was written is searched for
the secrets that were used. Minutes, so it is one of `make test-faults`.
"""

from __future__ import annotations

import json
import secrets
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

from ta_pipeline.cli_ui import dagster_environment, dagster_home
from ta_pipeline.clickhouse import client_of
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.s3 import list_objects, read_object, s3_client
from ta_pipeline.settings import Settings, load_settings
from tests.leaks import Secret, files_of, found_in, holders, in_command_lines
from tests.proofs import Say
from tests.sockets import Seen, watched
from tests.stack import settings_of, wait_for

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

PRIVATE = (
    "run/supervisord.conf", "kafka/server.properties", "kafka/passwords.json", "s3/s3proxy.conf",
    "clickhouse/front.json",
)  # fmt: skip
"""Files that have to hold secrets: configuration, readable by their owner only."""
PRIVATE_FOLDER = "flink/tmp"
"""Flink puts large parts of a job's graph in there; nobody else may enter."""
TA = ("-c", "from ta_pipeline.cli import main; main()")
DAGSTER = ("-m", "orchestration.run")
# Characters that shells, SQL, Java, URLs and supervisord give a meaning to.
_AWKWARD = "p'a%s$h {x}, \\="


def _secret(name: str, user: str = "", characters: str = _AWKWARD) -> Secret:
    return Secret(name, characters + secrets.token_hex(12), user)


@dataclass
class Secured:
    """The stack, everything that was said, and the secrets."""

    local: LocalSettings
    environment: Mapping[str, str]
    secrets: list[Secret]
    said: Path
    settings: Settings
    stack: Stack
    seen: Seen = field(default_factory=Seen)

    def run(self, *command: str, status: int | None = 0, **changed: str) -> str:
        """A command; what it prints is kept, and searched later."""
        path = self._file(command)
        before = path.stat().st_size if path.exists() else 0
        with self.started(*command, **changed) as process:
            code = process.wait(300)
        printed = path.read_bytes()[before:].decode(errors="replace")
        assert status is None or code == status, f"{command} ended with {code}:\n{printed[-3_000:]}"
        return printed

    @contextmanager
    def started(self, *command: str, **changed: str) -> Iterator[subprocess.Popen[bytes]]:
        """The same without waiting; ended with the block."""
        environment = {**dagster_environment(dagster_home(self.local)), **self.environment, **changed}
        with self._file(command).open("ab") as file:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=REPOSITORY, env=environment, stdout=file, stderr=file,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)

    def ta(self, *arguments: str, status: int | None = 0, **changed: str) -> str:
        """A `ta` command."""
        return self.run(*TA, *arguments, status=status, **changed)

    def processes(self) -> list[psutil.Process]:
        """Of the stack, and of the commands."""
        marked = []
        for process in psutil.process_iter():
            try:
                if str(self.local.dir) in process.environ().values():
                    marked.append(process)
            except psutil.Error:
                continue
        return [*marked, *psutil.Process().children(recursive=True)]

    def _file(self, command: tuple[str, ...]) -> Path:
        return self.said / ("_".join(command[2:]).replace("/", "-")[:100] + ".txt")


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    root = Path(tempfile.mkdtemp(prefix="ta-"))
    used = [
        _secret("kafka", "ta-user"), _secret("clickhouse", "default"), _secret("registry", "ta-registry"),
        _secret("s3 secret key", characters=""), _secret("s3 access key", characters=""),
        _secret("webhook", characters=""),
    ]  # fmt: skip
    kafka, clickhouse, registry, s3_secret, s3_access, webhook = (one.value for one in used)
    names = [name for name in LocalSettings.model_fields if name.endswith("_port")]
    ports = {name: free_port() for name in names}
    local = load_local_settings(dir=root / "stack", kafka_security="SASL_SSL", kafka_heap_mb=384, **ports)
    given = {
        "TA_KAFKA_USERNAME": "ta-user", "TA_KAFKA_PASSWORD": kafka, "TA_CLICKHOUSE_PASSWORD": clickhouse,
        "TA_SCHEMA_REGISTRY_USERNAME": "ta-registry", "TA_SCHEMA_REGISTRY_PASSWORD": registry,
        "TA_S3_ACCESS_KEY": s3_access, "TA_S3_SECRET_KEY": s3_secret,
        "TA_ALERT_WEBHOOK_URL": f"http://127.0.0.1:9/{webhook}",
        "TA_INPUT_FORMAT": "avro-confluent", "TA_OUTPUT_FORMAT": "avro-confluent",
        "TA_CHECKPOINT_INTERVAL_MS": "2000", "TA_STARTUP_MODE": "earliest",
    }  # fmt: skip
    said = root / "said"
    said.mkdir(parents=True)
    fields = {name.removeprefix("TA_").lower(): value for name, value in given.items()}
    stack = Stack(local, load_settings(**fields))
    environment = {**local.variables(), **given}
    made = Secured(local, environment, used, said, load_settings(**fields), stack)
    try:
        with watched(made.processes, every_seconds=1.0) as made.seen:
            made.ta("up")
            made.stack = Stack(local, load_settings(**fields))
            made.settings = load_settings(**{**fields, **_fields(made.stack)})
            broker_password = made.stack.kafka_access.broker_password.get_secret_value()
            used.append(Secret("broker", broker_password, "broker"))
            yield made
    finally:
        made.ta("down", status=None)
        shutil.rmtree(root, ignore_errors=True)


def _fields(stack: Stack) -> dict[str, str]:
    return {name.removeprefix("TA_").lower(): value for name, value in stack.environment().items()}


def rows(settings: Settings, table: str) -> int:
    with closing(client_of(settings)) as client:
        return int(client.query(f"SELECT count() FROM torghut.{table}").result_rows[0][0])  # noqa: S608


def test_the_whole_platform_runs_over_tls_with_a_user_and_rules(secured: Secured, say: Say) -> None:
    begin = time.monotonic()
    assert settings_of(secured.stack).kafka_security == "SASL_SSL"
    with secured.started(*TA, "feed", "--fakepaca", "--seconds", "0", "--rate", "100"):
        printed = secured.run(*DAGSTER, "bootstrap")
        assert "FAILED" not in printed
        say(f"secured: up and rolled out after {time.monotonic() - begin:.0f} s")
        assert "RUNNING" in secured.ta("job", "status")
        secured.ta("probe", "--seconds", "15")
        wait_for("the table job has filled ClickHouse", lambda: rows(secured.settings, "ta_signals") > 0, 60)
        # Verdicts about latency are not what this is about, on a machine that is busy.
        health = json.loads(secured.ta("health", "--json", status=None))
        reachable = {one["name"]: one["state"] for one in health if one["name"].endswith("_reachable")}
        assert reachable == dict.fromkeys(
            ("flink_reachable", "kafka_reachable", "s3_reachable", "clickhouse_reachable", "probe_reachable"), "ok"
        )
        secured.ta("savepoint", "take")
        secured.ta("rollout", "plan", status=None)
        upgrade = secured.run(
            *DAGSTER, "upgrade", "--config", '{"flink_deployment": {"shadow_restore": true}}',
            TA_LIVE_SLICE_MS="200",
        )  # fmt: skip
        assert "FAILED" not in upgrade
    say(f"secured: the whole run took {time.monotonic() - begin:.0f} s")


def test_what_is_refused_is_told_without_a_secret(secured: Secured) -> None:
    wrong = secrets.token_hex(12)
    secured.secrets.append(Secret("wrong password", wrong))
    assert "refused user 'ta-user'" in secured.ta("probe", "--seconds", "1", status=1, TA_KAFKA_PASSWORD=wrong)
    assert "TA_S3_SECRET_KEY" in secured.ta("savepoint", "take", status=1, TA_S3_SECRET_KEY=wrong)
    assert "TA_CLICKHOUSE_PASSWORD" in secured.ta("job", "run", status=1, TA_CLICKHOUSE_PASSWORD=wrong)
    feed = secured.ta("feed", "--fakepaca", "--seconds", "1", status=1, TA_SCHEMA_REGISTRY_PASSWORD=wrong)
    assert "TA_SCHEMA_REGISTRY_PASSWORD" in feed
    for variable in ("TA_KAFKA_PASSWORD", "TA_S3_SECRET_KEY", "TA_CLICKHOUSE_PASSWORD"):
        secured.ta("health", status=1, **{variable: wrong})
    both = f"'{wrong}\""
    assert "TA_KAFKA_PASSWORD" in secured.ta("up", status=1, TA_KAFKA_PASSWORD=both)
    secured.ta("job", "stop")
    assert "TA_S3_SECRET_KEY" in secured.ta("job", "run", status=1, TA_S3_SECRET_KEY=wrong)
    job = secured.ta("job", "run", status=1, TA_SCHEMA_REGISTRY_PASSWORD=wrong)
    assert "TA_SCHEMA_REGISTRY_PASSWORD" in job
    refused = secured.run(*DAGSTER, "declare", status=1, TA_KAFKA_PASSWORD=wrong)
    assert "refused user 'ta-user'" in refused


def test_dagsters_interface_listens_on_loopback_only_as_everything_else_does(secured: Secured) -> None:
    with secured.started(*TA, "ui"):
        wait_for("Dagster answers", lambda: _answers(f"http://127.0.0.1:{secured.local.ui_port}/server_info"), 120)
        time.sleep(5)  # its daemon and code servers too
    found = secured.seen.listeners
    assert {one.port for one in found} >= set(secured.local.ports().values())
    assert not {one for one in found if not one.is_loopback}


def test_no_secret_is_in_anything_that_was_written(secured: Secured, say: Say) -> None:
    used = secured.secrets
    folders = [secured.local.dir, secured.said]
    closed = secured.local.dir / PRIVATE_FOLDER
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    holding = {
        str(path.relative_to(secured.local.dir.parent)): names
        for path, names in holders(folders, used).items()
        if not path.is_relative_to(closed)
    }
    private = {f"{secured.local.dir.name}/{name}" for name in PRIVATE}
    assert {path: names for path, names in holding.items() if path not in private} == {}
    # In these they have to be: the search sees what it is to see. The others go from environment to environment.
    assert set(holding) == private
    nowhere = {"kafka", "registry", "wrong password", "webhook"}
    assert set.union(*holding.values()) == {one.name for one in used} - nowhere
    for path in holding:
        mode = stat.S_IMODE((secured.local.dir.parent / path).stat().st_mode)
        assert mode == 0o600, f"{path} is {mode:o}"
    say(f"searched {sum(1 for _ in files_of(folders))} files for {len(used)} secrets")

    assert in_command_lines(secured.processes(), used) == {}
    assert {path: found for path, text in answers(secured).items() if (found := found_in(text.encode(), used))} == {}
    assert stored(secured, used) == {}


def answers(secured: Secured) -> dict[str, str]:
    """What Flink, the probe and the registry tell whoever asks."""
    url = secured.settings.flink_rest_url
    jobs = [job.id for job in FlinkRest(url).jobs()]
    assert jobs
    paths = [
        "/config", "/jobmanager/config", "/jobmanager/environment", "/jobmanager/logs", "/jobs/overview",
        *(f"/jobs/{job}{what}" for job in jobs for what in ("", "/config", "/plan", "/exceptions", "/checkpoints")),
    ]  # fmt: skip
    asked = [url + path for path in paths] + [f"{secured.settings.probe_url}/{one}" for one in ("report", "metrics")]
    found = {}
    for one in asked:
        answer = requests.get(one, timeout=20)
        assert answer.ok, f"{one}: {answer.status_code}"
        found[one] = answer.text
    return found


def stored(secured: Secured, used: list[Secret]) -> dict[str, set[str]]:
    """Objects in S3 that hold a secret; there have to be revisions, journals, savepoints."""
    client = s3_client(secured.settings)
    found: dict[str, set[str]] = {}
    for uri in (secured.settings.revision_dir, secured.settings.savepoint_dir, secured.settings.checkpoint_dir):
        bucket = uri.split("/")[2]
        objects = list_objects(client, uri)
        assert objects, uri
        for one in objects:
            if names := found_in(read_object(client, f"s3a://{bucket}/{one.key}"), used):
                found[one.key] = names
    return found


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False
