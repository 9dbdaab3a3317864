"""Tables and links of Markdown, as a repository's pages and the documentation's site both take them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

_PAGE = re.compile(r"\bdocs/([\w-]+)\.md\b")
_SEPARATOR = re.compile(r"(?<!\\)\|")


def code(text: str) -> str:
    """`text` between backticks; nothing for nothing."""
    return f"`{text}`" if text else ""


def linked(text: str) -> str:
    """Plain text as Markdown: each `docs/NAME.md` is a link, seen from docs/reference, and `<` stays itself."""
    return _PAGE.sub(r"[docs/\1.md](../\1.md)", text.replace("<", "&lt;"))


def paragraph(text: str) -> str:
    """`text` in lines of at most 120 characters, broken at spaces only."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a cell's `|` is escaped, its line breaks are spaces.

    Args:
        head: names of the columns.
        rows: cells, as many as there are columns.
    """
    lines = [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    escaped = (_SEPARATOR.sub(r"\|", " ".join(cell.split())) for cell in cells)
    return f"| {' | '.join(escaped)} |"
