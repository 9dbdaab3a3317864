"""S3 as s3proxy over a directory: what Flink's checkpoints need of an object store."""

from __future__ import annotations

from pathlib import Path

from ta_pipeline.local.components import Component
from ta_pipeline.local.ports import LOOPBACK
from ta_pipeline.local.probes import answers
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.s3 import ensure_bucket, s3_client
from ta_pipeline.settings import Settings

BUCKET = "flink-checkpoints"
HIGH_AVAILABILITY_DIR = f"s3a://{BUCKET}/high-availability"
"""What ZooKeeper points at: graphs of jobs, newest checkpoints, results."""

_PROPERTIES = """\
s3proxy.endpoint=http://{host}:{port}
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity={access_key}
s3proxy.credential={secret_key}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir={data}
"""


def s3(local: LocalSettings, settings: Settings, java: Path) -> Component:
    """S3 at `s3_port` with the keys of `TA_S3_*`; makes the bucket for checkpoints."""
    home = local.dir / "s3"
    data = home / "data"
    properties = home / "s3proxy.conf"
    endpoint = f"http://{LOOPBACK}:{local.s3_port}"
    here = settings.model_copy(update={"s3_endpoint": endpoint})
    jar = local.jars_dir / "s3proxy"

    def arrange() -> None:
        ensure_bucket(s3_client(here), BUCKET)

    return Component(
        name="s3",
        command=(
            str(java / "bin" / "java"),
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-DLOG_LEVEL=warn",
            "-cp",
            str(jar / "*"),
            "org.gaul.s3proxy.Main",
            "--properties",
            str(properties),
        ),
        ports={"s3_port": local.s3_port},
        files={
            properties: _PROPERTIES.format(
                host=LOOPBACK,
                port=local.s3_port,
                access_key=settings.s3_access_key.get_secret_value(),
                secret_key=settings.s3_secret_key.get_secret_value(),
                data=data,
            )
        },
        prepare=lambda: data.mkdir(parents=True, exist_ok=True),
        ready=lambda: _ready(endpoint),
        arrange=arrange,
    )


def _ready(endpoint: str) -> None:
    answers(endpoint, any_status=True)
