"""Images without a registry and without Docker: file trees, packed as archives that containerd imports.

The job's is Flink 1.20 as it comes inside the apache-flink wheel, under /opt/flink, with PyFlink under /opt/venv. The
base system is the machine's: the pods have its /usr as a volume that cannot be written to (`base_system`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from ta_pipeline.kubernetes.image_files import link_or_copy, put, relocate, run
from ta_pipeline.kubernetes.image_tree import BASE_ENVIRONMENT, FLINK, JAVA_HOME
from ta_pipeline.local.java import java_home

FLINK_VERSION = "1.20.5"
PYTHONS = ((3, 8), (3, 11))
"""The oldest and the newest Python that this PyFlink runs on."""
USER = 9999
PAUSE = "ta.local/pause:1"
_OF_THE_DISTRIBUTION = ("bin", "conf", "lib", "opt", "plugins")
_LEFT_OUT = (*_OF_THE_DISTRIBUTION, "examples", "licenses", "log")
_LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OF_ETC = ("alternatives", "java-17-openjdk", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf")
_ENTRYPOINT = '#!/bin/sh\n# What the operator and Flink call: the image of Flink does no more for them.\nexec "$@"\n'
_ACCOUNTS = f"root:x:0:0::/root:/usr/sbin/nologin\nflink:x:{USER}:{USER}::/opt/flink:/usr/sbin/nologin\n"
_PAUSE_SOURCE = """\
package main

import (
\t"os"
\t"os/signal"
\t"syscall"
)

func main() {
\tended := make(chan os.Signal, 1)
\tsignal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
\t<-ended
}
"""


def base_system() -> list[Path]:
    """Folders of this machine that the image leaves out, each to be seen in its own place in a pod."""
    found = [Path("/usr")]
    for one in (java_home().resolve(), _prefix(_python())):
        if not any(one.is_relative_to(there) for there in found):
            found.append(one)
    return found


def why_not() -> str:
    """Why there can be no image of the job; empty: there can."""
    found = _version(_python())
    if PYTHONS[0] <= found <= PYTHONS[1]:
        return ""
    oldest, newest, this = (".".join(map(str, one)) for one in (*PYTHONS, found))
    return f"PyFlink {FLINK_VERSION} runs on Python {oldest} to {newest}, {_python()} is {this}: set OPERATOR_PYTHON"


def job_archive(directory: Path, jars: Path, program: Path, names: Sequence[str]) -> Path:
    """The image of the job as an archive; made anew when something in it is another.

    Args:
        directory: nobody else's; what was installed is kept there.
        jars: folder with `s3-fs-hadoop/`.
        program: of the job.
        names: of the image, with tags.
    """
    archive, marker = directory / "job.tar", directory / "job.sha256"
    digest = hashlib.sha256("\n".join([FLINK_VERSION, str(_python()), *names]).encode())
    for file in (Path(__file__), program):
        digest.update(file.read_bytes())
    if archive.exists() and marker.exists() and marker.read_text(encoding="ascii") == digest.hexdigest():
        return archive
    marker.unlink(missing_ok=True)
    tree = _job_tree(directory, jars, program)
    environment = {**BASE_ENVIRONMENT, "PATH": f"/opt/venv/bin:{BASE_ENVIRONMENT['PATH']}"}
    pack(tree, archive, names, environment)
    marker.write_text(digest.hexdigest(), encoding="ascii")
    return archive


def pause_archive(directory: Path) -> Path:
    """The image of what holds a pod's namespaces: a program that waits to be ended; Go builds it."""
    archive = directory / "pause.tar"
    if not archive.exists():
        source = directory / "pause"
        (source / "root").mkdir(parents=True, exist_ok=True)
        (source / "main.go").write_text(_PAUSE_SOURCE, encoding="utf-8")
        subprocess.run(
            ["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "root/pause", "main.go"], cwd=source, check=True,
            env={**os.environ, "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": ""}, timeout=600,
        )  # fmt: skip
        pack(source / "root", archive, [PAUSE], {}, ["/pause"])
    return archive


def pack(
    tree: Path, archive: Path, names: Sequence[str], environment: Mapping[str, str], entrypoint: Sequence[str] = ()
) -> None:
    """Put a tree into an archive of the form that `docker save` has, as an image of one layer; all of it is root's."""
    draft = archive.with_suffix(".new")
    layer = archive.with_suffix(".layer")
    with tarfile.open(layer, "w") as file:
        file.add(tree, ".", filter=_of_root)
    digest = hashlib.sha256()
    with layer.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [f"{key}={value}" for key, value in environment.items()], "Entrypoint": list(entrypoint)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest.hexdigest()}"]},
    }
    content = [{"Config": "config.json", "RepoTags": list(names), "Layers": ["layer.tar"]}]
    with tarfile.open(draft, "w") as file:
        for name, value in (("config.json", configuration), ("manifest.json", content)):
            inside = draft.with_name(name)
            inside.write_text(json.dumps(value), encoding="utf-8")
            file.add(inside, name)
            inside.unlink()
        file.add(layer, "layer.tar")
    layer.unlink()
    draft.replace(archive)


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _job_tree(directory: Path, jars: Path, program: Path) -> Path:
    root = directory / "root"
    installed = _install(directory / "venv")
    shutil.rmtree(root, ignore_errors=True)
    inside = root / FLINK.relative_to("/")
    (pyflink,) = installed.glob("lib/python3*/site-packages/pyflink")
    for name in _OF_THE_DISTRIBUTION:
        put(pyflink / name, inside / name, copy=link_or_copy)
    # As in the image of this project: in lib/, flink-python is the job's and the cluster's.
    (jar,) = (inside / "opt").glob("flink-python-*.jar")
    link_or_copy(str(jar), str(inside / "lib" / jar.name))
    put(jars / "s3-fs-hadoop", inside / "plugins" / "s3-fs-hadoop", copy=link_or_copy)
    (inside / "usrlib").mkdir()
    shutil.copy2(program, inside / "usrlib" / program.name)
    (inside / "log").mkdir(exist_ok=True)
    environment = root / "opt" / "venv"
    put(installed, environment, copy=link_or_copy, ignore=_left_out)
    # A hard link is the other file: what is changed has to be a copy of its own.
    for file in [*(environment / "bin").iterdir(), environment / "pyvenv.cfg"]:
        if file.is_file() and not file.is_symlink():
            content, mode = file.read_bytes(), file.stat().st_mode
            file.unlink()
            file.write_bytes(content.replace(str(installed).encode(), str(environment).encode()))
            file.chmod(mode)
    relocate(environment, "/opt/venv")
    _base(root)
    return root


