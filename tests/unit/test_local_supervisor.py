from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest
from supervisor.datatypes import dict_of_key_value_pairs

from ta_pipeline.errors import StackError
from ta_pipeline.local.components import Component, nothing, write_private
from ta_pipeline.local.supervisor import SOCKET_PATH_LIMIT, Supervisor
from ta_pipeline.local.supervisor_config import Layout, render


def component(**changes: object) -> Component:
    fields: dict[str, object] = {"name": "kafka", "command": ("java", "-jar", "a b.jar"), "ports": {}, "ready": nothing}
    return Component(**{**fields, **changes})  # type: ignore[arg-type]


def program(*components: Component) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    parser.read_string(render(Layout(Path("/tmp/stack")), components))  # noqa: S108 - nothing is written
    return parser["program:kafka"]


def test_arguments_with_blanks_and_percent_signs_arrive_as_they_are() -> None:
    command = ("java", "-Dx=%d{HH:mm}", "a b.jar", "it's", '"quoted"')
    assert shlex.split(program(component(command=command))["command"].replace("%%", "%")) == list(command)


@pytest.mark.parametrize("value", ["plain", "with blank", "50%", "a,b=c", 'say "hi" now', "it's", "", "a=b"])
def test_variables_arrive_as_they_are(value: str) -> None:
    text = program(component(environment={"FIRST": value, "SECOND": "2"}))["environment"].replace("%%", "%")
    found = dict_of_key_value_pairs(text)
    assert found["FIRST"] == value
    assert found["SECOND"] == "2"


@pytest.mark.parametrize("value", ['ends with "', 'it\'s "both" kinds', '"'])
def test_a_value_that_would_arrive_changed_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(StackError, match="cannot pass on the value of SECRET:") as raised:
        program(component(environment={"SECRET": value, "OTHER": "1"}))
    assert value not in str(raised.value).replace("a quote", "")


def test_a_component_is_restarted_and_taken_down_with_its_children() -> None:
    section = program(component(stop_wait_seconds=20))
    assert section["autorestart"] == "true"
    assert (section["stopasgroup"], section["killasgroup"]) == ("true", "true")
    assert section["stopwaitsecs"] == "20"


@pytest.mark.parametrize(
    "changes",
    [
        {"command": ("java",)},
        {"environment": {"A": "1"}},
        {"files": {Path("a"): "content"}},
        {"depends_on": "other jars"},
    ],
)
def test_a_change_that_needs_a_restart_changes_the_digest(changes: dict[str, object]) -> None:
    assert component(**changes).digest != component().digest


@pytest.mark.parametrize("changes", [{"after": ("s3",)}, {"stop_wait_seconds": 99}, {"arrange": print}])
def test_a_change_that_needs_no_restart_does_not(changes: dict[str, object]) -> None:
    assert component(**changes).digest == component().digest


def test_a_path_too_long_for_a_socket_is_refused_with_the_way_out() -> None:
    supervisor = Supervisor(Path("/tmp") / ("x" * SOCKET_PATH_LIMIT))  # noqa: S108 - nothing is written
    with pytest.raises(StackError, match=r"too long for a unix socket .* set TA_LOCAL_DIR to a shorter path"):
        supervisor.start([])


def test_a_private_file_is_readable_by_its_owner_only_even_when_it_was_not(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file"
    write_private(file, "first")
    file.chmod(0o644)
    write_private(file, "second")
    assert file.read_text() == "second"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["file"]
