"""Where `ta_pipeline.job_state` gets its two sides from: the job's graph, and a savepoint or checkpoint in S3.

Both are told by Flink's own code in a short-lived JVM; no cluster is needed, and nothing is restored or submitted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from ta_pipeline.errors import FlinkError, StateError
from ta_pipeline.job_state import JobManifest, OperatorState, SavedState
from ta_pipeline.local.flink import bounded_environment, distribution
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, variables
from ta_pipeline.local.submission import LAUNCH_FAILED, LAUNCHES, submission_error
from ta_pipeline.s3 import list_keys, read_head, read_object, s3_client, split_uri
from ta_pipeline.settings import Settings

METADATA = "_metadata"
TIMEOUT_SECONDS = 180
_HEAD_BYTES = 4 << 20
"""The names of an operator's states stand in front of its state."""
_JVM_OPTIONS = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")


def describe_job(settings: Settings, local: LocalSettings, code: Path = REPOSITORY) -> JobManifest:
    """What the job of `code` needs of a saved state, under these settings; takes some seconds.

    Args:
        settings: of the job.
        local: where the jars are; the job's own jar is the one built last.
        code: the folder with `flink/` and `ta_pipeline/` that is described: a release, or the checkout.

    Raises:
        StackError: the jars cannot be had.
        FlinkError: the job cannot be planned; the message has the reason.
    """
    ensure_jars(local.jars_dir)
    with tempfile.TemporaryDirectory(prefix="ta-describe-") as folder:
        scratch = Path(folder)
        manifest = scratch / "manifest.json"
        environment = {
            **os.environ,
            **variables(settings),
            **bounded_environment(local, java_home(), scratch),
            "PYTHONPATH": str(code),
        }
        command = [sys.executable, "-m", "flink.job", "--describe", str(manifest)]
        for _ in range(LAUNCHES):
            result = _run(command, environment, code)
            if result.returncode == 0:
                return JobManifest.of(orjson.loads(manifest.read_bytes()))
            if not any(sign in result.stderr for sign in LAUNCH_FAILED):
                break
        reason = settings.without_secrets(submission_error(result.stdout + result.stderr))
        raise FlinkError(f"the job of {code} cannot be planned (exit status {result.returncode}):\n{reason}")


def read_state(settings: Settings, uri: str, local: LocalSettings) -> SavedState:
    """What a savepoint or retained checkpoint holds.

    Args:
        settings: `TA_S3_*`.
        uri: its folder, `s3a://bucket/path`.
        local: where the jars are.

    Raises:
        StateError: it is not there, a file that its metadata names is not there or not whole, or it cannot be read.
        S3Error: the store refused, or cannot be reached.
        StackError: the jars cannot be had.
    """
    ensure_jars(local.jars_dir)
    with tempfile.TemporaryDirectory(prefix="ta-state-") as scratch:
        folder = Path(scratch)
        _download(settings, uri.rstrip("/"), folder)
        described = _described(uri, folder, local)
        elsewhere = [name for name in described["missing"] if "://" in name]
        if elsewhere and _download_files(settings, elsewhere, folder):
            described = _described(uri, folder, local)
    if described["missing"]:
        raise StateError(
            f"{uri} is not whole: {', '.join(described['missing'])} not there, or shorter than it was written; "
            "restore from another savepoint or checkpoint"
        )
    operators = tuple(OperatorState.of(operator) for operator in described["operators"])
    return SavedState(uri, described["checkpoint_id"], operators)


def _download(settings: Settings, uri: str, folder: Path) -> None:
    """The metadata, and the head of every other file in its length."""
    client = s3_client(settings)
    bucket, prefix = split_uri(uri)
    names = [key.removeprefix(f"{prefix}/") for key in list_keys(client, f"{uri}/")]
    if METADATA not in names:
        found = "nothing" if not names else f"{len(names)} files, but no {METADATA}"
        raise StateError(
            f"there is no savepoint or checkpoint at {uri} ({found} there); it was never completed, or it was deleted"
        )
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name == METADATA:
            target.write_bytes(read_object(client, f"{uri}/{name}"))
        else:
            _write_head(target, *read_head(client, f"s3a://{bucket}/{prefix}/{name}", _HEAD_BYTES))


def _download_files(settings: Settings, uris: Sequence[str], folder: Path) -> int:
    """Files of other folders that the metadata names; returns how many are there."""
    client = s3_client(settings)
    there = 0
    for uri in uris:
        bucket, key = split_uri(uri)
        if key in list_keys(client, f"s3a://{bucket}/{key}"):
            _write_head(folder / Path(key).name, *read_head(client, uri, _HEAD_BYTES))
            there += 1
    return there


def _write_head(target: Path, head: bytes, size: int) -> None:
    target.write_bytes(head)
    # As long as in the store, without taking the room: the reader sees a file that was cut off.
    os.truncate(target, size)


def _described(uri: str, folder: Path, local: LocalSettings) -> dict[str, Any]:
    wheel = distribution()
    # Without log4j: it would write to standard output, where the answer is.
    jars = [*(wheel / "lib").glob("flink-*.jar"), *(wheel / "opt").glob("flink-python-*.jar")]
    jars += (local.jars_dir / "flink-extra").glob("*.jar")
    command = [
        str(java_home() / "bin" / "java"), *_JVM_OPTIONS, "-cp", os.pathsep.join(map(str, jars)),
        "ta.flink.state.DescribeState", str(folder),
    ]  # fmt: skip
    result = _run(command, dict(os.environ), folder)
    if result.returncode != 0:
        said = result.stderr.strip().splitlines()
        reason = said[-1].replace(f"{folder}{os.sep}", "") if said else f"exit status {result.returncode}"
        raise StateError(f"{uri} cannot be read, restore from another savepoint or checkpoint: {reason}")
    described: dict[str, Any] = orjson.loads(result.stdout)
    return described


def _run(command: Sequence[str], environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, cwd=directory,
            stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise FlinkError(f"{command[0]} did not end within {TIMEOUT_SECONDS} s") from None
