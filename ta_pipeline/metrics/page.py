"""The tables of docs/metrics.md: `python -m ta_pipeline.metrics.page` writes them; pure but for that."""

from __future__ import annotations

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics.alerts import alerts
from ta_pipeline.metrics.catalog import METRICS, Source
from ta_pipeline.metrics.scrape import OPERATOR
from ta_pipeline.metrics.selectors import Scope
from ta_pipeline.reference.markdown import code, table

PAGE = REPOSITORY / "docs" / "metrics.md"
SHORT = "..."
"""Stands for `OPERATOR` in the table: no line of it would fit otherwise."""


def with_tables(text: str) -> str:
    """The page with its tables as the code has them.

    Args:
        text: the page; each table stands between `<!-- NAME -->` and `<!-- end of NAME -->`.
    """
    for name, rows in tables().items():
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- end of {name} -->\n")
        text = "".join([before, f"<!-- {name} -->\n\n{rows}\n\n<!-- end of {name} -->\n", after])
    return text


def tables() -> dict[str, str]:
    """Each table by its name."""
    rules = [(code(one.name), one.severity, one.lasts, one.summary) for one in alerts(Scope())]
    return {
        "metrics of the probe": _metrics("probe"),
        "metrics of Flink": _metrics("flink"),
        "alerts": table(("alert", "severity", "for", "in a sentence"), rules),
    }


def _metrics(source: Source) -> str:
    return table(
        ("name", "kind", "unit", "labels", "meaning", "there when"),
        (
            (
                code(one.name.replace(OPERATOR, SHORT)), one.kind, one.unit, ", ".join(map(code, one.labels)) or "-",
                one.meaning, one.needs or "always",
            )
            for one in METRICS
            if one.source == source
        ),
    )  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
