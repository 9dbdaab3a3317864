"""The demonstration: everything once, through Dagster, for someone who has never seen it; and what it proved.

`Demo` has one method for each act. What was proved is asked afterwards of what remains: the record of revisions, the
verdict of the replay, what a reader of the topics counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.table import Table

from ta_pipeline.cli_ui import dagster_environment, dagster_home
from ta_pipeline.errors import FlinkError
from ta_pipeline.feed import FeedReport, Outgoing, recorded, send, simulated
from ta_pipeline.local.settings import REPOSITORY, LocalSettings
from ta_pipeline.probe import probe
from ta_pipeline.probe_report import ProbeReport
from ta_pipeline.recordings import read, seconds_of
from ta_pipeline.replay.inputs import ALL, day_of
from ta_pipeline.replay.record import RecordedVerdict, newest_verdict, record_verdict
from ta_pipeline.revisions import Revision, RevisionStore
from ta_pipeline.rollout.flow import Flow
from ta_pipeline.schema_registry import DIRECTORY, newest_schema, plan_schemas
from ta_pipeline.sessions import NEW_YORK, Sessions
from ta_pipeline.settings import Settings
from ta_pipeline.simulator import Market
from ta_pipeline.watch import watch

SETTLE_SECONDS = 5
EVOLVED_SCHEMA = "TaBar1s"
LIVE_SLICES_MS = (50, 100)
"""What the upgrade changes: live updates twice as often; the other way round where they are already."""
_LONGEST_SECONDS = 3_600.0


@dataclass(frozen=True)
class SchemaChange:
    """What the registry said of the evolved subject before and after."""

    subject: str
    field: str
    before: int | None
    """The newest version."""
    after: int | None

    @property
    def is_new(self) -> bool:
        """A further version was registered."""
        return self.after is not None and self.after > (self.before or 0)


@dataclass
class Proof:
    """What was seen; filled act by act. None: not seen."""

    began: float
    """When the demonstration was asked for, epoch seconds."""
    first_final_seconds: float | None = None
    """From the beginning until the first final signal was committed."""
    sent: FeedReport | None = None
    seen: ProbeReport | None = None
    schema_change: SchemaChange | None = None
    upgrade: Revision | None = None
    replay: RecordedVerdict | None = None


class Demo:
    """The acts, on a stack that is up.

    Args:
        settings: of the deployment.
        local: the stack.
        console: where everything is shown.
        recordings: what to send instead of a simulated market; at `speed`.
        market: the simulated market.
        speed: of a recording.
        began: when the demonstration was asked for, epoch seconds.
    """

    def __init__(
        self,
        settings: Settings,
        local: LocalSettings,
        console: Console,
        *,
        recordings: Sequence[Path],
        market: tuple[int, float],
        speed: float,
        began: float,
    ) -> None:
        self.proof = Proof(began)
        self._settings = settings
        self._local = local
        self._console = console
        self._recordings = recordings
        self._market = market
        self._speed = speed
        self._market_began = began

    def bootstrap(self) -> None:
        """From nothing to a running job."""
        self._dagster("bootstrap")

    @contextmanager
    def market(self) -> Iterator[Callable[[], None]]:
        """A market that goes on, with a reader that counts; ended by what is given, or with the block."""
        stop, quiet = threading.Event(), threading.Event()
        self._market_began = time.time()
        with ThreadPoolExecutor() as pool:
            seen = pool.submit(probe, self._settings, _LONGEST_SECONDS, stop=quiet)
            sent = pool.submit(send, self._settings, self._messages(), stop=stop)
            first = pool.submit(self._await_final, quiet)
            try:
                yield lambda: self._end(stop, quiet, sent, seen)
            finally:
                stop.set()
                quiet.set()
                first.result()

    def watch(self, seconds: float) -> None:
        """Show what comes."""
        watch(self._settings, seconds=seconds, console=self._console)

    def evolve(self) -> None:
        """An additive field in a schema of the output: checked, registered, and no reader breaks.

        Each demonstration adds a field of its own name, so that it is a new version however many there were before; the
        fields that others added stay.
        """
        folder, before = self._schemas, self._newest_version()
        added = f"note_{(before or 0) + 1}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(DIRECTORY, folder)
        path = folder / f"{EVOLVED_SCHEMA}.avsc"
        registered = newest_schema(self._settings, self._subject)
        path.write_text(with_field(path.read_text(encoding="utf-8"), registered, added), encoding="utf-8")
        self._dagster("declare", {"TA_SCHEMA_DIR": str(folder)})
        self.proof.schema_change = SchemaChange(self._subject, added, before, self._newest_version())

    def upgrade(self) -> None:
        """A changed setting, rolled out with a savepoint while the market goes on."""
        revisions = RevisionStore(self._settings)
        before, now = revisions.newest(), self._settings.live_slice_ms
        slice_ms = next(one for one in LIVE_SLICES_MS if one != now)
        # The schema stays as it has evolved: what is registered is not taken back.
        self._dagster("upgrade", {"TA_LIVE_SLICE_MS": str(slice_ms), "TA_SCHEMA_DIR": str(self._schemas)})
        after = revisions.current()
        if after is not None and (before is None or after.number > before.number):
            self.proof.upgrade = after

    def replay(self) -> None:
        """The market's day through the job once more, alone: equal to pandas, and to what was given out."""
        # Of a market that went on into the next day, the longer part.
        today = day_of(int((self._market_began + time.time()) / 2 * 1_000), self._settings)
        config = {"replay_validation": {"source": "topics", "production": True}}
        if Sessions("regular").regular_hours(today) is not None:
            self._dagster("validate_replay", config=config, partition=f"{today.isoformat()}|{ALL}")
            self.proof.replay = newest_verdict(self._settings)
            return
        from ta_pipeline.replay.days import replay_day  # noqa: PLC0415 - slow, and few commands need it

        self._console.print(f"{today} is no market day, so it has no partition in Dagster: the same without")
        with tempfile.TemporaryDirectory(prefix="ta-demo-") as scratch:
            found = replay_day(
                self._settings, today, ALL, Path(scratch), source="topics", with_production=True, local=self._local
            )
        self.proof.replay = record_verdict(self._settings, found)

    def stop(self) -> None:
        """Stop with a savepoint, from which the next start goes on."""
        self._dagster("stop")

    @property
    def _schemas(self) -> Path:
        return self._local.dir / "demo" / "avro"

    @property
    def _subject(self) -> str:
        return f"{self._settings.bars_topic}-value"

    def _newest_version(self) -> int | None:
        (found,) = (one for one in plan_schemas(self._settings) if one.subject.name == self._subject)
        return found.newer or found.version

    def _messages(self) -> Iterator[Outgoing]:
        if self._recordings:
            begin = opening(self._recordings)
            return recorded(self._recordings, self._settings, speed=self._speed, as_recorded=False, begin=begin)
        symbols, rate = self._market
        return simulated(Market(symbols, rate, _LONGEST_SECONDS), self._settings)

    def _await_final(self, stop: threading.Event) -> None:
        with Flow(self._settings) as flow:
            before = flow.committed()
            while not stop.wait(0.5):
                if flow.committed_since(before):
                    self.proof.first_final_seconds = time.time() - self.proof.began
                    return

    def _end(
        self, stop: threading.Event, quiet: threading.Event, sent: Future[FeedReport], seen: Future[ProbeReport]
    ) -> None:
        stop.set()
        self.proof.sent = sent.result()
        # The last finals are committed a watermark delay and a checkpoint after the last trade.
        settings = self._settings
        delay_ms = max(settings.max_out_of_orderness_ms, settings.bar_close_timeout_ms)
        time.sleep((delay_ms + 1.5 * settings.checkpoint_interval_ms) / 1_000 + SETTLE_SECONDS)
        quiet.set()
        self.proof.seen = seen.result()

    def _dagster(
        self,
        job: str,
        environment: Mapping[str, str] = MappingProxyType({}),
        config: Mapping[str, object] | None = None,
        partition: str = "",
    ) -> None:
        """Run one of Dagster's jobs, and show what it says as it says it.

        Raises:
            FlinkError: it failed.
        """
        command = [sys.executable, "-m", "orchestration.run", job]
        if config:
            command += ["--config", json.dumps(config)]
        if partition:
            command += ["--partition", partition]
        env = {**os.environ, **dagster_environment(dagster_home(self._local)), **environment}
        with subprocess.Popen(
            command, cwd=REPOSITORY, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace",
        ) as process:  # fmt: skip
            for line in process.stdout or ():
                self._console.print(f"  {line.rstrip()}", style="dim", highlight=False, markup=False, soft_wrap=True)
        if process.returncode:
            raise FlinkError(f"{' '.join(command[2:4])} failed (exit status {process.returncode}); it says why above")


