"""What a component of the local stack is: a command, its files and ports, and how to tell that it is ready."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


class NotReadyError(Exception):
    """A component does not answer yet; never leaves this package."""


def nothing() -> None:
    """The preparation of a component that needs none."""


@dataclass(frozen=True)
class Component:
    """One supervised process.

    `ports` maps setting names to numbers, the one users talk to first. `files` maps paths to contents, written
    before each start. `after` names the components that have to be ready first, where they are started too.
    `prepare` runs before the process starts, `ready` raises `NotReadyError` until it serves, `arrange` runs once it
    does; all three may run many times.
    """

    name: str
    command: tuple[str, ...]
    ports: Mapping[str, int]
    ready: Callable[[], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[Path, str] = field(default_factory=dict)
    prepare: Callable[[], None] = nothing
    arrange: Callable[[], object] = nothing
    after: tuple[str, ...] = ()
    stop_wait_seconds: int = 15
    depends_on: str = ""
    """What else makes a restart necessary when it changes (the content of jars, say)."""

    @property
    def digest(self) -> str:
        """Changes when, and only when, a running process no longer is what this component declares."""
        parts = {
            "command": self.command,
            "environment": dict(self.environment),
            "files": {str(path): content for path, content in self.files.items()},
            "depends_on": self.depends_on,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def write_files(self) -> None:
        """Write the configuration, readable by this user only: it holds the keys of the local S3."""
        for path, content in self.files.items():
            write_private(path, content)


def write_private(path: Path, content: str) -> None:
    """Write `content` to `path` with mode 0600, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content)
    draft.replace(path)
