"""`python -m ta_pipeline.reference`: write docs/reference anew."""

from __future__ import annotations

from ta_pipeline.reference.pages import write

for path in write():
    print(path)  # noqa: T201 - what a person who asked for it wants to know
