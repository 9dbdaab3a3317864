"""docs/reference is what the code gives: settings, commands, schemas."""

from __future__ import annotations

import json
import re

import pytest
import typer

from ta_pipeline.cli import app
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.reference.commands_page import page as commands_page
from ta_pipeline.reference.markdown import linked, table
from ta_pipeline.reference.pages import DIRECTORY, PAGES
from ta_pipeline.reference.schemas_page import page as schemas_page
from ta_pipeline.reference.settings_page import GROUP_BEGINS
from ta_pipeline.reference.settings_page import page as settings_page
from ta_pipeline.schema_registry import DIRECTORY as SCHEMAS
from ta_pipeline.settings import Settings, variable_of


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_code_gives_and_make_reference_writes_it(name: str) -> None:
    assert (DIRECTORY / name).read_text(encoding="utf-8") == PAGES[name](), "`make reference` writes it anew"


def test_there_is_no_other_page() -> None:
    assert sorted(path.name for path in DIRECTORY.iterdir()) == sorted(PAGES)


def test_every_setting_has_a_row_and_stands_in_a_group() -> None:
    page = settings_page()
    variables = [
        *map(variable_of, Settings.model_fields),
        *(f"TA_LOCAL_{n.upper()}" for n in LocalSettings.model_fields),
        "TA_LOG_FORMAT",
        "TA_LOG_COMPONENT",
    ]
    assert re.findall(r"^\| `(TA_\w+)` \|", page, re.M) == variables
    assert next(iter(Settings.model_fields)) in GROUP_BEGINS
    assert set(GROUP_BEGINS) <= set(Settings.model_fields)
    assert [title for title in GROUP_BEGINS.values() if f"\n## {title}\n" not in page] == []


def test_the_settings_of_whoever_writes_the_page_are_not_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = settings_page(), schemas_page()
    for name, value in {
        "TA_KAFKA_BOOTSTRAP": "secret.example:9092", "TA_KAFKA_PASSWORD": "hunter2", "TA_BARS_TOPIC": "mine",
        "TA_TRANSACTION_TIMEOUT_MS": "500000", "TA_LOCAL_DIR": "/elsewhere", "TA_SCHEMA_DIR": "/elsewhere",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert (settings_page(), schemas_page()) == before


def test_every_command_has_a_section_with_its_options() -> None:
    page = commands_page()
    root = typer.main.get_command(app)
    names = []
    for name, command in root.commands.items():  # type: ignore[attr-defined]
        children = getattr(command, "commands", None)
        names += [f"ta {name} {child}" for child in children] if children else [f"ta {name}"]
    assert sorted(re.findall(r"^## `(ta [a-z -]+)`$", page, re.M)) == sorted(names)
    assert "| `--follow`, `-f` |  |  | keep printing what is added |" in page
    assert "| `--seconds` | number, 0 or more | `0.0` | how long; 0: until Ctrl-C |" in page


def test_every_schema_has_a_section_with_its_fields() -> None:
    page = schemas_page()
    assert sorted(re.findall(r"^## `(\w+)`$", page, re.M)) == sorted(path.stem for path in SCHEMAS.glob("*.avsc"))
    fields = [field["name"] for field in json.loads((SCHEMAS / "TaSignal.avsc").read_text())["fields"]]
    section = page.partition("## `TaSignal`")[2].partition("\n## ")[0]
    assert [name for name in re.findall(r"^\| `([\w.]+)` \|", section, re.M) if "." not in name] == fields
    assert "| `macd.hist` | double | optional |" in section
    assert "### `ta_microbars`" in page


def test_what_would_end_a_cell_or_vanish_as_a_tag_is_shown() -> None:
    assert table(("a", "b"), [("x | y", "two\nlines")]) == "| a | b |\n| --- | --- |\n| x \\| y | two lines |"
    assert linked("<symbol> of docs/security.md") == "&lt;symbol> of [docs/security.md](../security.md)"
