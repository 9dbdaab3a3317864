"""Every alert of Prometheus, and the files that are made of them: `python -m ta_pipeline.metrics.alerts` writes them.

k8s/base/rules.yaml               for Prometheus' operator, which takes it with the rest of the base
k8s/prometheus/rules.yaml         for a Prometheus of any kind, and for Mimir's ruler
k8s/prometheus/alertmanager.yaml  a sample: who is called, and what explains what
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics import alerts_of_components, alerts_of_freshness, alerts_of_job
from ta_pipeline.metrics.alert import Alert
from ta_pipeline.metrics.alertmanager import configuration
from ta_pipeline.metrics.selectors import Scope

ON_KUBERNETES = Scope(namespace="torghut")
"""Of k8s/overlays/prod."""
_HEAD = "# Made by `python -m ta_pipeline.metrics.alerts`; change ta_pipeline/metrics, not this file.\n"


def alerts(scope: Scope) -> list[Alert]:
    """All of them, those first that explain others."""
    return [
        part for module in (alerts_of_components, alerts_of_job, alerts_of_freshness) for part in module.alerts(scope)
    ]


def groups(scope: Scope) -> list[dict[str, Any]]:
    """As Prometheus' files have them under `groups:`."""
    modules = {"components": alerts_of_components, "job": alerts_of_job, "freshness": alerts_of_freshness}
    return [
        {"name": f"{scope.job}-{name}", "rules": [one.to_rule(scope.labels) for one in module.alerts(scope)]}
        for name, module in modules.items()
    ]


def files() -> dict[Path, str]:
    """What each file has in it."""
    custom = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "torghut-ta"},
        "spec": {"groups": groups(ON_KUBERNETES)},
    }
    folder = REPOSITORY / "k8s"
    return {
        folder / "base" / "rules.yaml": _HEAD + _yaml(custom),
        folder / "prometheus" / "rules.yaml": _HEAD + _yaml({"groups": groups(Scope())}),
        folder / "prometheus" / "alertmanager.yaml": _HEAD + _yaml(configuration()),
    }


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
