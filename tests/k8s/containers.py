"""A container without a container runtime: a process with a root, a user and mounts of its own, in namespaces.

Its root holds the file tree of an image, the machine's base system (/usr, /etc and what they need) in the place of the
image's, and the volumes. All of it is read-only but the volumes that may be written to. Nothing else of the machine is
there: no checkout, no home, no other virtual environment. The network is the machine's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ta_pipeline.kubernetes.image_tree import JAVA_HOME, ImageTree
from ta_pipeline.local.java import java_home

_ENTER = Path(__file__).with_name("enter.py")
_NAMESPACES = ("unshare", "--map-root-user", "--mount")
_BASE_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_DEVICE_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}
_ACCOUNTS = "root:x:0:0:root:/root:/usr/sbin/nologin\nflink:x:{user}:{group}::/opt/flink:/usr/sbin/nologin\n"
HOME = "/opt/flink"


@dataclass(frozen=True)
class Mount:
    """A folder or file of the machine, and where the container has it."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Container:
    """What a command is run in.

    Attributes:
        tree: of the image.
        directory: for this container's own files; nobody else's.
        mounts: in their order.
        environment: on top of the image's.
    """

    tree: ImageTree
    directory: Path
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] | None = None

    def start(self, command: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
        """Start a command; the process is the command's own, and what it prints is appended to `output`."""
        with output.open("ab") as log:
            return subprocess.Popen(
                self._entering(command), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip

    def run(self, command: Sequence[str], timeout_seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self._entering(command), capture_output=True, text=True, check=False, timeout=timeout_seconds,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _entering(self, command: Sequence[str]) -> list[str]:
        self.directory.mkdir(parents=True, exist_ok=True)
        root = self.directory / "root"
        root.mkdir(exist_ok=True)
        user, _, group = self.tree.user.partition(":")
        passwd = self.directory / "passwd"
        passwd.write_text(_ACCOUNTS.format(user=user, group=group), encoding="utf-8")
        links = {one: os.readlink(one) for one in _BASE_SYSTEM if Path(one).is_symlink()}
        binds = [(one, one, False) for one in _BASE_SYSTEM if Path(one).is_dir() and one not in links]
        binds += [(str(passwd), "/etc/passwd", False), (str(java_home()), JAVA_HOME, False)]
        binds += [("/proc", "/proc", True), *((one, one, True) for one in _DEVICES)]
        binds += [(str(one), f"/opt/{one.name}", False) for one in sorted((self.tree.root / "opt").iterdir())]
        if python := self._python():
            binds.append((str(python), str(python), False))
        binds += [(str(one.source), one.target, one.writable) for one in self.mounts]
        wanted = {
            "root": str(root),
            "binds": binds,
            "links": links | _DEVICE_LINKS,
            "user": user,
            "group": group,
            "directory": self.tree.working_directory,
            "environment": {**self.tree.environment, "HOME": HOME, **(self.environment or {})},
            "command": list(command),
        }
        file = self.directory / "container.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(wanted), encoding="utf-8")
        return [*_NAMESPACES, sys.executable, "-I", str(_ENTER), str(file)]

    def _python(self) -> Path | None:
        """Where the interpreter is that the image's virtual environment is made of; None: in the base system."""
        text = (self.tree.root / "opt" / "venv" / "pyvenv.cfg").read_text(encoding="utf-8")
        values = dict(line.split(" = ", 1) for line in text.splitlines())
        prefix = Path(values["home"]).resolve().parent
        return None if prefix.is_relative_to("/usr") else prefix


def why_not() -> str:
    """Why there can be no containers on this machine; empty: there can."""
    missing = [one for one in ("unshare", "setpriv", "pivot_root", "mount", "umount") if shutil.which(one) is None]
    if missing:
        return f"not on PATH: {', '.join(missing)}"
    tried = subprocess.run(
        [*_NAMESPACES, "unshare", "--user", "--map-user=9999", "true"], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"
