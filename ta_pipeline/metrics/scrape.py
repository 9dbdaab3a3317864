"""Where Prometheus gets the metrics, and how it names what Flink cannot label; pure.

A counter that the signal function makes for a reason has the reason in its name (`ta_rejected_no_symbol`): PromQL
cannot sum over that. So it becomes a label where it is scraped: here for a Prometheus beside the local stack, in
k8s/base/monitoring.yaml for that of a cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.settings import LocalSettings

CLUSTER = "flink_jobmanager_"
JOB = f"{CLUSTER}job_"
TASK = "flink_taskmanager_job_task_"
OPERATOR = f"{TASK}operator_"
"""How the names begin of what Flink tells of a cluster, a job, a task and an operator."""
COMPONENT = "app_kubernetes_io_component"
"""The pods' label `app.kubernetes.io/component` as Prometheus has it: job, table, probe."""
LATE_REASONS = ("beyond_horizon", "newer_quote_known", "no_such_trade", "older_minute")
"""Of `ta_pipeline.signals.engine`; `late_quotes` is a count, no reason."""


@dataclass(frozen=True)
class Renaming:
    """A part of names that becomes a label.

    Attributes:
        names: regular expression of whole names; its only group is the label's value.
        label: the label.
        name: what is left for a name.
    """

    names: str
    label: str
    name: str


RENAMINGS = (
    Renaming(f"{OPERATOR}ta_rejected_(.+)", "reason", f"{OPERATOR}ta_rejected"),
    Renaming(f"{OPERATOR}ta_late_({'|'.join(LATE_REASONS)})", "reason", f"{OPERATOR}ta_late_published"),
    Renaming(f"{OPERATOR}ta_accepted_(.+)", "topic", f"{OPERATOR}ta_accepted"),
)


def relabelings() -> list[dict[str, Any]]:
    """`RENAMINGS` as Prometheus' `metric_relabel_configs`."""
    return [
        one
        for renaming in RENAMINGS
        for one in (
            {"source_labels": ["__name__"], "regex": renaming.names, "target_label": renaming.label},
            {
                "source_labels": ["__name__"],
                "regex": renaming.names,
                "target_label": "__name__",
                "replacement": renaming.name,
            },
        )
    ]


def scrape_config(
    local: LocalSettings,
    rules: Sequence[Path] = (),
    *,
    probe: str = "",
    interval_seconds: int = 5,
) -> dict[str, Any]:
    """The configuration of a Prometheus beside the local stack, for YAML.

    Args:
        local: ports of the stack.
        rules: files with rules.
        probe: where the probe answers, `HOST:PORT`; default: that of the stack.
        interval_seconds: between two scrapes, and between two looks at the rules.
    """
    targets = {
        "jobmanager": f"{LOOPBACK}:{local.jobmanager_metrics_port}",
        "taskmanager": f"{LOOPBACK}:{local.taskmanager_metrics_port}",
        "probe": probe or f"{LOOPBACK}:{local.probe_port}",
    }
    return {
        "global": {
            "scrape_interval": f"{interval_seconds}s",
            "scrape_timeout": f"{interval_seconds}s",
            "evaluation_interval": f"{interval_seconds}s",
        },
        "rule_files": [str(file) for file in rules],
        "scrape_configs": [
            {
                "job_name": name,
                # As the PodMonitor has it: the rules tell the job's cluster from the table job's by it.
                "static_configs": [{"targets": [target], "labels": {COMPONENT: "probe" if name == "probe" else "job"}}],
                "metric_relabel_configs": relabelings(),
            }
            for name, target in targets.items()
        ],
    }
