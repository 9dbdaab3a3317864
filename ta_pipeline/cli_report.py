"""`ta report`: the dashboard's panels as a picture and a page, from any Prometheus."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from ta_pipeline.errors import TaError
from ta_pipeline.local.prometheus import prometheus_url
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.local.stack import local_settings
from ta_pipeline.terminal import fail

console = Console()


def register(app: typer.Typer) -> None:
    """Add `report` to `app`."""
    app.command("report")(report)


def report(
    since: Annotated[str, typer.Option(help="how far back: 90s, 15m, 2h, 1d")] = "15m",
    url: Annotated[str, typer.Option(help="of Prometheus, or of what answers like it; default: `ta prometheus`")] = "",
    out: Annotated[Path, typer.Option(help="folder for report.md and report.png")] = Path("out/report"),
    namespace: Annotated[str, typer.Option(help="on Kubernetes; a regular expression; default: any")] = ".*",
    deployment: Annotated[str, typer.Option(help="the job's name; default: TA_K8S_DEPLOYMENT")] = "",
) -> None:
    """Draw what readers see, what the job does and who watches: the dashboard, without Grafana."""
    from ta_pipeline.metrics.catalog import job_label  # noqa: PLC0415 - it draws: slow, and no other command needs it
    from ta_pipeline.metrics.picture import verdict  # noqa: PLC0415 - as above
    from ta_pipeline.metrics.prometheus import Prometheus  # noqa: PLC0415 - as above
    from ta_pipeline.metrics.readings import Asked  # noqa: PLC0415 - as above
    from ta_pipeline.metrics.report import PAGE, write_report  # noqa: PLC0415 - as above
    from ta_pipeline.metrics.span import seconds_of, span_until  # noqa: PLC0415 - as above

    try:
        prometheus = Prometheus(url or prometheus_url(load_local_settings()))
        job = job_label(deployment or local_settings().k8s_deployment)
        asked = Asked(span_until(time.time(), seconds_of(since)), namespace, job)
        with console.status(f"asking {escape(prometheus.place)}"):
            readings = write_report(prometheus, asked, out)
    except TaError as error:
        fail(error)
    above = [one.panel.title for one in readings if verdict(one) == "above the limit"]
    empty = [one for one in readings if one.is_missing]
    console.print(
        f"{out / PAGE}: {len(readings) - len(empty)} of {len(readings)} panels have data", markup=False, highlight=False
    )
    if above:
        console.print(f"[yellow]above the limit now:[/] {escape(', '.join(above))}", highlight=False, soft_wrap=True)
    for one in empty:
        why = escape(f"{one.panel.title}: {one.why_empty}")
        console.print(f"[yellow]no data[/] {why}", highlight=False, soft_wrap=True)
