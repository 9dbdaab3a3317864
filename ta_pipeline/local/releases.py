"""The job's code as it was rolled out: a copy of what the job imports, named by its digest.

A task imports the job's modules when it starts, and starts again whenever it fails. Without a copy of its own, an edit
of the checkout would reach a running job at its next restart, half of it at a time; and a rollback would bring the old
settings back, but not the old code. On Kubernetes the image is the release.

The TaskManager imports from `releases/current`, a link. Python keeps modules that it has imported, so the TaskManager
has to be restarted when the link is moved; `releases/loaded` says for which release that was done.

A release that is made or found was used just then (the folder's time of change says so): what somebody is about to
deploy is young, and is not pruned.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ta_pipeline.errors import StackError
from ta_pipeline.local.settings import REPOSITORY, LocalSettings

_PARTS = ("flink", "ta_pipeline", "schema")
_SUFFIXES = {".py", ".sql", ".avsc", ".csv"}
_DIGITS = 12


@dataclass(frozen=True)
class Release:
    """One version of the job's code: its digest, and the folder that holds `flink/` and `ta_pipeline/`."""

    digest: str
    path: Path


def link_of(local: LocalSettings) -> Path:
    """The link to the release that tasks import from."""
    return local.dir / "releases" / "current"


def make_release(local: LocalSettings, code: Path = REPOSITORY) -> Release:
    """Copy the job's code under `<dir>/releases/<digest>`; one that is there already stays as it is, a release itself.

    Args:
        local: where the stack keeps its state.
        code: the folder that holds `flink/`, `ta_pipeline/` and `schema/`.
    """
    if code.parent == local.dir / "releases":
        return Release(code.name, code)
    files = list(_files(code))
    digest = _digest(code, files)
    target = local.dir / "releases" / digest
    if target.exists():
        os.utime(target)
    else:
        draft = target.with_name(f"{digest}.{uuid.uuid4().hex[:8]}")
        for file in files:
            copy = draft / file.relative_to(code)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        try:
            draft.rename(target)
        except OSError:
            # Another process made the same release in the meantime.
            shutil.rmtree(draft)
    return Release(digest, target)


def find_release(local: LocalSettings, digest: str) -> Release:
    """A release that was made here; it counts as used.

    Raises:
        StackError: it is not here any more.
    """
    path = local.dir / "releases" / digest
    if not digest or not path.is_dir():
        raise StackError(f"release {digest!r} is not in {path.parent}: the job's code of that revision is lost")
    os.utime(path)
    return Release(digest, path)


def active(local: LocalSettings) -> str | None:
    """The digest of the release that tasks import from; None before the first."""
    link = link_of(local)
    return link.readlink().name if link.is_symlink() else None


def activate(local: LocalSettings, release: Release) -> None:
    """Point the link at `release`, at once or not at all."""
    link = link_of(local)
    draft = link.with_name(f"{link.name}.{uuid.uuid4().hex[:8]}")
    draft.symlink_to(release.path.resolve(), target_is_directory=True)
    os.replace(draft, link)


def loaded(local: LocalSettings) -> str | None:
    """The digest of the release the TaskManager was last started for; None before the first."""
    note = _note_of(local)
    return note.read_text(encoding="utf-8") if note.exists() else None


def mark_loaded(local: LocalSettings, release: Release) -> None:
    """Write down that the TaskManager was started after the link had been moved to `release`."""
    draft = _note_of(local).with_suffix(".new")
    draft.write_text(release.digest, encoding="utf-8")
    draft.replace(_note_of(local))


def _note_of(local: LocalSettings) -> Path:
    return local.dir / "releases" / "loaded"


def unneeded(local: LocalSettings, keep: Iterable[str], before: float) -> list[str]:
    """The releases, and what was left of interrupted copies, that `prune` would delete, by name.

    Args:
        local: where the stack keeps its state.
        keep: digests of releases that stay; the active one stays anyway.
        before: epoch seconds; what was used later stays, too.
    """
    kept = {*keep, active(local)}
    folder = local.dir / "releases"
    found = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()] if folder.exists() else []
    return sorted(path.name for path in found if path.name not in kept and path.stat().st_mtime < before)


def prune(local: LocalSettings, keep: Iterable[str], before: float) -> list[str]:
    """Delete the releases that are neither active, nor in `keep`, nor used since `before`; returns their names."""
    gone = unneeded(local, keep, before)
    for name in gone:
        path = local.dir / "releases" / name
        # Renamed first: half of a release must not be found as one.
        doomed = path.rename(path.with_name(f"{name.partition('.')[0]}.{uuid.uuid4().hex[:8]}"))
        shutil.rmtree(doomed)
    return gone


def _files(code: Path) -> Iterator[Path]:
    for part in _PARTS:
        for path in sorted((code / part).rglob("*")):
            if path.suffix in _SUFFIXES and "__pycache__" not in path.parts:
                yield path


def _digest(code: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(code).as_posix()}\0".encode())
        digest.update(file.read_bytes())
        digest.update(b"\0")
    return digest.hexdigest()[:_DIGITS]
