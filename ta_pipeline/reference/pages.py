"""Which pages docs/reference has, and how they get there. A test compares the files with what the code gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.reference import commands_page, schemas_page, settings_page

DIRECTORY = REPOSITORY / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page.page,
    "cli.md": commands_page.page,
    "schemas.md": schemas_page.page,
}


def write(directory: Path = DIRECTORY) -> list[Path]:
    """Write every page into `directory`, which is made when it is missing; gives their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")
    return [directory / name for name in PAGES]
