"""A Dockerfile is read to the last word, or not at all."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from ta_pipeline.errors import ManifestError
from ta_pipeline.kubernetes.dockerfile import (
    Bytecode,
    Copy,
    EditableInstall,
    Entrypoint,
    Environment,
    Jars,
    Link,
    PythonPackages,
    Step,
    SystemPackages,
    User,
    VirtualEnvironment,
    WorkingDirectory,
    read_dockerfile,
)
from ta_pipeline.kubernetes.dockerignore import Ignored
from ta_pipeline.kubernetes.image_tree import DOCKERFILE
from ta_pipeline.local.settings import REPOSITORY

BEGIN = "ARG BASE=flink:1\nFROM ${BASE} AS one\n"


def steps(tmp_path: Path, text: str) -> tuple[Step, ...]:
    file = tmp_path / "Dockerfile"
    file.write_text(BEGIN + text, encoding="utf-8")
    return read_dockerfile(file)["one"].steps


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("USER 9999:9999", User("9999:9999")),
        ("WORKDIR /opt/flink", WorkingDirectory("/opt/flink")),
        ("ENTRYPOINT []", Entrypoint(())),
        ('ENTRYPOINT ["a", "b"]', Entrypoint(("a", "b"))),
        ('ENV PATH=/a:$PATH B="c d"', Environment({"PATH": "/a:$PATH", "B": "c d"})),
        ("COPY a /b", Copy(("a",), "/b")),
        ("COPY a b/c /d/", Copy(("a", "b/c"), "/d/")),
        ("COPY --from=other /a/ /b/", Copy(("/a/",), "/b/", "other")),
        ("RUN apt-get install --yes --no-install-recommends a b", SystemPackages(("a", "b"))),
        ("RUN python3.12 -m venv /v", VirtualEnvironment("/v")),
        (
            "RUN /v/bin/pip install --no-cache-dir --constraint /c --requirement /r",
            PythonPackages("/v", "/c", "/r"),
        ),
        (
            "RUN cd /s && /v/bin/pip install --no-cache-dir --constraint c --requirement r",
            PythonPackages("/v", "/s/c", "/s/r"),
        ),
        ("RUN cd /s && /v/bin/pip install --no-cache-dir --constraint c --editable '.[x]'", EditableInstall("/v")),
        ("RUN TA_LOCAL_JARS_DIR=/j /v/bin/ta jars", Jars("/j")),
        ("RUN ln -s /a/b.jar /c/", Link("/a/b.jar", "/c/")),
        ("RUN /v/bin/python -m compileall -q /c", Bytecode("/c", "/v")),
    ],
)
def test_what_is_known_becomes_a_step(tmp_path: Path, line: str, step: Step) -> None:
    assert steps(tmp_path, line) == (step,)


def test_the_commands_of_one_line_are_steps_in_their_order(tmp_path: Path) -> None:
    text = "# a comment\nRUN apt-get update \\\n # another\n && ln -s /a /b \\\n && rm -rf /var/lib/apt/lists/*"
    text += " && ln -s /c /d\n"
    assert steps(tmp_path, text) == (Link("/a", "/b"), Link("/c", "/d"))


@pytest.mark.parametrize(
    "line",
    [
        "ADD a /b",
        "HEALTHCHECK NONE",
        "run ln -s /a /b",
        "COPY --chown=1:1 a /b",
        "COPY --from=x --link /a /b",
        "COPY --from=x --from=y /a /b",
        "COPY a* /b/",
        "COPY ../a /b/",
        "COPY a b",
        "COPY a b /c",
        "COPY $A /b",
        'COPY ["a", "/b"]',
        "COPY a",
        "ENV A b",
        "WORKDIR here",
        "ENTRYPOINT run",
        'CMD ["a"]',
        "RUN",
        "RUN curl x",
        "RUN --mount=type=cache,target=/x ln -s /a /b",
        'RUN ["ln", "-s", "/a", "/b"]',
        "RUN <<END",
        "RUN ln -s /a /b; touch /c",
        "RUN ln -s /a /b | cat",
        "RUN ln -s /a /b || true",
        "RUN ln -s /a /b &&",
        "RUN ln -s /a $B",
        "RUN ln -sf /a /b",
        "RUN apt-get install a",
        "RUN apt-get install --yes --no-install-recommends",
        "RUN apt-get install --yes --no-install-recommends --reinstall a",
        "RUN pip install --no-cache-dir --constraint c --requirement r",
        "RUN /v/bin/pip install --no-cache-dir --constraint c --requirement r extra",
        "RUN /v/bin/pip install --no-cache-dir --constraint c --editable .",
        "RUN /v/bin/ta jars",
        "RUN OTHER=1 TA_LOCAL_JARS_DIR=/j /v/bin/ta jars",
        "RUN rm -rf /",
        "RUN 'unclosed",
    ],
)
def test_what_is_not_known_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    with pytest.raises(ManifestError, match=r"Dockerfile:4: ") as raised:
        steps(tmp_path, f"USER root\n{line}\nUSER root\n")
    assert line.split(maxsplit=1)[0] in str(raised.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("USER root\n", ":1: 'USER root' is not known here"),
        ("FROM a\n", ":1: 'FROM a' is not known here"),
        ("FROM ${A} AS one\n", ":1: FROM names A, of which there is no ARG with a default"),
        ("ARG A\nFROM ${A} AS one\n", ":1: 'ARG A' is not known here"),
        ("FROM a AS one\nFROM b AS one\n", ":2: there is a stage 'one' already"),
    ],
)
def test_a_stage_has_a_name_of_its_own_and_a_base(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ManifestError) as raised:
        read_dockerfile(file)
    assert f"{file}{said}" in str(raised.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"there is no .*Dockerfile$"):
        read_dockerfile(tmp_path / "Dockerfile")
    with pytest.raises(ManifestError, match=r"there is no .*\.dockerignore$"):
        Ignored.read(tmp_path / ".dockerignore")


def test_variables_are_put_together_from_those_before() -> None:
    step = Environment({"PATH": "/a:$PATH", "B": "${C}d"})
    assert step.added_to({"PATH": "/x", "C": "c"}) == {"PATH": "/a:/x", "C": "c", "B": "cd"}
    with pytest.raises(ManifestError, match=r"ENV names \$C, which is not set; set are PATH"):
        step.added_to({"PATH": "/x"})


def test_our_own_dockerfile_is_known_as_a_whole() -> None:
    stages = read_dockerfile(REPOSITORY / DOCKERFILE)
    assert {name: stage.base in stages for name, stage in stages.items()} == {
        "python": False, "job-packages": True, "platform-packages": True, "jars": True, "job": True, "platform": True,
    }  # fmt: skip
    made = [step for stage in stages.values() for step in stage.steps if not isinstance(step, Copy)]
    assert {type(step).__name__ for step in made} >= {"Jars", "PythonPackages", "EditableInstall", "Link", "Bytecode"}


def test_an_ignore_file_lets_in_what_it_names_but_for_what_is_called_so() -> None:
    ignored = Ignored.read(REPOSITORY / ".dockerignore")
    kept_out = {
        name: ignored.holds(PurePosixPath(name))
        for name in ("flink", "flink/job.py", "flink/java/target/a", "ta_pipeline/__pycache__/a.pyc", "tests/a", ".git",
                     "k8s/.env", "k8s/a.egg-info/b", "ta_pipeline.egg-info")
    }  # fmt: skip
    assert [name for name, is_out in kept_out.items() if not is_out] == ["flink", "flink/job.py"]


@pytest.mark.parametrize("rules", ["", "!a\n", "*\n!a/b\n", "*\n!a*\n", "*\n**/a/b\n", "*\n**/a\n!b\n", "*\na\n"])
def test_an_ignore_file_of_another_kind_is_refused(tmp_path: Path, rules: str) -> None:
    file = tmp_path / ".dockerignore"
    file.write_text(rules, encoding="utf-8")
    with pytest.raises(ManifestError, match="known here are a first rule"):
        Ignored.read(file)
