"""What an alert of Prometheus is; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

PAGE = "docs/alerts.md"
SITE_PAGE = "alerts.html"
"""The same on the site that `make docs` builds."""
Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Alert:
    """One rule.

    Attributes:
        name: of its section in docs/alerts.md, too.
        expr: PromQL; as long as it has a result, something is wrong.
        lasts: how long that is borne, as Prometheus writes it.
        severity: `critical` calls a person at once; `warning` is for working hours.
        summary: in a sentence.
        description: with the numbers, in Prometheus' templates.
    """

    name: str
    expr: str
    lasts: str
    severity: Severity
    summary: str
    description: str

    def to_rule(self, labels: Mapping[str, str], site: str = "") -> dict[str, Any]:
        """As an entry of `rules:`.

        Args:
            labels: of whose deployment it is; most expressions lose those of their series.
            site: where the pages can be read as a site (`make docs`), for the link; empty: the link is the file.
        """
        page = f"{PAGE}#{self.name.lower()}"
        link = f"{site.rstrip('/')}/{SITE_PAGE}#{self.name.lower()}" if site else page
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": self.lasts,
            "labels": {"severity": self.severity, **labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "help": page,
                "runbook_url": link,
            },
        }
