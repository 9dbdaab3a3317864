"""The part of a Dockerfile that `k8s/image/Dockerfile` uses, as steps; whatever it does not know is refused.

A `RUN` is taken apart into its commands, and each of them has to be one of these:

    apt-get update, apt-get install, rm -rf /var/lib/apt/lists/*     packages of the base system
    pythonX.Y -m venv DIR                                            a virtual environment
    DIR/bin/pip install --constraint FILE --requirement FILE         packages in it; or an editable install
    ta jars                                                          jars, into $TA_LOCAL_JARS_DIR
    ln -s TARGET LINK                                                a link
    DIR/bin/python -m compileall -q DIR                              bytecode beside the sources

Definition: Docker's "Dockerfile reference".
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NoReturn

from ta_pipeline.errors import ManifestError

_STAGE = re.compile(r"(?P<base>\S+) AS (?P<name>[a-z][a-z-]*)")
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_PYTHON = re.compile(r"python\d+\.\d+")
_SET_BY_RUN = {"TA_LOCAL_JARS_DIR"}


@dataclass(frozen=True)
class SystemPackages:
    """Packages of the base system."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Files of the repository, or of another stage; `to` ends with a slash where it is a folder for certain."""

    sources: tuple[str, ...]
    to: str
    stage: str = ""


@dataclass(frozen=True)
class VirtualEnvironment:
    """An empty virtual environment."""

    at: str


@dataclass(frozen=True)
class PythonPackages:
    """What a file of requirements asks for, in the versions of a file of constraints."""

    at: str
    constraints: str
    requirements: str


@dataclass(frozen=True)
class EditableInstall:
    """The project itself, installed from where it lies."""

    at: str


@dataclass(frozen=True)
class Jars:
    """All jars, as `ta jars` puts them into a folder."""

    at: str


@dataclass(frozen=True)
class Link:
    """A symbolic link; in the folder `at`, if that ends with a slash, under the target's name."""

    target: str
    at: str


@dataclass(frozen=True)
class Bytecode:
    """Compiled files beside all Python sources below a folder."""

    at: str
    environment: str


@dataclass(frozen=True)
class Environment:
    """Variables of whatever runs in the image; `$NAME` in them is what stood there before."""

    variables: Mapping[str, str]

    def added_to(self, before: Mapping[str, str]) -> dict[str, str]:
        """All variables with these.

        Raises:
            ManifestError: a value names a variable that is not there.
        """

        def value_of(match: re.Match[str]) -> str:
            if match[1] not in before:
                raise ManifestError(f"ENV names ${match[1]}, which is not set; set are {', '.join(sorted(before))}")
            return before[match[1]]

        return {**before, **{name: _VARIABLE.sub(value_of, value) for name, value in self.variables.items()}}


@dataclass(frozen=True)
class User:
    """Who runs what comes after it: `uid:gid`, or a name."""

    name: str


@dataclass(frozen=True)
class WorkingDirectory:
    """Where it runs."""

    at: str


@dataclass(frozen=True)
class Entrypoint:
    """What is put before each command."""

    words: tuple[str, ...]


Step = (
    SystemPackages
    | Copy
    | VirtualEnvironment
    | PythonPackages
    | EditableInstall
    | Jars
    | Link
    | Bytecode
    | Environment
    | User
    | WorkingDirectory
    | Entrypoint
)


@dataclass(frozen=True)
class Stage:
    """One stage: the image or stage that it begins with, and its steps."""

    name: str
    base: str
    steps: tuple[Step, ...]


def read_dockerfile(file: Path) -> dict[str, Stage]:
    """The stages of a Dockerfile by name, in their order; arguments have their defaults.

    Raises:
        ManifestError: the file is missing, or has an instruction, an option or a command that is not known here; the
            message has file, line and what it says.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ManifestError(f"there is no {file}") from None
    arguments: dict[str, str] = {}
    stages: dict[str, tuple[str, list[Step]]] = {}
    name = ""
    for number, line in _lines(text):
        where = f"{file}:{number}"
        word, _, rest = line.partition(" ")
        if word == "ARG" and not stages and "=" in rest:
            argument, _, value = rest.partition("=")
            arguments[argument] = value
        elif word == "FROM":
            name, base = _stage(rest, arguments, where)
            if name in stages:
                raise ManifestError(f"{where}: there is a stage {name!r} already")
            stages[name] = (base, [])
        elif not stages:
            _refuse(where, line)
        else:
            stages[name][1].extend(_steps(word, rest, where))
    return {name: Stage(name, base, tuple(steps)) for name, (base, steps) in stages.items()}


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Each instruction on one line, with the number of its first."""
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        first = first or number
        begun += line.removesuffix("\\").strip() + " "
        if not line.endswith("\\"):
            yield first, begun.strip()
            begun, first = "", 0
    if begun:
        yield first, begun.strip()


