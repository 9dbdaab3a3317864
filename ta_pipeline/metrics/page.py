"""The tables of docs/metrics.md: `python -m ta_pipeline.metrics.page` writes them; pure but for that."""

from __future__ import annotations

from collections.abc import Sequence

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics.alerts import alerts
from ta_pipeline.metrics.catalog import METRICS, Metric
from ta_pipeline.metrics.scrape import OPERATOR
from ta_pipeline.metrics.selectors import Scope

PAGE = REPOSITORY / "docs" / "metrics.md"
SHORT = "..."
"""Stands for `OPERATOR` in the table: no line of it would fit otherwise."""


def with_tables(text: str) -> str:
    """The page with its tables as the code has them.

    Args:
        text: the page; each table stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
    """
    for name, lines in tables().items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- end of {name} -->\n")
        text = "".join([before, f"<!-- {name} -->\n\n", *lines, f"\n<!-- end of {name} -->\n", after])
    return text


def tables() -> dict[str, list[str]]:
    """The lines of each, by its name."""
    probe = [metric for metric in METRICS if metric.source == "probe"]
    flink = [metric for metric in METRICS if metric.source == "flink"]
    return {"metrics of the probe": _metrics(probe), "metrics of Flink": _metrics(flink), "alerts": _alerts()}


def _metrics(metrics: Sequence[Metric]) -> list[str]:
    head = ["| name | kind | unit | labels | meaning | there when |\n", "| --- | --- | --- | --- | --- | --- |\n"]
    return head + [
        f"| `{metric.name.replace(OPERATOR, SHORT)}` | {metric.kind} | {metric.unit} | "
        f"{', '.join(f'`{label}`' for label in metric.labels) or '-'} | {metric.meaning} | "
        f"{metric.needs or 'always'} |\n"
        for metric in metrics
    ]


def _alerts() -> list[str]:
    head = ["| alert | severity | for | in a sentence |\n", "| --- | --- | --- | --- |\n"]
    return head + [
        f"| `{alert.name}` | {alert.severity} | {alert.lasts} | {alert.summary} |\n" for alert in alerts(Scope())
    ]


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
