from __future__ import annotations

import os
from pathlib import Path

import pytest

from ta_pipeline.errors import StackError
from ta_pipeline.local.jars import ensure_jars, jar_digest
from ta_pipeline.local.java import java_home


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH; empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.usefixtures("bin_folder")
def test_without_maven_the_error_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="Maven is needed to resolve the jars: put `mvn` on PATH"):
        ensure_jars(tmp_path / "jars")


def test_when_maven_fails_the_error_ends_with_what_it_said(bin_folder: Path, tmp_path: Path) -> None:
    script(bin_folder / "mvn", "echo '[ERROR] no such artifact' >&2; exit 3")
    with pytest.raises(StackError, match=r"Maven failed on .*pom\.xml \(exit status 3\):\n\[ERROR\] no such artifact$"):
        ensure_jars(tmp_path / "jars")


def test_the_digest_follows_names_and_contents_of_the_jars_only(tmp_path: Path) -> None:
    (tmp_path / "a.jar").write_bytes(b"1")
    first = jar_digest([tmp_path])
    (tmp_path / "a.txt").write_bytes(b"1")
    assert jar_digest([tmp_path]) == first
    (tmp_path / "a.jar").write_bytes(b"2")
    second = jar_digest([tmp_path])
    (tmp_path / "a.jar").rename(tmp_path / "b.jar")
    assert len({first, second, jar_digest([tmp_path])}) == 3


def test_a_java_home_without_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StackError, match="Java 17 is needed: put `java` on PATH or set JAVA_HOME"):
        java_home()


def test_a_java_that_is_too_old_is_refused_with_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "java", "echo 'openjdk version \"11.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(StackError, match=r"Java 17 is needed, .*11\.0\.2"):
        java_home()


def test_java_is_found_through_java_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "java", "echo 'openjdk version \"17.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java_home() == tmp_path.resolve()


def test_jars_that_are_there_are_used_where_nothing_can_be_written(bin_folder: Path, tmp_path: Path) -> None:
    directory = tmp_path / "jars"
    folders = " ".join(f"$folder/{name}" for name in ("kafka", "registry", "s3proxy", "flink-lib", "flink-plugins"))
    script(bin_folder / "mvn", (
        'for one in "$@"; do case "$one" in\n'
        f'-Dta.jars.directory=*) folder="${{one#*=}}"; /bin/mkdir -p {folders};;\n'
        '-Dta.build.directory=*) /bin/mkdir -p "${one#*=}"; : > "${one#*=}/ta-flink.jar";;\nesac; done'
    ))  # fmt: skip
    assert ensure_jars(directory)

    # Whoever runs the tests may be somebody who can write anywhere: so it is looked at what is written.
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
        os.utime(path, (1, 1))
    (bin_folder / "mvn").unlink()
    assert not ensure_jars(directory)
    assert {path.stat().st_mtime for path in (directory, *directory.rglob("*"))} == {1.0}


def test_jars_that_cannot_be_put_where_they_belong_are_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "jars").write_text("a file", encoding="utf-8")
    with pytest.raises(StackError, match=r"cannot be put there: .*TA_LOCAL_JARS_DIR"):
        ensure_jars(tmp_path / "jars")
