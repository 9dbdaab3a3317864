"""Every alert of Prometheus, and the files that are made of them: `python -m ta_pipeline.metrics.alerts` writes them.

k8s/base/rules.yaml               for Prometheus' operator, which takes it with the rest of the base
k8s/prometheus/rules.yaml         for a Prometheus of any kind, and for Mimir's ruler
k8s/prometheus/alertmanager.yaml  a sample: who is called, and what explains what
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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


def groups(scope: Scope, site: str = "") -> list[dict[str, Any]]:
    """As Prometheus' files have them under `groups:`; `site` is where the pages are, for the links."""
    modules = {"components": alerts_of_components, "job": alerts_of_job, "freshness": alerts_of_freshness}
    return [
        {"name": f"{scope.job}-{name}", "rules": [one.to_rule(scope.labels, site) for one in module.alerts(scope)]}
        for name, module in modules.items()
    ]


def files() -> dict[Path, str]:
    """What each file of the repository has in it."""
    folder = REPOSITORY / "k8s"
    return {
        folder / "base" / "rules.yaml": _HEAD + _custom(ON_KUBERNETES),
        folder / "prometheus" / "rules.yaml": _HEAD + _plain(Scope()),
        folder / "prometheus" / "alertmanager.yaml": _HEAD + _yaml(configuration()),
    }


def files_of(scope: Scope, site: str, folder: Path) -> dict[Path, str]:
    """The same rules for another deployment: a PrometheusRule where it has a namespace, else a plain file."""
    return {folder / "rules.yaml": _custom(scope, site) if scope.namespace else _plain(scope, site)}


def _custom(scope: Scope, site: str = "") -> str:
    return _yaml({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": scope.job},
        "spec": {"groups": groups(scope, site)},
    })  # fmt: skip


def _plain(scope: Scope, site: str = "") -> str:
    return _yaml({"groups": groups(scope, site)})


def _yaml(content: Any) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120, allow_unicode=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Write the rules; without arguments those of this repository.")
    parser.add_argument("--into", type=Path, help="a folder, for the rules of another deployment")
    parser.add_argument("--job", default=Scope().job, help="its name, TA_K8S_DEPLOYMENT")
    parser.add_argument("--namespace", default="", help="on Kubernetes; without it the file is a plain one")
    parser.add_argument(
        "--site", default="", help="where the pages can be read (make docs): each alert links to its own"
    )
    chosen = parser.parse_args(arguments)
    scope = Scope(chosen.job, chosen.namespace)
    if chosen.into is None and (scope != Scope() or chosen.site):
        parser.error("--into says where the rules of another deployment are written to")
    for file, text in (files_of(scope, chosen.site, chosen.into) if chosen.into else files()).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
