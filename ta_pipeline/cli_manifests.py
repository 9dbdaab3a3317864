"""`ta manifests`: what is applied to Kubernetes, printed."""

from __future__ import annotations

from typing import Annotated

import typer

from ta_pipeline.errors import TaError
from ta_pipeline.terminal import fail

manifests_app = typer.Typer(no_args_is_help=True, help="The Kubernetes manifests in k8s/.")


def register(app: typer.Typer) -> None:
    """Add `manifests` to `app`."""
    app.add_typer(manifests_app, name="manifests")


@manifests_app.command("render")
def render(
    overlay: Annotated[str, typer.Option(metavar="NAME", help="a folder of k8s/overlays: dev, prod, dagster")],
) -> None:
    """Print all objects of an overlay as YAML, as `kubectl apply -k` applies them; secrets are only referred to."""
    from ta_pipeline.kubernetes import manifests  # noqa: PLC0415 - YAML is read by this command only
    from ta_pipeline.kubernetes.yaml import as_yaml  # noqa: PLC0415

    try:
        typer.echo(as_yaml(manifests.render(overlay)), nl=False)
    except TaError as error:
        fail(error)
