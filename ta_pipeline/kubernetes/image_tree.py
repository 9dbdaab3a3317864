"""The files of the job's image in a folder, put together without Docker; `make image-tree`.

What goes where is read from `k8s/image/Dockerfile`; what `.dockerignore` keeps out stays out. Under the folder:

    root/          the file tree: /opt/flink, /opt/venv
    config.json    Env, User and WorkingDir, as an image's configuration has them

What stands in for the base image: Flink is the distribution inside the apache-flink wheel, Python and Java are the
machine's. Packages of the base system are not installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from ta_pipeline.errors import ManifestError, TaError
from ta_pipeline.kubernetes.dockerfile import (
    Bytecode,
    Copy,
    EditableInstall,
    Entrypoint,
    Environment,
    Jars,
    Link,
    PythonPackages,
    Stage,
    Step,
    SystemPackages,
    User,
    VirtualEnvironment,
    WorkingDirectory,
    read_dockerfile,
)
from ta_pipeline.kubernetes.dockerignore import Ignored
from ta_pipeline.kubernetes.image_files import clear, link_or_copy, put, relocate, run
from ta_pipeline.local.flink import distribution
from ta_pipeline.local.jars import ensure_jars
from ta_pipeline.local.settings import REPOSITORY, load_local_settings

DOCKERFILE = PurePosixPath("k8s/image/Dockerfile")
TARGET = "job"
FLINK = PurePosixPath("/opt/flink")
JAVA_HOME = "/opt/java/openjdk"
"""Where the base image has Java; the folder is not in the tree."""
BASE_ENVIRONMENT = {
    "PATH": f"{FLINK}/bin:{JAVA_HOME}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "JAVA_HOME": JAVA_HOME,
    "FLINK_HOME": str(FLINK),
    "LANG": "C.UTF-8",
}
"""What the base image sets; it has en_US.UTF-8, which not every machine has."""
_DISTRIBUTION = ("bin", "conf", "lib", "opt", "plugins")


@dataclass(frozen=True)
class ImageTree:
    """An assembled tree.

    Attributes:
        root: what is `/` in the image.
        environment: of whatever runs in it.
        user: `uid:gid`.
        working_directory: where it runs.
        left_out: packages of the base system that are not in it.
    """

    root: Path
    environment: Mapping[str, str]
    user: str
    working_directory: str
    left_out: tuple[str, ...]


def assemble(
    directory: Path, jars: Path, *, repository: Path = REPOSITORY, python: str = sys.executable, target: str = TARGET
) -> ImageTree:
    """Put the tree together anew; packages of Python that are there in their versions are kept.

    Args:
        directory: nobody else's.
        jars: the folder of jars that local stacks share; resolved when they are not there.
        repository: with `k8s/image/Dockerfile` and what it copies.
        python: the interpreter that the virtual environment is made of.
        target: the Dockerfile's stage.

    Raises:
        ManifestError: the Dockerfile has something that is not known here, or names what is not there.
        ImageError: a step failed; the message ends with what it said.
        StackError: Maven is missing or failed.
    """
    stages = read_dockerfile(repository / DOCKERFILE)
    if target not in stages:
        raise ManifestError(f"{DOCKERFILE} has no stage {target!r}; there are {', '.join(stages)}")
    return _Assembly(directory, jars, repository, python, stages).run(target)


@dataclass
class _Assembly:
    directory: Path
    jars: Path
    repository: Path
    python: str
    stages: Mapping[str, Stage]
    environment: dict[str, str] = field(default_factory=lambda: dict(BASE_ENVIRONMENT))
    user: str = ""
    working_directory: str = str(FLINK)
    left_out: list[str] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.directory / "root"

    def run(self, target: str) -> ImageTree:
        self.directory.mkdir(parents=True, exist_ok=True)
        base, steps = self._chain(target)
        kept = [one.at for one in self._needed(steps) if isinstance(one, VirtualEnvironment)]
        clear(self.root, [self._inside(at) for at in kept])
        self._flink(base)
        for step in steps:
            self._take(step, target)
        tree = ImageTree(self.root, self.environment, self.user, self.working_directory, tuple(self.left_out))
        configuration = {"Env": [f"{name}={value}" for name, value in self.environment.items()], "User": self.user}
        content = json.dumps({"config": {**configuration, "WorkingDir": self.working_directory}}, indent=2)
        (self.directory / "config.json").write_text(content + "\n", encoding="utf-8")
        return tree

    def _chain(self, name: str) -> tuple[str, list[Step]]:
        """The image that a stage begins with at last, and all steps since."""
        stage = self.stages[name]
        if stage.base not in self.stages:
            return stage.base, list(stage.steps)
        base, steps = self._chain(stage.base)
        return base, [*steps, *stage.steps]

    def _needed(self, steps: Sequence[Step]) -> Iterator[Step]:
        """The steps, and those of other stages that made what they copy."""
        for step in steps:
            if isinstance(step, Copy) and step.stage:
                for source in step.sources:
                    yield from self._makers(step.stage, source)
            else:
                yield step

    def _makers(self, stage: str, path: str) -> list[Step]:
        """The steps of a stage that made a path, in their order."""
        if stage not in self.stages:
            raise ManifestError(f"COPY --from={stage}: there is no such stage; there are {', '.join(self.stages)}")
        made: list[Step] = [
            step
            for step in self._chain(stage)[1]
            if isinstance(step, VirtualEnvironment | PythonPackages | EditableInstall | Jars)
            and PurePosixPath(path).is_relative_to(step.at)
        ]
        if not made:
            raise ManifestError(f"COPY --from={stage} {path}: no command of that stage is known to make it")
        return made

    def _flink(self, base: str) -> None:
        wanted = f"flink:{version('apache-flink')}-"
        if not base.startswith(wanted):
            raise ManifestError(f"the base image is {base!r}; the Flink that is here is {wanted}...")
        for name in _DISTRIBUTION:
            put(distribution() / name, self._inside(FLINK / name), copy=link_or_copy)
        self._inside(FLINK / "log").mkdir(exist_ok=True)

    def _take(self, step: Step, stage: str) -> None:
        match step:
            case SystemPackages(names):
                self.left_out += names
            case Copy(sources, to, ""):
                for source in sources:
                    self._copy(source, to)
            case Copy(sources, to, other):
                for source in sources:
                    for maker in self._makers(other, source):
                        self._make(maker, other, source, to)
            case VirtualEnvironment(at) | PythonPackages(at) | EditableInstall(at) | Jars(at):
                self._make(step, stage, at, at)
            case Link(target, at):
                self._link(target, at)
            case Bytecode(at, environment):
                # The paths in it, which stack traces show, are those of the image.
                program = str(self._inside(environment) / "bin" / "python")
                places = ["-s", str(self.root), "-p", "/"]
                run([program, "-m", "compileall", "-q", *places, str(self._inside(at))])
            case _:
                self._configure(step)

    def _configure(self, step: Step) -> None:
        match step:
            case Environment():
                self.environment = step.added_to(self.environment)
            case User(name):
                self.user = name
            case WorkingDirectory(at):
                self.working_directory = at
            case Entrypoint():  # the base image's own is not in the tree either
                pass

    def _make(self, step: Step, stage: str, source: str, to: str) -> None:
        match step:
            case Jars(at):
                ensure_jars(self.jars)
                found = self.jars / PurePosixPath(source).relative_to(at)
                put(found, self._inside(to), copy=link_or_copy)
            case VirtualEnvironment(at):
                if not at == source == to:
                    raise ManifestError(
                        f"the virtual environment {at} is copied as {to}: it works in its own place only"
                    )
            case PythonPackages(at, constraints, requirements):
                files = [self._file_of(stage, one) for one in (constraints, requirements)]
                self._install(self._inside(at), at, *files)
            case _:
                raise ManifestError(f"{source} of the stage {stage!r} is made by {step}, which is not done here")

    def _copy(self, source: str, to: str) -> None:
        found = self.repository / source
        rules = Ignored.read(self.repository / ".dockerignore")
        if not found.exists() or rules.holds(PurePosixPath(source)):
            raise ManifestError(f"COPY {source}: it is not in {self.repository}, or .dockerignore keeps it out")
        target = self._inside(to)
        if found.is_file():
            target = target / found.name if to.endswith("/") else target
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(found, target)
            return

        def left_out(folder: str, names: list[str]) -> set[str]:
            inside = PurePosixPath(Path(folder).relative_to(self.repository))
            return {name for name in names if rules.holds(inside / name)}

        put(found, target, ignore=left_out)

    def _file_of(self, stage: str, path: str) -> Path:
        """The file of the repository that a stage has at a path."""
        for step in self._chain(stage)[1]:
            if isinstance(step, Copy) and not step.stage:
                for source in step.sources:
                    name = PurePosixPath(step.to, PurePosixPath(source).name) if step.to.endswith("/") else step.to
                    if str(name) == path:
                        return self.repository / source
        raise ManifestError(f"{path} is used in the stage {stage!r}, but nothing there copies it")

    def _link(self, target: str, at: str) -> None:
        if not self._inside(target).exists():
            raise ManifestError(f"ln -s {target} {at}: there is no {target}")
        link = self._inside(at)
        if at.endswith("/"):
            link /= PurePosixPath(target).name
        link.symlink_to(target)

    def _install(self, place: Path, at: str, constraints: Path, requirements: Path) -> None:
        marker = self.directory / ".packages.sha256"
        digest = hashlib.sha256(self.python.encode())
        for file in (constraints, requirements):
            digest.update(file.read_bytes())
        if place.exists() and marker.exists() and marker.read_text(encoding="ascii") == digest.hexdigest():
            return
        marker.unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        run([self.python, "-m", "venv", str(place)])
        pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        run([*pip, "--constraint", str(constraints), "--requirement", str(requirements)])
        relocate(place, at)
        marker.write_text(digest.hexdigest(), encoding="ascii")

    def _inside(self, path: str | PurePosixPath) -> Path:
        return self.root / PurePosixPath(path).relative_to("/")


def main() -> None:
    """Assemble the tree of the job's image in a folder."""
    local = load_local_settings()
    parser = argparse.ArgumentParser(description="The files of the job's image in a folder, without Docker.")
    parser.add_argument("directory", type=Path, nargs="?", default=local.dir / "image", help="default: %(default)s")
    parser.add_argument("--python", default=sys.executable, help="the interpreter of /opt/venv; default: %(default)s")
    arguments = parser.parse_args()
    try:
        tree = assemble(arguments.directory, local.jars_dir, python=arguments.python)
    except TaError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{tree.root}: assembled; left to the base system: {', '.join(tree.left_out)}\n")


if __name__ == "__main__":
    main()
