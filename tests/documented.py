"""The shell commands in the pages' blocks, and in which way each of them is proved."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from markdown_it import MarkdownIt

from ta_pipeline.local.settings import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
_SHELL = {"", "bash", "sh", "shell", "console"}
"""Languages of a block that is one of commands; what is none says what it is, `text` for instance."""
_COMMENT = re.compile(r"(?:^|\s+)#(?= |$)")
_OPENS = re.compile(r"(\\|\||&&|\|\|)$")


class Way(Enum):
    """How it is known that a command works."""

    HERE = "run in the ordinary suite, in a folder of its own"
    STACK = "run in `make test-more`, page by page, on a local stack"
    MAKE = "a target of the Makefile, a folder of tests, or a module that writes files: it is there"
    SETTINGS = "variables: each is a setting, and its value is allowed"
    CLUSTER = (
        "needs a cluster, Docker or a broker's tools: what it names is there, options included; what an API server can "
        "answer is run in `make test-k8s`"
    )
    SHELL = "prepares the shell; its syntax is checked"


TABLE: tuple[tuple[str, Way], ...] = (
    (r"ta( [a-z-]+)* --help$", Way.HERE),
    (r"ta manifests render ", Way.HERE),
    (r"make help$", Way.HERE),
    (r"python -m ta_pipeline\.metrics\.alerts --into ", Way.HERE),
    (r"(export )?TA_\w+=", Way.SETTINGS),
    (r"read -rs \w+ && export \w+$", Way.SETTINGS),
    (r"ta (up|down|status|logs|feed|watch|probe|health|doctor|compute|validate|prometheus|report)\b", Way.STACK),
    (r"python -m ta_pipeline\.reader\.examples\.", Way.STACK),
    (r"python -m ta_pipeline\.metrics\.(alerts|page)$", Way.MAKE),
    (r"ta (job|savepoint) (run|stop|status|list|take|verify)\b", Way.STACK),
    (r"ta rollout (plan|history|status)\b", Way.STACK),
    (r"ta recover\b", Way.STACK),
    (r"python -m orchestration\.run declare$", Way.STACK),
    (r"run [a-z]+ --config-json ", Way.CLUSTER),
    (r"run (upgrade|rollback|stop|bootstrap|declare)\b", Way.STACK),
    (r"(make [a-z0-9-]+|\.venv/bin/pytest )", Way.MAKE),
    (r"(kubectl|helm|docker|tar|promtool|mimirtool|kafka-consumer-groups\.sh) ", Way.CLUSTER),
    (r"for name in .*; do .*kubectl .*done$", Way.CLUSTER),
    (r"new_secret( |\(\))", Way.CLUSTER),
    (r"alias ta='kubectl |run\(\) \{", Way.SHELL),
    (r"\. \.venv/bin/activate$|export DAGSTER_HOME=", Way.SHELL),
)
"""The first pattern that a command begins with says how it is proved. A command that none fits fails a test."""


@dataclass(frozen=True)
class Command:
    """One command of a block: without its comment, over several lines where it goes over them."""

    page: str
    block: int
    text: str

    @property
    def way(self) -> Way | None:
        """How it is proved; None: nobody has said."""
        flat = " ".join(self.text.split())
        return next((way for pattern, way in TABLE if re.match(pattern, flat)), None)

    def __str__(self) -> str:
        return f"{self.page}: {self.text}"


def blocks_of(page: Path) -> Iterator[str]:
    """The blocks of commands of a page, in their order, those within lists included."""
    for token in MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.strip() in _SHELL:
            yield token.content


def commands_in(block: str) -> Iterator[str]:
    """Its commands; what is begun on one line and ended on another one stays together."""
    lines: list[str] = []
    for line in block.splitlines():
        bare = without_comment(line)
        if not bare:
            continue
        lines.append(bare)
        if not _OPENS.search(bare) and is_whole("\n".join(lines)):
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def without_comment(line: str) -> str:
    """The line up to the `#` that is in no quotation."""
    for found in _COMMENT.finditer(line):
        before = line[: found.start()]
        if before.count("'") % 2 == 0 and before.count('"') % 2 == 0:
            return before.rstrip()
    return line.rstrip()


def is_whole(text: str) -> bool:
    """No loop, function or quotation is left open; pure, for what the pages have."""
    try:
        words = shlex.split(text.replace("\\\n", " "), comments=False)
    except ValueError:
        return False
    loops = sum(word in {"do", "{"} or word.endswith("{") for word in words)
    return loops <= sum(word.rstrip(";") in {"done", "}"} for word in words)


def all_commands() -> list[Command]:
    """Of every page."""
    return [
        Command(page.relative_to(REPOSITORY).as_posix(), number, text)
        for page in PAGES
        for number, block in enumerate(blocks_of(page))
        for text in commands_in(block)
    ]
