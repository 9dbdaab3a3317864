"""The images: built of pinned parts, with everything that runs in them, for nobody who is root."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from ta_pipeline.kubernetes.manifests import render
from ta_pipeline.local.releases import make_release
from ta_pipeline.local.settings import REPOSITORY, load_local_settings
from tests.manifests import pods_of

FOLDER = REPOSITORY / "k8s" / "image"
OURS = {"flink", "ta_pipeline", "orchestration"}
OUR_FOLDERS = [REPOSITORY / name for name in sorted(OURS)]
LIST_MODULES = """\
import importlib, json, sys, warnings
warnings.simplefilter("ignore")
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps([one.__file__ for one in list(sys.modules.values()) if getattr(one, "__file__", None)]))
"""


def instructions(target: str | None = None) -> list[tuple[str, str, str]]:
    """Stage, instruction and rest of each line of the Dockerfile; of one stage if one is named."""
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip() and not line.startswith("#")]
    stage, found = "", []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stage = rest.split(" AS ")[1]
        found.append((stage, word, " ".join(rest.split())))
    return [one for one in found if target in {None, one[0]}]


def argument(name: str) -> str:
    (value,) = [rest.partition("=")[2] for _, word, rest in instructions() if word == "ARG" and rest.startswith(name)]
    return value


def test_the_base_is_the_official_image_of_the_pinned_flink_with_java_17() -> None:
    assert argument("FLINK_IMAGE") == f"flink:{version('apache-flink')}-scala_2.12-java17"


def test_every_stage_begins_with_that_image_or_with_another_stage() -> None:
    stages = [rest.split(" AS ") for _, word, rest in instructions() if word == "FROM"]
    names = {name for _, name in stages}
    assert {"job", "platform"} <= names
    assert {base for base, _ in stages} <= names | {"${FLINK_IMAGE}"}


def test_its_python_is_one_that_the_project_runs_on() -> None:
    (packages,) = [rest for _, word, rest in instructions("python") if word == "RUN"]
    (python,) = set(re.findall(r" python(\d\.\d+)", packages))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(f"{python}.0")
    # Thread mode loads it into the TaskManager's process.
    assert f"libpython{python}" in packages


def test_both_images_run_as_the_user_of_the_manifests() -> None:
    users = {pods.spec["securityContext"]["runAsUser"] for pods in pods_of(render("dagster"))}
    for target in ("job", "platform"):
        last = [rest for _, word, rest in instructions(target) if word == "USER"][-1]
        assert {int(last.split(":")[0])} == users


def test_packages_are_installed_with_their_one_version() -> None:
    installs = [rest for _, word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint" in one and "constraints.txt" in one for one in installs)


def test_what_is_copied_is_there_and_is_let_in() -> None:
    ignore = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    let_in = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert all((REPOSITORY / name).exists() for name in let_in)
    assert not let_in & {".local", ".venv", ".git", ".env", "tests", "docs"}
    copied = set()
    for _, word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from"):
            for source in rest.split()[:-1]:
                assert (REPOSITORY / source).exists(), source
                copied.add(Path(source).parts[0])
    assert copied == let_in


def test_the_job_is_in_the_image_as_it_is_rolled_out_on_the_local_stack(tmp_path: Path) -> None:
    local = load_local_settings(dir=tmp_path)
    released = {path.name for path in make_release(local, REPOSITORY).path.iterdir() if path.is_dir()}
    copies = {rest for _, word, rest in instructions("job") if word == "COPY"}
    assert {f"{name} /opt/flink/usrlib/{name}" for name in released} <= copies


def test_flink_finds_python_packages_jars_and_the_plugin_of_s3_where_the_manifests_say() -> None:
    stage = {rest for _, word, rest in instructions("job") if word in {"COPY", "RUN", "ENV"}}
    flink_version = version("apache-flink")
    for wanted in (
        "--from=job-packages /opt/venv /opt/venv",
        "--from=jars /opt/ta/jars/flink-lib/ /opt/ta/jars/flink-extra/ /opt/flink/lib/",
        "--from=jars /opt/ta/jars/flink-plugins/ /opt/flink/plugins/",
        f"ln -s /opt/flink/opt/flink-python-{flink_version}.jar /opt/flink/lib/",
    ):
        assert wanted in stage
    (environment,) = [rest for _, word, rest in instructions("job") if word == "ENV"]
    assert {"PATH=/opt/venv/bin:$PATH", "PYTHONPATH=/opt/flink/usrlib"} <= set(environment.split())


def test_make_builds_the_images_that_the_overlays_name() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    values = dict(re.findall(r"^([A-Z_]+) +\?= (\S+)$", makefile, re.MULTILINE))
    assert values["FLINK_IMAGE"] == argument("FLINK_IMAGE")
    named = {one["image"] for pods in pods_of(render("dagster")) for one in pods.containers()}
    assert named == {f"{values['IMAGE']}:{values['TAG']}", f"{values['IMAGE']}-platform:{values['TAG']}"}
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert values["TAG"] == project["version"]


def test_what_the_job_the_clock_and_the_probe_import_is_installed() -> None:
    names = ["flink.job", "flink.table_job", "ta_pipeline.clock", "ta_pipeline.probe_server"]
    done = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *names],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        timeout=120,
    )
    # The environment of the tests lies in the checkout too.
    ours = [Path(file) for file in json.loads(done.stdout) if any(map(Path(file).is_relative_to, OUR_FOLDERS))]
    assert len(ours) > 40
    imported = {name for file in ours for name in imports_of(file)} - OURS - set(sys.stdlib_module_names)
    owners = packages_distributions()
    needed = {name: {canonicalize_name(owner) for owner in owners[name]} for name in imported}
    assert "apache-flink" in needed["pyflink"]
    there = installed()
    assert {name: by for name, by in needed.items() if not by & there} == {}
    listed = {canonicalize_name(Requirement(line).name) for line in required()}
    assert listed <= {one for by in needed.values() for one in by}


def imports_of(file: Path) -> Iterator[str]:
    """The top-level names of what a module imports, wherever in it."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0]


def required() -> list[str]:
    lines = (FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def installed() -> set[str]:
    """The packages of the job's image, with those that they bring along."""
    left = [(Requirement(line), "") for line in required()]
    found: set[str] = set()
    while left:
        one, extra = left.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(one.name)
        for wanted in {"", *one.extras}:
            if f"{name}[{wanted}]" not in found:
                found.add(f"{name}[{wanted}]")
                left += [(Requirement(text), wanted) for text in requires(name) or ()]
    return {name.partition("[")[0] for name in found}
