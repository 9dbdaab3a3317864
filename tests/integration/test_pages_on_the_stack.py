"""The pages' commands on a local stack of their own, in the pages' order, by a shell as a person has it."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import LocalSettings, load_local_settings
from ta_pipeline.local.stack import Stack
from ta_pipeline.settings import Settings, load_settings
from tests.documented import Way
from tests.jobs import simulated
from tests.messages import write_recording
from tests.pages import HOW_TO, PAGES, QUICK_START, Done, commands_of, run_commands
from tests.proofs import Say
from tests.stack import DEFAULT_OFFSET, PORT_OFFSET

pytestmark = [pytest.mark.more, pytest.mark.timeout(1_800)]

SECRET = "known-to-this-test"  # noqa: S105 - of a stack that lives for minutes
DAY = "2018-01-02"
"""Of the recordings: the day of a command in docs/replay-validation.md."""


@dataclass(frozen=True)
class Expected:
    """What a command has to do here: its exit status, and what it has to say."""

    statuses: tuple[int, ...] = (0,)
    says: str = ""


EXPECTED: dict[str, Expected] = {
    # On a machine that does other things too, a latency may be bad; the question is answered.
    "ta health": Expected((0, 1), "kafka_reachable"),
    "ta rollout plan": Expected((0, 1)),
    "ta status": Expected((0,), "taskmanager"),
    "ta doctor --abort ID": Expected((1,), "ID"),
    "ta doctor --abort-hanging 'TOPIC[PARTITION]'": Expected((1,), "TOPIC[PARTITION]"),
    # The state is there, and the job runs: it says so, and does nothing.
    "ta recover": Expected((1,), "blocked"),
    "ta recover --from 2026-07-21T08:00:00Z": Expected((1,), "blocked"),
    "ta validate day_trades.jsonl.gz --job-set TA_VWAP_WINDOW_SECONDS=60": Expected((1,)),
    "ta job status": Expected((0,), "breaker"),
    "ta logs taskmanager -f": Expected((124,)),
    "python -m ta_pipeline.reader.examples.follow_signals --symbols NVDA --since 09:30": Expected((0, 124), "NVDA"),
    "python -m ta_pipeline.reader.examples.moving_position --symbols NVDA": Expected((0, 124)),
}
"""Every other command ends with 0."""


_WITHOUT_A_PERSON = {
    r"read -rs .* (\w+)": rf"export \1='{SECRET}'",
    # Goes on in the background, until the next one or the end.
    r"(ta feed.*)": r'[ -z "$FEED" ] || kill $FEED; \1 > feed.txt 2>&1 & FEED=$!; sleep 20',
    r"(ta job stop)": r"kill $FEED; FEED=; \1 > stopped.txt && cat stopped.txt",
    r"(ta prometheus)": r"\1 > prometheus.txt 2>&1 & PROMETHEUS=$!; sleep 60",
    # A time of today that has passed, whenever this runs.
    r"(python -m ta_pipeline\.reader\.examples\..* --since) 09:30": r"timeout 20 \1 00:00",
    r"(python -m ta_pipeline\.reader\.examples\..*|.* -f)": r"timeout 20 \1",
    r"(ta watch)": r"\1 --seconds 10",
    r"(.*) PATH": r"\1 $(tail -1 stopped.txt)",
}
"""What a person would type, wait for or end, by the command; the first pattern that fits."""


@dataclass
class Machine:
    """A folder with recordings, and ports and directories of a stack that nobody has started yet."""

    folder: Path
    local: LocalSettings
    instead: Mapping[str, str] = field(default_factory=dict)

    def run(self, commands: list[str]) -> list[Done]:
        """The commands in one shell, with what stands here for the pages' examples."""
        prepared = [self._prepared(command) for command in commands]
        done = run_commands(prepared, self.folder, self.local.variables(), timeout_seconds=1_500)
        return [Done(command, one.status, one.output) for command, one in zip(commands, done, strict=True)]

    def _prepared(self, command: str) -> str:
        for example, here in self.instead.items():
            command = command.replace(example, here)
        for pattern, prepared in _WITHOUT_A_PERSON.items():
            if found := re.fullmatch(pattern, command):
                return found.expand(prepared)
        return command


@pytest.fixture
def machine() -> Iterator[Machine]:
    # Not the ports of the test session's own stack, which may be there.
    offset = int(os.environ.get(PORT_OFFSET, DEFAULT_OFFSET)) + int(DEFAULT_OFFSET)
    folder = Path(tempfile.mkdtemp(prefix="ta-pages-"))
    local = load_local_settings(ready_timeout_seconds=300).shifted(offset, folder / "stack")
    start = datetime.fromisoformat(f"{DAY}T15:00:00+00:00").timestamp()
    messages = simulated(symbols=1, rate=30, seconds=150, seed=7, start=start)
    for kind, name in (("t", "trades"), ("q", "quotes")):
        chosen = [message for message in messages if message["T"] == kind]
        plain = write_recording(folder / f"{name}.jsonl", [{**message, "S": "XXX"} for message in chosen])
        for file in (f"day_{name}.jsonl.gz", f"xxx_20180102_{name}.jsonl.gz"):
            (folder / file).write_bytes(gzip.compress(plain.read_bytes()))
    try:
        yield Machine(folder, local)
    finally:
        Stack(local).down()
        shutil.rmtree(folder, ignore_errors=True)


