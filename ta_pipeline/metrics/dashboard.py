"""The panels as a dashboard of Grafana; `python -m ta_pipeline.metrics.dashboard` writes k8s/grafana/dashboard.json.

Made with Grafana's own library of its formats, for Grafana 10.1: later ones bring it up to date themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as model

from ta_pipeline.local.settings import REPOSITORY
from ta_pipeline.metrics.panel import Kind, Panel, Query, Row, Unit
from ta_pipeline.metrics.panels import ROWS, SESSION_OPEN, STARTED_AGAIN
from ta_pipeline.metrics.scrape import JOB

FILE = REPOSITORY / "k8s" / "grafana" / "dashboard.json"
UID = "torghut-ta"
_SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
_UNITS: dict[Unit, str] = {
    "seconds": "s", "share": "percentunit", "per second": "cps", "count": "short", "bytes": "decbytes",
    "state": "short",
}  # fmt: skip
_COLOURS = {"good": "green", "neutral": "#8e8e8e", "warning": "orange", "critical": "red"}
_WIDE, _NARROW, _HIGH, _LOW = 8, 3, 8, 4
"""Of a grid that is 24 wide: three panels beside each other, eight figures."""

_DASHED = [
    model.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "red"}),
    model.DynamicConfigValue(id_val="custom.lineStyle", value={"fill": "dash", "dash": [10, 10]}),
]
"""How a limit looks."""

Builder = Any
"""Of any kind of panel: the library's builders share their methods, but no base that has them."""


def text() -> str:
    """The dashboard as JSON."""
    return json.dumps(built(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def built(rows: Sequence[Row] = ROWS) -> model.Dashboard:
    """The dashboard."""
    made = (
        dashboard.Dashboard("Technical analysis")
        .uid(UID)
        .description("What readers see, and why: docs/dashboard.md")
        .tags(["torghut", "flink", "kafka"])
        .timezone("browser")
        .time("now-1h", "now")
        .refresh("15s")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(_namespace())
        .with_variable(_deployment())
        .annotation(_annotation("Session open", SESSION_OPEN, "rgba(255, 200, 0, 0.3)"))
        .annotation(_annotation("Restart", STARTED_AGAIN, "red"))
    )
    number = 0
    for row in rows:
        number += 1
        made.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made.with_panel(_panel(panel, number))
    return made.build()


def _panel(panel: Panel, number: int) -> Builder:
    builder: Builder = _KINDS[panel.kind]()
    small = panel.kind == "now"
    builder.id(number).title(panel.title).description(panel.description).datasource(_SOURCE)
    builder.unit(_UNITS[panel.unit]).thresholds(_thresholds(panel))
    builder.span(_NARROW if small else _WIDE).height(_LOW if small else _HIGH)
    builder.no_value(panel.when_none or "no data")
    if panel.states:
        builder.mappings([_mapping(panel)])
    if panel.kind == "lines":
        builder.min(0)
        lines = looks.GraphTresholdsStyleMode.DASHED if panel.thresholds else looks.GraphTresholdsStyleMode.OFF
        builder.thresholds_style(common.GraphThresholdsStyleConfig().mode(lines))
    for reference, query in zip(ascii_uppercase, panel.queries, strict=False):
        builder.with_target(_query(query, reference, newest_only=panel.kind == "bars"))
        if query.is_limit and panel.kind == "now":
            builder.with_transformation(_coloured_by(reference, query))
        elif query.is_limit:
            builder.override_by_name(query.legend, _DASHED)
    return builder


def _query(query: Query, reference: str, *, newest_only: bool) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(reference)
    if query.least_step_seconds:
        asked.interval(f"{query.least_step_seconds}s")
    return asked.instant() if newest_only else asked.range()


def _coloured_by(reference: str, query: Query) -> model.DataTransformerConfig:
    """The answer of a query as the threshold of the others ("Config from query results" in Grafana)."""
    red = {"threshold": {"color": _COLOURS["critical"]}}
    mapping = {"fieldName": query.legend, "handlerKey": "threshold1", "handlerArguments": red}
    return model.DataTransformerConfig(
        id_val="configFromData", options={"configRefId": reference, "mappings": [mapping]}
    )


def _lines() -> Builder:
    return (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(0)
        .show_points(looks.VisibilityMode.NEVER)
        .span_nulls(False)
        .legend(
            common.VizLegendOptions()
            .display_mode(looks.LegendDisplayMode.LIST)
            .placement(looks.LegendPlacement.BOTTOM)
            .show_legend(True)
        )
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )


def _now() -> Builder:
    return (
        stat.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["last"]))
        .color_mode(looks.BigValueColorMode.VALUE)
        .graph_mode(looks.BigValueGraphMode.NONE)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
    )


def _states() -> Builder:
    return (
        statetimeline.Panel()
        .merge_values(True)
        .show_value(looks.VisibilityMode.NEVER)
        .row_height(0.8)
        .fill_opacity(80)
        .line_width(0)
    )


def _bars() -> Builder:
    return (
        bargauge.Panel()
        .reduce_options(common.ReduceDataOptions().calcs(["last"]))
        .orientation(looks.VizOrientation.HORIZONTAL)
        .display_mode(looks.BarGaugeDisplayMode.BASIC)
        .color_scheme(dashboard.FieldColor().mode(model.FieldColorModeId.THRESHOLDS))
        .min(0)
    )


_KINDS: dict[Kind, Callable[[], Builder]] = {"now": _now, "lines": _lines, "states": _states, "bars": _bars}


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    # The first one has no value: it is what lies below all others.
    first = "text" if panel.states else "green"
    steps = [model.Threshold(value=None, color=first)]
    steps += [model.Threshold(value=one.value, color=_COLOURS[one.severity]) for one in panel.thresholds]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _mapping(panel: Panel) -> model.ValueMap:
    results = {
        str(state.value): model.ValueMappingResult(text=state.name, color=_COLOURS[state.tone], index=place)
        for place, state in enumerate(panel.states)
    }
    return model.ValueMap(options=results)


def _namespace() -> dashboard.QueryVariable:
    # `.*` is also where there is no such label.
    return (
        _chosen_by("namespace", "label_values(ta_probe_heartbeat_timestamp_seconds, namespace)")
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(selected=True, text="All", value="$__all"))
    )


def _deployment() -> dashboard.QueryVariable:
    jobs = f'label_values({JOB}runningTime{{namespace=~"$namespace"}}, job_name)'
    # The table job goes with its job.
    return _chosen_by("deployment", jobs).regex("/^(?!.*_table$).*$/")


def _chosen_by(name: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(name.capitalize())
        .datasource(_SOURCE)
        .query({"query": query, "refId": name})
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
    )


def _annotation(name: str, expr: str, colour: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery().name(name).datasource(_SOURCE).enable(True).expr(expr).icon_color(colour)


def main(file: Path = FILE) -> None:
    """Write the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
