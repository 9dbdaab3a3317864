"""A bounded run listens on loopback only: PyFlink would serve its workers on every interface."""

from __future__ import annotations

from pathlib import Path

import psutil

from ta_pipeline.compute import compute
from ta_pipeline.settings import load_settings
from tests.messages import trade, write_recording
from tests.sockets import watched


def test_a_bounded_run_listens_on_loopback_only(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "in.jsonl", [trade(number, number, 10.0) for number in range(3)])
    with watched(lambda: [psutil.Process()], every_seconds=0.1) as seen:
        compute([recording], tmp_path / "out", load_settings(), {})
    programs = {one.process.rstrip("0123456789.") for one in seen.listeners}  # python, python3, python3.12
    assert programs >= {"java", "python"}
    assert not {one for one in seen.listeners if not one.is_loopback}
