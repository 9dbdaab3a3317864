"""Nothing that is installed is left to chance: each Python package and each jar has one version."""

from __future__ import annotations

import re
import tomllib
import xml.etree.ElementTree as ET
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ta_pipeline.local.settings import REPOSITORY

_NOT_FIXED = re.compile(r"[\[\](),]|LATEST|RELEASE|SNAPSHOT|\$\{")
_INSTALLERS = {"pip", "setuptools", "wheel"}
"""`make setup` brings them up to date first: they are not of the program."""


def pins() -> dict[str, str]:
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in lines)
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}


def declared() -> list[Requirement]:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    requirements = [Requirement(text) for group in groups for text in group]
    # One extra may take another one in, by the project's own name.
    return [one for one in requirements if one.name != project["name"]]


def test_each_declared_package_has_one_version() -> None:
    missing = [one.name for one in declared() if canonicalize_name(one.name) not in pins()]
    assert not missing
    other = [str(one) for one in declared() if not one.specifier.contains(pins()[canonicalize_name(one.name)])]
    assert not other


def test_so_has_each_package_that_they_bring_along() -> None:
    known, left, seen = pins(), [(one, "") for one in declared()], set()
    unpinned = set()
    while left:
        requirement, extra = left.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        if name not in known and name not in _INSTALLERS:
            unpinned.add(name)
        for wanted in {"", *requirement.extras}:
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                left += [(Requirement(text), wanted) for text in _requires(name)]
    assert not unpinned
    assert len(seen) > 100


def _requires(name: str) -> list[str]:
    try:
        return distribution(name).requires or []
    except PackageNotFoundError:  # an extra that is not installed here
        return []


POMS = [*sorted((REPOSITORY / "flink").glob("*/pom.xml")), *sorted((REPOSITORY / "tests").rglob("pom.xml"))]


@pytest.mark.parametrize("pom", POMS, ids=lambda pom: pom.parent.name)
def test_each_jar_and_plugin_has_one_version(pom: Path) -> None:
    text = re.sub(r' xmlns="[^"]+"', "", pom.read_text(encoding="utf-8"))
    project = ET.fromstring(text)  # noqa: S314 - our own file
    properties = {one.tag: one.text or "" for one in project.iterfind("./properties/*")}
    found = {}
    for one in [*project.iter("dependency"), *project.iter("plugin"), *project.iter("artifactItem")]:
        version = one.findtext("version") or ""
        for name, value in properties.items():
            version = version.replace("${" + name + "}", value)
        found[one.findtext("artifactId")] = version
    assert found
    assert {name: version for name, version in found.items() if not version or _NOT_FIXED.search(version)} == {}
