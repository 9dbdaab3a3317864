"""What pages and `make help` name is there: commands and options, pages, jobs of Dagster, objects on Kubernetes."""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from markdown_it import MarkdownIt

from orchestration.definitions import defs
from orchestration.defs.deployment.assets import RolloutConfig
from orchestration.defs.deployment.jobs import RollbackConfig
from ta_pipeline.cli import app
from ta_pipeline.kubernetes.agent_job import next_name
from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.rollout.stored_log import uri_of
from ta_pipeline.settings import load_settings
from tests.documented import blocks_of, without_comment

PAGES = sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")])
RUNBOOKS = REPOSITORY / "docs" / "runbooks.md"
_COMMAND = re.compile(r"(?:^|[;&|] |-- )ta ([a-z-]+(?: .*)?)$")
_PAGE = re.compile(r"\bdocs/[\w-]+\.md\b")
_DEPLOYMENT = re.compile(r"\b(?:deploy|service|flinkdeployment)[/ ]((?:torghut-ta)[\w-]*)")


def code_of(page: Path) -> Iterator[str]:
    """Each line of commands, in blocks and between backticks, without what is said behind `#`."""
    for block in blocks_of(page):
        yield from (without_comment(line).strip() for line in block.splitlines())
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        codes = (one.content for one in token.children or [] if one.type == "code_inline")
        yield from (without_comment(code).strip() for code in codes)


def commands_of(page: Path) -> list[str]:
    """Each `ta ...`, without `ta`."""
    return [found[1] for line in code_of(page) if (found := _COMMAND.search(line))]


@functools.cache
def command_line() -> Any:
    """`ta`, with all that is below it."""
    return typer.main.get_command(app)


def wrong_in(command: str) -> str | None:
    """What of a command `ta` does not know; None: nothing."""
    words = shlex.split(command.partition(" | ")[0].partition("; ")[0])
    found = command_line()
    # Of a group only.
    while (commands := getattr(found, "commands", None)) and words and not words[0].startswith("-"):
        word = words.pop(0)
        if word not in commands:
            return f"there is no {word!r}"
        found = commands[word]
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known.add("--help")
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    return f"there is no {', '.join(unknown)}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    found = {command: wrong for command in commands_of(page) if (wrong := wrong_in(command))}
    assert found == {}


def test_commands_are_found_and_told_from_wrong_ones() -> None:
    assert {"rollout plan", "recover --gap", "savepoint take"} <= set(commands_of(RUNBOOKS))
    assert wrong_in("rollout plan") is None
    assert wrong_in("rollout undo") == "there is no 'undo'"
    assert wrong_in("recover --everything") == "there is no --everything"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_every_page_that_is_named_exists(page: Path) -> None:
    named = set(_PAGE.findall(page.read_text(encoding="utf-8")))
    assert {name for name in named if not (REPOSITORY / name).is_file()} == set()


def test_the_readme_lists_every_page() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"`docs/{page.name}`" not in text] == []


def test_the_jobs_that_the_runbooks_start_exist() -> None:
    named = {found[1] for line in code_of(RUNBOOKS) if (found := re.match(r"run ([a-z_]+)", line))}
    jobs = {job.name for job in defs().resolve_all_job_defs()}
    assert named >= {"upgrade", "rollback", "stop", "bootstrap", "declare"}
    assert named - jobs == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_options_of_a_rollout_that_a_page_names_exist(page: Path) -> None:
    fields = {"flink_deployment": RolloutConfig.model_fields, "roll_back": RollbackConfig.model_fields}
    named = re.findall(r"`(flink_deployment|roll_back): (\w+)", page.read_text(encoding="utf-8"))
    assert [(op, field) for op, field in named if field not in fields[op]] == []


@functools.cache
def rendered_names() -> set[str]:
    """What `kubectl` can be asked for by name."""
    return {
        one["metadata"]["name"]
        for overlay in ("prod", "dagster")
        for one in render(overlay)
        if one["kind"] in {"Deployment", "FlinkDeployment", "Service"}
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_deployments_that_kubectl_is_asked_for_are_those_that_are_rendered(page: Path) -> None:
    named = set(_DEPLOYMENT.findall(page.read_text(encoding="utf-8")))
    assert named - rendered_names() == set()


def test_make_help_lists_every_target_that_says_what_it_does() -> None:
    lines = (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines()
    described = {line.partition(":")[0]: line.partition(" ## ")[2].strip() for line in lines if " ## " in line}
    assert {"test", "test-k8s", "up down"} <= set(described)
    # `make test` tells a `make` below it how to be.
    own = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, env=own, capture_output=True, text=True, check=True, timeout=30
    )
    told = (line.partition("  ") for line in done.stdout.splitlines())
    assert {name: text.strip() for name, _, text in told} == described


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_no_page_says_a_thing_twice(page: Path) -> None:
    opened = [text[:40] for text in page.read_text(encoding="utf-8").split("\n\n") if re.match(r"[A-Z]", text)]
    assert [start for start in opened if len(start) == 40 and opened.count(start) > 1] == []


def test_the_log_of_a_rollout_is_where_the_runbooks_say() -> None:
    page, settings = RUNBOOKS.read_text(encoding="utf-8"), load_settings()
    (template,) = (one["template"] for one in render("dagster") if one["kind"] == "PodTemplate")
    places = {
        f"job/{next_name([], 'ID')}",
        f"app.kubernetes.io/component={template['metadata']['labels']['app.kubernetes.io/component']} ",
        f"<TA_REVISION_DIR>{uri_of(settings, 'ID').removeprefix(settings.revision_dir.rstrip('/'))}",
    }
    assert {place for place in places if place not in page} == set()
