"""A sample of Alertmanager's configuration: who is called, and which alert explains which; pure."""

from __future__ import annotations

from typing import Any

_SEEN_BY_THE_PROBE = (
    "TaJobHeartbeatMissing", "TaLiveLatency", "TaLiveSilent", "TaFinalLatency", "TaFinalSilent", "TaGaps",
)  # fmt: skip
_FRESHNESS = ("TaWatermarkLag", *_SEEN_BY_THE_PROBE)
_CHECKPOINTS = ("TaCheckpointOld", "TaCheckpointSlow", "TaOpenTransaction")
_OF_A_RUNNING_JOB = (*_FRESHNESS, *_CHECKPOINTS, "TaBackpressure")
EXPLAINS: dict[str, tuple[str, ...]] = {
    "TaJobManagerMissing": (
        "TaTaskManagerMissing", "TaMetricsMissing", "TaJobAbsent", "TaJobNotRunning", "TaTableJobNotRunning",
        *_OF_A_RUNNING_JOB,
    ),
    "TaTaskManagerMissing": ("TaMetricsMissing", "TaJobNotRunning", "TaTableJobNotRunning", *_OF_A_RUNNING_JOB),
    "TaKafkaUnreachable": (
        "TaProbeNotReading", "TaJobNotRunning", "TaRestarts", "TaTableJobNotRunning", "TaNoTrades", *_OF_A_RUNNING_JOB,
    ),
    # Only what it would have seen: the job may be in trouble of its own.
    "TaProbeNotReading": _SEEN_BY_THE_PROBE,
    "TaJobAbsent": _OF_A_RUNNING_JOB,
    "TaJobNotRunning": _OF_A_RUNNING_JOB,
    "TaS3Unreachable": (*_CHECKPOINTS, "TaCheckpointNotStored", "TaFinalLatency", "TaFinalSilent"),
    "TaClickHouseUnreachable": ("TaClickHouseBreakerOpen", "TaTablesBehind"),
    "TaClickHouseBreakerOpen": ("TaTablesBehind",),
    "TaTableJobNotRunning": ("TaTablesBehind",),
    "TaProbeGone": ("TaDagsterSilent",),
}  # fmt: skip
"""Alerts that need no call of their own while another one is there."""


def configuration() -> dict[str, Any]:
    """The sample; addresses are placeholders, and secrets are in files."""
    return {
        "global": {"resolve_timeout": "5m"},
        "route": {
            "receiver": "ticket",
            "group_by": ["alertname", "namespace", "deployment"],
            "group_wait": "15s",
            "group_interval": "5m",
            "repeat_interval": "4h",
            "routes": [
                {"receiver": "page", "matchers": ['severity="critical"'], "repeat_interval": "30m"},
                {"receiver": "ticket", "matchers": ['severity="warning"']},
            ],
        },
        "receivers": [
            {
                "name": "page",
                "pagerduty_configs": [
                    {
                        "routing_key_file": "/etc/alertmanager/secrets/pagerduty",
                        "description": "{{ .CommonAnnotations.summary }}",
                        "details": {
                            "what": "{{ .CommonAnnotations.description }}",
                            "help": "{{ .CommonAnnotations.help }}",
                        },
                    }
                ],
            },
            {
                "name": "ticket",
                "webhook_configs": [{"url": "http://tickets.monitoring.svc/alertmanager", "send_resolved": True}],
            },
        ],
        "inhibit_rules": [
            {
                "source_matchers": [f'alertname="{source}"'],
                "target_matchers": [f'alertname=~"{"|".join(targets)}"'],
                "equal": ["namespace", "deployment"],
            }
            for source, targets in EXPLAINS.items()
        ],
    }
