"""The files of an image, put together as its Dockerfile says; here a small one, with the steps of the real one."""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import CodeType

import pytest

from ta_pipeline.errors import ImageError, ManifestError
from ta_pipeline.kubernetes.image_tree import DOCKERFILE, ImageTree, assemble
from ta_pipeline.local.flink import distribution
from ta_pipeline.local.settings import load_local_settings

BASE = f"flink:{version('apache-flink')}-scala_2.12-java17"
LINK = f"RUN ln -s /opt/flink/opt/flink-python-{version('apache-flink')}.jar /opt/flink/lib/\n"
PACKAGES = f"""\
ARG FLINK_IMAGE={BASE}
FROM ${{FLINK_IMAGE}} AS python
RUN apt-get update && apt-get install --yes --no-install-recommends python3.12
FROM python AS packages
RUN python3.12 -m venv /opt/venv
COPY constraints.txt required/requirements.txt /build/
RUN /opt/venv/bin/pip install --no-cache-dir --constraint /build/constraints.txt --requirement /build/requirements.txt
FROM packages AS jars
RUN TA_LOCAL_JARS_DIR=/opt/ta/jars /opt/venv/bin/ta jars
FROM python AS job
"""
JOB = f"""\
COPY --from=packages /opt/venv /opt/venv
COPY --from=jars /opt/ta/jars/flink-lib/ /opt/ta/jars/flink-extra/ /opt/flink/lib/
COPY --from=jars /opt/ta/jars/flink-plugins/ /opt/flink/plugins/
{LINK}\
COPY code /opt/flink/usrlib/code
COPY one.txt /opt/flink/usrlib/
COPY one.txt /opt/flink/usrlib/other.txt
RUN /opt/venv/bin/python -m compileall -q /opt/flink/usrlib
ENV PATH=/opt/venv/bin:$PATH ANSWER=42
WORKDIR /opt/flink/usrlib
USER 9999:9999
"""
WHEEL = "tiny-1.0-py3-none-any.whl"


