"""Which statements may run twice: a migration that was interrupted before it was recorded runs again from its start.

ClickHouse has no transaction around DDL, so a statement has to leave the same tables and rows behind when it is
repeated. The forms of which that is known are listed here; every other one is refused.
"""

from __future__ import annotations

import re

ALLOWED = (
    "CREATE TABLE (VIEW, DICTIONARY, ...) IF NOT EXISTS, without rows of its own; CREATE OR REPLACE VIEW; "
    "DROP TABLE (VIEW, ...) IF EXISTS; RENAME TABLE IF EXISTS; ALTER TABLE with ADD COLUMN (INDEX, ...) IF NOT EXISTS, "
    "DROP (CLEAR, RENAME) COLUMN IF EXISTS, MODIFY COLUMN, MODIFY TTL, MODIFY SETTING"
)
"""How a statement may be written; for people."""

_NOT_CODE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`|/\*.*?\*/|--[^\n]*""", re.DOTALL)
_INNERMOST = re.compile(r"\([^()]*\)")
_OBJECT = r"(?:DATABASE|TABLE|VIEW|MATERIALIZED VIEW|DICTIONARY|FUNCTION)"
_PART = r"(?:COLUMN|INDEX|PROJECTION|CONSTRAINT|STATISTICS)"
_REPEATABLE = re.compile(
    rf"CREATE {_OBJECT} IF NOT EXISTS |CREATE OR REPLACE (?:VIEW|DICTIONARY|FUNCTION) |DROP {_OBJECT} IF EXISTS "
    r"|RENAME (?:TABLE|DICTIONARY) IF EXISTS "
)
# It is made first and filled then: interrupted between the two, it would exist, and stay empty for ever.
_FILLED = re.compile(r"CREATE TABLE .* AS \(? ?(?:SELECT|WITH) |CREATE MATERIALIZED VIEW .* POPULATE ")
_ALTER = re.compile(r"ALTER TABLE \S+ (?:ON CLUSTER \S+ )?(.*)")
_REPEATABLE_COMMAND = re.compile(
    rf"ADD {_PART} IF NOT EXISTS |(?:DROP|CLEAR|RENAME) {_PART} IF EXISTS |COMMENT COLUMN |MODIFY COMMENT "
    r"|(?:MODIFY|ALTER) COLUMN (?!.* REMOVE )|MODIFY (?:TTL|ORDER BY|SETTING) |RESET SETTING "
)


def is_repeatable(statement: str) -> bool:
    """Whether the statement, run a second time, is known to change nothing.

    An `ALTER TABLE` is when each of its commands is. Says nothing about two statements that undo one another.
    """
    text = " ".join(_NOT_CODE.sub(_stand_in, statement).upper().split()) + " "
    if _FILLED.match(text):
        return False
    if altered := _ALTER.match(_without_parentheses(text)):
        return all(_REPEATABLE_COMMAND.match(command.strip() + " ") for command in altered.group(1).split(","))
    return _REPEATABLE.match(text) is not None


def _stand_in(found: re.Match[str]) -> str:
    return " " if found.group().startswith(("--", "/*")) else "quoted"


def _without_parentheses(text: str) -> str:
    """What is outside of them: there, a comma separates the commands."""
    while (shorter := _INNERMOST.sub(" ", text)) != text:
        text = shorter
    return " ".join(text.split()) + " "