def opening(recordings: Sequence[Path]) -> float | None:
    """When the exchange opens in a recording, epoch seconds; None: it does not, so all of it is the market.

    Hours before, hardly anything is traded: nothing could be seen of a job.

    Raises:
        RecordingError: a recording cannot be read.
    """
    times = [seconds_of(record.time) for record in read(recordings) if record.time]
    if not times:
        return None
    day = datetime.fromtimestamp(min(times), UTC).astimezone(NEW_YORK).date()
    hours = Sessions("regular").regular_hours(day)
    opens = None if hours is None else hours.start_ms / 1_000
    return opens if opens is not None and min(times) < opens < max(times) else None


def is_refuted(proof: Proof) -> bool:
    """Whether a line of the summary says NO."""
    return any(good is False for _what, _figure, good in _claims(proof))


def summary(proof: Proof) -> Table:
    """What was proved, with its numbers; what was not seen is said to be so."""
    table = Table("what was shown", "figure", "", title="what this proved", title_justify="left")
    for what, figure, good in _claims(proof):
        mark = "[yellow]not seen[/]" if good is None else "[green]yes[/]" if good else "[red]NO[/]"
        table.add_row(what, figure, mark)
    return table


def _claims(proof: Proof) -> Iterator[tuple[str, str, bool | None]]:
    seconds = proof.first_final_seconds
    yield (
        "from the start to the first final signal: at most 3 min",
        "" if seconds is None else f"{seconds:.0f} s",
        None if seconds is None else seconds <= 180.0,
    )
    if (seen := proof.seen) is not None:
        p99 = seen.live.latency.p99_ms
        yield "live signals reached a reader", _milliseconds(seen.live.latency.p50_ms, p99), seen.live.records > 0
        finals = seen.final.records + seen.bars.records
        yield (
            "final records, none of them twice",
            f"{finals:,}, {seen.final_duplicates} twice",
            finals > 0 and not seen.final_duplicates,
        )
    if (change := proof.schema_change) is not None:
        yield (
            "a schema evolved: compatible with the one before, and registered",
            f"{change.subject} version {change.after} has {change.field!r} (nullable, default null)",
            change.is_new,
        )
    if (revision := proof.upgrade) is not None:
        down = revision.downtime_seconds
        yield (
            "an upgrade under load interrupted the stream for at most 30 s",
            f"revision {revision.number}" + ("" if down is None else f", {down:.1f} s"),
            None if down is None else down <= 30.0,
        )
    if (replay := proof.replay) is not None:
        yield "the day again: equal to pandas, and to what was given out", replay.summary, replay.is_green
    else:
        yield "the day again: equal to pandas, and to what was given out", "", None


def _milliseconds(p50: float | None, p99: float | None) -> str:
    return "" if p50 is None or p99 is None else f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms, the upgrade included"


def with_field(schema: str, registered: str | None, name: str) -> str:
    """A schema with one more field, and those that only the registered one has: a schema of an output only grows."""
    found = json.loads(schema)
    known = {field["name"] for field in found["fields"]}
    others = json.loads(registered)["fields"] if registered else []
    found["fields"] += [field for field in others if field["name"] not in known]
    found["fields"].append({"name": name, "type": ["null", "string"], "default": None})
    return json.dumps(found, indent=2)
