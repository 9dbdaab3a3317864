"""Where a statement ends and its data begins.

ClickHouse takes `INSERT ... FORMAT X` and the data behind it as one piece, in the URL, in the body, or across both;
the engine takes them apart. Definition: ParserInsertQuery of ClickHouse: after the format's name blanks and one line
break are skipped, everything behind is data, byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SKIP = re.compile(
    rb"""\s+ | --[^\n]* | \#[ !][^\n]* | /\*.*?\*/
       | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*`""",
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_FORMAT_NAME = re.compile(rb"(?:\s|/\*.*?\*/)*([A-Za-z0-9_]+)[ \t\f]*\r?\n?", re.DOTALL)
_FORMAT_AT_END = re.compile(r"\bFORMAT\s+([A-Za-z0-9]+)\s*(?:SETTINGS\s+[^()']*)?;?\s*$", re.IGNORECASE)
_NO_SPLIT = {b"SELECT", b"WITH", b"VALUES", b"INFILE", b"WATCH"}


@dataclass(frozen=True)
class Statement:
    """What the engine runs: a query, or an insert with its data."""

    sql: str
    data: bytes | None = None
    """Data of an insert; None for everything else."""
    data_format: str = ""


def split(query: bytes, body: bytes, default_format: str = "") -> Statement:
    """Take apart what came in the URL (`query`) and in the body.

    Raises:
        UnicodeDecodeError: a statement that is not an insert with data is not UTF-8.
    """
    whole = query + (b"\n" if query and body else b"") + body
    if _first_word(whole) != b"INSERT":
        return Statement(whole.decode())
    end = _insert_format(query or whole)
    if end is None and query and _is_bare_insert(query):
        # An insert without format and values: the data's format comes from the request, or is Values.
        if default_format and default_format.lower() != "values":
            return Statement(query.decode().rstrip().rstrip(";"), body, default_format)
        return Statement((query + b" VALUES " + body).decode())
    if end is None:
        return Statement(whole.decode())
    statement, name, data_at = end
    data = whole[data_at:] if not query else query[data_at:] + body
    if name.lower() == "values":
        return Statement((statement + b" VALUES " + data).decode())
    return Statement(statement.decode(), data, name)


def output_format(sql: str, default: str) -> str:
    """The format a query names itself, else `default`."""
    match = _FORMAT_AT_END.search(sql)
    return match[1] if match else default


def _insert_format(text: bytes) -> tuple[bytes, str, int] | None:
    """Statement before FORMAT, the format's name, and where the data begins; None when there is no such clause."""
    for word, start, end in _words(text):
        if word == b"FORMAT":
            match = _FORMAT_NAME.match(text, end)
            return (text[:start].rstrip(), match[1].decode(), match.end()) if match else None
        if word in _NO_SPLIT:
            return None
    return None


def _is_bare_insert(text: bytes) -> bool:
    return not any(word in _NO_SPLIT for word, _, _ in _words(text))


def _first_word(text: bytes) -> bytes:
    return next((word for word, _, _ in _words(text)), b"")


def _words(text: bytes) -> list[tuple[bytes, int, int]]:
    """Upper-case words outside quotes, comments and parentheses, up to the first that ends the search."""
    words = []
    at = depth = 0
    while at < len(text):
        if skipped := _SKIP.match(text, at):
            at = skipped.end()
        elif match := _WORD.match(text, at):
            if depth == 0:
                word = match[0].upper()
                words.append((word, at, match.end()))
                if word in _NO_SPLIT or word == b"FORMAT":
                    break
            at = match.end()
        else:
            depth += {40: 1, 41: -1}.get(text[at], 0)
            at += 1
    return words
