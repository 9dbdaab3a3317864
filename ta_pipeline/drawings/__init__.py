"""The drawings in docs/concepts.md. `python -m ta_pipeline.drawings` draws them anew."""
