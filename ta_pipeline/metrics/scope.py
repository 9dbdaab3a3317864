"""Selectors that the panels' expressions share: by Grafana's variables (`ta_pipeline.metrics.panel`)."""

from __future__ import annotations

from ta_pipeline.metrics.panel import Query

SCOPE = 'namespace=~"$namespace"'
OF_JOB = f'{SCOPE},job_name="$deployment"'
OF_TABLE_JOB = f'{SCOPE},job_name="${{deployment}}_table"'
FIRING = f'ALERTS{{{SCOPE},alertname=~"Ta.+",alertstate="firing"}}'
"""Of Prometheus itself: there only while an alert fires."""


def limit(name: str) -> Query:
    """The limit of a name, as the probe tells it from the settings in force."""
    return Query(f'max(ta_limit_seconds{{{SCOPE},limit="{name}"}})', "limit", is_limit=True)
