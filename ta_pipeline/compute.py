"""`ta compute`: the same job on recordings, bounded, on files. What a researcher runs.

The recordings become one file of envelopes per topic, in log order; the job reads them at parallelism 1 with a
watermark per record; its output is sorted by event time, symbol and revision. So two runs give the same files, but
for `ingest_ts`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import requests

from ta_pipeline.errors import FlinkError
from ta_pipeline.local.flink import bounded_environment
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home
from ta_pipeline.local.ports import free_port
from ta_pipeline.local.settings import LocalSettings, load_local_settings
from ta_pipeline.recordings import write_topic_files
from ta_pipeline.settings import PREFIX, Settings

OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "bars": ("event_ts", "symbol", "revision"),
    "signals": ("event_ts", "symbol", "seq", "revision"),
    "late": ("topic", "partition", "offset", "reason"),
    "rejects": ("topic", "partition", "offset", "reason"),
}
_POLL_SECONDS = 0.3
_LOG_TAIL_LINES = 30

Progress = Callable[[str, int, int], None]
"""Told the step, how much of it is done, and how much there is (records; 0: not known)."""


@dataclass(frozen=True)
class ComputeReport:
    """What a run read and wrote: records per topic kind, and per output file."""

    read: Mapping[str, int]
    written: Mapping[str, int]
    seconds: float


def compute(
    recordings: Iterable[Path],
    out: Path,
    settings: Settings,
    overrides: Mapping[str, str],
    *,
    progress: Progress = lambda _step, _done, _all: None,
    local: LocalSettings | None = None,
) -> ComputeReport:
    """Run the job over `recordings` and write `bars.jsonl`, `signals.jsonl`, `late.jsonl`, `rejects.jsonl` to `out`.

    Args:
        recordings: JSON lines of Alpaca messages or envelopes, plain or gzip.
        out: folder, made when missing; the four files in it are replaced.
        settings: the checked settings of the run.
        overrides: the settings that differ from the environment's, by field name.
        progress: called often.
        local: where the jars are.

    Raises:
        RecordingError: a recording cannot be read.
        StackError: the jars cannot be had.
        FlinkError: the job failed; the message ends with its reason.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ta-logs-") as scratch:
        progress("recordings", 0, 0)
        read = write_topic_files(list(recordings), Path(scratch), settings.input_field_case)
        written = compute_logs(Path(scratch), out, overrides, total=sum(read.values()), progress=progress, local=local)
    return ComputeReport(read, written, time.monotonic() - started)


def compute_logs(
    logs: Path,
    out: Path,
    overrides: Mapping[str, str],
    *,
    total: int = 0,
    progress: Progress = lambda _step, _done, _all: None,
    local: LocalSettings | None = None,
) -> dict[str, int]:
    """The same over what the topics hold: values as they are, whatever they are.

    Args:
        logs: folder of `trades.jsonl`, `quotes.jsonl`, `bars_1m.jsonl` and `status.jsonl`, each of lines that are
            `<number> TAB <value>`.
        out: as of `compute`.
        overrides: as of `compute`.
        total: records in `logs`, for `progress`.
        progress: as of `compute`.
        local: as of `compute`.

    Returns:
        Records per output file.
    """
    local = local or load_local_settings()
    progress("jars", 0, 0)
    ensure_jars(local.jars_dir)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ta-compute-") as scratch:
        results = Path(scratch) / "out"
        _run(logs, results, overrides, local, total=total, progress=progress)
        progress("writing", 0, 0)
        return {name: _collect(results / name, out / f"{name}.jsonl", key) for name, key in OUTPUTS.items()}


def _run(
    logs: Path, results: Path, overrides: Mapping[str, str], local: LocalSettings, *, total: int, progress: Progress
) -> None:
    port = free_port()
    # Formats are the files', not the topics': a run on recordings needs no registry.
    chosen = {**overrides, "input_format": "json", "output_format": "json"}
    command = [sys.executable, "-m", "flink.job", "--recordings", str(logs), "--out", str(results)]
    command += ["--rest-port", str(port)]
    for name, value in chosen.items():
        command += ["--set", f"{PREFIX}{name.upper()}={value}"]
    log = results.parent / "job.log"
    environment = {**os.environ, **bounded_environment(local, java_home(), results.parent)}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment)
    try:
        while process.poll() is None:
            progress("computing", _records_read(port), total)
            time.sleep(_POLL_SECONDS)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise FlinkError(f"the job failed on the recordings:\n{_reason(log)}")
    progress("computing", total, total)


def _records_read(port: int) -> int:
    """Records the sources have read so far; 0 while the job's REST API does not answer."""
    base = f"http://127.0.0.1:{port}/jobs"
    try:
        jobs = requests.get(base, timeout=2).json()["jobs"]
        vertices = requests.get(f"{base}/{jobs[0]['id']}", timeout=2).json()["vertices"]
    except (requests.RequestException, KeyError, IndexError, ValueError):
        return 0
    return sum(vertex["metrics"]["write-records"] for vertex in vertices if vertex["name"].startswith("Source"))


def _reason(log: Path) -> str:
    """The innermost causes of what the job printed, else its last lines."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    causes = [line for line in lines if line.startswith("Caused by:") or "Error:" in line]
    return "\n".join(causes[-3:] if causes else lines[-_LOG_TAIL_LINES:])


def _collect(folder: Path, target: Path, key: tuple[str, ...]) -> int:
    """Write the records of a sink's part files into one file, in the order of `key`; returns how many."""
    parts = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
    records = [line for part in parts for line in part.read_bytes().splitlines()]
    keyed = sorted((_sort_key(line, key), number, line) for number, line in enumerate(records))
    with target.open("wb") as output:
        output.writelines(line + b"\n" for _, _, line in keyed)
    return len(records)


def _sort_key(line: bytes, key: tuple[str, ...]) -> tuple[tuple[bool, object], ...]:
    record = orjson.loads(line)
    return tuple((record[name] is not None, record[name] if record[name] is not None else 0) for name in key)
