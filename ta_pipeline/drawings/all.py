"""Which drawings there are, and where they go."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ta_pipeline.drawings import one_second, progress, three_seconds
from ta_pipeline.local.settings import REPOSITORY

DIRECTORY = REPOSITORY / "docs" / "pictures"
DRAWINGS: Mapping[str, Callable[[Path], None]] = {
    "one-second.png": one_second.draw,
    "watermark-and-checkpoint.png": progress.draw,
    "consumers-timeline.png": three_seconds.draw,
}


def draw_all(directory: Path = DIRECTORY) -> list[Path]:
    """Draw each into `directory`; gives their paths."""
    for name, draw in DRAWINGS.items():
        draw(directory / name)
    return [directory / name for name in DRAWINGS]