def write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is copied, and a package that needs no network."""
    folder = tmp_path_factory.mktemp("repository")
    wheel = folder / WHEEL
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr("tiny.py", "def main() -> None:\n    print('tiny')\n")
        opened.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        opened.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        opened.writestr("tiny-1.0.dist-info/entry_points.txt", "[console_scripts]\ntiny = tiny:main\n")
        opened.writestr("tiny-1.0.dist-info/RECORD", "")
    write(folder / "constraints.txt", "tiny==1.0\n")
    write(folder / "required" / "requirements.txt", f"{wheel}\n")
    write(folder / "code" / "module.py", "def f() -> int:\n    return 1\n")
    write(folder / "code" / "deep" / "run.sh", "#!/bin/sh\n")
    (folder / "code" / "deep" / "run.sh").chmod(0o755)
    write(folder / "code" / "target" / "built.txt")
    write(folder / "code" / "deep" / ".env", "SECRET=1\n")
    write(folder / "one.txt", "one\n")
    write(folder / "secret.txt", "not let in\n")
    write(folder / ".dockerignore", "*\n!code\n!constraints.txt\n!one.txt\n!required\n**/target\n**/.env\n")
    return folder


def with_dockerfile(repository: Path, job: str, packages: str = PACKAGES) -> Path:
    write(repository / DOCKERFILE, packages + job)
    return repository


def put_together(directory: Path, repository: Path) -> ImageTree:
    return assemble(directory, load_local_settings().jars_dir, repository=repository)


@pytest.fixture(scope="module")
def tree(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> ImageTree:
    return put_together(tmp_path_factory.mktemp("image"), with_dockerfile(repository, JOB))


def test_the_files_of_the_repository_are_where_they_are_copied_to_and_no_others(tree: ImageTree) -> None:
    usrlib = tree.root / "opt" / "flink" / "usrlib"
    found = {str(path.relative_to(usrlib)) for path in usrlib.rglob("*") if path.is_file()}
    compiled = {name for name in found if "__pycache__" in name}
    assert found - compiled == {"code/module.py", "code/deep/run.sh", "one.txt", "other.txt"}
    assert len(compiled) == 1
    assert os.access(usrlib / "code" / "deep" / "run.sh", os.X_OK)
    assert {path.name for path in (tree.root / "opt").iterdir()} == {"flink", "venv"}


def test_stack_traces_show_the_places_of_the_image(tree: ImageTree) -> None:
    (compiled,) = (tree.root / "opt" / "flink" / "usrlib" / "code" / "__pycache__").iterdir()
    code = marshal.loads(compiled.read_bytes()[16:])  # noqa: S302 - it was compiled above
    assert isinstance(code, CodeType)
    assert code.co_filename == "/opt/flink/usrlib/code/module.py"


def test_flink_is_there_with_the_jars_of_the_local_stack_and_python_in_lib(tree: ImageTree) -> None:
    flink = tree.root / "opt" / "flink"
    names = {path.name for path in (flink / "lib").iterdir()}
    jars = load_local_settings().jars_dir
    added = {path.name for folder in ("flink-lib", "flink-extra") for path in (jars / folder).glob("*.jar")}
    shipped = {path.name for path in (distribution() / "lib").iterdir()}
    python = f"flink-python-{version('apache-flink')}.jar"
    assert len(added) > 4
    assert names == added | shipped | {python}
    assert (flink / "lib" / python).readlink() == Path(f"/opt/flink/opt/{python}")
    assert list((flink / "plugins" / "s3-fs-hadoop").glob("flink-s3-fs-hadoop-*.jar"))
    assert list((flink / "plugins" / "metrics-prometheus").glob("*.jar"))
    assert os.access(flink / "bin" / "standalone-job.sh", os.X_OK)
    assert (flink / "log").is_dir()


def test_the_virtual_environment_has_the_packages_and_names_its_place_in_the_image(tree: ImageTree) -> None:
    place = tree.root / "opt" / "venv"
    done = subprocess.run(
        [str(place / "bin" / "python"), "-c", "import tiny; tiny.main()"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "tiny\n"
    assert (place / "bin" / "tiny").read_text(encoding="utf-8").startswith("#!/opt/venv/bin/python")
    own = [path for path in [*(place / "bin").iterdir(), place / "pyvenv.cfg"] if not path.is_symlink()]
    assert [path.name for path in own if str(tree.root).encode() in path.read_bytes()] == []


def test_what_runs_in_it_is_said_as_an_image_says_it(tree: ImageTree) -> None:
    said = json.loads((tree.root.parent / "config.json").read_text(encoding="utf-8"))["config"]
    variables = dict(one.split("=", 1) for one in said["Env"])
    assert variables == tree.environment
    assert variables["PATH"].startswith("/opt/venv/bin:/opt/flink/bin:/opt/java/openjdk/bin:")
    assert variables["ANSWER"] == "42"
    assert (said["User"], said["WorkingDir"]) == ("9999:9999", "/opt/flink/usrlib")
    assert (tree.user, tree.working_directory) == ("9999:9999", "/opt/flink/usrlib")
    assert tree.left_out == ("python3.12",)


def test_a_second_time_packages_are_kept_until_they_are_others_and_all_else_is_made_anew(
    repository: Path, tmp_path: Path
) -> None:
    with_dockerfile(repository, JOB)
    tree = put_together(tmp_path, repository)
    old = (tree.root / "opt" / "venv" / "old", tree.root / "opt" / "flink" / "usrlib" / "old")
    for file in old:
        file.touch()
    put_together(tmp_path, repository)
    assert [file.exists() for file in old] == [True, False]
    constraints = repository / "constraints.txt"
    before = constraints.read_text(encoding="utf-8")
    constraints.write_text(before + "other==1\n", encoding="utf-8")
    try:
        put_together(tmp_path, repository)
    finally:
        constraints.write_text(before, encoding="utf-8")
    assert not old[0].exists()
    assert (tree.root / "opt" / "venv" / "bin" / "tiny").exists()


REFUSED: list[tuple[str, str]] = [
    ("COPY nowhere /a\n", "COPY nowhere: it is not in"),
    ("COPY secret.txt /a\n", r"COPY secret\.txt: it is not in .*, or \.dockerignore keeps it out"),
    ("COPY code/target /a\n", "COPY code/target: it is not in"),
    ("COPY --from=other /a /a\n", "COPY --from=other: there is no such stage; there are python, packages, jars, job"),
    ("COPY --from=packages /build /a\n", "COPY --from=packages /build: no command of that stage is known to make it"),
    ("COPY --from=packages /opt/venv /opt/elsewhere\n", "it works in its own place only"),
    ("RUN ln -s /opt/nowhere /opt/here\n", "there is no /opt/nowhere"),
    ("ENV A=$B\n", r"ENV names \$B, which is not set"),
    (
        "RUN cd /opt && /opt/venv/bin/pip install --no-cache-dir --constraint c --editable '.'\n",
        "EditableInstall.*, which is not done here",
    ),
    (
        "RUN /opt/venv/bin/pip install --no-cache-dir --constraint /build/c --requirement /build/r\n",
        "/build/c is used in the stage 'job', but nothing there copies it",
    ),
]


@pytest.mark.parametrize(("job", "said"), REFUSED)
def test_what_would_fail_or_be_something_else_in_docker_fails_here(
    repository: Path, tmp_path: Path, job: str, said: str
) -> None:
    with pytest.raises(ManifestError, match=said):
        put_together(tmp_path, with_dockerfile(repository, job))


def test_another_base_than_the_flink_that_is_here_is_refused(repository: Path, tmp_path: Path) -> None:
    other = PACKAGES.replace(BASE, "flink:1.20.1-scala_2.12-java17")
    with pytest.raises(
        ManifestError, match=r"the base image is 'flink:1\.20\.1-scala_2\.12-java17'; the Flink .* here"
    ):
        put_together(tmp_path, with_dockerfile(repository, JOB, other))


def test_a_target_that_is_no_stage_is_refused_with_those_that_are(repository: Path, tmp_path: Path) -> None:
    with_dockerfile(repository, JOB)
    with pytest.raises(ManifestError, match="no stage 'jobs'; there are python, packages, jars, job"):
        assemble(tmp_path, tmp_path, repository=repository, target="jobs")


@pytest.mark.parametrize(
    ("python", "said"),
    [
        (lambda folder: str(folder / "python"), "cannot be run: No such file or directory"),
        (lambda _folder: "false", r"false -m venv .* failed \(exit status 1\):"),
    ],
)
def test_a_step_that_fails_is_told_and_leaves_nothing_that_is_taken_for_done(
    repository: Path, tmp_path: Path, python: Callable[[Path], str], said: str
) -> None:
    with_dockerfile(repository, JOB)
    jars = load_local_settings().jars_dir
    for _ in range(2):
        with pytest.raises(ImageError, match=said):
            assemble(tmp_path, jars, repository=repository, python=python(tmp_path))
    assert assemble(tmp_path, jars, repository=repository, python=sys.executable).user == "9999:9999"
