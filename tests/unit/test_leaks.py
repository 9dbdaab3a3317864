"""The search for leaked secrets finds what it is to find: a test that greps for nothing would always pass."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from tests.leaks import Secret, found_in_file, holders, in_command_lines

VALUE = "se'cr\"et\\%{$}, =;0a1b"
SECRET = Secret("password", VALUE, "user")


@pytest.mark.parametrize(
    "written",
    [
        VALUE.encode(),
        b"INFO connecting with " + VALUE.encode() + b" now",
        json.dumps({"password": VALUE}).encode(),
        f"'password' = '{VALUE.replace(chr(39), 2 * chr(39))}'".encode(),
        quote(VALUE, safe="").encode(),
        b64encode(f"user:{VALUE}".encode()),
        b64encode(VALUE.encode()),
        VALUE.encode("utf-16-le"),
        b"x" * (8 << 20) + VALUE.encode(),
        b"x" * ((8 << 20) - 5) + VALUE.encode(),
    ],
    ids=["alone", "line", "json", "sql", "url", "basic", "base64", "utf-16", "far behind", "across a boundary"],
)
def test_a_planted_secret_is_found_in_whatever_form(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "deep" / "below" / "file"
    path.parent.mkdir(parents=True)
    path.write_bytes(written)
    assert holders([tmp_path], [SECRET]) == {path: {"password"}}


def test_a_planted_secret_is_found_in_what_is_gzipped(tmp_path: Path) -> None:
    path = tmp_path / "old.log.gz"
    path.write_bytes(gzip.compress(VALUE.encode()))
    assert found_in_file(path, [SECRET]) == {"password"}


def test_a_secret_on_a_command_line_is_found() -> None:
    waiting = "print(flush=True); import time; time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", waiting, VALUE], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # before it runs, its command line is that of this process, or empty
            assert in_command_lines([psutil.Process(process.pid)], [SECRET]) == {process.pid: {"password"}}
        finally:
            process.kill()


def test_where_there_is_none_none_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(VALUE[:-1].encode())
    assert holders([tmp_path], [SECRET]) == {}
    assert in_command_lines([psutil.Process()], [SECRET]) == {}
