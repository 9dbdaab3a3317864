"""Locks between the processes of one machine; those between pods are in tests/k8s/test_leases.py."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ta_pipeline.errors import LockError
from ta_pipeline.locks import FileLocks

HOLDER = """\
import sys, time
from pathlib import Path
from ta_pipeline.locks import FileLocks
with FileLocks(Path(sys.argv[1])).alone("x", wait=True):
    print("inside", flush=True)
    time.sleep(120)
"""


def test_who_does_not_wait_is_refused_while_another_process_is_inside_and_let_in_when_it_has_died(
    tmp_path: Path,
) -> None:
    locks = FileLocks(tmp_path / "made")
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "made")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        with pytest.raises(LockError, match="made/x"), locks.alone("x", wait=False):
            pass
        with locks.alone("other", wait=False) as held:
            held.require()
        process.kill()
        process.wait()
        with locks.alone("x", wait=False) as held:
            held.require()


def test_who_waits_comes_in_when_the_other_is_out(tmp_path: Path) -> None:
    out = threading.Event()

    def wait_for_it() -> bool:
        with FileLocks(tmp_path).alone("x", wait=True):
            return out.is_set()

    with ThreadPoolExecutor(1) as pool:
        with FileLocks(tmp_path).alone("x", wait=True):
            waiting = pool.submit(wait_for_it)
            assert not waiting.done()
            out.set()
        assert waiting.result(10)
