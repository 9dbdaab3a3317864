"""docs/reference/cli.md: every command of `ta` with its arguments and options, from the command line itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import typer

from ta_pipeline.cli import app
from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.reference.markdown import code, linked, paragraph, table

_TYPES: dict[Any, str] = {str: "text", int: "whole number", float: "number", Path: "path"}


def page() -> str:
    """The page, as Markdown."""
    root: Any = typer.main.get_command(app)
    commands = list(_walk("ta", root))
    parts = ["# Commands", f"{root.help} Every command has `--help`.", _overview(commands)]
    for name, command in commands:
        parts += [f"## `{name}`", paragraph(linked(command.help))]
        if rows := [_cells(one) for one in command.params if not one.hidden and one.name != "help"]:
            parts.append(table(("argument, option", "takes", "default", "meaning"), rows))
    return "\n\n".join(parts) + "\n"


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Each command that does something, with its whole name; groups are gone through."""
    children = getattr(command, "commands", None)
    if children is None:
        yield name, command
        return
    for child, found in children.items():
        if not found.hidden:
            yield from _walk(f"{name} {child}", found)


def _overview(commands: list[tuple[str, Any]]) -> str:
    # An anchor is the heading in small letters, spaces as dashes.
    rows = [
        (f"[`{name}`](#{name.replace(' ', '-')})", linked(command.help.split("\n\n")[0])) for name, command in commands
    ]
    return table(("command", ""), rows)


def _cells(one: Any) -> tuple[str, str, str, str]:
    is_option = bool(one.opts[0].startswith("-"))
    names = ", ".join(map(code, (*one.opts, *one.secondary_opts))) if is_option else code(one.name.upper())
    meaning = linked(one.help or "")
    if one.multiple or one.nargs == -1:
        meaning += "; may be given more than once"
    return names, _takes(one), _default(one), meaning


def _takes(one: Any) -> str:
    if getattr(one, "is_flag", False):
        return ""
    if one.metavar:
        return code(one.metavar)
    kind = one.type_descriptor.annotation
    if get_origin(kind) in {Union, UnionType}:
        (kind,) = (part for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is list:
        (kind,) = get_args(kind)
    known = _TYPES.get(kind, "text")
    if one.min is None and one.max is None:
        return known
    if one.max is None:
        return f"{known}, {one.min:g} or more"
    return f"{known}, {one.min or 0:g} to {one.max:g}"


def _default(one: Any) -> str:
    if one.required:
        return "required"
    if one.default is None or one.default is False or one.default == "":
        return ""
    text = str(one.default)
    if isinstance(one.default, Path) and one.default.is_relative_to(REPOSITORY):
        text = str(one.default.relative_to(REPOSITORY))
    return code(text)
