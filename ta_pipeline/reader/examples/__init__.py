"""Strategies and research as small as they get: `python -m ta_pipeline.reader.examples.NAME --help`."""