def _left_out(folder: str, names: list[str]) -> set[str]:
    return set(_LEFT_OUT) & set(names) if folder.endswith("/site-packages/pyflink") else set()


def _base(root: Path) -> None:
    """What of the base system is in the image: links, configuration, an account, empty places for the rest."""
    for name in _LINKS:
        if Path(name).is_symlink():
            (root / name[1:]).symlink_to(os.readlink(name))
    for name in ("tmp", "proc", "sys", "dev", *(str(one)[1:] for one in base_system())):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / JAVA_HOME[1:]).parent.mkdir(parents=True)
    (root / JAVA_HOME[1:]).symlink_to(java_home())
    etc = root / "etc"
    etc.mkdir()
    for name in _OF_ETC:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, etc / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, etc / name)
    (etc / "passwd").write_text(_ACCOUNTS, encoding="utf-8")
    script = root / "docker-entrypoint.sh"
    script.write_text(_ENTRYPOINT, encoding="utf-8")
    script.chmod(0o755)


def _install(place: Path) -> Path:
    """PyFlink in a virtual environment; kept."""
    marker = place / ".installed"
    wanted = f"{FLINK_VERSION} {_python()}"
    if not (marker.exists() and marker.read_text(encoding="utf-8") == wanted):
        shutil.rmtree(place, ignore_errors=True)
        run([_python(), "-m", "venv", str(place)])
        run([str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", f"apache-flink=={FLINK_VERSION}"])
        marker.write_text(wanted, encoding="utf-8")
    return place


def _python() -> str:
    return os.environ.get("OPERATOR_PYTHON") or sys.executable


def _version(python: str) -> tuple[int, int]:
    told = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout
    major, minor = told.split()
    return int(major), int(minor)


def _prefix(python: str) -> Path:
    """Where the interpreter itself is installed."""
    told = subprocess.run(
        [python, "-c", "import sys; print(sys.base_prefix)"], capture_output=True, text=True, check=True
    )
    return Path(told.stdout.strip()).resolve()
