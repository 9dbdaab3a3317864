"""The lines that the local stack really writes are those of the table, and `ta logs` finds them."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ta_pipeline.cli import app
from ta_pipeline.logs.fields import FIELDS, NAMES
from ta_pipeline.logs.places import log_files
from ta_pipeline.logs.query import Query, answer
from tests.stack import RunningStack

ALWAYS = {field.name for field in FIELDS if field.always}
OURS = ("jobmanager", "taskmanager", "clickhouse", "clock", "probe")
BEFORE_ITS_LOG = ("Starting ", "WARNING: ", "[WARN]", "SLF4J")
"""How lines begin that a shell script or a JVM prints before there is a log."""
OF_THE_SHELL = "bash-java-utils.sh: line "
"""Complaints of Flink's own script, as of a pipe whose reader was ended."""


@pytest.mark.parametrize("component", OURS)
def test_what_is_ours_logs_json_lines_with_the_fields_of_the_table(stack: RunningStack, component: str) -> None:
    (file,) = log_files(stack.local.dir, [component])
    with file:
        lines = list(answer([file], Query()))
    own = [line for line in lines if not line.is_foreign]
    assert own, f"no line of {component} is one of the table: {[line.message for line in lines[:5]]}"
    for line in own:
        assert ALWAYS <= set(line.fields) <= set(NAMES), line
        assert (line.fields["component"], bool(line.level)) == (component, True)
    foreign = [line.message for line in lines if line.is_foreign]
    strange = [one for one in foreign if not one.startswith(BEFORE_ITS_LOG) and OF_THE_SHELL not in one]
    assert strange == []


def test_the_lines_of_all_components_are_found_by_time(stack: RunningStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TA_LOCAL_DIR", str(stack.local.dir))
    result = CliRunner().invoke(app, ["logs", "-n", "0", "--since", "1d"])
    assert result.exit_code == 0, result.output
    named = {line.partition(" ")[0] for line in result.stdout.splitlines()}
    assert {*OURS, "kafka", "registry", "supervisord"} <= named
