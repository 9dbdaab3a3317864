"""Dagster around the job: thin definitions over `ta_pipeline`, one package for each domain under `defs/`."""