def judge(found: list[Done], say: Say) -> None:
    """Every command did what its page says."""
    wrong = []
    for done in found:
        expected = EXPECTED.get(done.command, Expected())
        say(f"{done.status}  {done.command}")
        if done.status not in expected.statuses or expected.says not in done.output or "Traceback" in done.output:
            wrong.append(f"{done.command} ended with {done.status}:\n{done.output[-1_500:]}")
    assert not wrong, "\n\n".join(wrong)


# Jobs of Dagster are in a history of this test.
BEGIN = "export DAGSTER_HOME=$PWD/dagster FEED= PROMETHEUS=; mkdir -p $DAGSTER_HOME"
END = ("kill $FEED $PROMETHEUS", "ta down")


def on_the_stack(page: str) -> list[str]:
    """The commands of a page, and `run` as the runbooks make it for the local stack."""
    return [one.text for one in commands_of(page) if one.way is Way.STACK or "orchestration.run" in one.text]


def test_the_quick_start_does_what_it_says(machine: Machine, say: Say) -> None:
    judge(machine.run([BEGIN, *on_the_stack(QUICK_START), "ta down"]), say)


def test_the_other_pages_do_what_they_say(machine: Machine, say: Say) -> None:
    """On a stack that runs, under a market; what the quick start has shown is not shown again."""
    commands, shown = ["ta up", "ta job run"], set(on_the_stack(QUICK_START))
    for page in PAGES:
        commands += [text for text in on_the_stack(page) if text not in {*commands, *shown}]
    if shutil.which("prometheus") is None:
        say("left out, as there is no prometheus on PATH: ta prometheus, ta report")
        commands = [text for text in commands if not text.startswith(("ta prometheus", "ta report"))]
    now = datetime.now(UTC)
    machine.instead = {
        "2026-07-21T13:45:00Z": f"{now - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
        "2026-11-24": f"{datetime.now(ZoneInfo('America/New_York')):%Y-%m-%d}",
        "2026-01-02": f"{datetime.now(ZoneInfo('America/New_York')):%Y-%m-%d}",
        "https://prometheus.example": f"http://127.0.0.1:{machine.local.prometheus_port}",
        "| jq .message": "| head -1",
        "--day 2018-01-02": "--set TA_RECORDINGS_DIR=$PWD --day 2018-01-02",
    }
    judge(machine.run([BEGIN, *commands, *END]), say)


@contextmanager
def _theirs(component: str) -> Iterator[Settings]:
    """One component as somebody else has it, with a user and a password; where it is."""
    folder = Path(tempfile.mkdtemp(prefix="ta-theirs-"))
    ports = {name: free_port() for name in LocalSettings.model_fields if name.startswith(component) and "port" in name}
    local = load_local_settings(
        dir=folder, components=(component,), kafka_security="SASL_SSL" if component == "kafka" else "PLAINTEXT", **ports
    )
    given = load_settings(
        kafka_username="torghut-ta", kafka_password=SECRET, s3_access_key=SECRET, s3_secret_key=SECRET,
        schema_registry_username="ta", schema_registry_password=SECRET, clickhouse_password=SECRET,
    )  # fmt: skip
    stack = Stack(local, given)
    try:
        stack.up()
        yield load_settings(**{name.removeprefix("TA_").lower(): value for name, value in stack.environment().items()})
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


_EXAMPLES: dict[str, Callable[[Settings], dict[str, str]]] = {
    "kafka": lambda there: {"broker.example:9093": there.kafka_bootstrap, "ca.pem": there.kafka_ca_file},
    "s3": lambda there: {"https://minio.example:9000 TA_S3_SECURE=true": there.s3_endpoint},
    "registry": lambda there: {"https://karapace.example:8081": there.schema_registry_url},
    "clickhouse": lambda there: {
        "https://clickhouse.example:8443 TA_CLICKHOUSE_USERNAME=torghut": there.clickhouse_url
    },
}
"""What stands in the page, and what takes its place here: no TLS to those that the local stack has without."""


@pytest.mark.parametrize("component", HOW_TO)
def test_what_is_elsewhere_is_used_as_its_page_says(component: str, machine: Machine, say: Say) -> None:
    with _theirs(component) as there:
        machine.instead = _EXAMPLES[component](there)
        commands = [one.text for one in commands_of(f"docs/how-to/{component}.md")]
        judge(machine.run([*commands, "ta status", "ta down"]), say)
