"""Selectors and expressions that the panels' share: by Grafana's variables (`ta_pipeline.metrics.panel`)."""

from __future__ import annotations

from ta_pipeline.metrics.panel import Query
from ta_pipeline.metrics.scrape import JOB

SCOPE = 'namespace=~"$namespace"'
OF_JOB = f'{SCOPE},job_name="$deployment"'
OF_TABLE_JOB = f'{SCOPE},job_name="${{deployment}}_table"'
FIRING = f'ALERTS{{{SCOPE},alertname=~"Ta.+",deployment!="",alertstate="firing"}}'
"""Of Prometheus itself: there only while an alert fires. Others' begin with these letters, too (TargetDown): of whose
deployment they are, only ours say."""


def checkpoint_age(of: str) -> str:
    """Since the newest checkpoint of a job completed; a job that has none gives nothing."""
    return f"time() - max({JOB}lastCheckpointCompletedTimestamp{{{of}}} > 0) / 1000"


def runs(of: str) -> str:
    """1 while all tasks of a job run, else 0."""
    return f"min({JOB}allSubTasksRunningOrFinishedTime{{{of}}} > bool 0)"


def limit(name: str) -> Query:
    """The limit of a name, as the probe tells it from the settings in force."""
    return Query(f'max(ta_limit_seconds{{{SCOPE},limit="{name}"}})', "limit", is_limit=True)


WATERMARK_LAG = (Query(f"max(ta_watermark_lag_seconds{{{SCOPE}}})", "lag"), limit("watermark_lag"))
