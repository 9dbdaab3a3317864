"""`python -m ta_pipeline.drawings`: draw what docs/concepts.md and docs/consumers.md show."""

from __future__ import annotations

from ta_pipeline.drawings.all import draw_all

draw_all()
