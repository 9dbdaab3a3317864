"""Every shell command of every page: each is proved in one of the ways that tests/documented.py names."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from orchestration.defs.deployment.assets import RolloutConfig
from ta_pipeline.errors import SettingsError
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.settings import REPOSITORY, LocalSettings, load_local_settings
from ta_pipeline.settings import Settings, load_settings
from tests.documented import PAGES, TABLE, Command, Way, all_commands, blocks_of, commands_in
from tests.pages import RUN, run_commands

COMMANDS = all_commands()
KUBECTL = {"apply", "create", "delete", "diff", "exec", "get", "describe", "logs", "patch", "port-forward", "replace",
           "rollout"}  # fmt: skip
NOT_OURS = {"flink-kubernetes-operator"}
"""Objects that the pages name, and that something else than our overlays makes."""
KINDS = {
    "flinkdeployment", "flinkstatesnapshot", "flinkstatesnapshots", "pods", "secrets", "secret", "configmap", "crd",
    "kafkauser", "namespace", "deploy", "service",
}  # fmt: skip


def of(way: Way) -> list[Command]:
    return [command for command in COMMANDS if command.way is way]


def test_it_is_known_of_every_command_how_it_is_proved() -> None:
    assert len(COMMANDS) > 100
    unknown = [str(command) for command in COMMANDS if command.way is None]
    assert unknown == [], "name them in TABLE of tests/documented.py; a block that is no shell says so: ```text"


def test_the_table_says_nothing_of_commands_that_there_are_not() -> None:
    flat = [" ".join(command.text.split()) for command in COMMANDS]
    unused = [pattern for pattern, _ in TABLE if not any(re.match(pattern, text) for text in flat)]
    assert unused == []


def test_commands_are_taken_apart_as_a_shell_does() -> None:
    block = "a  # why\nb \\\n  --c 'd # e'\nf |\n  g\nfor x in 1 2; do\n  h $x\ndone\n\n# only said\ni() { j; }\n"
    assert list(commands_in(block)) == [
        "a", "b \\\n  --c 'd # e'", "f |\n  g", "for x in 1 2; do\n  h $x\ndone", "i() { j; }",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_a_shell_understands_every_block(page: Path) -> None:
    blocks = "\n".join(blocks_of(page))
    done = subprocess.run(["bash", "-n"], input=blocks, capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_needs_nothing_is_run(tmp_path: Path) -> None:
    commands = [command.text for command in of(Way.HERE)]
    assert commands
    (tmp_path / "Makefile").symlink_to(REPOSITORY / "Makefile")
    # What a page looks for in the manifests is what has to be filled in: it is there, until somebody does.
    for done in run_commands(commands, tmp_path, {}):
        assert done.status == 0, done
        assert done.output


def test_what_needs_a_stack_is_run_there() -> None:
    """By tests/integration/test_pages_on_the_stack.py, in `make test-more`."""
    assert [str(command) for command in of(Way.STACK) if command.text not in RUN] == []
    assert sorted(RUN - {command.text for command in of(Way.STACK)}) == []


def test_variables_are_settings_and_their_values_are_allowed() -> None:
    for command in of(Way.SETTINGS):
        if found := re.fullmatch(r"read -rs (\w+) && export (\w+)", command.text):
            assert found[1] == found[2]
            assert found[1].removeprefix("TA_").lower() in Settings.model_fields, command
            continue
        given = dict(word.split("=", 1) for word in shlex.split(command.text) if "=" in word)
        local = {name.removeprefix("TA_LOCAL_").lower(): value for name, value in given.items() if "_LOCAL_" in name}
        others = {name.removeprefix("TA_").lower(): value for name, value in given.items() if "_LOCAL_" not in name}
        assert local.keys() <= LocalSettings.model_fields.keys(), command
        assert others.keys() <= Settings.model_fields.keys(), command
        if others.get("kafka_security", "").startswith("SASL"):
            # The page gives user and password in other lines.
            others = {"kafka_username": "user", "kafka_password": "given", **others}
        try:
            load_settings(**others)
            load_local_settings(**local)
        except SettingsError as error:
            pytest.fail(f"{command}: {error}")


def test_targets_and_folders_of_tests_are_there() -> None:
    targets = re.findall(r"^([a-z0-9 -]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M)
    known = {name for line in targets for name in line.split()}
    for command in of(Way.MAKE):
        tool, name, *variables = shlex.split(command.text)
        if tool == "make":
            assert name in known, command
            text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
            assert all(f"$({one.partition('=')[0]})" in text for one in variables), command
        elif tool == "python":
            assert find_spec(variables[0]) is not None, command
        else:
            assert (REPOSITORY / name).is_dir(), command


def test_files_and_objects_that_a_cluster_is_asked_for_are_there() -> None:
    names = {one["metadata"]["name"] for overlay in ("prod", "dagster") for one in render(overlay)}
    seen = 0
    for command in of(Way.CLUSTER):
        words = shlex.split(command.text.replace("\\\n", " "))
        assert [word for word in words if word.startswith("k8s/") and not (REPOSITORY / word).exists()] == [], command
        for flag, value in itertools.pairwise(words):
            if flag == "-k" and words[0] == "kubectl":
                assert (REPOSITORY / value / "kustomization.yaml").is_file(), command
            if flag == "-p":
                yaml.safe_load(value)
            if flag == "--config-json":
                for op in json.loads(value)["ops"].values():
                    assert op["config"].keys() <= RolloutConfig.model_fields.keys(), command
        if words[0] != "kubectl":
            continue
        verb = next(word for word in words[1:] if word in KUBECTL)
        plain = [word for word in words[words.index(verb) + 1 :] if not word.startswith("-")]
        objects = {part for word in plain for part in re.findall(r"^(?:deploy|service)/([\w-]+)$", word)}
        if verb in {"get", "delete", "patch"} and plain and not {"-k", "-f"} & set(words):
            assert set(plain[0].split(",")) <= KINDS, command
            if plain[0] == "flinkdeployment":
                objects |= {word for word in plain[1:] if word.startswith("torghut")}
        assert objects - names - NOT_OURS == set(), command
        seen += len(objects)
    assert seen > 5
