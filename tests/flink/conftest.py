"""What tests that start PyFlink's JVM in their own process share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from ta_pipeline.local.flink import bounded_environment
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.java import java_home
from ta_pipeline.local.settings import load_local_settings


@pytest.fixture(scope="module")
def flink_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The job's jars, and an environment in which PyFlink's JVM, started when it is first used, finds them."""
    local = load_local_settings()
    ensure_jars(local.jars_dir)
    before = dict(os.environ)
    os.environ.update(bounded_environment(local, java_home(), tmp_path_factory.mktemp("flink")))
    yield
    os.environ.clear()
    os.environ.update(before)
