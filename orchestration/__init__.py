"""Dagster definitions, domain first: thin over pure functions in `ta_pipeline`."""
