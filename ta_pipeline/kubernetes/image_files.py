"""What is done with files and programs to put an image together (ta_pipeline/kubernetes/image_tree.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ta_pipeline.errors import ImageError

_TIMEOUT_SECONDS = 1_800


def put(
    source: Path,
    to: Path,
    *,
    copy: Callable[[str, str], Any] = shutil.copy2,
    ignore: Callable[[str, list[str]], set[str]] | None = None,
) -> None:
    """Put what is in a folder into another, beside what is there; links stay links.

    Args:
        source: the one folder.
        to: the other; made where it is missing.
        copy: one file.
        ignore: of a folder and the names in it, those that are left out.
    """
    shutil.copytree(source, to, symlinks=True, ignore=ignore, copy_function=copy, dirs_exist_ok=True)


def link_or_copy(source: str, to: str) -> None:
    """A hard link where that can be: jars are large, and nobody writes to them."""
    try:
        os.link(source, to)
    except OSError:
        shutil.copy2(source, to)


def clear(folder: Path, kept: Sequence[Path]) -> None:
    """Remove everything in a folder but what is kept."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            if any(one.is_relative_to(path) for one in kept):
                clear(path, kept)
            else:
                shutil.rmtree(path)
        else:
            path.unlink()


def relocate(place: Path, at: str) -> None:
    """Make a virtual environment's own files name the place that it has in the image."""
    own = [path for path in (place / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    for file in [*own, place / "pyvenv.cfg"]:
        content = file.read_bytes()
        changed = content.replace(str(place).encode(), at.encode())
        if changed != content:
            file.write_bytes(changed)


def run(command: Sequence[str]) -> None:
    """Run a program that is a step of an image; nothing of this process's Python reaches it.

    Raises:
        ImageError: it is not there, did not finish or failed; the message ends with what it said.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_SECONDS, env=kept,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise ImageError(f"{command[0]!r} cannot be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ImageError(f"{' '.join(command)} did not finish within {_TIMEOUT_SECONDS} s") from None
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise ImageError(f"{' '.join(command)} failed (exit status {done.returncode}):\n{tail}")
