"""Jars of the local stack, resolved by Maven once from flink/jars/pom.xml and kept under `.local/jars`.

A marker holds the checksum of the pom: while it stands, no network and no Maven is needed. The job's own jar is
built from flink/java the same way. Other jars put into `flink-extra/` by hand reach Flink's lib/ too.

    kafka/  registry/  s3proxy/  flink-lib/  flink-plugins/s3-fs-hadoop/  flink-extra/
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ta_pipeline.errors import StackError
from ta_pipeline.local.settings import REPOSITORY

JARS_POM = REPOSITORY / "flink" / "jars" / "pom.xml"
JOB_PROJECT = REPOSITORY / "flink" / "java"
MAVEN_TIMEOUT_SECONDS = 900


def ensure_jars(directory: Path) -> bool:
    """Resolve the jars into `directory` unless they are there; returns whether Maven had to run.

    Several stacks may share the directory: one of them resolves, the others wait for it.

    Raises:
        StackError: Maven is missing or failed; the message ends with what it said.
    """
    with _alone(directory):
        resolved = _ensure_pom(directory)
        built = _ensure_job(directory)
    return resolved or built


def ensure_resolved(pom: Path, directory: Path, folders: Sequence[str]) -> bool:
    """Let Maven put what another `pom` asks for into `folders` of `directory` unless it is there; whether it had to.

    Args:
        pom: it fills the folders under its property `ta.directory`.
        directory: nobody else's.
        folders: what is there when it is done.

    Raises:
        StackError: Maven is missing or failed; the message ends with what it said.
    """
    with _alone(directory):
        stale = [directory / name for name in folders]
        marker = directory / ".resolved.sha256"
        return _ensure(marker, _checksum([pom]), pom, {"ta.directory": directory}, stale=stale)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Nobody else works on `directory` meanwhile; in an image it may be read-only, with the jars in it.

    Raises:
        StackError: something has to be written there, and cannot be.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Opened to be read: so it can be where nothing can be written.
        lock = os.open(directory / ".lock", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
    except OSError as error:
        raise StackError(
            f"the jars in {directory} are not there, or not those of this code, and cannot be put there: {error}; "
            "an image has to be built of one checkout, elsewhere TA_LOCAL_JARS_DIR names a folder to write to"
        ) from None


def _ensure_pom(directory: Path) -> bool:
    return _ensure(
        directory / ".jars.sha256",
        _checksum([JARS_POM]),
        JARS_POM,
        {"ta.jars.directory": directory},
        stale=[directory / name for name in ("kafka", "registry", "s3proxy", "flink-lib", "flink-plugins")],
    )


def _ensure_job(directory: Path) -> bool:
    build, extra = directory / "build", directory / "flink-extra"
    sources = [JOB_PROJECT / "pom.xml", *sorted(p for p in (JOB_PROJECT / "src").rglob("*") if p.is_file())]
    return _ensure(
        directory / ".job.sha256",
        _checksum(sources),
        JOB_PROJECT / "pom.xml",
        {"ta.build.directory": build},
        stale=[build, extra / "ta-flink.jar"],
        made=(build / "ta-flink.jar", extra / "ta-flink.jar"),
    )


def jar_digest(directories: list[Path]) -> str:
    """Checksum over names and contents of the jars in `directories`."""
    return _checksum([jar for directory in directories for jar in sorted(directory.glob("*.jar"))])


def _ensure(
    marker: Path,
    checksum: str,
    pom: Path,
    properties: dict[str, Path],
    *,
    stale: list[Path],
    made: tuple[Path, Path] | None = None,
) -> bool:
    present = all(path.exists() for path in stale)
    if present and marker.exists() and marker.read_text(encoding="ascii") == checksum:
        return False
    for path in stale:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    marker.unlink(missing_ok=True)
    _maven(pom, properties)
    if made:
        made[1].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(*made)
    marker.write_text(checksum, encoding="ascii")
    return True


def _maven(pom: Path, properties: dict[str, Path]) -> None:
    command = ["mvn", "--quiet", "--batch-mode", "--no-transfer-progress", "--file", str(pom)]
    command += [f"-D{name}={path}" for name, path in properties.items()] + ["package"]
    try:
        result = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=MAVEN_TIMEOUT_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        raise StackError("Maven is needed to resolve the jars: put `mvn` on PATH") from None
    except subprocess.TimeoutExpired:
        raise StackError(
            f"Maven did not finish {pom} within {MAVEN_TIMEOUT_SECONDS} s; is the network there?"
        ) from None
    if result.returncode != 0:
        tail = "\n".join((result.stdout + result.stderr).strip().splitlines()[-15:])
        raise StackError(f"Maven failed on {pom} (exit status {result.returncode}):\n{tail}")


def _checksum(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()
