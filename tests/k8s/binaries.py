"""etcd and kube-apiserver, built once from the Go module proxy and kept under `.local/k8s/bin`.

Kubernetes is made for its own checkout: its module names its parts (`k8s.io/api`, ...) as lying beside it. For a module
that depends on it, each of them has to be replaced by the one that was released with it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ta_pipeline.local.settings import REPOSITORY

KUBERNETES = "v1.33.13"
ETCD = "v3.5.35"
DIRECTORY = REPOSITORY / ".local" / "k8s"
_BUILD_SECONDS = 3_600
_STAGED = re.compile(r"^\s*(k8s\.io/[a-z0-9.-]+) => \./staging/", re.MULTILINE)


@dataclass(frozen=True)
class Program:
    """One program and the module it is built from.

    Attributes:
        name: of the program.
        package: its main package.
        module: that the package is in.
        version: of the module.
        variables: set in the program by the linker.
    """

    name: str
    package: str
    module: str
    version: str
    variables: dict[str, str] = field(default_factory=dict)


def _of_kubernetes(name: str) -> Program:
    version = {"gitVersion": KUBERNETES, "gitMajor": "1", "gitMinor": KUBERNETES.split(".")[1]}
    return Program(
        name, f"k8s.io/kubernetes/cmd/{name}", "k8s.io/kubernetes", KUBERNETES,
        {f"k8s.io/component-base/version.{key}": value for key, value in version.items()},
    )  # fmt: skip


PROGRAMS = (
    Program("etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", ETCD),
    _of_kubernetes("kube-apiserver"),
)
"""An API server with its store."""
NODE_PROGRAMS = tuple(
    _of_kubernetes(name) for name in ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
)
"""What else makes a cluster of one node."""


def ensure_binaries(programs: Sequence[Program] = PROGRAMS) -> dict[str, Path]:
    """The programs by name; those that are not there in their version are built, which takes minutes.

    Raises:
        RuntimeError: Go is missing, or failed; the message ends with what it said.
    """
    folder = DIRECTORY / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Path] = {}
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for program in programs:
            target = folder / f"{program.name}-{program.version}"
            if not target.exists():
                _build(program, target)
            found[program.name] = target
    return found


def _build(program: Program, target: Path) -> None:
    if shutil.which("go") is None:
        raise RuntimeError(
            f"Go is needed to build {program.name} {program.version}: put `go` on PATH, or the program at {target}"
        )
    module = DIRECTORY / "build" / program.name
    shutil.rmtree(module, ignore_errors=True)
    module.mkdir(parents=True)
    lines = [f"module ta.local/{program.name}", "", "go 1.24.0", "", f"require {program.module} {program.version}"]
    (module / "go.mod").write_text("\n".join([*lines, *_replacements(program, module)]) + "\n", encoding="utf-8")
    flags = " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in program.variables.items())])
    draft = target.with_suffix(".new")
    _go(module, "build", "-trimpath", "-ldflags", flags, "-o", str(draft), program.package)
    draft.replace(target)
    shutil.rmtree(module)


def _replacements(program: Program, module: Path) -> list[str]:
    """Of a module's parts that lie beside it in its checkout, those that were released with it."""
    told = _go(module, "mod", "download", "-json", f"{program.module}@{program.version}")
    released = program.version.replace("v1.", "v0.", 1)
    staged = _STAGED.findall(Path(json.loads(told)["GoMod"]).read_text(encoding="utf-8"))
    return [f"replace {name} => {name} {released}" for name in staged]


def _go(module: Path, *arguments: str) -> str:
    # The toolchain that is there: another one would be fetched without a word.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false"}
    result = subprocess.run(
        ["go", *arguments], cwd=module, env=environment, capture_output=True, text=True, check=False,
        timeout=_BUILD_SECONDS, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if result.returncode:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-15:])
        raise RuntimeError(f"go {' '.join(arguments[:2])} failed for {module.name}:\n{tail}")
    return result.stdout