def _stage(rest: str, arguments: Mapping[str, str], where: str) -> tuple[str, str]:
    found = _STAGE.fullmatch(rest)
    if found is None:
        _refuse(where, f"FROM {rest}")
    base = found["base"]
    if variable := _VARIABLE.fullmatch(base):
        if variable[1] not in arguments:
            raise ManifestError(f"{where}: FROM names {variable[1]}, of which there is no ARG with a default")
        base = arguments[variable[1]]
    return found["name"], base


def _steps(word: str, rest: str, where: str) -> Iterator[Step]:
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise ManifestError(f"{where}: {word} {rest}: {error}") from None
    match word, words:
        case "RUN", [first, *_] if not first.startswith(("--", "<<", "[")):
            yield from _commands(words, where)
        case "COPY", [*sources, to] if not rest.startswith("["):
            yield _copy(sources, to, f"{word} {rest}", where)
        case "ENV", [*pairs] if pairs and all("=" in pair for pair in pairs):
            yield Environment({name: value for name, _, value in (pair.partition("=") for pair in pairs)})
        case "USER", [name]:
            yield User(name)
        case "WORKDIR", [at] if at.startswith("/"):
            yield WorkingDirectory(at)
        case "ENTRYPOINT", _ if re.fullmatch(r"\[.*\]", rest):
            yield Entrypoint(tuple(one.strip(' "') for one in rest[1:-1].split(",") if one.strip()))
        case _:
            _refuse(where, f"{word} {rest}")


def _copy(sources: list[str], to: str, line: str, where: str) -> Copy:
    options = _options(sources)
    names = sources[len(options) :]
    is_known = options == sources[: len(options)] and all(one.startswith("--from=") for one in options)
    if not is_known or len(options) > 1 or not names or not to.startswith("/"):
        _refuse(where, line)
    if any(re.search(r"[*?\[$]|\.\.", one) for one in [*names, to]) or (len(names) > 1 and not to.endswith("/")):
        _refuse(where, line)
    return Copy(tuple(names), to, options[0].removeprefix("--from=") if options else "")


def _commands(words: list[str], where: str) -> Iterator[Step]:
    command: list[str] = []
    inside = ""
    for word in [*words, "&&"]:
        if word != "&&":
            command.append(word)
            continue
        match command:
            case ["cd", at] if at.startswith("/"):
                inside = at
            case _:
                yield from _command(command, inside, where)
        command = []


def _command(command: list[str], inside: str, where: str) -> Iterator[Step]:
    variables: dict[str, str] = {}
    words = list(command)
    while words and re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if any(re.search(r"[;|<>`$&]", word) for word in words) or set(variables) - _SET_BY_RUN:
        _refuse(where, f"RUN {' '.join(command)}")
    match words:
        case ["apt-get", "update"] | ["rm", "-rf", "/var/lib/apt/lists/*"]:
            return
        case ["apt-get", "install", "--yes", "--no-install-recommends", *names] if names and not _options(names):
            yield SystemPackages(tuple(names))
        case [python, "-m", "venv", at] if _PYTHON.fullmatch(python) and at.startswith("/"):
            yield VirtualEnvironment(at)
        case [pip, "install", "--no-cache-dir", "--constraint", constraints, "--requirement", requirements] if (
            at := _in_environment(pip, "pip")
        ):
            yield PythonPackages(at, str(PurePosixPath(inside, constraints)), str(PurePosixPath(inside, requirements)))
        case [pip, "install", "--no-cache-dir", "--constraint", _, "--editable", project] if (
            inside and project.startswith(".") and (at := _in_environment(pip, "pip"))
        ):
            yield EditableInstall(at)
        case [ta, "jars"] if _in_environment(ta, "ta") and "TA_LOCAL_JARS_DIR" in variables:
            yield Jars(variables["TA_LOCAL_JARS_DIR"])
        case ["ln", "-s", target, at] if target.startswith("/") and at.startswith("/"):
            yield Link(target, at)
        case [python, "-m", "compileall", "-q", at] if environment := _in_environment(python, "python"):
            yield Bytecode(at, environment)
        case _:
            _refuse(where, f"RUN {' '.join(command)}")


def _options(words: list[str]) -> list[str]:
    return [word for word in words if word.startswith("-")]


def _in_environment(program: str, name: str) -> str:
    """The virtual environment that a program is in; empty: it is another program."""
    suffix = f"/bin/{name}"
    return program.removesuffix(suffix) if program.startswith("/") and program.endswith(suffix) else ""


def _refuse(where: str, line: str) -> NoReturn:
    raise ManifestError(
        f"{where}: {line!r} is not known here; known are ARG, FROM, USER, ENV, WORKDIR, ENTRYPOINT, COPY of names, and "
        "RUN of the commands that ta_pipeline/kubernetes/dockerfile.py lists"
    )
