"""The drawings in docs/concepts.md and docs/consumers.md. `python -m ta_pipeline.drawings` draws them anew."""
